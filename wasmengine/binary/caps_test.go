package binary_test

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	wasm "pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// repeated is n times code.
func repeated(n int, code ...any) []byte { return slices.Repeat(binarytest.Code(code...), n) }

// i32s is n times i32.
func i32s(n int) wasm.ValueTypes { return slices.Repeat(binarytest.Types(wasm.I32), n) }

// Each cap is what it says: n is accepted and n+1 is refused, with a reason
// that has the number.
func TestCaps(t *testing.T) {
	fn := func(locals wasm.ValueTypes, code ...any) *binarytest.Builder {
		b := binarytest.New()
		b.Func(b.Type(nil, nil), locals, code...)
		return b
	}
	for name, c := range map[string]struct {
		set  func(caps *wasm.Caps, n int)
		make func(n int) []byte // a module that needs a cap of n
		n    int
	}{
		"Params":  {func(c *wasm.Caps, n int) { c.Params = n }, func(n int) []byte { b := binarytest.New(); b.Type(i32s(n), nil); return b.Encode() }, 7},
		"Results": {func(c *wasm.Caps, n int) { c.Results = n }, func(n int) []byte { b := binarytest.New(); b.Type(nil, i32s(n)); return b.Encode() }, 7},
		"Locals":  {func(c *wasm.Caps, n int) { c.Locals = n }, func(n int) []byte { return fn(i32s(n)).Encode() }, 7},
		"Locals with parameters": {func(c *wasm.Caps, n int) { c.Locals = n }, func(n int) []byte {
			b := binarytest.New()
			b.Func(b.Type(i32s(3), nil), i32s(n-3))
			return b.Encode()
		}, 7},
		"AllLocals": {func(c *wasm.Caps, n int) { c.AllLocals = n }, func(n int) []byte {
			b := binarytest.New()
			b.Func(b.Type(nil, nil), i32s(5))
			b.Func(b.Type(nil, nil), i32s(n-5))
			return b.Encode()
		}, 11},
		"Blocks": {func(c *wasm.Caps, n int) { c.Blocks = n }, func(n int) []byte { return fn(nil, repeated(n, wasm.OpBlock, binarytest.Void, wasm.OpEnd)).Encode() }, 7},
		"Calls":  {func(c *wasm.Caps, n int) { c.Calls = n }, func(n int) []byte { return fn(nil, repeated(n, wasm.OpCall, 0)).Encode() }, 7},
		"Nesting": {func(c *wasm.Caps, n int) { c.Nesting = n }, func(n int) []byte {
			return fn(nil, repeated(n, wasm.OpBlock, binarytest.Void), repeated(n, wasm.OpEnd)).Encode()
		}, 7},
		"Types": {func(c *wasm.Caps, n int) { c.Types = n }, func(n int) []byte {
			b := binarytest.New()
			for i := range n {
				b.Type(i32s(i), nil)
			}
			return b.Encode()
		}, 7},
		"Functions": {func(c *wasm.Caps, n int) { c.Functions = n }, func(n int) []byte {
			b := binarytest.New()
			b.ImportFunc("m", "f", b.Type(nil, nil))
			for range n - 1 {
				b.Func(0, nil)
			}
			return b.Encode()
		}, 7},
		"Imports": {func(c *wasm.Caps, n int) { c.Imports = n }, func(n int) []byte {
			b := binarytest.New()
			for range n {
				b.ImportFunc("m", "f", b.Type(nil, nil))
			}
			return b.Encode()
		}, 7},
		"Exports": {func(c *wasm.Caps, n int) { c.Exports = n }, func(n int) []byte {
			b := fn(nil)
			for i := range n {
				b.ExportAs(fmt.Sprint(i), wasm.ExternFunc, 0)
			}
			return b.Encode()
		}, 7},
		"Globals": {func(c *wasm.Caps, n int) { c.Globals = n }, func(n int) []byte {
			b := binarytest.New()
			for range n {
				b.Global(wasm.I32, true, wasm.OpI32Const, binarytest.S(0))
			}
			return b.Encode()
		}, 7},
		"Tables": {func(c *wasm.Caps, n int) { c.Tables = n }, func(n int) []byte {
			b := binarytest.New()
			for range n {
				b.Table(wasm.FuncRef, 0, 1)
			}
			return b.Encode()
		}, 7},
		"TableSize": {func(c *wasm.Caps, n int) { c.TableSize = n }, func(n int) []byte {
			b := binarytest.New()
			b.Table(wasm.FuncRef, 10, 10)
			b.Table(wasm.ExternRef, uint32(n-10), uint32(n))
			return b.Encode()
		}, 1000},
		"Elements": {func(c *wasm.Caps, n int) { c.Elements = n }, func(n int) []byte {
			b := fn(nil)
			for range n {
				b.PassiveFuncs(0)
			}
			return b.Encode()
		}, 7},
		"ElementSize": {func(c *wasm.Caps, n int) { c.ElementSize = n }, func(n int) []byte {
			b := fn(nil)
			b.PassiveFuncs(make([]int, n)...)
			return b.Encode()
		}, 7},
		"Data": {func(c *wasm.Caps, n int) { c.Data = n }, func(n int) []byte {
			b := binarytest.New()
			for range n {
				b.PassiveBytes(nil)
			}
			return b.Encode()
		}, 7},
		"Customs": {func(c *wasm.Caps, n int) { c.Customs = n }, func(n int) []byte { return raw(slices.Repeat(sec(0, 1, 'x'), n)) }, 7},
		"Name": {func(c *wasm.Caps, n int) { c.Name = n }, func(n int) []byte {
			b := fn(nil)
			b.ExportAs(strings.Repeat("x", n), wasm.ExternFunc, 0)
			return b.Encode()
		}, 7},
		"ConstExpr": {func(c *wasm.Caps, n int) { c.ConstExpr = n }, func(n int) []byte {
			b := binarytest.New()
			b.Globals = append(b.Globals, wasm.Global{Type: wasm.I64, Init: append(append([]byte{0x42}, slices.Repeat([]byte{0x80}, n-3)...), 0, 0x0b)})
			return b.Encode()
		}, 7},
		"Body": {func(c *wasm.Caps, n int) { c.Body = n }, func(n int) []byte { return fn(nil, slices.Repeat([]byte{1}, n-2)).Encode() }, 100},
		"BranchWork": {func(c *wasm.Caps, n int) { c.BranchWork = n }, func(n int) []byte {
			b := binarytest.New()
			b.Func(b.Type(nil, binarytest.Types(wasm.I32)), nil, wasm.OpI32Const, binarytest.S(0), wasm.OpI32Const, binarytest.S(0), wasm.OpBrTable, n-1, make([]byte, n-1), 0)
			return b.Encode()
		}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			caps := wasm.DefaultCaps()
			c.set(&caps, c.n)
			if _, err := wasm.Decode(c.make(c.n), caps); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			_, err := wasm.Decode(c.make(c.n+1), caps)
			var e *wasm.Error
			if !errors.As(err, &e) || !errors.Is(err, wasm.ErrLimit) {
				t.Fatalf("one past the limit: %v", err)
			}
			if field, _, _ := strings.Cut(name, " "); fieldOf(e.Cap) != field {
				t.Errorf("it is said to be over the cap %q", e.Cap)
			}
			if limit := fmt.Sprint(c.n); !strings.Contains(e.Reason, limit) {
				t.Errorf("%q does not say what is allowed", e.Reason)
			}
		})
	}
	caps := wasm.DefaultCaps()
	code := fn(nil).Encode()
	caps.Module = len(code)
	if _, err := wasm.Decode(code, caps); err != nil {
		t.Error(err)
	}
	var e *wasm.Error
	if _, err := wasm.Decode(append(code, sec(0, 1, 'x')...), caps); !errors.As(err, &e) || !errors.Is(err, wasm.ErrLimit) || e.Cap != "module" {
		t.Errorf("a module over the limit: %v", err)
	}
}

// fieldOf is the field of Caps for the name of a cap.
func fieldOf(name string) (field string) {
	caps := wasm.DefaultCaps()
	fields := reflect.ValueOf(&caps).Elem()
	caps.Each(func(n string, bound *int) {
		for i := range fields.NumField() {
			if n == name && bound == fields.Field(i).Addr().Interface() {
				field = fields.Type().Field(i).Name
			}
		}
	})
	return field
}

// No cap is without a name, and no two have the same.
func TestCapsHaveNames(t *testing.T) {
	caps := wasm.DefaultCaps()
	fields := reflect.ValueOf(&caps).Elem()
	names := map[string]int{}
	caps.Each(func(name string, bound *int) {
		if bound != fields.Field(len(names)).Addr().Interface() {
			t.Errorf("%s is not the cap %s", name, fields.Type().Field(len(names)).Name)
		}
		names[name]++
	})
	if len(names) != fields.NumField() {
		t.Errorf("%d names of %d caps", len(names), fields.NumField())
	}
}

// What is small and would cost much later is refused, or decoded with memory in
// proportion to its length.
func TestBombsStaySmall(t *testing.T) {
	for _, size := range []int{1 << 16, 1 << 20} {
		for _, bomb := range slices.Concat(binarytest.Bombs(size), binarytest.CompileBombs()) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := decode(bomb.Code)
			runtime.ReadMemStats(&after)
			if err != nil && !errors.Is(err, wasm.ErrLimit) {
				t.Errorf("%s: %v", bomb.Name, err)
			}
			if used, most := after.TotalAlloc-before.TotalAlloc, uint64(40*len(bomb.Code)+1<<20); used > most {
				t.Errorf("%s: %d bytes are allocated for %d", bomb.Name, used, len(bomb.Code))
			}
		}
	}
}
