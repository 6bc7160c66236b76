package purify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/wasmengine"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// TestRebuild holds the checked-in modules to their sources.
func TestRebuild(t *testing.T) {
	for _, tool := range []string{"make", "clang-14", "wasm-ld-14"} {
		if _, err := exec.LookPath(tool); errors.Is(err, exec.ErrNotFound) {
			t.Skipf("needs %s: apt-get install -y --no-install-recommends make clang lld", tool)
		}
	}
	out := t.TempDir()
	adapter := filepath.Join(out, "adapter.wasm")
	command(t, nil, "make", "-C", "adapter", "OUT="+adapter, "BUILD="+filepath.Join(out, "objects"))
	command(t, nil, "make", "-C", "testdata", "OUT="+out)
	for built, file := range map[string]string{adapter: "adapter/adapter.wasm", filepath.Join(out, "calls.wasm"): "testdata/calls.wasm", filepath.Join(out, "reactor.wasm"): "testdata/reactor.wasm", filepath.Join(out, "upper.wasm"): "testdata/upper.wasm"} {
		if !bytes.Equal(read(t, built), read(t, file)) {
			t.Errorf("%s is not what its sources give; run make -C sdk/purify/%s", file, filepath.Dir(file))
		}
	}
}

// program is a module with an entry and a memory, to be changed.
func program() *binarytest.Builder {
	b := binarytest.New()
	b.Pages(1, 0)
	b.Memory.HasMax = false
	return b
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(b *binarytest.Builder)
		options purify.Options
		reason  string
		hint    string
	}{
		{"an unknown function", func(b *binarytest.Builder) { b.ImportFunc("env", "system", b.Type(nil, nil)) }, purify.Options{}, "the module imports env.system", "did not find system"},
		{"an unknown function in Go", func(b *binarytest.Builder) {
			b.ImportFunc("env", "now", b.Type(nil, nil))
			b.Customs = append(b.Customs, binary.Custom{Name: "go:buildid", Payload: []byte("x")})
		}, purify.Options{}, "the module imports env.now", "leave out the //go:wasmimport"},
		{"AssemblyScript's own", func(b *binarytest.Builder) { b.ImportFunc("env", "abort", b.Type(nil, nil)) }, purify.Options{}, "env.abort", "--use abort="},
		{"Emscripten's own", func(b *binarytest.Builder) { b.ImportFunc("env", "__syscall_open", b.Type(nil, nil)) }, purify.Options{}, "env.__syscall_open", "STANDALONE_WASM"},
		{"an older WASI", func(b *binarytest.Builder) { b.ImportFunc("wasi_unstable", "fd_write", b.Type(nil, nil)) }, purify.Options{}, "wasi_unstable.fd_write", "toolchain"},
		{"a component's WASI", func(b *binarytest.Builder) { b.ImportFunc("wasi:cli/environment@0.2.0", "get", b.Type(nil, nil)) }, purify.Options{}, "wasi:cli", "wasip1"},
		{"threads", func(b *binarytest.Builder) { b.ImportFunc("wasi", "thread-spawn", b.Type(nil, nil)) }, purify.Options{}, "wasi.thread-spawn", "without threads"},
		{"what only the adapter's own code may call", func(b *binarytest.Builder) { b.ImportFunc("pappus", "begin", b.Type(nil, nil)) }, purify.Options{}, "imports pappus.begin", "wasi_snapshot_preview1 and dandelion only"},
		{"a memory's size as a function", func(b *binarytest.Builder) {
			b.ImportFunc("memory", "size", b.Type(nil, binarytest.Types(binary.I32)))
		}, purify.Options{}, "imports memory.size", "only"},
		{"another split of a name", func(b *binarytest.Builder) {
			b.ImportFunc("", "wasi_snapshot_preview1.sched_yield", b.Type(nil, binarytest.Types(binary.I32)))
		}, purify.Options{}, "imports .wasi_snapshot_preview1.sched_yield", "only"},
		{"a name for a terminal", func(b *binarytest.Builder) {
			b.ImportFunc("env", "\x1b[2J\n"+strings.Repeat("x", 300), b.Type(nil, nil))
		}, purify.Options{}, "imports env.?[2J?xxx", "find ?[2J?xxx"},
		{"exports for a terminal", func(b *binarytest.Builder) { b.ExportFunc("\x1b[2J\n", b.Type(nil, nil), nil) }, purify.Options{}, "neither _start nor run", "one of: ?[2J?"},
		{"another type", func(b *binarytest.Builder) { b.ImportFunc("wasi_snapshot_preview1", "fd_close", b.Type(nil, nil)) }, purify.Options{}, "as () -> (), and its type is (i32) -> (i32)", "toolchain"},
		{"a table", func(b *binarytest.Builder) {
			b.Imports = append(b.Imports, binary.Import{Module: "env", Name: "table", Kind: binary.ExternTable, Table: binary.Table{Type: binary.FuncRef, Min: 1}})
			b.Tables, b.ImportedTables = append(b.Tables, b.Imports[0].Table), 1
		}, purify.Options{}, "the table env.table", "statically"},
		{"a global", func(b *binarytest.Builder) {
			b.Imports = append(b.Imports, binary.Import{Module: "env", Name: "g", Kind: binary.ExternGlobal, Global: binary.Global{Type: binary.I32}})
			b.Globals, b.ImportedGlobals = append(b.Globals, b.Imports[0].Global), 1
		}, purify.Options{}, "the global env.g", "statically"},
		{"no memory", func(b *binarytest.Builder) { b.Memory, b.Exports = nil, nil }, purify.Options{}, "no memory", "whole program"},
		{"no entry", func(*binarytest.Builder) {}, purify.Options{}, "neither _start nor run", "export a function"},
		{"another entry", func(b *binarytest.Builder) { b.ExportFunc("handle", b.Type(nil, nil), nil) }, purify.Options{}, "neither _start nor run", "one of: handle"},
		{"an entry that is not there", func(b *binarytest.Builder) { b.ExportFunc("_start", b.Type(nil, nil), nil) }, purify.Options{Entry: "go"}, "does not export go", "one of: _start"},
		{"an entry that takes something", func(b *binarytest.Builder) { b.ExportFunc("run", b.Type(binarytest.Types(binary.I32), nil), nil) }, purify.Options{}, "the export run can't be the entry", "export a function"},
		{"an entry that is no function", func(b *binarytest.Builder) { b.ExportAs("run", binary.ExternMemory, 0) }, purify.Options{}, "the export run can't be the entry", "export a function"},
		{"initialisation that takes something", func(b *binarytest.Builder) {
			b.ExportFunc("run", b.Type(nil, nil), nil)
			b.ExportFunc("_initialize", b.Type(binarytest.Types(binary.I32), nil), nil)
		}, purify.Options{}, "_initialize", "reactor"},
		{"a function already", func(b *binarytest.Builder) {
			b.ExportFunc("_start", b.Type(nil, nil), nil)
			b.ExportAs("__dandelion_system_data", binary.ExternGlobal, b.Global(binary.I32, false, binary.OpI32Const, 0))
		}, purify.Options{}, "a function already", "as it is"},
		{"a runtime of its own", func(b *binarytest.Builder) {
			b.ImportFunc("wasi_snapshot_preview1", "sched_yield", b.Type(nil, binarytest.Types(binary.I32)))
			b.ExportAs("__dandelion_system_data", binary.ExternGlobal, b.Global(binary.I32, false, binary.OpI32Const, 0))
		}, purify.Options{}, "yet imports wasi_snapshot_preview1.sched_yield", "libc layer"},
		{"too small a memory", func(b *binarytest.Builder) { b.ExportFunc("_start", b.Type(nil, nil), nil) }, purify.Options{Memory: 100_000}, "has no room", "at least"},
		{"too large a memory", func(b *binarytest.Builder) { b.ExportFunc("_start", b.Type(nil, nil), nil) }, purify.Options{Memory: 1 << 40}, "a memory of 1099511627776 bytes", "less"},
		{"all of a memory", func(b *binarytest.Builder) {
			b.ExportFunc("_start", b.Type(nil, nil), nil)
			b.Memory.Min = 1 << 16
		}, purify.Options{}, "has no room", "smaller initial memory"},
		{"a manifest's memory", func(b *binarytest.Builder) { b.ExportFunc("_start", b.Type(nil, nil), nil) }, purify.Options{Manifest: []byte(`{"limits":{"memory":"64KiB"}}`)}, "has no room", "at least"},
		{"a manifest's memory that is none", func(b *binarytest.Builder) { b.ExportFunc("_start", b.Type(nil, nil), nil) }, purify.Options{Manifest: []byte(`{"limits":{"memory":"much"}}`)}, "manifest: limits: memory: ", "64MiB"},
		{"a manifest that is too long", func(b *binarytest.Builder) {
			b.ExportFunc("_start", b.Type(nil, nil), nil)
			b.Customs = append(b.Customs, binary.Custom{Name: "pappus", Payload: []byte(`{"name":"` + strings.Repeat("x", 64<<10) + `"}`)})
		}, purify.Options{}, "manifest: it has 65547 bytes", "JSON object"},
		{"a manifest that becomes too long", func(b *binarytest.Builder) { b.ExportFunc("_start", b.Type(nil, nil), nil) }, purify.Options{Manifest: []byte(`{"name":"` + strings.Repeat("x", 64<<10-11) + `"}`)}, "the manifest has 65", "shorten"},
		{"a negative memory", func(b *binarytest.Builder) { b.ExportFunc("_start", b.Type(nil, nil), nil) }, purify.Options{Memory: -1}, "a memory of -1 bytes", "less"},
		{"data outside", func(b *binarytest.Builder) {
			b.ExportFunc("_start", b.Type(nil, nil), nil)
			b.Bytes(65535, []byte("ab"))
		}, purify.Options{}, "data segment 0", "again"},
		{"a manifest that is none", func(b *binarytest.Builder) {
			b.ExportFunc("_start", b.Type(nil, nil), nil)
			b.Customs = append(b.Customs, binary.Custom{Name: "pappus", Payload: []byte("[]")})
		}, purify.Options{}, "manifest: it is not a JSON object", "JSON object"},
		{"a manifest that says something twice", func(b *binarytest.Builder) {
			b.ExportFunc("_start", b.Type(nil, nil), nil)
			b.Customs = append(b.Customs, binary.Custom{Name: "pappus", Payload: []byte(`{"name":"a","name":"b"}`)})
		}, purify.Options{}, `has "name" twice`, "JSON object"},
		{"two manifests", func(b *binarytest.Builder) {
			b.ExportFunc("_start", b.Type(nil, nil), nil)
			b.Customs = append(b.Customs, binary.Custom{Name: "pappus", Payload: []byte("{}")}, binary.Custom{Name: "pappus", Payload: []byte("{}")})
		}, purify.Options{}, "2 custom sections", "only one"},
		{"a manifest given that is none", func(b *binarytest.Builder) { b.ExportFunc("_start", b.Type(nil, nil), nil) }, purify.Options{Manifest: []byte(`{"limits":3}`)}, "limits", "JSON object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := program()
			c.change(b)
			out, err := purify.Purify(b.Encode(), c.options)
			var refused *purify.Error
			if !errors.As(err, &refused) || out != nil {
				t.Fatalf("%d bytes, %v", len(out), err)
			}
			if strings.ContainsFunc(refused.Reason+refused.Hint, func(r rune) bool { return r < ' ' }) || len(refused.Reason)+len(refused.Hint) > 1000 {
				t.Errorf("%q, hint %q", refused.Reason, refused.Hint)
			}
			if !strings.Contains(refused.Reason, c.reason) || !strings.Contains(refused.Hint, c.hint) {
				t.Errorf("%q, hint %q", refused.Reason, refused.Hint)
			}
		})
	}
	for name, code := range map[string][]byte{"nothing": nil, "text": []byte("#!/bin/sh"), "the beginning of a module": []byte("\x00asm\x01\x00\x00\x00\x01")} {
		var refused *purify.Error
		if _, err := purify.Purify(code, purify.Options{}); !errors.As(err, &refused) || refused.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What WebAssembly 2.0 does not have is refused as such.
func TestUnsupported(t *testing.T) {
	for name, section := range map[string][]byte{
		"tags":            {13, 3, 1, 0, 0},
		"a 64-bit memory": {5, 3, 1, 4, 1},
		"a shared memory": {5, 4, 1, 3, 1, 1},
		"two memories":    {5, 5, 2, 0, 1, 0, 1},
	} {
		var refused *purify.Error
		_, err := purify.Purify(append([]byte("\x00asm\x01\x00\x00\x00"), section...), purify.Options{})
		if !errors.As(err, &refused) || !errors.Is(err, binary.ErrUnsupported) || !strings.Contains(refused.Hint, "without that feature") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Segments and tables keep their numbers, whatever they are for, and the program's
// exports don't get in the way of those that a function has.
func TestSegmentsAndTables(t *testing.T) {
	const load8, tableInit, elemDrop = binary.Op(0x2d), binary.OpTableInit, binary.Op(0xfc0d)
	b := program()
	number := b.Type(nil, binarytest.Types(binary.I32))
	b.Table(binary.FuncRef, 1, 1)
	b.Table(binary.ExternRef, 1, 1)
	b.Table(binary.FuncRef, 2, 2)
	two := b.Func(number, nil, binary.OpI32Const, binarytest.S(2))
	thirty := b.Func(number, nil, binary.OpI32Const, binarytest.S(30))
	b.Funcs(0, two)
	passive := b.PassiveFuncs(two, thirty)
	b.Bytes(16, []byte{1})
	bytes := b.PassiveBytes([]byte{0, 100})
	zero := binarytest.Code(binary.OpI32Const, binarytest.S(0))
	b.Exports = nil
	b.ExportFunc("run", number, nil,
		// The second table gets both functions, byte 17 what is passive.
		zero, zero, binary.OpI32Const, binarytest.S(2), tableInit, passive, 2, elemDrop, passive,
		binary.OpI32Const, binarytest.S(17), binary.OpI32Const, binarytest.S(1), binary.OpI32Const, binarytest.S(1), binary.OpMemoryInit, bytes, 0, binary.OpDataDrop, bytes,
		zero, load8, 0, 16, zero, load8, 0, 17, binary.OpI32Add,
		zero, binary.OpCallIndirect, number, 0, binary.OpI32Add,
		binary.OpI32Const, binarytest.S(1), binary.OpCallIndirect, number, 2, binary.OpI32Add)
	global := b.Global(binary.I32, true, binary.OpI32Const, binarytest.S(-1))
	for _, name := range []string{"__heap_base", "__heap_end", "__pappus_program"} {
		b.ExportAs(name, binary.ExternGlobal, global)
	}
	for _, name := range []string{"memory.grow", "pappus.begin", "pappus.start", "wasi_snapshot_preview1.fd_write"} {
		b.ExportAs(name, binary.ExternFunc, two)
	}
	b.ExportAs("memory", binary.ExternTable, 1)
	code, err := purify.Purify(b.Encode(), purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = prepare(t, code, wasmengine.Config{}).run()
	var fault *engine.Fault
	if !asFault(err, &fault) || fault.ExitCode != 1+100+2+30 {
		t.Errorf("%v, want exit code 133", err)
	}
}

func TestPureAlready(t *testing.T) {
	_, err := purify.Purify(purified(t, "testdata/upper.wasm", purify.Options{}), purify.Options{})
	if !errors.Is(err, purify.ErrPure) {
		t.Errorf("%v", err)
	}
}

// Who calls an import that is not there is told by its name, if it has one.
func TestRefusalNamesTheCaller(t *testing.T) {
	for _, named := range []bool{true, false} {
		b := program()
		f := b.ImportFunc("env", "getpid", b.Type(nil, binarytest.Types(binary.I32)))
		b.ExportFunc("_start", b.Type(nil, nil), nil)
		b.Func(b.Type(nil, nil), nil, binary.OpCall, f, binary.OpDrop)
		want := "function 2"
		if named {
			want = "who_am_i"
			b.Customs = append(b.Customs, binary.Custom{Name: "name", Payload: append([]byte{1, 11, 1, 2, 8}, want...)})
		}
		_, err := purify.Purify(b.Encode(), purify.Options{})
		if err == nil || !strings.Contains(err.Error(), "env.getpid, which "+want+" calls") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func decode(t testing.TB, code []byte) *binary.Module {
	t.Helper()
	m, err := binary.Decode(code, binary.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every function keeps its index and its name, and those that had none are named
// by what they are for.
func TestNames(t *testing.T) {
	before := decode(t, read(t, "testdata/calls.wasm"))
	after := decode(t, purified(t, "testdata/calls.wasm", purify.Options{}))
	names := maps.Collect(after.FuncNames())
	for i, name := range before.FuncNames() {
		if names[i] != name {
			t.Errorf("function %d was %q and is %q", i, name, names[i])
		}
	}
	if len(names) != after.NumFuncs() {
		t.Errorf("%d names of %d functions", len(names), after.NumFuncs())
	}
	for _, name := range []string{"__wasi_fd_write", "memory_grow", "pappus.start"} {
		if !slices.Contains(slices.Collect(maps.Values(names)), name) {
			t.Errorf("no function %s", name)
		}
	}
	if len(after.Imports) != 0 {
		t.Errorf("imports %v", after.Imports)
	}

	b := program()
	b.ImportFunc("wasi_snapshot_preview1", "sched_yield", b.Type(nil, binarytest.Types(binary.I32)))
	b.ExportFunc("run", b.Type(nil, binarytest.Types(binary.I32)), nil, binary.OpCall, 0)
	b.Customs = append(b.Customs, binary.Custom{Name: "name", Payload: []byte{1, 200}}, binary.Custom{Name: ".debug_line", Payload: []byte("x")}, binary.Custom{Name: "producers", Payload: []byte{0}})
	code, err := purify.Purify(b.Encode(), purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	after = decode(t, code)
	names = maps.Collect(after.FuncNames())
	if names[0] != "wasi_snapshot_preview1.sched_yield" || names[1] != "run" {
		t.Errorf("names %q, %q", names[0], names[1])
	}
	var sections []string
	for _, c := range after.Customs {
		sections = append(sections, c.Name)
	}
	if !slices.Equal(sections, []string{"pappus", "name", "producers"}) {
		t.Errorf("custom sections %q", sections)
	}
}

func TestManifest(t *testing.T) {
	for _, c := range []struct {
		own     string
		options purify.Options
		want    string
	}{
		{"", purify.Options{}, `{"inputs":["stdio","input"],"layout":"fixed","limits":{"memory":67108864},"outputs":["stdio","output"]}`},
		{`{"name":"x","layout":"grow","limits":{"timeout":"3s"}}`, purify.Options{Memory: 1<<20 + 1}, `{"layout":"fixed","limits":{"memory":1114112,"timeout":"3s"},"name":"x"}`},
		{`{"name":"x","outputs":["a"]}`, purify.Options{Manifest: []byte(`{"outputs":["b"],"limits":{"memory":"100MiB","stack":"1MiB"}}`)}, `{"layout":"fixed","limits":{"memory":"100MiB","stack":"1MiB"},"name":"x","outputs":["b"]}`},
		// A limit below what the function has would refuse it.
		{`{"limits":{"memory":"1MiB"}}`, purify.Options{Memory: 2 << 20}, `{"layout":"fixed","limits":{"memory":2097152}}`},
		{`{"limits":{"memory":1000000}}`, purify.Options{}, `{"layout":"fixed","limits":{"memory":1048576}}`},
	} {
		b := program()
		b.ExportFunc("_start", b.Type(nil, nil), nil)
		if c.own != "" {
			b.Customs = append(b.Customs, binary.Custom{Name: "pappus", Payload: []byte(c.own)})
		}
		code, err := purify.Purify(b.Encode(), c.options)
		if err != nil {
			t.Fatal(err)
		}
		after := decode(t, code)
		payload, _ := after.Custom("pappus")
		if string(payload) != c.want {
			t.Errorf("manifest %s, want %s", payload, c.want)
		}
		manifest, err := engine.ParseManifest(payload)
		if err != nil {
			t.Fatal(err)
		}
		if size := int64(after.Memory.Min) * purify.PageSize; size != int64(manifest.Limits.Memory) {
			t.Errorf("%s: a memory of %d bytes", payload, size)
		}
	}
	// Go's code gets a smaller stack.
	b := program()
	b.ExportFunc("_start", b.Type(nil, nil), nil)
	b.Customs = append(b.Customs, binary.Custom{Name: "go:buildid", Payload: []byte("x")})
	code, err := purify.Purify(b.Encode(), purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := decode(t, code).Custom("pappus")
	var m struct{ Limits struct{ Stack int64 } }
	if err := json.Unmarshal(payload, &m); err != nil || m.Limits.Stack != 512<<10 {
		t.Errorf("%s %v", payload, err)
	}
}

// A memory that the program imports becomes its own, its start function runs, and
// its result is the exit code.
func TestShapes(t *testing.T) {
	b := binarytest.New()
	b.Imports = append(b.Imports, binary.Import{Module: "env", Name: "memory", Kind: binary.ExternMemory, Memory: binary.Memory{Min: 1, Imported: true}})
	b.Memory = &binary.Memory{Min: 1, Max: 3, HasMax: true, Imported: true}
	b.Imports[0].Memory = *b.Memory
	none, number := b.Type(nil, nil), b.Type(nil, binarytest.Types(binary.I32))
	// The start function leaves 40 in memory, _initialize adds 2.
	const store, load = binary.Op(0x36), binary.Op(0x28)
	b.Start = b.Func(none, nil, binary.OpI32Const, binarytest.S(8), binary.OpI32Const, binarytest.S(40), store, 2, 0)
	b.ExportFunc("_initialize", none, nil, binary.OpI32Const, binarytest.S(8), binary.OpI32Const, binarytest.S(8), load, 2, 0, binary.OpI32Const, binarytest.S(2), binary.OpI32Add, store, 2, 0)
	// It can grow by two pages, as it said, and no more: 42 + 1 - 1 + 3.
	grow := []any{binary.OpI32Const, binarytest.S(2), binary.OpMemoryGrow, byte(0)}
	code := append([]any{binary.OpI32Const, binarytest.S(8), load, 2, 0}, grow...)
	code = append(append(append(code, binary.OpI32Add), grow...), binary.OpI32Add, binary.OpMemorySize, byte(0), binary.OpI32Add)
	b.ExportFunc("answer", number, nil, code...)
	for name, config := range map[string]wasmengine.Config{"image": {}, "no image": {NoImages: true}} {
		pure, err := purify.Purify(b.Encode(), purify.Options{Entry: "answer"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = prepare(t, pure, config).run()
		var fault *engine.Fault
		if !asFault(err, &fault) || fault.ExitCode != 45 {
			t.Errorf("%s: %v, want exit code 45", name, err)
		}
	}
}

// Code may refer to functions that nothing names but exports, which don't stay.
func TestReferences(t *testing.T) {
	const trap = binary.Op(0x00)
	b := program()
	number := b.Type(nil, binarytest.Types(binary.I32))
	// They are in no table either; what they refer to is called by way of one.
	b.Table(binary.FuncRef, 1, 1)
	f := b.ImportFunc("wasi_snapshot_preview1", "sched_yield", number)
	g := b.ExportFunc("seven", number, nil, binary.OpI32Const, binarytest.S(7))
	b.ExportAs("yield", binary.ExternFunc, f)
	const tableSet = binary.Op(0x26)
	call := func(f int) []any {
		return []any{binary.OpI32Const, binarytest.S(0), binary.OpRefFunc, f, tableSet, 0, binary.OpI32Const, binarytest.S(0), binary.OpCallIndirect, number, 0}
	}
	b.ExportFunc("run", number, nil, append(append(call(f), call(g)...), binary.OpI32Add)...)
	b.Func(b.Type(nil, nil), nil, trap)
	code, err := purify.Purify(b.Encode(), purify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = prepare(t, code, wasmengine.Config{}).run()
	var fault *engine.Fault
	if !asFault(err, &fault) || fault.ExitCode != 7 {
		t.Errorf("%v, want exit code 7", err)
	}
}

// What is made of valid modules is valid: the engine compiles it, and it ends the
// same way every time.
func TestRandomModules(t *testing.T) {
	t.Setenv(workerEnv, "1")
	e, err := wasmengine.New(wasmengine.Config{Compiler: []string{"/proc/self/exe"}, CompileTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		m := decode(t, binarytest.Random(rt))
		b := &binarytest.Builder{Module: *m}
		b.ExportFunc("run", b.Type(nil, binarytest.Types(binary.I32)), nil,
			binary.OpI32Const, binarytest.S(rapid.Int32().Draw(rt, "int")), binary.OpI64Const, binarytest.S(rapid.Int64().Draw(rt, "long")), binary.OpCall, 0, binary.OpDrop,
			binary.OpI32Const, binarytest.S(rapid.Int32Range(0, 3).Draw(rt, "pages")), binary.OpMemoryGrow, byte(0), binary.OpMemorySize, byte(0), binary.OpI32Add)
		code, err := purify.Purify(b.Encode(), purify.Options{Memory: 1 << 20})
		if err != nil {
			rt.Fatal(err)
		}
		lim := engine.DefaultLimits()
		program, err := e.Prepare(t.Context(), code, engine.Signature{Inputs: []engine.Param{}, Outputs: []engine.Param{}}, lim)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = program.Close() }()
		var ends []string
		for range 2 {
			result, err := program.Run(t.Context(), nil, lim)
			if err == nil {
				result.Release()
			}
			var fault *engine.Fault
			switch {
			case err == nil:
				ends = append(ends, "success")
			case !asFault(err, &fault):
				rt.Fatal(err)
			default:
				ends = append(ends, fault.Error())
			}
		}
		if ends[0] != ends[1] {
			rt.Errorf("%q, then %q", ends[0], ends[1])
		}
	})
}

// FuzzPurify gives it anything: the result is a function, the same each time, or
// a refusal that says what to do.
func FuzzPurify(f *testing.F) {
	for _, file := range []string{"testdata/calls.wasm", "testdata/reactor.wasm"} {
		f.Add(read(f, file), int64(0), "", []byte(nil))
	}
	f.Add(program().Encode(), int64(1<<20), "run", []byte(`{"outputs":[]}`))
	b := program()
	b.ExportFunc("run", b.Type(nil, nil), nil, binary.OpMemorySize, byte(0), binary.OpDrop, binary.OpMemorySize, byte(0), binary.OpDrop)
	for _, code := range [][]byte{b.Encode(), spread(b.Encode())} {
		f.Add(tabled(code, []byte{0, 5, 2, 3, 0, 0, 0, 1, 2, 2, 3, 1, 1, 2, 2, 3, 1, 1, 2, 4, 0, 1, 1}), int64(0), "", []byte(nil))
	}
	e, err := wasmengine.New(wasmengine.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := e.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, code []byte, memory int64, entry string, manifest []byte) {
		o := purify.Options{Memory: memory, Entry: entry, Manifest: manifest}
		out, err := purify.Purify(code, o)
		if err != nil {
			var refused *purify.Error
			if !errors.As(err, &refused) || refused.Hint == "" {
				t.Errorf("%v", err)
			}
			return
		}
		if again, err := purify.Purify(code, o); err != nil || !bytes.Equal(again, out) {
			t.Errorf("the second time %d bytes, %v", len(again), err)
		}
		m := decode(t, out)
		if program, err := binary.Decode(code, binary.DefaultCaps()); err == nil {
			sameLines(t, program, m)
		}
		if len(m.Imports) != 0 || m.Memory.Min != m.Memory.Max {
			t.Errorf("imports %v, memory %+v", m.Imports, m.Memory)
		}
		// Only what the manifest says can be wrong with it.
		var rejected *engine.RejectedError
		_, err = e.Inspect(out)
		expected := errors.As(err, &rejected) && strings.Contains(rejected.Reason, "manifest") || elementsOutside(m)
		if err != nil && !expected {
			t.Error(err)
		}
	})
}

// elementsOutside tells of a module that can't be instantiated, pure or not.
func elementsOutside(m *binary.Module) bool {
	return slices.ContainsFunc(m.Elements, func(e binary.Element) bool {
		return e.Mode == binary.Active && e.Known && uint64(e.Offset)+uint64(e.Count) > uint64(m.Tables[e.Table].Min)
	})
}
