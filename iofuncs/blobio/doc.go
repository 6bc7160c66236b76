// Package blobio has the I/O functions for blobs: BlobGet, BlobPut and BlobList.
//
// It owns the form of their items, which bucket a tenant may use and how, what a
// condition means for each kind of bucket, and what a blob may take of time and
// memory. Items are a function's, and hostile; buckets and the credentials for them
// are the operator's, and no item, error or metric has anything of them but their
// names. Files are the standard library's; what lies behind other buckets is
// gocloud.dev/blob's, with its drivers for memory and S3.
package blobio
