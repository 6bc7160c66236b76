//go:build !wasip1

package pappus

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const usage = `usage: %s CASE [OUT]

Runs the function on the case in the folder CASE, whose inputs are CASE/in/SET/ITEM.
With OUT it writes the outputs to OUT/SET/ITEM, otherwise it compares them with
CASE/out/SET/ITEM.
`

func start(f Function) { os.Exit(runCase(f, os.Args, os.Stderr)) }

// runCase is the program outside of a function; it tells its exit code.
func runCase(f Function, args []string, stderr io.Writer) int {
	if len(args) < 2 || len(args) > 3 {
		fmt.Fprintf(stderr, usage, filepath.Base(args[0]))
		return 2
	}
	c, err := ReadCase(args[1])
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if len(args) == 2 {
		if err := c.Run(f); err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", args[1], err)
			return 1
		}
		return 0
	}
	out, err := f(c.Inputs)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return codeOf(err)
	}
	if err := writeSets(args[2], out); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	return 0
}
