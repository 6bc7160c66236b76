// Package samples holds small real functions: for each a folder with its C
// source, the .wasm made of it, for some the .elf for Morello too, and cases, which are inputs with the outputs
// that must come of them; and compositions of them. README.md describes the functions and the form of
// the case folders.
//
// The package owns these files. Its tests check the modules' shape, rebuild
// them, run every case, compare what the functions do with the same in Go, and
// run the compositions of images on a dispatcher.
// Its code knows nothing else of the project.
package samples
