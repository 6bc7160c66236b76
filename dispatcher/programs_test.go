package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/registry"
)

// unloaded registers a version without preparing it, as after a restart.
func (b *bench) unloaded(t testing.TB, tenant, suffix string) *registry.Version {
	t.Helper()
	v, _, err := b.reg.Put(context.Background(), registry.Registration{
		Tenant: tenant, Name: "f" + suffix, Code: map[string][]byte{"wasm": []byte("\x00asm" + suffix)},
		Signature: engine.OpenSignature(), Limits: engine.DefaultLimits(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOneFlightForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		proceed := make(chan struct{})
		b.engine.prepare = func(ctx context.Context, _ []byte) error {
			select {
			case <-proceed:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		v := b.unloaded(t, "default", "")
		first, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 5)
		for k := range 5 {
			ctx := t.Context()
			if k == 0 {
				ctx = first
			}
			go func() {
				a, err := b.call(ctx, v, set("in", "x"))
				if err == nil {
					a.Release()
				}
				errs <- err
			}()
			synctest.Wait()
		}
		cancel() // of the one who started it
		if err := <-errs; engine.KindOf(err) != engine.FaultCanceled {
			t.Errorf("the one who went away got %v", err)
		}
		close(proceed)
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if n := b.engine.prepared.Load(); n != 1 || b.reg.reads != 1 {
			t.Errorf("prepared %d times, read %d times", n, b.reg.reads)
		}
		b.finish(t)
	})
}

func TestFlightEndsWithItsLastWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		ended := make(chan error, 1)
		b.engine.prepare = func(ctx context.Context, _ []byte) error {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return ctx.Err()
		}
		v, queued := b.unloaded(t, "default", "1"), b.unloaded(t, "default", "2")
		ctx, cancel := context.WithCancel(t.Context())
		later, cancelLater := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for k, v := range []*registry.Version{v, v, queued} {
			ctx := ctx
			if k == 2 {
				ctx = later
			}
			wg.Go(func() {
				if _, err := b.call(ctx, v); engine.KindOf(err) != engine.FaultCanceled {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if active, waiting := b.programs.pool.counts(); active != 1 || waiting != 1 {
			t.Errorf("%d run, %d wait", active, waiting)
		}
		cancelLater()
		synctest.Wait()
		if active, waiting := b.programs.pool.counts(); active != 1 || waiting != 0 {
			t.Errorf("%d run, %d wait after the queued one was given up", active, waiting)
		}
		cancel()
		wg.Wait()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("preparation ended with %v", err)
		}
		synctest.Wait()
		if active, waiting := b.programs.pool.counts(); active != 0 || waiting != 0 || len(b.programs.flights) != 0 || b.engine.prepared.Load() != 1 {
			t.Errorf("%d run, %d wait, %d flights, %d prepared", active, waiting, len(b.programs.flights), b.engine.prepared.Load())
		}
		b.engine.prepare = nil
		if _, err := b.call(t.Context(), queued); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		b.finish(t)
	})
}

func TestCompileTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.engine.prepare = func(ctx context.Context, _ []byte) error { <-ctx.Done(); return ctx.Err() }
		from := time.Now()
		_, _, err := b.Publish(t.Context(), Publication{Tenant: "default", Name: "f", Code: []byte("\x00asm")})
		var rejected *engine.RejectedError
		if !errors.As(err, &rejected) || !rejected.Costly || time.Since(from) != 30*time.Second {
			t.Errorf("%v after %s", err, time.Since(from))
		}
		if len(b.reg.versions) != 0 {
			t.Error("it was registered all the same")
		}
		b.finish(t)
	})
}

func TestCompileQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.CompileWaiting = 3 })
		proceed := make(chan struct{})
		var order []string // one worker at a time
		b.engine.prepare = func(_ context.Context, code []byte) error {
			<-proceed
			order = append(order, strings.TrimPrefix(string(code), "\x00asm"))
			return nil
		}
		var wg sync.WaitGroup
		for _, name := range []string{"a0", "a1", "a2", "b1"} {
			wg.Go(func() {
				if _, _, err := b.Publish(t.Context(), Publication{Tenant: name[:1], Name: "f", Code: []byte("\x00asm" + name)}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		_, _, err := b.Publish(t.Context(), Publication{Tenant: "a", Name: "f", Code: []byte("\x00asm" + "one more")})
		if engine.KindOf(err) != engine.FaultOverload {
			t.Errorf("one more than may wait: %v", err)
		}
		close(proceed)
		wg.Wait()
		if got := fmt.Sprint(order); got != "[a0 a1 b1 a2]" {
			t.Errorf("order %s: tenants are not served in turn", got)
		}
		b.finish(t)
	})
}

// Code is looked at by as few as compile, and the wait for that is bounded.
func TestInspectionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.CompileWorkers = 2 })
		proceed := make(chan struct{})
		b.engine.inspect = func() { <-proceed }
		publish := func(ctx context.Context, code string) error {
			_, _, err := b.Publish(ctx, Publication{Tenant: "a", Name: "f", Code: []byte("\x00asm" + code)})
			return err
		}
		var wg sync.WaitGroup
		for _, code := range []string{"1", "2"} {
			wg.Go(func() {
				if err := publish(t.Context(), code); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := publish(t.Context(), "3"); engine.KindOf(err) != engine.FaultOverload {
			t.Errorf("a third one: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := publish(ctx, "4"); engine.KindOf(err) != engine.FaultDeadline {
			t.Errorf("whose caller leaves: %v", err)
		}
		close(proceed)
		wg.Wait()
		if err := publish(t.Context(), "5"); err != nil {
			t.Error(err)
		}
		b.finish(t)
	})
}

func TestWaitForPreparationIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Waiting = 2 })
		b.engine.prepare = func(ctx context.Context, _ []byte) error { <-ctx.Done(); return ctx.Err() }
		var wg sync.WaitGroup
		from := time.Now()
		for k := range 2 {
			v := b.unloaded(t, "default", fmt.Sprint(k))
			wg.Go(func() {
				_, err := b.call(t.Context(), v)
				var rejected *engine.RejectedError
				switch {
				case k == 0 && (!errors.As(err, &rejected) || time.Since(from) != 30*time.Second):
					t.Errorf("the one that is prepared: %v after %s", err, time.Since(from))
				case k == 1 && (engine.KindOf(err) != engine.FaultOverload || time.Since(from) != 35*time.Second):
					t.Errorf("the one that waits: %v after %s", err, time.Since(from))
				}
			})
			synctest.Wait()
		}
		if _, err := b.call(t.Context(), b.unloaded(t, "default", "3")); engine.KindOf(err) != engine.FaultOverload || time.Since(from) != 0 {
			t.Errorf("one more than may wait: %v after %s", err, time.Since(from))
		}
		wg.Wait()
		b.finish(t)
	})
}

func TestIdleProgramsMakeRoom(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ProgramBytes = 3000 + 3*versionBytes })
	var versions []*registry.Version
	for k := range 3 {
		versions = append(versions, b.publish(t, fmt.Sprint(k), nil))
	}
	for _, k := range []int{0, 1, 2, 0} { // 1 is now the one not used for the longest time
		if _, err := b.call(t.Context(), versions[k]); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.engine.prepared.Load(); n != 3 {
		t.Fatalf("prepared %d times", n)
	}
	versions = append(versions, b.publish(t, "3", nil))
	for _, k := range []int{0, 2, 3} {
		if p := b.programs.lookup(b.engine, versions[k]); p == nil && k != 3 {
			t.Errorf("program %d was closed", k)
		} else if p != nil {
			b.programs.release(p)
		}
	}
	if p := b.programs.lookup(b.engine, versions[1]); p != nil {
		t.Error("the program that was not used for the longest time is still there")
	}
	if _, err := b.call(t.Context(), versions[1]); err != nil || b.reg.reads != 1 {
		t.Errorf("loading it again: %v, read %d times", err, b.reg.reads)
	}
	for range 1000 { // what was evicted last is closed beside what is done with it
		if loaded, _, _ := b.programs.counts(); int64(loaded) == b.engine.open.Load() {
			break
		}
		pass(time.Millisecond)
	}
	if loaded, bytes, evictions := b.programs.counts(); bytes > b.config.Load().ProgramBytes || evictions < 2 || int64(loaded) != b.engine.open.Load() {
		t.Errorf("%d loaded with %d bytes, %d evictions, %d open", loaded, bytes, evictions, b.engine.open.Load())
	}
	b.finish(t)
}

func TestVersionsThatDifferInNothingThatMattersShareAProgram(t *testing.T) {
	b := newBench(t, nil)
	one := b.publish(t, "", nil)
	two := b.publish(t, "", func(p *Publication) { p.Limits.Timeout = engine.Duration(time.Second) })
	three := b.publish(t, "", func(p *Publication) { p.Limits.Memory = 1 << 20 })
	other := b.publish(t, "", func(p *Publication) { p.Tenant = "other" })
	for _, v := range []*registry.Version{one, two, three, other} {
		if _, err := b.call(t.Context(), v); err != nil {
			t.Error(err)
		}
	}
	if n := b.engine.prepared.Load(); n != 3 {
		t.Errorf("prepared %d times, want once, once for the memory limit and once for the other tenant", n)
	}
	b.finish(t)
}

func TestPanicWhilePreparing(t *testing.T) {
	b := newBench(t, nil)
	b.engine.prepare = func(context.Context, []byte) error { panic("preparing went wrong") }
	_, _, err := b.Publish(t.Context(), Publication{Tenant: "default", Name: "f", Code: []byte("\x00asm")})
	if !errors.Is(err, ErrEnginePanic) || !strings.Contains(b.log.String(), "preparing went wrong") {
		t.Errorf("%v; log: %s", err, b.log)
	}
	b.engine.prepare = nil
	b.publish(t, "", nil)
	b.finish(t)
}

// Hammer: programs come and go under calls, and none is closed while it runs,
// closed twice, or left open.
func TestProgramsHammer(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ProgramBytes, c.CompileWorkers, c.Workers = 2500, 2, 8 })
	b.engine.prepare = func(ctx context.Context, _ []byte) error { return ctx.Err() }
	b.engine.run = func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
		for until := time.Now().Add(10 * time.Microsecond); time.Now().Before(until); {
		}
		return engine.NewResult(in, engine.Usage{}, 0, nil), nil
	}
	var versions []*registry.Version
	for k := range 6 {
		versions = append(versions, b.unloaded(t, "default", fmt.Sprint(k)))
	}
	var ok, gone atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 3))
			for range 500 {
				ctx, cancel := context.WithCancel(context.Background())
				if rnd.IntN(3) == 0 {
					time.AfterFunc(time.Duration(rnd.IntN(100))*time.Microsecond, cancel)
				}
				a, err := b.call(ctx, versions[rnd.IntN(len(versions))], set("in", "x"))
				switch {
				case err == nil:
					ok.Add(1)
					a.Release()
				case engine.KindOf(err) == engine.FaultCanceled:
					gone.Add(1)
				default:
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if _, _, evictions := b.programs.counts(); ok.Load() == 0 || evictions == 0 {
		t.Errorf("%d calls, %d cancelled, %d evictions: the hammer missed", ok.Load(), gone.Load(), evictions)
	}
	b.finish(t)
	if strings.Contains(b.log.String(), "closed twice") {
		t.Error(b.log)
	}
}

func BenchmarkProgramLookup(b *testing.B) {
	s := newBench(b, nil)
	var versions []*registry.Version
	for k := range 1000 {
		versions = append(versions, s.publish(b, fmt.Sprint(k), nil))
	}
	for _, v := range versions {
		if _, err := s.call(b.Context(), v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	k := 0
	for b.Loop() {
		s.programs.release(s.programs.lookup(s.engine, versions[k%len(versions)]))
		k++
	}
	s.finish(b)
}
