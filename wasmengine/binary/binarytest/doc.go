// Package binarytest makes WebAssembly modules for tests: by hand, at random,
// and of the kind that attackers send.
//
// It is for tests only. It knows wasmengine/binary and nothing else of the
// project.
package binarytest
