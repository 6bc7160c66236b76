package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pappus/data"
	"pappus/engine"
)

// Fixtures are functions built for the engine under test.
type Fixtures struct {
	// Echo copies every item of its first input set, with name, key and data,
	// to its first output set.
	Echo []byte
	// Spin never returns and calls nothing.
	Spin []byte
	// Grow takes more memory while it runs, in many steps, and ends well.
	Grow []byte
	// Recurse calls itself without end.
	Recurse []byte
	// Stack is the stack limit that Recurse runs under, for engines whose calls
	// can't nest as deep as Limits lets them; 0: that of Limits.
	Stack engine.Bytes
	// Trap does something that its machine forbids before it exits.
	Trap []byte
	// TrapAfterExit writes exit code 0 and then does something forbidden.
	TrapAfterExit []byte
	// Exit7 ends with exit code 7.
	Exit7 []byte
	// ExitUnset returns without setting an exit code.
	ExitUnset []byte
	// BadOutput leaves output structures that can't be read, each in its way.
	BadOutput map[string][]byte
	// Rejected is code that Prepare must refuse, each for its reason.
	Rejected map[string][]byte
}

// Limits are the limits under which the suite runs fixtures: generous in
// everything but time.
func Limits() engine.Limits {
	lim := engine.DefaultLimits()
	lim.Timeout = engine.Duration(time.Minute) // an interpreter under the race detector is slow
	lim.Memory = 16 << 20
	return lim
}

// Signature is the signature with which the suite prepares fixtures.
func Signature() engine.Signature {
	return engine.Signature{
		Inputs:  []engine.Param{{Name: "in", Type: engine.TypeSet}},
		Outputs: []engine.Param{{Name: "out", Type: engine.TypeSet}},
	}
}

// Run runs the suite. newEngine is called once per test and closes its engine
// by t.Cleanup.
func Run(t *testing.T, newEngine func(t *testing.T) engine.Engine, fx Fixtures) {
	s := suite{newEngine: newEngine, fx: fx}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"Echo", s.echo},
		{"MissingSetsAreEmpty", s.missingSets},
		{"UsageIsDeterministic", s.usage},
		{"Faults", s.faults},
		{"FuelLimitIsExact", s.fuelLimit},
		{"OutputLimits", s.outputLimits},
		{"InputsThatDoNotFit", s.inputsTooLarge},
		{"Deadline", s.deadline},
		{"Cancellation", s.cancellation},
		{"Scheduler", s.scheduler},
		{"MemoryIsAskedFor", s.memory},
		{"ItemCount", s.itemCount},
		{"BadOutput", s.badOutput},
		{"Rejected", s.rejected},
		{"ResultsOutliveClose", s.resultsOutliveClose},
		{"ContextsAreApart", s.contextsAreApart},
		{"PlacedInputs", s.placedInputs},
	} {
		t.Run(c.name, c.test)
	}
}

type suite struct {
	newEngine func(t *testing.T) engine.Engine
	fx        Fixtures
}

func (s *suite) prepare(t *testing.T, code []byte) engine.Program {
	t.Helper()
	p, err := s.newEngine(t).Prepare(t.Context(), code, Signature(), Limits())
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if p.Size() <= 0 {
		t.Errorf("size %d", p.Size())
	}
	return p
}

func input(items ...*data.Item) []data.Set { return []data.Set{{Name: "in", Items: items}} }

func item(name string, key uint32, content string) *data.Item {
	return data.NewItem(name, key, []byte(content))
}

func wantFault(t *testing.T, err error, kind engine.FaultKind) *engine.Fault {
	t.Helper()
	var f *engine.Fault
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("error %v, want fault %s", err, kind)
	}
	return f
}

func (s *suite) echo(t *testing.T) {
	p := s.prepare(t, s.fx.Echo)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for name, items := range map[string][]*data.Item{
		"none":  nil,
		"one":   {item("a", 0, "hello")},
		"many":  {item("a", 0, "x"), item("", 1, ""), item("naïve/漢", 1, "y"), item("z", 1<<32-1, "zz")},
		"large": {data.NewItem("large", 7, large)},
	} {
		in := input(items...)
		for range 3 { // the second call may find what the first left
			r, err := p.Run(t.Context(), in, Limits())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := []data.Set{{Name: "out", Items: items}}
			if !data.Equal(r.Outputs, want) {
				t.Fatalf("%s: outputs differ from inputs: %d items of %d bytes", name, data.Count(r.Outputs), data.Size(r.Outputs))
			}
			r.Release()
		}
	}
}

func (s *suite) missingSets(t *testing.T) {
	p := s.prepare(t, s.fx.Echo)
	r, err := p.Run(t.Context(), nil, Limits())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if len(r.Outputs) != 1 || r.Outputs[0].Name != "out" || len(r.Outputs[0].Items) != 0 {
		t.Errorf("outputs %v", r.Outputs)
	}
	if r, err := p.Run(t.Context(), []data.Set{{Name: "other"}}, Limits()); err == nil {
		r.Release()
		t.Error("an input set that is not declared was taken")
	}
}

func (s *suite) usage(t *testing.T) {
	in := input(item("a", 3, "some content"), item("b", 4, "and more"))
	var first engine.Usage
	for round := range 2 { // another engine, another program
		p := s.prepare(t, s.fx.Echo)
		for i := range 3 {
			r, err := p.Run(t.Context(), in, Limits())
			if err != nil {
				t.Fatal(err)
			}
			u := r.Usage
			r.Release()
			if u.Fuel <= 0 || u.MemoryPages <= 0 || u.Run < 0 {
				t.Fatalf("usage %+v", u)
			}
			if round == 0 && i == 0 {
				first = u
			}
			if u.Fuel != first.Fuel || u.MemoryPages != first.MemoryPages {
				t.Fatalf("usage %+v, first it was %+v", u, first)
			}
		}
	}
}

func (s *suite) faults(t *testing.T) {
	for _, c := range []struct {
		name string
		code []byte
		kind engine.FaultKind
		exit int32
	}{
		{"trap", s.fx.Trap, engine.FaultTrap, 0},
		{"trap after an exit code", s.fx.TrapAfterExit, engine.FaultTrap, 0},
		{"exit code 7", s.fx.Exit7, engine.FaultExit, 7},
		{"exit code unset", s.fx.ExitUnset, engine.FaultExit, -1},
		{"recursion", s.fx.Recurse, engine.FaultOutOfStack, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.prepare(t, c.code)
			lim := Limits()
			if c.kind == engine.FaultOutOfStack && s.fx.Stack > 0 {
				lim.Stack = s.fx.Stack
			}
			var fuel int64
			for i := range 3 {
				_, err := p.Run(t.Context(), nil, lim)
				f := wantFault(t, err, c.kind)
				if f.ExitCode != c.exit {
					t.Errorf("exit code %d, want %d", f.ExitCode, c.exit)
				}
				if i > 0 && f.Usage.Fuel != fuel {
					t.Errorf("fuel %d, first it was %d", f.Usage.Fuel, fuel)
				}
				fuel = f.Usage.Fuel
			}
		})
	}
}

// A success that used u is right for every limit from u up, and out of fuel
// for every one below.
func (s *suite) fuelLimit(t *testing.T) {
	p := s.prepare(t, s.fx.Echo)
	in := input(item("a", 0, "content"))
	run := func(fuel int64) (engine.Usage, error) {
		lim := Limits()
		lim.Fuel = fuel
		r, err := p.Run(t.Context(), in, lim)
		u := r.Usage
		r.Release()
		return u, err
	}
	free, err := run(0)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := run(free.Fuel); err != nil || u.Fuel != free.Fuel {
		t.Errorf("with just the fuel that it needs: %+v, %v", u, err)
	}
	for _, less := range []int64{1, free.Fuel / 2, free.Fuel - 1} {
		if less < 1 {
			continue
		}
		_, err := run(less)
		if f := wantFault(t, err, engine.FaultOutOfFuel); f.Usage.Fuel <= less {
			t.Errorf("out of fuel at %d of %d", f.Usage.Fuel, less)
		}
	}
	lim := Limits()
	lim.Fuel = 1_000_000 // several slices; more takes an interpreter under the race detector long
	spin := s.prepare(t, s.fx.Spin)
	_, err = spin.Run(t.Context(), nil, lim)
	first := wantFault(t, err, engine.FaultOutOfFuel)
	_, err = spin.Run(t.Context(), nil, lim)
	if again := wantFault(t, err, engine.FaultOutOfFuel); again.Usage.Fuel != first.Usage.Fuel {
		t.Errorf("an endless loop ended at %d, then at %d", first.Usage.Fuel, again.Usage.Fuel)
	}
}

func (s *suite) outputLimits(t *testing.T) {
	p := s.prepare(t, s.fx.Echo)
	in := input(item("a", 0, "12345"), item("b", 0, "67890"))
	at := Limits()
	at.Items, at.Output = 2, 12 // names count
	r, err := p.Run(t.Context(), in, at)
	if err != nil {
		t.Fatalf("at the limits: %v", err)
	}
	r.Release()
	past := at
	past.Items = 1
	_, err = p.Run(t.Context(), in, past)
	wantFault(t, err, engine.FaultOutputTooLarge)
	past = at
	past.Output = 11
	_, err = p.Run(t.Context(), in, past)
	wantFault(t, err, engine.FaultOutputTooLarge)
}

func (s *suite) inputsTooLarge(t *testing.T) {
	p := s.prepare(t, s.fx.Echo)
	lim := Limits()
	_, err := p.Run(t.Context(), input(data.NewItem("a", 0, make([]byte, lim.Memory+1))), lim)
	if f := wantFault(t, err, engine.FaultOutOfMemory); f.Detail == "" {
		t.Error("the fault does not say how much there was and how much it takes")
	}
}

func (s *suite) deadline(t *testing.T) {
	p := s.prepare(t, s.fx.Spin)
	lim := Limits()
	lim.Timeout = engine.Duration(30 * time.Millisecond)
	_, err := p.Run(t.Context(), nil, lim)
	if f := wantFault(t, err, engine.FaultDeadline); f.Usage.Run < time.Duration(lim.Timeout) {
		t.Errorf("it ended after %s of %s", f.Usage.Run, lim.Timeout)
	}
	// The caller's own deadline passes while it runs, not before on a slow machine.
	ctx := &overdue{Context: t.Context()}
	_, err = p.Run(engine.WithScheduler(ctx, yieldFunc(func() error { ctx.passed.Store(true); return nil })), nil, Limits())
	if f := wantFault(t, err, engine.FaultDeadline); !errors.Is(f, context.DeadlineExceeded) {
		t.Errorf("the fault is %v", f)
	}
}

// overdue is a context whose deadline passes when it is told.
type overdue struct {
	context.Context
	passed atomic.Bool
}

func (o *overdue) Err() error {
	if o.passed.Load() {
		return context.DeadlineExceeded
	}
	return o.Context.Err()
}

func (s *suite) cancellation(t *testing.T) {
	p := s.prepare(t, s.fx.Spin)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := p.Run(engine.WithScheduler(ctx, yieldFunc(func() error { cancel(); return nil })), nil, Limits())
		done <- err
	}()
	wantFault(t, <-done, engine.FaultCanceled)
	_, err := p.Run(ctx, nil, Limits())
	wantFault(t, err, engine.FaultCanceled)
}

// growFunc is a scheduler that is asked for memory.
type growFunc func(bytes int64) error

func (growFunc) Yield(context.Context, time.Time) (time.Duration, error) { return 0, nil }

func (f growFunc) Grow(_ context.Context, bytes int64, _ time.Time) (time.Duration, error) {
	return time.Millisecond, f(bytes)
}

// memory checks that no run has more memory than it has asked for, and that one
// which gets none ends without a trace.
func (s *suite) memory(t *testing.T) {
	lim := Limits()
	lim.Memory = 2 << 20
	for name, code := range map[string][]byte{"echo": s.fx.Echo, "grow": s.fx.Grow} {
		p := s.prepare(t, code)
		in := input(item("a", 1, "hello"))
		var asked []int64
		run := func(refuse int, with error) (engine.Result, error) {
			asked = nil
			return p.Run(engine.WithScheduler(t.Context(), growFunc(func(bytes int64) error {
				if asked = append(asked, bytes); len(asked) == refuse {
					return with
				}
				return nil
			})), in, lim)
		}
		want, err := run(0, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.IsSorted(asked) || len(asked) == 0 || asked[len(asked)-1] < want.Usage.MemoryPages*engine.PageSize || asked[len(asked)-1] > int64(lim.Memory) {
			t.Errorf("%s used %d pages and asked for %d", name, want.Usage.MemoryPages, asked)
		}
		if steps := len(asked); name == "grow" && steps < 3 {
			t.Errorf("it asked %d times", steps)
		}
		for refuse := range len(asked) {
			if _, err := run(refuse+1, fmt.Errorf("no memory: %w", engine.ErrDropped)); !errors.Is(err, engine.ErrDropped) || engine.KindOf(err) != "" {
				t.Errorf("%s, dropped at request %d: %v", name, refuse, err)
			}
			if _, err := run(refuse+1, &engine.Fault{Kind: engine.FaultLimitBytes}); engine.KindOf(err) != engine.FaultLimitBytes {
				t.Errorf("%s, with a fault in request %d: %v", name, refuse, err)
			}
			if _, err := run(refuse+1, context.DeadlineExceeded); engine.KindOf(err) != engine.FaultDeadline {
				t.Errorf("%s, at its deadline in request %d: %v", name, refuse, err)
			}
			if _, err := run(refuse+1, context.Canceled); engine.KindOf(err) != engine.FaultCanceled {
				t.Errorf("%s, cancelled in request %d: %v", name, refuse, err)
			}
			got, err := run(0, nil)
			if err != nil || !data.Equal(got.Outputs, want.Outputs) || got.Usage.Fuel != want.Usage.Fuel || got.Usage.MemoryPages != want.Usage.MemoryPages {
				t.Errorf("%s again: %+v, %v; the first time %+v", name, got.Usage, err, want.Usage)
			}
			got.Release()
		}
		want.Release()
	}
}

type yieldFunc func() error

func (yieldFunc) Grow(context.Context, int64, time.Time) (time.Duration, error) { return 0, nil }

func (f yieldFunc) Yield(context.Context, time.Time) (time.Duration, error) {
	return time.Millisecond, f()
}

func (s *suite) scheduler(t *testing.T) {
	p := s.prepare(t, s.fx.Spin)
	for _, c := range []struct {
		err  error
		kind engine.FaultKind
	}{
		{context.DeadlineExceeded, engine.FaultDeadline},
		{errors.New("going away"), engine.FaultCanceled},
	} {
		yields := 0
		ctx := engine.WithScheduler(t.Context(), yieldFunc(func() error {
			if yields++; yields == 5 {
				return c.err
			}
			return nil
		}))
		_, err := p.Run(ctx, nil, Limits())
		if f := wantFault(t, err, c.kind); f.Usage.Parked != 5*time.Millisecond {
			t.Errorf("parked for %s", f.Usage.Parked)
		}
		if yields != 5 {
			t.Errorf("%d yields", yields)
		}
	}
}

// A set that is declared as one item holds one, coming and going.
func (s *suite) itemCount(t *testing.T) {
	one := []engine.Param{{Name: "in", Type: engine.TypeItem}}
	e := s.newEngine(t)
	for _, c := range []struct {
		name string
		sig  engine.Signature
		n    int
		side string // "" when the call succeeds
	}{
		{"one", engine.Signature{Inputs: one, Outputs: Signature().Outputs}, 1, ""},
		{"none", engine.Signature{Inputs: one, Outputs: Signature().Outputs}, 0, "input"},
		{"two", engine.Signature{Inputs: one, Outputs: Signature().Outputs}, 2, "input"},
		{"one left", engine.Signature{Inputs: Signature().Inputs, Outputs: []engine.Param{{Name: "out", Type: engine.TypeItem}}}, 1, ""},
		{"none left", engine.Signature{Inputs: Signature().Inputs, Outputs: []engine.Param{{Name: "out", Type: engine.TypeItem}}}, 0, "output"},
		{"two left", engine.Signature{Inputs: Signature().Inputs, Outputs: []engine.Param{{Name: "out", Type: engine.TypeItem}}}, 2, "output"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := e.Prepare(t.Context(), s.fx.Echo, c.sig, Limits())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			in := []data.Set{{Name: "in"}}
			for range c.n {
				in[0].Items = append(in[0].Items, item("a", 0, "x"))
			}
			r, err := p.Run(t.Context(), in, Limits())
			if c.side == "" {
				if err != nil {
					t.Fatal(err)
				}
				r.Release()
				return
			}
			if f := wantFault(t, err, engine.FaultItemCount); !strings.HasPrefix(f.Detail, c.side) {
				t.Errorf("the fault is of another side: %s", f.Detail)
			}
		})
	}
}

func (s *suite) badOutput(t *testing.T) {
	for name, code := range s.fx.BadOutput {
		t.Run(name, func(t *testing.T) {
			p := s.prepare(t, code)
			_, err := p.Run(t.Context(), nil, Limits())
			var f *engine.Fault
			if !errors.As(err, &f) || f.Kind != engine.FaultBadOutput && f.Kind != engine.FaultOutputTooLarge {
				t.Fatalf("error %v, want bad-output or output-too-large", err)
			}
			if f.Detail == "" {
				t.Error("the fault does not say what is wrong")
			}
		})
	}
}

func (s *suite) rejected(t *testing.T) {
	e := s.newEngine(t)
	for name, code := range s.fx.Rejected {
		p, err := e.Prepare(t.Context(), code, Signature(), Limits())
		var r *engine.RejectedError
		if !errors.As(err, &r) {
			t.Errorf("%s: Prepare returned %v", name, err)
			if err == nil {
				_ = p.Close()
			}
			continue
		}
		if r.Reason == "" || r.Hint == "" {
			t.Errorf("%s: reason %q, hint %q", name, r.Reason, r.Hint)
		}
		// What can be seen without compiling is seen in the same way.
		if _, err := e.Inspect(code); err != nil && !errors.As(err, &r) {
			t.Errorf("%s: Inspect returned %v", name, err)
		}
	}
}

func (s *suite) resultsOutliveClose(t *testing.T) {
	e := s.newEngine(t)
	p, err := e.Prepare(t.Context(), s.fx.Echo, Signature(), Limits())
	if err != nil {
		t.Fatal(err)
	}
	in := input(item("a", 0, "kept"))
	held, err := p.Run(t.Context(), in, Limits())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), in, Limits()); err == nil {
		t.Error("a closed program ran")
	}
	held.Detach()
	if got := string(held.Outputs[0].Items[0].Bytes()); got != "kept" {
		t.Errorf("output %q", got)
	}
}

// Many calls at once see their own inputs and nothing else.
func (s *suite) contextsAreApart(t *testing.T) {
	p := s.prepare(t, s.fx.Echo)
	var wg sync.WaitGroup
	var failed atomic.Bool
	for g := range 16 {
		wg.Go(func() {
			for i := range 50 {
				in := input(item(fmt.Sprintf("%d-%d", g, i), uint32(g), string(bytes.Repeat([]byte{byte(g)}, 1+i*97))))
				r, err := p.Run(t.Context(), in, Limits())
				if err != nil {
					t.Error(err)
					failed.Store(true)
				} else if !data.Equal(r.Outputs, []data.Set{{Name: "out", Items: in[0].Items}}) {
					t.Errorf("goroutine %d, call %d: wrong outputs", g, i)
					failed.Store(true)
				}
				r.Release()
				if failed.Load() {
					return
				}
			}
		})
	}
	wg.Wait()
}
