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

// Mistakes checks sources, of which each must have a mistake at a place that is
// given as the checking program shows it, or none where that is "".
func Mistakes[I run.Interpreter](t *testing.T, newInterpreter func() I, file string, sources map[string]string) {
	t.Helper()
	script, err := os.ReadFile("../testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if mistakes := newInterpreter().Check(file, string(script)); len(mistakes) > 0 {
		t.Errorf("a script that runs has mistakes: %v", mistakes)
	}
	for source, want := range sources {
		var b strings.Builder
		run.Show(&b, file, source, newInterpreter().Check(file, source))
		if !strings.HasPrefix(b.String(), want) || (b.String() == "") != (want == "") {
			t.Errorf("%q: %q, want %q", source, b.String(), want)
		}
		// What has a mistake can't be loaded.
		if err := newInterpreter().Load(file, source); want != "" && err == nil {
			t.Errorf("%q is loaded", source)
		}
	}
}

// Recursion runs scripts that call themselves without an end. Each must fail with
// an error that names the place that is given, and is short; where that is "", the
// script is only deep, or long, and must not fail.
func Recursion[I run.Interpreter](t *testing.T, newInterpreter func() I, file string, sources map[string]string) {
	t.Helper()
	for source, want := range sources {
		_, err := run.Function(newInterpreter(), file, source)(nil)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", source, err)
			}
			continue
		}
		const most = 2000
		if err == nil || len(err.Error()) > most || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a recursion that has no end") {
			t.Errorf("%q: %.3000v, want %q", source, err, want)
		}
	}
}
