package binary_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	wasm "pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// same compares modules by what they are, wherever their bytes lie.
func same(a, b *wasm.Module) bool {
	strip := func(m *wasm.Module) wasm.Module {
		c := *m
		c.Code = 0
		c.Bodies = append([]wasm.Body(nil), m.Bodies...)
		for i := range c.Bodies {
			c.Bodies[i].Offset = 0
		}
		// An empty section is not encoded.
		for v, i := reflect.ValueOf(&c).Elem(), 0; i < v.NumField(); i++ {
			if f := v.Field(i); f.Kind() == reflect.Slice && f.Len() == 0 && f.CanSet() {
				f.SetZero()
			}
		}
		return c
	}
	return reflect.DeepEqual(strip(a), strip(b))
}

// again encodes what was decoded: decoding that must give the same module, and
// encoding again the same bytes.
func again(t interface{ Fatalf(string, ...any) }, m *wasm.Module) {
	code := wasm.Encode(m)
	back, err := decode(code)
	if err != nil {
		t.Fatalf("what was encoded is refused: %v", err)
	}
	if !same(m, back) {
		t.Fatalf("what was encoded is another module")
	}
	if !bytes.Equal(wasm.Encode(back), code) {
		t.Fatalf("it is encoded in two ways")
	}
}

func TestRoundTrip(t *testing.T) {
	for name, code := range sampleModules(t) {
		m, err := decode(code)
		if err != nil {
			t.Fatal(name, err)
		}
		again(t, m)
	}
	rapid.Check(t, func(t *rapid.T) {
		m, err := decode(binarytest.Random(t))
		if err != nil {
			t.Fatal(err)
		}
		again(t, m)
	})
}

// Opcodes behind 0xfc are numbers, which may be encoded with padding.
func TestPaddedOpcode(t *testing.T) {
	for _, opcode := range [][]byte{{0xfc, 0x00}, {0xfc, 0x80, 0x00}, {0xfc, 0x80, 0x80, 0x80, 0x80, 0x00}} {
		m, err := decode(one(wasm.OpF32Const, make([]byte, 4), opcode, drop()).Encode())
		if err != nil {
			t.Fatal(err)
		}
		again(t, m)
	}
}

// The code that is decoded is never written to.
func TestDecodeReadsOnly(t *testing.T) {
	for name, code := range sampleModules(t) {
		before := bytes.Clone(code)
		if _, err := decode(code); err != nil || !bytes.Equal(before, code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, code := range sampleModules(f) {
		f.Add(code)
	}
	f.Add(one(wasm.OpI32Const, binarytest.S(0), wasm.OpCallIndirect, 0, 0, wasm.OpRefFunc, 0, drop()).Encode())
	f.Add(raw(types, funcs, emptyFun))
	f.Add(raw(sec(2, 1, 0, 0, 2, 0, 1), sec(12, 1), sec(11, 1, 1, 0)))
	f.Fuzz(func(t *testing.T, code []byte) {
		m, err := decode(code)
		if err != nil {
			var e *wasm.Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(code) {
				t.Fatalf("%v", err)
			}
			return
		}
		again(t, m)
	})
}
