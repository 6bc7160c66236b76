package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pappus/engine"
)

func testPermits(change func(*Config)) *permits {
	c := Config{Workers: 1}
	if change != nil {
		change(&c)
	}
	return newPermits(c.withDefaults(), 1<<20)
}

func (p *permits) newInstance(tenant string) *instance { return &instance{permits: p, tenant: tenant} }

// settled fails the test unless everything was given back.
func (p *permits) settled(t *testing.T) {
	t.Helper()
	c := p.counts()
	if c.inUse != 0 || c.memory != 0 || c.waiting != [classes]int{} || p.waiting.Load() != 0 || len(p.places) != 0 {
		t.Errorf("not everything was given back: %+v, %d waiting, places %v", c, p.waiting.Load(), p.places)
	}
}

func TestPermitsServeTenantsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		holder := p.newInstance("z")
		if err := p.start(t.Context(), holder, 0); err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, tenant := range []string{"a", "a", "a", "b", "c", "b"} {
			go func() {
				i := p.newInstance(tenant)
				if err := p.start(t.Context(), i, 0); err != nil {
					t.Error(err)
					return
				}
				order = append(order, tenant) // one permit: nobody else is here
				p.end(i, 0)
			}()
			synctest.Wait()
		}
		p.end(holder, 0)
		synctest.Wait()
		if got := strings.Join(order, ""); got != "abcaba" {
			t.Errorf("served %s, want abcaba", got)
		}
		p.settled(t)
	})
}

func TestWaitingIsBoundedInTimeAndNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(func(c *Config) { c.Waiting = 2 })
		holder := p.newInstance("a")
		if err := p.start(t.Context(), holder, 0); err != nil {
			t.Fatal(err)
		}
		from := time.Now()
		var took [2]time.Duration
		var errs [2]error
		for k := range took {
			go func() {
				errs[k] = p.start(t.Context(), p.newInstance("a"), 0)
				took[k] = time.Since(from)
			}()
		}
		synctest.Wait()
		if err := p.start(t.Context(), p.newInstance("a"), 0); engine.KindOf(err) != engine.FaultOverload || !strings.Contains(err.Error(), "2 invocations already wait") {
			t.Errorf("one more than may wait: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.start(ctx, p.newInstance("b"), 0); engine.KindOf(err) != engine.FaultDeadline {
			t.Errorf("another tenant, whose own deadline is a second: %v", err)
		}
		pass(10 * time.Second)
		synctest.Wait()
		for k := range took {
			if engine.KindOf(errs[k]) != engine.FaultOverload || took[k] != 5*time.Second {
				t.Errorf("waited %s: %v", took[k], errs[k])
			}
		}
		p.end(holder, 0)
		p.settled(t)
	})
}

func TestYieldKeepsThePermitWithoutReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		i := p.newInstance("a")
		if err := p.start(t.Context(), i, 0); err != nil {
			t.Fatal(err)
		}
		stays := func(why string) {
			t.Helper()
			if parked, err := i.Yield(t.Context(), time.Now().Add(time.Hour)); err != nil || parked != 0 || !i.holds {
				t.Errorf("%s: parked %s, %v", why, parked, err)
			}
		}
		pass(time.Second)
		stays("nobody waits")
		i.since = time.Now()
		waited := make(chan time.Duration)
		go func() {
			from := time.Now()
			j := p.newInstance("b")
			if err := p.start(t.Context(), j, 0); err != nil {
				t.Error(err)
			}
			waited <- time.Since(from)
			pass(3 * time.Millisecond)
			p.end(j, 0)
		}()
		synctest.Wait()
		pass(9 * time.Millisecond)
		stays("within its quantum")
		pass(time.Millisecond)
		go func() { // reads what the newcomer reports while i is parked
			if w := <-waited; w != 10*time.Millisecond {
				t.Errorf("the newcomer waited %s", w)
			}
		}()
		if parked, err := i.Yield(t.Context(), time.Now().Add(time.Hour)); err != nil || parked != 3*time.Millisecond || !i.holds || i.class != classParked {
			t.Errorf("parked %s, %v", parked, err)
		}
		p.end(i, 0)
		p.settled(t)
	})
}

func TestStrictNeverParks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(func(c *Config) { c.Strict = true })
		i := p.newInstance("a")
		if err := p.start(t.Context(), i, 0); err != nil {
			t.Fatal(err)
		}
		go func() {
			j := p.newInstance("b")
			if err := p.start(t.Context(), j, 0); err != nil {
				t.Error(err)
			}
			p.end(j, 0)
		}()
		synctest.Wait()
		pass(time.Second)
		if parked, err := i.Yield(t.Context(), time.Now().Add(time.Hour)); parked != 0 || err != nil || !i.holds {
			t.Errorf("parked %s, %v", parked, err)
		}
		p.end(i, 0)
		synctest.Wait()
		p.settled(t)
	})
}

func TestParkedWaitEndsWithDeadlineOrCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		park := func(ctx context.Context, deadline time.Time) (time.Duration, error) {
			i, j := p.newInstance("a"), p.newInstance("b")
			if err := p.start(t.Context(), i, 100); err != nil {
				t.Fatal(err)
			}
			started := make(chan error)
			go func() { started <- p.start(t.Context(), j, 0) }()
			synctest.Wait()
			pass(10 * time.Millisecond)
			parked, err := i.Yield(ctx, deadline)
			if err := <-started; err != nil {
				t.Error(err)
			}
			if i.holds || p.counts().memory != 100 {
				t.Errorf("holds a permit: %v; memory %d", i.holds, p.counts().memory)
			}
			p.end(i, 0) // must not give j's permit away
			if c := p.counts(); c.inUse != 1 {
				t.Errorf("%d permits in use beside a running instance", c.inUse)
			}
			p.end(j, 0)
			p.settled(t)
			return parked, err
		}
		// A parked instance outwaits the limit for new ones.
		if parked, err := park(t.Context(), time.Now().Add(time.Minute)); !errors.Is(err, context.DeadlineExceeded) || parked != time.Minute-10*time.Millisecond {
			t.Errorf("its deadline: parked %s, %v", parked, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if parked, err := park(ctx, time.Now().Add(time.Minute)); !errors.Is(err, context.Canceled) || parked != time.Second-10*time.Millisecond {
			t.Errorf("its caller: parked %s, %v", parked, err)
		}
	})
}

// busy holds its permit for a long time in slices of a millisecond.
func (p *permits) busy(ctx context.Context, tenant string, total time.Duration, ran *atomic.Int64) error {
	return p.busyAs(ctx, instance{permits: p, tenant: tenant}, total, ran)
}

func (p *permits) busyAs(ctx context.Context, one instance, total time.Duration, ran *atomic.Int64) error {
	i := &one
	if err := p.start(ctx, i, 0); err != nil {
		return err
	}
	defer p.end(i, 0)
	for range total / time.Millisecond {
		pass(time.Millisecond)
		ran.Add(1)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := i.Yield(ctx, time.Now().Add(time.Hour)); err != nil {
			return err
		}
	}
	return nil
}

// Under a flood of short instances, long ones get their share and no more, and
// newcomers beside long ones wait about a slice and not a quantum.
func TestShareOfParkedInstances(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := testPermits(func(c *Config) { c.Workers = workers })
				ctx, cancel := context.WithCancel(t.Context())
				var long, short atomic.Int64
				var wg sync.WaitGroup
				for k := range 3 * workers {
					wg.Go(func() { _ = p.busy(ctx, fmt.Sprint(k%2), time.Hour, &long) })
				}
				pass(100 * time.Millisecond)
				for range 10 * workers {
					wg.Go(func() {
						for ctx.Err() == nil {
							_ = p.busy(ctx, "short", 2*time.Millisecond, &short)
						}
					})
				}
				pass(time.Second)
				long.Store(0)
				short.Store(0)
				pass(10 * time.Second)
				share := float64(long.Load()) / float64(long.Load()+short.Load())
				if share < 1.0/parkedShare-0.02 || share > 1.0/parkedShare+0.1 {
					t.Errorf("parked instances got %.3f of the time", share)
				}
				cancel()
				wg.Wait()
				p.settled(t)
			})
		})
	}
}

func TestNewcomersBesideEndlessLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(func(c *Config) { c.Workers = 2 })
		ctx, cancel := context.WithCancel(t.Context())
		var long, short atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { _ = p.busy(ctx, "loops", time.Hour, &long) })
		}
		pass(time.Second)
		for range 1000 {
			from := time.Now()
			i := p.newInstance("new")
			if err := p.start(ctx, i, 0); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(from); waited > time.Millisecond {
				t.Fatalf("waited %s", waited)
			}
			short.Add(1)
			p.end(i, 0)
			pass(7300 * time.Microsecond)
		}
		cancel()
		wg.Wait()
		p.settled(t)
	})
}

// Parked instances among themselves change every quantum.
func TestParkedInstancesShareEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		ctx, cancel := context.WithCancel(t.Context())
		var ran [3]atomic.Int64
		var wg sync.WaitGroup
		for k := range ran {
			wg.Go(func() { _ = p.busy(ctx, "a", time.Hour, &ran[k]) })
		}
		pass(3 * time.Second)
		cancel()
		wg.Wait()
		for k := range ran {
			if n := ran[k].Load(); n < 980 || n > 1020 {
				t.Errorf("instance %d ran %d ms of 3 s", k, n)
			}
		}
		p.settled(t)
	})
}

func TestMemoryComesWithThePermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(func(c *Config) { c.Workers = 4 })
		err := p.start(t.Context(), p.newInstance("a"), p.memory+1)
		if engine.KindOf(err) != engine.FaultOverload || !strings.Contains(err.Error(), "1MiB") {
			t.Errorf("more than there is: %v", err)
		}
		first := p.newInstance("a")
		if err := p.start(t.Context(), first, 700<<10); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		begin := func(name string, bytes int64) {
			go func() {
				i := p.newInstance(name)
				if err := p.start(t.Context(), i, bytes); err != nil {
					note(name + " " + string(engine.KindOf(err)))
					return
				}
				note(name)
				pass(time.Second)
				p.end(i, 0)
			}()
			synctest.Wait()
		}
		begin("large", 800<<10)
		begin("small", 300<<10) // there is room, but it is not its turn
		if len(order) != 0 {
			t.Fatalf("%v passed the one that waits for memory", order)
		}
		p.end(first, 300<<10) // its answer keeps most of it
		synctest.Wait()
		if len(order) != 0 {
			t.Fatalf("%v started in memory that an answer holds", order)
		}
		pass(time.Second)
		p.end(first, 0)
		pass(10 * time.Second)
		synctest.Wait()
		if got := fmt.Sprint(order); got != "[large small]" {
			t.Errorf("order %s", got)
		}
		// One that gives up lets those behind it through.
		if err := p.start(t.Context(), first, 700<<10); err != nil {
			t.Fatal(err)
		}
		order = nil
		begin("large", 800<<10)
		pass(time.Second)
		begin("small", 300<<10)
		pass(5 * time.Second)
		synctest.Wait()
		if got := fmt.Sprint(order); got != "[large overload small]" && got != "[small large overload]" {
			t.Errorf("order %s", got)
		}
		p.end(first, 0)
		p.settled(t)
	})
}

// An instance beyond its quantum goes on when those who wait need memory that
// its parking would not give them.
func TestNobodyParksForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		i := p.newInstance("a")
		if err := p.start(t.Context(), i, 700<<10); err != nil {
			t.Fatal(err)
		}
		go func() {
			if err := p.start(t.Context(), p.newInstance("b"), 700<<10); engine.KindOf(err) != engine.FaultOverload {
				t.Error(err)
			}
		}()
		synctest.Wait()
		pass(time.Second)
		if parked, err := i.Yield(t.Context(), time.Now().Add(time.Hour)); parked != 0 || err != nil || !i.holds {
			t.Errorf("parked %s, %v", parked, err)
		}
		pass(5 * time.Second)
		synctest.Wait()
		p.end(i, 0)
		p.settled(t)
	})
}

func TestStopWakesEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		var ran atomic.Int64
		errs := make(chan error, 3)
		for range 2 {
			go func() { errs <- p.busy(t.Context(), "a", time.Hour, &ran) }()
		}
		pass(100 * time.Millisecond)
		go func() { errs <- p.start(t.Context(), p.newInstance("b"), p.memory) }()
		blocker := <-errs // it can start, since the others hold no memory
		if blocker != nil {
			t.Fatal(blocker)
		}
		p.stop()
		for range 2 {
			if err := <-errs; !errors.Is(err, errStopped) {
				t.Error(err)
			}
		}
	})
}

// Hammer: whatever is cancelled when, no permit and no byte is lost, and never
// are there more than there should be.
func TestPermitsHammer(t *testing.T) {
	p := testPermits(func(c *Config) {
		c.Workers, c.Quantum, c.QueueTimeout, c.Waiting = 3, 20*time.Microsecond, 300*time.Microsecond, 40
	})
	var running atomic.Int32
	var started, refused atomic.Int64
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			for range 1500 {
				ctx, cancel := context.WithCancel(context.Background())
				if rnd.IntN(2) == 0 {
					time.AfterFunc(time.Duration(rnd.IntN(300))*time.Microsecond, cancel)
				}
				i := p.newInstance(string(rune('a' + g%3)))
				if err := p.start(ctx, i, rnd.Int64N(p.memory/2)); err != nil {
					refused.Add(1)
					cancel()
					continue
				}
				started.Add(1)
				for range rnd.IntN(6) {
					if running.Add(1) > 3 {
						t.Error("more instances run than there are permits")
					}
					for until := time.Now().Add(15 * time.Microsecond); time.Now().Before(until); {
					}
					running.Add(-1)
					if _, err := i.Yield(ctx, time.Now().Add(time.Duration(rnd.IntN(500))*time.Microsecond)); err != nil {
						break
					}
				}
				keep := rnd.Int64N(2) * (i.bytes / 2)
				p.end(i, keep)
				if keep > 0 {
					p.end(i, 0)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	p.settled(t)
	if started.Load() == 0 || refused.Load() == 0 {
		t.Errorf("started %d, refused %d: the hammer missed", started.Load(), refused.Load())
	}
}

func BenchmarkPermit(b *testing.B) {
	p := testPermits(func(c *Config) { c.Workers = 1024 })
	ctx := b.Context()
	b.Run("Uncontended", func(b *testing.B) {
		b.ReportAllocs()
		i := p.newInstance("a")
		for b.Loop() {
			if err := p.start(ctx, i, 1); err != nil {
				b.Fatal(err)
			}
			p.end(i, 0)
		}
	})
	b.Run("Parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			i := p.newInstance("a")
			for pb.Next() {
				if err := p.start(ctx, i, 1); err != nil {
					b.Fatal(err)
				}
				p.end(i, 0)
			}
		})
	})
	for name, procs := range map[string]int32{"Yield": math.MaxInt32, "YieldLettingOthersIn": 1} {
		b.Run(name, func(b *testing.B) {
			p := testPermits(nil)
			p.procs = procs
			b.ReportAllocs()
			i := p.newInstance("a")
			if err := p.start(ctx, i, 0); err != nil {
				b.Fatal(err)
			}
			deadline := time.Now().Add(time.Hour)
			for b.Loop() {
				if _, err := i.Yield(ctx, deadline); err != nil {
					b.Fatal(err)
				}
			}
			p.end(i, 0)
		})
	}
	b.Run("Contended", func(b *testing.B) {
		p := testPermits(nil)
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			i := p.newInstance("a")
			for pb.Next() {
				if err := p.start(ctx, i, 1); err != nil {
					b.Fatal(err)
				}
				p.end(i, 0)
			}
		})
	})
}

// BenchmarkWake measures how late a goroutine wakes up that is not an instance,
// such as one that reads a request, while instances keep every processor busy
// in slices of a millisecond: with and without Yield letting it in.
func BenchmarkWake(b *testing.B) {
	for name, procs := range map[string]int32{"LetIn": int32(runtime.GOMAXPROCS(0)), "NotLetIn": math.MaxInt32} {
		b.Run(name, func(b *testing.B) {
			p := testPermits(func(c *Config) { c.Workers = runtime.GOMAXPROCS(0) })
			p.procs = procs
			var stop atomic.Bool
			var wg sync.WaitGroup
			for range p.total {
				wg.Go(func() {
					i := p.newInstance("a")
					if err := p.start(context.Background(), i, 0); err != nil {
						b.Error(err)
						return
					}
					defer p.end(i, 0)
					for !stop.Load() {
						for until := time.Now().Add(time.Millisecond); time.Now().Before(until); {
						}
						if _, err := i.Yield(context.Background(), time.Now().Add(time.Hour)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			const nap = 500 * time.Microsecond
			var late []time.Duration
			for b.Loop() {
				from := time.Now()
				pass(nap)
				late = append(late, time.Since(from)-nap)
			}
			stop.Store(true)
			wg.Wait()
			slices.Sort(late)
			b.ReportMetric(late[len(late)/2].Seconds()*1e3, "p50-ms")
			b.ReportMetric(late[len(late)*99/100].Seconds()*1e3, "p99-ms")
		})
	}
}
