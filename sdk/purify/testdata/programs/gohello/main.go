// Command gohello says hello: as a program in main, as a library in run.
package main

import "fmt"

//go:wasmexport run
func run() { fmt.Println("hello") }

func main() { run() }
