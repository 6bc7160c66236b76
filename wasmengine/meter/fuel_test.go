package meter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// engines runs a test on both of wazero's engines.
func engines(t *testing.T, f func(t *testing.T, l *lab)) {
	t.Helper()
	t.Run("compiler", func(t *testing.T) { f(t, newLab(t, wazero.NewRuntimeConfigCompiler())) })
	t.Run("interpreter", func(t *testing.T) { f(t, newLab(t, wazero.NewRuntimeConfigInterpreter())) })
}

const (
	i32Const = binary.OpI32Const
	drop     = binary.Op(0x1a)
	i32Add   = binary.Op(0x6a)
	i32Sub   = binary.Op(0x6b)
)

// fixture is a module with a memory of 1 to 40 pages, a table of 4 to 10, and
// an exported function f of an i32 without results.
func fixture(code ...any) *binarytest.Builder {
	b := binarytest.New().Pages(1, 40)
	b.Table(binary.FuncRef, 4, 10)
	b.PassiveBytes(make([]byte, 160))
	t := b.Type(binarytest.Types(binary.I32), nil)
	f := b.ExportFunc("f", t, nil, code...)
	b.PassiveFuncs(f, f)
	return b
}

// What runs cost is part of what users rely on: a change of any of these
// figures is a new fuel model.
func TestFuelModel(t *testing.T) {
	s := func(n int) binarytest.S { return binarytest.S(n) }
	countdown := []any{
		binary.OpLoop, binarytest.Void,
		binary.OpLocalGet, 0, i32Const, s(1), i32Sub, binary.OpLocalTee, 0,
		binary.OpBrIf, 0, binary.OpEnd,
	}
	for _, c := range []struct {
		name string
		code []any
		arg  uint64
		fuel int64
		trap string
	}{
		{"nothing", nil, 0, 0, ""},
		{"nops", []any{binary.OpNop, binary.OpNop, binary.OpBlock, binarytest.Void, binary.OpEnd}, 0, 0, ""},
		{"two constants and an addition", []any{i32Const, s(1), i32Const, s(2), i32Add, drop}, 0, 4, ""},
		{"a division", []any{i32Const, s(4), i32Const, s(2), binary.OpI32DivS, drop}, 0, 11, ""},
		{"a loop of one round", countdown, 1, 5, ""},
		{"a loop of a hundred rounds", countdown, 100, 500, ""},
		{"an if that is not taken", []any{binary.OpLocalGet, 0, binary.OpIf, binarytest.Void, i32Const, s(1), drop, binary.OpEnd}, 0, 2, ""},
		{"an if that is taken", []any{binary.OpLocalGet, 0, binary.OpIf, binarytest.Void, i32Const, s(1), drop, binary.OpEnd}, 1, 4, ""},
		{"behind a return", []any{binary.OpReturn, i32Const, s(1), drop}, 0, 1, ""},
		{"a fill of 160 bytes", []any{i32Const, s(0), i32Const, s(1), i32Const, s(160), binary.OpMemoryFill, 0}, 0, 23, ""},
		{"a copy of 64 KiB", []any{i32Const, s(0), i32Const, s(0), i32Const, s(65536), binary.OpMemoryCopy, 0, 0}, 0, 13 + 4096, ""},
		{"a fill that is too long", []any{i32Const, s(0), i32Const, s(1), i32Const, s(65537), binary.OpMemoryFill, 0}, 0, 13 + 4096, "wasm error: out of bounds memory access"},
		{"an init of 160 bytes", []any{i32Const, s(0), i32Const, s(0), i32Const, s(160), binary.OpMemoryInit, 0, 0}, 0, 23, ""},
		{"growth by 3 pages", []any{i32Const, s(3), binary.OpMemoryGrow, 0, drop}, 0, 102 + 3*4096, ""},
		{"growth that can't be", []any{i32Const, s(1000), binary.OpMemoryGrow, 0, drop}, 0, 102, ""},
		{"growth of a table by 5", []any{binary.OpRefNull, byte(binary.FuncRef), i32Const, s(5), binary.OpTableGrow, 0, drop}, 0, 103 + 5, ""},
		{"an init of 2 entries", []any{i32Const, s(0), i32Const, s(0), i32Const, s(2), binary.OpTableInit, 0, 0}, 0, 15, ""},
		{"a trap", []any{i32Const, s(1), drop, binary.OpUnreachable}, 0, 3, "wasm error: unreachable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			engines(t, func(t *testing.T, l *lab) {
				got := l.check(t, fixture(c.code...).Encode(), call{fn: "f", args: []uint64{c.arg}})
				if got.fuel != c.fuel || got.trap != c.trap {
					t.Errorf("fuel %d, %q, want %d, %q", got.fuel, got.trap, c.fuel, c.trap)
				}
			})
		})
	}
}

// Recursion ends at the same depth on every engine, when the stack limit is
// used up, and never by the engine's own.
func TestRecursionEndsByTheLimit(t *testing.T) {
	b := binarytest.New().Pages(1, 1)
	typ := b.Type(nil, nil)
	depth := b.Global(binary.I32, true, i32Const, binarytest.S(0))
	b.ExportAs("depth", binary.ExternGlobal, depth)
	b.ExportFunc("f", typ, binarytest.Types(binary.I64, binary.I64), binary.OpGlobalGet, depth, i32Const, binarytest.S(1), i32Add, binary.OpGlobalSet, depth, binary.OpCall, 0)
	code := b.Encode()
	depths := map[int64]uint64{}
	engines(t, func(t *testing.T, l *lab) {
		me := rewrite(t, code)
		limits := []int64{1 << 10, 64 << 10}
		if strings.HasSuffix(t.Name(), "compiler") { // the interpreter has 2,000 frames at most
			limits = append(limits, 8<<20)
		}
		for _, limit := range limits {
			m := l.instantiate(t, me.Code)
			o := l.run(t, m, me, call{fn: "f", stack: limit})
			reached := m.ExportedGlobal("depth").Get()
			if o.stack >= 0 || o.trap == "" || strings.Contains(o.trap, "stack overflow") {
				t.Errorf("%d bytes: %q with %d left", limit, o.trap, o.stack)
			}
			if first, seen := depths[limit]; seen && first != reached {
				t.Errorf("%d bytes: depth %d, and %d on the other engine", limit, reached, first)
			}
			depths[limit] = reached
			if most := uint64(limit) / 64; reached == 0 || reached > most {
				t.Errorf("%d bytes: depth %d", limit, reached)
			}
		}
	})
}

// A frame is given back when its call returns and when another takes its place:
// a thousand calls in turns need no more than one, to the byte.
func TestFramesAreGivenBack(t *testing.T) {
	s := func(n int) binarytest.S { return binarytest.S(n) }
	// decrement leaves the parameter less 1 and keeps it.
	decrement := []any{binary.OpLocalGet, 0, i32Const, s(1), i32Sub, binary.OpLocalTee, 0}
	code := func(parts ...[]any) []any { return slices.Concat(parts...) }
	const leaf, caller, tails = 0, 1, 3
	b := binarytest.New().Pages(1, 1)
	none, number := b.Type(nil, nil), b.Type(binarytest.Types(binary.I32), nil)
	b.Func(none, nil)
	b.Func(none, nil, binary.OpCall, leaf, binary.OpCall, leaf)
	b.ExportFunc("loops", number, nil, code(
		[]any{binary.OpLoop, binarytest.Void, binary.OpCall, caller}, decrement, []any{binary.OpBrIf, 0, binary.OpEnd})...)
	b.ExportFunc("tails", number, nil, code(
		[]any{binary.OpCall, caller, binary.OpLocalGet, 0, binary.OpIf, binarytest.Void}, decrement, []any{binary.OpReturnCall, tails, binary.OpEnd})...)
	me := rewrite(t, b.Encode())
	engines(t, func(t *testing.T, l *lab) {
		need := frameBytes(1, 2) + frameBytes(0, 0) + frameBytes(0, 0)
		for _, fn := range []string{"loops", "tails"} {
			c := call{fn: fn, args: []uint64{1000}, stack: need}
			if o := l.metered(t, me, c); o.trap != "" {
				t.Errorf("%s in %d bytes: %q", fn, need, o.trap)
			}
			c.stack--
			if o := l.metered(t, me, c); o.trap == "" || o.stack >= 0 {
				t.Errorf("%s in %d bytes: %q with %d left", fn, c.stack, o.trap, o.stack)
			}
		}
	})
}

// The document's table is the code's.
func TestFuelDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/fuel.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), fmt.Sprintf("fuel model %d", FuelModel)) {
		t.Errorf("docs/fuel.md is not about fuel model %d", FuelModel)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| .*? \\| (`0x[^|]+) \\| (\\d+) \\|").FindAllStringSubmatch(string(text), -1) {
		for _, op := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			documented[op[1]] = row[2]
		}
	}
	for _, prefix := range []binary.Op{0, 0xfc00, 0xfd00} {
		for low := range binary.Op(0x100) {
			op := prefix + low
			want, said := documented[op.String()]
			if c := cost(op); c != 1 && want != fmt.Sprint(c) || c == 1 && said {
				t.Errorf("%v costs %d, in the document %q", op, c, want)
			}
			delete(documented, op.String())
		}
	}
	if len(documented) > 0 {
		t.Errorf("there are no instructions %v", documented)
	}
}

// Whatever the decoder accepts is metered or refused, and what is metered is a
// module again.
func FuzzRewrite(f *testing.F) {
	for _, name := range []string{"matmul", "matmul-size", "wordcount", "sumoccurrence"} {
		code, err := os.ReadFile("../../samples/" + name + "/" + name + ".wasm")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(code)
	}
	f.Add(fixture(i32Const, binarytest.S(0), i32Const, binarytest.S(0), i32Const, binarytest.S(2), binary.OpTableInit, 0, 0).Encode())
	f.Add(fixture(binary.OpLoop, binarytest.Void, binary.OpLocalGet, 0, binary.OpBrIf, 0, binary.OpEnd).Encode())
	golden, err := filepath.Glob("testdata/golden/*.wasm")
	if err != nil || len(golden) == 0 {
		f.Fatal("no golden modules: ", err)
	}
	for _, name := range golden {
		code, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(code)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		m, err := binary.Decode(code, binary.DefaultCaps())
		if err != nil {
			return
		}
		me, err := Rewrite(m)
		if err != nil {
			if !errors.Is(err, ErrImports) && !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
			return
		}
		caps := binary.DefaultCaps()
		caps.Module, caps.Body, caps.Functions = maxCode, maxBody, 1<<30
		caps.Types, caps.Globals, caps.Exports, caps.Imports = 1<<20, 1<<20, 1<<20, 1<<20
		caps.Locals, caps.AllLocals, caps.Blocks, caps.Calls, caps.Params = 1<<30, 1<<30, 1<<30, 1<<30, 1<<10
		caps.Nesting, caps.BranchWork = 1<<30, 1<<30
		out, err := binary.Decode(me.Code, caps)
		if err != nil {
			t.Fatalf("what was metered is refused: %v", err)
		}
		for _, name := range []string{me.Fuel, me.Stack} {
			if x, ok := out.Export(name); !ok || x.Kind != binary.ExternGlobal {
				t.Fatalf("there is no global %q", name)
			}
		}
	})
}
