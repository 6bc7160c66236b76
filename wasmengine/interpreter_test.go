package wasmengine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
)

// twice runs code twice and tells everything that can be seen of it. The error
// is what keeps it from being told.
func twice(ctx context.Context, e *Engine, code []byte, in []data.Set, lim engine.Limits) (seen string, err error) {
	p, err := e.Prepare(ctx, code, enginetest.Signature(), lim)
	var rejected *engine.RejectedError
	if errors.As(err, &rejected) && !errors.Is(err, ErrTooDeep) && engine.KindOf(err) != engine.FaultOutOfFuel {
		return rejected.Reason, nil
	} else if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var b strings.Builder
	for range 2 {
		r, err := p.Run(ctx, in, lim)
		var f *engine.Fault
		switch {
		case errors.As(err, &f):
			fmt.Fprintln(&b, f.Error(), f.Usage.Fuel, f.Usage.MemoryPages, string(f.Stderr), strings.Join(f.Stack, " < "))
		case err != nil:
			return "", err
		default:
			fmt.Fprintln(&b, r.Usage.Fuel, r.Usage.MemoryPages)
			for _, s := range r.Outputs {
				for _, it := range s.Items {
					fmt.Fprintln(&b, s.Name, it.Name(), it.Key(), it.Digest())
				}
			}
		}
		r.Release()
	}
	return b.String(), nil
}

// Hostile modules look alike compiled and interpreted, down to fuel and stack
// traces, but for those that the interpreter can't follow.
func TestInterpreterAgreesOnHostileModules(t *testing.T) {
	sharesNothing(t)
	compiler, interpreter := newEngine(t, Config{}), newEngine(t, Config{Interpreter: true})
	in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("item", 3, []byte("content"))}}}
	compared, deep := 0, 0
	for _, c := range hostileCases(t) {
		if strings.HasPrefix(c.name, "initialise") && strings.HasSuffix(c.name, "loop") {
			continue // uses up the fuel of initialisation, slowly
		}
		lim := enginetest.Limits()
		lim.Memory, lim.Fuel = 128<<20, 300_000
		want, err := twice(t.Context(), compiler, c.code, in, lim)
		if err != nil {
			t.Fatal(err)
		}
		got, err := twice(t.Context(), interpreter, c.code, in, lim)
		switch {
		case errors.Is(err, ErrTooDeep):
			deep++
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		default:
			compared++
			if got != want {
				t.Errorf("%s:\ncompiled:\n%s\ninterpreted:\n%s", c.name, want, got)
			}
		}
	}
	t.Logf("%d modules compared, %d nest too deep", compared, deep)
	if compared < 100 || deep == 0 {
		t.Errorf("%d modules compared, %d nest too deep", compared, deep)
	}
}

// Random modules do the same compiled and interpreted.
func TestInterpreterAgreesOnRandomModules(t *testing.T) {
	sharesNothing(t)
	compiler, interpreter := newEngine(t, Config{}), newEngine(t, Config{Interpreter: true})
	rapid.Check(t, func(t *rapid.T) {
		code := tellAll(t)
		lim := enginetest.Limits()
		lim.Fuel = 100_000
		in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("i", 0, rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "input"))}}}
		want, err := twice(t.Context(), compiler, code, in, lim)
		if engine.KindOf(err) == engine.FaultOutOfFuel {
			return // its initialisation, whose fuel lasts longer than its time when it is interpreted
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := twice(t.Context(), interpreter, code, in, lim)
		if errors.Is(err, ErrTooDeep) {
			return // its initialisation: twice says it of calls by itself
		}
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("compiled:\n%s\ninterpreted:\n%s", want, got)
		}
	})
}
