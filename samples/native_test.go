package samples_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"

	"pappus/cases"
	"pappus/chericapengine"
	"pappus/engine"
	"pappus/samples"
	"pappus/wasmengine"
)

func natives(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(samples.Files(), "*/*.elf")
	if err != nil || len(names) < 6 {
		t.Fatalf("%d native samples, %v", len(names), err)
	}
	return names
}

func newNative(t *testing.T, slice int64) engine.Engine {
	t.Helper()
	e, err := chericapengine.New(chericapengine.Config{Slice: slice})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// The same sources give what their cases say on the CHERI engine too, with the same
// fuel whatever the slices, and the same outputs as WebAssembly.
func TestNativeCasesRun(t *testing.T) {
	long, short, wasm := newNative(t, 0), newNative(t, 1009), newEngine(t, wasmengine.Config{})
	for _, name := range natives(t) {
		sample := path.Dir(name)
		folder, err := fs.Sub(samples.Files(), path.Join(sample, "cases"))
		if err != nil {
			t.Fatal(err)
		}
		list, err := cases.ReadAll(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			t.Run(path.Join(sample, c.Name), func(t *testing.T) {
				runs(t, c, sample, long, short)
				agree(t, c, sample, long, wasm)
			})
		}
	}
}

// agree compares the outputs of a case on two engines.
func agree(t *testing.T, c *cases.Case, sample string, engines ...engine.Engine) {
	t.Helper()
	var first *cases.Outcome
	for _, e := range engines {
		p := prepare(t, e, sample, c.Limits)
		o, err := c.Run(t.Context(), p.program, p.limits)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = o
		} else if d := cases.Compare(o.Outputs, first.Outputs); d != nil || o.End() != first.End() {
			t.Errorf("%s ends with %s, the other with %s: %v", e.Name(), o.End(), first.End(), d)
		}
	}
}

// TestRebuildNative does for .elf files what TestRebuild does for modules.
func TestRebuildNative(t *testing.T) {
	for _, tool := range []string{"make", "aarch64-linux-gnu-gcc"} {
		if _, err := exec.LookPath(tool); errors.Is(err, exec.ErrNotFound) {
			t.Skipf("needs %s: apt-get install -y --no-install-recommends make gcc-aarch64-linux-gnu", tool)
		}
	}
	out := t.TempDir()
	if log, err := exec.CommandContext(t.Context(), "make", "native", "OUT="+out).CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, log)
	}
	for _, name := range natives(t) {
		code, err := fs.ReadFile(samples.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		built, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(built, code) {
			t.Errorf("%s is not what its sources give; run make -C samples native", name)
		}
	}
}
