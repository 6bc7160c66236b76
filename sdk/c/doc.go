// Package c holds the SDK for functions in C: headers in include, the runtime
// that is linked into a function in src, and in libc what makes whole programs
// of functions: WASI in memory, for wasi-libc. README.md shows how to use it.
//
// The only Go code that is no test carries these files into the program, so
// that it builds functions anywhere. The tests run the runtime in an engine:
// what its allocator, its memory functions and its ways to end do. Those of
// sdk/purify run the libc layer.
package c

import "embed"

// Files are the SDK's: include/, src/ and libc/.
//
//go:embed include src libc
var Files embed.FS
