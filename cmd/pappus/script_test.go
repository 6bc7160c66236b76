package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts in testdata/script are sessions at a terminal. Besides the usual
// commands there is "serve [FLAG …]", which starts a server for the rest of the
// script and sets PAPPUS_SERVER, and "stop", which ends it.
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
			"stop": func(ts *testscript.TestScript, _ bool, _ []string) { (*serverOf(ts)).stop() },
		},
	})
}

type serverKey struct{}

func serverOf(ts *testscript.TestScript) **process {
	p, _ := ts.Value(serverKey{}).(**process)
	return p
}
