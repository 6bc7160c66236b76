//go:build !wasip1

package pappus

import (
	"fmt"
	"os"
	"path/filepath"
)

const usage = `usage: %s CASE [OUT]

Runs the function on the case in the folder CASE, whose inputs are CASE/in/SET/ITEM.
With OUT it writes the outputs to OUT/SET/ITEM, otherwise it compares them with
CASE/out/SET/ITEM.`

func start(f Function) {
	code, says := runCase(f, os.Args)
	if says != "" {
		fmt.Fprintln(os.Stderr, says)
	}
	os.Exit(code) //nolint:forbidigo // this is the program's main
}

// runCase is the program outside of a function: it tells exit code and stderr.
func runCase(f Function, args []string) (code int, says string) {
	if len(args) < 2 || len(args) > 3 {
		return 2, fmt.Sprintf(usage, filepath.Base(args[0]))
	}
	c, err := readProjectCase(args[1])
	if err != nil {
		return 2, err.Error()
	}
	if len(args) == 2 {
		if err := c.Run(f); err != nil {
			return 1, fmt.Sprintf("%s: %v", args[1], err)
		}
		return 0, ""
	}
	out, err := f(c.Inputs)
	if err != nil {
		return codeOf(err), err.Error()
	}
	if err := writeSets(args[2], out); err != nil {
		return 2, err.Error()
	}
	return 0, ""
}
