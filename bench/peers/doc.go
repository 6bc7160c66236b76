// Package peers measures calls of one function in isolates of several makers,
// in one process and in turns: Pappus's engine, wazero as it comes, and
// wasmtime.
//
// It is a module of its own, since wasmtime needs cgo and is of no use to the
// product.
package peers
