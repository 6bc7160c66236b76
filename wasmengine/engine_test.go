package wasmengine

import (
	"context"
	"maps"
	"os"
	"testing"

	"go.uber.org/goleak"

	"pappus/engine"
	"pappus/engine/enginetest"
)

// workerEnv makes the test binary be the compile process.
const workerEnv = "PAPPUS_TEST_COMPILE_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) == "1" {
		os.Exit(CompileWorker(context.Background(), os.Stdin, os.Stdout, os.Stderr, os.Exit))
	}
	goleak.VerifyTestMain(m)
}

// newEngine makes an engine whose compile process is the test binary.
func newEngine(t testing.TB, config Config) *Engine {
	t.Helper()
	t.Setenv(workerEnv, "1")
	config.Compiler = []string{"/proc/self/exe"}
	if raceEnabled {
		config.CompileMemory = 1 << 46 // the race detector reserves terabytes
	}
	e, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s := e.Stats(); s.Domain.Mapped != s.Domain.Idle+int(s.IdleInstances) {
			t.Errorf("contexts are lost: %+v", s)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if s := e.Stats().Domain; s.Mapped != 0 {
			t.Errorf("after Close %d regions are mapped", s.Mapped)
		}
	})
	return e
}

// sharesNothing skips a test under the race detector all of which is done by
// one goroutine: it would take ten times as long, and find nothing.
func sharesNothing(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("it shares nothing, and takes ten times as long under the race detector")
	}
}

func hostile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/hostile/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) {
	fx := enginetest.Fixtures{
		Echo:          hostile(t, "echo-grow"),
		Spin:          hostile(t, "loop"),
		Grow:          hostile(t, "grow-touch"),
		Recurse:       hostile(t, "recursion"),
		Trap:          hostile(t, "load-outside"),
		TrapAfterExit: hostile(t, "exit-0-load-outside"),
		Exit7:         hostile(t, "exit-7-return"),
		ExitUnset:     hostile(t, "exit-untouched"),
		BadOutput:     map[string][]byte{},
		Rejected:      map[string][]byte{"empty": nil, "text": []byte("#!/bin/sh\n"), "magic only": []byte("\x00asm")},
	}
	for _, c := range hostileCases(t) {
		code := c.code
		switch {
		case c.allows("rejected-module") && len(c.expect) == 1:
			fx.Rejected[c.name] = code
		case c.allows("bad-output") && !c.allows("ok"):
			fx.BadOutput[c.name] = code
		}
	}
	for _, c := range []struct {
		name   string
		config Config
	}{
		{"defaults", Config{}},
		{"slices of one", Config{Slice: 1}},
		{"no idle instances", Config{IdleBytes: 1}},
		{"everything in the compile process", Config{Class: Class{Code: 1}}},
		{"interpreter", Config{Interpreter: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.config.Class.Code == 1 && testing.Short() {
				t.Skip("a process per module takes seconds")
			}
			if c.config.Slice == 1 || c.config.Interpreter {
				sharesNothing(t) // but what the others share too
			}
			fx := fx
			if c.config.Interpreter {
				fx.Stack = 64 << 10
			}
			if c.config.Slice == 1 || c.config.Interpreter {
				// These use up the fuel of initialisation, which takes its time
				// when every instruction goes through the platform or is interpreted.
				fx.Rejected = maps.Clone(fx.Rejected)
				delete(fx.Rejected, "initialise-loop")
				delete(fx.Rejected, "initialise-start-loop")
			}
			enginetest.Run(t, func(t *testing.T) engine.Engine { return newEngine(t, c.config) }, fx)
		})
	}
}
