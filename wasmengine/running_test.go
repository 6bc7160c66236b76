package wasmengine

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pappus/engine"
	"pappus/engine/enginetest"
)

func TestStackOf(t *testing.T) {
	err := errors.New("wasm error: unreachable\nwasm stack trace:\n\tpappus.slice(i64) i64\n\t.inner(i32)\n\t.\x1b[2J\u202eevil()\n\t." + strings.Repeat("x", 300) + "\n\n")
	want := []string{"inner(i32)", "?[2J?evil()", strings.Repeat("x", maxCall) + "…"}
	if got, err := (*sources)(nil).show(t.Context(), stackOf(err)); err != nil || !slices.Equal(got, want) {
		t.Errorf("stack %q", got)
	}
	if stackOf(nil) != nil || stackOf(errors.New("x")) != nil {
		t.Error("a stack from nothing")
	}
}

// A trap names the guest's functions.
func TestTrapHasAStack(t *testing.T) {
	e := newEngine(t, Config{})
	p, err := e.Prepare(t.Context(), hostile(t, "unreachable-nested"), enginetest.Signature(), enginetest.Limits())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	_, err = p.Run(t.Context(), nil, enginetest.Limits())
	var f *engine.Fault
	if !errors.As(err, &f) || f.Kind != engine.FaultTrap || len(f.Stack) < 2 {
		t.Fatalf("%v with stack %q", err, f.Stack)
	}
	t.Logf("%q", f.Stack)
}

// The slice decides nothing but when the platform looks: outputs, fuel and
// faults are equal for every one.
func TestSlicesAreInvisible(t *testing.T) {
	sharesNothing(t)
	type seen struct {
		end  string
		fuel int64
	}
	results := map[string]seen{}
	for _, slice := range []int64{1, 7, 1_000, 1_000_000} {
		e := newEngine(t, Config{Slice: slice})
		for _, c := range hostileCases(t) {
			if strings.HasPrefix(c.name, "initialise") {
				continue // uses up the fuel of initialisation, slowly
			}
			lim := enginetest.Limits()
			lim.Memory = 128 << 20
			lim.Fuel = 300_000
			p, err := e.Prepare(t.Context(), c.code, enginetest.Signature(), lim)
			if err != nil {
				continue
			}
			r, err := p.Run(t.Context(), nil, lim)
			now := seen{"ok", r.Usage.Fuel}
			var f *engine.Fault
			if errors.As(err, &f) {
				now = seen{f.Error(), f.Usage.Fuel}
			}
			r.Release()
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if first, ok := results[c.name]; !ok {
				results[c.name] = now
			} else if first != now {
				t.Errorf("%s in slices of %d: %+v, in slices of 1: %+v", c.name, slice, now, first)
			}
		}
	}
	if len(results) < 50 {
		t.Errorf("only %d modules ran", len(results))
	}
}
