// Package run makes a function of an interpreter and a script. The script is
// part of the program, and is loaded before any call, or it is an item of the
// input set code.
package run

import (
	"errors"

	"pappus/sdk/go/pappus"
)

// codeSet is the input set with the script, where the program has none.
const codeSet = "code"

// Interpreter runs one script.
type Interpreter interface {
	// Load runs the script's top level, which defines its function run.
	Load(file, source string) error

	// Check looks for what keeps a script from being loaded at all, without running
	// any of it.
	Check(file, source string) []Mistake

	// Call calls run. What the script puts out is given to put.
	Call(in pappus.Inputs, put Put) error
}

// Put adds an output item.
type Put func(set string, item pappus.Item)

// ErrNoRun says that a script does not define what is to be called.
var ErrNoRun = errors.New("the script does not define the function run")

// Function loads the script of the program, if it has one. A script that can't be
// loaded fails every call: before the first there is nobody to tell.
func Function(i Interpreter, file, source string) pappus.Function {
	var failed error
	if source != "" {
		failed = i.Load(file, source)
	}
	return func(in pappus.Inputs) (pappus.Outputs, error) {
		if failed != nil {
			return nil, failed
		}
		if source == "" {
			script, ok := in.Find(codeSet, file)
			if !ok {
				return nil, errors.New("there is no script: give it as the item " + file + " of the input set " + codeSet)
			}
			if err := i.Load(file, string(script.Data)); err != nil {
				return nil, err
			}
		}
		out := pappus.Outputs{}
		err := i.Call(in, func(set string, item pappus.Item) { out[set] = append(out[set], item) })
		return out, err
	}
}
