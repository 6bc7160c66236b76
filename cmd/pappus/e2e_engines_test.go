package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The same C source, built here for both engines and pushed as one version, gives the
// same over HTTP whichever runs it, and in time both do.
func TestBothEngines(t *testing.T) {
	for _, tool := range []string{"clang", "wasm-ld", "aarch64-linux-gnu-gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: apt-get install -y --no-install-recommends clang lld gcc-aarch64-linux-gnu", tool)
		}
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	source, err := os.ReadFile("../../samples/wordcount/wordcount.c")
	if err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "words.c")
	if err := os.WriteFile(main, source, 0o600); err != nil {
		t.Fatal(err)
	}
	wasm, elf := filepath.Join(dir, "words.wasm"), filepath.Join(dir, "words.elf")
	p := serve(t, t.TempDir())
	for _, args := range [][]string{
		{"build", main}, {"build", main, "--engine", "chericap"}, {"push", wasm, "--also", elf},
	} {
		r := command(t.Context(), t, p.url, args...)
		if r.exit != 0 {
			t.Fatalf("%s: %s", args, r.stderr)
		}
		if args[0] == "push" && !strings.Contains(r.stderr, "pappus verify words --cases") {
			t.Errorf("push says %q", r.stderr)
		}
	}
	const most = 64 // a call of so many goes to the engine that takes longer
	bothRan := func() bool {
		return p.counts(`pappus_instances_total{engine="wasm"}`) != "0" && p.counts(`pappus_instances_total{engine="chericap"}`) != "0"
	}
	for i := 0; i < most && !bothRan(); i++ {
		text := fmt.Sprintf("to be %d to be", i) // another one each time: nothing is remembered
		status, _, body := p.do("POST", "/v1/invoke/words", "text/plain", text)
		if want := fmt.Sprintf("be 2\nto 2\n%d 1\n", i); status != 200 || body != want {
			t.Fatalf("%d: %d %q, want %q", i, status, body, want)
		}
	}
	if !bothRan() {
		t.Errorf("of %d calls one engine ran all", most)
	}
	r := command(t.Context(), t, p.url, "verify", "words", "--cases", "../../samples/wordcount/cases", "--json")
	var verified struct{ OK, Failed int }
	if err := json.Unmarshal([]byte(r.stdout), &verified); err != nil || r.exit != 0 || verified.OK < 5 || verified.Failed > 0 {
		t.Errorf("verify ends with %d: %v\n%s%s", r.exit, err, r.stdout, r.stderr)
	}
}

// What pappus.json says is in a native file too, and so in what is registered of it; its
// faults have the lines of its source.
func TestNativeManifestAndLines(t *testing.T) {
	if _, err := exec.LookPath("aarch64-linux-gnu-gcc"); err != nil {
		t.Skip("needs aarch64-linux-gnu-gcc: apt-get install -y --no-install-recommends gcc-aarch64-linux-gnu")
	}
	dir := filepath.Join(t.TempDir(), "quotient")
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	for name, text := range map[string]string{
		"main.c": `#include <pappus.h>
__attribute__((noinline)) static int divide(int a, int b)
{
	return a / b;
}
static int run(void)
{
	return divide(7, (int)pappus_count(1));
}
PAPPUS_FUNCTION(run)
`,
		"pappus.json": `{"inputs": [{"name": "a", "type": "item"}, "b"], "outputs": ["q"], "limits": {"memory": "5MiB", "timeout": "7s"}}`,
	} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := serve(t, t.TempDir())
	for _, args := range [][]string{{"build", dir, "--engine", "chericap"}, {"push", filepath.Join(dir, "quotient.elf")}} {
		if r := command(t.Context(), t, p.url, args...); r.exit != 0 {
			t.Fatalf("%s: %s", args, r.stderr)
		}
	}
	status, _, body := p.do("GET", "/v1/functions/quotient", "", "")
	for _, want := range []string{`"inputs":[{"name":"a","type":"item"},"b"]`, `"outputs":["q"]`, `"memory":"5MiB"`, `"timeout":"7s"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%d: no %s in %s", status, want, body)
		}
	}
	r := command(t.Context(), t, p.url, "invoke", "quotient", "--in", "a=text:x")
	for _, want := range []string{" at main.c:4:", "_start at main.c:8", "divided an integer by zero"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("no %q in %s", want, r.stderr)
		}
	}
}
