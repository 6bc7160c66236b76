package report_test

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
	"pappus/wasmengine/report"
)

func of(t interface {
	Helper()
	Fatal(...any)
}, b *binarytest.Builder) *report.Module {
	t.Helper()
	s := binary.Explore(b.Encode(), binary.DefaultCaps())
	if s.Broken != nil {
		t.Fatal(s.Broken)
	}
	r, err := report.Of(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each feature is found where it is used, and no other.
func TestFeatures(t *testing.T) {
	f := func(code ...any) func(*binarytest.Builder) {
		return func(b *binarytest.Builder) { b.Func(b.Type(nil, nil), nil, code...) }
	}
	s := func(n int) binarytest.S { return binarytest.S(n) }
	for _, c := range []struct {
		name string
		make func(*binarytest.Builder)
		want string
	}{
		{"none", f(binary.OpI32Const, s(1), binary.OpDrop), ""},
		{"f32.const", f(binary.OpF32Const, float32(1), binary.OpDrop), "f32"},
		{"f64.const", f(binary.OpF64Const, 1.0, binary.OpDrop), "f64"},
		{"f64.promote_f32", f(binary.OpF32Const, float32(1), byte(0xbb), binary.OpDrop), "f32,f64"},
		{"f64.load", f(binary.OpI32Const, s(0), []byte{0x2b, 3, 0}, binary.OpDrop), "f64"},
		{"i32.reinterpret_f32", f(binary.OpF32Const, float32(1), byte(0xbc), binary.OpDrop), "f32"},
		{"i64.trunc_sat_f64_u", f(binary.OpF64Const, 1.0, []byte{0xfc, 7}, binary.OpDrop), "f64,saturating-conversions"},
		{"i32.trunc_sat_f32_s", f(binary.OpF32Const, float32(1), []byte{0xfc, 0}, binary.OpDrop), "f32,saturating-conversions"},
		{"i32.extend8_s", f(binary.OpI32Const, s(0), byte(0xc0), binary.OpDrop), "sign-extension"},
		{"i32.add in code", f(binary.OpI32Const, s(0), binary.OpI32Const, s(0), binary.OpI32Add, binary.OpDrop), ""},
		{"v128.const", f(binary.OpV128Const, make([]byte, 16), binary.OpDrop), "simd"},
		{"memory.fill", f(binary.OpI32Const, s(0), binary.OpI32Const, s(0), binary.OpI32Const, s(0), []byte{0xfc, 11, 0}), "bulk-memory"},
		{"passive data", func(b *binarytest.Builder) { b.PassiveBytes([]byte("a")) }, "bulk-memory"},
		{"ref.null", f(binary.OpRefNull, binary.FuncRef, binary.OpDrop), "reference-types"},
		{"table of references", func(b *binarytest.Builder) { b.Table(binary.ExternRef, 1, 1) }, "reference-types"},
		{"table of functions", func(b *binarytest.Builder) { b.Table(binary.FuncRef, 1, 1) }, ""},
		{"return_call", f(binary.OpReturnCall, 0), "tail-calls"},
		{"two results", func(b *binarytest.Builder) { b.Type(nil, binarytest.Types(binary.I32, binary.I32)) }, "multi-value"},
		{"mutable global", func(b *binarytest.Builder) { b.Global(binary.I32, true, binary.OpI32Const, s(0)) }, ""},
		{"exported mutable global", func(b *binarytest.Builder) {
			b.ExportAs("g", binary.ExternGlobal, b.Global(binary.I32, true, binary.OpI32Const, s(0)))
		}, "mutable-globals"},
		{"sum in a global", func(b *binarytest.Builder) {
			b.Global(binary.I32, false, binary.OpI32Const, s(1), binary.OpI32Const, s(1), binary.OpI32Add)
		}, "extended-const"},
	} {
		b := binarytest.New().Pages(1, 1)
		c.make(b)
		if got := strings.Join(of(t, b).Features, ","); got != c.want {
			t.Errorf("%s uses %q, want %q", c.name, got, c.want)
		}
	}
}

func TestParts(t *testing.T) {
	b := binarytest.New()
	b.ImportFunc("env", "f", b.Type(binarytest.Types(binary.I32), binarytest.Types(binary.I64)))
	b.Pages(2, 5)
	small := b.Func(b.Type(nil, nil), nil)
	large := b.Func(b.Type(binarytest.Types(binary.F64), nil), binarytest.Types(binary.I32), binary.OpLoop, binarytest.Void, binary.OpEnd, binary.OpCall, small, binary.OpI32Const, binarytest.S(1), binary.OpCall, 0, binary.OpDrop)
	b.ExportAs("large\x1b", binary.ExternFunc, large)
	b.ExportAs("also", binary.ExternFunc, large)
	b.Table(binary.FuncRef, 3, 4)
	b.Funcs(1, small)
	b.Bytes(70_000, []byte("bytes"))
	b.Start = small
	b.Customs = []binary.Custom{{Name: "name", Payload: []byte{1, 9, 1, byte(small), 6, 's', 0xe2, 0x80, 0xae, 'x', 'y'}}}
	r := of(t, b)
	if want := []report.Import{{Module: "env", Name: "f", Kind: "func", Type: "(i32) -> (i64)"}}; !reflect.DeepEqual(r.Imports, want) {
		t.Errorf("imports %+v", r.Imports)
	}
	if len(r.Exports) != 3 || r.Exports[0].Type != "2 5" || r.Exports[1].Type != "(f64) -> ()" {
		t.Errorf("exports %+v", r.Exports)
	}
	if r.Memory == nil || r.Memory.Minimum != 2 || *r.Memory.Maximum != 5 || *r.Data[0].Offset != 70_000 || r.Data[0].Size != 5 || r.Elements[0].Count != 1 || *r.Start != small {
		t.Errorf("memory %+v, data %+v, elements %+v", r.Memory, r.Data, r.Elements)
	}
	if r.Named != 1 || r.Functions[0].Name != "s\u202exy" || r.Functions[1].Name != "large\x1b" {
		t.Errorf("names %q and %q", r.Functions[0].Name, r.Functions[1].Name)
	}
	f := r.Functions[1]
	// A parameter and a local, and one operand: 3 × 8 + 64.
	if f.Index != large || f.Loops != 1 || f.Calls != 2 || f.Frame != 88 || f.Instructions != 7 || f.Floats || f.Fuel != 1+2+1+2 {
		t.Errorf("%+v", f)
	}
	if sum := r.Functions[0].Percent + f.Percent; sum < 99.999 || sum > 100.001 || r.CodeSize != r.Functions[0].Size+f.Size {
		t.Errorf("shares of %v and %v", r.Functions[0].Percent, f.Percent)
	}
	r.Entries("large\x1b", "nobody", "memory")
	if len(r.Stacks) != 2 || r.Stacks[0].Bound != report.StackAtLeast || r.Stacks[0].Bytes != 88+64 || r.Stacks[1].Entry != "start function" {
		t.Errorf("stacks %+v", r.Stacks)
	}
}

// calls makes a module whose functions, "0", "1" …, call those that are listed;
// those below 0 by a tail call of -1-n.
func calls(lists ...[]int) *binarytest.Builder {
	b := binarytest.New()
	typ := b.Type(nil, nil)
	for i, list := range lists {
		var code []any
		for _, to := range list {
			if to < 0 {
				code = append(code, binary.OpReturnCall, -1-to)
			} else {
				code = append(code, binary.OpCall, to)
			}
		}
		b.ExportAs(string(rune('a'+i)), binary.ExternFunc, b.Func(typ, nil, code...))
	}
	return b
}

func TestStacks(t *testing.T) {
	const frame = 64
	for _, c := range []struct {
		name  string
		calls [][]int
		bound string
		bytes int64
		chain string
	}{
		{"none", [][]int{{}}, report.StackExact, frame, "a"},
		{"a chain", [][]int{{1}, {2}, {}}, report.StackExact, 3 * frame, "a b c"},
		{"the deeper of two", [][]int{{1, 2}, {}, {1}}, report.StackExact, 3 * frame, "a c b"},
		{"itself", [][]int{{0}}, report.StackUnbounded, frame, "a a"},
		{"a ring behind a function", [][]int{{1}, {2}, {3}, {1}}, report.StackUnbounded, 2 * frame, "b c d b"},
		{"a ring that is never reached", [][]int{{1}, {}, {2}}, report.StackExact, 2 * frame, "a b"},
		{"a tail call", [][]int{{-2}, {}}, report.StackExact, frame, "a"},
		{"a tail call of something deeper", [][]int{{-2}, {2}, {}}, report.StackExact, 2 * frame, "a b c"},
		{"itself by a tail call", [][]int{{-1}}, report.StackExact, frame, "a"},
		{"a ring of tail calls", [][]int{{-2}, {2, -1}, {}}, report.StackExact, 2 * frame, "a b c"},
		{"a ring of tail calls but one", [][]int{{-2}, {0}}, report.StackUnbounded, frame, "b a b"},
	} {
		r := of(t, calls(c.calls...))
		r.Entries("a")
		if s := r.Stacks[0]; s.Bound != c.bound || s.Bytes != c.bytes || strings.Join(s.Chain, " ") != c.chain {
			t.Errorf("%s: %+v, want %s, %d, %s", c.name, s, c.bound, c.bytes, c.chain)
		}
	}
}

// What is made to cost much in later stages does not here, though nothing is
// refused.
func TestReportsOfBombsStaySmall(t *testing.T) {
	for _, size := range []int{1 << 16, 1 << 20} {
		for _, bomb := range slices.Concat(binarytest.Bombs(size), binarytest.CompileBombs()) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r, err := report.Of(binary.Explore(bomb.Code, binary.DefaultCaps()))
			if err != nil {
				t.Fatalf("%s: %v", bomb.Name, err)
			}
			r.Entries("_start")
			runtime.ReadMemStats(&after)
			if used, most := after.TotalAlloc-before.TotalAlloc, uint64(200*len(bomb.Code)+1<<20); used > most {
				t.Errorf("%s: %d bytes are allocated for %d", bomb.Name, used, len(bomb.Code))
			}
		}
	}
}

// A chain as long as a module can have is followed without a stack of Go's.
func TestLongChain(t *testing.T) {
	const n = 150_000
	b := binarytest.New()
	typ := b.Type(nil, nil)
	for i := range n - 1 {
		b.Func(typ, nil, binary.OpCall, i+1)
	}
	b.Func(typ, nil)
	b.ExportAs("a", binary.ExternFunc, 0)
	r := of(t, b)
	r.Entries("a")
	if s := r.Stacks[0]; s.Depth != n || s.Bytes != n*64 || len(s.Chain) >= n {
		t.Errorf("%d functions of %d bytes", s.Depth, s.Bytes)
	}
}

// On any graph of calls the estimate is what a search of all chains finds.
func TestStacksOfRandomGraphs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "functions")
		lists := make([][]int, n)
		for i := range lists {
			lists[i] = rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 2).Draw(t, "calls")
		}
		r := of(t, calls(lists...))
		r.Entries("a")
		deepest, bounded := 0, true
		var follow func(chain []int)
		follow = func(chain []int) {
			deepest = max(deepest, len(chain))
			for _, to := range lists[chain[len(chain)-1]] {
				if slices.Contains(chain, to) {
					bounded = false
				} else {
					follow(append(slices.Clone(chain), to))
				}
			}
		}
		follow([]int{0})
		s := r.Stacks[0]
		switch {
		case bounded && (s.Bound != report.StackExact || s.Bytes != 64*int64(deepest)):
			t.Errorf("%+v, and the deepest chain has %d functions", s, deepest)
		case !bounded && (s.Bound != report.StackUnbounded || len(s.Chain) < 2 || s.Chain[0] != s.Chain[len(s.Chain)-1]):
			t.Errorf("%+v, and there is a recursion", s)
		}
		if !bounded {
			for i, name := range s.Chain[:len(s.Chain)-1] {
				if !slices.Contains(lists[name[0]-'a'], int(s.Chain[i+1][0]-'a')) {
					t.Errorf("%s does not call %s", name, s.Chain[i+1])
				}
			}
		}
	})
}
