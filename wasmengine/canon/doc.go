// Package canon makes NaNs canonical: it finds the instructions whose NaN
// results must not depend on the processor, and gives the code that follows
// them.
//
// It owns which instructions those are, where their results can be observed,
// and the code. It knows wasmengine/binary and nothing else of the project;
// package meter asks it while it rewrites a function.
//
// WebAssembly leaves open which NaN an arithmetic instruction gives: sign and
// payload differ between processors, and with the order in which a compiler
// takes the operands. Here it is always the positive quiet one without a
// payload, 0x7fc00000 or 0x7ff8000000000000. Instructions that only move bits
// (loads, stores, constants, neg, abs, copysign, pmin, pmax, reinterpret,
// lanes) are exact by specification and stay as they are, whatever NaNs they
// move.
package canon
