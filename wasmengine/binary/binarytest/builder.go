package binarytest

import (
	"encoding/binary"
	"fmt"
	"math"

	wasm "pappus/wasmengine/binary"
)

// S is a signed immediate, as constants have; an int is an unsigned one.
type S int64

// Code assembles instructions: a binary.Op is an opcode, an int an unsigned
// LEB128 immediate, an S a signed one, float32 and float64 the immediates of
// constants, a byte, a binary.ValueType and a []byte stand for themselves.
func Code(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case wasm.Op:
			b = wasm.AppendOp(b, p)
		case int:
			b = wasm.AppendU32(b, uint32(p))
		case uint32:
			b = wasm.AppendU32(b, p)
		case S:
			b = wasm.AppendS64(b, int64(p))
		case float32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p))
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p))
		case byte:
			b = append(b, p)
		case wasm.ValueType:
			b = append(b, byte(p))
		case []byte:
			b = append(b, p...)
		default:
			panic(fmt.Sprintf("binarytest: %T is no part of code", p))
		}
	}
	return b
}

// Void is the type of a block without parameters and results.
const Void = byte(0x40)

// Const is an i32 constant expression.
func Const(v int32) []byte { return Code(wasm.OpI32Const, S(v), wasm.OpEnd) }

// Builder makes a module. Its fields may be set as they are; the methods add
// what is common. Functions must not be imported after one was defined.
type Builder struct {
	wasm.Module
}

// New is an empty module.
func New() *Builder {
	return &Builder{wasm.Module{Start: -1}}
}

// Types is a list of value types.
func Types(list ...wasm.ValueType) wasm.ValueTypes {
	b := wasm.ValueTypes{}
	for _, t := range list {
		b = append(b, byte(t))
	}
	return b
}

// Type adds a function type and returns its index.
func (b *Builder) Type(params, results wasm.ValueTypes) int {
	for i, t := range b.Module.Types {
		if string(t.Params) == string(params) && string(t.Results) == string(results) {
			return i
		}
	}
	b.Module.Types = append(b.Module.Types, wasm.FuncType{Params: params, Results: results})
	return len(b.Module.Types) - 1
}

// Func adds a function of a type with one declaration per local, and returns
// its index. The code's last end is added.
func (b *Builder) Func(typ int, locals wasm.ValueTypes, code ...any) int {
	raw := wasm.AppendU32(nil, uint32(len(locals)))
	for _, l := range locals {
		raw = append(raw, 1, l)
	}
	raw = append(raw, Code(code...)...)
	return b.Raw(typ, append(raw, byte(wasm.OpEnd)))
}

// Raw adds a function by the bytes of its body and returns its index.
func (b *Builder) Raw(typ int, raw []byte) int {
	b.FuncTypes = append(b.FuncTypes, uint32(typ))
	b.Bodies = append(b.Bodies, wasm.Body{Raw: raw})
	return b.ImportedFuncs + len(b.Bodies) - 1
}

// ImportFunc imports a function and returns its index.
func (b *Builder) ImportFunc(module, name string, typ int) int {
	b.Imports = append(b.Imports, wasm.Import{Module: module, Name: name, Kind: wasm.ExternFunc, Type: uint32(typ)})
	b.ImportedFuncs++
	return b.ImportedFuncs - 1
}

// Pages gives the module a memory that it exports as "memory".
func (b *Builder) Pages(lo, hi uint32) *Builder {
	b.Memory = &wasm.Memory{Min: lo, Max: hi, HasMax: true}
	b.ExportAs("memory", wasm.ExternMemory, 0)
	return b
}

// Global adds a global and returns its index.
func (b *Builder) Global(t wasm.ValueType, mutable bool, init ...any) int {
	b.Globals = append(b.Globals, wasm.Global{Type: t, Mutable: mutable, Init: append(Code(init...), byte(wasm.OpEnd))})
	return len(b.Globals) - 1
}

// Table adds a table and returns its index.
func (b *Builder) Table(t wasm.ValueType, lo, hi uint32) int {
	b.Tables = append(b.Tables, wasm.Table{Type: t, Min: lo, Max: hi, HasMax: true})
	return len(b.Tables) - 1
}

// Funcs adds an active element segment that puts functions into table 0.
func (b *Builder) Funcs(offset int32, funcs ...int) {
	b.Elements = append(b.Elements, element(wasm.Active, Const(offset), funcs))
}

// PassiveFuncs adds a passive element segment and returns its index.
func (b *Builder) PassiveFuncs(funcs ...int) int {
	b.Elements = append(b.Elements, element(wasm.Passive, nil, funcs))
	return len(b.Elements) - 1
}

func element(mode wasm.SegmentMode, offset []byte, funcs []int) wasm.Element {
	e := wasm.Element{Mode: mode, Type: wasm.FuncRef, OffsetExpr: offset, Count: uint32(len(funcs))}
	for _, f := range funcs {
		e.Init = wasm.AppendU32(e.Init, uint32(f))
	}
	return e
}

// Bytes adds an active data segment.
func (b *Builder) Bytes(offset int32, data []byte) {
	b.Data = append(b.Data, wasm.Data{Mode: wasm.Active, OffsetExpr: Const(offset), Bytes: data})
}

// PassiveBytes adds a passive data segment and returns its index.
func (b *Builder) PassiveBytes(data []byte) int {
	b.HasCount = true
	b.Data = append(b.Data, wasm.Data{Mode: wasm.Passive, Bytes: data})
	return len(b.Data) - 1
}

// ExportAs adds an export.
func (b *Builder) ExportAs(name string, kind wasm.ExternKind, index int) {
	b.Exports = append(b.Exports, wasm.Export{Name: name, Kind: kind, Index: uint32(index)})
}

// ExportFunc adds a function like Func and exports it.
func (b *Builder) ExportFunc(name string, typ int, locals wasm.ValueTypes, code ...any) int {
	f := b.Func(typ, locals, code...)
	b.ExportAs(name, wasm.ExternFunc, f)
	return f
}

// Encode gives the module's bytes.
func (b *Builder) Encode() []byte { return wasm.Encode(&b.Module) }
