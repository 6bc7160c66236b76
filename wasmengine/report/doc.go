// Package report says what can be known of a WebAssembly module without running
// it: its parts, the features that it uses, what each function is and costs, and
// how much of the stack its calls can take.
//
// It owns that description, whose JSON names are part of the command line, and
// the estimate over the graph of calls. It knows wasmengine/binary, which has
// read and checked the module, and wasmengine/meter, which knows what a
// function costs. It knows nothing of what the platform refuses.
//
// Modules are hostile: whatever they are, a report takes time and memory in
// proportion to their length. Names in it are the module's own, and may hold
// anything that is UTF-8.
package report
