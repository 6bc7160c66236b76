package meter

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// FuzzEngines runs modules on wazero's compiler and on its interpreter, which
// have little in common: all functions that a metered module exports must leave
// the same results, traps, memory, fuel and stack.
//
// The stack is shallow, since the interpreter ends at 2,000 frames.
func FuzzEngines(f *testing.F) {
	for _, name := range []string{"matmul", "matmul-size", "wordcount", "sumoccurrence"} {
		code, err := os.ReadFile("../../samples/" + name + "/" + name + ".wasm")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(code, uint32(0), uint64(0))
	}
	s := func(n int) binarytest.S { return binarytest.S(n) }
	for _, code := range [][]any{
		{i32Const, s(0), i32Const, s(0), i32Const, s(2), binary.OpTableInit, 0, 0},
		{i32Const, s(3), binary.OpMemoryGrow, 0, drop, i32Const, s(0), i32Const, s(7), i32Const, s(3 << 16), binary.OpMemoryFill, 0},
		{binary.OpLocalGet, 0, i32Const, s(0), i32Const, s(160), binary.OpMemoryInit, 0, 0},
		{binary.OpLoop, binarytest.Void, binary.OpLocalGet, 0, binary.OpBrIf, 0, binary.OpEnd},
		{i32Const, s(1), binary.OpLocalGet, 0, binary.OpI32DivS, drop},
		{binary.OpLocalGet, 0, binary.OpCall, 0},
		{binary.OpLocalGet, 0, binary.OpReturnCall, 0},
	} {
		f.Add(fixture(code...).Encode(), uint32(1), uint64(2))
	}
	f.Fuzz(func(t *testing.T, code []byte, number uint32, long uint64) {
		m, err := binary.Decode(code, binary.DefaultCaps())
		if err != nil || !small(m) {
			return
		}
		me, err := Rewrite(m)
		if err != nil {
			return
		}
		compiled, ok := runAll(t, wazero.NewRuntimeConfigCompiler(), m, me, number, long)
		if !ok {
			return
		}
		interpreted, ok := runAll(t, wazero.NewRuntimeConfigInterpreter(), m, me, number, long)
		if !ok {
			t.Fatal("the interpreter refuses the module")
		}
		if !slices.EqualFunc(compiled, interpreted, sameOutcome) && !nansOpen(m) {
			t.Fatalf("compiler: %+v; interpreter: %+v", compiled, interpreted)
		}
	})
}

// sameOutcome tells whether two runs did the same and used the same.
func sameOutcome(a, b outcome) bool { return a.same(b) && a.fuel == b.fuel && a.stack == b.stack }

// small tells whether a module compiles in no time, and with little memory.
func small(m *binary.Module) bool {
	c := m.Counts
	entries := uint64(0)
	for _, t := range m.Tables {
		entries += uint64(t.Min)
	}
	return c.LargestBody < 16<<10 && c.MostBlocks < 200 && c.MostCalls < 100 && c.MostLocals < 200 && c.Functions < 500 &&
		entries < 10_000 && (m.Memory == nil || m.Memory.Min <= 64)
}

// nansOpen tells whether code has an instruction of which the specification
// leaves open which NaN it makes. The engines make different ones, and a module
// that looks at them may do anything else.
func nansOpen(m *binary.Module) bool {
	for i := range m.Bodies {
		var in binary.Instr
		for r := binary.NewReader(m.Bodies[i].Raw[m.Bodies[i].First:]); r.Next(&in); {
			switch op := in.Op; {
			case op >= 0x8d && op <= 0x97, op >= 0x9b && op <= 0xa5: // ceil to max
				return true
			case op == 0xb6, op == 0xbb: // demote, promote
				return true
			case op >= 0xfd5e && op <= 0xfd6a && op != 0xfd60 && op != 0xfd61: // those of SIMD
				return true
			case op == 0xfd74, op == 0xfd75, op == 0xfd7a, op == 0xfd94, op >= 0xfde0 && op <= 0xfdf7:
				return true
			}
		}
	}
	return false
}

// runAll calls what a module exports, one function after another in one
// instance. It is not ok if the module does not compile.
func runAll(t *testing.T, cfg wazero.RuntimeConfig, m *binary.Module, me *Metered, number uint32, long uint64) (all []outcome, ok bool) {
	t.Helper()
	l := newLab(t, cfg)
	ctx := context.Background()
	compiled, err := l.runtime.CompileModule(ctx, me.Code)
	if err != nil {
		return nil, false
	}
	l.grant = &grant{slice: 1000, limit: bounded}
	i, err := l.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return []outcome{{trap: trapOf(err)}}, true
	}
	call := func(name string) {
		def := i.ExportedFunction(name).Definition()
		c := call{fn: name, slice: 1000, limit: bounded, stack: shallow, args: arguments(def.ParamTypes(), number, long)}
		o := l.run(t, i, me, c)
		hideReferences(o.results, def.ResultTypes())
		all = append(all, o)
	}
	if me.Start != "" {
		call(me.Start)
	}
	const most = 20
	for n, x := range m.Exports {
		if x.Kind == binary.ExternFunc && n < most {
			call(x.Name)
		}
	}
	return all, true
}

// arguments are values for parameters; references are null.
func arguments(types []api.ValueType, number uint32, long uint64) []uint64 {
	var args []uint64
	for _, t := range types {
		switch binary.ValueType(t) {
		case binary.I32, binary.F32:
			args = append(args, uint64(number))
		case binary.I64, binary.F64:
			args = append(args, long)
		case binary.V128:
			args = append(args, long, uint64(number))
		default:
			args = append(args, 0)
		}
	}
	return args
}

// hideReferences leaves of a reference whether it is null: it is an address.
func hideReferences(results []uint64, types []api.ValueType) {
	at := 0
	for _, t := range types {
		if at >= len(results) {
			return
		}
		switch binary.ValueType(t) {
		case binary.V128:
			at++
		case binary.FuncRef, binary.ExternRef:
			results[at] = min(results[at], 1)
		}
		at++
	}
}
