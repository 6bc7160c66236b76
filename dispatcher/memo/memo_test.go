package memo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
)

func TestAResultIsRemembered(t *testing.T) {
	m := newMemo(t)
	call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
	first, err := wantFrom(t, m, call, echo(call.Inputs, time.Second, 7), Computed)
	if err != nil || !first.Stored || !first.Keyed || first.Key != call.Key() {
		t.Fatalf("first %+v, %v", first, err)
	}
	again, err := wantFrom(t, m, Call{Function: call.Function, Inputs: items("x")}, nil, FromMemory)
	if err != nil || !data.Equal(first.Outputs, again.Outputs) || again.Usage.Fuel != 7 || again.Usage.MemoryPages != 2 || again.Key != first.Key || again.Stored {
		t.Errorf("again %+v, %v", again, err)
	}
	first.Release()
	again.Release()
	if o, found, err := m.Lookup(call); !found || err != nil || content(t, o) != "x" {
		t.Errorf("looked up: %+v, %t, %v", o, found, err)
	}
	call.Inputs = items("y")
	if o, found, _ := m.Lookup(call); found || o.Key != call.Key() {
		t.Errorf("what was never computed is found: %+v", o)
	}
}

func TestFaultsAreRemembered(t *testing.T) {
	for _, kind := range engine.FaultKinds() {
		m := newMemo(t)
		call := Call{Function: m.testFunction("default", "f"), Inputs: items("x"), Fuel: 100}
		fault := &engine.Fault{
			Kind: kind, Detail: "why", ExitCode: 3, Stderr: []byte("said"), Stack: []string{"main"},
			Usage: engine.Usage{Fuel: 100, MemoryPages: 3, Run: time.Second}, Application: "a", Instance: 2, Item: "i", Err: errors.New("cause"),
		}
		first, err := wantFrom(t, m, call, failing(fault), Computed)
		if engine.KindOf(err) != kind || first.Stored != kind.Deterministic() {
			t.Errorf("%s: first %+v, %v", kind, first, err)
		}
		if !kind.Deterministic() {
			o, err := wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
			if err != nil || content(t, o) != "x" {
				t.Errorf("%s: again %+v, %v", kind, o, err)
			}
			continue
		}
		_, err = wantFrom(t, m, call, nil, FromMemory)
		var again *engine.Fault
		if !errors.As(err, &again) || again.Kind != kind || again.Detail != "why" || again.ExitCode != 3 || string(again.Stderr) != "said" ||
			len(again.Stack) != 1 || again.Usage != fault.Usage || again.Application != "" || again.Err != nil {
			t.Errorf("%s: again %+v", kind, again)
		}
		again.Detail = "changed by its caller"
		if _, err := wantFrom(t, m, call, nil, FromMemory); strings.Contains(err.Error(), "changed") {
			t.Errorf("%s: callers share a fault", kind)
		}
		if s := m.Stats(); s.Negative != 2 || s.Hits != 2 {
			t.Errorf("%s: figures are %+v", kind, s)
		}
	}
}

// A composition's failure is never remembered, its successes are.
func TestFailuresCanBeForgotten(t *testing.T) {
	m := newMemo(t)
	s := sampleSpec()
	s.SuccessesOnly = true
	call := Call{Function: m.Function(s), Inputs: items("x")}
	for range 2 {
		o, err := wantFrom(t, m, call, failing(&engine.Fault{Kind: engine.FaultTrap, Usage: engine.Usage{Run: time.Second}}), Computed)
		if o.Stored || engine.KindOf(err) != engine.FaultTrap {
			t.Errorf("got %+v, %v", o, err)
		}
	}
	wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	wantFrom(t, m, call, nil, FromMemory)
}

// A fault that says very much is not kept rather than cut.
func TestLongFaultsAreNotRemembered(t *testing.T) {
	m := newMemo(t)
	call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
	long := failing(&engine.Fault{Kind: engine.FaultTrap, Stderr: make([]byte, maxFault+1), Usage: engine.Usage{Run: time.Second}})
	for range 2 {
		if o, err := wantFrom(t, m, call, long, Computed); o.Stored || engine.KindOf(err) != engine.FaultTrap {
			t.Errorf("got %+v, %v", o, err)
		}
	}
}

// A machine of one function: with a limit below what it needs it runs out of
// fuel, and else it does what it does. Whatever was asked before, in whatever
// order, the memo answers as the machine would.
func TestAnswersAreThoseOfTheFunction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := New(Options{Memory: testMemory})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		f := m.testFunction("default", "f")
		needs := rapid.Int64Range(1, 20).Draw(t, "fuel that it needs")
		traps := rapid.Bool().Draw(t, "traps")
		machine := func(limit int64) (engine.Result, error) {
			usage := engine.Usage{Fuel: needs, Run: time.Second}
			switch {
			case limit > 0 && limit < needs:
				usage.Fuel = limit + 1
				return engine.Result{}, &engine.Fault{Kind: engine.FaultOutOfFuel, Usage: usage}
			case traps:
				return engine.Result{}, &engine.Fault{Kind: engine.FaultTrap, Usage: usage}
			default:
				return engine.NewResult(outputs("x"), usage, 0, nil), nil
			}
		}
		best := int64(-1) // what was answered exactly; runs at a higher limit are needed only while it is out-of-fuel
		for range rapid.IntRange(1, 20).Draw(t, "calls") {
			limit := rapid.Int64Range(0, 22).Draw(t, "limit")
			ran := false
			_, got := m.Do(context.Background(), Call{Function: f, Inputs: items("x"), Fuel: limit}, func(context.Context, *Shared) (engine.Result, error) {
				ran = true
				return machine(limit)
			})
			_, want := machine(limit)
			if engine.KindOf(got) != engine.KindOf(want) || (got == nil) != (want == nil) {
				t.Fatalf("with limit %d: %v, want %v", limit, got, want)
			}
			var was, now *engine.Fault
			if errors.As(want, &was) && errors.As(got, &now) && was.Usage.Fuel != now.Usage.Fuel {
				t.Fatalf("with limit %d it used %d, want %d", limit, now.Usage.Fuel, was.Usage.Fuel)
			}
			known := fuelLimit(limit) == best
			if best >= needs {
				known = fuelLimit(limit) >= needs
			}
			if ran == known {
				t.Fatalf("with limit %d it ran: %t; known were limits up to %d", limit, ran, best)
			}
			best = max(best, fuelLimit(limit))
		}
	})
}

func TestTenantsShareNothing(t *testing.T) {
	m := newMemo(t)
	s := sampleSpec()
	for _, tenant := range []string{"a", "b", "", "default"} {
		s.Tenant = tenant
		call := Call{Function: m.Function(s), Inputs: items("x")}
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
		wantFrom(t, m, call, nil, FromMemory)
	}
}

func TestRefreshComputesAgain(t *testing.T) {
	m := newMemo(t)
	call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
	wantFrom(t, m, call, echo(items("old"), time.Second, 1), Computed)
	call.Refresh = true
	if o, err := wantFrom(t, m, call, echo(items("new"), time.Second, 1), Computed); err != nil || !o.Stored || content(t, o) != "new" {
		t.Errorf("got %+v, %v", o, err)
	}
	call.Refresh = false
	if o, err := wantFrom(t, m, call, nil, FromMemory); err != nil || content(t, o) != "new" {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestPurge(t *testing.T) {
	for _, disk := range []bool{false, true} {
		m := newMemo(t, func(o *Options) {
			if disk {
				o.Disk = DiskOptions{Dir: t.TempDir(), MinRun: 1}
			}
		})
		f, g, other := m.testFunction("a", "f"), m.testFunction("a", "g"), m.testFunction("b", "f")
		fill := func() {
			for _, function := range []*Function{f, g, other} {
				call := Call{Function: function, Inputs: items("x")}
				if _, err := m.Do(t.Context(), call, echo(call.Inputs, time.Second, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if disk {
				m.disk.settle(t)
			}
		}
		left := func() (names string) {
			for _, function := range []*Function{f, g, other} {
				if _, found, _ := m.Lookup(Call{Function: function, Inputs: items("x")}); found {
					names += function.scope.tenant + function.name + " "
				}
			}
			return names
		}
		for _, step := range []struct {
			purge func() error
			want  string
		}{
			{func() error { return nil }, "af ag bf "},
			{func() error { return m.Purge(t.Context(), "a", f.scope.code) }, "ag bf "},
			{func() error { return m.Purge(t.Context(), "a") }, "bf "},
			{func() error { return m.Purge(t.Context(), "b", f.scope.code, g.scope.code) }, "af ag "},
			{func() error { return m.Purge(t.Context(), "nobody") }, "af ag bf "},
		} {
			fill()
			if err := step.purge(); err != nil {
				t.Error(err)
			}
			if got := left(); got != step.want {
				t.Errorf("left is %q, want %q", got, step.want)
			}
		}
	}
}

// The table of purges is bounded: too many make everything old dead.
func TestPurgesAreBounded(t *testing.T) {
	m := newMemo(t)
	call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
	wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	for i := range maxCuts + 1 {
		if err := m.Purge(t.Context(), string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.cuts.table.Load().of); n > maxCuts {
		t.Errorf("the table has %d rows", n)
	}
	wantFrom(t, m, call, echo(call.Inputs, time.Second, 1), Computed)
	wantFrom(t, m, call, nil, FromMemory)
}

func TestVerify(t *testing.T) {
	for _, disk := range []bool{false, true} {
		m := newMemo(t, func(o *Options) {
			o.VerifyEvery = 3
			if disk {
				o.Disk = DiskOptions{Dir: t.TempDir(), MinRun: 1}
			}
		})
		call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
		wantFrom(t, m, call, echo(call.Inputs, time.Second, 5), Computed)
		if disk {
			m.disk.settle(t)
		}
		var hit Outcome
		sampled := 0
		for range 9 {
			o, _ := wantFrom(t, m, call, nil, FromMemory)
			if o.Verify {
				sampled++
				hit = o
			}
		}
		if sampled != 3 {
			t.Errorf("%d of 9 hits are to be verified", sampled)
		}
		result := func(content string, fuel int64) engine.Result {
			return engine.NewResult(outputs(content), engine.Usage{Run: time.Minute, Fuel: fuel, MemoryPages: 2}, 0, nil)
		}
		if d := m.Verified(call, hit, nil, result("x", 5), nil); d != nil {
			t.Errorf("equal results differ: %v", d)
		}
		if d := m.Verified(call, hit, nil, engine.Result{}, &engine.Fault{Kind: engine.FaultOverload}); d != nil {
			t.Errorf("overload differs: %v", d)
		}
		if s := m.Stats(); s.Verified != 1 || s.Differences != 0 {
			t.Errorf("figures are %+v", s)
		}
		wantFrom(t, m, call, nil, FromMemory)
		for what, other := range map[string]struct {
			r   engine.Result
			err error
		}{
			"content": {r: result("y", 5)}, "fuel": {r: result("x", 6)}, "a fault": {err: &engine.Fault{Kind: engine.FaultTrap}},
		} {
			d := m.Verified(call, hit, nil, other.r, other.err)
			if d == nil || d.Remembered == d.Computed || d.Key != call.Key() || d.Tenant != "default" || d.Function != "f" || !strings.Contains(d.Error(), d.Key.String()) {
				t.Errorf("another %s: %v", what, d)
			}
		}
		if _, found, _ := m.Lookup(call); found {
			t.Error("a result that was wrong is still remembered")
		}
		if s := m.Stats(); s.Verified != 4 || s.Differences != 3 {
			t.Errorf("figures are %+v", s)
		}
		// Faults are compared too, but for where they happened.
		fault := &engine.Fault{Kind: engine.FaultTrap, Detail: "a", Usage: engine.Usage{Fuel: 3}}
		moved := *fault
		moved.Application, moved.Err, moved.Usage.Run = "b", errors.New("c"), time.Second
		if d := m.Verified(call, hit, fault, engine.Result{}, &moved); d != nil {
			t.Errorf("equal faults differ: %v", d)
		}
		moved.Detail = "b"
		if d := m.Verified(call, hit, fault, engine.Result{}, &moved); d == nil {
			t.Error("different faults are equal")
		}
	}
}

// Figures are kept of the functions that were called last.
func TestFiguresByFunction(t *testing.T) {
	m := newMemo(t, func(o *Options) { o.Functions = 10 })
	for i := range 100 {
		f := m.testFunction("default", "f"+string(rune('A'+i)))
		call := Call{Function: f, Inputs: items("x")}
		wantFrom(t, m, call, echo(call.Inputs, time.Duration(i+1)*time.Second, 1), Computed)
		wantFrom(t, m, call, nil, FromMemory)
	}
	list := m.Functions()
	if len(list) == 0 || len(list) > 10 || list[0].Function != "f"+string(rune('A'+99)) || list[0].SavedTime != 100*time.Second || list[0].Hits != 1 || list[0].Misses != 1 {
		t.Errorf("figures are %+v", list)
	}
	if s := m.Stats(); s.Hits != 100 || s.Misses != 100 || s.Entries != 100 {
		t.Errorf("all together: %+v", s)
	}
	a, b := m.testFunction("default", "f"), m.testFunction("default", "f")
	if a != b || a == m.testFunction("other", "f") {
		t.Error("a function has two sets of figures, or two functions have one")
	}
}

// A large input that does not pay is not hashed, and the run is the caller's own.
func TestWhatDoesNotPayIsNotKeyed(t *testing.T) {
	m := newMemo(t)
	f := m.testFunction("default", "f")
	type value struct{}
	unkeyed := 0
	for i := range 50 {
		content := make([]byte, 1<<20)
		content[0] = byte(i)
		in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("", 0, content)}}}
		o, err := m.Do(context.WithValue(t.Context(), value{}, i), Call{Function: f, Inputs: in, Timeout: time.Minute}, func(ctx context.Context, s *Shared) (engine.Result, error) {
			s.Placed()
			if s.Timeout() != time.Minute || ctx.Value(value{}) != i {
				t.Error("the run has not what the caller gave")
			}
			return engine.NewResult(nil, engine.Usage{Run: time.Microsecond}, 0, nil), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !o.Keyed {
			unkeyed++
			if in[0].Items[0].Digested() || o.Stored {
				t.Error("it was hashed")
			}
		}
	}
	if unkeyed != 50-warmLarge {
		t.Errorf("%d of 50 calls had no key", unkeyed)
	}
	if s := m.Stats(); s.Unkeyed != uint64(unkeyed) {
		t.Errorf("figures are %+v", s)
	}
	in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("", 0, make([]byte, 1<<20))}}}
	if o, _ := wantFrom(t, m, Call{Function: f, Inputs: in, Keyed: true}, nil, FromMemory); !o.Keyed {
		t.Error("a key that was asked for is missing")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{}, {Memory: -1}, {Memory: 1 << 20, Disk: DiskOptions{Dir: t.TempDir(), Bytes: 100}},
		{Memory: 1 << 20, Disk: DiskOptions{Dir: t.TempDir(), Bytes: -1}}, {Memory: 1 << 20, Disk: DiskOptions{Dir: t.TempDir(), MaxAge: -1}},
	} {
		if m, err := New(o); err == nil {
			m.Close()
			t.Errorf("%+v was accepted", o)
		}
	}
}
