package dispatcher

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/registry"
)

// newCrowded is a dispatcher with three mebibytes for contexts, and functions that
// fill them: Big makes an output of 300 KB, which stays in its context, of each
// item, and Size says how much it got.
func newCrowded(t testing.TB, workers int) *bench {
	b := newBench(t, func(c *Config) {
		withIO(t, fakeIO{name: "HTTP", call: echoing})(c)
		c.Workers, c.MemoryBudget, c.Run.Bytes = workers, 4<<20, 3<<20
	})
	b.engine.runOf = func(code []byte) runFunc {
		does := strings.TrimPrefix(string(code), "\x00asm")
		return func(ctx context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
			if _, err := engine.SchedulerOf(ctx).Grow(ctx, 5*engine.PageSize, time.Now().Add(time.Minute)); err != nil {
				if engine.KindOf(err) == "" && ctx.Err() != nil {
					err = &engine.Fault{Kind: engine.FaultCanceled, Err: err}
				}
				return engine.Result{}, err
			}
			out := data.Set{Name: "out", Items: []*data.Item{data.NewItem("n", 0, fmt.Append(nil, data.Size(in)))}}
			if does == "Big" {
				out.Items[0] = data.NewItem("big", 0, make([]byte, 300_000))
			}
			return engine.NewResult([]data.Set{out}, engine.Usage{Fuel: 1, MemoryPages: 5}, 5*engine.PageSize, func() {}), nil
		}
	}
	for _, name := range []string{"Big", "Size"} {
		b.publish(t, name, func(p *Publication) {
			p.Name, p.HasSignature = name, true
			p.Inputs, p.Outputs = []engine.Param{{Name: "in", Type: engine.TypeSet}}, []engine.Param{{Name: "out", Type: engine.TypeSet}}
		})
	}
	b.compose(t, "fan", `function Big(in) => (out);
		function Size(in) => (out);
		composition fan(x) => (n) { Big(in = each x) => (y = out); Size(in = all y) => (n = out); }`)
	return b
}

// What runs need together is several times the memory that there is, and what one
// of them needs is less: nobody fails because of others, or of the number of workers.
func TestCrowdedRuns(t *testing.T) {
	seven := func(key uint32) []*data.Item {
		var items []*data.Item
		for range 7 {
			items = append(items, data.NewItem("i", key, []byte("x")))
		}
		return items
	}
	var groups []*data.Item
	for key := range uint32(8) {
		groups = append(groups, seven(key)...)
	}
	request := []byte("INVOKE fan\n")
	for range 7 {
		request = append(request, "0 1 x/i\nx\n"...)
	}
	var requests []*data.Item
	for range 8 {
		requests = append(requests, data.NewItem("r", 0, request))
	}
	for _, c := range []struct {
		name, source string
		inputs       []data.Set
		at           int
		mayFail      bool // with overload, since it has called an I/O function
	}{
		{"pure", "", []data.Set{{Name: "x", Items: seven(0)}}, 10, false},
		{"nested", `function fan(x) => (n);
			composition nested(x) => (n) { fan(x = keyed x) => (n = n); }`, []data.Set{{Name: "x", Items: groups}}, 3, false},
		{"by name", `function system_Invoke(requests) => (answers);
			composition named(r) => (n) { system_Invoke(requests = each r) => (n = answers); }`, []data.Set{{Name: "r", Items: requests}}, 3, false},
		{"without a call", `function HTTP(requests) => (answers);
			function Big(in) => (out);
			function Size(in) => (out);
			composition may(x, r) => (n, a) { HTTP(requests = each r) => (a = answers); Big(in = each x) => (y = out); Size(in = all y) => (n = out); }`,
			[]data.Set{{Name: "x", Items: seven(0)}, {Name: "r"}}, 10, false},
		{"with a call", `function HTTP(requests) => (answers);
			function Big(in) => (out);
			function Size(in) => (out);
			composition does(x, r) => (n, a) { HTTP(requests = each r) => (a = answers); Big(in = each x) => (y = out); Size(in = all y) => (n = out); }`,
			[]data.Set{{Name: "x", Items: seven(0)}, {Name: "r", Items: seven(0)}}, 10, true},
	} {
		for _, workers := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s, %d workers", c.name, workers), func(t *testing.T) {
				b := newCrowded(t, workers)
				defer b.finish(t)
				v, err := b.Resolve(t.Context(), "default", registry.Ref{Name: "fan"})
				if err != nil {
					t.Fatal(err)
				}
				if c.source != "" {
					_, name, _ := strings.Cut(c.source, "composition ")
					name, _, _ = strings.Cut(name, "(")
					v = b.compose(t, name, c.source)
				}
				var runs sync.WaitGroup
				var mu sync.Mutex
				ended := map[engine.FaultKind]int{}
				for range c.at {
					runs.Go(func() {
						a, err := b.call(t.Context(), v, c.inputs...)
						mu.Lock()
						defer mu.Unlock()
						ended[engine.KindOf(err)]++
						if err == nil {
							a.Release()
						} else if !c.mayFail || engine.KindOf(err) != engine.FaultOverload {
							t.Error(err)
						}
					})
				}
				runs.Wait()
				if ended[""] == 0 {
					t.Errorf("none ended well: %v", ended)
				}
				t.Log(ended, b.permits.counts().droppedRuns)
			})
		}
	}
}

// A composition that is applied often is begun as often as there is room for, and
// not at once.
func TestNestedCompositionsBeginInTurn(t *testing.T) {
	b := newComposer(t, func(c *Config) {
		withIO(t, fakeIO{name: "HTTP", call: echoing})(c)
		c.Run.Applications = 10
	})
	defer b.finish(t)
	b.compose(t, "Ask", ask)
	v := b.compose(t, "Often", `function Ask(text) => (answers);
		composition Often(text) => (answers) { Ask(text = each text) => (answers = answers); }`)
	var texts []string
	for i := range 100 {
		texts = append(texts, fmt.Sprint("t", i))
	}
	r, sets, err := func() (*run, []data.Set, error) {
		resolved, err := b.reg.ResolveAll(t.Context(), "default", registry.Ref{Name: v.Name})
		if err != nil {
			t.Fatal(err)
		}
		bound, err := b.bind(resolved[0], b.config.Load().Run, 0)
		if err != nil {
			t.Fatal(err)
		}
		return b.runToEnd(t.Context(), Invocation{Tenant: "default", Target: v, Inputs: []data.Set{set("text", texts...)}}, bound)
	}()
	if err != nil {
		t.Fatal(err)
	}
	defer r.release()
	if len(sets[0].Items) != 100 {
		t.Errorf("%d answers", len(sets[0].Items))
	}
	if most := r.nested(1).most; most > 10 || most < 3 {
		t.Errorf("%d applications had begun at once", most)
	}
	if r.nested(1).live != 0 {
		t.Errorf("%d applications are still going on", r.nested(1).live)
	}
}
