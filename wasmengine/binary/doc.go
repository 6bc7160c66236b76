// Package binary reads and writes WebAssembly modules in their binary format.
//
// It owns the decoder that looks at a module before any other code does, the
// caps that bound what later stages may cost, the reader of instructions that
// rewriters use, and the encoder. It knows nothing else of the project.
//
// Decode takes one pass and expands nothing: its time and memory grow in
// proportion to the length of the module, whatever the module claims. It
// checks the structure of all sections and instructions, and every index
// against the module's own index spaces; so what a rewriter appends to those
// spaces cannot be named by the module's own code. It does not type-check the
// operands of instructions.
//
// The format is WebAssembly 2.0 (multiple values, reference types, bulk
// memory, SIMD) with tail calls and extended constant expressions. Threads,
// exceptions, several memories, 64-bit memories, relaxed SIMD and garbage
// collection are refused as unsupported.
package binary
