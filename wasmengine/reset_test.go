package wasmengine

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

const opI32Store binary.Op = 0x36

// tellAll makes a function of a random module: its _start calls the module's
// last function and leaves, as its only output, all of its memory.
func tellAll(t *rapid.T) []byte {
	const system, sets, record = 1024, 1100, 1140
	decoded, err := binary.Decode(binarytest.Random(t), binary.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	b := binarytest.Builder{Module: *decoded}
	store := func(at int, value ...any) []byte {
		return append(binarytest.Code(binary.OpI32Const, binarytest.S(at)), append(binarytest.Code(value...), binarytest.Code(opI32Store, 2, 0)...)...)
	}
	number := func(v int) []any { return []any{binary.OpI32Const, binarytest.S(v)} }
	code := [][]byte{
		binarytest.Code(binary.OpI32Const, binarytest.S(rapid.Int32().Draw(t, "int")), binary.OpI64Const, binarytest.S(rapid.Int64().Draw(t, "long")),
			binary.OpCall, len(decoded.Bodies)-1, binary.OpDrop),
		store(system, number(0)...),
		store(system+20, number(1)...), store(system+24, number(sets)...), store(system+32, number(record)...),
		store(sets+8, number(0)...), store(sets+20, number(1)...),
		store(record+4, number(0)...), store(record+8, number(0)...),
		store(record+12, binary.OpMemorySize, byte(0), binary.OpI32Const, binarytest.S(65536), binary.OpI32Mul),
		store(record+16, number(0)...),
	}
	var body []byte
	for _, c := range code {
		body = append(body, c...)
	}
	b.ExportFunc("_start", b.Type(nil, nil), nil, body)
	g := b.Global(binary.I32, false, binary.OpI32Const, binarytest.S(system))
	b.ExportAs(exportSystem, binary.ExternGlobal, g)
	b.Customs = append(b.Customs, binary.Custom{Name: manifestSection, Payload: []byte(`{"layout":"grow"}`)})
	return b.Encode()
}

// told is everything that can be seen of a call.
func told(t *rapid.T, p engine.Program, in []data.Set) string {
	lim := enginetest.Limits()
	lim.Fuel = 100_000
	r, err := p.Run(t.Context(), in, lim)
	defer r.Release()
	var f *engine.Fault
	switch {
	case errors.As(err, &f):
		return fmt.Sprint(f.Error(), f.Usage.Fuel, f.Usage.MemoryPages)
	case err != nil:
		t.Fatal(err)
	}
	return fmt.Sprint(r.Outputs[0].Items[0].Digest(), r.Usage.Fuel, r.Usage.MemoryPages)
}

// Whatever a module writes and wherever, a call in an instance that was reset
// sees the very memory that a call in a new one sees.
func TestResetLeavesNothing(t *testing.T) {
	reusing := newEngine(t, Config{})
	fresh := newEngine(t, Config{Idle: -1})
	modules := 0
	rapid.Check(t, func(t *rapid.T) {
		code := tellAll(t)
		var programs [2]engine.Program
		for i, e := range []*Engine{reusing, fresh} {
			p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = p.Close() }()
			programs[i] = p
		}
		modules++
		for call := range 4 {
			in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("i", 0, rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "input"))}}}
			a, b := told(t, programs[0], in), told(t, programs[1], in)
			if a != b {
				t.Fatalf("call %d: reset %s, new %s", call, a, b)
			}
		}
	})
	s, f := reusing.Stats(), fresh.Stats()
	t.Logf("%d modules: %d of %d calls in instances that were reset", modules, s.Reused, s.Created+s.Reused)
	if s.Reused == 0 || f.Reused != 0 {
		t.Errorf("reused %d and %d times", s.Reused, f.Reused)
	}
}
