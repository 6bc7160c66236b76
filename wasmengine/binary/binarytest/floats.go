package binarytest

import (
	"encoding/binary"
	"math"

	"pgregory.net/rapid"

	wasm "pappus/wasmengine/binary"
)

// Locals of functions with floats, behind those of all functions.
const (
	localFloat2  = 5
	localSingle  = 6
	localSingle2 = 7
	localVector  = 8
	localVector2 = 9
)

func floatLocals() wasm.ValueTypes {
	return Types(wasm.F64, wasm.F32, wasm.F32, wasm.V128, wasm.V128)
}

// floatLocal draws a local of type t.
func (g *generator) floatLocal(t wasm.ValueType) int {
	first := map[wasm.ValueType]int{wasm.F64: localFloat, wasm.F32: localSingle, wasm.V128: localVector}[t]
	return first + g.pick(2, "local")
}

// floatType draws one of the types that hold floats.
func (g *generator) floatType() wasm.ValueType {
	return []wasm.ValueType{wasm.F64, wasm.F32, wasm.V128}[g.pick(3, "type")]
}

func (g *generator) floatStatement() {
	t := g.floatType()
	store := map[wasm.ValueType]wasm.Op{wasm.F64: 0x39, wasm.F32: 0x38, wasm.V128: 0xfd0b}[t]
	switch g.pick(4, "statement") {
	case 0:
		g.address()
		g.expr(t, 2)
		g.emit(store, g.pick(3, "align"), g.pick(300, "offset"))
	case 1:
		g.address()
		g.expr(t, 2)
		g.emit(wasm.OpLocalTee, g.floatLocal(t), store, 0, 0)
	default:
		g.expr(t, 3)
		g.emit(wasm.OpLocalSet, g.floatLocal(t))
	}
}

// single and double are bits of floats: often those of special ones.
func (g *generator) single() uint32 {
	special := []uint32{0, 1 << 31, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 1, 0x7f7fffff, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffa12345, 0x7fe54321}
	if i := g.pick(2*len(special), "special"); i < len(special) {
		return special[i]
	}
	return rapid.Uint32().Draw(g.T, "bits")
}

func (g *generator) double() uint64 {
	special := []uint64{
		0, 1 << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 1, 0x7fefffffffffffff,
		0x7ff8000000000000, 0xfff8000000000000, 0x7ff0000000000001, 0xfff4000000012345, 0x7ffc000000054321,
	}
	if i := g.pick(2*len(special), "special"); i < len(special) {
		return special[i]
	}
	return rapid.Uint64().Draw(g.T, "bits")
}

func (g *generator) floatLeaf(t wasm.ValueType) {
	if g.pick(2, "leaf") == 0 {
		g.emit(wasm.OpLocalGet, g.floatLocal(t))
		return
	}
	switch t {
	case wasm.F32:
		g.emit(wasm.OpF32Const, math.Float32frombits(g.single()))
	case wasm.F64:
		g.emit(wasm.OpF64Const, math.Float64frombits(g.double()))
	default:
		var b []byte
		if g.pick(2, "lanes") == 0 {
			b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, g.double()), g.double())
		} else {
			for range 4 {
				b = binary.LittleEndian.AppendUint32(b, g.single())
			}
		}
		g.emit(wasm.OpV128Const, b)
	}
}

// form is an instruction with its operands; those that name a lane or an
// access have the immediates behind the opcode.
type form struct {
	op       wasm.Op
	operands wasm.ValueTypes
	imm      []byte
}

func forms(operands wasm.ValueTypes, ops ...wasm.Op) (list []form) {
	for _, op := range ops {
		list = append(list, form{op: op, operands: operands})
	}
	return list
}

func span(from, to wasm.Op) (list []wasm.Op) {
	for op := from; op <= to; op++ {
		list = append(list, op)
	}
	return list
}

// floatForms are the instructions around floats by what they give. Those that
// make NaNs come first in each list.
var floatForms = func() map[wasm.ValueType][]form {
	i32, i64, f32, f64, v128 := Types(wasm.I32), Types(wasm.I64), Types(wasm.F32), Types(wasm.F64), Types(wasm.V128)
	ff, dd, vv := Types(wasm.F32, wasm.F32), Types(wasm.F64, wasm.F64), Types(wasm.V128, wasm.V128)
	join := func(lists ...[]form) (all []form) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	lane := func(operands wasm.ValueTypes, op wasm.Op, lane byte) []form {
		return []form{{op, operands, []byte{lane}}}
	}
	access := func(op wasm.Op) []form { return []form{{op, i32, []byte{0, 8}}} }
	return map[wasm.ValueType][]form{
		wasm.F32: join(
			forms(ff, span(0x92, 0x97)...), forms(f32, span(0x8d, 0x91)...), forms(f64, 0xb6),
			forms(ff, 0x98), forms(f32, 0x8b, 0x8c), // copysign, abs, neg
			forms(i32, 0xb2, 0xb3, 0xbe), forms(i64, 0xb4, 0xb5), // convert, reinterpret
			access(0x2a), lane(v128, 0xfd1f, 2), forms(Types(wasm.F32, wasm.F32, wasm.I32), wasm.OpSelect)),
		wasm.F64: join(
			forms(dd, span(0xa0, 0xa5)...), forms(f64, span(0x9b, 0x9f)...), forms(f32, 0xbb),
			forms(dd, 0xa6), forms(f64, 0x99, 0x9a),
			forms(i32, 0xb7, 0xb8), forms(i64, 0xb9, 0xba, 0xbf),
			access(0x2b), lane(v128, 0xfd21, 1), forms(Types(wasm.F64, wasm.F64, wasm.I32), wasm.OpSelect)),
		wasm.V128: join(
			forms(vv, span(0xfde4, 0xfde9)...), forms(v128, 0xfd67, 0xfd68, 0xfd69, 0xfd6a, 0xfde3, 0xfd5e),
			forms(vv, span(0xfdf0, 0xfdf5)...), forms(v128, 0xfd74, 0xfd75, 0xfd7a, 0xfd94, 0xfdef, 0xfd5f),
			forms(vv, 0xfdea, 0xfdeb, 0xfdf6, 0xfdf7), forms(v128, 0xfde0, 0xfde1, 0xfdec, 0xfded), // pmin, pmax, abs, neg
			forms(vv, span(0xfd41, 0xfd4c)...), forms(v128, span(0xfdf8, 0xfdff)...), // comparisons, conversions
			forms(vv, 0xfd4e, 0xfd51, 0xfdce), forms(Types(wasm.V128, wasm.V128, wasm.V128), 0xfd52), // and, xor, i64x2.add, bitselect
			forms(f32, 0xfd13), forms(f64, 0xfd14), forms(i64, 0xfd12), access(0xfd00),
			lane(Types(wasm.V128, wasm.F32), 0xfd20, 1), lane(Types(wasm.V128, wasm.F64), 0xfd22, 1),
			[]form{{0xfd0d, vv, []byte{0, 17, 2, 19, 4, 21, 6, 23, 24, 9, 26, 11, 28, 13, 30, 15}}}), // shuffle
		wasm.I32: join(
			forms(ff, span(0x5b, 0x60)...), forms(dd, span(0x61, 0x66)...),
			forms(f32, 0xfc00, 0xfc01, 0xbc), forms(f64, 0xfc02, 0xfc03), forms(v128, 0xfd53), lane(v128, 0xfd1b, 3)),
		wasm.I64: join(
			forms(f32, 0xfc04, 0xfc05), forms(f64, 0xfc06, 0xfc07, 0xbd, 0xbd, 0xbd), lane(v128, 0xfd1d, 0), lane(v128, 0xfd1d, 1)),
	}
}()

// floatExpr leaves a value of type t that has to do with floats.
func (g *generator) floatExpr(t wasm.ValueType, depth int) {
	list := floatForms[t]
	n := len(list)
	if depth > 0 && (t == wasm.F32 || t == wasm.F64) && g.pick(2, "arithmetic") == 0 {
		n = 6
	}
	f := list[g.pick(n, "form")]
	for i, operand := range f.operands {
		if i == 0 && len(f.imm) == 2 {
			g.address()
		} else {
			g.expr(wasm.ValueType(operand), depth)
		}
	}
	if t != wasm.I32 && t != wasm.I64 && g.pick(6, "tee") == 0 {
		g.emit(f.op, f.imm)
		g.emit(wasm.OpLocalTee, g.floatLocal(t))
		return
	}
	g.emit(f.op, f.imm)
}
