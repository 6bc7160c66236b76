package wasmengine

import (
	"context"
	"errors"
	"sync"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/domain"
	"pappus/engine/enginetest"
)

// echoPrograms are n programs of the same code.
func echoPrograms(t *testing.T, e *Engine, n int) []engine.Program {
	t.Helper()
	code := hostile(t, "echo-grow")
	programs := make([]engine.Program, n)
	for i := range programs {
		p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
		if err != nil {
			t.Fatal(err)
		}
		programs[i] = p
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return programs
}

func echo(ctx context.Context, p engine.Program) (engine.Result, error) {
	return p.Run(ctx, []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("a", 0, []byte("x"))}}}, enginetest.Limits())
}

// Who runs one instance after the other gets the context that it had before,
// whatever others did meanwhile.
func TestWorkersKeepTheirContexts(t *testing.T) {
	p, ok := echoPrograms(t, newEngine(t, Config{}), 1)[0].(*Program)
	if !ok {
		t.Fatal("not a program")
	}
	workers := [2]*int{new(int), new(int)}
	var held [2]engine.Result
	run := func(w int) {
		var err error
		if held[w], err = echo(&engine.Scheduled{Context: t.Context(), Worker: workers[w]}, p); err != nil {
			t.Fatal(err)
		}
	}
	run(0)
	run(1)
	for _, order := range [][2]int{{0, 1}, {1, 0}, {1, 0}, {0, 1}} {
		for _, w := range order {
			held[w].Release()
		}
		for w, other := range []int{1, 0} {
			run(w)
			if len(p.idle) != 1 || p.idle[0].worker != workers[other] {
				t.Fatalf("after %v: worker %d did not get its own context", order, w)
			}
			held[w].Release()
		}
		run(0)
		run(1)
	}
	for w := range held {
		held[w].Release()
	}
}

// Many programs that were called once keep nobody from a context, and the ones
// that are called often keep their instances.
func TestIdleContextsMakeRoom(t *testing.T) {
	e := newEngine(t, Config{Regions: 8})
	programs := echoPrograms(t, e, 20)
	for range 5 {
		for _, p := range programs {
			for _, q := range []engine.Program{p, programs[0]} {
				r, err := echo(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				r.Release()
			}
		}
	}
	s := e.Stats()
	if s.IdleInstances > 4 || s.Evicted < 50 {
		t.Errorf("%d idle instances, %d evicted", s.IdleInstances, s.Evicted)
	}
	// The first program was called before every other call, and made one instance.
	if s.Reused < 90 {
		t.Errorf("%d calls found an instance", s.Reused)
	}
}

// When all contexts are in use, there is an overload and nothing else, and it
// passes.
func TestContextsInUse(t *testing.T) {
	e := newEngine(t, Config{Regions: 4})
	programs := echoPrograms(t, e, 3)
	var held []engine.Result
	for {
		r, err := echo(t.Context(), programs[len(held)%3])
		if err != nil {
			if engine.KindOf(err) != engine.FaultOverload || !errors.Is(err, domain.ErrExhausted) {
				t.Errorf("with %d results held: %v", len(held), err)
			}
			break
		}
		held = append(held, r)
	}
	if len(held) != 4 {
		t.Errorf("%d contexts of 4", len(held))
	}
	if _, err := e.Prepare(t.Context(), hostile(t, "echo-grow"), enginetest.Signature(), enginetest.Limits()); engine.KindOf(err) != engine.FaultOverload {
		t.Errorf("prepare: %v", err)
	}
	for i := range held {
		held[i].Release()
	}
	r, err := echo(t.Context(), programs[2])
	if err != nil {
		t.Fatal(err)
	}
	r.Release()
}

// Instances are evicted while their programs are called and closed.
func TestEvictionHammer(t *testing.T) {
	e := newEngine(t, Config{Regions: 16, Idle: 2})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				programs := echoPrograms(t, e, 3)
				for n := range 60 {
					r, err := echo(t.Context(), programs[n%3])
					if err == nil {
						r.Release()
					} else if engine.KindOf(err) != engine.FaultOverload {
						t.Error(err)
					}
				}
				for _, p := range programs {
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if s := e.Stats(); s.IdleInstances != 0 || s.IdleBytes != 0 || s.Domain.Mapped != s.Domain.Idle {
		t.Errorf("left over: %+v", s)
	}
}
