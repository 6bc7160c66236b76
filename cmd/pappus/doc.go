// Command pappus is the server and the command line of Pappus, a serverless
// platform for pure WebAssembly functions.
//
// It owns flags, the wiring of the parts, and the verbs, one file each; it may
// know everything. A verb reads its flags into values, calls the client (or,
// without a server, the engine), and prints; what several verbs share is in
// target.go (which server is called, and what to do if it can't be),
// inputs.go (the syntax of --in), outputs.go (how items are shown and written),
// form.go and records.go (how records are printed: tables, -o), inspectreport.go
// (what is shown of a module), progress.go, terminal.go (what may reach a
// terminal, and colours), completion.go, flags.go, usage.go (mistakes in how it is
// called) and errors.go (hints and exit codes, which docs/exit-codes.md lists). The
// settings of a server are in settings.go, bound to the configurations of the
// parts; config.go reads them from where they are written, and reload.go does so
// again while a server runs. docs/commands.md is written from the verbs.
package main

//go:generate go test -run TestCommandsAreDocumented -update .
