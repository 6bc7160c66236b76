package report

import "pappus/wasmengine/binary"

// Features by the names that people know them by.
const (
	featureF32        = "f32"
	featureF64        = "f64"
	featureSIMD       = "simd"
	featureBulk       = "bulk-memory"
	featureSign       = "sign-extension"
	featureSaturating = "saturating-conversions"
	featureMulti      = "multi-value"
	featureReferences = "reference-types"
	featureTail       = "tail-calls"
	featureGlobals    = "mutable-globals" // imported or exported
	featureConst      = "extended-const"
)

// featureOrder is how they are listed.
var featureOrder = [...]string{featureF32, featureF64, featureSIMD, featureBulk, featureSign, featureSaturating, featureMulti,
	featureReferences, featureTail, featureGlobals, featureConst}

// features are those that something uses.
type features map[string]bool

func (f features) list() []string {
	names := []string{}
	for _, name := range featureOrder {
		if f[name] {
			names = append(names, name)
		}
	}
	return names
}

// module notes what a module uses outside of its code.
func (f features) module(m *binary.Module) {
	for i := range m.Types {
		f.types(m.Types[i].Params)
		f.types(m.Types[i].Results)
		if len(m.Types[i].Results) > 1 {
			f[featureMulti] = true
		}
	}
	for i := range m.Globals {
		g := &m.Globals[i]
		f.typ(g.Type)
		if i < m.ImportedGlobals && g.Mutable {
			f[featureGlobals] = true
		}
		f.constant(g.Init)
	}
	for _, x := range m.Exports {
		if x.Kind == binary.ExternGlobal && m.Globals[x.Index].Mutable {
			f[featureGlobals] = true
		}
	}
	if len(m.Tables) > 1 {
		f[featureReferences] = true
	}
	for i := range m.Tables {
		f.table(m.Tables[i].Type)
	}
	for i := range m.Elements {
		e := &m.Elements[i]
		f.constant(e.OffsetExpr)
		if e.Mode == binary.Passive {
			f[featureBulk] = true
		}
		if e.Mode == binary.Declarative {
			f[featureReferences] = true
		}
	}
	for i := range m.Data {
		f.constant(m.Data[i].OffsetExpr)
		if m.Data[i].Mode == binary.Passive {
			f[featureBulk] = true
		}
	}
}

func (f features) types(list binary.ValueTypes) {
	for _, t := range list {
		f.typ(binary.ValueType(t))
	}
}

func (f features) typ(t binary.ValueType) {
	switch t {
	case binary.F32:
		f[featureF32] = true
	case binary.F64:
		f[featureF64] = true
	case binary.V128:
		f[featureSIMD] = true
	case binary.FuncRef, binary.ExternRef:
		f[featureReferences] = true
	}
}

// table is typ for a table: one of functions needs no feature.
func (f features) table(t binary.ValueType) {
	if t != binary.FuncRef {
		f.typ(t)
	}
}

func (f features) constant(expr []byte) {
	r := binary.NewReader(expr)
	var in binary.Instr
	for r.Next(&in) {
		if in.Op >= binary.OpI32Add && in.Op <= binary.OpI64Mul {
			f[featureConst] = true
		}
	}
}

// instruction notes what an instruction needs.
func (f features) instruction(in *binary.Instr) {
	op := in.Op
	switch {
	case op>>8 == 0xfd:
		f[featureSIMD] = true
	case op >= 0xfc00 && op <= 0xfc07:
		f[featureSaturating] = true
		if op&3 < 2 {
			f[featureF32] = true
		} else {
			f[featureF64] = true
		}
	case op >= binary.OpMemoryInit && op <= binary.OpTableCopy:
		f[featureBulk] = true
	case op >= binary.OpTableGrow && op <= binary.OpTableFill, op == binary.OpTableGet, op == binary.OpTableSet,
		op >= binary.OpRefNull && op <= binary.OpRefFunc, op == binary.OpSelectTyped:
		f[featureReferences] = true
	case op == binary.OpReturnCall, op == binary.OpReturnCallIndirect:
		f[featureTail] = true
	case op >= 0xc0 && op <= 0xc4:
		f[featureSign] = true
	default:
		f.number(op)
	}
	if in.Imm == binary.ImmBlock && in.Block.Indexed {
		f[featureMulti] = true
	}
}

// number notes the floating-point types that a plain instruction works on.
func (f features) number(op binary.Op) {
	switch {
	case op == 0x2a, op == 0x38, op == binary.OpF32Const, // load, store, const
		op >= 0x5b && op <= binary.OpF32Ge, op >= 0x8b && op <= 0x98, // comparisons, arithmetic
		op == 0xa8, op == 0xa9, op == 0xae, op == 0xaf, // to integers
		op >= 0xb2 && op <= 0xb5, op == 0xbc, op == 0xbe: // from integers, as bits
		f[featureF32] = true
	case op == 0x2b, op == 0x39, op == binary.OpF64Const,
		op >= 0x61 && op <= binary.OpF64Ge, op >= 0x99 && op <= 0xa6,
		op == 0xaa, op == 0xab, op == 0xb0, op == 0xb1,
		op >= 0xb7 && op <= 0xba, op == 0xbd, op == 0xbf:
		f[featureF64] = true
	case op == 0xb6, op == 0xbb: // from one to the other
		f[featureF32], f[featureF64] = true, true
	}
}
