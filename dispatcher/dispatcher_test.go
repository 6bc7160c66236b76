package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pappus/data"
	"pappus/engine"
	"pappus/registry"
)

func TestArrange(t *testing.T) {
	sig := engine.Signature{Inputs: []engine.Param{{Name: "a", Type: engine.TypeSet}, {Name: "b", Type: engine.TypeItem}}}
	for name, c := range map[string]struct {
		sig  engine.Signature
		in   []data.Set
		want []data.Set
		set  string // of the error
		says string
	}{
		"in order":          {sig: sig, in: []data.Set{set("a", "1", "2"), set("b", "3")}, want: []data.Set{set("a", "1", "2"), set("b", "3")}},
		"in another order":  {sig: sig, in: []data.Set{set("b", "3"), set("a", "1")}, want: []data.Set{set("a", "1"), set("b", "3")}},
		"one is missing":    {sig: sig, in: []data.Set{set("b", "3")}, want: []data.Set{set("a"), set("b", "3")}},
		"undeclared":        {sig: sig, in: []data.Set{set("c"), set("b", "3")}, set: "c", says: `declares "a", "b"`},
		"no inputs at all":  {in: []data.Set{set("c")}, set: "c", says: "takes no inputs"},
		"many are declared": {sig: engine.Signature{Inputs: params(strings.Fields(strings.Repeat("x ", 25))...)}, in: []data.Set{set("c")}, set: "c", says: "and 5 more"},
		"twice":             {sig: sig, in: []data.Set{set("a"), set("b", "3"), set("a")}, set: "a", says: "twice"},
		"open":              {sig: engine.OpenSignature(), in: []data.Set{set("z"), set("y", "1")}, want: []data.Set{set("z"), set("y", "1")}},
		"open, twice":       {sig: engine.OpenSignature(), in: []data.Set{set("z"), set("z")}, set: "z", says: "twice"},
		"open, too many":    {sig: engine.OpenSignature(), in: make([]data.Set, engine.MaxParams+1), says: "1001 sets"},
		"as many items as may be": {
			sig: sig, in: []data.Set{{Name: "a", Items: make([]*data.Item, MaxItems-1)}, set("b", "1")},
			want: []data.Set{{Name: "a", Items: make([]*data.Item, MaxItems-1)}, set("b", "1")},
		},
		"too many items": {sig: sig, in: []data.Set{{Name: "a", Items: make([]*data.Item, MaxItems)}, set("b", "1")}, says: "100001 items; the most is 100000"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := arrange(c.sig, c.in)
			if c.says == "" {
				if err != nil || len(got) != len(c.want) {
					t.Fatalf("%v, %d sets", err, len(got))
				}
				for i := range got {
					if got[i].Name != c.want[i].Name || len(got[i].Items) != len(c.want[i].Items) {
						t.Errorf("set %d is %q with %d items", i, got[i].Name, len(got[i].Items))
					}
				}
				return
			}
			var input *InputError
			if !errors.As(err, &input) || input.Set != c.set || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestInvoke(t *testing.T) {
	b := newBench(t, nil)
	v := b.publish(t, "", nil)
	if got, err := b.Resolve(t.Context(), "default", registry.Ref{Name: "f"}); err != nil || got != v {
		t.Fatalf("resolved %v, %v", got, err)
	}
	a, err := b.call(t.Context(), v, set("in", "x", "y"))
	if err != nil {
		t.Fatal(err)
	}
	if !data.Equal(a.Outputs, []data.Set{set("in", "x", "y")}) || a.Usage.Fuel != 7 || a.Run <= 0 {
		t.Errorf("answer %+v", a)
	}
	if c := b.permits.counts(); c.memory != 2 || c.inUse != 0 {
		t.Errorf("an unread answer of 2 bytes is charged %d, with %d permits", c.memory, c.inUse)
	}
	a.Release()
	a.Release()
	if a.Outputs != nil {
		t.Error("outputs are still there")
	}
	b.finish(t)
}

// An invocation is charged its memory limit while it runs. Afterwards a small
// answer is copied and a large one keeps its context, until it is released.
func TestAnswersAreCharged(t *testing.T) {
	for _, c := range []struct {
		output, held int
		keeps        int64
		released     bool // the context, before the answer is
	}{
		{output: 100, held: 1 << 20, keeps: 100, released: true},
		{output: detachBytes, held: 1 << 20, keeps: detachBytes, released: true},
		{output: detachBytes + 1, held: 1 << 20, keeps: 1 << 20},
		{output: 3 << 20, held: 0, keeps: 3 << 20},
		{output: 0, held: 0, keeps: 0, released: true},
	} {
		t.Run(fmt.Sprint(c.output), func(t *testing.T) {
			b := newBench(t, nil)
			released := false
			b.engine.stack = 1 << 20
			b.engine.run = func(ctx context.Context, _ []data.Set, _ engine.Limits) (engine.Result, error) {
				if n := b.permits.counts().memory; n != engine.PageSize+b.engine.stack {
					t.Errorf("charged %d when it starts", n)
				}
				if parked, err := engine.SchedulerOf(ctx).Grow(ctx, 2<<20, time.Time{}); parked != 0 || err != nil {
					t.Errorf("parked %s, %v", parked, err)
				}
				if n := b.permits.counts().memory; n != 2<<20+b.engine.stack {
					t.Errorf("charged %d when it has grown", n)
				}
				memory := make([]byte, c.output)
				return engine.NewResult([]data.Set{{Name: "output", Items: []*data.Item{data.NewItem("", 0, memory)}}}, engine.Usage{}, int64(c.held), func() {
					released = true
					clear(memory)
				}), nil
			}
			a, err := b.call(t.Context(), b.publish(t, "", nil))
			if err != nil {
				t.Fatal(err)
			}
			if n := b.permits.counts().memory; n != c.keeps || released != c.released && c.held > 0 {
				t.Errorf("charged %d, released %v", n, released)
			}
			if got := data.Size(a.Outputs); got != int64(c.output) {
				t.Errorf("%d bytes of outputs", got)
			}
			a.Release()
			if !released {
				t.Error("the context was not released")
			}
			b.finish(t)
		})
	}
}

func TestFaultsAndPanicsEndOnlyTheirInvocation(t *testing.T) {
	b := newBench(t, nil)
	b.engine.run = func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
		switch in[0].Name {
		case "trap":
			return engine.Result{}, &engine.Fault{Kind: engine.FaultTrap, Usage: engine.Usage{Fuel: 3}}
		case "panic":
			panic("the engine is broken")
		case "odd":
			return engine.Result{}, &engine.Fault{Kind: "odd"}
		case "error":
			return engine.Result{}, errors.New("no memory from the system")
		}
		return engine.NewResult(in, engine.Usage{}, 0, nil), nil
	}
	v := b.publish(t, "", nil)
	var fault *engine.Fault
	if _, err := b.call(t.Context(), v, set("trap")); !errors.As(err, &fault) || fault.Kind != engine.FaultTrap || fault.Usage.Fuel != 3 {
		t.Errorf("trap: %v", err)
	}
	if _, err := b.call(t.Context(), v, set("panic")); !errors.Is(err, ErrEnginePanic) || engine.KindOf(err) != "" || !strings.Contains(b.log.String(), "the engine is broken") {
		t.Errorf("panic: %v; log: %s", err, b.log)
	}
	if _, err := b.call(t.Context(), v, set("odd")); engine.KindOf(err) != "odd" {
		t.Errorf("odd: %v", err)
	}
	if _, err := b.call(t.Context(), v, set("error")); err == nil || engine.KindOf(err) != "" {
		t.Errorf("error: %v", err)
	}
	if _, err := b.call(t.Context(), v, set("fine"), set("fine")); err == nil {
		t.Error("a set given twice was accepted")
	}
	if a, err := b.call(t.Context(), v, set("fine")); err != nil {
		t.Error(err)
	} else {
		a.Release()
	}
	if _, err := b.call(t.Context(), &registry.Version{Name: "elf", Code: map[string]registry.CodeRef{"chericap": {}}}); err == nil {
		t.Error("code for an engine that is not there was run")
	}
	for outcome, want := range map[string]float64{"ok": 1, "trap": 1, "internal": 4, "bad-input": 1, "overload": 0} {
		if got := testutil.ToFloat64(b.Dispatcher.metrics.outcomes[outcome]); got != want {
			t.Errorf("%v invocations ended %s; want %v", got, outcome, want)
		}
	}
	b.finish(t)
}

func TestMetricNames(t *testing.T) {
	b := newBench(t, nil)
	if _, err := b.call(t.Context(), b.publish(t, "", nil)); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(b.metrics)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %+v", err, problems)
	}
	families, err := b.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "pappus_") || len(f.GetMetric()) > 30 {
			t.Errorf("%s has %d children", f.GetName(), len(f.GetMetric()))
		}
	}
	want := `
# HELP pappus_memory_limit_bytes Bytes of the memory budget.
# TYPE pappus_memory_limit_bytes gauge
pappus_memory_limit_bytes{purpose="bodies"} 5.36870912e+08
pappus_memory_limit_bytes{purpose="contexts"} 1.610612736e+09
# HELP pappus_programs Programs that are loaded.
# TYPE pappus_programs gauge
pappus_programs 1
`
	if err := testutil.GatherAndCompare(b.metrics, strings.NewReader(want), "pappus_memory_limit_bytes", "pappus_programs"); err != nil {
		t.Error(err)
	}
	b.finish(t)
}

// spin runs until its deadline or its caller's end, and asks its scheduler.
func spin(ctx context.Context, lim engine.Limits) (engine.Result, error) {
	scheduler := engine.SchedulerOf(ctx)
	from := time.Now()
	deadline := from.Add(time.Duration(lim.Timeout))
	for {
		pass(time.Millisecond)
		_, err := scheduler.Yield(ctx, deadline)
		switch {
		case !time.Now().Before(deadline) || errors.Is(err, context.DeadlineExceeded):
			return engine.Result{}, &engine.Fault{Kind: engine.FaultDeadline}
		case ctx.Err() != nil || err != nil:
			return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled}
		}
	}
}

func spinOr(echo string) runFunc {
	return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
		if in[0].Name == echo {
			return engine.NewResult(in, engine.Usage{}, 0, nil), nil
		}
		return spin(ctx, lim)
	}
}

// Endless loops cost others a slice, end at their own deadline, parked time
// included, and short calls are served all the while.
func TestOthersBesideEndlessLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.engine.run = spinOr("short")
		v := b.publish(t, "", nil)
		from := time.Now()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_, err := b.call(t.Context(), v, set("loop"))
				if took := time.Since(from); engine.KindOf(err) != engine.FaultDeadline || took < 10*time.Second || took > 10*time.Second+50*time.Millisecond {
					t.Errorf("a loop ended after %s: %v", took, err)
				}
			})
		}
		pass(time.Second)
		for range 100 {
			a, err := b.call(t.Context(), v, set("short"))
			if err != nil || a.Queue > time.Millisecond {
				t.Fatalf("short call: %v, %v", a, err)
			}
			a.Release()
			pass(13 * time.Millisecond)
		}
		wg.Wait()
		b.finish(t)
	})
}

func TestInvokeEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Workers, c.Strict = 1, true })
		b.engine.run = spinOr("short")
		v := b.publish(t, "", nil)
		running, stop := context.WithCancel(t.Context())
		errs := make(chan error)
		go func() { _, err := b.call(running, v, set("loop")); errs <- err }()
		synctest.Wait()
		waiting, leave := context.WithCancel(t.Context())
		go func() { _, err := b.call(waiting, v, set("short")); errs <- err }()
		synctest.Wait()
		if n := b.permits.counts().waiting[classNew]; n != 1 {
			t.Errorf("%d wait", n)
		}
		leave()
		if err := <-errs; engine.KindOf(err) != engine.FaultCanceled {
			t.Errorf("the one that waited: %v", err)
		}
		if _, err := b.call(t.Context(), v, set("short")); engine.KindOf(err) != engine.FaultOverload {
			t.Errorf("after the waiting limit: %v", err)
		}
		stop()
		if err := <-errs; engine.KindOf(err) != engine.FaultCanceled {
			t.Errorf("the one that ran: %v", err)
		}
		b.finish(t)
	})
}

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.engine.run = func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
			pass(time.Second)
			return engine.NewResult(in, engine.Usage{}, 0, nil), nil
		}
		v := b.publish(t, "", nil)
		if err := b.Ready(); err != nil {
			t.Error(err)
		}
		from := time.Now()
		var wg sync.WaitGroup
		for range 4 { // two run, two wait
			wg.Go(func() {
				a, err := b.call(t.Context(), v)
				if err != nil {
					t.Error(err)
					return
				}
				a.Release()
			})
		}
		synctest.Wait()
		wg.Go(func() {
			if err := b.Close(t.Context()); err != nil || time.Since(from) != 2*time.Second {
				t.Errorf("closed after %s: %v", time.Since(from), err)
			}
		})
		synctest.Wait()
		if err := b.Ready(); !errors.Is(err, ErrClosed) {
			t.Errorf("ready while closing: %v", err)
		}
		if _, err := b.call(t.Context(), v); engine.KindOf(err) != engine.FaultOverload || !errors.Is(err, ErrClosed) {
			t.Errorf("a call while closing: %v", err)
		}
		if _, _, err := b.Publish(t.Context(), Publication{}); !errors.Is(err, ErrClosed) {
			t.Errorf("a publication while closing: %v", err)
		}
		wg.Wait()
		if err := b.Close(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("closed twice: %v", err)
		}
		if n := b.engine.open.Load(); n != 0 {
			t.Errorf("%d programs were not closed", n)
		}
	})
}

func TestCloseStopsWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.engine.run = spinOr("short")
		v := b.publish(t, "", func(p *Publication) { p.Limits.Timeout = engine.Duration(10 * time.Minute) })
		b.engine.prepare = func(ctx context.Context, _ []byte) error { <-ctx.Done(); return ctx.Err() }
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := b.call(t.Context(), v, set("loop")); engine.KindOf(err) != engine.FaultCanceled {
					t.Error(err)
				}
			})
		}
		pass(time.Second)
		for k := range 2 { // one is being prepared, one waits
			other := b.unloaded(t, "default", fmt.Sprint(k))
			wg.Go(func() {
				if _, err := b.call(t.Context(), other); engine.KindOf(err) != engine.FaultOverload || !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		from := time.Now()
		if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(from) > 3*time.Second+10*time.Millisecond {
			t.Errorf("closed after %s: %v", time.Since(from), err)
		}
		wg.Wait()
		if c := b.permits.counts(); c.inUse != 0 || c.memory != 0 || b.engine.open.Load() != 0 {
			t.Errorf("not everything was given back: %+v", c)
		}
	})
}

func BenchmarkInvoke(b *testing.B) {
	s := newBench(b, nil)
	item := []data.Set{set("output", "x")}
	s.engine.run = func(context.Context, []data.Set, engine.Limits) (engine.Result, error) {
		return engine.NewResult(item, engine.Usage{}, 0, nil), nil
	}
	v := s.publish(b, "", nil)
	b.ReportAllocs()
	for b.Loop() {
		a, err := s.call(b.Context(), v, item...)
		if err != nil {
			b.Fatal(err)
		}
		a.Release()
	}
	s.finish(b)
}
