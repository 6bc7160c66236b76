package wasmengine

import (
	"encoding/binary"
	"math"
	"testing"

	"pappus/engine/enginetest"
	wasm "pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// A function's NaNs are canonical where arithmetic makes them, in a call and in
// its initialisation, and unchanged where they are only kept, in an image too.
func TestNaNs(t *testing.T) {
	const (
		canonical = 0x7ff8000000000000
		payload   = 0xfff4000000054321
		at        = 4096
	)
	float := func(bits uint64) []byte { return binarytest.Code(wasm.OpF64Const, math.Float64frombits(bits)) }
	store := func(n int, value ...any) []byte {
		return binarytest.Code(wasm.OpI32Const, binarytest.S(at+8*n), binarytest.Code(value...), wasm.Op(0x39), 3, 0)
	}
	quotient := binarytest.Code(float(0), float(0), wasm.OpF64Div)
	sum := binarytest.Code(float(payload), float(payload), wasm.Op(0xa0))
	for name, config := range map[string]Config{"images": {}, "no images": {NoImages: true}, "the compile process": {Class: Class{Code: 1}}} {
		t.Run(name, func(t *testing.T) {
			b := binarytest.New().Pages(1, 2)
			kept := b.Global(wasm.F64, true, wasm.OpF64Const, float64(0))
			made := b.Global(wasm.F64, true, wasm.OpF64Const, float64(0))
			b.ExportFunc(exportInitialize, b.Type(nil, nil), nil,
				float(payload), wasm.OpGlobalSet, kept, sum, wasm.OpGlobalSet, made, store(0, sum), store(1, float(payload)))
			code := tell(b, binarytest.Code(
				store(2, quotient), store(3, sum), store(4, float(payload)),
				store(5, wasm.OpGlobalGet, kept), store(6, wasm.OpGlobalGet, made)))
			p, err := newEngine(t, config).Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = p.Close() }()
			for range 3 {
				r, err := p.Run(t.Context(), nil, enginetest.Limits())
				if err != nil {
					t.Fatal(err)
				}
				memory := r.Outputs[0].Items[0].Bytes()
				for i, want := range []uint64{canonical, payload, canonical, canonical, payload, payload, canonical} {
					if got := binary.LittleEndian.Uint64(memory[at+8*i:]); got != want {
						t.Errorf("float %d: %#x, want %#x", i, got, want)
					}
				}
				r.Release()
			}
		})
	}
}
