package dispatcher

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/dispatcher/shard"
	"pappus/dispatcher/shard/shardtest"
	"pappus/engine"
)

// digesting is a function whose outputs are all that can be told of its inputs:
// their number, keys and contents come out of a digest of the code and of every
// set, name, key and byte.
func digesting(code []byte, outputs int) func(in []data.Set) []data.Set {
	return func(in []data.Set) []data.Set {
		h := sha256.New()
		h.Write(code)
		for _, s := range in {
			_, _ = fmt.Fprintf(h, "|%d", len(s.Items))
			for _, it := range s.Items {
				_, _ = fmt.Fprintf(h, ",%q %d %q", it.Name(), it.Key(), it.Bytes())
			}
		}
		sum := h.Sum(nil)
		out := make([]data.Set, outputs)
		for o := range out {
			out[o].Name = fmt.Sprintf("out%d", o)
			for i := range int(sum[o]) % 4 {
				content := sha256.Sum256(fmt.Append(nil, sum, o, i))
				out[o].Items = append(out[o].Items, data.NewItem(fmt.Sprintf("%x", content[:2]), uint32(content[3])%4, content[:8]))
			}
			out[o].Order()
		}
		return out
	}
}

// arity is what the code of a function in these tests says of it: f, a letter,
// inputs, outputs.
func arity(code []byte) (inputs, outputs int) {
	n := len(code)
	return int(code[n-2] - '0'), int(code[n-1] - '0')
}

// evaluation is of a graph, in the most obvious way: one application after the
// other, one instance after the other, whole sets.
type evaluation struct {
	graph       *composition.Graph
	parallelism int
	code        func(ref int) []byte
	left        int // of the instances after which it gives up
}

// of is what a composition of the graph means. It is false for one with so many
// instances that this way would take for ever.
func (e *evaluation) of(c *composition.Composition, in [][]*data.Item) ([][]*data.Item, bool) {
	sets := make([][]*data.Item, len(c.Sets))
	for i := range c.Inputs {
		sets[i] = in[i]
	}
	for _, n := range c.Nodes {
		sig := e.graph.Callee(&n)
		app := shard.Application{Parallelism: e.parallelism}
		at := map[int]int{}
		for i, a := range n.Arguments {
			at[a.Param] = i
			app.Params = append(app.Params, shard.Param{Kind: a.Kind, Optional: a.Optional, Items: sets[a.Set]})
		}
		for _, l := range n.Chain {
			app.Chain = append(app.Chain, shard.Link{Param: at[l.Param], Join: l.Join})
		}
		if e.left -= mostInstances(app); e.left < 0 {
			return nil, false
		}
		made := make([][][]*data.Item, len(sig.Outputs))
		for _, instance := range shardtest.Instances(app) {
			args := make([][]*data.Item, len(sig.Inputs))
			for i, a := range n.Arguments {
				args[a.Param] = instance[i]
			}
			var outputs [][]*data.Item
			if n.Nested {
				var ok bool
				if outputs, ok = e.of(&e.graph.Compositions[n.Callee], args); !ok {
					return nil, false
				}
			} else {
				given := make([]data.Set, len(args))
				for i := range args {
					given[i].Items = args[i]
				}
				for _, s := range digesting(e.code(n.Callee), len(sig.Outputs))(given) {
					outputs = append(outputs, s.Items)
				}
			}
			for o := range outputs {
				made[o] = append(made[o], outputs[o])
			}
		}
		for _, k := range n.Kept {
			sets[k.Set] = shardtest.Gather(made[k.Output])
		}
	}
	var out [][]*data.Item
	for _, s := range c.Outputs {
		out = append(out, sets[s])
	}
	return out, true
}

// mostInstances is no less than what an application has of instances.
func mostInstances(app shard.Application) int {
	most := 1
	for _, p := range app.Params {
		if p.Kind != shard.All && len(p.Items) > 1 {
			most *= min(len(p.Items), 1_000_000)
		}
	}
	return most
}

// randomGraph draws a graph over the functions.
func randomGraph(t *rapid.T, references []composition.Reference) *composition.Graph {
	g := &composition.Graph{Format: composition.GraphFormat, References: references}
	for level := range rapid.IntRange(1, 3).Draw(t, "compositions") {
		c := composition.Composition{Name: fmt.Sprintf("c%d", level), Inputs: rapid.IntRange(0, 3).Draw(t, "inputs")}
		for i := range c.Inputs {
			c.Sets = append(c.Sets, composition.Set{Name: fmt.Sprintf("s%d", i), Type: engine.TypeSet})
		}
		for range rapid.IntRange(1, 5).Draw(t, "nodes") {
			n := composition.Node{Callee: rapid.IntRange(0, len(references)-1).Draw(t, "callee")}
			if level > 0 && rapid.IntRange(0, 3).Draw(t, "nested") == 0 {
				n.Nested, n.Callee = true, rapid.IntRange(0, level-1).Draw(t, "composition")
			}
			n.Name = fmt.Sprint("n", len(c.Nodes))
			sig := g.Callee(&n)
			chained := shard.Keyed
			if rapid.Bool().Draw(t, "any") {
				chained = shard.AnyKeyed
			}
			for p := range sig.Inputs {
				if len(c.Sets) == 0 || rapid.IntRange(0, 5).Draw(t, "left out") == 0 {
					continue
				}
				a := composition.Argument{
					Param: p, Set: rapid.IntRange(0, len(c.Sets)-1).Draw(t, "set"),
					Kind: shard.Kind(rapid.IntRange(0, 4).Draw(t, "kind")), Optional: rapid.Bool().Draw(t, "optional"),
				}
				if rapid.IntRange(0, 2).Draw(t, "joined") == 0 {
					a.Kind = chained
					n.Chain = append(n.Chain, composition.Link{Param: p, Join: shard.Join(rapid.IntRange(0, 4).Draw(t, "join"))})
				}
				n.Arguments = append(n.Arguments, a)
			}
			if len(n.Chain) < 2 {
				n.Chain = nil
			}
			for o := range sig.Outputs {
				for range rapid.IntRange(0, 2).Draw(t, "kept") {
					n.Kept = append(n.Kept, composition.Kept{Output: o, Set: len(c.Sets)})
					c.Sets = append(c.Sets, composition.Set{Name: fmt.Sprintf("s%d", len(c.Sets)), Type: engine.TypeSet})
				}
			}
			c.Nodes = append(c.Nodes, n)
		}
		for i := range c.Sets {
			if rapid.IntRange(0, 2).Draw(t, "output") == 0 {
				c.Outputs = append(c.Outputs, i)
			}
		}
		g.Compositions = append(g.Compositions, c)
	}
	return g
}

// runBench is a dispatcher with functions of every small arity.
type runBench struct {
	*bench
	references []composition.Reference
	codes      [][]byte
	callees    []callee
}

func newRunBench(t testing.TB, change func(*Config), around func(run runFunc) runFunc) *runBench {
	b := &runBench{bench: newBench(t, change)}
	b.engine.runOf = func(code []byte) runFunc {
		_, outputs := arity(code)
		f := digesting(code, outputs)
		run := runFunc(func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
			return engine.NewResult(f(in), engine.Usage{Fuel: 10, MemoryPages: 2}, 0, nil), nil
		})
		if around != nil {
			return around(run)
		}
		return run
	}
	for inputs := range 4 {
		for outputs := 1; outputs < 3; outputs++ {
			code := fmt.Sprintf("%d%d", inputs, outputs)
			var sig engine.Signature
			for i := range inputs {
				sig.Inputs = append(sig.Inputs, engine.Param{Name: fmt.Sprintf("in%d", i), Type: engine.TypeSet})
			}
			for i := range outputs {
				sig.Outputs = append(sig.Outputs, engine.Param{Name: fmt.Sprintf("out%d", i), Type: engine.TypeSet})
			}
			v := b.publish(t, code, func(p *Publication) { p.HasSignature, p.Inputs, p.Outputs = true, sig.Inputs, sig.Outputs })
			b.references = append(b.references, composition.Reference{Name: v.Name, Signature: sig})
			b.codes = append(b.codes, []byte("\x00asm"+code))
			b.callees = append(b.callees, callee{version: v})
		}
	}
	return b
}

func randomItems(t *rapid.T, label string) []*data.Item {
	s := data.Set{}
	for range rapid.IntRange(0, 5).Draw(t, label) {
		s.Items = append(s.Items, data.NewItem(rapid.StringMatching(`[a-c]?`).Draw(t, "name"), rapid.Uint32Range(0, 4).Draw(t, "key"), []byte(rapid.StringMatching(`[x-z]{0,3}`).Draw(t, "data"))))
	}
	s.Order()
	return s.Items
}

// anyOrder makes instances take now longer and now shorter.
func anyOrder(run runFunc) runFunc {
	return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
		for range rand.IntN(8) {
			runtime.Gosched()
		}
		return run(ctx, in, lim)
	}
}

// meaning is a graph with inputs, and what they mean.
type meaning struct {
	graph       *composition.Graph
	inputs      []data.Set
	parallelism int
	want        [][]*data.Item
}

// draw makes a random graph with inputs.
func (b *runBench) draw(t *rapid.T) meaning {
	g := randomGraph(t, b.references)
	m := meaning{graph: g, parallelism: rapid.IntRange(1, 5).Draw(t, "parallelism"), inputs: make([]data.Set, g.Entry().Inputs)}
	given := make([][]*data.Item, len(m.inputs))
	for i := range m.inputs {
		m.inputs[i] = data.Set{Name: g.Entry().Sets[i].Name, Items: randomItems(t, "input")}
		given[i] = m.inputs[i].Items
	}
	e := evaluation{graph: g, parallelism: m.parallelism, left: 20_000, code: func(ref int) []byte { return b.codes[ref] }}
	want, ok := e.of(g.Entry(), given)
	if !ok {
		t.Skip("a graph with very many instances")
	}
	m.want = want
	return m
}

// runs runs a graph and compares what it gives with what it means. More instances
// than there may be are no failure.
func (b *runBench) runs(t *rapid.T, m meaning) {
	r, got, err := b.runToEnd(t.Context(), Invocation{Tenant: "default", Inputs: m.inputs, Parallelism: m.parallelism}, newBound(m.graph, b.callees))
	if engine.KindOf(err) == engine.FaultLimitInstances {
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	for i, want := range m.want {
		if !slices.EqualFunc(got[i].Items, want, (*data.Item).Equal) {
			t.Errorf("output %d: %d items, want %d", i, len(got[i].Items), len(want))
		}
	}
	r.release()
	if held := r.share.held.Load(); len(r.held) != 0 || held != 0 {
		t.Errorf("%d items and %d bytes are held after the run", len(r.held), held)
	}
}

// Whatever the graph, and however many work on it, the outputs are those of the
// most obvious evaluation.
func TestRunsAreWhatTheyMean(t *testing.T) {
	for name, c := range map[string]struct {
		workers   int
		memory    int64
		at        int // runs at once
		rounds    int // of a hundred graphs
		instances int // the most, of an application
		around    func(runFunc) runFunc
	}{
		"one worker":      {workers: 1, at: 1, rounds: 15},
		"several workers": {workers: 4, at: 1, rounds: 15, around: anyOrder},
		"little memory":   {workers: 4, at: 3, rounds: 1, instances: 100, memory: 4 << 20, around: greedy(20, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRunBench(t, func(config *Config) {
				config.Workers, config.MemoryBudget, config.Run.Instances = c.workers, c.memory, c.instances
			}, c.around)
			defer b.finish(t)
			check := func(t *rapid.T) {
				drawn := b.draw(t)
				var runs sync.WaitGroup
				for range c.at {
					runs.Go(func() {
						b.runs(t, drawn)
					})
				}
				runs.Wait()
				if c := b.permits.counts(); c.inUse != 0 || c.memory != 0 {
					t.Errorf("not everything was given back: %+v", c)
				}
			}
			if raceEnabled { // which slows it down, and sees what is shared in any graph
				c.rounds = (c.rounds + 2) / 3
			}
			for range c.rounds {
				rapid.Check(t, check)
			}
		})
	}
}

func TestRunFails(t *testing.T) {
	failing := func(run runFunc) runFunc {
		return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
			if len(in) > 0 && len(in[0].Items) == 1 && string(in[0].Items[0].Bytes()) == "bad" {
				return engine.Result{}, &engine.Fault{Kind: engine.FaultTrap, Detail: "as asked"}
			}
			return run(ctx, in, lim)
		}
	}
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) { testRunFails(t, workers, failing) })
	}
}

func testRunFails(t *testing.T, workers int, failing func(runFunc) runFunc) {
	b := newRunBench(t, func(c *Config) { c.Workers = workers }, failing)
	defer b.finish(t)
	one := slices.IndexFunc(b.references, func(r composition.Reference) bool {
		return len(r.Signature.Inputs) == 1 && len(r.Signature.Outputs) == 1
	})
	g := &composition.Graph{References: b.references, Compositions: []composition.Composition{{
		Name: "c", Sets: []composition.Set{{Name: "in"}, {Name: "mid"}, {Name: "out"}}, Inputs: 1, Outputs: []int{2},
		Nodes: []composition.Node{
			{Name: "first", Callee: one, Arguments: []composition.Argument{{Set: 0, Kind: shard.Each}}, Kept: []composition.Kept{{Set: 1}}},
			{Name: "second", Callee: one, Arguments: []composition.Argument{{Set: 1, Kind: shard.Each}}, Kept: []composition.Kept{{Set: 2}}},
		},
	}}}
	var items []*data.Item
	for i := range 50 {
		content := binary.LittleEndian.AppendUint32(nil, uint32(i))
		if i == 20 || i == 40 {
			content = []byte("bad")
		}
		items = append(items, data.NewItem(fmt.Sprint("item", i), 7, content))
	}
	r := b.newRun(t.Context(), "default", 0, new(share))
	_, err := r.do(newBound(g, b.callees), []data.Set{{Name: "in", Items: items}})
	var fault *engine.Fault
	if !errors.As(err, &fault) || fault.Kind != engine.FaultTrap || fault.Application != "first" {
		t.Fatalf("%+v", err)
	}
	// Of two workers, one may see the later one before the other has come to the first.
	if fault.Instance != 20 && (workers == 1 || fault.Instance != 40) || fault.Item != fmt.Sprintf(`in0: "item%d", key 7`, fault.Instance) {
		t.Errorf("%+v", err)
	}
}
