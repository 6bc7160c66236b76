// Command pappus is the server and the command line of Pappus, a serverless
// platform for pure WebAssembly functions.
//
// It owns flags, the wiring of the parts, and the verbs, one file each; it may
// know everything. A verb reads its flags into values, calls the client (or,
// without a server, the engine), and prints; what several verbs share is in
// inputs.go (the syntax of --in), outputs.go (how items are shown and written),
// terminal.go (what may reach a terminal), flags.go and errors.go (hints and
// exit codes, which docs/exit-codes.md lists).
package main

//go:generate go test -run TestCommandsAreDocumented -update .
