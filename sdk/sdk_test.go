package sdk_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/data"
	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/wasmengine"
)

// workerEnv makes the test binary be the compile process.
const workerEnv = "PAPPUS_TEST_COMPILE_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) == "1" {
		os.Exit(wasmengine.CompileWorker(context.Background(), os.Stdin, os.Stdout, os.Stderr, os.Exit))
	}
	goleak.VerifyTestMain(m)
}

// function is a program that is ready to run.
type function struct {
	t       testing.TB
	program engine.Program
	limits  engine.Limits
}

func prepare(t testing.TB, code []byte) *function {
	t.Helper()
	t.Setenv(workerEnv, "1")
	e, err := wasmengine.New(wasmengine.Config{Compiler: []string{"/proc/self/exe"}, CompileTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	insp, err := e.Inspect(code)
	if err != nil {
		t.Fatal(err)
	}
	f := &function{t: t, limits: insp.Manifest.Limits.Or(engine.DefaultLimits())}
	if f.program, err = e.Prepare(t.Context(), code, insp.Manifest.Signature(), f.limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.program.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *function) run(inputs ...data.Set) (engine.Result, error) {
	return f.program.Run(f.t.Context(), inputs, f.limits)
}

// ends runs a function that must fail.
func (f *function) ends(t *testing.T, want engine.Fault, inputs ...data.Set) {
	t.Helper()
	r, err := f.run(inputs...)
	if err == nil {
		r.Release()
	}
	var fault *engine.Fault
	if !errors.As(err, &fault) || fault.Kind != want.Kind || fault.ExitCode != want.ExitCode || !bytes.HasPrefix(fault.Stderr, want.Stderr) {
		t.Errorf("%v instead of %s with code %d and stderr %q", err, want.Kind, want.ExitCode, want.Stderr)
		if fault != nil {
			t.Logf("stderr %q", fault.Stderr)
		}
	}
}

// gives runs a function that must give these outputs, the same twice.
func (f *function) gives(t *testing.T, want []data.Set, inputs ...data.Set) {
	t.Helper()
	for range 2 {
		r, err := f.run(inputs...)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if !data.Equal(r.Outputs, want) {
			t.Errorf("outputs %s", show(r.Outputs))
		}
		r.Release()
	}
}

func show(sets []data.Set) (text string) {
	for _, s := range sets {
		for _, it := range s.Items {
			text += s.Name + "/" + it.Name() + ": " + string(it.Bytes()[:min(200, it.Len())]) + "\n"
		}
	}
	return text
}

func exits(code int32, stderr string) engine.Fault {
	return engine.Fault{Kind: engine.FaultExit, ExitCode: code, Stderr: []byte(stderr)}
}

func text(name, content string) data.Set {
	return data.Set{Name: "text", Items: []*data.Item{data.NewItem(name, 0, []byte(content))}}
}

// tool calls a program, or skips the test where it is not.
func tool(t testing.TB, dir string, env []string, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("needs %s", name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if log, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, log)
	}
}

// buildGo builds a function in Go with the commands of go/README.md, and makes it pure.
func buildGo(t testing.TB, dir string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.wasm")
	tool(t, dir, []string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "build", "-buildmode=c-shared", "-trimpath", "-o", out, ".")
	return pure(t, out, filepath.Join(dir, "pappus.json"))
}

// pure makes a program pure.
func pure(t testing.TB, file, manifest string) []byte {
	t.Helper()
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	code, err := purify.Purify(program, purify.Options{Manifest: text})
	if err != nil {
		t.Fatal(err)
	}
	return code
}
