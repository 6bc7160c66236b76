// Package assemblyscript holds the SDK for functions in AssemblyScript: the npm
// package pappus. README.md shows how to use it. Its tests are those of package
// sdk.
package assemblyscript

import "embed"

// Files are what a function is built with: asconfig.json and assembly.
//
//go:embed asconfig.json assembly
var Files embed.FS
