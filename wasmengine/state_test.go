package wasmengine

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

const (
	opI64Load   binary.Op = 0x29
	opI64Store  binary.Op = 0x37
	opF32Store  binary.Op = 0x38
	opF64Store  binary.Op = 0x39
	opV128Store binary.Op = 0xfd0b
	opI64Rotl   binary.Op = 0x89
)

// stateful draws a module that has state of every kind: memory, mutable globals
// of every type, tables of both types, passive segments of both kinds. Its
// _start first looks at all of it and then writes to some of it, everywhere;
// so does its initialisation, if it has one.
type stateful struct {
	*rapid.T
	b       *binarytest.Builder
	f       int // a function for references
	globals []int
	tables  []int
	data    []int
	elems   []int
	besides string // the instruction that changes something else, or ""
}

func (s *stateful) pick(n int, what string) int { return rapid.IntRange(0, n-1).Draw(s.T, what) }

func (s *stateful) number(v int) []byte { return binarytest.Code(binary.OpI32Const, binarytest.S(v)) }

// value is a constant of a type.
func (s *stateful) value(t binary.ValueType) []byte {
	switch t {
	case binary.I32:
		return binarytest.Code(binary.OpI32Const, binarytest.S(rapid.Int32().Draw(s.T, "int")))
	case binary.I64:
		return binarytest.Code(binary.OpI64Const, binarytest.S(rapid.Int64().Draw(s.T, "long")))
	case binary.F32, binary.F64, binary.V128:
		// any bits, NaNs of every kind among them
		op, size := binary.OpF32Const, 4
		switch t {
		case binary.F64:
			op, size = binary.OpF64Const, 8
		case binary.V128:
			op, size = binary.OpV128Const, 16
		}
		return binarytest.Code(op, rapid.SliceOfN(rapid.Byte(), size, size).Draw(s.T, "bits"))
	case binary.FuncRef:
		if rapid.Bool().Draw(s.T, "function") {
			return binarytest.Code(binary.OpRefFunc, s.f)
		}
	}
	return binarytest.Code(binary.OpRefNull, t)
}

func newStateful(t *rapid.T) *stateful {
	s := &stateful{T: t, b: binarytest.New().Pages(1+uint32(rapid.IntRange(0, 2).Draw(t, "pages")), 200)}
	s.f = s.b.Func(s.b.Type(nil, nil), nil)
	for range s.pick(5, "globals") + 3 {
		types := binarytest.Types(binary.I32, binary.I64, binary.F32, binary.F64, binary.V128, binary.FuncRef, binary.ExternRef)
		typ := binary.ValueType(types[s.pick(len(types), "type")])
		s.globals = append(s.globals, s.b.Global(typ, true, s.value(typ)))
	}
	s.tables = []int{s.b.Table(binary.FuncRef, 4, 9), s.b.Table(binary.ExternRef, 2, 9)}
	s.b.Funcs(1, s.f)
	s.data = []int{s.b.PassiveBytes([]byte("passive")), s.b.PassiveBytes([]byte("more"))}
	s.elems = []int{s.b.PassiveFuncs(s.f, s.f)}
	s.b.Bytes(int32(3000+s.pick(20_000, "data")), bytes.Repeat([]byte{7}, 1+s.pick(9000, "length")))
	s.b.ExportAs("f", binary.ExternFunc, s.f) // so that ref.func may name it
	// One of them only: any of them keeps instances from being used again, and
	// must do so alone.
	s.besides = rapid.SampledFrom([]string{"", "", "table.set", "table.grow", "table.fill", "data.drop", "elem.drop"}).Draw(t, "changes besides")
	return s
}

// look is code that leaves what there is from address 2000 on: first a sum over
// all of the memory, then the rest.
func (s *stateful) look() []byte {
	const at, sum, end = 0, 1, 2 // locals
	code := binarytest.Code(
		binary.OpMemorySize, byte(0), binary.OpI32Const, binarytest.S(65536), binary.OpI32Mul, binary.OpLocalSet, end,
		binary.OpLoop, binarytest.Void,
		binary.OpLocalGet, sum, binary.OpI64Const, binarytest.S(7), opI64Rotl, binary.OpLocalGet, at, opI64Load, 3, 0, binary.OpI64Add, binary.OpLocalSet, sum,
		binary.OpLocalGet, at, binary.OpI32Const, binarytest.S(8), binary.OpI32Add, binary.OpLocalSet, at,
		binary.OpLocalGet, at, binary.OpLocalGet, end, binary.OpI32LtU, binary.OpBrIf, 0, binary.OpEnd,
		binary.OpI32Const, binarytest.S(2000), binary.OpLocalGet, sum, opI64Store, 3, 0,
		binary.OpI32Const, binarytest.S(2008), binary.OpLocalGet, end, opI32Store, 2, 0)
	to := 2016
	leave := func(store binary.Op, value ...any) {
		code = append(append(append(code, s.number(to)...), binarytest.Code(value...)...), binarytest.Code(store, 0, 0)...)
		to += 16
	}
	for _, g := range s.globals {
		get := binarytest.Code(binary.OpGlobalGet, g)
		switch s.b.Globals[g].Type {
		case binary.I32:
			leave(opI32Store, get)
		case binary.I64:
			leave(opI64Store, get)
		case binary.F32:
			leave(opF32Store, get)
		case binary.F64:
			leave(opF64Store, get)
		case binary.V128:
			leave(opV128Store, get)
		default:
			leave(opI32Store, get, binary.OpRefIsNull)
		}
	}
	for _, t := range s.tables {
		leave(opI32Store, binary.OpTableSize, t)
		for i := range int(s.b.Tables[t].Min) {
			leave(opI32Store, s.number(i), binary.OpTableGet, t, binary.OpRefIsNull)
		}
	}
	for _, d := range s.data { // traps if it was dropped
		code = append(code, binarytest.Code(s.number(to), s.number(1), s.number(2), binary.OpMemoryInit, d, byte(0))...)
		to += 16
	}
	if s.besides == "elem.drop" {
		for _, e := range s.elems {
			code = append(code, binarytest.Code(s.number(0), s.number(0), s.number(2), binary.OpTableInit, e, s.tables[0])...)
		}
	}
	return code
}

// write is code that writes to some of the state.
func (s *stateful) write() (code []byte) {
	address := func() []byte { return s.number(2800 + s.pick(60_000, "address")) }
	for range 3 + s.pick(8, "writes") {
		if s.besides != "" && s.pick(3, "besides") == 0 {
			code = append(code, s.beside()...)
		}
		switch s.pick(6, "write") {
		case 0, 1:
			g := s.globals[s.pick(len(s.globals), "global")]
			code = append(code, binarytest.Code(s.value(s.b.Globals[g].Type), binary.OpGlobalSet, g)...)
		case 2:
			code = append(code, binarytest.Code(address(), s.value(binary.V128), opV128Store, 0, 0)...)
		case 3:
			code = append(code, binarytest.Code(address(), s.number(1+s.pick(255, "byte")), s.number(s.pick(2000, "length")), binary.OpMemoryFill, byte(0))...)
		case 4:
			// the last bytes of what there is, grown or not
			code = append(code, binarytest.Code(binary.OpMemorySize, byte(0), s.number(65536), binary.OpI32Mul, s.number(8), binary.OpI32Sub, s.value(binary.I64), opI64Store, 0, 0)...)
		case 5:
			if s.pick(3, "grow") == 0 {
				code = append(code, binarytest.Code(s.number(s.pick(3, "pages")), binary.OpMemoryGrow, byte(0), binary.OpDrop)...)
			}
		}
	}
	return code
}

// beside is code that changes what no image and no reset brings back.
func (s *stateful) beside() []byte {
	t := s.tables[s.pick(2, "table")]
	value := s.value(s.b.Tables[t].Type)
	switch s.besides {
	case "table.set":
		return binarytest.Code(s.number(s.pick(2, "entry")), value, binary.OpTableSet, t)
	case "table.grow":
		return binarytest.Code(value, s.number(1), binary.OpTableGrow, t, binary.OpDrop)
	case "table.fill":
		return binarytest.Code(s.number(0), value, s.number(2), binary.OpTableFill, t)
	case "data.drop":
		return binarytest.Code(binary.OpDataDrop, s.data[1])
	default:
		return binarytest.Code(binary.OpElemDrop, s.elems[0])
	}
}

// Whatever kind of state a module has, a call finds all of it as the first one
// did: memory and its size, globals of every type, tables, segments.
func TestNoKindOfStateIsLeft(t *testing.T) {
	sharesNothing(t)
	engines := []*Engine{newEngine(t, Config{}), newEngine(t, Config{Idle: -1}), newEngine(t, Config{NoImages: true})}
	trapped := 0
	reset := map[string]int{} // calls in instances that were reset, by the types of the module's globals
	rapid.Check(t, func(t *rapid.T) {
		s := newStateful(t)
		if rapid.Bool().Draw(t, "initializes") {
			s.b.ExportFunc(exportInitialize, s.b.Type(nil, nil), nil, s.write())
		}
		locals := binarytest.Types(binary.I32, binary.I64, binary.I32)
		code := tellWith(s.b, locals, append(s.look(), s.write()...))
		in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("i", 0, rapid.SliceOfN(rapid.Byte(), 0, 70_000).Draw(t, "input"))}}}
		first := ""
		for n, e := range engines {
			p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
			if err != nil {
				t.Fatal(err)
			}
			before := e.Stats().Reused
			for call := range 4 {
				now := toldUnder(t, p, in, 100_000_000)
				if first == "" {
					first = now
					if strings.HasPrefix(now, string(engine.FaultTrap)) {
						trapped++
					}
				}
				if now != first {
					t.Fatalf("engine %d, call %d: %s, and at first %s", n, call, now, first)
				}
			}
			if n == 0 && e.Stats().Reused > before {
				for _, g := range s.globals {
					reset[s.b.Globals[g].Type.String()]++
				}
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Logf("modules whose instances were reset, by types of globals: %v; %d modules trapped", reset, trapped)
	for _, typ := range []binary.ValueType{binary.I32, binary.I64, binary.F32, binary.F64, binary.V128, binary.FuncRef, binary.ExternRef} {
		if reset[typ.String()] == 0 {
			t.Errorf("no instance with a global of type %s was reset", typ)
		}
	}
}
