// Package scratch makes folders for the time of a process. What a process leaves
// that was killed, the next one sweeps.
//
// It owns how a folder says that somebody still works in it: by a lock on a file
// in it, which ends with the process however that ends. It knows nothing else of
// the project.
package scratch
