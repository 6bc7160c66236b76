package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata/script are sessions at a terminal. Besides the usual
// commands there is "serve [FLAG …]", which starts a server for the rest of the
// script and sets PAPPUS_SERVER, "stop", which ends it, and "like FILE GOLDEN",
// which compares texts but for spaces at the ends of lines and for what depends
// on the processor.
func TestScripts(t *testing.T) {
	abs, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("SAMPLES", filepath.Join(abs, "samples"))
			env.Setenv("HOSTILE", filepath.Join(abs, "wasmengine/testdata/hostile"))
			env.Setenv("TZ", "UTC")
			env.Setenv(raceVariable, raceOptions)
			env.Values[serverKey{}] = new(*process)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg {
					ts.Fatalf("use: ! exec pappus serve")
				}
				p := serve(t, ts.MkAbs("data"), args...)
				*serverOf(ts) = p
				ts.Setenv("PAPPUS_SERVER", p.url)
				ts.Defer(func() { p.stop() })
			},
			"like": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: like FILE GOLDEN")
				}
				if got, want := comparableText(ts.ReadFile(args[0])), comparableText(ts.ReadFile(args[1])); got != want {
					ts.Fatalf("%s is\n%s\nwant\n%s", args[0], got, want)
				}
			},
			"stop": func(ts *testscript.TestScript, _ bool, _ []string) { (*serverOf(ts)).stop() },
		},
	})
}

// comparableText is a text without what "like" does not compare.
func comparableText(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "largest stack limit ") && !strings.Contains(line, `"max_stack"`) {
			b.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
	}
	return b.String()
}

type serverKey struct{}

func serverOf(ts *testscript.TestScript) **process {
	p, _ := ts.Value(serverKey{}).(**process)
	return p
}
