// Package sdk has the files of the SDK for functions in Go, for those who build
// functions. Functions use package pappus beside it.
package sdk

import "embed"

// Files are go.mod and the folder pappus.
//
//go:embed go.mod pappus/doc.go pappus/pappus.go pappus/platform_*.go pappus/case_other.go pappus/*.s
var Files embed.FS
