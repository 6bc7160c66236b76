package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/engine"
	"pappus/registry"
)

// growing starts an instance that may ask for more, with a page.
func (p *permits) growingInstance(t *testing.T, s *share) *instance {
	t.Helper()
	i := p.newInstance("a")
	i.least, i.run, i.patient = engine.PageSize, s, true
	if err := p.start(t.Context(), i, i.least); err != nil {
		t.Fatal(err)
	}
	return i
}

// asks lets an instance ask for bytes in a goroutine of its own, and gives what
// comes of it.
func (i *instance) asks(ctx context.Context, bytes int64) <-chan error {
	answer := make(chan error, 1)
	go func() {
		_, err := i.Grow(ctx, bytes, time.Time{})
		answer <- err
	}()
	synctest.Wait()
	return answer
}

// waits fails the test if there is an answer already.
func waits(t *testing.T, what string, answer <-chan error) {
	t.Helper()
	select {
	case err := <-answer:
		t.Fatalf("%s does not wait: %v", what, err)
	default:
	}
}

func TestGrowthWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(func(c *Config) { c.Workers = 2 })
		first, second := p.growingInstance(t, nil), p.growingInstance(t, nil)
		if err := <-first.asks(t.Context(), 700<<10); err != nil || first.bytes != 700<<10 {
			t.Fatalf("%d bytes, %v", first.bytes, err)
		}
		if err := <-first.asks(t.Context(), 600<<10); err != nil || first.bytes != 700<<10 {
			t.Errorf("less than it has: %d bytes, %v", first.bytes, err)
		}
		more := second.asks(t.Context(), 500<<10)
		waits(t, "what does not fit", more)
		if c := p.counts(); c.inUse != 1 || c.growing != 1 {
			t.Errorf("who waits for memory holds a permit: %+v", c)
		}
		third := p.newInstance("b")
		started := make(chan error, 1)
		go func() { started <- p.start(t.Context(), third, engine.PageSize) }()
		synctest.Wait()
		waits(t, "a new one, while others need more", started)
		p.end(first, 100<<10)
		if err := <-more; err != nil || second.bytes != 500<<10 || !second.holds {
			t.Errorf("%d bytes, %v", second.bytes, err)
		}
		if err := <-started; err != nil {
			t.Error(err)
		}
		p.end(first, 0)
		p.end(second, 0)
		p.end(third, 0)
		p.settled(t)
	})
}

func TestTheYoungestIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(func(c *Config) { c.Workers = 3 })
		var is [3]*instance
		var answers [3]<-chan error
		for n := range is {
			is[n] = p.growingInstance(t, nil)
			if err := <-is[n].asks(t.Context(), 300<<10); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []int{2, 0} {
			answers[n] = is[n].asks(t.Context(), 600<<10)
			waits(t, fmt.Sprint("instance ", n), answers[n])
		}
		answers[1] = is[1].asks(t.Context(), 500<<10)
		if err := <-answers[2]; !errors.Is(err, engine.ErrDropped) {
			t.Fatalf("the youngest: %v", err)
		}
		waits(t, "the oldest, before the youngest is gone", answers[0])
		p.end(is[2], 0)
		if err := <-answers[0]; err != nil {
			t.Errorf("the oldest: %v", err)
		}
		waits(t, "the second", answers[1])
		p.end(is[0], 0)
		if err := <-answers[1]; err != nil {
			t.Errorf("the second: %v", err)
		}
		p.end(is[1], 0)
		if c := p.counts(); c.dropped != 1 {
			t.Errorf("%d were dropped", c.dropped)
		}
		p.settled(t)
	})
}

func TestGrowthEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		other := p.growingInstance(t, nil)
		p.end(other, 1<<20-engine.PageSize) // an answer that nobody reads
		i := p.growingInstance(t, nil)
		from := time.Now()
		parked, err := i.Grow(t.Context(), 2*engine.PageSize, from.Add(time.Minute))
		if !errors.Is(err, engine.ErrDropped) || parked != time.Minute || time.Since(from) != time.Minute {
			t.Errorf("at its deadline after %s: %v", parked, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := i.Grow(ctx, 2*engine.PageSize, from.Add(time.Hour)); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, engine.ErrDropped) {
			t.Errorf("when its caller has gone: %v", err)
		}
		answer := i.asks(t.Context(), 2*engine.PageSize)
		p.end(other, 0)
		if err := <-answer; err != nil {
			t.Error(err)
		}
		p.end(i, 0)
		fixed := p.newInstance("a")
		if err := p.start(t.Context(), fixed, engine.PageSize); err != nil {
			t.Fatal(err)
		}
		if _, err := fixed.Grow(t.Context(), 2*engine.PageSize, time.Time{}); err == nil || errors.Is(err, engine.ErrDropped) {
			t.Errorf("more than its whole limit: %v", err)
		}
		p.end(fixed, 0)
		p.settled(t)
	})
}

// When runs hold all memory and none can go on, the youngest gives back what it
// holds, and the oldest gets what it needs.
func TestTheYoungestRunIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		var shares [3]share
		var dropped []int
		var held [3]*instance // whose answers are not used up
		for n := range shares {
			p.enter(&shares[n], func(error) { dropped = append(dropped, n) })
			i := p.growingInstance(t, &shares[n])
			p.end(i, 0)
			i = p.growingInstance(t, &shares[n])
			if err := <-i.asks(t.Context(), 300<<10); err != nil {
				t.Fatal(err)
			}
			p.end(i, 300<<10)
			shares[n].held.Store(300 << 10)
			held[n] = i
		}
		shares[0].active.Add(1)
		oldest := p.newInstance("a")
		oldest.run, oldest.patient, oldest.least = &shares[0], true, engine.PageSize
		started := make(chan error, 1)
		go func() { started <- p.start(t.Context(), oldest, 400<<10) }()
		synctest.Wait()
		if err := <-started; err != nil || oldest.bytes != 1<<20-900<<10 {
			t.Fatalf("it starts with what there is: %d, %v", oldest.bytes, err)
		}
		answer := oldest.asks(t.Context(), 400<<10)
		waits(t, "the oldest", answer)
		if !slices.Equal(dropped, []int{2}) {
			t.Fatalf("dropped %v", dropped)
		}
		shares[2].held.Store(0)
		p.end(held[2], 0)
		p.exit(&shares[2])
		if err := <-answer; err != nil || !slices.Equal(dropped, []int{2}) {
			t.Errorf("%v, dropped %v", err, dropped)
		}
		p.end(oldest, 0)
		p.rest(&shares[0])
		for n := range 2 {
			p.end(held[n], 0)
			p.exit(&shares[n])
		}
		p.settled(t)
	})
}

// A run that alone needs more than there is ends with a fault of its own, once
// it is certain.
func TestARunThatNeedsTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		var s share
		s.serial = true
		p.enter(&s, func(error) { t.Error("the only run is dropped") })
		held := p.growingInstance(t, &s)
		if err := <-held.asks(t.Context(), 800<<10); err != nil {
			t.Fatal(err)
		}
		p.end(held, 800<<10)
		s.held.Store(800 << 10)
		unread := p.growingInstance(t, nil)
		p.end(unread, engine.PageSize)
		s.active.Add(2)
		i := p.growingInstance(t, &s)
		answer := i.asks(t.Context(), 300<<10)
		waits(t, "it, while an answer of others is unread", answer)
		p.end(unread, 0)
		waits(t, "it, while another instance of the run is about to give something back", answer)
		p.rest(&s)
		err := <-answer
		if engine.KindOf(err) != engine.FaultLimitBytes || !strings.Contains(err.Error(), "800KiB of the 1MiB") {
			t.Errorf("%v", err)
		}
		p.end(i, 0)
		p.rest(&s)
		p.end(held, 0)
		p.exit(&s)
		p.settled(t)
	})
}

// A run that goes on for others, when the one has failed that called it, does not
// wait for that to begin again.
func TestARunThatHasFailedGivesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPermits(nil)
		var failed share
		p.enter(&failed, func(error) { t.Error("a run that has failed is told to end") })
		p.exit(&failed)
		s := share{parent: &failed, serial: true}
		p.enter(&s, func(error) { t.Error("the only run is dropped") })
		held := p.growingInstance(t, &s)
		if err := <-held.asks(t.Context(), 800<<10); err != nil {
			t.Fatal(err)
		}
		p.end(held, 800<<10)
		s.held.Store(800 << 10)
		s.active.Add(1)
		i := p.growingInstance(t, &s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := <-i.asks(ctx, 300<<10); engine.KindOf(err) != engine.FaultLimitBytes {
			t.Errorf("%v", err)
		}
		if c := p.counts(); c.droppedRuns != 0 {
			t.Errorf("%d runs are counted as dropped", c.droppedRuns)
		}
		p.end(i, 0)
		p.rest(&s)
		p.end(held, 0)
		p.exit(&s)
		p.settled(t)
	})
}

// Whatever many instances ask for, there is never more in use than there is, and
// all come to their end.
func TestGrowthHammer(t *testing.T) {
	p := testPermits(func(c *Config) { c.Workers = 8 })
	var wg sync.WaitGroup
	var dropped atomic.Int64
	for n := range 16 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			for range 100 {
				i := p.newInstance(string(rune('a' + n%3)))
				i.patient = true
				limit := int64(random.IntN(1 << 20))
				for whole := false; ; whole = true {
					want := limit
					if i.least = 0; !whole {
						i.least, want = 1000, min(limit, 1000)
					}
					ctx, cancel := context.WithCancel(t.Context())
					if random.IntN(20) == 0 {
						time.AfterFunc(time.Duration(random.IntN(200))*time.Microsecond, cancel)
					}
					if err := p.start(ctx, i, want); err != nil {
						cancel()
						break
					}
					var err error
					for size := int64(0); size < limit && err == nil; size += int64(random.IntN(200_000)) {
						runtime.Gosched()
						_, err = i.Grow(ctx, min(size, limit), time.Now().Add(time.Minute))
					}
					if c := p.counts(); c.memory > c.limit || c.memory < 0 {
						t.Errorf("%d of %d bytes are in use", c.memory, c.limit)
					}
					p.end(i, 0)
					cancel()
					if !errors.Is(err, engine.ErrDropped) {
						break
					}
					dropped.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if dropped.Load() == 0 {
		t.Error("nothing was dropped: the test shows nothing")
	}
	p.settled(t)
}

// A function gets a small stack until it needs its own, which nobody notices but
// by what is charged.
func TestDeepStacks(t *testing.T) {
	b := newBench(t, nil)
	defer b.finish(t)
	var stacks []engine.Bytes
	deep := false
	b.engine.run = func(_ context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
		stacks = append(stacks, lim.Stack)
		if deep && lim.Stack < 1<<20 {
			return engine.Result{}, &engine.Fault{Kind: engine.FaultOutOfStack}
		}
		return engine.NewResult(in, engine.Usage{}, 0, nil), nil
	}
	large := b.publish(t, "", nil)
	small := b.publish(t, "small", func(p *Publication) { p.Limits.Stack = 600 << 10 })
	for _, c := range []struct {
		name   string
		deep   bool
		v      *registry.Version
		copied func([]byte)
		want   []engine.Bytes
		fault  engine.FaultKind
	}{
		{"inputs that are given back", true, large, func([]byte) {}, []engine.Bytes{8 << 20}, ""},
		{"shallow", false, large, nil, []engine.Bytes{shallowStack}, ""},
		{"deep", true, large, nil, []engine.Bytes{shallowStack, 8 << 20}, ""},
		{"deep again", true, large, nil, []engine.Bytes{8 << 20}, ""},
		{"deeper than allowed", true, small, nil, []engine.Bytes{shallowStack, 600 << 10}, engine.FaultOutOfStack},
		{"deeper than allowed, again", true, small, nil, []engine.Bytes{600 << 10}, engine.FaultOutOfStack},
	} {
		stacks, deep = nil, c.deep
		a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: c.v, Copied: c.copied})
		if engine.KindOf(err) != c.fault {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			a.Release()
		}
		if !slices.Equal(stacks, c.want) {
			t.Errorf("%s: ran with %v, want %v", c.name, stacks, c.want)
		}
	}
}

// greedy makes functions take memory while they run, in steps, up to a number of
// pages, and makes the outputs of one in large so large that they stay in it: all
// that depends only on the inputs. They hide what they took,
// so that the next ones are not charged for it from the start.
func greedy(most int, large byte) func(runFunc) runFunc {
	return func(run runFunc) runFunc {
		return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
			r, err := run(ctx, in, lim)
			if err != nil {
				return r, err
			}
			hash := data.Sum([]byte(fmt.Sprint(data.Size(in), data.Count(in))))
			size := engine.PageSize * int64(1+int(hash[0])%most)
			for bytes := int64(engine.PageSize); bytes <= size; bytes += engine.PageSize {
				if _, err := engine.SchedulerOf(ctx).Grow(ctx, bytes, time.Now().Add(time.Minute)); err != nil {
					if errors.Is(err, engine.ErrDropped) || engine.KindOf(err) != "" {
						return engine.Result{}, err
					}
					return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled, Err: err}
				}
				if rand.IntN(4) == 0 {
					pass(time.Microsecond)
				}
			}
			if large > 0 && hash[1]%large == 0 {
				r.Outputs[0].Items = append(r.Outputs[0].Items, data.NewItem("large", 9, make([]byte, detachBytes+1)))
			}
			return engine.NewResult(r.Outputs, engine.Usage{Fuel: 10, MemoryPages: 1}, size, func() {}), nil
		}
	}
}

// Runs that together need several times the memory there is all end well, and
// with the outputs that they have alone.
func TestRunsShareLittleMemory(t *testing.T) {
	for _, c := range []struct {
		name  string
		last  shard.Kind
		items int
		most  int // pages of an instance
		large byte
		drops func(permitCounts) int64
	}{
		{"flowing", shard.Each, 10, 24, 2, func(c permitCounts) int64 { return c.dropped }},
		{"gathering", shard.All, 2, 3, 1, func(c permitCounts) int64 { return c.droppedRuns }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newRunBench(t, func(c *Config) {
				c.Workers, c.MemoryBudget, c.Run.Bytes = 4, 4<<20, 3<<20
			}, greedy(c.most, c.large))
			defer b.finish(t)
			run := func(n int) string {
				graph := chain(2+n%3, b.unary(), shard.Each, b.references)
				nodes := graph.Entry().Nodes
				nodes[len(nodes)-1].Arguments[0].Kind = c.last
				r, sets, err := b.runToEnd(t.Context(), Invocation{Tenant: "default", Inputs: []data.Set{{Name: "s0", Items: some(c.items + n%3)}}}, newBound(graph, b.callees))
				if err != nil {
					t.Error(err)
					return ""
				}
				defer r.release()
				text := ""
				for _, it := range sets[0].Items {
					text += fmt.Sprintf("%q %d %s\n", it.Name(), it.Key(), data.Sum(it.Bytes()))
				}
				return text
			}
			var want [3]string
			for n := range want {
				want[n] = run(n)
			}
			if t.Failed() {
				t.Fatal("one run alone has not enough")
			}
			if alone := b.permits.counts(); alone.droppedRuns != 0 {
				t.Errorf("%d runs were dropped with nobody else there", alone.droppedRuns)
			}
			// How they meet is the scheduler's: often enough they are in each other's way.
			for round := 0; round < 3 || round < 50 && c.drops(b.permits.counts()) == 0; round++ {
				var runs sync.WaitGroup
				for n := range 12 {
					runs.Go(func() {
						if got := run(n); got != want[n%3] {
							t.Errorf("run %d left\n%s and alone\n%s", n, got, want[n%3])
						}
					})
				}
				runs.Wait()
			}
			counts := b.permits.counts()
			t.Logf("%d instances and %d runs were dropped", counts.dropped, counts.droppedRuns)
			if c.drops(counts) == 0 {
				t.Error("nothing was dropped: the test shows nothing")
			}
		})
	}
}
