package samples_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"
	"time"

	"pappus/cases"
	"pappus/engine"
	"pappus/samples"
	"pappus/sdk/purify"
	"pappus/sdk/toolchain"
	"pappus/wasmengine"
)

// inOtherLanguages are the samples that there are in languages besides C, with
// the folder of their cases.
func inOtherLanguages() []string { return []string{"matmul", "sumoccurrence"} }

// passesCases fails unless code does what the cases of the sample in C say.
func passesCases(t *testing.T, e engine.Engine, sample string, code []byte) {
	t.Helper()
	folder, err := fs.Sub(samples.Files(), path.Join(sample, "cases"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := cases.ReadAll(folder)
	if err != nil || len(list) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	p := prepareCode(t, e, code, engine.Limits{})
	for _, c := range list {
		if err := c.Fits(p.sig); err != nil {
			t.Fatal(err)
		}
		o, err := c.Run(t.Context(), p.program, c.Limits.Or(p.limits))
		if err != nil {
			t.Fatal(err)
		}
		if d := c.Differs(o); d != nil {
			t.Errorf("%s: %s", c.Name, d)
		}
	}
}

// TestRust runs the samples in Rust on the cases of those in C.
func TestRust(t *testing.T) {
	e := newEngine(t, wasmengine.Config{})
	for _, sample := range inOtherLanguages() {
		t.Run(sample, func(t *testing.T) {
			passesCases(t, e, sample, readFile(t, filepath.Join("rust", sample, sample+".wasm")))
		})
	}
}

// TestRebuildRust makes those modules from their sources, byte for byte.
func TestRebuildRust(t *testing.T) {
	for _, file := range []string{"/usr/bin/rustc", "/usr/lib/rustlib/wasm32-unknown-unknown/lib"} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("needs %s: apt-get install -y --no-install-recommends make rustc libstd-rust-dev-wasm32 lld", file)
		}
	}
	out := t.TempDir()
	rebuild := exec.CommandContext(t.Context(), "make", "-C", "rust", "OUT="+out, "BUILD="+filepath.Join(out, "crate"))
	if log, err := rebuild.CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, log)
	}
	for _, sample := range inOtherLanguages() {
		name := filepath.Join(sample, sample+".wasm")
		if !bytes.Equal(readFile(t, filepath.Join(out, name)), readFile(t, filepath.Join("rust", name))) {
			t.Errorf("rust/%s is not what its sources give; run make -C samples/rust", name)
		}
	}
}

// TestGo builds the samples in Go, and runs them on their cases, or those of the
// sample in C. Their own tests run the same cases natively.
func TestGo(t *testing.T) {
	t.Setenv(workerEnv, "1")
	e := newEngine(t, wasmengine.Config{Compiler: []string{"/proc/self/exe"}})
	for _, sample := range append(inOtherLanguages(), "grep", "markdown", "render") {
		t.Run(sample, func(t *testing.T) {
			dir, out := filepath.Join("go", sample), filepath.Join(t.TempDir(), "out.wasm")
			build := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-trimpath", "-o", out, ".")
			build.Dir, build.Env = dir, append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
			if log, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go: %v\n%s", err, log)
			}
			code, err := purify.Purify(readFile(t, out), purify.Options{Manifest: readFile(t, filepath.Join(dir, "pappus.json"))})
			if err != nil {
				t.Fatal(err)
			}
			passesCases(t, e, sample, code)
		})
	}
}

// TestJavaScript builds the sample in JavaScript, and runs it on its cases, in the
// engine and natively.
func TestJavaScript(t *testing.T) {
	t.Run("engine", func(t *testing.T) {
		t.Setenv(workerEnv, "1")
		project, err := toolchain.Open("javascript/orders")
		if err != nil {
			t.Fatal(err)
		}
		built, err := (&toolchain.Builder{Cache: t.TempDir()}).Build(t.Context(), project, toolchain.Options{Strip: true})
		if err != nil {
			t.Fatal(err)
		}
		// It is large, and a machine that has other work takes long for it.
		config := wasmengine.Config{Compiler: []string{"/proc/self/exe"}, CompileTimeout: 5 * time.Minute}
		passesCases(t, newEngine(t, config), "orders", built.Module)
	})
	t.Run("natively", func(t *testing.T) {
		place, err := filepath.Abs("../sdk/script/javascript/main.js")
		if err != nil {
			t.Fatal(err)
		}
		script, err := filepath.Abs("javascript/orders/main.js")
		if err != nil {
			t.Fatal(err)
		}
		replace, err := json.Marshal(map[string]map[string]string{"Replace": {place: script}})
		if err != nil {
			t.Fatal(err)
		}
		overlay, program := filepath.Join(t.TempDir(), "overlay.json"), filepath.Join(t.TempDir(), "orders")
		if err := os.WriteFile(overlay, replace, 0o600); err != nil {
			t.Fatal(err)
		}
		build := exec.CommandContext(t.Context(), "go", "build", "-overlay="+overlay, "-o", program, "./javascript")
		build.Dir = "../sdk/script"
		if log, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go: %v\n%s", err, log)
		}
		folders, err := filepath.Glob("orders/cases/*")
		if err != nil || len(folders) == 0 {
			t.Fatalf("no cases: %v", err)
		}
		for _, folder := range folders {
			if says, err := exec.CommandContext(t.Context(), program, folder).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, says)
			}
		}
	})
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
