package purify_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/wasmengine"
	"pappus/wasmengine/binary"
)

// command runs a tool of the build.
func command(t testing.TB, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	if log, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, log)
	}
}

var wasip1 = []string{"GOOS=wasip1", "GOARCH=wasm", "GOWORK=off"}

// goProgram builds a program of testdata/programs for wasip1.
func goProgram(t testing.TB, name string, flags ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program.wasm")
	command(t, wasip1, "go", append(append([]string{"build", "-trimpath", "-o", out}, flags...), "./testdata/programs/"+name)...)
	return read(t, out)
}

// What the programs are given, and what is there in the end.
type world struct {
	args, stdin, greeting string
	files                 map[string]string // below input
}

var worlds = []world{
	{args: "one 'two words'", stdin: "to be\nor not", greeting: "hello there", files: map[string]string{"a.txt": "first\nsecond", "sub/b.txt": "deep\n", "empty": "", "sub/deeper/c": "x"}},
	{args: "fail", greeting: "bye", files: map[string]string{"a.txt": strings.Repeat("long line ", 5000)}},
}

// native runs a program on this machine; it leaves what it writes below output.
func (w world) native(t *testing.T, program string) (out outputs, exit int32) {
	t.Helper()
	root := t.TempDir()
	for name, text := range w.files {
		path := filepath.Join(root, "input", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "output"), 0o777), os.MkdirAll(filepath.Join(root, "input"), 0o777)); err != nil {
		t.Fatal(err)
	}
	args := []string{root}
	for _, a := range strings.Split(w.args, " '") {
		args = append(args, strings.Trim(a, "'"))
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = []string{"GREETING=" + w.greeting}
	cmd.Stdin = strings.NewReader(w.stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	out = outputs{}
	err = filepath.WalkDir(filepath.Join(root, "output"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out["output"+strings.TrimPrefix(path, filepath.Join(root, "output"))] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*bytes.Buffer{"stdio/stdout": &stdout, "stdio/stderr": &stderr} {
		if b.Len() > 0 {
			out[name] = b.String()
		}
	}
	return out, int32(cmd.ProcessState.ExitCode())
}

func (w world) sets() []data.Set {
	in := data.Set{Name: "input"}
	for name, text := range w.files {
		in.Items = append(in.Items, data.NewItem(name, 0, []byte(text)))
	}
	return []data.Set{set("stdio", "argv", "program / "+w.args, "environ", "'GREETING="+w.greeting+"'", "stdin", w.stdin), in}
}

// compare runs a program natively and as a pure function: they must print the
// same and leave the same. A function that fails leaves nothing but what it said
// on stderr.
func compare(t *testing.T, native string, pure *function) {
	for _, w := range worlds {
		want, exit := w.native(t, native)
		got, err := pure.run(w.sets()...)
		var fault *engine.Fault
		switch {
		case exit != 0:
			if !asFault(err, &fault) || fault.ExitCode != exit || string(fault.Stderr) != want["stdio/stderr"] {
				t.Errorf("%s: %+v; natively it exits with %d and says %q", w.args, err, exit, want["stdio/stderr"])
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", w.args, err)
			continue
		}
		if !maps.Equal(got, want) {
			for _, name := range []string{"stdio/stdout", "stdio/stderr"} {
				a, b := strings.Split(got[name], "\n"), strings.Split(want[name], "\n")
				for i := range min(len(a), len(b)) {
					if a[i] != b[i] {
						t.Errorf("%s, line %d: %q, natively %q", name, i+1, a[i], b[i])
					}
				}
			}
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s: %d bytes, natively %d", name, len(got[name]), len(want[name]))
				}
			}
			t.Errorf("%s: %d outputs, natively %d", w.args, len(got), len(want))
		}
		again, err := pure.run(w.sets()...)
		if err != nil || !maps.Equal(again, got) {
			t.Errorf("%s: a second run differs: %v", w.args, err)
		}
	}
}

func TestGoProgram(t *testing.T) {
	code, err := purify.Purify(goProgram(t, "gofiles"), purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	native := filepath.Join(t.TempDir(), "native")
	command(t, nil, "go", "build", "-o", native, "./testdata/programs/gofiles")
	compare(t, native, prepare(t, code, wasmengine.Config{}))
}

// A library in Go is initialised once, and called from there.
func TestGoLibrary(t *testing.T) {
	code, err := purify.Purify(goProgram(t, "golibrary", "-buildmode=c-shared"), purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fuel := map[string]int64{}
	for name, config := range map[string]wasmengine.Config{"image": {}, "no image": {NoImages: true}} {
		f := prepare(t, code, config)
		for range 3 {
			out, err := f.run(set("input", "text", "to be, or not to be"))
			want := outputs{"stdio/stdout": "initialised 19999\ncall 1 6\n", "output/words": "to\nbe,\nor\nnot\nto\nbe"}
			if err != nil || !maps.Equal(out, want) {
				t.Fatalf("%s: %q %v", name, out, err)
			}
		}
		result, err := f.program.Run(t.Context(), nil, f.limits)
		var fault *engine.Fault
		if err == nil {
			result.Release()
		}
		if !asFault(err, &fault) || fault.ExitCode != 4 || !strings.Contains(string(fault.Stderr), "input/text") {
			t.Errorf("%s: without inputs %+v", name, err)
			continue
		}
		fuel[name] = fault.Usage.Fuel
	}
	if fuel["image"] != fuel["no image"] {
		t.Errorf("fuel %v", fuel)
	}
}

// Go has a network within the program, and what linking it imports is there: a
// program reaches itself and nothing else.
func TestGoNetwork(t *testing.T) {
	program := goProgram(t, "gonet", "-ldflags=-s")
	if m := decode(t, program); !slices.ContainsFunc(m.Imports, func(im binary.Import) bool { return im.Name == "sock_accept" }) {
		t.Error("it does not import sock_accept")
	}
	code, err := purify.Purify(program, purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := prepare(t, code, wasmengine.Config{Interpreter: true})
	for range 2 {
		out, err := f.run()
		if err != nil {
			t.Fatal(err)
		}
		const want = "said: <nil> <nil>\nto itself: hello <nil> <nil> <nil>\n" +
			"to others: dial tcp 192.0.2.1:80: address 192.0.2.1:80: connect: Connection refused\nnames: true\nthe system's: Not implemented on wasip1\n"
		if out["stdio/stdout"] != want {
			t.Errorf("%s", out["stdio/stdout"])
		}
	}
}

// needsC skips a test where programs in C can't be built.
func needsC(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"clang-14", "wasm-ld-14", "cc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: apt-get install -y --no-install-recommends clang lld gcc libc6-dev", tool)
		}
	}
	if _, err := os.Stat("/usr/lib/wasm32-wasi/libc.a"); err != nil {
		t.Skip("needs wasi-libc: apt-get install -y --no-install-recommends wasi-libc libclang-rt-14-dev-wasm32")
	}
}

const cSource = "testdata/programs/cfiles/main.c"

// nativeC builds the program in C for this machine.
func nativeC(t *testing.T) string {
	t.Helper()
	native := filepath.Join(t.TempDir(), "native")
	command(t, nil, "cc", "-O1", "-w", cSource, "-o", native)
	return native
}

func TestCProgram(t *testing.T) {
	needsC(t)
	out := filepath.Join(t.TempDir(), "program.wasm")
	command(t, nil, "clang-14", "--target=wasm32-wasi", "-O1", "-w", cSource, "-o", out)
	code, err := purify.Purify(read(t, out), purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, nativeC(t), prepare(t, code, wasmengine.Config{}))
}

// The same program with the libc layer linked in, which takes no purifying.
func TestLinkedCProgram(t *testing.T) {
	needsC(t)
	dir := t.TempDir()
	objects := []string{"--target=wasm32-wasi", "-nostartfiles", "-o", filepath.Join(dir, "program.wasm")}
	manifest := filepath.Join(dir, "manifest.c")
	if err := os.WriteFile(manifest, []byte(`#include <pappus.h>
PAPPUS_MANIFEST({"inputs": ["stdio", "input"], "outputs": ["stdio", "output"], "layout": "grow"});
`), 0o666); err != nil {
		t.Fatal(err)
	}
	layer, err := filepath.Glob("../c/libc/*.c")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range append(layer, cSource, manifest, "../c/src/alloc.c", "../c/src/runtime.c", "../c/src/system_wasm.c") {
		object := filepath.Join(dir, filepath.Base(source)+".o")
		warnings := []string{"-Wall", "-Wextra", "-Werror"}
		if source == cSource {
			warnings = []string{"-w"}
		}
		command(t, nil, "clang-14", append(warnings, "--target=wasm32-wasi", "-O2", "-I../c/include", "-I../c/libc", "-c", source, "-o", object)...)
		objects = append(objects, object)
	}
	command(t, nil, "clang-14", objects...)
	code := read(t, filepath.Join(dir, "program.wasm"))
	if m := decode(t, code); len(m.Imports) != 0 {
		t.Fatalf("imports %v", m.Imports)
	}
	compare(t, nativeC(t), prepare(t, code, wasmengine.Config{}))
}
