// Package wasmengine runs WebAssembly functions on wazero, behind the
// interface of package engine.
//
// It owns what happens to a module between its upload and the last byte of its
// outputs: Inspect decodes and examines it, Prepare rewrites it so that it
// meters itself, compiles it, in a child process if that may be costly, tries
// it once, and keeps what came of it, so that the next Prepare only loads it;
// Report looks at a module as these do, but to the end, for people to read;
// Program.Run places inputs into a fresh context, runs the module in slices
// that look at deadline, cancellation and scheduler, and reads its outputs as
// what they are: hostile bytes.
//
// Sub-packages own one idea each: binary the module format, meter the
// rewriting, canon the NaNs, report what can be said of a module unrun, compiler
// the processes that compile, codecache what is kept on disk, domain the memory
// of contexts, abi the structures in it.
// Package wasmengine knows them, packages engine and data, and wazero, which
// nobody else knows but compiler.
//
// A module is never run as it was uploaded, only as package meter rewrote it.
//
// Lock order: idlers.mu, Program.mu, then nothing. The domain's pool has a lock of its
// own and calls nobody.
package wasmengine
