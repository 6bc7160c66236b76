package spectest

import (
	"fmt"
	"slices"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/meter"
)

// Metering refuses imports other than a memory, and much of the suite imports.
// So before it, imported functions, tables and globals become definitions, and
// afterwards the same ones become imports again. Both stand at the start of
// their index spaces, so no index changes but for the function that metering
// puts in front.

// withoutImports makes definitions of what a module imports.
func withoutImports(m *binary.Module) *binary.Module {
	c := *m
	c.Imports, c.ImportedFuncs, c.ImportedTables, c.ImportedGlobals = nil, 0, 0, 0
	c.FuncTypes, c.Bodies = nil, nil
	for _, im := range m.Imports {
		if im.Kind == binary.ExternFunc {
			c.FuncTypes = append(c.FuncTypes, im.Type)
			c.Bodies = append(c.Bodies, binary.Body{Raw: []byte{0, byte(binary.OpUnreachable), byte(binary.OpEnd)}, First: 1})
		}
	}
	c.FuncTypes = append(c.FuncTypes, m.FuncTypes...)
	c.Bodies = append(c.Bodies, m.Bodies...)

	// Constant expressions may name imported globals only.
	c.Globals = slices.Clone(m.Globals)
	for i := range c.Globals {
		if g := &c.Globals[i]; i < m.ImportedGlobals || namesGlobal(g.Init) {
			g.Init = zero(g.Type)
		}
	}
	c.Elements = slices.Clone(m.Elements)
	for i := range c.Elements {
		e := &c.Elements[i]
		if namesGlobal(e.OffsetExpr) {
			e.OffsetExpr = zero(binary.I32)
		}
		if e.Exprs && namesGlobal(e.Init) {
			e.Init = nil
			for range e.Count {
				e.Init = append(e.Init, zero(e.Type)...)
			}
		}
	}
	c.Data = slices.Clone(m.Data)
	for i := range c.Data {
		if d := &c.Data[i]; namesGlobal(d.OffsetExpr) {
			d.OffsetExpr = zero(binary.I32)
		}
	}
	return &c
}

// withImports gives a metered module the imports that m has, and the constant
// expressions that name them.
func withImports(metered []byte, m *binary.Module) ([]byte, error) {
	out, err := binary.Decode(metered, wide())
	if err != nil {
		return nil, err
	}
	if len(out.Imports) != 1 || out.Imports[0].Module != meter.ImportModule {
		return nil, fmt.Errorf("a metered module imports %v", out.Imports)
	}
	out.Imports = append(out.Imports, m.Imports...)
	out.FuncTypes, out.Bodies = out.FuncTypes[m.ImportedFuncs:], out.Bodies[m.ImportedFuncs:]
	out.ImportedTables, out.ImportedGlobals = m.ImportedTables, m.ImportedGlobals
	if m.Memory != nil && m.Memory.Imported {
		out.Memory.Imported = true
	}
	for i := m.ImportedGlobals; i < len(m.Globals); i++ {
		restore(&out.Globals[i].Init, m.Globals[i].Init)
	}
	for i := range m.Elements {
		restore(&out.Elements[i].OffsetExpr, m.Elements[i].OffsetExpr)
		if m.Elements[i].Exprs {
			restore(&out.Elements[i].Init, m.Elements[i].Init)
		}
	}
	for i := range m.Data {
		restore(&out.Data[i].OffsetExpr, m.Data[i].OffsetExpr)
	}
	return binary.Encode(out), nil
}

// wide are caps for what metering has made larger.
func wide() binary.Caps {
	c := binary.DefaultCaps()
	for _, n := range []*int{&c.Module, &c.Body, &c.Locals, &c.AllLocals, &c.Blocks, &c.Calls, &c.Types, &c.Functions, &c.Exports, &c.Globals} {
		*n *= 4
	}
	return c
}

// zero is a constant expression of a type.
func zero(t binary.ValueType) []byte {
	var b []byte
	switch t {
	case binary.I32:
		b = append(binary.AppendOp(b, binary.OpI32Const), 0)
	case binary.I64:
		b = append(binary.AppendOp(b, binary.OpI64Const), 0)
	case binary.F32:
		b = append(binary.AppendOp(b, binary.OpF32Const), make([]byte, 4)...)
	case binary.F64:
		b = append(binary.AppendOp(b, binary.OpF64Const), make([]byte, 8)...)
	case binary.V128:
		b = append(binary.AppendOp(b, binary.OpV128Const), make([]byte, 16)...)
	default:
		b = append(binary.AppendOp(b, binary.OpRefNull), byte(t))
	}
	return binary.AppendOp(b, binary.OpEnd)
}

// namesGlobal tells whether one of some constant expressions reads a global.
func namesGlobal(exprs []byte) bool {
	var in binary.Instr
	for r := binary.NewReader(exprs); r.Next(&in); {
		if in.Op == binary.OpGlobalGet {
			return true
		}
	}
	return false
}

// restore puts constant expressions back if they read globals. Functions that
// they name have moved by one.
func restore(dst *[]byte, exprs []byte) {
	if !namesGlobal(exprs) {
		return
	}
	var out []byte
	var in binary.Instr
	for r := binary.NewReader(exprs); r.Next(&in); {
		if in.Op == binary.OpRefFunc {
			out = binary.AppendU32(binary.AppendOp(out, in.Op), in.Index+1)
		} else {
			out = append(out, exprs[in.Start:in.End]...)
		}
	}
	*dst = out
}
