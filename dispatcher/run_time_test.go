package dispatcher

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/engine"
)

// taking is a function that gives its first input back after that time.
func taking(d time.Duration) func(runFunc) runFunc {
	return func(runFunc) runFunc {
		give := copying(nil)
		return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
			select {
			case <-time.After(d):
				return give(ctx, in, lim)
			case <-ctx.Done():
				kind := engine.FaultCanceled
				if errors.Is(ctx.Err(), context.DeadlineExceeded) {
					kind = engine.FaultDeadline
				}
				return engine.Result{}, &engine.Fault{Kind: kind, Err: ctx.Err()}
			}
		}
	}
}

// runs are alike: chains of applications, each of each of the items.
type runs struct {
	tenant              string
	applications, items int
}

// chained does one of the runs.
func (b *runBench) chained(ctx context.Context, c runs) error {
	r := b.newRun(ctx, c.tenant, 0, new(share))
	_, err := r.do(newBound(chain(c.applications, b.unary(), shard.Each, b.references), b.callees), []data.Set{{Name: "s0", Items: some(c.items)}})
	if err == nil {
		r.release()
	}
	return err
}

// hold takes a permit, and gives it back after that time.
func (b *bench) hold(t *testing.T, d time.Duration) {
	t.Helper()
	i := b.permits.newInstance("holder")
	if err := b.permits.start(t.Context(), i, 0); err != nil {
		t.Error(err)
		return
	}
	time.AfterFunc(d, func() { b.permits.end(i, 0) })
}

// How long a run may take, from outside and by its own limit, whether its
// instances run or wait.
func TestRunTimes(t *testing.T) {
	const short, limit = time.Second, time.Minute
	for _, c := range []struct {
		name           string
		applications   int
		each           time.Duration // of an instance
		held, heldFrom time.Duration // the permit is another's
		caller         time.Duration // its deadline; 0: none
		kind           engine.FaultKind
		took           time.Duration
		detail         string
	}{
		{"it ends", 3, short, 0, 0, 0, "", 3 * short, ""},
		{"the limit, running", 1, time.Hour, 0, 0, 0, engine.FaultLimitTime, limit, "1m0s"},
		{"the limit, in a later application", 1000, short, 0, 0, 0, engine.FaultLimitTime, limit, "1m0s"},
		{"the limit, waiting", 3, short, time.Hour, short / 2, 0, engine.FaultLimitTime, limit, "1m0s"},
		{"the caller's deadline, running", 1, time.Hour, 0, 0, 7 * short, engine.FaultDeadline, 7 * short, ""},
		{"the caller's deadline, waiting to begin", 1, short, time.Hour, 0, 3 * short, engine.FaultDeadline, 3 * short, ""},
		{"the caller's deadline, waiting", 3, short, time.Hour, short / 2, 30 * short, engine.FaultDeadline, 30 * short, ""},
		{"nothing begins within the queue wait", 3, short, time.Hour, 0, 0, engine.FaultOverload, 5 * short, "within 5s"},
		{"it begins within the queue wait", 3, short, 4 * short, 0, 0, "", 7 * short, ""},
		{"what has begun outwaits it", 3, short, 20 * short, short / 2, 0, "", (1 + 20 + 2) * short, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRunBench(t, func(cfg *Config) { cfg.Run.Time, cfg.Workers, cfg.Strict = limit, 1, true }, taking(c.each))
				if c.heldFrom == 0 && c.held > 0 {
					b.hold(t, c.held)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if c.caller > 0 {
					ctx, cancel = context.WithTimeout(t.Context(), c.caller)
				}
				defer cancel()
				from := time.Now()
				done := make(chan error)
				go func() { done <- b.chained(ctx, runs{"default", c.applications, 1}) }()
				if c.heldFrom > 0 {
					pass(c.heldFrom)
					go b.hold(t, c.held) // it comes when the first instance has ended
				}
				err := <-done
				if took := time.Since(from); engine.KindOf(err) != c.kind || took != c.took || err != nil && !strings.Contains(err.Error(), c.detail) {
					t.Errorf("after %s: %v", took, err)
				}
				if err != nil && c.kind == "" {
					t.Error(err)
				}
				pass(2 * time.Hour)
				b.finish(t)
			})
		})
	}
}

// sharers are instances that come again and again and take a millisecond each.
type sharers struct {
	name   string // of what they are counted as
	tenant string
	runs   int // 0: calls
	opens  bool
	each   int           // of a run, or how many calls
	long   time.Duration // of one instance, if not a millisecond
}

// What gets which share of the permits' time does not depend on how many of it wait.
func TestSharesOfTime(t *testing.T) {
	for _, c := range []struct {
		name    string
		sharers []sharers
		want    map[string]float64
	}{
		{"a wide run and a narrow one", []sharers{{"wide", "a", 1, false, 200, 0}, {"narrow", "a", 1, false, 4, 0}}, map[string]float64{"wide": 0.5, "narrow": 0.5}},
		{"a thousand calls and a run", []sharers{{"calls", "a", 0, false, 1000, 0}, {"run", "a", 1, false, 4, 0}}, map[string]float64{"calls": 0.5, "run": 0.5}},
		{"calls and a hundred runs", []sharers{{"calls", "a", 0, false, 4, 0}, {"runs", "a", 100, false, 4, 0}}, map[string]float64{"calls": 0.5, "runs": 0.5}},
		{
			"runs that begin and runs that have begun", []sharers{{"begin", "a", 500, true, 1, 0}, {"have begun", "a", 4, false, 4, 0}},
			map[string]float64{"begin": 0.2, "have begun": 0.8},
		},
		{
			"two tenants", []sharers{{"a's runs", "a", 50, false, 4, 0}, {"a's calls", "a", 0, false, 20, 0}, {"b's run", "b", 1, false, 4, 0}},
			map[string]float64{"a's runs": 0.25, "a's calls": 0.25, "b's run": 0.5},
		},
		{
			"runs of parked instances", []sharers{{"wide", "a", 1, false, 20, time.Hour}, {"narrow", "a", 1, false, 3, time.Hour}, {"calls", "a", 0, false, 5, time.Hour}},
			map[string]float64{"wide": 0.25, "narrow": 0.25, "calls": 0.5},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := testPermits(func(c *Config) { c.Workers = 2 })
				ctx, cancel := context.WithCancel(t.Context())
				got := map[string]*atomic.Int64{}
				var wg sync.WaitGroup
				var run uint64
				for _, s := range c.sharers {
					ran := new(atomic.Int64)
					got[s.name] = ran
					for range max(s.runs, 1) {
						run++
						i := instance{permits: p, tenant: s.tenant, opens: s.opens, patient: true}
						if s.runs > 0 {
							i.run = shareOf(run)
						}
						for range s.each {
							wg.Go(func() {
								for ctx.Err() == nil {
									_ = p.busyAs(ctx, i, max(s.long, time.Millisecond), ran)
								}
							})
						}
					}
				}
				pass(2 * time.Second) // all are there, and those that are long have been parked
				for _, ran := range got {
					ran.Store(0)
				}
				const measured = 10 * time.Second
				pass(measured)
				for name, want := range c.want {
					if share := got[name].Load(); !near(float64(share)/float64(2*measured/time.Millisecond), want) {
						t.Errorf("%s got %d ms of %s on two permits; want a share of %v", name, share, measured, want)
					}
				}
				cancel()
				wg.Wait()
				p.settled(t)
			})
		})
	}
}

func near(a, b float64) bool { return a > b-0.02 && a < b+0.02 }

// A run goes on beside others as if each of these had one instance, and all that
// are to begin were one.
func TestRunsTakeTurns(t *testing.T) {
	const workers = 4
	for _, c := range []struct {
		name   string
		number int
		others runs // again and again
		one    runs
		most   time.Duration
	}{
		// Each of the chain's instances waits for eight others, on four permits.
		{"a chain beside wide runs", 8, runs{"a", 2, 5000}, runs{"a", 50, 1}, 50 * (1 + 3) * time.Millisecond},
		// It waits for all others once, and then for one of them at a time.
		{"a chain beside runs that begin", 200, runs{"a", 1, 1}, runs{"a", 50, 1}, (200/workers + 50*(1+1)) * time.Millisecond},
		{"a tenant beside another with more", 8, runs{"a", 2, 5000}, runs{"b", 1, 200}, (200*2/workers + 2) * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRunBench(t, func(c *Config) { c.Workers, c.Strict = workers, true }, taking(time.Millisecond))
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for range c.number {
					wg.Go(func() {
						for ctx.Err() == nil {
							if err := b.chained(ctx, c.others); err != nil && engine.KindOf(err) != engine.FaultCanceled {
								t.Error(err)
							}
						}
					})
				}
				pass(200 * time.Millisecond)
				from := time.Now()
				if err := b.chained(t.Context(), c.one); err != nil {
					t.Error(err)
				}
				if took := time.Since(from); took > c.most {
					t.Errorf("it took %s; at most %s were to be expected", took, c.most)
				}
				cancel()
				wg.Wait()
				b.finish(t)
			})
		})
	}
}

// An answer says how long its run waited to begin, and the metrics how many go on.
func TestRunIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRunBench(t, func(c *Config) { c.Workers = 1 }, taking(time.Second))
		v := b.compose(t, "Twice", `function f11(in0) => (out0); composition Twice(a) => (b) {
			f11(in0 = each a) => (once = out0); f11(in0 = each once) => (b = out0); }`)
		b.hold(t, 3*time.Second)
		goingOn := func(want string) {
			t.Helper()
			want = "# HELP pappus_runs Runs of compositions that are going on.\n# TYPE pappus_runs gauge\npappus_runs " + want + "\n"
			if err := testutil.GatherAndCompare(b.metrics, strings.NewReader(want), "pappus_runs"); err != nil {
				t.Error(err)
			}
		}
		goingOn("0")
		time.AfterFunc(4500*time.Millisecond, func() { goingOn("1") })
		a, err := b.call(t.Context(), v, set("a", "x", "y"))
		if err != nil {
			t.Fatal(err)
		}
		goingOn("0")
		// The others wait for one another, as long as they run.
		if a.Queue != 3*time.Second || a.Prepare != 0 || a.Run != 4*time.Second {
			t.Errorf("it waited %s and %s, and ran %s", a.Queue, a.Prepare, a.Run)
		}
		a.Release()
		b.finish(t)
	})
}
