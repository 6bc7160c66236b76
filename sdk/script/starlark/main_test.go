package main

import (
	"os"
	"strings"
	"testing"

	"pappus/sdk/go/pappus"
	"pappus/sdk/script/run"
)

// TestCases runs a script on the cases of all languages, as a part of the
// program, and as an item.
func TestCases(t *testing.T) {
	source, err := os.ReadFile("../testdata/main.star")
	if err != nil {
		t.Fatal(err)
	}
	pappus.Test(t, "../testdata/cases", func(in pappus.Inputs) (pappus.Outputs, error) {
		return run.Function(newInterpreter(), "main.star", string(source))(in)
	})
	f := run.Function(newInterpreter(), "main.star", "")
	out, err := f(pappus.Inputs{"code": {{Name: "main.star", Data: source}}, "text": {{Name: "a", Data: []byte("to be")}}})
	if err != nil || len(out["upper"]) != 1 || string(out["upper"][0].Data) != "TO BE" {
		t.Errorf("%v %v", out, err)
	}
}

func TestFailures(t *testing.T) {
	for source, want := range map[string]string{
		"":        "there is no script: give it as the item main.star of the input set code",
		"x = 1":   "the script does not define the function run",
		"run = 1": "the script does not define the function run",
		"(":       "main.star",
	} {
		if out, err := run.Function(newInterpreter(), "main.star", source)(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v %v", source, out, err)
		}
	}
}
