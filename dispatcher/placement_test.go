package dispatcher

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/data"
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

func newTwoEngines(t *testing.T) *twoEngines {
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
	var err error
	two.Dispatcher, err = New(Config{Workers: 2}, reg, []engine.Engine{two.first, two.second}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
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
