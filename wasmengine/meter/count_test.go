package meter

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"pgregory.net/rapid"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

const (
	wrap  = binary.Op(0xa7) // i32.wrap_i64
	i64Ne = binary.Op(0x52)
)

type counter struct {
	code
	count uint32 // the global
}

// add adds the number on the stack to the count.
func (c *counter) add() {
	c.global(c.count)
	c.op(binary.OpI64Add)
	c.toGlobal(c.count)
}

// counted makes the count of fuel the slow way, to hold the meter against: each
// instruction adds its cost to a global, right before it runs, and those that
// cost by a length add that. The global is exported as "count".
func counted(t tb, wasm []byte) []byte {
	t.Helper()
	m, err := binary.Decode(wasm, binary.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	global := uint32(len(m.Globals))
	out := *m
	out.Globals = append(slices.Clone(m.Globals), binary.Global{Type: binary.I64, Mutable: true, Init: []byte{byte(binary.OpI64Const), 0, byte(binary.OpEnd)}})
	out.Exports = append(slices.Clone(m.Exports), binary.Export{Name: "count", Kind: binary.ExternGlobal, Index: global})
	out.Bodies = nil
	for i := range m.Bodies {
		b := &m.Bodies[i]
		length := uint32(len(m.Types[m.FuncTypes[i]].Params)) + b.Locals // an i64 local; one more follows it
		src := b.Raw[b.First:]
		c := &counter{code: code{b: appendLocals(nil, b.Raw[:b.First], nil)}, count: global}
		r := binary.NewReader(src)
		var in binary.Instr
		for r.Next(&in) {
			if n := cost(in.Op); n > 0 {
				c.i64(n)
				c.add()
			}
			k, isBulk := bulkOf(&in)
			if isBulk { // its last operand is the length
				c.op(binary.OpI64ExtendI32U)
				c.index(binary.OpLocalTee, length)
				c.op(wrap)
			}
			switch {
			case !isBulk:
			case k.op == binary.OpTableGrow: // costs nothing if it can never be
				c.i64(0)
				c.get(length)
				c.get(length)
				c.i64(int64(maxTable(m.Tables[k.a])))
				c.op(binary.OpI64GtU, binary.OpSelect)
				c.add()
			case k.writesTable():
				c.get(length)
				c.add()
			case k.op != binary.OpMemoryGrow:
				c.get(length)
				c.i64(4)
				c.op(binary.OpI64ShrU)
				c.add()
			}
			c.b = append(c.b, src[in.Start:in.End]...)
			if k.op == binary.OpMemoryGrow { // costs if it did not give -1
				c.op(binary.OpI64ExtendI32U)
				c.index(binary.OpLocalTee, length+1)
				c.op(wrap)
				c.get(length)
				c.i64(4096)
				c.op(binary.OpI64Mul)
				c.i64(0)
				c.get(length + 1)
				c.i64(1<<32 - 1)
				c.op(i64Ne, binary.OpSelect)
				c.add()
			}
		}
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		out.Bodies = append(out.Bodies, binary.Body{Raw: c.b})
	}
	return binary.Encode(&out)
}

// checkCount runs a module metered and counted: if it does not trap, fuel is
// what was counted. It tells whether the module ended so.
func (l *lab) checkCount(t tb, code []byte, c call) bool {
	t.Helper()
	c.limit, c.stack = bounded, shallow
	got := l.metered(t, rewrite(t, code), c)
	if got.trap != "" {
		return false
	}
	m := l.instantiate(t, counted(t, code))
	defer func() { _ = m.Close(context.Background()) }() // it has no resources to lose
	results, err := m.ExportedFunction(c.fn).Call(context.Background(), c.args...)
	if err != nil || !slices.Equal(results, got.results) {
		t.Fatalf("counted: %v (%v), metered: %v", results, err, got.results)
	}
	if count := int64(m.ExportedGlobal("count").Get()); count != got.fuel {
		t.Fatalf("fuel %d, counted %d", got.fuel, count)
	}
	return true
}

// What a run costs is the cost of the instructions that it ran, whatever way
// through the code it took.
func TestFuelIsWhatRan(t *testing.T) {
	l := newLab(t, wazero.NewRuntimeConfigInterpreter())
	ended := 0
	rapid.Check(t, func(t *rapid.T) {
		code := binarytest.Random(t)
		m, err := binary.Decode(code, binary.DefaultCaps())
		if err != nil {
			t.Fatal(err)
		}
		args := []uint64{uint64(rapid.Uint32().Draw(t, "int")), rapid.Uint64().Draw(t, "long")}
		if l.checkCount(t, code, call{fn: "f" + strconv.Itoa(len(m.Bodies)-1), args: args, slice: 50}) {
			ended++
		}
	})
	if ended < 10 {
		t.Errorf("only %d runs ended without a trap", ended)
	}
}

// The same of programs that a compiler made.
func TestFuelOfKernels(t *testing.T) {
	kernels, _, _, metered := lanesOf(t)
	code, err := os.ReadFile(kernelsWasm)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, wazero.NewRuntimeConfigCompiler())
	m := l.instantiate(t, counted(t, code))
	count, _ := m.ExportedGlobal("count").(api.MutableGlobal)
	for _, k := range kernels {
		count.Set(0)
		if _, err := m.ExportedFunction(k).Call(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		before := metered.grant.granted
		metered.run(t, k, 1)
		if got := metered.grant.granted - before - int64(metered.fuel.Get()); got != int64(count.Get()) {
			t.Errorf("%s: fuel %d, counted %d", k, got, count.Get())
		}
	}
}
