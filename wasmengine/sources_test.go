package wasmengine

import (
	"bytes"
	"context"
	encoding "encoding/binary"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/engine/lines"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/codecache"
)

// lined is lines.c of testdata/lines with lines in a version of DWARF.
func lined(t testing.TB, version string) []byte {
	t.Helper()
	code, err := os.ReadFile("testdata/lines/" + version + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// faultOf runs a module on a text and gives how it fails.
func faultOf(t testing.TB, e *Engine, code []byte, text string, lim engine.Limits) *engine.Fault {
	t.Helper()
	p, err := e.Prepare(t.Context(), code, engine.Signature{Inputs: []engine.Param{{Name: "text", Type: "set"}}, Outputs: []engine.Param{{Name: "upper", Type: "set"}}}, lim)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	r, err := p.Run(t.Context(), []data.Set{{Name: "text", Items: []*data.Item{data.NewItem("a", 0, []byte(text))}}}, lim)
	var f *engine.Fault
	if !errors.As(err, &f) {
		r.Release()
		t.Fatalf("it does not fail: %v", err)
	}
	return f
}

var withLines = []string{"deepest(i32) i32 at lines.c:16:3", "middle(i32,i32) i32 at lines.c:30:4", "_start() at lines.c:39:17"}

// A trap tells where in the source code it is, however the module is run.
func TestLines(t *testing.T) {
	cache, err := codecache.Open(t.TempDir(), codecache.Options{Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	none := DefaultClass()
	none.Code = 1
	for name, config := range map[string]Config{
		"compiled": {}, "interpreted": {Interpreter: true}, "no image": {NoImages: true}, "in a child": {Class: none},
		"kept": {Cache: cache}, "kept before": {Cache: cache},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, config)
			for _, version := range []string{"v4", "v5"} {
				f := faultOf(t, e, lined(t, version), "aaaaabb", enginetest.Limits())
				if f.Kind != engine.FaultTrap || !slices.Equal(f.Stack, withLines) {
					t.Errorf("%s: %v with stack %q", version, f, f.Stack)
				}
			}
		})
	}
}

// A function that runs out of something tells where it was.
func TestLinesOfEndlessCalls(t *testing.T) {
	e := newEngine(t, Config{})
	lim := enginetest.Limits()
	lim.Fuel = 10_000
	f := faultOf(t, e, lined(t, "v5"), strings.Repeat("a", 10_000), lim)
	if f.Kind != engine.FaultOutOfFuel || len(f.Stack) != 2 || !strings.HasPrefix(f.Stack[0], "middle(i32,i32) i32 at lines.c:") {
		t.Errorf("%v with stack %q", f, f.Stack)
	}
}

// customized is a module whose custom sections are changed, or left out where nil is
// what comes of them.
func customized(t testing.TB, code []byte, change func(name string, content []byte) []byte) []byte {
	t.Helper()
	out := slices.Clone(code[:8])
	for s := range sections(code) {
		content := s.content
		if name, payload, ok := customSection(s); ok {
			changed := change(name, payload)
			if changed == nil {
				continue
			}
			content = append(binary.AppendName(nil, name), changed...)
		}
		out = append(binary.AppendU32(append(out, s.id), uint32(len(content))), content...)
	}
	return out
}

// Lines change nothing but the trace: what the function uses stays the same. And
// whatever is in the tables, the fault stays what it is.
func TestLinesChangeNothing(t *testing.T) {
	sharesNothing(t)
	e := newEngine(t, Config{})
	stripped := customized(t, lined(t, "v5"), func(name string, content []byte) []byte {
		if strings.HasPrefix(name, ".debug") {
			return nil
		}
		return content
	})
	want := faultOf(t, e, stripped, "aaaaabb", enginetest.Limits())
	names := make([]string, len(withLines))
	for i, call := range withLines {
		names[i], _, _ = strings.Cut(call, " at ")
	}
	if !slices.Equal(want.Stack, names) {
		t.Fatalf("without lines: %q", want.Stack)
	}
	rapid.Check(t, func(rt *rapid.T) {
		version := rapid.SampledFrom([]string{"v4", "v5"}).Draw(rt, "version")
		damaged := customized(t, lined(t, version), func(name string, content []byte) []byte {
			if !strings.HasPrefix(name, ".debug") {
				return content
			}
			content = bytes.Clone(content)
			for range rapid.IntRange(0, 8).Draw(rt, "changes") {
				if len(content) > 0 {
					content[rapid.IntRange(0, len(content)-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "byte")
				}
			}
			return content[:rapid.IntRange(len(content)/2, len(content)).Draw(rt, "length")]
		})
		got := faultOf(t, e, damaged, "aaaaabb", enginetest.Limits())
		if got.Kind != want.Kind || got.Usage.Fuel != want.Usage.Fuel || got.Usage.MemoryPages != want.Usage.MemoryPages || len(got.Stack) != len(names) {
			rt.Errorf("%v with %+v and %q, want %v with %+v", got, got.Usage, got.Stack, want, want.Usage)
		}
		for i, call := range got.Stack {
			if !strings.HasPrefix(call, names[i]) || strings.ContainsFunc(call, func(r rune) bool { return r < ' ' }) {
				rt.Errorf("call %q", call)
			}
		}
	})
}

// Names can look like what wazero writes of positions: then there are other calls
// and lines than there are, of the same function.
func TestPositionsAreNotBelieved(t *testing.T) {
	s := &sources{bodies: []body{{start: 10, end: 20, from: 100}}, made: lines.NewReaders().Once()}
	if err := s.made.Do(t.Context(), func() {}); err != nil { // there is no module to read
		t.Fatal(err)
	}
	err := errors.New("wasm error: unreachable\nwasm stack trace:\n\t\t0x1: p:1\n\t.f()\n\t\t0xb: p:1\n\t\t0xffffffff: p:1\n\t.g()\n\t\t0xffffffffffffffff: p:1")
	frames := stackOf(err)
	if want := []frame{{"f()", 11}, {"g()", 0}, {"0xffffffffffffffff: p:1", 0}}; !slices.Equal(frames, want) {
		t.Errorf("frames %+v", frames)
	}
	if got, err := s.show(t.Context(), frames); err != nil || len(got) != len(frames) || got[0] != "f()" {
		t.Errorf("%q", got)
	}
	for _, offset := range []uint32{0, 9, 11, 20, 1<<32 - 1} {
		if p, ok := s.at(offset); ok {
			t.Errorf("%d is at %+v", offset, p)
		}
	}
}

var rebuild = flag.Bool("rebuild", false, "build the modules of testdata/lines instead of checking them")

// TestRebuildLines holds the modules to their source, where the compiler is.
func TestRebuildLines(t *testing.T) {
	for _, tool := range []string{"clang-14", "wasm-ld-14"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: apt-get install -y --no-install-recommends clang lld", tool)
		}
	}
	folder, err := filepath.Abs("testdata/lines")
	if err != nil {
		t.Fatal(err)
	}
	run := func(tool string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = folder
		if log, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", tool, err, log)
		}
	}
	out := t.TempDir()
	sdk := "../../../sdk/c"
	runtime, err := filepath.Glob(filepath.Join(folder, sdk, "src/*.c"))
	if err != nil || len(runtime) == 0 {
		t.Fatalf("%d files of the runtime, %v", len(runtime), err)
	}
	var objects []string
	for _, source := range runtime {
		objects = append(objects, filepath.Join(out, filepath.Base(source)+".o"))
		run("clang-14", "--target=wasm32", "-O2", "-I"+sdk+"/include", "-c", source, "-o", objects[len(objects)-1])
	}
	for _, version := range []string{"4", "5"} {
		object, module := filepath.Join(out, "lines.o"), filepath.Join(out, "lines.wasm")
		run("clang-14", "--target=wasm32", "-O2", "-gdwarf-"+version, "-gline-tables-only", "-ffile-prefix-map="+folder+"=.", "-fdebug-compilation-dir=.",
			"-I"+sdk+"/include", "-ffunction-sections", "-c", "lines.c", "-o", object)
		run("wasm-ld-14", append([]string{"--gc-sections", "--stack-first", "-z", "stack-size=32768", object, "-o", module}, objects...)...)
		built, err := os.ReadFile(module)
		if *rebuild && err == nil {
			err = os.WriteFile(filepath.Join(folder, "v"+version+".wasm"), built, 0o644)
		}
		if err != nil || !bytes.Equal(built, lined(t, "v"+version)) {
			t.Errorf("v%s.wasm is not what its source gives (%v): go test ./wasmengine -run TestRebuildLines -rebuild", version, err)
		}
	}
}

// A program is charged for what its lines can take, and keeps no more than that.
func TestLinesAreCharged(t *testing.T) {
	e := newEngine(t, Config{})
	code := lined(t, "v5")
	s := e.sourcesOf(code)
	if least := int64(len(code)) + lines.Cost(s.lines); s.lines == 0 || s.size() <= least {
		t.Errorf("%d bytes are charged for %d of lines, and they take %d and more", s.size(), s.lines, least)
	}
	if err := s.read(t.Context()); err != nil || len(s.bodies) == 0 || s.table == nil {
		t.Fatal("there are no lines")
	}
	// Many small functions, whose origins take more than is charged.
	bodies := make([]byte, 0, 1<<16)
	const functions = 1 << 12
	for range functions {
		bodies = append(bodies, 2, 0, 0x0b)
	}
	section := func(id byte, content []byte) []byte {
		return append(encoding.AppendUvarint([]byte{id}, uint64(len(content))), content...)
	}
	count := encoding.AppendUvarint(nil, functions+1)
	start := []byte{2, 0, 0x0b}
	small := slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, []byte{1, 0x60, 0, 0}),
		section(3, append(bytes.Clone(count), make([]byte, functions+1)...)),
		section(5, []byte{1, 1, 1, 1}),
		section(6, []byte{1, 0x7f, 0, 0x41, 0x80, 8, 0x0b}),
		section(7, []byte("\x03\x06memory\x02\x00\x06_start\x00\x00\x17__dandelion_system_data\x03\x00")),
		section(10, slices.Concat(count, bodies, start)),
		section(0, append([]byte{11}, ".debug_line\x00\x00\x00\x00"...)),
	)
	if s = e.sourcesOf(small); s == nil {
		t.Fatal("no table is found")
	}
	if _, err := e.examine(small); err != nil {
		t.Fatal(err)
	}
	if err := s.read(t.Context()); err != nil || len(s.bodies) != 0 || s.table != nil {
		t.Errorf("%d bodies are kept, and %d bytes are charged", len(s.bodies), s.size())
	}
}

// A leaving caller goes away as soon as something waits for it.
type leaving struct {
	context.Context
	leave context.CancelFunc
}

func (l leaving) Done() <-chan struct{} {
	l.leave()
	return l.Context.Done()
}

// A call that has failed waits for nobody's lines longer than its caller does. The next
// one has its lines.
func TestLinesAreNotWaitedForInVain(t *testing.T) {
	e := newEngine(t, Config{})
	var group sync.WaitGroup
	reading, let := make(chan struct{}), make(chan struct{})
	for range lines.MaxReaders {
		group.Go(func() {
			if err := e.readers.Once().Do(t.Context(), func() { reading <- struct{}{}; <-let }); err != nil {
				t.Error(err)
			}
		})
		<-reading
	}
	lim := enginetest.Limits()
	p, err := e.Prepare(t.Context(), lined(t, "v5"), engine.Signature{Inputs: []engine.Param{{Name: "text"}}, Outputs: []engine.Param{{Name: "upper"}}}, lim)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	call := func(ctx context.Context) (f *engine.Fault) {
		t.Helper()
		if _, err := p.Run(ctx, []data.Set{{Name: "text", Items: []*data.Item{data.NewItem("a", 0, []byte("aaaaabb"))}}}, lim); !errors.As(err, &f) {
			t.Fatalf("it does not fail: %v", err)
		}
		return f
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	if f := call(leaving{ctx, leave}); f.Kind != engine.FaultCanceled || !errors.Is(f, context.Canceled) || f.Usage.Fuel == 0 {
		t.Errorf("%v with %+v", f, f.Usage)
	}
	close(let)
	group.Wait()
	if f := call(t.Context()); f.Kind != engine.FaultTrap || !slices.Equal(f.Stack, withLines) {
		t.Errorf("%v with stack %q", f, f.Stack)
	}
}
