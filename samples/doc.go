// Package samples holds small real functions: for each a folder with its C
// source, the .wasm made of it, and cases, which are inputs with the outputs
// that must come of them. README.md describes the functions and the form of
// the case folders.
//
// The package owns these files and what is true of them without an engine:
// its tests check the modules' shape, rebuild them, and work the expected
// outputs out in Go. It knows nothing else of the project.
package samples
