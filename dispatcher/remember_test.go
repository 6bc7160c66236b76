package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/dispatcher/memo"
	"pappus/dispatcher/shard"
	"pappus/engine"
	"pappus/registry"
)

// remembers gives a dispatcher a memo, which is closed after it.
func remembers(t testing.TB, o memo.Options) func(*Config) {
	t.Helper()
	if o.Memory == 0 {
		o.Memory = 8 << 20
	}
	o.Log = slog.New(slog.DiscardHandler)
	m, err := memo.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return func(c *Config) { c.Memo = m }
}

// newRemembering is a dispatcher with a memo, and a function that says what it got
// and counts how often it ran. It takes long enough to be worth remembering.
func newRemembering(t testing.TB, run func(ctx context.Context, in []data.Set) error) (*bench, *atomic.Int64) {
	b := newBench(t, remembers(t, memo.Options{}))
	ran := new(atomic.Int64)
	b.engine.run = func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
		ran.Add(1)
		got := fmt.Appendf(nil, "%v %v", data.Size(in), lim.Output)
		engine.Placed(ctx)
		if run != nil {
			if err := run(ctx, in); err != nil {
				return engine.Result{}, err
			}
		}
		out := data.Set{Name: "output", Items: []*data.Item{data.NewItem("got", 0, got)}}
		return engine.NewResult([]data.Set{out}, engine.Usage{Fuel: 7, MemoryPages: 1, Run: 2 * time.Millisecond}, 0, nil), nil
	}
	return b, ran
}

func TestReuse(t *testing.T) {
	b, ran := newRemembering(t, nil)
	defer b.finish(t)
	v := b.publish(t, "", nil)
	off := b.publish(t, "off", func(p *Publication) { p.Memo = engine.MemoOff })
	for _, c := range []struct {
		what   string
		inv    Invocation
		source memo.Source
		stored bool
		runs   int64
		fault  engine.FaultKind
	}{
		{"not there yet", Invocation{Target: v, Inputs: []data.Set{set("a", "x")}, Reuse: ReuseOnly}, "", false, 0, engine.FaultNotCached},
		{"the first", Invocation{Target: v, Inputs: []data.Set{set("a", "x")}}, memo.Computed, true, 1, ""},
		{"again", Invocation{Target: v, Inputs: []data.Set{set("a", "x")}}, memo.FromMemory, false, 0, ""},
		{"only if it is there", Invocation{Target: v, Inputs: []data.Set{set("a", "x")}, Reuse: ReuseOnly}, memo.FromMemory, false, 0, ""},
		{"anew", Invocation{Target: v, Inputs: []data.Set{set("a", "x")}, Reuse: ReuseFresh}, memo.Computed, true, 1, ""},
		{"not to be remembered", Invocation{Target: v, Inputs: []data.Set{set("a", "y")}, Reuse: ReuseNone}, "", false, 1, ""},
		{"was not remembered", Invocation{Target: v, Inputs: []data.Set{set("a", "y")}}, memo.Computed, true, 1, ""},
		{"another name", Invocation{Target: v, Inputs: []data.Set{set("b", "x")}}, memo.Computed, true, 1, ""},
		{"off", Invocation{Target: off, Inputs: []data.Set{set("a", "x")}}, "", false, 1, ""},
		{"off again", Invocation{Target: off, Inputs: []data.Set{set("a", "x")}}, "", false, 1, ""},
		{"off, only if it is there", Invocation{Target: off, Inputs: []data.Set{set("a", "x")}, Reuse: ReuseOnly}, "", false, 0, engine.FaultNotCached},
	} {
		before := ran.Load()
		c.inv.Tenant = "default"
		a, err := b.Invoke(t.Context(), c.inv)
		if engine.KindOf(err) != c.fault {
			t.Fatalf("%s: %v", c.what, err)
		}
		if runs := ran.Load() - before; runs != c.runs {
			t.Errorf("%s: ran %d times", c.what, runs)
		}
		if err != nil {
			continue
		}
		if a.From.Source != c.source || a.From.Stored != c.stored || a.Usage.Fuel != 7 || string(a.Outputs[0].Items[0].Bytes()) == "" {
			t.Errorf("%s: %+v, %+v", c.what, a.From, a.Usage)
		}
		a.Release()
	}
	if err := b.PurgeMemo(t.Context(), "default", v.Name); err != nil {
		t.Fatal(err)
	}
	a, err := b.call(t.Context(), v, set("a", "x"))
	if err != nil || a.From.Source != memo.Computed {
		t.Errorf("after a purge: %+v, %v", a, err)
	}
	a.Release()
}

// Equal calls at once run once, whoever of the callers leaves.
func TestEqualCallsRunOnce(t *testing.T) {
	gate := make(chan struct{})
	b, ran := newRemembering(t, func(ctx context.Context, _ []data.Set) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return &engine.Fault{Kind: engine.FaultCanceled, Err: ctx.Err()}
		}
	})
	defer b.finish(t)
	v := b.publish(t, "", nil)
	leader, leave := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	calls.Go(func() {
		if _, err := b.call(leader, v, set("a", "x")); engine.KindOf(err) != engine.FaultCanceled {
			t.Errorf("who left: %v", err)
		}
	})
	for ran.Load() == 0 {
		pass(time.Millisecond)
	}
	var sources sync.Map
	for range 300 {
		calls.Go(func() {
			a, err := b.call(t.Context(), v, set("a", "x"))
			if err != nil {
				t.Error(err)
				return
			}
			n, _ := sources.LoadOrStore(a.From.Source, new(atomic.Int64))
			n.(*atomic.Int64).Add(1) //nolint:errcheck // nothing else is stored
			a.Release()
		})
	}
	for b.Calls() < 301 {
		pass(time.Millisecond)
	}
	leave() // the inputs have been placed: the run goes on without it
	pass(10 * time.Millisecond)
	close(gate)
	calls.Wait()
	if n := ran.Load(); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

// A shared run that has to begin again does so with inputs that are there.
func TestSharedRunsBeginAgain(t *testing.T) {
	var deep atomic.Bool
	b := newBench(t, remembers(t, memo.Options{}))
	defer b.finish(t)
	b.engine.run = func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
		got := clones(in[0].Items)
		engine.Placed(ctx)
		if lim.Stack < 1<<20 && deep.Load() {
			return engine.Result{}, &engine.Fault{Kind: engine.FaultOutOfStack}
		}
		return engine.NewResult([]data.Set{{Name: "output", Items: got}}, engine.Usage{Run: time.Second}, 0, nil), nil
	}
	deep.Store(true)
	v := b.publish(t, "", nil)
	for range 3 {
		a, err := b.call(t.Context(), v, set("a", "x"))
		if err != nil || texts(a.Outputs[0]) != "x" {
			t.Fatal(a, err)
		}
		a.Release()
	}
}

// Who makes a call may leave, and have its memory back, when the engine has placed all
// of the inputs, and no sooner: not because there are no contents to be copied, nor
// because an attempt before had placed them.
func TestInputsAreThereUntilTheyArePlaced(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		again bool // the first attempt needs more of the stack
	}{
		"no contents":       {"", false},
		"contents":          {"first", false},
		"begun again":       {"first", true},
		"begun again, none": {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			reading, goOn := make(chan struct{}), make(chan struct{})
			begin := sync.OnceFunc(func() { close(reading) }) // another may begin it with inputs of its own
			b := newBench(t, remembers(t, memo.Options{}))
			defer b.finish(t)
			b.engine.run = func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
				if c.again && lim.Stack == shallowStack {
					engine.Placed(ctx)
					return engine.Result{}, &engine.Fault{Kind: engine.FaultOutOfStack}
				}
				begin()
				<-goOn
				got := cloned(in)
				engine.Placed(ctx)
				return engine.NewResult([]data.Set{{Name: "output", Items: got[0].Items}}, engine.Usage{Run: 2 * time.Millisecond}, 0, nil), nil
			}
			v := b.publish(t, "", nil)
			content := []byte(c.text)
			inputs := data.Set{Name: "a", Items: []*data.Item{data.NewItem("", 0, content)}}
			first, leave := context.WithCancel(t.Context())
			defer leave()
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				if a, err := b.call(first, v, inputs); err == nil {
					a.Release()
				} else if engine.KindOf(err) != engine.FaultCanceled {
					t.Error(err)
				}
				inputs.Items[0] = data.NewItem("", 0, []byte("another caller's")) // its memory is another's now
				for i := range content {
					content[i] = 'X'
				}
			}()
			<-reading
			answers := make(chan string, 2)
			ask := func() {
				a, err := b.call(t.Context(), v, set("a", c.text))
				if err != nil {
					answers <- err.Error()
					return
				}
				answers <- texts(a.Outputs[0])
				a.Release()
			}
			go ask()
			for b.Calls() < 2 {
				pass(time.Millisecond)
			}
			pass(10 * time.Millisecond) // it has joined by now
			leave()
			select {
			case <-gone:
				t.Error("its memory was given back while it was read")
			case <-time.After(20 * time.Millisecond):
			}
			close(goOn)
			<-gone
			ask()
			for range 2 {
				if got := <-answers; got != c.text {
					t.Errorf("another caller got %q", got)
				}
			}
		})
	}
}

// Of a composition whose inputs changed in one place, what depends on that is
// computed again, and nothing else.
func TestOneChangedInput(t *testing.T) {
	var ran atomic.Int64
	b := newRunBench(t, remembers(t, memo.Options{}), func(run runFunc) runFunc {
		return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
			ran.Add(1)
			r, err := run(ctx, in, lim)
			r.Usage.Run = 2 * time.Millisecond
			return r, err
		}
	})
	defer b.finish(t)
	graph := chain(1, b.unary(), shard.Each, b.references)
	items := some(100)
	do := func() (n int64) {
		before := ran.Load()
		r, _, err := b.runToEnd(t.Context(), Invocation{Tenant: "default", Inputs: []data.Set{{Name: "s0", Items: items}}}, newBound(graph, b.callees))
		if err != nil {
			t.Fatal(err)
		}
		r.release()
		return ran.Load() - before
	}
	for i := range items {
		items[i] = data.NewItem(fmt.Sprint(i), 0, fmt.Append(nil, i))
	}
	if n := do(); n != 100 {
		t.Errorf("at first %d instances ran", n)
	}
	if n := do(); n != 0 {
		t.Errorf("%d of them ran again", n)
	}
	items[42] = data.NewItem("42", 0, []byte("another"))
	if n := do(); n != 1 {
		t.Errorf("with one changed input %d ran", n)
	}
}

// Whatever is remembered, and however little room there is for it, runs give what
// they mean: also with a memo that was there before, and one that is verified.
func TestRunsAreWhatTheyMeanRemembered(t *testing.T) {
	dir := t.TempDir()
	slow := func(run runFunc) runFunc { // it says so, at least
		return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
			r, err := run(ctx, in, lim)
			r.Usage.Run = 20 * time.Millisecond
			return r, err
		}
	}
	for _, c := range []struct {
		name    string
		options memo.Options
	}{
		{"remembered", memo.Options{}},
		{"little room", memo.Options{Memory: 64 << 10}},
		{"verified", memo.Options{VerifyEvery: 3}},
		{"on disk", memo.Options{Memory: 64 << 10, Disk: memo.DiskOptions{Dir: dir}}},
		{"on disk, started again", memo.Options{Memory: 64 << 10, Disk: memo.DiskOptions{Dir: dir}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newRunBench(t, func(config *Config) { remembers(t, c.options)(config); config.Workers = 3 }, slow)
			rapid.Check(t, func(t *rapid.T) {
				drawn := b.draw(t)
				for range 2 {
					b.runs(t, drawn)
					// A purge of nobody waits for the disk, which may be slower than the runs.
					if err := b.remembering.memo.Purge(context.Background(), "nobody"); err != nil {
						t.Fatal(err)
					}
				}
			})
			b.finish(t)
			stats := b.remembering.memo.Stats()
			t.Logf("%d hits in memory, %d on disk, %d computed, %d verified", stats.Hits, stats.DiskHits, stats.Misses, stats.Verified)
			if stats.Hits == 0 || stats.Differences > 0 || c.options.Disk.Dir != "" && stats.DiskHits == 0 {
				t.Errorf("%+v", stats)
			}
		})
	}
}

// A pure composition is remembered as a whole, until what its names mean changes.
func TestCompositionsAreRemembered(t *testing.T) {
	b := newComposer(t, func(c *Config) {
		withIO(t, fakeIO{name: "HTTP", call: echoing})(c)
		remembers(t, memo.Options{})(c)
	})
	defer b.finish(t)
	v := b.compose(t, "Shout", shout)
	source := func(inv Invocation) memo.Source {
		t.Helper()
		inv.Tenant = "default"
		a, err := b.Invoke(t.Context(), inv)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
		return a.From.Source
	}
	call := Invocation{Target: v, Inputs: []data.Set{set("text", "to be or")}, Keyed: true}
	if s := source(call); s != memo.Computed {
		t.Errorf("at first from %s", s)
	}
	if s := source(call); s != memo.FromMemory {
		t.Errorf("then from %s", s)
	}
	other := call
	other.Parallelism = 3
	if s := source(other); s != memo.Computed {
		t.Errorf("with another parallelism from %s", s)
	}
	traced := call
	traced.Trace = true
	if s := source(traced); s != "" {
		t.Errorf("a run that is recorded comes from %s", s)
	}
	b.publish(t, "Join2", func(p *Publication) {
		p.Name, p.HasSignature = "Join", true
		p.Inputs, p.Outputs = []engine.Param{{Name: "in", Type: engine.TypeSet}}, []engine.Param{{Name: "out", Type: engine.TypeSet}}
	})
	if s := source(call); s != memo.Computed {
		t.Errorf("after a function has changed from %s", s)
	}
	impure := b.compose(t, "Ask", ask)
	for range 2 {
		if s := source(Invocation{Target: impure, Inputs: []data.Set{set("text", "to be")}, Keyed: true}); s != "" {
			t.Errorf("what calls an I/O function comes from %s", s)
		}
	}
	_, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: impure, Inputs: []data.Set{set("text", "to be")}, Reuse: ReuseOnly})
	if engine.KindOf(err) != engine.FaultNotCached {
		t.Errorf("%v", err)
	}
}

// Verification finds a result that is not what the function computes.
func TestVerification(t *testing.T) {
	var changed atomic.Bool
	b := newBench(t, remembers(t, memo.Options{VerifyEvery: 1}))
	b.engine.run = func(context.Context, []data.Set, engine.Limits) (engine.Result, error) {
		text := "right"
		if changed.Load() {
			text = "otherwise"
		}
		return engine.NewResult([]data.Set{{Name: "output", Items: []*data.Item{data.NewItem("", 0, []byte(text))}}}, engine.Usage{Run: time.Second}, 0, nil), nil
	}
	v := b.publish(t, "", nil)
	ask := func() string {
		a, err := b.call(t.Context(), v, set("a", "x"))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
		return texts(a.Outputs[0])
	}
	if first, second := ask(), ask(); first != "right" || second != "right" {
		t.Errorf("%s, %s", first, second)
	}
	changed.Store(true) // it is not pure, or memory was damaged
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ask() == "right" {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Fatal("nobody has noticed")
		}
		pass(time.Millisecond)
	}
	b.finish(t)
	if s := b.remembering.memo.Stats(); s.Differences == 0 || s.Verified < s.Differences {
		t.Errorf("%+v", s)
	}
}

// What a caller says of reuse is meant for all instances of a run, and what is not
// to be remembered is not remembered with a composition either.
func TestReuseReachesInstances(t *testing.T) {
	b := newComposer(t, remembers(t, memo.Options{}))
	defer b.finish(t)
	v := b.compose(t, "Shout", shout)
	call := func(v *registry.Version, reuse Reuse, text string) memo.Source {
		t.Helper()
		a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Inputs: []data.Set{set("text", text)}, Reuse: reuse, Keyed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
		return a.From.Source
	}
	if s := call(v, ReuseNone, "to be"); s != "" {
		t.Errorf("with no reuse from %s", s)
	}
	if stats := b.remembering.memo.Stats(); stats.Entries != 0 || stats.Hits+stats.Misses+stats.Unkeyed > 0 {
		t.Errorf("with no reuse the memo was asked: %+v", stats)
	}
	call(v, ReuseFresh, "to be")
	call(v, ReuseFresh, "to be")
	if stats := b.remembering.memo.Stats(); stats.Hits > 0 || stats.Entries == 0 {
		t.Errorf("computed anew, from what was remembered: %+v", stats)
	}
	b.publish(t, "Upper", func(p *Publication) {
		p.Name, p.HasSignature, p.Memo = "Upper", true, engine.MemoOff
		p.Inputs, p.Outputs = []engine.Param{{Name: "in", Type: engine.TypeSet}}, []engine.Param{{Name: "out", Type: engine.TypeSet}}
	})
	for range 2 {
		if s := call(v, ReuseAuto, "or not"); s != "" {
			t.Errorf("with a function that is not remembered from %s", s)
		}
	}
}

// The failure of a call whose inputs are given back while they are copied is not
// taken for that of a call without inputs.
func TestInputsThatAreGone(t *testing.T) {
	b, _ := newRemembering(t, func(_ context.Context, in []data.Set) error {
		if len(in) > 0 {
			return &engine.Fault{Kind: engine.FaultTrap, Usage: engine.Usage{Run: time.Second}}
		}
		return nil
	})
	defer b.finish(t)
	v := b.publish(t, "", nil)
	for i := range 5 {
		in := []data.Set{{Name: "a", Items: []*data.Item{data.NewItem(fmt.Sprint(i), 0, make([]byte, 2<<20))}}}
		if _, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Inputs: in, Copied: func([]byte) {}}); engine.KindOf(err) != engine.FaultTrap {
			t.Fatal(err)
		}
	}
	a, err := b.call(t.Context(), v)
	if err != nil {
		t.Fatalf("without inputs: %v", err)
	}
	a.Release()
}

// Callers of a composition, and of a function without inputs, go on when the one
// leaves who was first.
func TestTheFirstCallerMayLeave(t *testing.T) {
	for _, name := range []string{"function", "composition"} {
		t.Run(name, func(t *testing.T) {
			gate := make(chan struct{})
			b, ran := newRemembering(t, func(ctx context.Context, _ []data.Set) error {
				select {
				case <-gate:
					return nil
				case <-ctx.Done():
					return &engine.Fault{Kind: engine.FaultCanceled, Err: ctx.Err()}
				}
			})
			defer b.finish(t)
			v := b.publish(t, "f", func(p *Publication) {
				p.HasSignature, p.Inputs, p.Outputs = true, []engine.Param{{Name: "in", Type: engine.TypeSet}}, []engine.Param{{Name: "output", Type: engine.TypeSet}}
			})
			inputs := []data.Set{{Name: "in"}}
			if name == "composition" {
				v = b.compose(t, "c", `function ff(in) => (output);
					composition c(in) => (output) { ff(in = all in) => (output = output); }`)
				inputs = []data.Set{set("in", "x")}
			}
			first, leave := context.WithCancel(t.Context())
			var calls sync.WaitGroup
			calls.Go(func() {
				if _, err := b.call(first, v, inputs...); engine.KindOf(err) != engine.FaultCanceled {
					t.Errorf("who left: %v", err)
				}
			})
			for ran.Load() == 0 {
				pass(time.Millisecond)
			}
			calls.Go(func() {
				a, err := b.call(t.Context(), v, inputs...)
				if err != nil {
					t.Error(err)
					return
				}
				a.Release()
			})
			for b.Calls() < 2 {
				pass(time.Millisecond)
			}
			pass(10 * time.Millisecond) // it has joined by now
			leave()
			pass(10 * time.Millisecond)
			close(gate)
			calls.Wait()
			if n := ran.Load(); n != 1 {
				t.Errorf("it ran %d times", n)
			}
		})
	}
}

// Answers that nobody reads do not let what is remembered take more memory than
// there is.
func TestRememberedAnswersNeedRoom(t *testing.T) {
	b := newBench(t, func(c *Config) {
		remembers(t, memo.Options{Memory: 64 << 20})(c)
		c.MemoryBudget = 8 << 20
	})
	defer b.finish(t)
	b.engine.run = func(ctx context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
		if _, err := engine.SchedulerOf(ctx).Grow(ctx, 1<<20, time.Now().Add(time.Minute)); err != nil {
			return engine.Result{}, err
		}
		return engine.NewResult([]data.Set{{Name: "output", Items: []*data.Item{data.NewItem("", 0, make([]byte, 1<<20))}}}, engine.Usage{Run: time.Second, MemoryPages: 16}, 1<<20, func() {}), nil
	}
	v := b.publish(t, "", nil)
	var answers []*Answer
	hits, full := 0, 0
	// The first calls may take long on a slow machine: what counts is what comes after a hit.
	for begun := time.Now(); full < 10 && len(answers) < 20 && time.Since(begun) < time.Minute; {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		a, err := b.call(ctx, v, set("a", "x"))
		cancel()
		if c := b.permits.counts(); c.memory > c.limit+2<<20 { // the copy of a result, beside its context, for a moment
			t.Fatalf("%d of %d bytes are charged", c.memory, c.limit)
		}
		if err != nil {
			if engine.KindOf(err) != engine.FaultDeadline && engine.KindOf(err) != engine.FaultOverload {
				t.Fatal(err)
			}
			if hits > 0 {
				full++
			}
			continue
		}
		if a.From.Source.Hit() {
			hits++
		}
		answers = append(answers, a)
	}
	if hits == 0 || len(answers) == 20 {
		t.Errorf("%d hits, %d answers", hits, len(answers))
	}
	for _, a := range answers {
		a.Release()
	}
}

// What is answered only if it is remembered takes no memory that is not there,
// however many ask for it at once.
func TestOnlyWhatIsRememberedNeedsRoom(t *testing.T) {
	b := newBench(t, func(c *Config) {
		remembers(t, memo.Options{Memory: 64 << 20})(c)
		c.MemoryBudget = 8 << 20
	})
	defer b.finish(t)
	b.engine.run = func(context.Context, []data.Set, engine.Limits) (engine.Result, error) {
		return engine.NewResult([]data.Set{{Name: "output", Items: []*data.Item{data.NewItem("", 0, make([]byte, 1<<20))}}}, engine.Usage{Run: time.Second, MemoryPages: 16}, 1<<20, func() {}), nil
	}
	v := b.publish(t, "", nil)
	a, err := b.call(t.Context(), v, set("a", "x"))
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
	var answered, refused atomic.Int64
	done := make(chan struct{})
	var asked, callers sync.WaitGroup
	for range 100 {
		asked.Add(1)
		callers.Go(func() {
			a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Inputs: []data.Set{set("a", "x")}, Reuse: ReuseOnly})
			asked.Done()
			switch {
			case err == nil:
				answered.Add(1)
				<-done // nobody reads it meanwhile
				a.Release()
			case engine.KindOf(err) == engine.FaultOverload:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	asked.Wait()
	c := b.permits.counts()
	if c.peak > c.limit {
		t.Errorf("%d of %d bytes were charged", c.peak, c.limit)
	}
	if a, err = b.call(t.Context(), v, set("a", "another")); err != nil {
		t.Errorf("another call meanwhile: %v", err)
	} else {
		a.Release()
	}
	close(done)
	callers.Wait()
	if n := c.limit >> 20; answered.Load() < n-1 || answered.Load() > n || refused.Load() != 100-answered.Load() {
		t.Errorf("%d answers and %d refusals, with room for %d", answered.Load(), refused.Load(), n)
	}
}

// Equal instances have the very same items of what is remembered. Whoever reads
// them, a run holds them once, and not longer than others.
func TestEqualInstancesAreHeldOnce(t *testing.T) {
	const functions = `function Big(in) => (out); function After(in, after) => (out); function Size(in) => (out);
		`
	for name, source := range map[string]string{
		"one phase after the other": `composition c(x) => (n) {
				Big(in = each x) => (y = out); Size(in = all y) => (m = out);
				After(in = each x, after = all m) => (z = out); Size(in = all z) => (n = out); }`,
		"one by one": `composition c(x) => (n) {
				Big(in = each x) => (y = out); Size(in = each y) => (m = out);
				After(in = each x, after = all m) => (z = out); Size(in = each z) => (n = out); }`,
		"read twice": `composition c(x) => (n, o) {
				Big(in = each x) => (y = out); Size(in = all y) => (m = out); Size(in = each y) => (n = out);
				After(in = each x, after = all m) => (z = out); Size(in = all z) => (o = out); }`,
		"nested": `composition b(x) => (z) { Big(in = each x) => (z = out); }
			composition c(x) => (n) {
				b(x = each x) => (y = z); Size(in = all y) => (m = out);
				After(in = each x, after = all m) => (z = out); Size(in = all z) => (n = out); }`,
		"read until the end": `composition c(x) => (y, z) {
				Big(in = each x) => (y = out); Size(in = all y) => (m = out); After(in = all m, after = all m) => (z = out); }`,
	} {
		for _, remember := range []bool{false, true} {
			for workers := range 3 {
				t.Run(fmt.Sprintf("%s, remembered: %t, %d workers", name, remember, workers+1), func(t *testing.T) {
					b := newBench(t, func(c *Config) {
						c.Workers, c.MemoryBudget, c.Run.Bytes = workers+1, 256<<20, 12<<20
						if remember {
							remembers(t, memo.Options{Memory: 64 << 20})(c)
						}
					})
					defer b.finish(t)
					b.engine.runOf = func(code []byte) runFunc {
						return func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
							content := make([]byte, 1<<20)
							if string(code) == "\x00asmSize" {
								content = fmt.Append(nil, data.Size(in))
							}
							out := []data.Set{{Name: "out", Items: []*data.Item{data.NewItem("", 0, content)}}}
							return engine.NewResult(out, engine.Usage{Run: 2 * time.Millisecond, MemoryPages: 16}, 0, func() {}), nil
						}
					}
					for name, inputs := range map[string][]engine.Param{
						"Big": {{Name: "in", Type: engine.TypeSet}}, "Size": {{Name: "in", Type: engine.TypeSet}},
						"After": {{Name: "in", Type: engine.TypeSet}, {Name: "after", Type: engine.TypeSet}},
					} {
						b.publish(t, name, func(p *Publication) {
							p.Name, p.HasSignature = name, true
							p.Inputs, p.Outputs = inputs, []engine.Param{{Name: "out", Type: engine.TypeSet}}
						})
					}
					v := b.compose(t, "c", functions+source)
					resolved, err := b.reg.ResolveAll(t.Context(), "default", registry.Ref{Name: "c"})
					if err != nil {
						t.Fatal(err)
					}
					bound, err := b.bind(resolved[0], b.config.Load().Run, 0)
					if err != nil {
						t.Fatal(err)
					}
					x := set("x", slices.Repeat([]string{"equal"}, 10)...)
					a, err := b.runGraph(t.Context(), Invocation{Tenant: "default", Target: v, Inputs: []data.Set{x}}, bound)
					if err != nil {
						t.Fatal(err)
					}
					var outputs int64
					for _, s := range a.Outputs {
						if outputs += s.Size(); s.Name == "n" && len(s.Items) == 1 && texts(s) != "10485760" {
							t.Errorf("the outputs of ten have %s bytes", texts(s))
						}
					}
					if held := a.holds(); held > outputs || !remember && held < outputs {
						t.Errorf("%d bytes are held in the end, of which %d are outputs", held, outputs)
					}
					a.Release()
				})
			}
		}
	}
}

// A run that takes too long fails for the caller who began it. Who joined it has
// as much time from its own beginning.
func TestALimitOfTimeIsTheCallersOwn(t *testing.T) {
	const long = 500 * time.Millisecond
	var runs atomic.Int64
	b := newBench(t, func(c *Config) {
		remembers(t, memo.Options{})(c)
		c.Run.Time = long
	})
	defer b.finish(t)
	b.engine.run = func(ctx context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
		if runs.Add(1) == 1 {
			<-ctx.Done()
			return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled, Err: ctx.Err()}
		}
		return engine.NewResult([]data.Set{{Name: "out", Items: clones(in[0].Items)}}, engine.Usage{Run: 2 * time.Millisecond}, 0, nil), nil
	}
	b.publish(t, "F", func(p *Publication) {
		p.Name, p.HasSignature = "F", true
		p.Inputs, p.Outputs = []engine.Param{{Name: "in", Type: engine.TypeSet}}, []engine.Param{{Name: "out", Type: engine.TypeSet}}
	})
	v := b.compose(t, "c", `function F(in) => (out); composition c(x) => (y) { F(in = all x) => (y = out); }`)
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := b.call(t.Context(), v, set("x", "a")); engine.KindOf(err) != engine.FaultLimitTime {
			t.Errorf("who began it: %v", err)
		}
	})
	for runs.Load() == 0 {
		pass(time.Millisecond)
	}
	a, err := b.call(t.Context(), v, set("x", "a")) // it joins, unless the machine is very slow
	if err != nil || texts(a.Outputs[0]) != "a" {
		t.Fatalf("who joined it: %+v, %v", a, err)
	}
	a.Release()
	first.Wait()
}

// What was accepted before the dispatcher closes comes to its end, whatever of it
// begins afterwards.
func TestClosingWaitsForWhatIsAccepted(t *testing.T) {
	const source = `function F(in) => (out); composition c(x) => (y) { F(in = each x) => (w = out); F(in = each w) => (y = out); }`
	for name, c := range map[string]struct {
		remember, composition bool
		leaves                bool // the one who began, so that another begins again
	}{
		"a function":                                 {},
		"a composition":                              {composition: true},
		"a function, remembered":                     {remember: true},
		"a composition, remembered":                  {remember: true, composition: true},
		"who joined a function":                      {remember: true, leaves: true},
		"who joined a composition with large inputs": {remember: true, composition: true, leaves: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(config *Config) {
				if c.remember {
					remembers(t, memo.Options{})(config)
				}
			})
			gate, began := make(chan struct{}), make(chan struct{}, 100)
			b.engine.run = func(ctx context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
				began <- struct{}{}
				select {
				case <-gate:
				case <-ctx.Done():
					return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled, Err: ctx.Err()}
				}
				out := data.Set{Name: "out", Items: []*data.Item{data.NewItem("", 0, fmt.Append(nil, data.Size(in)))}}
				return engine.NewResult([]data.Set{out}, engine.Usage{Run: 2 * time.Millisecond}, 0, nil), nil
			}
			v := b.publish(t, "F", func(p *Publication) {
				p.Name, p.HasSignature = "F", true
				p.Inputs, p.Outputs = []engine.Param{{Name: "in", Type: engine.TypeSet}}, []engine.Param{{Name: "out", Type: engine.TypeSet}}
			})
			in := set("in", "a", "b")
			if c.composition {
				v, in.Name = b.compose(t, "c", source), "x"
				if c.leaves {
					in.Items = append(in.Items, data.NewItem("", 0, make([]byte, ownedBytes+1)))
				}
			}
			call := Invocation{Tenant: "default", Target: v, Inputs: []data.Set{in}, Keyed: true}
			var calls sync.WaitGroup
			first, leave := context.WithCancel(t.Context())
			defer leave()
			left := make(chan struct{})
			calls.Go(func() {
				defer close(left)
				a, err := b.Invoke(first, call)
				if c.leaves != (engine.KindOf(err) == engine.FaultCanceled) || !c.leaves && err != nil {
					t.Errorf("who began: %v", err)
				}
				if err == nil {
					a.Release()
				}
			})
			<-began
			if c.leaves {
				calls.Go(func() {
					a, err := b.Invoke(t.Context(), call)
					if err != nil {
						t.Errorf("who joined: %v", err)
						return
					}
					a.Release()
				})
				for b.Calls() < 2 {
					pass(time.Millisecond)
				}
				pass(10 * time.Millisecond) // it has joined by now, or begins when all closes
			}
			calls.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if err := b.Close(ctx); err != nil {
					t.Error(err)
				}
			})
			for b.Ready() == nil {
				pass(time.Millisecond)
			}
			if c.leaves {
				leave()
				<-left
			}
			close(gate)
			calls.Wait()
			if c := b.permits.counts(); c.inUse != 0 || c.memory != 0 || len(b.permits.runs) != 0 || b.engine.open.Load() != 0 {
				t.Errorf("not everything was given back: %+v, %d runs, %d programs", c, len(b.permits.runs), b.engine.open.Load())
			}
		})
	}
}
