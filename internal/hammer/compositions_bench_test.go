package hammer_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/registry"
	wasm "pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

const workers = 2

// asServed has the collector and the processors as a server has them.
func asServed(b *testing.B) {
	ballast := make([]byte, 24<<20)
	before := runtime.GOMAXPROCS(max(workers, runtime.NumCPU()) + 1)
	b.Cleanup(func() {
		runtime.GOMAXPROCS(before)
		runtime.KeepAlive(ballast)
	})
}

// sample is what one round of a side took.
type sample struct {
	ns, cpu        float64 // cpu: of all threads, in ns
	objects, bytes float64 // on the heap
}

// cpuTime is what the process has had of all processors, in ns.
func cpuTime(b *testing.B) float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// inTurn measures sides in turn, a round of each for every round of the
// benchmark, so that whatever else the machine does meets all of them. It gives the
// rounds of each.
func inTurn(b *testing.B, sides ...func()) [][]sample {
	b.Helper()
	rounds := make([][]sample, len(sides))
	for _, do := range sides {
		do() // what is made once is made now
	}
	var before, after runtime.MemStats
	for n := 0; b.Loop(); n++ {
		for i := range sides {
			i = (i + n) % len(sides)
			runtime.ReadMemStats(&before)
			from, cpu := time.Now(), cpuTime(b)
			sides[i]()
			ns, cpu := time.Since(from), cpuTime(b)-cpu
			runtime.ReadMemStats(&after)
			rounds[i] = append(rounds[i], sample{float64(ns), cpu, float64(after.Mallocs - before.Mallocs), float64(after.TotalAlloc - before.TotalAlloc)})
		}
	}
	b.ReportMetric(0, "ns/op") // of all sides together
	return rounds
}

// median of something that every round has.
func median(rounds int, of func(round int) float64) float64 {
	all := make([]float64, rounds)
	for i := range all {
		all[i] = of(i)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// bare calls a function n times from as many goroutines as there are workers,
// with nothing but the engine. in is what the i-th call gets. If kept is not nil,
// the outputs are copied and kept there, as a run does with small ones.
func bare(b *testing.B, p engine.Program, lim engine.Limits, goroutines, n int, kept []engine.Result, in func(i int) []*data.Item) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			set := make([]data.Set, 1)
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				set[0] = data.Set{Name: "in", Items: in(i)}
				r, err := p.Run(b.Context(), set, lim)
				if err != nil {
					b.Error(err)
					return
				}
				if kept != nil {
					r.Detach()
					kept[i] = r
				} else {
					r.Release()
				}
			}
		})
	}
	all.Wait()
}

// prepared is the program of a function, and the limits of its version.
func prepared(b *testing.B, e engine.Engine, v *registry.Version, code []byte) engine.Program {
	b.Helper()
	p, err := e.Prepare(context.WithoutCancel(b.Context()), code, v.Signature, v.Limits)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	})
	return p
}

// chains is a composition of some chains of n applications of a function, side
// by side.
func chains(function, shard string, width, n int) string {
	var head, body strings.Builder
	for c := range width {
		if c > 0 {
			head.WriteString(", ")
		}
		fmt.Fprintf(&head, "last%d", c)
		for i := range n {
			in, out := fmt.Sprintf("s%d_%d", c, i), fmt.Sprintf("s%d_%d", c, i+1)
			if i == 0 {
				in = "s0"
			}
			if i == n-1 {
				out = fmt.Sprintf("last%d", c)
			}
			fmt.Fprintf(&body, "\t%s(in = %s %s) => (%s = out);\n", function, shard, in, out)
		}
	}
	return fmt.Sprintf("function %s(in) => (out);\ncomposition chains(s0) => (%s) {\n%s}\n", function, head.String(), body.String())
}

func compose(b *testing.B, d *dispatcher.Dispatcher, source string) *registry.Version {
	b.Helper()
	v, _, _, err := d.PublishComposition(b.Context(), dispatcher.CompositionPublication{Tenant: "default", Name: "chains", Source: source})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// What an application of a composition costs over the bare call of the engine,
// from as many goroutines as work on the run: run/app and bare/app are medians,
// over/app is that of their differences, and bare/run that of their ratios; the
// same of processor time, which others on the machine change less. kept/run is
// against bare calls whose outputs are copied and kept, as those of a run are.
func BenchmarkCompositions(b *testing.B) {
	asServed(b)
	d, e, _ := platform(b, dispatcher.Config{Workers: workers, MemoryBudget: 4 << 30})
	single := echo(b, d)
	p := prepared(b, e, single, read(b, "../../wasmengine/testdata/hostile/echo-in-place.wasm"))
	for _, c := range []struct {
		name        string
		width, n    int // chains and their length; 0: the function alone, by the dispatcher
		shard       string
		items, size int
		goroutines  int
	}{
		{name: "call of 1 KiB", items: 1, size: 1 << 10, goroutines: 1},
		{name: "chain of 100 over 1 KiB", width: 1, n: 100, shard: "all", items: 1, size: 1 << 10, goroutines: 1},
		{name: "graph of 1000 over 1 KiB", width: 10, n: 100, shard: "all", items: 1, size: 1 << 10, goroutines: workers},
		{name: "each over 10000 of 1 KiB", width: 1, n: 1, shard: "each", items: 10_000, size: 1 << 10, goroutines: workers},
		{name: "chain of 10 over 16 MiB", width: 1, n: 10, shard: "all", items: 1, size: 16 << 20, goroutines: 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			v, set, rounds := single, "in", 1
			if c.n > 0 {
				v, set = compose(b, d, chains("echo", c.shard, c.width, c.n)), "s0"
			} else {
				rounds = 100
			}
			items := sized(c.items, c.size)
			each := c.shard == "each"
			calls := rounds * max(c.width*c.n, 1)
			if each {
				calls *= c.items
			}
			in := func(i int) []*data.Item {
				if each {
					return items[i : i+1]
				}
				return items
			}
			sides := []func(){
				func() {
					for range rounds {
						call(b, d, v, set, items)
					}
				},
				func() { bare(b, p, single.Limits, c.goroutines, calls, nil, in) },
			}
			if each {
				sides = append(sides, func() { bare(b, p, single.Limits, c.goroutines, calls, make([]engine.Result, calls), in) })
			}
			got := inTurn(b, sides...)
			run, alone := got[0], got[1]
			if each {
				b.ReportMetric(median(len(run), func(i int) float64 { return got[2][i].ns / run[i].ns }), "kept/run")
				b.ReportMetric(median(len(run), func(i int) float64 { return got[2][i].cpu / run[i].cpu }), "cpu-kept/run")
			}
			per := float64(calls)
			b.ReportMetric(median(len(run), func(i int) float64 { return run[i].ns / per }), "ns-run/app")
			b.ReportMetric(median(len(run), func(i int) float64 { return alone[i].ns / per }), "ns-bare/app")
			b.ReportMetric(median(len(run), func(i int) float64 { return (run[i].ns - alone[i].ns) / per }), "ns-over/app")
			b.ReportMetric(median(len(run), func(i int) float64 { return alone[i].ns / run[i].ns }), "bare/run")
			b.ReportMetric(median(len(run), func(i int) float64 { return (run[i].cpu - alone[i].cpu) / per }), "cpu-ns-over/app")
			b.ReportMetric(median(len(run), func(i int) float64 { return alone[i].cpu / run[i].cpu }), "cpu-bare/run")
			b.ReportMetric(median(len(run), func(i int) float64 { return (run[i].objects - alone[i].objects) / per }), "allocs-over/app")
			b.ReportMetric(median(len(run), func(i int) float64 { return (run[i].bytes - alone[i].bytes) / per }), "B-over/app")
		})
	}
}

// working is a function that computes for about a millisecond, in
// registers.
func working() []byte {
	type s = binarytest.S
	const address, rounds = 1024, 700_000
	m := binarytest.New().Pages(1, 2)
	m.Global(wasm.I32, false, wasm.OpI32Const, s(address))
	m.ExportAs("__dandelion_system_data", wasm.ExternGlobal, 0)
	m.ExportFunc("_start", m.Type(nil, nil), binarytest.Types(wasm.I32, wasm.I64),
		wasm.OpI32Const, s(rounds), wasm.OpLocalSet, 0,
		wasm.OpLoop, binarytest.Void,
		wasm.OpLocalGet, 1, wasm.OpI64Const, s(6364136223846793005), wasm.OpI64Mul, wasm.OpI64Const, s(1), wasm.OpI64Add, wasm.OpLocalSet, 1,
		wasm.OpLocalGet, 0, wasm.OpI32Const, s(1), wasm.OpI32Sub, wasm.OpLocalTee, 0, wasm.OpBrIf, 0,
		wasm.OpEnd,
		// Nothing is above the largest number: the exit code is 0, and depends on the work.
		wasm.OpI32Const, s(address), wasm.OpLocalGet, 1, wasm.OpI64Const, s(-1), wasm.OpI64GtU, wasm.Op(0x36), 2, 0) // i32.store
	return m.Encode()
}

// How much faster a parallel stage is on two workers than on one, beside what
// bare calls reach from two goroutines against one: that is what the machine has
// to give at that moment.
func BenchmarkParallelStage(b *testing.B) {
	asServed(b)
	const instances = 100
	items := sized(instances, 1)
	code := working()
	sides := make([]func(), 0, 2*workers)
	for n := 1; n <= workers; n++ {
		d, e, _ := platform(b, dispatcher.Config{Workers: n, MemoryBudget: 4 << 30})
		work := publish(b, d, "work", code)
		v := compose(b, d, chains("work", "each", 1, 1))
		p := prepared(b, e, work, code)
		sides = append(sides,
			func() { call(b, d, v, "s0", items) },
			func() {
				bare(b, p, work.Limits, n, instances, nil, func(i int) []*data.Item { return items[i : i+1] })
			})
	}
	got := inTurn(b, sides...)
	run1, bare1, run2, bare2 := got[0], got[1], got[2], got[3]
	b.ReportMetric(median(len(run1), func(i int) float64 { return bare1[i].ns / instances / 1e6 }), "ms/instance")
	b.ReportMetric(median(len(run1), func(i int) float64 { return run1[i].ns / run2[i].ns }), "times-faster")
	b.ReportMetric(median(len(run1), func(i int) float64 { return bare1[i].ns / bare2[i].ns }), "times-faster-bare")
	b.ReportMetric(median(len(run1), func(i int) float64 { return bare2[i].ns / run2[i].ns }), "bare/run")
}
