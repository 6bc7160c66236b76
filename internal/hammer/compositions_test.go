package hammer_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/registry"
	"pappus/wasmengine"
	wasm "pappus/wasmengine/binary"
)

// platform is a dispatcher over the real registry and engine.
func platform(t testing.TB, config dispatcher.Config) (*dispatcher.Dispatcher, engine.Engine, *prometheus.Registry) {
	t.Helper()
	reg, err := registry.Open(t.TempDir(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := wasmengine.New(wasmengine.Config{Caps: wasm.DefaultCaps()})
	if err != nil {
		t.Fatal(err)
	}
	metrics := prometheus.NewRegistry()
	d, err := dispatcher.New(config, reg, []engine.Engine{e}, metrics, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, err := range []error{d.Close(t.Context()), e.Close(), reg.Close()} {
			if err != nil && !strings.Contains(err.Error(), "context canceled") {
				t.Error(err)
			}
		}
	})
	return d, e, metrics
}

// echo registers a function that leaves its inputs where they are, as outputs.
func echo(t testing.TB, d *dispatcher.Dispatcher) *registry.Version {
	t.Helper()
	return publish(t, d, "echo", read(t, "../../wasmengine/testdata/hostile/echo-in-place.wasm"))
}

// publish registers a function from one set to one.
func publish(t testing.TB, d *dispatcher.Dispatcher, name string, code []byte) *registry.Version {
	t.Helper()
	v, _, err := d.Publish(t.Context(), dispatcher.Publication{
		Tenant: "default", Name: name, Code: code, HasSignature: true,
		Inputs: []engine.Param{{Name: "in", Type: engine.TypeSet}}, Outputs: []engine.Param{{Name: "out", Type: engine.TypeSet}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func call(t testing.TB, d *dispatcher.Dispatcher, v *registry.Version, set string, items []*data.Item) int64 {
	t.Helper()
	a, err := d.Invoke(t.Context(), dispatcher.Invocation{Tenant: "default", Target: v, Inputs: []data.Set{{Name: set, Items: items}}})
	if err != nil {
		t.Fatal(err)
	}
	n := data.Size(a.Outputs)
	a.Release()
	return n
}

func sized(n, size int) []*data.Item {
	items := make([]*data.Item, n)
	for i := range items {
		items[i] = data.NewItem(fmt.Sprint(i), uint32(i), make([]byte, size))
	}
	return items
}

// A chain hands large outputs on in place, and two stages over a thousand
// mebibytes fit into contexts of 64.
func TestLargeOutputsFlow(t *testing.T) {
	for name, defaults := range map[string]engine.Limits{"tight limits": {Memory: 4 << 20, Stack: 64 << 10}, "default limits": {}} {
		t.Run(name, func(t *testing.T) {
			d, _, metrics := platform(t, dispatcher.Config{Workers: 2, MemoryBudget: 64 << 20 / 3 * 4, Defaults: defaults})
			echo(t, d)
			both := `function echo(in) => (out);
composition both(s0) => () {
	echo(in = each s0) => (s1 = out);
	echo(in = each s1) => ();
}`
			v, _, _, err := d.PublishComposition(t.Context(), dispatcher.CompositionPublication{Tenant: "default", Name: "both", Source: both})
			if err != nil {
				t.Fatal(err)
			}
			call(t, d, v, "s0", sized(1000, 1<<20))
			peak := metric(t, metrics, "pappus_memory_peak_bytes")
			t.Logf("at most %.1f MiB were charged at once", peak/(1<<20))
			if peak > 64<<20 || peak < 2<<20 {
				t.Errorf("at most %v bytes were charged at once", peak)
			}
			for _, nothing := range []string{"pappus_runs_held_bytes", "pappus_runs_dropped_total", `pappus_memory_used_bytes contexts`} {
				if n := metric(t, metrics, nothing); n != 0 {
					t.Errorf("%s is %v after the run", nothing, n)
				}
			}
		})
	}
}

// metric is the value of a gauge or counter, named with its label if it has one.
func metric(t testing.TB, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	name, label, _ := strings.Cut(name, " ")
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// Functions that need more and more memory, all at once, for more than there is,
// end as they do alone.
func TestGrowingCalls(t *testing.T) {
	d, _, metrics := platform(t, dispatcher.Config{Workers: 16, MemoryBudget: 88 << 20, Defaults: engine.Limits{Memory: 64 << 20}})
	code, err := os.ReadFile("../../wasmengine/testdata/hostile/grow-touch.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for round := 0; round < 20 && metric(t, metrics, "pappus_instances_dropped_total") == 0; round++ {
		// A new program every time: nobody has seen what it needs.
		v, _, err := d.Publish(t.Context(), dispatcher.Publication{Tenant: "default", Name: "grow", Code: code, HasSignature: true, Limits: engine.Limits{Memory: engine.Bytes(1024-round) * engine.PageSize}})
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for range 16 {
			calls.Go(func() {
				a, err := d.Invoke(t.Context(), dispatcher.Invocation{Tenant: "default", Target: v})
				if err != nil {
					t.Error(err)
					return
				}
				if a.Usage.MemoryPages != int64(1024-round) {
					t.Errorf("it had %d pages", a.Usage.MemoryPages)
				}
				a.Release()
			})
		}
		calls.Wait()
	}
	dropped := metric(t, metrics, "pappus_instances_dropped_total")
	t.Logf("%v were dropped", dropped)
	if dropped == 0 {
		t.Error("nobody was in another's way: the test shows nothing")
	}
}
