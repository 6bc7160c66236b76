// Package c holds the SDK for functions in C: headers in include, the runtime
// that is linked into a function in src, and in libc what makes whole programs
// of functions: WASI in memory, for wasi-libc. README.md shows how to use it.
//
// There is no Go code but tests, which run the runtime in an engine: what its
// allocator, its memory functions and its ways to end do. The tests of sdk/purify
// run the libc layer.
package c
