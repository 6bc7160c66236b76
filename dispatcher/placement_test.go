package dispatcher

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/data"
	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/registry"
)

// twoEngines are a dispatcher over two engines, the first of which is
// preferred, and versions with code for both of them or for one.
type twoEngines struct {
	*Dispatcher
	first, second *fakeEngine
	versions      map[string]*registry.Version // "both", "first", "second", "neither"
}

func newTwoEngines(t *testing.T, change ...func(*Config)) *twoEngines {
	t.Helper()
	two := &twoEngines{first: newFakeEngine(), second: newFakeEngine(), versions: map[string]*registry.Version{}}
	two.first.name, two.second.name = "quick", "wasm"
	reg := &fakeRegistry{}
	for name, engines := range map[string][]string{"both": {"wasm", "quick"}, "first": {"quick"}, "second": {"wasm"}, "neither": {"other"}} {
		code := map[string][]byte{}
		for _, e := range engines {
			code[e] = []byte("\x00asm" + name)
		}
		v, _, err := reg.Put(t.Context(), registry.Registration{
			Tenant: "default", Name: name, Code: code, Signature: engine.OpenSignature(), Limits: engine.DefaultLimits(),
		})
		if err != nil {
			t.Fatal(err)
		}
		two.versions[name] = v
	}
	c := Config{Workers: 2}
	for _, f := range change {
		f(&c)
	}
	var err error
	two.Dispatcher, err = New(c, reg, []engine.Engine{two.first, two.second}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return two
}

func (two *twoEngines) finish(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := two.Close(ctx); err != nil {
		t.Error(err)
	}
	if two.first.open.Load()+two.second.open.Load() != 0 {
		t.Error("programs were not closed")
	}
}

// prepared calls a version once and says how many programs each engine has
// prepared so far.
func (two *twoEngines) prepared(t *testing.T, tenant, version string) (first, second int64) {
	t.Helper()
	in := set("in", "text of "+tenant)
	a, err := two.Invoke(t.Context(), Invocation{Tenant: tenant, Target: two.versions[version], Inputs: []data.Set{in}})
	if err != nil {
		t.Fatal(err)
	}
	if !data.Equal(a.Outputs, []data.Set{in}) {
		t.Errorf("%s of %s gave %v", version, tenant, a.Outputs)
	}
	a.Release()
	return two.first.prepared.Load(), two.second.prepared.Load()
}

func TestTheFirstEngineWithCodeRuns(t *testing.T) {
	two := newTwoEngines(t)
	defer two.finish(t)
	two.place = preferred
	for _, c := range []struct {
		version       string
		first, second int64
	}{{"both", 1, 0}, {"both", 1, 0}, {"second", 1, 1}, {"first", 2, 1}, {"second", 2, 1}} {
		if first, second := two.prepared(t, "default", c.version); first != c.first || second != c.second {
			t.Errorf("after a call of %q the engines have prepared %d and %d programs, want %d and %d", c.version, first, second, c.first, c.second)
		}
	}
	_, err := two.Invoke(t.Context(), Invocation{Tenant: "default", Target: two.versions["neither"]})
	if err == nil || !strings.Contains(err.Error(), "none of this server's engines") {
		t.Errorf("a version without code for any engine ended with %v", err)
	}
}

// One version may run on either engine, call by call: both programs are loaded
// beside one another and give the same.
func TestPlacementIsPerInvocation(t *testing.T) {
	two := newTwoEngines(t)
	defer two.finish(t)
	two.place = func(engines []engine.Engine, inv Invocation) engine.Engine {
		if inv.Tenant == "second" {
			return engines[1]
		}
		return preferred(engines, inv)
	}
	for round := range 3 {
		for _, tenant := range []string{"first", "second"} {
			first, second := two.prepared(t, tenant, "both")
			if first != 1 || second > 1 || second == 0 && (round > 0 || tenant == "second") {
				t.Errorf("round %d, %s: the engines have prepared %d and %d programs", round, tenant, first, second)
			}
		}
	}
}

// placed says how many of n calls each engine gets, when a call takes them so long.
func (two *twoEngines) placed(c *costs, v *registry.Version, n int, first, second time.Duration) (calls [2]int) {
	for range n {
		switch e := c.cheapest(two.engines, Invocation{Target: v}); e {
		case engine.Engine(two.first):
			calls[0]++
			c.took(two.engines, v, e.Name(), first)
		case engine.Engine(two.second):
			calls[1]++
			c.took(two.engines, v, e.Name(), second)
		}
	}
	return calls
}

// The engine whose calls are shorter gets all calls but a few, also once that
// changes.
func TestTheCheaperEngineRuns(t *testing.T) {
	two := newTwoEngines(t)
	defer two.finish(t)
	c := &costs{}
	const slow, quick, n = 3 * time.Millisecond, time.Millisecond, 10 * tryAway
	if calls := two.placed(c, two.versions["both"], n, slow, quick); calls[0] < trials || calls[0] > trials+n/tryAway {
		t.Errorf("of %d calls the slow first engine got %d, the quick one %d", n, calls[0], calls[1])
	}
	two.placed(c, two.versions["both"], 4*n, quick, slow) // costs that have turned are noticed
	if calls := two.placed(c, two.versions["both"], n, quick, slow); calls[1] > n/tryAway+1 {
		t.Errorf("once it was the quick one, the first engine got %d of %d calls", calls[0], n)
	}
	if calls := two.placed(c, two.versions["second"], n, slow, slow); calls != [2]int{0, n} {
		t.Errorf("a version with code for the second engine ran %v", calls)
	}
	limited := *two.versions["both"]
	limited.Limits.Fuel, limited.Digest[0] = 1000, limited.Digest[0]+1
	if calls := two.placed(c, &limited, n, slow, quick); calls != [2]int{n, 0} {
		t.Errorf("with a fuel limit the engine is pinned, but calls went %v", calls)
	}
	if e := c.cheapest(two.engines, Invocation{Target: two.versions["neither"]}); e != nil {
		t.Errorf("a version without code is to run on %s", e.Name())
	}
}

// What is chosen for a call is what runs it and what its result is remembered
// under; a run has one engine for all instances of a version.
func TestTheChoiceIsMadeOnce(t *testing.T) {
	two := newTwoEngines(t)
	defer two.finish(t)
	calls := 0
	two.place = func(engines []engine.Engine, _ Invocation) engine.Engine {
		calls++
		return engines[calls%2]
	}
	inv := Invocation{Target: two.versions["both"]}
	first := two.choose(&inv)
	if again := two.choose(&inv); again != first || calls != 1 {
		t.Errorf("one call was given to %s and to %s", first.Name(), again.Name())
	}
	b := binder{choose: two.choose}
	for range 3 {
		if e := b.engine(two.versions["both"]); e != engine.Engine(two.first) && e != engine.Engine(two.second) || b.engines[two.versions["both"]] != e {
			t.Errorf("an application was given to %v", e)
		}
	}
	if calls != 2 {
		t.Errorf("a run with one version made %d choices", calls-1)
	}
	if b.engine(two.versions["second"]) != nil || calls != 2 {
		t.Error("a choice was made where there is none")
	}
}

// What a composition's answer has depends on the engines that run its functions,
// and an ETag is made of its key: so one key is of one choice of engines.
func TestCompositionsOfTwoEngines(t *testing.T) {
	two := newTwoEngines(t, remembers(t, memo.Options{}))
	defer two.finish(t)
	two.first.magic = "quick:"
	for i, e := range []*fakeEngine{two.first, two.second} {
		e.run = func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
			outputs := []data.Set{{Name: "out", Items: clones(in[0].Items)}}
			return engine.NewResult(outputs, engine.Usage{Fuel: int64(i + 1), MemoryPages: 1, Run: time.Second}, 0, nil), nil
		}
	}
	if _, _, err := two.Publish(t.Context(), Publication{
		Tenant: "default", Name: "F", Implementations: map[string][]byte{"wasm": []byte("\x00asm1"), "quick": []byte("quick:1")},
		HasSignature: true, Inputs: []engine.Param{{Name: "in", Type: engine.TypeSet}}, Outputs: []engine.Param{{Name: "out", Type: engine.TypeSet}},
	}); err != nil {
		t.Fatal(err)
	}
	publish := func(name, source string) *registry.Version {
		t.Helper()
		v, _, _, err := two.PublishComposition(t.Context(), CompositionPublication{Tenant: "default", Name: name, Source: source})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	publish("Inner", "function F(in) => (out);\ncomposition Inner(x) => (y) { F(in = all x) => (y = out); }")
	v := publish("Outer", "function Inner(x) => (y);\nfunction F(in) => (out);\ncomposition Outer(a) => (c) { Inner(x = all a) => (b = y); F(in = all b) => (c = out); }")
	used := map[memo.Key]int64{}
	for _, c := range []struct {
		engine int
		reuse  Reuse
		source memo.Source
	}{{0, ReuseAuto, memo.Computed}, {1, ReuseAuto, memo.Computed}, {0, ReuseAuto, memo.FromMemory}, {1, ReuseOnly, memo.FromMemory}, {0, ReuseFresh, memo.Computed}, {1, ReuseFresh, memo.Computed}} {
		two.place = func(engines []engine.Engine, _ Invocation) engine.Engine { return engines[c.engine] }
		a, err := two.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Inputs: []data.Set{set("a", "text")}, Reuse: c.reuse, Keyed: true})
		if err != nil {
			t.Fatal(err)
		}
		if a.Usage.Fuel != int64(2*(c.engine+1)) || a.From.Source != c.source {
			t.Errorf("by engine %d it used %d, %s", c.engine, a.Usage.Fuel, a.From.Source)
		}
		if before, known := used[a.From.Key]; known && before != a.Usage.Fuel {
			t.Errorf("answers of one key used %d and %d", before, a.Usage.Fuel)
		}
		used[a.From.Key] = a.Usage.Fuel
		a.Release()
	}
	if len(used) != 2 {
		t.Errorf("two engines have %d keys", len(used))
	}
}
