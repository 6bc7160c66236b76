package canon_test

import (
	"slices"
	"testing"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
	"pappus/wasmengine/canon"
)

const (
	f32Add, f32Lt, f32Demote        = binary.Op(0x92), binary.Op(0x5d), binary.Op(0xb6)
	f64Add, f64Mul, f64Sqrt, f64Lt  = binary.Op(0xa0), binary.Op(0xa2), binary.Op(0x9f), binary.Op(0x63)
	f64Neg, f64Copysign, f64Promote = binary.Op(0x9a), binary.Op(0xa6), binary.Op(0xbb)
	f64Store, f64Load               = binary.Op(0x39), binary.Op(0x2b)
	i32Trunc, i64TruncSat, i64Bits  = binary.Op(0xaa), binary.Op(0xfc06), binary.Op(0xbd)
	f32x4Add, f32x4Lt, f32x4Neg     = binary.Op(0xfde4), binary.Op(0xfd43), binary.Op(0xfde1)
	f64x2Add, f64x2Pmin, f64x2Lane  = binary.Op(0xfdf0), binary.Op(0xfdf6), binary.Op(0xfd21)
	v128Xor, f64x2Promote           = binary.Op(0xfd51), binary.Op(0xfd5f)
	f32x4Demote, i32x4TruncSat      = binary.Op(0xfd5e), binary.Op(0xfdf8)
)

// Locals of the bodies below: four of f64, two of f32, two of v128, one of i32.
const (
	a, b, c, d = 0, 1, 2, 3
	e, f       = 4, 5
	v, w       = 6, 7
	i          = 8
	locals     = 9
)

func get(local int) []byte { return binarytest.Code(binary.OpLocalGet, local) }
func set(local int) []byte { return binarytest.Code(binary.OpLocalSet, local) }
func tee(local int) []byte { return binarytest.Code(binary.OpLocalTee, local) }

// plan gives the sites of a body.
func plan(t *testing.T, p *canon.Planner, code []byte) []canon.Site {
	t.Helper()
	p.Begin(locals)
	r := binary.NewReader(code)
	var in binary.Instr
	for r.Next(&in) {
		p.Step(&in)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(p.End())
}

// Only results that can be observed are made canonical.
func TestPlan(t *testing.T) {
	type parts = []any
	const void = binarytest.Void
	var planner canon.Planner
	for _, x := range []struct {
		name string
		code parts
		ops  []binary.Op // of the sites
	}{
		{"nothing", parts{get(a)}, nil},
		{"a result", parts{get(a), get(b), f64Add}, []binary.Op{f64Add}},
		{"only the outermost", parts{get(a), get(b), get(c), f64Mul, f64Add}, []binary.Op{f64Add}},
		{"through conversions of floats", parts{get(a), f64Sqrt, f32Demote, get(e), f32Add, f64Promote}, []binary.Op{f64Promote}},
		{"compared", parts{get(a), get(b), f64Add, get(c), f64Lt}, nil},
		{"truncated", parts{get(a), f64Sqrt, i32Trunc}, nil},
		{"truncated with saturation", parts{get(a), f64Sqrt, i64TruncSat}, nil},
		{"dropped", parts{get(a), f64Sqrt, binary.OpDrop}, nil},
		{"looked at as bits", parts{get(a), f64Sqrt, i64Bits}, []binary.Op{f64Sqrt}},
		{"negated", parts{get(a), f64Sqrt, f64Neg}, []binary.Op{f64Sqrt}},
		{"negated and compared", parts{get(a), f64Sqrt, f64Neg, get(b), f64Lt}, nil},
		{"its sign copied", parts{get(a), get(b), f64Sqrt, f64Copysign, get(c), f64Lt}, []binary.Op{f64Sqrt}},
		{"stored", parts{get(i), get(a), get(b), f64Add, f64Store, 3, 0}, []binary.Op{f64Add}},
		{"loads are exact", parts{get(i), f64Load, 3, 0}, nil},
		{"passed", parts{get(a), f64Sqrt, binary.OpCall, 0}, []binary.Op{f64Sqrt}},
		{"in a global", parts{get(a), f64Sqrt, binary.OpGlobalSet, 0}, []binary.Op{f64Sqrt}},
		{"selected", parts{get(a), f64Sqrt, get(b), get(i), binary.OpSelect, get(c), f64Lt}, []binary.Op{f64Sqrt}},
		{"returned", parts{get(a), f64Sqrt, binary.OpReturn}, []binary.Op{f64Sqrt}},
		{"carried by a branch", parts{get(a), f64Sqrt, binary.OpBr, 0}, []binary.Op{f64Sqrt}},
		{"left by a block", parts{binary.OpBlock, binary.F64, get(a), f64Sqrt, binary.OpEnd, get(b), f64Lt}, []binary.Op{f64Sqrt}},
		{"below a block", parts{get(a), f64Sqrt, binary.OpBlock, void, binary.OpEnd, get(b), f64Lt}, []binary.Op{f64Sqrt}},
		{"a block's value calculated with", parts{binary.OpBlock, binary.F64, get(a), binary.OpEnd, get(b), f64Add, get(c), f64Lt}, nil},
		{"a call's value calculated with", parts{get(a), binary.OpCall, 0, get(b), f64Add, get(c), f64Lt}, nil},
		{"behind a return", parts{binary.OpReturn, f64Add, f64Add}, []binary.Op{f64Add}},

		{"a local that nobody reads", parts{get(a), f64Sqrt, set(b)}, nil},
		{"a local that is returned", parts{get(a), f64Sqrt, set(b), get(b)}, []binary.Op{f64Sqrt}},
		{"a local that is returned before", parts{binary.OpLoop, void, get(i), get(b), f64Store, 3, 0, get(a), f64Sqrt, set(b), binary.OpEnd}, []binary.Op{f64Sqrt}},
		{"a local that is compared", parts{get(a), f64Sqrt, set(b), get(b), get(c), f64Lt}, nil},
		{"two that get into one local", parts{get(a), f64Sqrt, set(b), get(a), get(c), f64Add, set(b), get(b)}, []binary.Op{f64Sqrt, f64Add}},
		{"from local to local", parts{get(a), f64Sqrt, set(b), get(b), set(c), get(c), set(d), get(d)}, []binary.Op{f64Sqrt}},
		{"from local to local and compared", parts{get(a), f64Sqrt, set(b), get(b), set(c), get(c), get(d), f64Lt}, nil},
		{"locals in a ring", parts{binary.OpLoop, void, get(a), f64Sqrt, set(b), get(b), set(c), get(c), set(b), get(c), get(d), f64Lt, set(i), binary.OpEnd}, nil},
		{"kept and compared", parts{get(a), f64Sqrt, tee(b), get(c), f64Lt}, nil},
		{"kept, compared and returned", parts{get(a), f64Sqrt, tee(b), get(c), f64Lt, binary.OpDrop, get(b)}, []binary.Op{f64Sqrt}},
		{"kept and stored", parts{get(i), get(a), f64Sqrt, tee(b), f64Store, 3, 0}, []binary.Op{f64Sqrt}},
		{
			"a sum in a loop, which is returned",
			parts{binary.OpLoop, void, get(a), get(b), get(c), f64Mul, f64Add, set(a), get(i), binary.OpBrIf, 0, binary.OpEnd, get(a)},
			[]binary.Op{f64Add},
		},

		{"vectors compared", parts{get(v), get(w), f32x4Add, get(w), f32x4Lt}, nil},
		{"vectors truncated", parts{get(v), get(w), f32x4Add, i32x4TruncSat}, nil},
		{"vectors, the outermost", parts{get(v), get(w), f32x4Add, get(w), f32x4Add, set(v), get(v), f32x4Neg, get(v), f32x4Lt}, nil},
		{"a vector looked at as bits", parts{get(v), get(w), f32x4Add, get(w), v128Xor}, []binary.Op{f32x4Add}},
		{"lanes of another width", parts{get(v), get(w), f32x4Add, get(w), f64x2Add, binary.OpDrop}, []binary.Op{f32x4Add}},
		{"lanes of another width through a local", parts{get(v), get(w), f32x4Add, set(v), get(v), get(w), f64x2Add, binary.OpDrop}, []binary.Op{f32x4Add}},
		{"lanes of another width by negation", parts{get(v), get(w), f64x2Add, f32x4Neg, binary.OpDrop}, []binary.Op{f64x2Add}},
		{"lanes converted", parts{get(v), get(w), f64x2Add, f32x4Demote, f64x2Promote, binary.OpDrop}, nil},
		{"a lane", parts{get(v), get(w), f64x2Add, f64x2Lane, byte(0), get(a), f64Lt}, []binary.Op{f64x2Add}},
		{"pmin is exact", parts{get(v), get(w), f64x2Pmin}, nil},
		{"floats of 32 bits", parts{get(e), get(f), f32Add, tee(e), get(f), f32Add, get(e), f32Lt}, nil},
	} {
		code := binarytest.Code(append(x.code, binary.OpEnd)...)
		var ops []binary.Op
		for _, s := range plan(t, &planner, code) {
			r := binary.NewReader(code[s.At:])
			var in binary.Instr
			r.Next(&in)
			ops = append(ops, in.Op)
		}
		if !slices.Equal(ops, x.ops) {
			t.Errorf("%s: %v, want %v", x.name, ops, x.ops)
		}
	}
}

// Blocks stand only in loops, and only so many that the time to compile them
// does not matter.
func TestBranches(t *testing.T) {
	const void = binarytest.Void
	stored := binarytest.Code(get(i), get(a), f64Sqrt, f64Store, 3, 0)
	var planner canon.Planner
	for _, x := range []struct {
		name            string
		code            []any
		sites, branches int
	}{
		{"straight", []any{stored}, 1, 0},
		{"in a loop", []any{binary.OpLoop, void, stored, binary.OpEnd}, 1, 1},
		{"in a block in a loop", []any{binary.OpLoop, void, binary.OpBlock, void, stored, binary.OpEnd, stored, binary.OpEnd, stored}, 3, 2},
		{"in a block", []any{binary.OpBlock, void, stored, binary.OpLoop, void, binary.OpEnd, stored, binary.OpEnd}, 2, 0},
		{"vectors", []any{binary.OpLoop, void, get(v), get(w), f32x4Add, set(v), get(v), binary.OpReturn, binary.OpEnd}, 1, 0},
		{"many", []any{binary.OpLoop, void, slices.Repeat(stored, 1000), binary.OpEnd}, 1000, 50},
	} {
		sites := plan(t, &planner, binarytest.Code(append(x.code, binary.OpEnd)...))
		branches := 0
		for _, s := range sites {
			if s.Branch {
				branches++
			}
		}
		if len(sites) != x.sites || branches != x.branches {
			t.Errorf("%s: %d sites, %d by branches, want %d and %d", x.name, len(sites), branches, x.sites, x.branches)
		}
	}
}
