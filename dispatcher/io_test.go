package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/dispatcher/shard"
	"pappus/engine"
	"pappus/iofuncs"
	"pappus/registry"
)

// fakeIO is an I/O function of one input set and one output set.
type fakeIO struct {
	name string
	item bool // both are exactly one item
	call func(ctx context.Context, r iofuncs.Request) ([]data.Set, error)
}

var _ iofuncs.Function = fakeIO{}

func (f fakeIO) Spec() iofuncs.Spec {
	return iofuncs.Spec{Name: f.name, Inputs: []iofuncs.Param{{Name: "requests", Item: f.item}}, Outputs: []iofuncs.Param{{Name: "answers", Item: f.item}}}
}

func (f fakeIO) Call(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
	return f.call(ctx, r)
}

// echoing answers each request with "re: " and what it was.
func echoing(_ context.Context, r iofuncs.Request) ([]data.Set, error) {
	s := data.Set{Name: "answers"}
	for _, it := range slices.Backward(r.Inputs[0].Items) { // key order is not the function's business
		s.Items = append(s.Items, data.NewItem(it.Name(), it.Key(), append([]byte("re: "), it.Bytes()...)))
	}
	return []data.Set{s}, nil
}

// withIO lets a dispatcher have I/O functions.
func withIO(t testing.TB, functions ...iofuncs.Function) func(*Config) {
	return func(c *Config) {
		var err error
		if c.IOFunctions, err = iofuncs.NewRegistry(functions...); err != nil {
			t.Fatal(err)
		}
	}
}

// standIn is an I/O function HTTP with any signature.
func (b *bench) standIn(sig engine.Signature, call func(context.Context, iofuncs.Request) ([]data.Set, error)) *ioFunction {
	like := b.io[callByName]
	return &ioFunction{
		version:  &registry.Version{Name: "HTTP", Kind: registry.KindIO, Signature: sig},
		function: fakeIO{name: "HTTP", call: call}, seconds: like.seconds, bytes: like.bytes, calls: like.calls,
		waits: like.waits, sent: like.sent, received: like.received, refusals: like.refusals,
	}
}

const ask = `
function Split(in) => (out);
function Upper(in) => (out);
function HTTP(requests) => (answers);
composition Ask(text) => (answers) {
	Split(in = all text) => (words = out);
	HTTP(requests = each words) => (said = answers);
	Upper(in = each said) => (answers = out);
}`

// texts are the contents of items.
func texts(s data.Set) string {
	var list []string
	for _, it := range s.Items {
		list = append(list, string(it.Bytes()))
	}
	return strings.Join(list, "|")
}

// I/O functions run in compositions and alone, and are seen in records and metrics.
func TestIOFunctions(t *testing.T) {
	b := newComposer(t, withIO(t, fakeIO{name: "HTTP", call: echoing}))
	defer b.finish(t)
	v := b.compose(t, "Ask", ask)
	if len(v.Uses) != 3 || v.Uses[0].IO || !v.Uses[1].IO || v.Uses[2].IO {
		t.Errorf("%+v", v.Uses)
	}
	a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Trace: true, Inputs: []data.Set{set("text", "to be or not")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(a.Outputs[0]); got != "RE: TO|RE: BE|RE: OR|RE: NOT" || a.Usage.Fuel != 5*(1+4) {
		t.Errorf("%s, %+v", got, a.Usage)
	}
	a.Release()
	rec := b.Run("default", a.RunID)
	if len(rec.Applications) != 3 || rec.Applications[1].Callee != "HTTP" || len(rec.Applications[1].Instances) != 4 {
		t.Errorf("%+v", rec.Applications)
	}
	for _, i := range rec.Applications[1].Instances {
		if i.Queued > i.Started || i.Started > i.Ended || i.Out != i.In+4 || i.Fuel != 0 {
			t.Errorf("%+v", i)
		}
	}
	target, err := b.Resolve(t.Context(), "default", registry.Ref{Name: "HTTP"})
	if err != nil || target.Kind != registry.KindIO {
		t.Fatal(target, err)
	}
	two := data.Set{Name: "requests", Items: []*data.Item{data.NewItem("a", 1, []byte("x")), data.NewItem("b", 2, []byte("y"))}}
	a, err = b.Invoke(t.Context(), Invocation{Tenant: "default", Target: target, Trace: true, Inputs: []data.Set{two}})
	if err != nil {
		t.Fatal(err)
	}
	if got := texts(a.Outputs[0]); got != "re: x|re: y" || a.Outputs[0].Name != "answers" {
		t.Errorf("alone: %s", got)
	}
	a.Release()
	if rec := b.Run("default", a.RunID); rec.Composition != "HTTP" || rec.Applications[0].Name != "HTTP" {
		t.Errorf("%+v", rec)
	}
	if a, err = b.call(t.Context(), target); err != nil || len(a.Outputs) != 1 || len(a.Outputs[0].Items) != 0 {
		t.Errorf("without items: %v, %v", a, err)
	}
	a.Release()
	if _, err := b.call(t.Context(), target, set("other", "x")); !errors.As(err, new(*InputError)) {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"HTTP@3", "HTTP@latest", "system_Other", "BlobGet"} {
		ref, err := registry.ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		var missing *registry.NotFoundError
		if _, err := b.Resolve(t.Context(), "default", ref); !errors.As(err, &missing) || missing.What != "I/O function" {
			t.Errorf("%s: %v", name, err)
		}
	}
	want := `
# HELP pappus_io_calls_total Calls of I/O functions that ended, by function and outcome: ok, a kind of fault, or internal.
# TYPE pappus_io_calls_total counter
pappus_io_calls_total{function="HTTP",outcome="ok"} 6
pappus_io_calls_total{function="system_Invoke",outcome="ok"} 0
# HELP pappus_io_bytes_total Bytes of the outputs of I/O functions.
# TYPE pappus_io_bytes_total counter
pappus_io_bytes_total{function="HTTP"} 35
pappus_io_bytes_total{function="system_Invoke"} 0
# HELP pappus_io_calls_going_on Calls of I/O functions that go on.
# TYPE pappus_io_calls_going_on gauge
pappus_io_calls_going_on{function="HTTP"} 0
pappus_io_calls_going_on{function="system_Invoke"} 0
`
	if err := testutil.GatherAndCompare(b.metrics, strings.NewReader(want), "pappus_io_calls_total", "pappus_io_bytes_total", "pappus_io_calls_going_on"); err != nil {
		t.Error(err)
	}
}

// Only what reaches no I/O function, at any depth, is pure.
func TestPure(t *testing.T) {
	b := newComposer(t, withIO(t, fakeIO{name: "HTTP", call: echoing}))
	defer b.finish(t)
	shouting, asking := b.compose(t, "Shout", shout), b.compose(t, "Ask", ask)
	around := b.compose(t, "Around", `function Ask(text) => (answers); composition Around(a) => (b) { Ask(text = all a) => (b = answers); }`)
	named := b.compose(t, "Named", `function system_Invoke(requests) => (answers); composition Named(a) => (b) { system_Invoke(requests = each a) => (b = answers); }`)
	inside := b.compose(t, "Inside", `function HTTP(requests) => (answers);
		composition Inside(a) => (b) { Inner(x = all a) => (b = y); }
		composition Inner(x) => (y) { HTTP(requests = all x) => (y = answers); }`)
	for v, pure := range map[*registry.Version]bool{shouting: true, asking: false, around: false, named: false, inside: false} {
		inv := Invocation{Tenant: "default", Target: v, Pure: true}
		a, err := b.Invoke(t.Context(), inv)
		if pure != (err == nil) || err != nil && !errors.Is(err, ErrNotPure) {
			t.Errorf("%s: %v", v.Name, err)
		}
		if err == nil {
			a.Release()
		}
	}
	io, err := b.Resolve(t.Context(), "default", registry.Ref{Name: "HTTP"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: io, Pure: true}); !errors.Is(err, ErrNotPure) {
		t.Errorf("%v", err)
	}
	// Who calls so, or what is broken, is no defect of the platform.
	delete(b.io, "HTTP")
	if _, err := b.call(t.Context(), asking); !errors.As(err, new(*registry.UsesError)) {
		t.Errorf("%v", err)
	}
	for outcome, want := range map[string]float64{outcomeInput: 5, outcomeRejected: 1, outcomeInternal: 0} {
		if got := testutil.ToFloat64(b.Dispatcher.metrics.outcomes[outcome]); got != want {
			t.Errorf("%v invocations ended %s; want %v", got, outcome, want)
		}
	}
}

func TestIOFunctionMistakes(t *testing.T) {
	for _, name := range []string{"fetch", callByName} {
		functions, err := iofuncs.NewRegistry(fakeIO{name: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := newIOFunctions(functions); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := newComposer(t, withIO(t, fakeIO{name: "HTTP", call: echoing}))
	defer b.finish(t)
	for source, want := range map[string]string{
		`function HTP = "HTTTP" (requests) => (answers); composition C(a) => (b) { HTP(requests = each a) => (b = answers); }`:            "did you mean HTTP",
		`function H = "HTTP@prod" (requests) => (answers); composition C(a) => (b) { H(requests = each a) => (b = answers); }`:            "has no versions or tags",
		`function BlobGet(refs) => (contents); composition C(a) => (b) { BlobGet(refs = each a) => (b = contents); }`:                     "is no I/O function of this server",
		`function HTTP(requests) => (headers, bodies); composition C(a) => (b) { HTTP(requests = each a) => (b = bodies, h = headers); }`: "2 outputs, and what is registered has 1",
	} {
		_, _, err := b.CheckComposition(t.Context(), "default", "C", source)
		var invalid *composition.InvalidError
		if !errors.As(err, &invalid) {
			t.Fatalf("%s: %v", want, err)
		}
		if d := invalid.Diagnostics[0]; !strings.Contains(d.Message+d.Hint, want) {
			t.Errorf("%s: %+v", want, d)
		}
	}
	// A server that has not what a composition was checked against says so.
	v := b.compose(t, "Ask", ask)
	for name, change := range map[string]func(){
		"not found": func() { delete(b.io, "HTTP") },
		"other sets": func() {
			sig := b.io["HTTP"].version.Signature
			sig.Outputs = []engine.Param{{Name: "bodies", Type: engine.TypeSet}}
			b.io["HTTP"] = b.standIn(sig, echoing)
		},
	} {
		was := b.io["HTTP"]
		change()
		var uses *registry.UsesError
		if _, err := b.call(t.Context(), v, set("text", "x")); !errors.As(err, &uses) || !strings.Contains(err.Error(), name) || uses.User != "Ask@5" {
			t.Errorf("%s: %v", name, err)
		}
		b.io["HTTP"] = was
	}
}

// How a call fails is told with the fault that it is.
func TestIOFailures(t *testing.T) {
	fail := map[string]func(r iofuncs.Request) ([]data.Set, error){
		"failed": func(iofuncs.Request) ([]data.Set, error) {
			return nil, fmt.Errorf("call: %w", &iofuncs.Error{Kind: iofuncs.KindFailed, Item: "requests: \"x\"", Detail: "no answer", Err: fs.ErrNotExist})
		},
		"timeout": func(iofuncs.Request) ([]data.Set, error) { return nil, &iofuncs.Error{Kind: iofuncs.KindTimeout} },
		"refused": func(iofuncs.Request) ([]data.Set, error) {
			return nil, &iofuncs.Error{Kind: iofuncs.KindRefused, Detail: "10.0.0.1 is private", Hint: "Ask elsewhere."}
		},
		"strange": func(iofuncs.Request) ([]data.Set, error) { return nil, &iofuncs.Error{Kind: "strange"} },
		"plain":   func(iofuncs.Request) ([]data.Set, error) { return nil, errors.New("plain") },
		"long":    func(iofuncs.Request) ([]data.Set, error) { return nil, errors.New(strings.Repeat("ü", 100_000)) },
		"deadline": func(iofuncs.Request) ([]data.Set, error) {
			return nil, fmt.Errorf("dial: %w", context.DeadlineExceeded)
		},
		"socket":     func(iofuncs.Request) ([]data.Set, error) { return nil, os.ErrDeadlineExceeded },
		"panic":      func(iofuncs.Request) ([]data.Set, error) { panic("as asked") },
		"undeclared": func(iofuncs.Request) ([]data.Set, error) { return []data.Set{{Name: "other"}}, nil },
		"twice": func(iofuncs.Request) ([]data.Set, error) {
			return []data.Set{{Name: "answers"}, {Name: "answers"}}, nil
		},
		"no item": func(iofuncs.Request) ([]data.Set, error) {
			return []data.Set{{Name: "answers", Items: make([]*data.Item, 1)}}, nil
		},
		"bad name": func(iofuncs.Request) ([]data.Set, error) {
			return []data.Set{{Name: "answers", Items: []*data.Item{data.NewItem("\n", 0, nil)}}}, nil
		},
		"an input": func(r iofuncs.Request) ([]data.Set, error) {
			return []data.Set{{Name: "answers", Items: r.Inputs[0].Items}}, nil
		},
		"not charged": func(iofuncs.Request) ([]data.Set, error) {
			return []data.Set{{Name: "answers", Items: []*data.Item{data.NewItem("", 0, make([]byte, 2001))}}}, nil
		},
		"charged": func(r iofuncs.Request) ([]data.Set, error) {
			for range 10 {
				if err := r.Charge(1000); err != nil {
					return nil, &iofuncs.Error{Kind: iofuncs.KindFailed, Item: "requests: \"x\"", Detail: "GET http://a", Err: err}
				}
			}
			return nil, nil
		},
		"charge of everything": func(r iofuncs.Request) ([]data.Set, error) {
			_ = r.Charge(5)
			return nil, r.Charge(1<<63 - 1)
		},
		"many": func(iofuncs.Request) ([]data.Set, error) {
			return []data.Set{{Name: "answers", Items: slices.Repeat([]*data.Item{data.NewItem("", 0, nil)}, 11)}}, nil
		},
		"good": func(r iofuncs.Request) ([]data.Set, error) {
			if r.Tenant != "default" || r.Charge(-5) != nil || r.Charge(2000) != nil || r.Charge(-1000) != nil || r.Charge(500) != nil {
				return nil, errors.New("it is not")
			}
			return nil, nil
		},
	}
	b := newComposer(t, func(c *Config) {
		withIO(t, fakeIO{name: "HTTP", call: func(_ context.Context, r iofuncs.Request) ([]data.Set, error) {
			return fail[string(r.Inputs[0].Items[0].Bytes())](r)
		}}, fakeIO{name: "system_One", item: true, call: func(context.Context, iofuncs.Request) ([]data.Set, error) { return nil, nil }})(c)
		c.Defaults.Output, c.Defaults.Items = 2000, 10
	})
	defer b.finish(t)
	v := b.compose(t, "C", `function HTTP(requests) => (answers); composition C(a) => (b) { HTTP(requests = each a) => (b = answers); }`)
	for name, want := range map[string]string{
		"failed":               "io-failed: HTTP: no answer: file does not exist (application HTTP, instance 0)",
		"timeout":              "io-timeout: HTTP:  (application HTTP, instance 0)",
		"refused":              "egress-refused: HTTP: 10.0.0.1 is private (application HTTP, instance 0)",
		"strange":              "io-failed: HTTP:  (application HTTP, instance 0)",
		"plain":                "io-failed: HTTP: plain (application HTTP, instance 0)",
		"long":                 "io-failed: HTTP: üü",
		"deadline":             "io-timeout: HTTP: dial: context deadline exceeded (application HTTP, instance 0)",
		"socket":               "io-timeout: HTTP: i/o timeout (application HTTP, instance 0)",
		"panic":                "application HTTP, instance 0: call HTTP: an I/O function is not what it says: it panicked: as asked",
		"undeclared":           "application HTTP, instance 0: call HTTP: an I/O function is not what it says: it gave a set \"other\"",
		"twice":                "it gave a set \"answers\" that it does not declare, or twice",
		"no item":              "has an item that is none",
		"bad name":             "item name",
		"an input":             "or one of the inputs",
		"not charged":          "output-too-large: the outputs of the call hold more than 2000",
		"charged":              "output-too-large: HTTP: GET http://a: the outputs of the call hold more than 2000",
		"charge of everything": "output-too-large",
		"many":                 "output-too-large: the outputs of the call are 11 items",
		"good":                 "",
	} {
		a, err := b.call(t.Context(), v, data.Set{Name: "a", Items: []*data.Item{data.NewItem("it", 4, []byte(name))}})
		switch {
		case err == nil && want == "":
			a.Release()
		case err == nil || want == "" || !strings.Contains(err.Error(), want) || len(err.Error()) > 1500:
			t.Errorf("%s: %v", name, err)
		}
		if fault := new(engine.Fault); errors.As(err, &fault) && (fault.Hint == "Ask elsewhere.") != (name == "refused") {
			t.Errorf("%s: hint %q", name, fault.Hint)
		}
		if fault := new(engine.Fault); errors.As(err, &fault) && fault.Item != `requests: "it", key 4` {
			t.Errorf("%s: item %s", name, fault.Item)
		}
		if n := b.permits.counts().memory + b.permits.heldBytes(); n != 0 {
			t.Fatalf("%s: %d bytes are held", name, n)
		}
	}
	if !strings.Contains(b.log.String(), "I/O function panicked") {
		t.Error("the panic is not in the log")
	}
	one, err := b.Resolve(t.Context(), "default", registry.Ref{Name: "system_One"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.call(t.Context(), one); engine.KindOf(err) != engine.FaultItemCount {
		t.Errorf("no item: %v", err)
	}
	if _, err := b.call(t.Context(), one, set("requests", "x")); err == nil || engine.KindOf(err) != "" || !errors.Is(err, ErrIOFunction) {
		t.Errorf("its output is no item: %v", err)
	}
}

// Calls that wait for the world keep no instance from computing, and more of them
// go on than there are permits.
func TestIOHoldsNoPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		b := newComposer(t, func(c *Config) {
			withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
				select {
				case <-answer:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				return echoing(ctx, r)
			}})(c)
			c.Workers, c.IO = 1, IOLimits{Calls: 100, TenantCalls: 20}
		})
		defer b.finish(t)
		v := b.compose(t, "Ask", ask)
		// It has something to compute while its calls wait.
		both := b.compose(t, "Both", `function HTTP(requests) => (answers);
			function Upper(in) => (out);
			function Join(in) => (out);
			composition Both(a) => (b, c) { HTTP(requests = each a) => (b = answers); Upper(in = each a) => (u = out); Join(in = all u) => (c = out); }`)
		words := strings.TrimSpace(strings.Repeat("word ", 50))
		done := make(chan error, 2)
		for v, in := range map[*registry.Version]data.Set{v: set("text", words), both: set("a", strings.Fields(words)...)} {
			go func() {
				a, err := b.call(t.Context(), v, in)
				if err == nil {
					a.Release()
				}
				done <- err
			}()
		}
		synctest.Wait()
		io := b.io["HTTP"]
		if going, waiting := io.going.Load(), io.waiting.Load(); going != 20 || waiting != 80 || b.permits.counts().inUse != 0 {
			t.Errorf("%d calls go on and %d wait; %d permits are in use", going, waiting, b.permits.counts().inUse)
		}
		var other sync.WaitGroup
		other.Go(func() { // of another tenant
			a, err := b.Invoke(t.Context(), Invocation{Tenant: "other", Target: b.io["HTTP"].version, Inputs: []data.Set{set("requests", "x")}})
			if err != nil {
				t.Error(err)
				return
			}
			a.Release()
		})
		synctest.Wait()
		if going := io.going.Load(); going != 21 {
			t.Errorf("%d calls go on", going)
		}
		shouting := b.compose(t, "Shout", shout)
		a, err := b.call(t.Context(), shouting, set("text", "a b c"))
		if err != nil {
			t.Fatal(err)
		}
		a.Release()
		close(answer)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		other.Wait()
	})
}

// Calls end when the run does: because its caller went away, its time is over,
// or the server stops.
func TestIOEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(b *bench, cancel context.CancelFunc)
		kind engine.FaultKind
	}{
		"the caller": {func(_ *bench, cancel context.CancelFunc) { cancel() }, engine.FaultCanceled},
		"time":       {func(*bench, context.CancelFunc) {}, engine.FaultLimitTime},
		"the server": {func(b *bench, _ context.CancelFunc) {
			now, cancel := context.WithCancel(context.Background())
			cancel()
			if err := b.Close(now); !errors.Is(err, context.Canceled) {
				panic(err)
			}
		}, engine.FaultOverload},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newComposer(t, func(c *Config) {
					withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, _ iofuncs.Request) ([]data.Set, error) {
						<-ctx.Done()
						return nil, &iofuncs.Error{Kind: iofuncs.KindFailed, Err: ctx.Err()}
					}})(c)
					c.Run.Time, c.IO.Calls = time.Minute, 2
				})
				if name != "the server" {
					defer b.finish(t)
				}
				v := b.compose(t, "Ask", ask)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error)
				go func() {
					_, err := b.call(ctx, v, set("text", "a b c d e"))
					done <- err
				}()
				synctest.Wait()
				go c.end(b, cancel)
				if err := <-done; engine.KindOf(err) != c.kind {
					t.Errorf("%v", err)
				}
				synctest.Wait()
				if io := b.io["HTTP"]; io.going.Load() != 0 || io.waiting.Load() != 0 || b.ioPool.going != 0 || len(b.ioPool.tenants) != 0 {
					t.Errorf("%+v", b.ioPool)
				}
			})
		})
	}
}

// A run that can't even begin ends as an invocation does that gets no permit.
func TestIOQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		b := newComposer(t, func(c *Config) {
			withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
				<-answer
				return echoing(ctx, r)
			}})(c)
			c.IO, c.QueueTimeout, c.Waiting = IOLimits{Calls: 1}, time.Second, 2
		})
		defer b.finish(t)
		var runs sync.WaitGroup
		var failed, good, refused atomic.Int64
		for range 4 {
			runs.Go(func() {
				began := time.Now()
				a, err := b.call(t.Context(), b.io["HTTP"].version, set("requests", "x"))
				switch {
				case err == nil:
					good.Add(1)
					a.Release()
				case engine.KindOf(err) == engine.FaultOverload && time.Since(began) == time.Second:
					failed.Add(1)
				case engine.KindOf(err) == engine.FaultOverload && time.Since(began) == 0:
					refused.Add(1)
				default:
					t.Error(err, time.Since(began))
				}
			})
		}
		synctest.Wait()
		pass(2 * time.Second)
		close(answer)
		runs.Wait()
		if good.Load() != 1 || failed.Load() != 2 || refused.Load() != 1 {
			t.Errorf("%d good, %d failed, %d refused", good.Load(), failed.Load(), refused.Load())
		}
	})
}

// Outputs of calls are counted while they arrive, and a run that holds too much
// ends with the fault that says so.
func TestIOBytes(t *testing.T) {
	b := newComposer(t, func(c *Config) {
		withIO(t, fakeIO{name: "HTTP", call: func(_ context.Context, r iofuncs.Request) ([]data.Set, error) {
			if err := r.Charge(1 << 20); err != nil {
				return nil, err
			}
			return []data.Set{{Name: "answers", Items: []*data.Item{data.NewItem("", 0, make([]byte, 1<<20))}}}, nil
		}})(c)
		c.Run.Bytes, c.MemoryBudget = 7<<20, 400<<20
	})
	defer b.finish(t)
	all := b.compose(t, "All", `function HTTP(requests) => (answers); function Join(in) => (out);
		composition All(a) => (b) { HTTP(requests = each a) => (m = answers); Join(in = all m) => (b = out); }`)
	a, err := b.call(t.Context(), all, set("a", "1", "2", "3"))
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
	if _, err := b.call(t.Context(), all, set("a", "1", "2", "3", "4", "5", "6", "7", "8")); engine.KindOf(err) != engine.FaultLimitBytes {
		t.Errorf("%v", err)
	}
}

// Whatever the graph, I/O functions among the others leave the outputs what they
// are.
func TestRunsWithIO(t *testing.T) {
	b := newRunBench(t, func(c *Config) { c.Workers, c.IO.Calls = 3, 4 }, nil)
	defer b.finish(t)
	// Some of the functions are I/O functions now, with the same outputs.
	for i := range b.callees {
		if i%2 == 0 {
			continue
		}
		sig, code := b.references[i].Signature, b.codes[i]
		io := b.standIn(sig, func(_ context.Context, r iofuncs.Request) ([]data.Set, error) {
			return digesting(code, len(sig.Outputs))(r.Inputs), nil
		})
		b.callees[i] = callee{version: io.version, io: io}
	}
	rapid.Check(t, func(t *rapid.T) {
		b.runs(t, b.draw(t))
		if c := b.permits.counts(); b.permits.heldBytes() != 0 || c.memory != 0 {
			t.Errorf("%d bytes are held by all runs, %d charged", b.permits.heldBytes(), c.memory)
		}
		for _, c := range b.callees {
			if c.io != nil && (c.io.waiting.Load() != 0 || c.io.going.Load() != 0) {
				t.Errorf("%d calls wait, %d go on", c.io.waiting.Load(), c.io.going.Load())
			}
		}
	})
}

// Many runs with calls, some of which fail, panic or are cancelled at any moment,
// leave nothing behind.
func TestManyRunsWithIO(t *testing.T) {
	b := newComposer(t, func(c *Config) {
		withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
			switch rand.IntN(300) {
			case 0:
				return nil, &iofuncs.Error{Kind: iofuncs.KindFailed}
			case 1:
				panic("as asked")
			case 2, 3, 4:
				select { // it takes a while
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-time.After(time.Millisecond):
				}
			}
			if err := r.Charge(int64(rand.IntN(1000))); err != nil {
				return nil, err
			}
			return echoing(ctx, r)
		}})(c)
		c.Workers, c.MemoryBudget, c.IO = 4, 4<<30, IOLimits{Calls: 5, TenantCalls: 3}
	})
	defer b.finish(t)
	v := b.compose(t, "Ask", ask)
	named := b.compose(t, "Named", `function system_Invoke(requests) => (answers); composition Named(a) => (b) { system_Invoke(requests = each a) => (b = answers); }`)
	call := request("Ask", set("text", "a bb ccc"))
	var wg sync.WaitGroup
	var ended [3]atomic.Int64
	for tenant := range 6 {
		wg.Go(func() {
			for i := range 60 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%4 == 0 {
					time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, cancel)
				}
				inv := Invocation{Tenant: "default", Target: v, Trace: i%5 == 0, Inputs: []data.Set{set("text", "a bb ccc dddd eeeee ffffff")}}
				if tenant > 3 {
					inv.Target, inv.Inputs = named, []data.Set{{Name: "a", Items: []*data.Item{data.NewItem("", 0, call), data.NewItem("", 0, call), data.NewItem("", 0, call)}}}
				}
				a, err := b.Invoke(ctx, inv)
				switch kind := engine.KindOf(err); {
				case err == nil:
					ended[0].Add(1)
					a.Release()
				case kind == engine.FaultCanceled:
					ended[1].Add(1)
				case kind == engine.FaultIOFailed, errors.Is(err, ErrIOFunction):
					ended[2].Add(1)
				default:
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if ended[0].Load() == 0 || ended[2].Load() == 0 {
		t.Errorf("ended well, cancelled, failed: %v", &ended)
	}
}

// BenchmarkIO compares an each over calls that answer at once with one over
// functions that compute nothing.
func BenchmarkIO(b *testing.B) {
	for _, name := range []string{"io", "function"} {
		b.Run(name, func(b *testing.B) {
			bench := newRunBench(b, nil, copying)
			defer bench.finish(b)
			one := bench.unary()
			if name == "io" {
				io := bench.standIn(bench.references[one].Signature, func(_ context.Context, r iofuncs.Request) ([]data.Set, error) {
					return []data.Set{{Name: "out0", Items: clones(r.Inputs[0].Items)}}, nil
				})
				bench.callees[one] = callee{version: io.version, io: io}
			}
			graph := chain(1, one, shard.Each, bench.references)
			items := some(1000)
			b.ReportAllocs()
			for b.Loop() {
				r := bench.newRun(b.Context(), "default", 0, new(share))
				if _, err := r.do(newBound(graph, bench.callees), []data.Set{{Name: "s0", Items: items}}); err != nil {
					b.Fatal(err)
				}
				r.release()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(len(items)), "µs/call")
		})
	}
}

// What a run has begun is not given up because a call of it waits for its turn.
func TestBegunRunsWaitForCalls(t *testing.T) {
	gate := make(chan struct{})
	blocked := make(chan struct{})
	b := newComposer(t, func(c *Config) {
		withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
			if string(r.Inputs[0].Items[0].Bytes()) == "block" {
				close(blocked)
				<-gate
			}
			return echoing(ctx, r)
		}})(c)
		c.IO.Calls, c.QueueTimeout = 1, 50*time.Millisecond
	})
	defer b.finish(t)
	h, err := b.Resolve(t.Context(), "default", registry.Ref{Name: "HTTP"})
	if err != nil {
		t.Fatal(err)
	}
	v := b.compose(t, "Ask", `
function Upper(in) => (out);
function HTTP(requests) => (answers);
composition Ask(text) => (a, u) {
	HTTP(requests = all text) => (a = answers);
	Upper(in = all text) => (u = out);
}`)
	var calls sync.WaitGroup
	defer calls.Wait()
	call := func(v *registry.Version, name, text string) {
		calls.Go(func() {
			a, err := b.call(t.Context(), v, set(name, text))
			if err != nil {
				t.Errorf("%s: %v", text, err)
				return
			}
			a.Release()
		})
	}
	call(h, "requests", "block")
	<-blocked
	call(v, "text", "x")
	pass(250 * time.Millisecond) // longer than what has not begun may wait
	close(gate)
}

// askEach has a call made for each word that a function has seen.
const askEach = `
function Upper(in) => (out);
function HTTP(requests) => (answers);
composition Ask(text) => (answers) {
	Upper(in = each text) => (words = out);
	HTTP(requests = each words) => (answers = answers);
}`

// How many calls wait is known also when runs end in the middle.
func TestWaitingCallsOfCanceledRuns(t *testing.T) {
	b := newComposer(t, func(c *Config) {
		c.Workers = 4
		withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Duration(rand.IntN(300)) * time.Microsecond):
			}
			return echoing(ctx, r)
		}})(c)
		c.IO.Calls = 2
	})
	defer b.finish(t)
	v := b.compose(t, "Ask", askEach)
	words := strings.Fields(strings.Repeat("a b c d ", 100))
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(1500))*time.Microsecond)
		if a, err := b.call(ctx, v, set("text", words...)); err == nil {
			a.Release()
		}
		cancel()
		if n := b.io["HTTP"].waiting.Load(); n != 0 {
			t.Fatalf("after run %d %d calls wait", i, n)
		}
	}
}

// A run that ends early has no result, whatever ends well meanwhile: not even when what
// waits for that are calls, of which there are none then.
func TestRunsThatEndEarly(t *testing.T) {
	for name, want := range map[string]engine.FaultKind{"their time is over": engine.FaultLimitTime, "they are dropped": ""} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(c *Config) {
				c.Workers = 2
				withIO(t, fakeIO{name: "HTTP", call: echoing})(c)
				if want != "" {
					c.Run.Time = 50 * time.Millisecond
				}
			})
			defer b.finish(t)
			var ran atomic.Int64
			b.engine.run = func(ctx context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
				if ran.Add(1) == 1 {
					if want == "" {
						b.permits.mu.Lock()
						for s := range b.permits.runs {
							b.permits.tell(s, errRunDropped) // as when there is no memory
						}
						b.permits.mu.Unlock()
					}
					<-ctx.Done() // it ends well a moment after that
				}
				return engine.NewResult([]data.Set{{Name: "out", Items: clones(in[0].Items)}}, engine.Usage{}, 0, nil), nil
			}
			b.publish(t, "Upper", func(p *Publication) {
				p.Name, p.HasSignature = "Upper", true
				p.Inputs, p.Outputs = []engine.Param{{Name: "in", Type: engine.TypeSet}}, []engine.Param{{Name: "out", Type: engine.TypeSet}}
			})
			v := b.compose(t, "Ask", askEach)
			a, err := b.call(t.Context(), v, set("text", "a"))
			if engine.KindOf(err) != want || (err == nil) != (want == "") {
				t.Fatalf("%v, want %q", err, want)
			}
			if err == nil {
				if n := data.Count(a.Outputs); n != 1 {
					t.Errorf("%d answers to one request", n)
				}
				a.Release()
			}
		})
	}
}

// A run of which neither a call nor an instance can begin waits no longer than any that
// has not begun, and has a place in the queue meanwhile.
func TestRunsThatCanNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newComposer(t, func(c *Config) {
			withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
				pass(time.Hour)
				return echoing(ctx, r)
			}})(c)
			c.Workers, c.Strict, c.IO, c.Run.Time, c.QueueTimeout, c.Waiting = 1, true, IOLimits{Calls: 1, TenantCalls: 1}, 2*time.Hour, 5*time.Second, 1
		})
		defer b.finish(t)
		v := b.compose(t, "Both", `
function HTTP(requests) => (answers);
function Upper(in) => (out);
composition Both(text) => (a, b) { HTTP(requests = all text) => (a = answers); Upper(in = all text) => (b = out); }`)
		io, err := b.Resolve(t.Context(), "default", registry.Ref{Name: "HTTP"})
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		calls.Go(func() {
			a, err := b.call(t.Context(), io, set("requests", "x"))
			if err != nil {
				t.Error(err)
				return
			}
			a.Release()
		})
		b.hold(t, time.Hour)
		synctest.Wait()
		for range 3 {
			calls.Go(func() {
				from := time.Now()
				a, err := b.call(t.Context(), v, set("text", "x"))
				if err == nil {
					a.Release()
				}
				if took := time.Since(from); engine.KindOf(err) != engine.FaultOverload || took > 5*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
			})
		}
		calls.Wait()
		pass(time.Hour)
	})
}
