package canon

import (
	"encoding/binary"

	wasm "pappus/wasmengine/binary"
)

// Bits of the canonical NaNs.
const (
	canonical32 = 0x7fc00000
	canonical64 = 0x7ff8000000000000
)

// Scratch are the locals that the code of one function's sites needs.
type Scratch struct {
	Types   wasm.ValueTypes // of the locals to add
	indices [F64x2 + 1]uint32
}

// NewScratch gives the locals for some sites; first is the index of the first
// of them.
func NewScratch(sites []Site, first uint32) Scratch {
	var s Scratch
	var used [F64x2 + 1]bool
	for _, site := range sites {
		used[site.Kind] = true
	}
	add := func(t wasm.ValueType, kinds ...Kind) {
		for _, k := range kinds {
			s.indices[k] = first + uint32(len(s.Types))
		}
		s.Types = append(s.Types, byte(t))
	}
	if used[F32] {
		add(wasm.F32, F32)
	}
	if used[F64] {
		add(wasm.F64, F64)
	}
	if used[F32x4] || used[F64x2] {
		add(wasm.V128, F32x4, F64x2)
	}
	return s
}

// Append appends the code that makes the value on the stack canonical. It is
// one block if site.Branch is set, and straight otherwise.
//
// A number is at least itself, a NaN is not: on amd64 this comparison takes one
// flag, that for equality two.
func (s *Scratch) Append(b []byte, site Site) []byte {
	x := s.indices[site.Kind]
	if site.Branch {
		b = appendLocal(b, wasm.OpLocalSet, x)
		b = appendCompare(b, site.Kind, x)
		b = append(b, byte(wasm.OpIf), void, byte(wasm.OpElse))
		b = appendNaN(b, site.Kind)
		b = appendLocal(b, wasm.OpLocalSet, x)
		b = append(b, byte(wasm.OpEnd))
		return appendLocal(b, wasm.OpLocalGet, x)
	}
	b = appendLocal(b, wasm.OpLocalTee, x)
	b = appendNaN(b, site.Kind)
	b = appendCompare(b, site.Kind, x)
	if site.Kind == F32x4 || site.Kind == F64x2 {
		return wasm.AppendOp(b, wasm.OpV128Bitselect)
	}
	return wasm.AppendOp(b, wasm.OpSelect)
}

const void = 0x40 // type of a block without parameters and results

func appendLocal(b []byte, op wasm.Op, local uint32) []byte {
	return wasm.AppendU32(wasm.AppendOp(b, op), local)
}

// appendCompare leaves whether a local is a number, lane by lane.
func appendCompare(b []byte, k Kind, local uint32) []byte {
	b = appendLocal(b, wasm.OpLocalGet, local)
	b = appendLocal(b, wasm.OpLocalGet, local)
	return wasm.AppendOp(b, [...]wasm.Op{F32: wasm.OpF32Ge, F64: wasm.OpF64Ge, F32x4: wasm.OpF32x4Eq, F64x2: wasm.OpF64x2Eq}[k])
}

func appendNaN(b []byte, k Kind) []byte {
	le := binary.LittleEndian
	switch k {
	case F32:
		return le.AppendUint32(wasm.AppendOp(b, wasm.OpF32Const), canonical32)
	case F64:
		return le.AppendUint64(wasm.AppendOp(b, wasm.OpF64Const), canonical64)
	case F32x4:
		const two = canonical32<<32 | canonical32
		return le.AppendUint64(le.AppendUint64(wasm.AppendOp(b, wasm.OpV128Const), two), two)
	default:
		return le.AppendUint64(le.AppendUint64(wasm.AppendOp(b, wasm.OpV128Const), canonical64), canonical64)
	}
}
