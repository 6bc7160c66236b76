package dispatcher

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/data"
	"pappus/engine"
	"pappus/registry"
)

// What was published before a restart is found and loaded after it.
func TestFunctionsOutliveTheDispatcher(t *testing.T) {
	dir := t.TempDir()
	pub := Publication{Tenant: registry.DefaultTenant, Name: "f", Code: []byte("\x00asm"), HasSignature: true, Inputs: params("in"), Outputs: params("in")}
	var digest data.Digest
	for round := range 2 {
		reg, err := registry.Open(dir, registry.Options{})
		if err != nil {
			t.Fatal(err)
		}
		e := newFakeEngine()
		d, err := New(Config{}, reg, []engine.Engine{e}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			v, created, err := d.Publish(t.Context(), pub)
			if err != nil || !created {
				t.Fatalf("created %v, %v", created, err)
			}
			digest = v.Digest
		}
		v, err := d.Resolve(t.Context(), registry.DefaultTenant, registry.Ref{Name: "f"})
		if err != nil || v.Digest != digest {
			t.Fatalf("resolved %v, %v", v, err)
		}
		for range 2 {
			a, err := d.Invoke(t.Context(), Invocation{Tenant: registry.DefaultTenant, Target: v, Inputs: []data.Set{set("in", "x")}})
			if err != nil || !data.Equal(a.Outputs, []data.Set{set("in", "x")}) {
				t.Fatalf("answer %v, %v", a, err)
			}
			a.Release()
		}
		again, created, err := d.Publish(t.Context(), pub)
		if err != nil || created || again.Number != v.Number || again.Digest != digest {
			t.Errorf("the same again: %+v, created %v, %v", again, created, err)
		}
		if n := e.prepared.Load(); n != 1 {
			t.Errorf("prepared %d times in round %d", n, round)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	}
}
