// Package runtest holds what interpreters of all languages are tested by.
package runtest

import (
	"os"
	"strings"
	"testing"

	"pappus/sdk/go/pappus"
	"pappus/sdk/script/run"
)

// Cases runs a script of testdata on the cases of all languages, as a part of the
// program, and as an item.
func Cases[I run.Interpreter](t *testing.T, newInterpreter func() I, file string) {
	t.Helper()
	source, err := os.ReadFile("../testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	pappus.Test(t, "../testdata/cases", func(in pappus.Inputs) (pappus.Outputs, error) {
		return run.Function(newInterpreter(), file, string(source))(in)
	})
	f := run.Function(newInterpreter(), file, "")
	out, err := f(pappus.Inputs{"code": {{Name: file, Data: source}}, "text": {{Name: "a", Data: []byte("to be")}}})
	if err != nil || len(out["upper"]) != 1 || string(out["upper"][0].Data) != "TO BE" {
		t.Errorf("%v %v", out, err)
	}
}

// Failures runs what is no script that can be run.
func Failures[I run.Interpreter](t *testing.T, newInterpreter func() I, file string) {
	t.Helper()
	for source, want := range map[string]string{
		"":        "there is no script: give it as the item " + file + " of the input set code",
		"x = 1":   "the script does not define the function run",
		"run = 1": "the script does not define the function run",
		"(":       file,
	} {
		if out, err := run.Function(newInterpreter(), file, source)(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v %v", source, out, err)
		}
	}
}
