// Package c holds the SDK for functions in C: headers in include, the runtime
// that is linked into a function in src. README.md shows how to use it.
//
// There is no Go code but tests, which run the runtime in an engine: what its
// allocator, its memory functions and its ways to end do.
package c
