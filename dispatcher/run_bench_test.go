package dispatcher

import (
	"context"
	"fmt"
	"testing"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/dispatcher/shard"
	"pappus/engine"
)

// chain is a graph of n applications of a function, one after the other.
func chain(n, callee int, kind shard.Kind, references []composition.Reference) *composition.Graph {
	c := composition.Composition{Name: "chain", Inputs: 1, Sets: []composition.Set{{Name: "s0", Type: engine.TypeSet}}, Outputs: []int{n}}
	for i := range n {
		c.Sets = append(c.Sets, composition.Set{Name: fmt.Sprint("s", i+1), Type: engine.TypeSet})
		c.Nodes = append(c.Nodes, composition.Node{
			Name: fmt.Sprint("n", i), Callee: callee, Arguments: []composition.Argument{{Set: i, Kind: kind}}, Kept: []composition.Kept{{Set: i + 1}},
		})
	}
	return &composition.Graph{Format: composition.GraphFormat, References: references, Compositions: []composition.Composition{c}}
}

// copying gives its first input back.
func copying(runFunc) runFunc {
	return func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
		return engine.NewResult([]data.Set{{Name: "out0", Items: clones(in[0].Items)}}, engine.Usage{Fuel: 1}, 0, nil), nil
	}
}

func clones(items []*data.Item) []*data.Item {
	list := make([]*data.Item, len(items))
	for i, it := range items {
		list[i] = data.NewItem(it.Name(), it.Key(), it.Bytes())
	}
	return list
}

// unary is the index of the reference with one input and one output.
func (b *runBench) unary() int {
	for i, r := range b.references {
		if len(r.Signature.Inputs) == 1 && len(r.Signature.Outputs) == 1 {
			return i
		}
	}
	panic("there is none")
}

func some(n int) []*data.Item {
	items := make([]*data.Item, n)
	for i := range items {
		items[i] = data.NewItem("", uint32(i), make([]byte, 1024))
	}
	return items
}

// What an application costs over the call of its function.
func BenchmarkRun(b *testing.B) {
	bench := newRunBench(b, nil, copying)
	defer bench.finish(b)
	version := bench.callees[bench.unary()].version
	in := []data.Set{{Name: "in0", Items: some(1)}}
	b.Run("call", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a, err := bench.runInstance(b.Context(), &Invocation{Tenant: "default", Target: version, Inputs: in})
			if err != nil {
				b.Fatal(err)
			}
			a.Release()
		}
	})
	for _, c := range []struct {
		name  string
		graph *composition.Graph
		items int
		per   int
	}{
		{"chain of 100", chain(100, bench.unary(), shard.All, bench.references), 1, 100},
		{"chain of 1000", chain(1000, bench.unary(), shard.All, bench.references), 1, 1000},
		{"each over 10000", chain(1, bench.unary(), shard.Each, bench.references), 10_000, 10_000},
		{"two each over 5000", chain(2, bench.unary(), shard.Each, bench.references), 5_000, 10_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			items := some(c.items)
			b.ReportAllocs()
			for b.Loop() {
				r := bench.newRun(b.Context(), "default", 0, new(share))
				if _, err := r.do(newBound(c.graph, bench.callees), []data.Set{{Name: "s0", Items: items}}); err != nil {
					b.Fatal(err)
				}
				r.release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.per), "ns/instance")
		})
	}
}
