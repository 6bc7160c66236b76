package meter

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"pgregory.net/rapid"

	wasm "pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

const (
	canonical32 = 0x7fc00000
	canonical64 = 0x7ff8000000000000
)

// Floats of all kinds: zeros, ones, subnormal and huge numbers, infinities, and
// NaNs of both signs, quiet and signalling, with and without payloads.
var (
	singles = []uint64{
		0, 0x80000000, 0x3f800000, 0xbf800000, 0x40490fdb, 1, 0x80000001, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,
		canonical32, 0xffc00000, 0x7fc00001, 0xffe54321, 0x7fffffff, 0x7f800001, 0xff800001, 0x7fa12345, 0xffbfffff,
	}
	doubles = []uint64{
		0, 1 << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x400921fb54442d18, 1, 1<<63 | 1, 0x7fefffffffffffff, 0xffefffffffffffff,
		0x7ff0000000000000, 0xfff0000000000000, 0x36a0000000000000, // the last one is the least single
		canonical64, 0xfff8000000000000, 0x7ff8000000000001, 0xfffc000000054321, 0x7fffffffffffffff, 0x7ff0000000000001, 0xfff0000000000001,
		0x7ff4000012345678, 0xfff7ffffffffffff,
	}
)

func isNaN32(bits uint64) bool { return bits&0x7fffffff > 0x7f800000 }
func isNaN64(bits uint64) bool { return bits&(1<<63-1) > 0x7ff0000000000000 }

// producer is an instruction whose NaN the specification leaves open.
type producer struct {
	name     string
	op       wasm.Op
	operands int
	from, to int // width of lanes, 32 or 64
	vector   bool
}

// producers are all of them, by their names in the specification.
func producers() (list []producer) {
	add := func(lanes string, width, operands int, vector bool, ops map[string]wasm.Op) {
		for name, op := range ops {
			list = append(list, producer{lanes + "." + name, op, operands, width, width, vector})
		}
	}
	type m = map[string]wasm.Op
	add("f32", 32, 2, false, m{"add": 0x92, "sub": 0x93, "mul": 0x94, "div": 0x95, "min": 0x96, "max": 0x97})
	add("f64", 64, 2, false, m{"add": 0xa0, "sub": 0xa1, "mul": 0xa2, "div": 0xa3, "min": 0xa4, "max": 0xa5})
	add("f32x4", 32, 2, true, m{"add": 0xfde4, "sub": 0xfde5, "mul": 0xfde6, "div": 0xfde7, "min": 0xfde8, "max": 0xfde9})
	add("f64x2", 64, 2, true, m{"add": 0xfdf0, "sub": 0xfdf1, "mul": 0xfdf2, "div": 0xfdf3, "min": 0xfdf4, "max": 0xfdf5})
	add("f32", 32, 1, false, m{"ceil": 0x8d, "floor": 0x8e, "trunc": 0x8f, "nearest": 0x90, "sqrt": 0x91})
	add("f64", 64, 1, false, m{"ceil": 0x9b, "floor": 0x9c, "trunc": 0x9d, "nearest": 0x9e, "sqrt": 0x9f})
	add("f32x4", 32, 1, true, m{"ceil": 0xfd67, "floor": 0xfd68, "trunc": 0xfd69, "nearest": 0xfd6a, "sqrt": 0xfde3})
	add("f64x2", 64, 1, true, m{"ceil": 0xfd74, "floor": 0xfd75, "trunc": 0xfd7a, "nearest": 0xfd94, "sqrt": 0xfdef})
	list = append(list,
		producer{"f32.demote_f64", 0xb6, 1, 64, 32, false}, producer{"f64.promote_f32", 0xbb, 1, 32, 64, false},
		producer{"f32x4.demote_f64x2_zero", 0xfd5e, 1, 64, 32, true}, producer{"f64x2.promote_low_f32x4", 0xfd5f, 1, 32, 64, true})
	return list
}

// module exports "f" and "loop", which does it in a loop, where other code is
// used. Their parameters and results are bits of floats as i64, two for each
// vector.
func (p producer) module() []byte {
	words := 1
	if p.vector {
		words = 2
	}
	types := slices.Repeat(binarytest.Types(wasm.I64), words*p.operands)
	var code []any
	for i := range p.operands {
		code = append(code, wasm.OpLocalGet, i*words)
		switch {
		case p.vector:
			code = append(code, wasm.Op(0xfd12), wasm.OpLocalGet, i*words+1, wasm.Op(0xfd1e), byte(1)) // i64x2.splat, replace_lane
		case p.from == 32:
			code = append(code, wasm.Op(0xa7), wasm.Op(0xbe)) // i32.wrap_i64, f32.reinterpret_i32
		default:
			code = append(code, wasm.Op(0xbf)) // f64.reinterpret_i64
		}
	}
	code = append(code, p.op)
	result := len(types)
	back := []any{wasm.OpLocalGet, result}
	local := wasm.F64
	switch {
	case p.vector:
		local = wasm.V128
		back = append(back, wasm.Op(0xfd1d), byte(0), wasm.OpLocalGet, result, wasm.Op(0xfd1d), byte(1)) // i64x2.extract_lane
	case p.to == 32:
		local = wasm.F32
		back = append(back, wasm.Op(0xbc), wasm.OpI64ExtendI32U)
	default:
		back = append(back, wasm.Op(0xbd))
	}
	code = append(code, wasm.OpLocalSet, result)
	b := binarytest.New()
	b.Pages(1, 1)
	typ := b.Type(types, slices.Repeat(binarytest.Types(wasm.I64), words))
	b.ExportFunc("f", typ, binarytest.Types(local), append(slices.Clone(code), back...)...)
	loop := append([]any{wasm.OpLoop, binarytest.Void}, code...)
	b.ExportFunc("loop", typ, binarytest.Types(local), append(append(loop, wasm.OpEnd), back...)...)
	return b.Encode()
}

// inputs are all pairs of floats, packed into words.
func (p producer) inputs() (list [][]uint64) {
	values, pack := doubles, func(at int) uint64 { return doubles[at%len(doubles)] }
	if p.from == 32 {
		values = singles
		pack = func(at int) uint64 { return singles[at%len(singles)] }
		if p.vector {
			pack = func(at int) uint64 { return singles[at%len(singles)] | singles[(at+5)%len(singles)]<<32 }
		}
	}
	for i := range values {
		for j := range values {
			in := []uint64{pack(i)}
			if p.vector {
				in = append(in, pack(i+7))
			}
			if p.operands == 2 {
				in = append(in, pack(j))
				if p.vector {
					in = append(in, pack(j+11))
				}
			} else if j > 0 {
				break
			}
			list = append(list, in)
		}
	}
	return list
}

// lanes splits words into lanes.
func (p producer) lanes(words []uint64) (list []uint64) {
	for _, w := range words {
		switch {
		case p.to == 64:
			list = append(list, w)
		case p.vector:
			list = append(list, w&math.MaxUint32, w>>32)
		default:
			list = append(list, w)
		}
	}
	return list
}

func (p producer) canonical(lane uint64) uint64 {
	switch {
	case p.to == 32 && isNaN32(lane):
		return canonical32
	case p.to == 64 && isNaN64(lane):
		return canonical64
	}
	return lane
}

// Every instruction gives the canonical NaN wherever it gives one, and what it
// gave before otherwise.
func TestNaNsAreCanonical(t *testing.T) {
	engines(t, func(t *testing.T, l *lab) {
		for _, p := range producers() {
			code := p.module()
			me := rewrite(t, code)
			plain, metered := l.instantiate(t, code), l.instantiate(t, me.Code)
			l.grant = &grant{slice: noLimit, limit: noLimit}
			metered.ExportedGlobal(me.Stack).(api.MutableGlobal).Set(1 << 20) //nolint:errcheck // the test fails
			others := 0                                                       // NaNs that were not canonical
			for _, in := range p.inputs() {
				raw, err := plain.ExportedFunction("f").Call(context.Background(), in...)
				if err != nil {
					t.Fatal(p.name, err)
				}
				want := p.lanes(raw)
				for i, lane := range want {
					if c := p.canonical(lane); c != lane {
						want[i] = c
						others++
					}
				}
				for _, fn := range []string{"f", "loop"} {
					got, err := metered.ExportedFunction(fn).Call(context.Background(), in...)
					if err != nil {
						t.Fatal(p.name, err)
					}
					if got := p.lanes(got); !slices.Equal(got, want) {
						t.Errorf("%s %s of %x: %x, want %x (plain %x)", p.name, fn, in, got, want, raw)
					}
				}
			}
			if others == 0 {
				t.Errorf("%s: no input gave any other NaN: the test shows nothing", p.name)
			}
		}
	})
}

// mover is code that moves a float's bits: it takes those of local 0 and
// leaves what become of them.
type mover struct {
	name string
	code []any
	want func(bits uint64) uint64 // nil: the same
}

// movers, for floats of 32 or 64 bits. Local 1 is one more of the same type,
// local 2 a vector, and function 0 returns its parameter.
func movers(width int) []mover {
	pick := func(single, double wasm.Op) wasm.Op {
		if width == 32 {
			return single
		}
		return double
	}
	sign := uint64(1) << (width - 1)
	t := wasm.F64
	one := any(float64(1))
	if width == 32 {
		t, one = wasm.F32, float32(1)
	}
	i32 := func(v int) []byte { return binarytest.Code(i32Const, binarytest.S(v)) }
	get := []byte{byte(wasm.OpLocalGet), 0}
	constant := pick(wasm.OpF32Const, wasm.OpF64Const)
	reinterpret, back := pick(0xbc, 0xbd), pick(0xbe, 0xbf)
	splat, extract, replace := pick(0xfd13, 0xfd14), pick(0xfd1f, 0xfd21), pick(0xfd20, 0xfd22)
	last := byte(128/width - 1)
	return []mover{
		{"local.get", []any{get}, nil},
		{"local.set", []any{get, wasm.OpLocalSet, 1, wasm.OpLocalGet, 1}, nil},
		{"local.tee", []any{get, wasm.OpLocalTee, 1}, nil},
		{"global", []any{get, wasm.OpGlobalSet, 0, wasm.OpGlobalGet, 0}, nil},
		{"memory", []any{i32(64), get, pick(0x38, 0x39), 0, 0, i32(64), pick(0x2a, 0x2b), 0, 0}, nil},
		{"memory.copy", []any{i32(64), get, pick(0x38, 0x39), 0, 0, i32(128), i32(64), i32(8), wasm.OpMemoryCopy, 0, 0, i32(128), pick(0x2a, 0x2b), 0, 0}, nil},
		{"select", []any{get, constant, one, i32(1), wasm.OpSelect}, nil},
		{"select of the second", []any{constant, one, get, i32(0), wasm.OpSelectTyped, 1, t}, nil},
		{"call", []any{get, wasm.OpCall, 0}, nil},
		{"call_indirect", []any{get, i32(0), wasm.OpCallIndirect, 0, 0}, nil},
		{"return_call", []any{get, wasm.OpReturnCall, 0}, nil},
		{"return", []any{get, wasm.OpReturn}, nil},
		{"block", []any{wasm.OpBlock, t, get, wasm.OpEnd}, nil},
		{"br", []any{wasm.OpBlock, t, get, wasm.OpBr, 0, wasm.OpEnd}, nil},
		{"br_if", []any{wasm.OpBlock, t, get, i32(1), wasm.OpBrIf, 0, wasm.OpDrop, constant, one, wasm.OpEnd}, nil},
		{"if", []any{i32(1), wasm.OpIf, t, get, wasm.OpElse, constant, one, wasm.OpEnd}, nil},
		{"loop", []any{get, wasm.OpLoop, 0, wasm.OpEnd}, nil},
		{"reinterpret", []any{get, reinterpret, back}, nil},
		{"abs", []any{get, pick(0x8b, 0x99)}, func(bits uint64) uint64 { return bits &^ sign }},
		{"neg", []any{get, pick(0x8c, 0x9a)}, func(bits uint64) uint64 { return bits ^ sign }},
		{"copysign", []any{get, constant, one, pick(0x98, 0xa6)}, func(bits uint64) uint64 { return bits &^ sign }},
		{"copysign of the sign", []any{constant, one, get, pick(0x98, 0xa6), reinterpret, back}, func(bits uint64) uint64 {
			if width == 32 {
				return bits&sign | uint64(math.Float32bits(1))
			}
			return bits&sign | math.Float64bits(1)
		}},
		{"lanes", []any{wasm.OpLocalGet, 2, get, replace, last, extract, last}, nil},
		{"splat", []any{get, splat, extract, last}, nil},
		{"vector in memory", []any{i32(64), get, splat, wasm.Op(0xfd0b), 0, 0, i32(64), wasm.Op(0xfd00), 0, 0, extract, last}, nil},
		{"shuffle", []any{get, splat, wasm.OpLocalGet, 2, wasm.Op(0xfd0d), []byte{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7}, extract, last}, nil},
		{"bitselect", []any{get, splat, get, splat, wasm.OpLocalGet, 2, wasm.OpV128Bitselect, extract, last}, nil},
		{"abs of a vector", []any{get, splat, pick(0xfde0, 0xfdec), extract, last}, func(bits uint64) uint64 { return bits &^ sign }},
		{"neg of a vector", []any{get, splat, pick(0xfde1, 0xfded), extract, last}, func(bits uint64) uint64 { return bits ^ sign }},
		{"pmin of the same", []any{get, splat, get, splat, pick(0xfdea, 0xfdf6), extract, last}, nil},
		{"pmax of the same", []any{get, splat, get, splat, pick(0xfdeb, 0xfdf7), extract, last}, nil},
	}
}

// What moves floats moves their bits, whatever they are.
func TestNaNsTravelUnchanged(t *testing.T) {
	engines(t, func(t *testing.T, l *lab) {
		for _, width := range []int{32, 64} {
			typ, values, zero := wasm.F32, singles, []any{wasm.OpF32Const, float32(0)}
			if width == 64 {
				typ, values, zero = wasm.F64, doubles, []any{wasm.OpF64Const, float64(0)}
			}
			for _, m := range movers(width) {
				b := binarytest.New().Pages(1, 1)
				ft := b.Type(binarytest.Types(typ), binarytest.Types(typ))
				f := b.Func(ft, nil, wasm.OpLocalGet, 0)
				b.ExportFunc("f", ft, binarytest.Types(typ, wasm.V128), m.code...)
				b.Global(typ, true, zero...)
				b.Table(wasm.FuncRef, 1, 1)
				b.Funcs(0, f)
				me := rewrite(t, b.Encode())
				inst := l.instantiate(t, me.Code)
				for _, v := range values {
					want := v
					if m.want != nil {
						want = m.want(v)
					}
					got := l.run(t, inst, me, call{fn: "f", args: []uint64{v}})
					if got.trap != "" || !slices.Equal(got.results, []uint64{want}) {
						t.Errorf("%s of %#x (%d bits): %x %q, want %x", m.name, v, width, got.results, got.trap, want)
					}
				}
			}
		}
	})
}

// naive makes every NaN canonical right where it is made, whoever sees it.
func naive(t tb, code []byte) []byte {
	t.Helper()
	m, err := wasm.Decode(code, wasm.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	byOp := map[wasm.Op]producer{}
	for _, p := range producers() {
		byOp[p.op] = p
	}
	for i := range m.Bodies {
		b := &m.Bodies[i]
		first := uint32(len(m.Types[m.FuncTypes[i]].Params)) + b.Locals
		out := addLocals(t, b.Raw[:b.First])
		code := b.Raw[b.First:]
		r := wasm.NewReader(code)
		var in wasm.Instr
		for r.Next(&in) {
			out = append(out, code[in.Start:in.End]...)
			p, ok := byOp[in.Op]
			if !ok {
				continue
			}
			x, ne, sel := first, wasm.Op(0x5c), wasm.OpSelect
			nan := binarytest.Code(wasm.OpF32Const, math.Float32frombits(canonical32))
			if p.to == 64 {
				x, ne = first+1, 0x62
				nan = binarytest.Code(wasm.OpF64Const, math.Float64frombits(canonical64))
			}
			if p.vector {
				x, ne, sel = first+2, 0xfd42, wasm.OpV128Bitselect
				word := uint64(canonical32)<<32 | canonical32
				if p.to == 64 {
					ne, word = 0xfd48, canonical64
				}
				nan = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(binarytest.Code(wasm.OpV128Const), word), word)
			}
			out = append(out, binarytest.Code(wasm.OpLocalSet, x, nan, wasm.OpLocalGet, x, wasm.OpLocalGet, x, wasm.OpLocalGet, x, ne, sel)...)
		}
		b.Raw = out
	}
	return wasm.Encode(m)
}

// addLocals adds an f32, an f64 and a v128 to local declarations, of which
// there are few.
func addLocals(t tb, decls []byte) []byte {
	t.Helper()
	if decls[0] > 100 {
		t.Fatal("too many declarations")
	}
	out := append([]byte{decls[0] + 3}, decls[1:]...)
	return append(out, 1, byte(wasm.F32), 1, byte(wasm.F64), 1, byte(wasm.V128))
}

// Random modules give the same on both engines to the bit, and the same as when
// all NaNs are made canonical everywhere.
func TestRandomFloats(t *testing.T) {
	compiler := newLab(t, wazero.NewRuntimeConfigCompiler())
	interpreter := newLab(t, wazero.NewRuntimeConfigInterpreter())
	rapid.Check(t, func(t *rapid.T) {
		code := binarytest.RandomFloats(t)
		m, err := wasm.Decode(code, wasm.DefaultCaps())
		if err != nil {
			t.Fatal(err)
		}
		reference := naive(t, code)
		args := []uint64{uint64(rapid.Uint32().Draw(t, "int")), rapid.Uint64().Draw(t, "long")}
		c := call{fn: "f" + strconv.Itoa(len(m.Bodies)-1), args: args}
		a := compiler.checkAgainst(t, code, reference, c)
		b := interpreter.checkAgainst(t, code, reference, c)
		if !a.same(b) || a.fuel != b.fuel {
			t.Fatalf("compiler: %x, fuel %d, %q; interpreter: %x, fuel %d, %q (memory equal: %v)",
				a.results, a.fuel, a.trap, b.results, b.fuel, b.trap, a.memory == b.memory)
		}
		// The instructions that are added cost nothing.
		kept, err := Options{KeepNaNs: true}.Rewrite(m)
		if err != nil {
			t.Fatal(err)
		}
		c.limit, c.stack = bounded, shallow
		if k := compiler.metered(t, kept, c); k.same(a) && (k.fuel != a.fuel || k.stack != a.stack) {
			t.Fatalf("fuel %d, stack %d; with NaNs as they are fuel %d, stack %d", a.fuel, a.stack, k.fuel, k.stack)
		}
	})
}

// Canonical NaNs cost no fuel and no stack.
func TestNaNsAreFree(t *testing.T) {
	engines(t, func(t *testing.T, l *lab) {
		for _, p := range producers() {
			code := p.module()
			m, err := wasm.Decode(code, wasm.DefaultCaps())
			if err != nil {
				t.Fatal(err)
			}
			kept, err := Options{KeepNaNs: true}.Rewrite(m)
			if err != nil {
				t.Fatal(err)
			}
			me := rewrite(t, code)
			if len(me.Code) == len(kept.Code) {
				t.Errorf("%s: nothing was added", p.name)
			}
			for _, fn := range []string{"f", "loop"} {
				c := call{fn: fn, args: p.inputs()[0]}
				with, without := l.metered(t, me, c), l.metered(t, kept, c)
				if with.fuel != without.fuel || with.stack != without.stack {
					t.Errorf("%s %s: fuel %d, stack %d, without %d, %d", p.name, fn, with.fuel, with.stack, without.fuel, without.stack)
				}
				// A frame that fits without them fits with them, to the byte.
				c.stack = leastStack(t, l, kept, c)
				if got := l.metered(t, me, c); got.trap != "" {
					t.Errorf("%s %s: %q with %d bytes of stack", p.name, fn, got.trap, c.stack)
				}
			}
		}
	})
}

// leastStack is the least stack limit of which a call ends well.
func leastStack(t tb, l *lab, me *Metered, c call) int64 {
	t.Helper()
	for c.stack = 8; c.stack < 1<<12; c.stack += 8 {
		if l.metered(t, me, c).trap == "" {
			return c.stack
		}
	}
	t.Fatal("no stack is enough")
	return 0
}

// A function that grows over the bound is refused as any other.
func TestNaNsGrowWithinBounds(t *testing.T) {
	// Each round is 3 bytes: f64.sqrt and local.tee, of a local that is read.
	build := func(n int) []byte {
		b := binarytest.New()
		typ := b.Type(binarytest.Types(wasm.F64), binarytest.Types(wasm.F64))
		round := binarytest.Code(wasm.OpF64Sqrt, wasm.OpLocalTee, 0)
		code := slices.Repeat(round, n)
		b.ExportFunc("f", typ, nil, wasm.OpLocalGet, 0, code, wasm.OpDrop, wasm.OpLocalGet, 0)
		return b.Encode()
	}
	caps := wasm.DefaultCaps()
	m, err := wasm.Decode(build(caps.Body/3-10), caps)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Rewrite(m); !errors.Is(err, ErrTooLarge) {
		t.Errorf("the largest function of square roots: %v", err)
	}
	m, err = wasm.Decode(build(100_000), caps)
	if err != nil {
		t.Fatal(err)
	}
	me, err := Rewrite(m)
	if err != nil {
		t.Fatal(err)
	}
	if me.LargestBody > maxBody || me.LargestBody < 1_000_000 {
		t.Errorf("a hundred thousand square roots: %d bytes", me.LargestBody)
	}
}

// BenchmarkCompileNaNs compiles a function of a thousand sums that are stored,
// with NaNs as they are and canonical, in turns.
func BenchmarkCompileNaNs(b *testing.B) {
	sums := slices.Repeat(binarytest.Code(i32Const, binarytest.S(0), wasm.OpLocalGet, 0, wasm.OpLocalGet, 1, wasm.Op(0xa0), wasm.Op(0x39), 3, 0), 1000)
	for name, code := range map[string][]any{
		"straight":  {sums},
		"in a loop": {wasm.OpLoop, binarytest.Void, sums, wasm.OpEnd},
	} {
		b.Run(name, func(b *testing.B) {
			m := binarytest.New().Pages(1, 1)
			m.ExportFunc("f", m.Type(binarytest.Types(wasm.F64, wasm.F64), nil), nil, code...)
			plain := m.Encode()
			decoded, err := wasm.Decode(plain, wasm.DefaultCaps())
			if err != nil {
				b.Fatal(err)
			}
			kept, err := Options{KeepNaNs: true}.Rewrite(decoded)
			if err != nil {
				b.Fatal(err)
			}
			metered := rewrite(b, plain)
			l := newLab(b, wazero.NewRuntimeConfigCompiler())
			best := [2]time.Duration{math.MaxInt64, math.MaxInt64}
			for b.Loop() {
				for i, code := range [][]byte{kept.Code, metered.Code} {
					start := time.Now()
					c, err := l.runtime.CompileModule(context.Background(), code)
					best[i] = min(best[i], time.Since(start))
					if err != nil {
						b.Fatal(err)
					}
					_ = c.Close(context.Background()) // it has no resources to lose
				}
			}
			b.ReportMetric(float64(best[1])/float64(best[0]), "canonical/kept")
			b.ReportMetric(float64(len(metered.Code))/float64(len(kept.Code)), "bytes/kept")
			b.ReportMetric(0, "ns/op")
		})
	}
}
