package samples_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pappus/cases"
	"pappus/data"
	"pappus/engine"
	"pappus/samples"
	"pappus/sdk/purify"
	"pappus/sdk/toolchain"
	"pappus/wasmengine"
)

// inOtherLanguages are the samples that there are in languages besides C, with
// the folder of their cases.
func inOtherLanguages() []string { return []string{"matmul", "sumoccurrence"} }

// passesCases fails unless code does what the sample's cases say. What it returns
// is ready for more.
func passesCases(t *testing.T, e engine.Engine, sample string, code []byte) *prepared {
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
	return p
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
			passesCases(t, e, sample, purified(t, readFile(t, out), dir))
		})
	}
}

// TestJavaScript builds the sample in JavaScript, and runs it on its cases, in the
// engine and natively.
func TestJavaScript(t *testing.T) {
	t.Run("engine", func(t *testing.T) {
		t.Setenv(workerEnv, "1")
		// It is large, and a machine that has other work takes long for it.
		config := wasmengine.Config{Compiler: []string{"/proc/self/exe"}}
		passesCases(t, newEngine(t, config), "orders", buildSample(t, "javascript/orders"))
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

// buildSample builds a sample in another language, as pappus build does.
func buildSample(t *testing.T, dir string) []byte {
	t.Helper()
	project, err := toolchain.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	built, err := (&toolchain.Builder{Cache: t.TempDir()}).Build(t.Context(), project, toolchain.Options{Strip: true})
	var missing *toolchain.MissingError
	switch {
	case errors.As(err, &missing):
		t.Skipf("%v; %s", err, missing.Install())
	case err != nil:
		t.Fatal(err)
	}
	return built.Module
}

// purified is the function that a program for WASI becomes, with the manifest of
// its sample.
func purified(t *testing.T, program []byte, dir string) []byte {
	t.Helper()
	code, err := purify.Purify(program, purify.Options{Manifest: readFile(t, filepath.Join(dir, "pappus.json"))})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// refuses fails unless a function ends with that exit code, and says so on stderr.
func (p *prepared) refuses(t *testing.T, code int32, why string, sets ...data.Set) {
	t.Helper()
	if got := p.call(t, sets...); got.code != code || got.why != why {
		t.Errorf("exit code %d %q instead of %d %q", got.code, got.why, code, why)
	}
}

// named is a set of one item.
func named(set, name, content string) data.Set {
	return data.Set{Name: set, Items: []*data.Item{data.NewItem(name, 0, []byte(content))}}
}

// TestCPlusPlus builds search, and compares what it finds with what the same in Go
// does.
func TestCPlusPlus(t *testing.T) {
	t.Setenv(workerEnv, "1")
	code := buildSample(t, "cpp/search")
	e := newEngine(t, wasmengine.Config{Compiler: []string{"/proc/self/exe"}})
	p := passesCases(t, e, "search", code)
	p.refuses(t, 1, "search: the query: a quote does not end\n", set("query", []byte("tea \"")))
	p.refuses(t, 1, "search: the query: there is nothing to look for\n", set("query", []byte(" - -tea")))
	r := rand.New(rand.NewPCG(3, 5))
	words := func(most int) (list []string) {
		for range 1 + r.IntN(most) {
			list = append(list, []string{"a", "b", "c", "d", "ä"}[min(r.IntN(9), 4)])
		}
		return list
	}
	for range 300 {
		texts, in := []document{}, data.Set{Name: "texts"}
		for i := range r.IntN(5) {
			text := document{name: strconv.Itoa(i)}
			for _, word := range words(12) {
				text.content += word + []string{" ", "\n", ", ", "\r\n", ""}[r.IntN(5)]
			}
			texts = append(texts, text)
			in.Items = append(in.Items, data.NewItem(text.name, 0, []byte(text.content)))
		}
		query := ""
		var asked [2][][]string // with, without
		for i := range 1 + r.IntN(3) {
			without := min(i, r.IntN(2))
			phrase := words(3)
			asked[without] = append(asked[without], phrase)
			query += []string{"", "-"}[without] + "\"" + strings.Join(phrase, " ") + "\" "
		}
		got := p.call(t, in, set("query", []byte(query)))
		if want := found(texts, asked[0], asked[1]); got.code != 0 || string(got.items[0]) != want {
			t.Fatalf("%q in %q: exit code %d %q, found %q instead of %q", query, texts, got.code, got.why, got.items, want)
		}
	}
}

// TestAssemblyScript builds suggest, and compares what it suggests with what the
// same in Go does.
func TestAssemblyScript(t *testing.T) {
	compiler, err := filepath.Abs("../.cache/assemblyscript/node_modules/.bin/asc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(compiler); err != nil {
		t.Skip("needs the compiler: make assemblyscript")
	}
	const dir = "assemblyscript/suggest"
	out := filepath.Join(t.TempDir(), "out.wasm")
	build := exec.CommandContext(t.Context(), compiler, "main.ts", "--config", "sdk/asconfig.json", "-o", out)
	build.Dir = dir
	if log, err := build.CombinedOutput(); err != nil {
		t.Fatalf("asc: %v\n%s", err, log)
	}
	code := purified(t, readFile(t, out), dir)
	t.Setenv(workerEnv, "1")
	e := newEngine(t, wasmengine.Config{Compiler: []string{"/proc/self/exe"}})
	p := passesCases(t, e, "suggest", code)
	p.refuses(t, 1, "suggest: there are no words to choose from\n", named("typed", "t", "a"))
	p.refuses(t, 1, "suggest: w, line 2: longer than 100 letters\n", named("words", "w", "a\n"+strings.Repeat("b", 101)))
	r := rand.New(rand.NewPCG(7, 2))
	words := func(n int) (list []string) {
		for range n {
			word := ""
			for range 1 + r.IntN(7) {
				word += []string{"a", "b", "c", "😀"}[r.IntN(4)]
			}
			list = append(list, word)
		}
		return list
	}
	for range 30 {
		list, typed, want := words(40), words(10), ""
		for _, word := range typed {
			want += suggested(word, list)
		}
		got := p.call(t, named("words", "w", strings.Join(list, "\n")), named("typed", "t", strings.Join(typed, "\n")))
		if got.code != 0 || string(got.items[0]) != want {
			t.Fatalf("%q of %q: exit code %d %q, %q instead of %q", typed, list, got.code, got.why, got.items, want)
		}
	}
}

// TestLua builds accesslog. Whatever is in a log, each of its lines comes out, and
// what comes out as a record is JSON.
func TestLua(t *testing.T) {
	t.Setenv(workerEnv, "1")
	code := buildSample(t, "lua/accesslog")
	e := newEngine(t, wasmengine.Config{Compiler: []string{"/proc/self/exe"}})
	p := passesCases(t, e, "accesslog", code)
	r := rand.New(rand.NewPCG(1, 8))
	for range 100 {
		const good = `h - u [25/Nov/2026:09:30:00 +0100] "GET /%C3%A4?q HTTP/1.1" 200 1 "r" "a"`
		lines := []string{good}
		for range r.IntN(5) {
			line := []byte(good)
			for range 1 + r.IntN(4) {
				line[r.IntN(len(line))] = "\"\\%[] \x00\x7F\x80\xE4\xED\xA0\xF4z9"[r.IntN(15)]
			}
			lines = append(lines, string(line))
		}
		got, err := p.program.Run(t.Context(), []data.Set{named("logs", "l", strings.Join(lines, "\n"))}, p.limits)
		if err != nil {
			t.Fatalf("%q: %v", lines, err)
		}
		records, rejected := string(got.Outputs[0].Items[0].Bytes()), string(got.Outputs[1].Items[0].Bytes())
		if n := strings.Count(records, "\n") + strings.Count(rejected, "\n"); n != len(lines) {
			t.Errorf("%q: %d lines", lines, n)
		}
		for record := range strings.Lines(records) {
			if !utf8.ValidString(record) || !json.Valid([]byte(record)) {
				t.Errorf("%q: %q is not JSON", lines, record)
			}
		}
		got.Release()
	}
}

// TestStarlark builds deploy, and reads what it says of mistakes.
func TestStarlark(t *testing.T) {
	code := buildSample(t, "starlark/deploy")
	// Compiling all of it would take longer.
	e := newEngine(t, wasmengine.Config{Interpreter: true})
	p := passesCases(t, e, "deploy", code)
	for environment, want := range map[string]string{
		`{"memory": 200}`: "3\nlive: a and b have the port 1\nlive: b needs c, which does not run there\nlive: all together take 256 MiB of 200\n",
		`{"memory": 0, "services": {"b": {"port": 2, "needs": ["a"]}, "a": {"port": 3, "needs": ["b"], "memory": "1", "env": {"A": 1}}}}`: "2\nlive: a: memory is string, not int\nlive: a: env has what is no string\n",
		`{"services": [], "x": 1}`: "3\nlive: services is list, not dict\nlive: x is no field of an environment\nlive: memory is missing\n",
		`{"memory": 256, "services": {"b": {"port": 2, "needs": ["a"]}, "a": {"needs": ["b"]}}}`: "1\nlive: a, b need each other\n",
		"[]": "1\nlive.json is not a JSON object\n",
	} {
		services := data.Set{Name: "services", Items: []*data.Item{
			data.NewItem("a.json", 0, []byte(`{"image": "i", "port": 1}`)), data.NewItem("b", 0, []byte(`{"image": "i", "port": 1, "needs": ["c"]}`)),
		}}
		got := p.call(t, services, named("environments", "live.json", environment))
		if _, says, _ := strings.Cut(got.why, "mistakes: "); got.code != 1 || says != want {
			t.Errorf("%s: exit code %d %q instead of %q", environment, got.code, got.why, want)
		}
	}
}

// TestZig makes a function of the program in Zig.
func TestZig(t *testing.T) {
	const dir = "zig/checksums"
	e := newEngine(t, wasmengine.Config{})
	code := purified(t, readFile(t, filepath.Join(dir, "checksums.wasm")), dir)
	p := passesCases(t, e, "checksums", code)
	files := named("files", "a", "x")
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("y")))
	p.refuses(t, 1, "a: has another checksum\nb: is missing\n", files, named("expected", "l", sum+"  a\n"+sum+"  b\n"))
	p.refuses(t, 2, "checksums: l, line 2: no checksum and name\n", files, named("expected", "l", "\n"+sum[1:]+"g  a\n"))
}

// TestRebuildZig makes that program from its source, byte for byte.
func TestRebuildZig(t *testing.T) {
	if _, err := os.Stat("../.cache/zig/ziglang/zig"); err != nil {
		t.Skip("needs the compiler: pip install --target .cache/zig ziglang==0.13.0")
	}
	out := t.TempDir()
	rebuild := exec.CommandContext(t.Context(), "make", "-C", "zig", "OUT="+out, "BUILD="+filepath.Join(out, "cache"))
	if log, err := rebuild.CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, log)
	}
	if !bytes.Equal(readFile(t, filepath.Join(out, "checksums/checksums.wasm")), readFile(t, "zig/checksums/checksums.wasm")) {
		t.Error("zig/checksums/checksums.wasm is not what its source gives; run make -C samples/zig")
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
