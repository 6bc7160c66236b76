package wasmengine

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

const opI32Store binary.Op = 0x36

// i32Store is the code that stores a number, which code leaves on the stack.
func i32Store(at int, value ...any) []byte {
	return append(binarytest.Code(binary.OpI32Const, binarytest.S(at)), append(binarytest.Code(value...), binarytest.Code(opI32Store, 2, 0)...)...)
}

// tell makes a function of a module that has a memory: its _start runs code and
// leaves, as its only output, all of its memory.
func tell(b *binarytest.Builder, code []byte) []byte { return tellWith(b, nil, code) }

// tellWith does the same with code that has locals.
func tellWith(b *binarytest.Builder, locals binary.ValueTypes, code []byte) []byte {
	const system, sets, record = 1024, 1100, 1140
	number := func(v int) []any { return []any{binary.OpI32Const, binarytest.S(v)} }
	body := slices.Concat(code,
		i32Store(system, number(0)...),
		i32Store(system+20, number(1)...), i32Store(system+24, number(sets)...), i32Store(system+32, number(record)...),
		i32Store(sets+8, number(0)...), i32Store(sets+20, number(1)...),
		i32Store(record+4, number(0)...), i32Store(record+8, number(0)...),
		i32Store(record+12, binary.OpMemorySize, byte(0), binary.OpI32Const, binarytest.S(65536), binary.OpI32Mul),
		i32Store(record+16, number(0)...),
	)
	b.ExportFunc(exportStart, b.Type(nil, nil), locals, body)
	g := b.Global(binary.I32, false, binary.OpI32Const, binarytest.S(system))
	b.ExportAs(exportSystem, binary.ExternGlobal, g)
	b.Customs = append(b.Customs, binary.Custom{Name: manifestSection, Payload: []byte(`{"layout":"grow"}`)})
	return b.Encode()
}

// tellAll makes a function of a random module, whose last function is called
// first, and by half of the modules when they are initialised, too.
func tellAll(t *rapid.T) []byte {
	decoded, err := binary.Decode(binarytest.Random(t), binary.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	b := binarytest.Builder{Module: *decoded}
	code := binarytest.Code(binary.OpI32Const, binarytest.S(rapid.Int32().Draw(t, "int")), binary.OpI64Const, binarytest.S(rapid.Int64().Draw(t, "long")),
		binary.OpCall, len(decoded.Bodies)-1, binary.OpDrop)
	if rapid.Bool().Draw(t, "initializes") {
		b.ExportFunc(exportInitialize, b.Type(nil, nil), nil, code)
	}
	return tell(&b, code)
}

// told is everything that can be seen of a call.
func told(t *rapid.T, p engine.Program, in []data.Set) string { return toldUnder(t, p, in, 100_000) }

// toldUnder is the same under another limit of fuel.
func toldUnder(t *rapid.T, p engine.Program, in []data.Set, fuel int64) string {
	lim := enginetest.Limits()
	lim.Fuel = fuel
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
// sees the very memory that a call in a new one sees, and one that starts from
// an image what a call sees that runs the initialisation itself.
func TestResetLeavesNothing(t *testing.T) {
	sharesNothing(t)
	reusing := newEngine(t, Config{})
	fresh := newEngine(t, Config{Idle: -1})
	initializing := newEngine(t, Config{NoImages: true})
	modules, imaged := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		code := tellAll(t)
		var programs []engine.Program
		refused := 0
		for _, e := range []*Engine{reusing, fresh, initializing} {
			p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
			var r *engine.RejectedError
			switch {
			case errors.As(err, &r): // its initialisation fails
				refused++
				continue
			case err != nil:
				t.Fatal(err)
			}
			defer func() { _ = p.Close() }()
			programs = append(programs, p)
		}
		switch refused {
		case 0:
		case 3:
			return
		default:
			t.Fatalf("%d of 3 engines refuse the module", refused)
		}
		modules++
		if p := programs[0].(*Program); p.facts.Initializes && p.imaged { //nolint:errcheck // of this engine
			imaged++
		}
		for call := range 4 {
			in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("i", 0, rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "input"))}}}
			a, b, c := told(t, programs[0], in), told(t, programs[1], in), told(t, programs[2], in)
			if a != b || b != c {
				t.Fatalf("call %d: reset %s, new %s, initialised %s", call, a, b, c)
			}
		}
	})
	s, f := reusing.Stats(), fresh.Stats()
	t.Logf("%d modules, %d of them with an image of their initialisation: %d of %d calls in instances that were reset", modules, imaged, s.Reused, s.Created+s.Reused)
	if s.Reused == 0 || f.Reused != 0 || initializing.Stats().Reused != 0 || imaged == 0 {
		t.Errorf("reused %d, %d and %d times", s.Reused, f.Reused, initializing.Stats().Reused)
	}
}
