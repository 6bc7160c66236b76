package dispatcher

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pappus/engine"
)

// A version may have code for several engines, which all of them prepare before it
// is stored.
func TestPublishImplementations(t *testing.T) {
	two := newTwoEngines(t)
	defer two.finish(t)
	two.first.magic = "quick:"
	both := map[string][]byte{"wasm": []byte("\x00asm1"), "quick": []byte("quick:1")}
	pub := Publication{Tenant: "default", Name: "several", Implementations: both}
	v, created, err := two.Publish(t.Context(), pub)
	if err != nil || !created {
		t.Fatalf("created %t, %v", created, err)
	}
	if names := slices.Sorted(maps.Keys(v.Code)); !slices.Equal(names, []string{"quick", "wasm"}) {
		t.Errorf("the version has code for %v", names)
	}
	if v.Layout != "dandelion" || two.first.prepared.Load() != 1 || two.second.prepared.Load() != 1 {
		t.Errorf("layout %q, prepared %d and %d", v.Layout, two.first.prepared.Load(), two.second.prepared.Load())
	}
	for range 2 * trials {
		a, err := two.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Reuse: ReuseNone})
		if err != nil {
			t.Fatal(err)
		}
		if a.Engine != "quick" && a.Engine != "wasm" {
			t.Errorf("it ran on %q", a.Engine)
		}
		a.Release()
	}
}

func TestPublishImplementationsRefuses(t *testing.T) {
	two := newTwoEngines(t)
	defer two.finish(t)
	two.first.magic = "quick:"
	wasm, quick := []byte("\x00asm1"), []byte("quick:1")
	set := func(name string) engine.Manifest {
		return engine.Manifest{Inputs: []engine.Param{{Name: name, Type: engine.TypeSet}}}
	}
	for _, c := range []struct {
		name  string
		code  map[string][]byte
		first engine.Manifest
		text  string
		is    error
	}{
		{"none", map[string][]byte{}, engine.Manifest{}, "there is no code", ErrUnknownCode},
		{"an engine that is not here", map[string][]byte{"wasm": wasm, "gpu": quick}, engine.Manifest{}, `"gpu"; this server has quick, wasm`, ErrUnknownCode},
		{"code of the other", map[string][]byte{"wasm": wasm, "quick": wasm}, engine.Manifest{}, "for the engine quick: it does not start", nil},
		{"other sets", map[string][]byte{"wasm": wasm, "quick": quick}, set("b"), "has other sets", nil},
	} {
		two.first.inspection.Manifest, two.second.inspection.Manifest = c.first, set("a")
		_, _, err := two.Publish(t.Context(), Publication{Tenant: "default", Name: "refused", Implementations: c.code})
		var r *engine.RejectedError
		if err == nil || !strings.Contains(err.Error(), c.text) || c.is != nil && !errors.Is(err, c.is) || c.is == nil && !errors.As(err, &r) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if two.first.prepared.Load()+two.second.prepared.Load() != 0 {
		t.Error("refused code was prepared")
	}
}
