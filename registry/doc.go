// Package registry keeps functions and compositions, their versions and their
// tags: durable records in bbolt, and code in content-addressed files.
//
// It owns names, versions, tags and digests, what a reference means, which
// composition uses what and that no change breaks one unasked
// (docs/decisions/compositions-registry.md), the format of the data directory
// (docs/format.md), and that nothing acknowledged is lost. Graphs and their
// source are bytes to it. It knows packages engine and data, and nobody else knows its store.
//
// Code is written before the record that refers to it (temporary file, sync,
// rename, sync of the folder) and removed after the last one is gone; opening
// a registry removes what a killed process left in between.
//
// Lock order: Registry.mu, then a bbolt transaction, then cache.mu.
package registry
