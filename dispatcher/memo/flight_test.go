package memo

import (
	"bytes"
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
	"pappus/engine"
)

// inBubble runs a test on a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T, m *Memo)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, err := New(Options{Memory: testMemory})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		test(t, m)
	})
}

// pause takes time, or ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return &engine.Fault{Kind: engine.FaultCanceled, Detail: "the caller went away", Err: ctx.Err()}
	}
}

type answer struct {
	Outcome
	err error
	at  time.Duration
}

// callers make calls at once or one after the other, and note the answers.
type callers struct {
	m     *Memo
	begin time.Time
	group sync.WaitGroup
	mu    sync.Mutex
	got   map[string]answer
}

func newCallers(m *Memo) *callers {
	return &callers{m: m, begin: time.Now(), got: make(map[string]answer)}
}

func (c *callers) do(ctx context.Context, who string, call Call, run Run) {
	c.group.Go(func() {
		o, err := c.m.Do(ctx, call, run)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got[who] = answer{o, err, time.Since(c.begin)}
	})
}

// wait returns all answers as text: who got what, from where, when.
func (c *callers) wait() string {
	c.group.Wait()
	var lines []string
	for who, a := range c.got {
		what := string(engine.KindOf(a.err))
		if a.err == nil {
			what = string(a.Outputs[0].Items[0].Bytes())
		} else if what == "" {
			what = a.err.Error()
		}
		lines = append(lines, fmt.Sprintf("%s: %s, %s, %v", who, what, a.Source, a.at))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (c *callers) want(t *testing.T, want ...string) {
	t.Helper()
	if got := c.wait(); got != strings.Join(want, "\n") {
		t.Errorf("answers are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestAThousandEqualCallsRunOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		f := m.testFunction("default", "f")
		var runs atomic.Int64
		c := newCallers(m)
		for i := range 1_000 {
			in := items("the same") // each its own
			c.do(t.Context(), fmt.Sprint(i), Call{Function: f, Inputs: in}, func(ctx context.Context, s *Shared) (engine.Result, error) {
				runs.Add(1)
				if err := pause(ctx, time.Second); err != nil {
					return engine.Result{}, err
				}
				return echo(in, time.Second, 10)(ctx, s)
			})
		}
		c.wait()
		sources := make(map[Source]int)
		for who, a := range c.got {
			sources[a.Source]++
			if a.err != nil || content(t, a.Outcome) != "the same" || a.Stored != (a.Source == Computed) {
				t.Errorf("caller %s got %+v, error %v", who, a.Outcome, a.err)
			}
		}
		if runs.Load() != 1 || sources[Computed] != 1 || sources[Collapsed] != 999 {
			t.Errorf("%d runs, and answers from %v", runs.Load(), sources)
		}
		wantFrom(t, m, Call{Function: f, Inputs: items("the same")}, nil, FromMemory)
		if s := m.Stats(); s.Misses != 1 || s.Collapsed != 999 || s.Hits != 1 || s.Stored != 1 || s.SavedTime != 1_000*time.Second || s.SavedFuel != 10_000 {
			t.Errorf("figures are %+v", s)
		}
	})
}

// The same without a clock of its own, so that everything happens at once: a
// run that ends while others arrive is found by all of them.
func TestEqualCallsRunOnceHoweverTheyMeet(t *testing.T) {
	m := newMemo(t)
	f := m.testFunction("default", "f")
	for round := range 50 {
		var runs atomic.Int64
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				in := items(fmt.Sprint(round))
				o, err := m.Do(t.Context(), Call{Function: f, Inputs: in}, func(ctx context.Context, s *Shared) (engine.Result, error) {
					runs.Add(1)
					runtime.Gosched()
					return echo(in, time.Second, 1)(ctx, s)
				})
				if err != nil || content(t, o) != fmt.Sprint(round) {
					t.Errorf("got %v, %v", o, err)
				}
			})
		}
		group.Wait()
		if runs.Load() != 1 {
			t.Fatalf("round %d: %d runs", round, runs.Load())
		}
	}
}

// A run that ends between a caller's look into memory and its turn to begin one
// is found.
func TestWhoIsLateLooksAgain(t *testing.T) {
	m := newMemo(t)
	call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
	wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	o, err := m.share(t.Context(), call, call.Key(), measure(call.Inputs), nil)
	if err != nil || o.Source != FromMemory || content(t, o) != "x" {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestARunIsCanceledWhenTheLastCallerLeaves(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
		canceled := make(chan time.Duration, 1)
		c := newCallers(m)
		for i := range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
			defer cancel()
			c.do(ctx, fmt.Sprint(i), call, func(ctx context.Context, s *Shared) (engine.Result, error) {
				s.Placed()
				err := pause(ctx, time.Hour)
				canceled <- time.Since(c.begin)
				return engine.Result{}, err
			})
			synctest.Wait()
		}
		c.want(t,
			"0: deadline, computed, 1s", "1: deadline, computed, 2s", "2: deadline, computed, 3s",
			"3: deadline, computed, 4s", "4: deadline, computed, 5s")
		if at := <-canceled; at != 5*time.Second {
			t.Errorf("the run ended after %v", at)
		}
	})
}

func TestARunOutlivesTheCallerWhoBeganIt(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
		runs := 0
		run := func(ctx context.Context, s *Shared) (engine.Result, error) {
			runs++
			s.Placed()
			s.Placed()
			if err := pause(ctx, time.Minute); err != nil {
				return engine.Result{}, err
			}
			return echo(call.Inputs, time.Minute, 1)(ctx, s)
		}
		c := newCallers(m)
		ctx, cancel := context.WithCancel(t.Context())
		c.do(ctx, "leader", call, run)
		synctest.Wait()
		c.do(t.Context(), "other", call, run)
		synctest.Wait()
		cancel()
		c.want(t, "leader: canceled, computed, 0s", "other: x, collapsed, 1m0s")
		if runs != 1 {
			t.Errorf("%d runs", runs)
		}
	})
}

// A caller's inputs are not read once it has returned: the run ends with it,
// and another caller, with its own inputs, begins again.
func TestInputsBelongToTheirCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		f := m.testFunction("default", "f")
		var mu sync.Mutex
		valid := make(map[string]bool)
		runs := 0
		run := func(who string, in []data.Set) Run {
			return func(ctx context.Context, s *Shared) (engine.Result, error) {
				runs++
				for range 10 {
					mu.Lock()
					if !valid[who] {
						t.Errorf("the inputs of %s are read after it left", who)
					}
					mu.Unlock()
					select {
					case <-time.After(time.Second):
					case <-ctx.Done():
						<-time.After(time.Millisecond) // it still reads
						mu.Lock()
						if !valid[who] {
							t.Errorf("%s left before its inputs were let go", who)
						}
						mu.Unlock()
						return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled}
					}
				}
				s.Placed()
				return echo(in, time.Second, 1)(ctx, s)
			}
		}
		c := newCallers(m)
		leave := make(map[string]context.CancelFunc)
		for _, who := range []string{"a", "b", "c"} {
			ctx, cancel := context.WithCancel(t.Context())
			leave[who] = cancel
			mu.Lock()
			valid[who] = true
			mu.Unlock()
			in := items("x")
			c.group.Go(func() {
				o, err := m.Do(ctx, Call{Function: f, Inputs: in}, run(who, in))
				mu.Lock()
				defer mu.Unlock()
				valid[who] = false
				c.got[who] = answer{o, err, time.Since(c.begin)}
			})
			synctest.Wait()
		}
		<-time.After(3*time.Second + 500*time.Millisecond)
		leave["a"]()
		c.group.Wait()
		if runs != 2 || engine.KindOf(c.got["a"].err) != engine.FaultCanceled || c.got["b"].err != nil || c.got["c"].err != nil {
			t.Errorf("after %d runs: %v", runs, c.got)
		}
		for _, cancel := range leave {
			cancel()
		}
	})
}

func TestWhoseAFaultIs(t *testing.T) {
	once := func(f *engine.Fault, after time.Duration) func([]data.Set) Run {
		done := false
		return func(in []data.Set) Run {
			return func(ctx context.Context, s *Shared) (engine.Result, error) {
				s.Placed()
				if err := pause(ctx, after); err != nil {
					return engine.Result{}, err
				}
				if done {
					return echo(in, time.Second, 1)(ctx, s)
				}
				done = true
				if f == nil {
					return engine.Result{}, errors.New("broken")
				}
				return engine.Result{}, f
			}
		}
	}
	for _, kind := range engine.FaultKinds() {
		t.Run(string(kind), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *Memo) {
				run := once(&engine.Fault{Kind: kind, Usage: engine.Usage{Run: time.Second}}, time.Second)
				call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
				c := newCallers(m)
				for i := range 3 {
					c.do(t.Context(), fmt.Sprint(i), call, run(call.Inputs))
					synctest.Wait()
				}
				switch kind {
				case engine.FaultDeadline, engine.FaultCanceled, engine.FaultOverload, engine.FaultLimitTime, engine.FaultLimitBytes:
					got := c.wait()
					for i, want := range [][]string{{fmt.Sprintf("0: %s, computed, 1s", kind)}, {"1: x, computed, 2s", "2: x, computed, 2s"}, {"1: x, collapsed, 2s", "2: x, collapsed, 2s"}} {
						if !slices.ContainsFunc(want, func(line string) bool { return strings.Contains(got, line) }) {
							t.Errorf("answers are\n%s\nwithout any of %q (%d)", got, want, i)
						}
					}
				default:
					c.want(t, fmt.Sprintf("0: %s, computed, 1s", kind), fmt.Sprintf("1: %s, collapsed, 1s", kind), fmt.Sprintf("2: %s, collapsed, 1s", kind))
				}
				// Each has a fault of its own.
				seen := make(map[*engine.Fault]bool)
				for _, a := range c.got {
					var f *engine.Fault
					if errors.As(a.err, &f) && seen[f] {
						t.Error("two callers share one fault")
					}
					seen[f] = true
				}
				_, found, err := m.Lookup(call)
				if want := kind.Deterministic() || c.got["1"].err == nil; found != want {
					t.Errorf("found afterwards: %t, %v", found, err)
				}
			})
		})
	}
	t.Run("another error", func(t *testing.T) {
		inBubble(t, func(t *testing.T, m *Memo) {
			run := once(nil, time.Second)
			call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
			c := newCallers(m)
			c.do(t.Context(), "0", call, run(call.Inputs))
			c.do(t.Context(), "1", call, run(call.Inputs))
			c.group.Wait()
			for who, a := range c.got {
				if a.err == nil || a.err.Error() != "broken" {
					t.Errorf("%s got %v", who, a.err)
				}
			}
			wantFrom(t, m, call, run(call.Inputs), Computed)
		})
	})
}

// timed is a run that takes a minute, or ends when it may not take as long.
func timed(in []data.Set, seen *[]time.Duration) Run {
	return func(ctx context.Context, s *Shared) (engine.Result, error) {
		<-time.After(time.Second) // for its turn
		limit := s.Timeout()
		*seen = append(*seen, limit)
		if limit > 0 && limit < time.Minute {
			if err := pause(ctx, limit); err != nil {
				return engine.Result{}, err
			}
			return engine.Result{}, &engine.Fault{Kind: engine.FaultDeadline}
		}
		if err := pause(ctx, time.Minute); err != nil {
			return engine.Result{}, err
		}
		return echo(in, time.Minute, 1)(ctx, s)
	}
}

func TestARunHasTheLongestTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		var seen []time.Duration
		call := func(timeout time.Duration) Call {
			return Call{Function: m.testFunction("default", "f"), Inputs: items("x"), Timeout: timeout}
		}
		c := newCallers(m)
		run := timed(items("x"), &seen)
		c.do(t.Context(), "a 5s", call(5*time.Second), run)
		synctest.Wait()
		c.do(t.Context(), "b 2s", call(2*time.Second), run)
		c.do(t.Context(), "c 20s", call(20*time.Second), run)
		<-time.After(10 * time.Second)
		c.do(t.Context(), "d 9s", call(9*time.Second), run)
		c.do(t.Context(), "e 20s", call(20*time.Second), run)
		synctest.Wait()
		c.do(t.Context(), "f none", call(0), run)
		c.want(t,
			"a 5s: deadline, computed, 21s", "b 2s: deadline, collapsed, 21s", "c 20s: deadline, collapsed, 21s",
			"d 9s: deadline, collapsed, 21s", "e 20s: deadline, collapsed, 21s", "f none: x, computed, 1m22s")
		if !slices.Equal(seen, []time.Duration{20 * time.Second, 0}) {
			t.Errorf("the runs had %v", seen)
		}
	})
}

// Nobody waits for others' overload again and again.
func TestOverloadDoesNotAddUp(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
		runs := 0
		run := func(ctx context.Context, _ *Shared) (engine.Result, error) {
			runs++
			if err := pause(ctx, 5*time.Second); err != nil {
				return engine.Result{}, err
			}
			return engine.Result{}, &engine.Fault{Kind: engine.FaultOverload}
		}
		c := newCallers(m)
		for i := range 100 {
			c.do(t.Context(), fmt.Sprint(i), call, run)
		}
		c.group.Wait()
		late := 0
		for _, a := range c.got {
			if engine.KindOf(a.err) != engine.FaultOverload || a.at > 10*time.Second {
				t.Errorf("a caller got %v after %v", a.err, a.at)
			}
			if a.at == 10*time.Second {
				late++
			}
		}
		if runs != 2 || late != 99 {
			t.Errorf("%d runs; %d were told after 10s", runs, late)
		}
	})
}

// A limit of one caller's run is nobody else's, and nobody waits for others' limits
// again and again.
func TestLimitsAreTheCallersOwn(t *testing.T) {
	for _, kind := range []engine.FaultKind{engine.FaultLimitTime, engine.FaultLimitBytes} {
		t.Run(string(kind), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *Memo) {
				call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
				c := newCallers(m)
				for i := range 100 {
					fault := &engine.Fault{Kind: kind, Detail: fmt.Sprint("of ", i)}
					c.do(t.Context(), fmt.Sprint(i), call, func(ctx context.Context, _ *Shared) (engine.Result, error) {
						if err := pause(ctx, 5*time.Second); err != nil {
							return engine.Result{}, err
						}
						return engine.Result{}, fault
					})
				}
				c.group.Wait()
				for who, a := range c.got {
					var fault *engine.Fault
					if !errors.As(a.err, &fault) || fault.Kind != kind || fault.Detail != "of "+who || a.at > 15*time.Second {
						t.Errorf("caller %s got %v after %v", who, a.err, a.at)
					}
				}
				_, err := wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestFuelIsComparedWithinARun(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		f := m.testFunction("default", "f")
		call := func(fuel int64) Call { return Call{Function: f, Inputs: items("x"), Fuel: fuel} }
		run := func(limit int64) Run { // it uses 50
			return func(ctx context.Context, s *Shared) (engine.Result, error) {
				s.Placed()
				if err := pause(ctx, time.Second); err != nil {
					return engine.Result{}, err
				}
				if limit > 0 && limit < 50 {
					return engine.Result{}, &engine.Fault{Kind: engine.FaultOutOfFuel, Detail: "of the run", Usage: engine.Usage{Fuel: limit + 1, Run: time.Second}}
				}
				return echo(items("x"), time.Second, 50)(ctx, s)
			}
		}
		c := newCallers(m)
		do := func(name string, fuel int64) {
			c.do(t.Context(), name, call(fuel), run(fuel))
			synctest.Wait()
		}
		do("a 20", 20)
		do("b 20", 20)
		do("c 10", 10)
		do("d 30", 30)
		do("e 50", 50)
		do("f none", 0)
		got := c.wait()
		// d, e or f leads the second run, and if that was d one of the others a third.
		for _, want := range []string{
			"a 20: out-of-fuel, computed, 1s", "b 20: out-of-fuel, collapsed, 1s", "c 10: out-of-fuel, computed, ",
			"d 30: out-of-fuel, ", "e 50: x, ", "f none: x, ",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("answers are\n%s\nwithout %q", got, want)
			}
		}
		for _, fuel := range []int64{0, 51, 50} {
			if _, err := wantFrom(t, m, call(fuel), nil, FromMemory); err != nil {
				t.Errorf("with %d fuel: %v", fuel, err)
			}
		}
		for _, fuel := range []int64{49, 1} { // that it runs out is known, and not after how much
			var fault *engine.Fault
			if _, err := wantFrom(t, m, call(fuel), run(fuel), Computed); !errors.As(err, &fault) || fault.Usage.Fuel != fuel+1 {
				t.Errorf("with %d fuel: %v", fuel, err)
			}
		}
	})
}

// A result that is not worth storing is everyone's too, and the memory that it
// came in goes back: to nobody's harm.
func TestWhatIsNotStoredIsShared(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		f := m.testFunction("default", "f")
		released := 0
		buffer := make([]byte, 1)
		run := func(ctx context.Context, s *Shared) (engine.Result, error) {
			s.Placed()
			if err := pause(ctx, time.Second); err != nil {
				return engine.Result{}, err
			}
			buffer[0] = 'x'
			return engine.NewResult(outputsOf(buffer), engine.Usage{Run: 1}, 1, func() { released++; clear(buffer) }), nil
		}
		for i := range warmSmall {
			wantFrom(t, m, Call{Function: f, Inputs: items(fmt.Sprint("input ", i))}, echo(items("x"), 1, 1), Computed)
		}
		for callers := 1; callers <= 3; callers++ {
			c := newCallers(m)
			released = 0
			for i := range callers {
				c.do(t.Context(), fmt.Sprint(i), Call{Function: f, Inputs: items("x")}, run)
			}
			c.group.Wait()
			if held := released == 0; held != (callers == 1) {
				t.Errorf("with %d callers the result is released %d times", callers, released)
			}
			for who, a := range c.got {
				if a.err != nil || a.Stored || content(t, a.Outcome) != "x" {
					t.Errorf("with %d callers %s got %q, %v", callers, who, content(t, a.Outcome), a.err)
				}
				a.Release()
			}
			if released != 1 {
				t.Errorf("with %d callers the result is released %d times in the end", callers, released)
			}
		}
		if _, found, _ := m.Lookup(Call{Function: f, Inputs: items("x")}); found {
			t.Error("it is stored")
		}
	})
}

func TestAPanicIsAnError(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		for name, run := range map[string]Run{
			"panic": func(context.Context, *Shared) (engine.Result, error) { panic("at the disco") },
			"exit":  func(context.Context, *Shared) (engine.Result, error) { runtime.Goexit(); return engine.Result{}, nil },
		} {
			call := Call{Function: m.testFunction("default", "f"), Inputs: items(name)}
			c := newCallers(m)
			for i := range 3 {
				c.do(t.Context(), fmt.Sprint(i), call, run)
			}
			c.group.Wait()
			for who, a := range c.got {
				if !errors.Is(a.err, ErrPanicked) {
					t.Errorf("%s: caller %s got %v", name, who, a.err)
				}
			}
		}
	})
}

// After a purge nobody gets the result of a run that began before it.
func TestPurgeReachesRunsThatAreGoingOn(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		f := m.testFunction("default", "f")
		call := Call{Function: f, Inputs: items("x")}
		run := func(content string) Run {
			return func(ctx context.Context, s *Shared) (engine.Result, error) {
				s.Placed()
				if err := pause(ctx, time.Second); err != nil {
					return engine.Result{}, err
				}
				return echo(items(content), time.Second, 1)(ctx, s)
			}
		}
		c := newCallers(m)
		c.do(t.Context(), "before", call, run("old"))
		synctest.Wait()
		if err := m.Purge(t.Context(), "default", f.scope.code); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second / 2)
		c.do(t.Context(), "during", call, run("new"))
		<-time.After(time.Second / 4)
		c.do(t.Context(), "also", call, run("newest"))
		c.want(t, "also: new, collapsed, 1.5s", "before: old, computed, 1s", "during: new, computed, 1.5s")
		if o, err := wantFrom(t, m, call, nil, FromMemory); err != nil || content(t, o) != "new" {
			t.Errorf("got %v, %v", o, err)
		}
	})
}

func TestCloseWaitsForRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := New(Options{Memory: testMemory})
		if err != nil {
			t.Fatal(err)
		}
		call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
		run := func(ctx context.Context, s *Shared) (engine.Result, error) {
			return echo(call.Inputs, time.Second, 1)(ctx, s)
		}
		c := newCallers(m)
		c.do(t.Context(), "a", call, func(ctx context.Context, s *Shared) (engine.Result, error) {
			s.Placed()
			if err := pause(ctx, time.Minute); err != nil {
				return engine.Result{}, err
			}
			return run(ctx, s)
		})
		synctest.Wait()
		m.Close()
		c.want(t, "a: x, computed, 1m0s")
		wantFrom(t, m, call, run, Computed)
		wantFrom(t, m, call, run, Computed)
		if _, found, _ := m.Lookup(call); found {
			t.Error("a closed memo remembers")
		}
		if err := m.Purge(t.Context(), "default"); err != nil {
			t.Error(err)
		}
		m.Close()
	})
}

// Whatever callers do, every result is released once, every answer is right,
// and nothing is left over.
func TestFlightsHammer(t *testing.T) {
	m := newMemo(t, func(o *Options) { o.Memory = 256 << 10 }) // so that much is forgotten
	var made, released, wrong atomic.Int64
	var group sync.WaitGroup
	const callers, calls = 16, 300
	for i := range callers {
		group.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			f := m.testFunction("default", fmt.Sprint("f", i%2))
			for range calls {
				which := fmt.Sprintf("%d %d", i%2, r.IntN(5))
				in := items(which)
				took := []time.Duration{time.Microsecond, time.Second}[r.IntN(2)]
				how, size := r.IntN(8), r.IntN(20_000)
				ctx, cancel := context.WithCancel(t.Context())
				if how == 0 {
					go func() { runtime.Gosched(); cancel() }()
				}
				o, err := m.Do(ctx, Call{Function: f, Inputs: in, Fuel: int64(r.IntN(3)) * 10, Refresh: how == 1}, func(ctx context.Context, s *Shared) (engine.Result, error) {
					content := string(in[0].Items[0].Bytes())
					s.Placed()
					for range size / 1_000 {
						runtime.Gosched()
					}
					switch {
					case ctx.Err() != nil:
						return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled}
					case how == 2:
						return engine.Result{}, &engine.Fault{Kind: engine.FaultOverload}
					case how == 3:
						panic("now and then")
					}
					made.Add(1)
					buffer := []byte(content)
					sets := []data.Set{{Name: "out", Items: []*data.Item{data.NewItem("", 0, buffer), data.NewItem("", 0, make([]byte, size))}}}
					return engine.NewResult(sets, engine.Usage{Run: took, Fuel: 15}, 1, func() {
						released.Add(1)
						clear(buffer) // the memory is someone else's now
					}), nil
				})
				if err == nil && string(o.Outputs[0].Items[0].Bytes()) != which {
					wrong.Add(1)
				}
				o.Release()
				cancel()
			}
		})
	}
	group.Wait()
	m.Close()
	if made.Load() == 0 || made.Load() != released.Load() || wrong.Load() > 0 {
		t.Errorf("%d results, %d released; %d wrong answers", made.Load(), released.Load(), wrong.Load())
	}
	if n := len(m.flights.of); n > 0 {
		t.Errorf("%d flights are left", n)
	}
}

// Who shares a result gets a copy: items of a composition's result may be those that
// others have, or that are remembered.
func TestSharedResultsLeaveItemsAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, m *Memo) {
		f := m.testFunction("default", "f")
		content := bytes.Repeat([]byte("x"), int(m.memory.window)+1) // too large to be stored, which would be a copy
		item := data.NewItem("n", 1, content)
		released := 0
		c := newCallers(m)
		for _, who := range []string{"a", "b"} {
			c.do(t.Context(), who, Call{Function: f, Inputs: items("x"), Keyed: true}, func(ctx context.Context, _ *Shared) (engine.Result, error) {
				if err := pause(ctx, time.Second); err != nil {
					return engine.Result{}, err
				}
				return engine.NewResult([]data.Set{{Name: "out", Items: []*data.Item{item}}}, engine.Usage{Run: time.Second}, 9, func() { released++ }), nil
			})
		}
		c.wait()
		for who, a := range c.got {
			got := a.Outputs[0].Items[0]
			if a.err != nil || got == item || !bytes.Equal(got.Bytes(), content) {
				t.Errorf("%s got %d bytes, %v", who, got.Len(), a.err)
			}
		}
		if &item.Bytes()[0] != &content[0] || released != 1 {
			t.Errorf("the item was changed; released %d times", released)
		}
	})
}
