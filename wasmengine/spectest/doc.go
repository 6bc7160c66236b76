// Package spectest runs the WebAssembly specification's own tests through
// decoding, encoding and metering, and checks that no result changes.
//
// It owns the interpreter of the suite's scripts and what links rewritten
// modules with each other; it is tests only. It knows wasmengine/binary and
// wasmengine/meter and nothing else of the project. The suite is not part of
// the project: the wazero module that go.mod pins ships it.
package spectest
