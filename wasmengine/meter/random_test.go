package meter

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/tetratelabs/wazero"
	"pgregory.net/rapid"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// Whatever a module does, it does metered, and its fuel does not depend on the
// slices.
func TestRandomModulesAreUnchanged(t *testing.T) {
	compiler := newLab(t, wazero.NewRuntimeConfigCompiler())
	interpreter := newLab(t, wazero.NewRuntimeConfigInterpreter())
	rapid.Check(t, func(t *rapid.T) {
		code := binarytest.Random(t)
		m, err := binary.Decode(code, binary.DefaultCaps())
		if err != nil {
			t.Fatal(err)
		}
		args := []uint64{uint64(rapid.Uint32().Draw(t, "int")), rapid.Uint64().Draw(t, "long")}
		last := "f" + strconv.Itoa(len(m.Bodies)-1)
		a := compiler.check(t, code, call{fn: last, args: args})
		b := interpreter.check(t, code, call{fn: last, args: args})
		if !sameOutcome(a, b) {
			t.Fatalf("compiler: %+v; interpreter: %+v", a, b)
		}
	})
}

// A run that used u succeeds under every limit from u on, and is out of fuel
// under every smaller one.
func TestLimitIsExact(t *testing.T) {
	l := newLab(t, wazero.NewRuntimeConfigInterpreter())
	rapid.Check(t, func(t *rapid.T) {
		code := binarytest.Random(t)
		me := rewrite(t, code)
		c := call{fn: "f0", limit: bounded, stack: shallow, args: []uint64{uint64(rapid.Uint32().Draw(t, "int")), rapid.Uint64().Draw(t, "long")}}
		free := l.metered(t, me, c)
		if free.trap != "" {
			t.Skip("traps")
		}
		c.slice = rapid.Int64Range(1, 50).Draw(t, "slice")
		c.limit = free.fuel
		if got := l.metered(t, me, c); !got.same(free) || got.fuel != free.fuel {
			t.Fatalf("limit %d: %q, fuel %d", c.limit, got.trap, got.fuel)
		}
		c.limit = rapid.Int64Range(1, max(1, free.fuel-1)).Draw(t, "limit")
		if got := l.metered(t, me, c); c.limit < free.fuel && got.trap != errOutOfFuel.Error() {
			t.Fatalf("limit %d of %d: %q, fuel %d", c.limit, free.fuel, got.trap, got.fuel)
		}
	})
}

// What a body is made of is what it says: pieces of the original in their order,
// of which only instructions are missing that others have taken the place of.
func TestOrigins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := binary.Decode(binarytest.Random(t), binary.DefaultCaps())
		if err != nil {
			t.Fatal(err)
		}
		me, err := Options{Origins: true}.Rewrite(m)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := Rewrite(m)
		if err != nil || !bytes.Equal(plain.Code, me.Code) || plain.Origins != nil {
			t.Fatalf("the code is another, or %v", err)
		}
		out, err := binary.Decode(me.Code, binary.DefaultCaps())
		if err != nil {
			t.Fatal(err)
		}
		if len(me.Origins) != len(m.Bodies) {
			t.Fatalf("origins of %d functions of %d", len(me.Origins), len(m.Bodies))
		}
		for i, origins := range me.Origins {
			from, to := m.Bodies[i].Raw, out.Bodies[i].Raw
			at, next := uint32(0), m.Bodies[i].First
			for _, o := range origins {
				if o.At < at || o.From < next || o.At+o.Length > uint32(len(to)) || o.From+o.Length > uint32(len(from)) {
					t.Fatalf("function %d: %+v at %d, %d", i, o, at, next)
				}
				if !bytes.Equal(to[o.At:o.At+o.Length], from[o.From:o.From+o.Length]) {
					t.Fatalf("function %d: %+v is not what it comes from", i, o)
				}
				at, next = o.At+o.Length, o.From+o.Length
			}
			if next != uint32(len(from)) || at != uint32(len(to)) {
				t.Fatalf("function %d: the end is at %d of %d, from %d of %d", i, at, len(to), next, len(from))
			}
		}
	})
}
