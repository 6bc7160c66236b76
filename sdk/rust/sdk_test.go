package rust_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/wasmengine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "build testdata/exercise.wasm instead of checking it")

// Debian's compiler has the standard library for wasm32; the paths are its own,
// for there may be other compilers without.
const (
	rustc   = "/usr/bin/rustc"
	library = "/usr/lib/rustlib/wasm32-unknown-unknown/lib"
	install = "apt-get install -y --no-install-recommends rustc libstd-rust-dev-wasm32 lld"
)

// compile calls the compiler, or skips the test where it is not.
func compile(t *testing.T, env []string, args ...string) {
	t.Helper()
	for _, file := range []string{rustc, library} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("needs %s: %s", file, install)
		}
	}
	cmd := exec.CommandContext(t.Context(), rustc, append([]string{"--edition=2021", "-O", "-Dwarnings"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	if log, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("rustc: %v\n%s", err, log)
	}
}

// build compiles a function with the commands of README.md.
func build(t *testing.T, source, out string) {
	t.Helper()
	crate := filepath.Join(t.TempDir(), "libpappus.rlib")
	compile(t, nil, "--target=wasm32-unknown-unknown", "--crate-type=rlib", "--crate-name=pappus", `--cfg=feature="std"`, "src/lib.rs", "-o", crate)
	compile(t, nil, "--target=wasm32-unknown-unknown", "--crate-type=cdylib", "-Clto", "-Cpanic=abort", "-Clinker=wasm-ld", "-Cstrip=debuginfo",
		"-Clink-arg=-zstack-size=262144", "--extern=pappus="+crate, source, "-o", out)
}

const exercise = "testdata/exercise.wasm"

// TestRebuild holds the checked-in module to its sources.
func TestRebuild(t *testing.T) {
	built := filepath.Join(t.TempDir(), "exercise.wasm")
	build(t, "testdata/exercise.rs", built)
	code := read(t, built)
	if *update {
		if err := os.WriteFile(exercise, code, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(code, read(t, exercise)) {
		t.Error("exercise.wasm is not what its sources give; run go test ./sdk/rust -update")
	}
}

// TestReadme builds and runs the function that README.md shows.
func TestReadme(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```rust\n(.*?)```").FindSubmatch(read(t, "README.md"))
	if blocks == nil {
		t.Fatal("no Rust in README.md")
	}
	dir := t.TempDir()
	source, out := filepath.Join(dir, "upper.rs"), filepath.Join(dir, "upper.wasm")
	if err := os.WriteFile(source, blocks[1], 0o644); err != nil {
		t.Fatal(err)
	}
	build(t, source, out)
	capitals(t, prepare(t, read(t, out), engine.Limits{}))
}

// capitals fails unless a function makes capitals of the letters of text.
func capitals(t *testing.T, f *function) {
	t.Helper()
	result, err := f.run(data.Set{Name: "text", Items: []*data.Item{
		data.NewItem("a", 7, []byte("to be, or not")), data.NewItem("b", 8, nil),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	want := []data.Set{{Name: "upper", Items: []*data.Item{data.NewItem("a", 7, []byte("TO BE, OR NOT")), data.NewItem("b", 8, nil)}}}
	if !data.Equal(result.Outputs[:1], want) {
		t.Errorf("outputs %v", result.Outputs)
	}
}

// TestWithoutStandardLibrary builds and runs a function without std. Before
// version 1.68 that takes an unstable feature of the compiler.
func TestWithoutStandardLibrary(t *testing.T) {
	dir := t.TempDir()
	crate, out := filepath.Join(dir, "libpappus.rlib"), filepath.Join(dir, "upper.wasm")
	compile(t, nil, "--target=wasm32-unknown-unknown", "--crate-type=rlib", "--crate-name=pappus", "-Cpanic=abort", "src/lib.rs", "-o", crate)
	compile(t, []string{"RUSTC_BOOTSTRAP=1"}, "-Zcrate-attr=feature(default_alloc_error_handler)",
		"--target=wasm32-unknown-unknown", "--crate-type=cdylib", "-Clto", "-Cpanic=abort", "-Clinker=wasm-ld",
		"--extern=pappus="+crate, "testdata/nostd.rs", "-o", out)
	f := prepare(t, read(t, out), engine.Limits{Memory: 8 << 20})
	capitals(t, f)
	for text, want := range map[string]engine.Fault{
		"panic":  {Kind: engine.FaultExit, ExitCode: 101, Stderr: []byte("panicked at 'as told', testdata/nostd.rs:")},
		"memory": {Kind: engine.FaultOutOfMemory, ExitCode: 259},
	} {
		_, err := f.run(data.Set{Name: "text", Items: []*data.Item{data.NewItem(text, 0, nil)}})
		wantFault(t, err, want)
	}
}

// TestWASI makes a function with files and streams, by purify.
func TestWASI(t *testing.T) {
	dir := t.TempDir()
	crate, out := filepath.Join(dir, "libpappus.rlib"), filepath.Join(dir, "wasi.wasm")
	compile(t, nil, "--target=wasm32-wasi", "--crate-type=rlib", "--crate-name=pappus", `--cfg=feature="std"`, "src/lib.rs", "-o", crate)
	compile(t, nil, "--target=wasm32-wasi", "--crate-type=cdylib", "-Clto", "-Cpanic=abort", "-Clinker=wasm-ld", "-Cstrip=debuginfo",
		"--extern=pappus="+crate, "testdata/wasi.rs", "-o", out)
	code, err := purify.Purify(read(t, out), purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := prepare(t, code, engine.Limits{})
	text := data.Set{Name: "text", Items: []*data.Item{data.NewItem("a", 7, []byte("to be")), data.NewItem("b", 8, nil)}}
	result, err := f.run(text)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	want := []data.Set{
		{Name: "upper", Items: []*data.Item{data.NewItem("a", 7, []byte("TO BE")), data.NewItem("b", 8, nil)}},
		{Name: "files", Items: []*data.Item{data.NewItem("a", 0, []byte("to be")), data.NewItem("b", 0, nil)}},
		{Name: "stdio", Items: []*data.Item{data.NewItem("stderr", 0, []byte("done\n")), data.NewItem("stdout", 0, []byte("a has 5 bytes\nb has 0 bytes\n"))}},
	}
	if !data.Equal(result.Outputs, want) {
		t.Errorf("outputs %v", result.Outputs)
	}
	for text, want := range map[string]engine.Fault{
		"panic": {Kind: engine.FaultExit, ExitCode: 101, Stderr: []byte("thread '<unnamed>' panicked at 'as told', testdata/wasi.rs:")},
		"fail":  {Kind: engine.FaultExit, ExitCode: 9, Stderr: []byte("told to fail\n")},
	} {
		_, err := f.run(data.Set{Name: "text", Items: []*data.Item{data.NewItem("a", 0, []byte(text))}})
		wantFault(t, err, want)
	}
}

// TestCargo runs the crate's own tests, on this machine.
func TestCargo(t *testing.T) {
	if _, err := exec.LookPath("cargo"); err != nil {
		t.Skip("needs cargo: apt-get install -y --no-install-recommends cargo")
	}
	cmd := exec.CommandContext(t.Context(), "cargo", "test", "--offline", "--quiet")
	cmd.Env = append(os.Environ(), "CARGO_TARGET_DIR="+t.TempDir())
	if log, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("cargo: %v\n%s", err, log)
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// function is a program that is ready to run.
type function struct {
	t       testing.TB
	program engine.Program
	limits  engine.Limits
}

func prepare(t testing.TB, code []byte, limits engine.Limits) *function {
	t.Helper()
	e, err := wasmengine.New(wasmengine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	insp, err := e.Inspect(code)
	if err != nil {
		t.Fatal(err)
	}
	f := &function{t: t, limits: limits.Or(engine.DefaultLimits())}
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

func wantFault(t *testing.T, err error, want engine.Fault) {
	t.Helper()
	var f *engine.Fault
	if !errors.As(err, &f) || f.Kind != want.Kind || f.ExitCode != want.ExitCode || !bytes.HasPrefix(f.Stderr, want.Stderr) {
		t.Errorf("%v instead of %s with code %d and stderr %q", err, want.Kind, want.ExitCode, want.Stderr)
		if f != nil {
			t.Logf("stderr %q", f.Stderr)
		}
	}
}

// What exercise.rs can do; a, b and c of a step are in brackets.
const (
	stepAlloc   = iota // [slot, size, alignment]
	stepFree           // [slot]
	stepResize         // [slot, size]
	stepPanic          // [number]
	stepFail           // [code]
	stepVector         // [_, size]
	stepReserve        // [_, size]
	stepLog            // [number]
	stepInput          // [set]
	stepPut            // [set]
	stepText           // [item]
)

const slots = 32

type step struct{ What, A, B, C uint32 }

func script(t interface{ Fatal(...any) }, list ...step) data.Set {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, list); err != nil {
		t.Fatal(err)
	}
	return data.Set{Name: "steps", Items: []*data.Item{data.NewItem("steps", 0, b.Bytes())}}
}

// TestHeap does random things to the heap. The function checks that no block's
// bytes change.
func TestHeap(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{})
	rapid.Check(t, func(t *rapid.T) {
		var list []step
		var want []byte
		used := [slots]bool{}
		size := rapid.OneOf(rapid.Uint32Range(1, 100), rapid.Uint32Range(1, 5_000), rapid.Uint32Range(1, 200_000))
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			slot := rapid.Uint32Range(0, slots-1).Draw(t, "slot")
			switch {
			case !used[slot]:
				alignment := uint32(1) << rapid.IntRange(0, 16).Draw(t, "alignment")
				list, want = append(list, step{stepAlloc, slot, size.Draw(t, "size"), alignment}), append(want, 1)
				used[slot] = true
			case rapid.Bool().Draw(t, "resize"):
				list, want = append(list, step{stepResize, slot, size.Draw(t, "size"), 0}), append(want, 2)
			default:
				list, want = append(list, step{What: stepFree, A: slot}), append(want, 1)
				used[slot] = false
			}
		}
		result, err := f.run(script(t, list...))
		if err != nil {
			t.Fatal(err)
		}
		defer result.Release()
		if observed := result.Outputs[0].Items[0].Bytes(); !bytes.Equal(observed, append(want, 1)) {
			t.Fatalf("observed %d", observed)
		}
	})
}

// TestHeapIsUsedAgain takes far more than there is memory, but little at a time,
// and in pieces of which only neighbours together are large enough.
func TestHeapIsUsedAgain(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{Memory: 4 << 20})
	var list []step
	for range 20 {
		for slot := range uint32(10) {
			list = append(list, step{stepAlloc, slot, 200_000, 8})
		}
		for _, slot := range []uint32{1, 3, 0, 2, 9, 4, 6, 5, 8, 7} {
			list = append(list, step{What: stepFree, A: slot})
		}
		list = append(list, step{stepAlloc, 0, 1_900_000, 64}, step{What: stepFree})
	}
	result, err := f.run(script(t, list...))
	if err != nil {
		t.Fatal(err)
	}
	result.Release()
}

// TestGrowsInPlace makes one block longer to most of the memory, for which there
// is no second one.
func TestGrowsInPlace(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{Memory: 8 << 20})
	list := []step{{stepAlloc, 0, 1, 1}}
	for size := uint32(1); size < 6<<20; size += 100_000 {
		list = append(list, step{What: stepResize, A: 0, B: size})
	}
	result, err := f.run(script(t, list...))
	if err != nil {
		t.Fatal(err)
	}
	result.Release()
}

// TestInputsAndOutputs gives names, keys and content, none of which is copied.
func TestInputsAndOutputs(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{})
	texts := []*data.Item{data.NewItem("ä/b", 3, []byte("text")), data.NewItem("", 4_000_000_000, nil), data.NewItem("b", 4_000_000_000, bytes.Repeat([]byte("x"), 100_000))}
	result, err := f.run(data.Set{Name: "steps"}, data.Set{Name: "texts", Items: texts})
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	if want := []data.Set{{Name: "copies", Items: texts}}; !data.Equal(result.Outputs[1:2], want) {
		t.Errorf("outputs %v", result.Outputs)
	}
	if stdio := result.Outputs[2]; len(stdio.Items) != 0 {
		t.Errorf("stdio has %v", stdio.Items)
	}
}

func TestEnds(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{Memory: 4 << 20})
	exit := func(code int32, stderr string) engine.Fault {
		return engine.Fault{Kind: engine.FaultExit, ExitCode: code, Stderr: []byte(stderr)}
	}
	noMemory := engine.Fault{Kind: engine.FaultOutOfMemory, ExitCode: 259}
	for name, c := range map[string]struct {
		steps []step
		want  engine.Fault
	}{
		"panic":                  {[]step{{What: stepPanic, A: 9}}, exit(101, "panicked at 'as told, 9', testdata/exercise.rs:")},
		"panic after lines":      {[]step{{What: stepLog, A: 1}, {What: stepLog, A: 2}, {What: stepPanic}}, exit(101, "line 1\nline 2\npanicked at")},
		"error":                  {[]step{{What: stepFail, A: 7}}, exit(7, "told to fail\n")},
		"error of another crate": {[]step{{stepAlloc, 0, 1, 3}}, exit(1, "invalid parameters to Layout::from_size_align\n")},
		"no such set":            {[]step{{What: stepInput, A: 5}}, exit(101, "panicked at 'there is no input set 5, but 2'")},
		"no such output":         {[]step{{What: stepPut, A: 3}}, exit(101, "panicked at 'there is no output set 3, but 3'")},
		"not text":               {[]step{{What: stepText}}, exit(1, "item \"bad\" is not UTF-8: invalid utf-8")},
		"memory":                 {[]step{{What: stepVector, B: 5 << 20}}, noMemory},
		"more than there is":     {[]step{{What: stepVector, B: 1<<31 - 1}}, noMemory},
		"reserved in vain":       {[]step{{What: stepReserve, B: 1<<31 - 1}, {What: stepFail, A: 2}}, exit(2, "told to fail\n")},
		"panic after that":       {[]step{{What: stepReserve, B: 5 << 20}, {What: stepReserve, B: 9}, {What: stepPanic}}, exit(101, "panicked")},
		"lines after that":       {[]step{{What: stepReserve, B: 5 << 20}, {What: stepLog}, {What: stepFail, A: 3}}, exit(3, "line 0\n")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.run(script(t, c.steps...), data.Set{Name: "texts", Items: []*data.Item{data.NewItem("bad", 0, []byte("\xff"))}})
			wantFault(t, err, c.want)
		})
	}
}

// TestReserve sees reservations that fail.
func TestReserve(t *testing.T) {
	f := prepare(t, read(t, exercise), engine.Limits{Memory: 4 << 20})
	result, err := f.run(script(t, step{What: stepReserve, B: 5 << 20}, step{What: stepReserve, B: 1 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	if observed := result.Outputs[0].Items[0].Bytes(); !bytes.Equal(observed, []byte{0, 1, 1}) {
		t.Errorf("observed %d", observed)
	}
}
