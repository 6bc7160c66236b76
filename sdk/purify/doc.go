// Package purify turns finished WebAssembly programs that were built for WASI
// preview 1 into pure functions.
//
// It owns the merging of two modules: a program, and the adapter, which
// implements WASI in memory (adapter/, from the sources of the libc layer in
// sdk/c/libc). What the program imports becomes calls of the adapter. The
// program lies at the bottom of a memory of fixed size and the adapter at its
// top; the program's memory.size and memory.grow become calls too, so that it
// takes what is above its own end for free only where it is.
//
// The program's function indices, types, globals, tables and data segments stay
// what they are; everything of the adapter comes behind them.
//
// It knows the WebAssembly format (wasmengine/binary), line tables
// (engine/lines), how manifests spell limits (engine) and the names that the
// binary interface exports, and nothing else of the project.
package purify
