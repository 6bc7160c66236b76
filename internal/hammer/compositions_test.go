package hammer_test

import (
	"fmt"
	"log/slog"
	"strings"
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
func platform(t testing.TB, config dispatcher.Config) (*dispatcher.Dispatcher, engine.Engine) {
	t.Helper()
	reg, err := registry.Open(t.TempDir(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := wasmengine.New(wasmengine.Config{Caps: wasm.DefaultCaps()})
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatcher.New(config, reg, []engine.Engine{e}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
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
	return d, e
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
	d, _ := platform(t, dispatcher.Config{Workers: 2, MemoryBudget: 88 << 20, Defaults: engine.Limits{Memory: 4 << 20, Stack: 64 << 10}})
	echo(t, d)
	count := `function echo(in) => (out);
composition both(s0) => () {
	echo(in = each s0) => (s1 = out);
	echo(in = each s1) => ();
}`
	v, _, _, err := d.PublishComposition(t.Context(), dispatcher.CompositionPublication{Tenant: "default", Name: "both", Source: count})
	if err != nil {
		t.Fatal(err)
	}
	call(t, d, v, "s0", sized(1000, 1<<20))
}
