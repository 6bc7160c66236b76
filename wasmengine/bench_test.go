package wasmengine

import (
	"encoding/binary"
	"os"
	"testing"

	"pappus/data"
	"pappus/engine"
)

// matmulInput is a matrix of ones as the sample matmul takes it.
func matmulInput(rows int) []data.Set {
	b := binary.LittleEndian.AppendUint64(nil, uint64(rows))
	for range rows * rows {
		b = binary.LittleEndian.AppendUint64(b, 1)
	}
	return []data.Set{{Name: "matrix", Items: []*data.Item{data.NewItem("body", 0, b)}}}
}

func matmul(b *testing.B, e *Engine, lim engine.Limits) (engine.Program, []data.Set) {
	b.Helper()
	code, err := os.ReadFile("../samples/matmul/matmul.wasm")
	if err != nil {
		b.Fatal(err)
	}
	inspected, err := e.Inspect(code)
	if err != nil {
		b.Fatal(err)
	}
	sig := inspected.Manifest.Signature()
	p, err := e.Prepare(b.Context(), code, sig, lim)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	})
	in := matmulInput(1)
	in[0].Name = sig.Inputs[0].Name
	return p, in
}

func call(b *testing.B, p engine.Program, in []data.Set, lim engine.Limits) {
	r, err := p.Run(b.Context(), in, lim)
	if err != nil {
		b.Fatal(err)
	}
	r.Release()
}

// BenchmarkCall is one call of a 1×1 matmul (isolate, inputs, run, outputs)
// under different memory limits: its cost must not grow with them.
func BenchmarkCall(b *testing.B) {
	for _, c := range []struct {
		name   string
		memory engine.Bytes
	}{{"192KiB", 192 << 10}, {"1MiB", 1 << 20}, {"16MiB", 16 << 20}, {"64MiB", 64 << 20}, {"1GiB", 1 << 30}} {
		for _, fresh := range []bool{false, true} {
			name := c.name + "/reset"
			config := Config{}
			if fresh {
				name, config.Idle = c.name+"/new", -1
			}
			b.Run(name, func(b *testing.B) {
				e := newEngine(b, config)
				lim := engine.DefaultLimits()
				lim.Memory = c.memory
				p, in := matmul(b, e, lim)
				for range 100 {
					call(b, p, in, lim)
				}
				b.ReportAllocs()
				for b.Loop() {
					call(b, p, in, lim)
				}
			})
		}
	}
}

// BenchmarkCallParallel is the same on all processors at once.
func BenchmarkCallParallel(b *testing.B) {
	e := newEngine(b, Config{})
	lim := engine.DefaultLimits()
	p, in := matmul(b, e, lim)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			call(b, p, in, lim)
		}
	})
}

// BenchmarkMatmul128 is the paper's function, dominated by its own code.
func BenchmarkMatmul128(b *testing.B) {
	e := newEngine(b, Config{})
	lim := engine.DefaultLimits()
	p, in := matmul(b, e, lim)
	in = []data.Set{{Name: in[0].Name, Items: matmulInput(128)[0].Items}}
	for b.Loop() {
		call(b, p, in, lim)
	}
}
