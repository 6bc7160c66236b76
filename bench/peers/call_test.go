package peers

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/bytecodealliance/wasmtime-go/v39"
	"github.com/tetratelabs/wazero"

	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine"
	"pappus/engine/abi"
)

// function is the matmul sample with what a call of it needs.
type function struct {
	code []byte
	sig  engine.Signature
	in   []data.Set
	want []byte
}

// base is where the platform places inputs with the layout of the sample: behind
// its initial memory of one page.
const (
	pages = 1
	base  = pages * engine.PageSize
)

// matmul squares a matrix of ones.
func matmul(tb testing.TB, rows int) function {
	tb.Helper()
	code, err := os.ReadFile("../../samples/matmul/matmul.wasm")
	if err != nil {
		tb.Fatal(err)
	}
	e := newEngine(tb, wasmengine.Config{})
	inspected, err := e.Inspect(code)
	if err != nil {
		tb.Fatal(err)
	}
	if inspected.Memory != base {
		tb.Fatalf("the sample has %d bytes of memory instead of %d", inspected.Memory, base)
	}
	f := function{code: code, sig: inspected.Manifest.Signature()}
	m := binary.LittleEndian.AppendUint64(nil, uint64(rows))
	f.want = slices.Clone(m)
	for range rows * rows {
		m = binary.LittleEndian.AppendUint64(m, 1)
		f.want = binary.LittleEndian.AppendUint64(f.want, uint64(rows))
	}
	f.in = []data.Set{{Name: f.sig.Inputs[0].Name, Items: []*data.Item{data.NewItem("m", 0, m)}}}
	return f
}

func newEngine(tb testing.TB, config wasmengine.Config) *wasmengine.Engine {
	tb.Helper()
	e, err := wasmengine.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// place writes the inputs into a memory and check reads the output from it.
func (f *function) place(mem []byte, system uint64) {
	abi.Wasm32.Place(mem, system, base, abi.Heap{Begin: -1, End: -1}, f.in, f.outputs(), nil)
}

func (f *function) outputs() []string { return []string{f.sig.Outputs[0].Name} }

func (f *function) check(mem []byte, system uint64) error {
	out, err := abi.Wasm32.Outputs(mem, system, f.outputs(), engine.DefaultLimits())
	if err != nil {
		return err
	}
	if !slices.Equal(out[0].Items[0].Bytes(), f.want) {
		return errors.New("the product is wrong")
	}
	return nil
}

// pappus calls the function through the engine.
func (f *function) pappus(tb testing.TB, config wasmengine.Config) func() error {
	lim := engine.DefaultLimits()
	p, err := newEngine(tb, config).Prepare(context.Background(), f.code, f.sig, lim)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return func() error {
		r, err := p.Run(context.Background(), f.in, lim)
		if err != nil {
			return err
		}
		defer r.Release()
		if !slices.Equal(r.Outputs[0].Items[0].Bytes(), f.want) {
			return errors.New("the product is wrong")
		}
		return nil
	}
}

// wazero calls it in a new instance without anything of Pappus: no limits, no
// metering, memory on the heap.
func (f *function) wazero(tb testing.TB) func() error {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	tb.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	compiled, err := r.CompileModule(ctx, f.code)
	if err != nil {
		tb.Fatal(err)
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	return func() error {
		m, err := r.InstantiateModule(ctx, compiled, config)
		if err != nil {
			return err
		}
		defer m.Close(ctx) //nolint:errcheck // it has run
		system := uint64(m.ExportedGlobal("__dandelion_system_data").Get())
		m.Memory().Grow(16 - pages)
		mem, _ := m.Memory().Read(0, m.Memory().Size())
		f.place(mem, system)
		if _, err := m.ExportedFunction("_start").Call(ctx); err != nil {
			return err
		}
		return f.check(mem, system)
	}
}

// wasmtime calls it in a new store and instance, with the pooling allocator off
// as Go's binding has it, and fuel if asked for.
func (f *function) wasmtime(tb testing.TB, fuel bool) func() error {
	config := wasmtime.NewConfig()
	config.SetConsumeFuel(fuel)
	e := wasmtime.NewEngineWithConfig(config)
	module, err := wasmtime.NewModule(e, f.code)
	if err != nil {
		tb.Fatal(err)
	}
	return func() error {
		store := wasmtime.NewStore(e)
		defer store.Close()
		if fuel {
			if err := store.SetFuel(1 << 40); err != nil {
				return err
			}
		}
		i, err := wasmtime.NewInstance(store, module, nil)
		if err != nil {
			return err
		}
		memory := i.GetExport(store, "memory").Memory()
		system := uint64(uint32(i.GetExport(store, "__dandelion_system_data").Global().Get(store).I32()))
		if _, err := memory.Grow(store, 16-pages); err != nil {
			return err
		}
		f.place(memory.UnsafeData(store), system)
		if _, err := i.GetFunc(store, "_start").Call(store); err != nil {
			return err
		}
		return f.check(memory.UnsafeData(store), system)
	}
}

// BenchmarkIsolate is a call with everything: isolate, inputs, run, outputs.
func BenchmarkIsolate(b *testing.B) {
	for _, rows := range []struct {
		name string
		n    int
	}{{"1x1", 1}, {"128x128", 128}} {
		f := matmul(b, rows.n)
		for _, maker := range []struct {
			name string
			call func() error
		}{
			{"pappus", f.pappus(b, wasmengine.Config{})},
			{"pappus-new-instance", f.pappus(b, wasmengine.Config{Idle: -1})},
			{"wazero", f.wazero(b)},
			{"wasmtime", f.wasmtime(b, false)},
			{"wasmtime-fuel", f.wasmtime(b, true)},
		} {
			b.Run(rows.name+"/"+maker.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := maker.call(); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(rows.name+"/"+maker.name+"-parallel", func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := maker.call(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
