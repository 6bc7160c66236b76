package dispatcher

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/data"
	"pappus/engine"
	"pappus/registry"
)

// fakeEngine does what a test wants with code that starts with its magic.
type fakeEngine struct {
	name, magic string
	inspection  engine.Inspection
	inspect     func()                                       // nil: at once
	prepare     func(ctx context.Context, code []byte) error // nil: at once
	run         runFunc                                      // nil: gives the inputs back as outputs
	runOf       func(code []byte) runFunc                    // instead of run, for code that does different things
	size, stack int64

	prepared, closed, open atomic.Int64
}

type runFunc func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error)

var _ engine.Engine = (*fakeEngine)(nil)

func newFakeEngine() *fakeEngine {
	return &fakeEngine{name: "wasm", magic: "\x00asm", size: 1000, inspection: engine.Inspection{Layout: "dandelion", Memory: engine.PageSize}}
}

func (e *fakeEngine) Name() string                { return e.name }
func (e *fakeEngine) Semantics() string           { return "1" }
func (e *fakeEngine) Recognizes(code []byte) bool { return bytes.HasPrefix(code, []byte(e.magic)) }
func (e *fakeEngine) Close() error                { return nil }

func (e *fakeEngine) Inspect(code []byte) (engine.Inspection, error) {
	if e.inspect != nil {
		e.inspect()
	}
	if !e.Recognizes(code) {
		return engine.Inspection{}, &engine.RejectedError{Reason: "it does not start with " + e.magic}
	}
	return e.inspection, nil
}

func (e *fakeEngine) Prepare(ctx context.Context, code []byte, _ engine.Signature, _ engine.Limits) (engine.Program, error) {
	e.prepared.Add(1)
	if e.prepare != nil {
		if err := e.prepare(ctx, code); err != nil {
			return nil, err
		}
	}
	e.open.Add(1)
	p := &fakeProgram{engine: e}
	if e.runOf != nil {
		p.run = e.runOf(code)
	}
	return p, nil
}

type fakeProgram struct {
	engine *fakeEngine
	run    runFunc // nil: that of the engine
	closed atomic.Bool
}

func (p *fakeProgram) Stack(engine.Limits) int64 { return p.engine.stack }

func (p *fakeProgram) Size() int64 { return p.engine.size }

func (p *fakeProgram) Close() error {
	if p.closed.Swap(true) {
		return errors.New("closed twice")
	}
	p.engine.open.Add(-1)
	p.engine.closed.Add(1)
	return nil
}

var errUsedClosed = errors.New("a closed program was run")

func (p *fakeProgram) Run(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
	if p.closed.Load() {
		return engine.Result{}, errUsedClosed
	}
	run := p.run
	if run == nil {
		run = p.engine.run
	}
	if run == nil {
		return engine.NewResult(in, engine.Usage{Fuel: 7}, 0, nil), nil
	}
	r, err := run(ctx, in, lim)
	if p.closed.Load() {
		return engine.Result{}, errUsedClosed
	}
	return r, err
}

// fakeRegistry keeps versions in memory.
type fakeRegistry struct {
	mu       sync.Mutex
	versions []*registry.Version
	code     map[data.Digest][]byte
	reads    int
	err      error // of Put
}

var _ Functions = (*fakeRegistry)(nil)

func (r *fakeRegistry) Put(_ context.Context, reg registry.Registration) (*registry.Version, bool, error) {
	if reg.Approve != nil {
		if err := reg.Approve(); err != nil {
			return nil, false, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, false, r.err
	}
	v := &registry.Version{
		Tenant: reg.Tenant, Name: reg.Name, Number: int64(len(r.versions) + 1), Code: map[string]registry.CodeRef{},
		Signature: reg.Signature, Limits: reg.Limits, Layout: reg.Layout, Memo: reg.Memo, Description: reg.Description,
		Kind: cmp.Or(reg.Kind, registry.KindFunction), Source: reg.Source, Graph: reg.Graph, Uses: reg.Uses,
	}
	for name, code := range reg.Code {
		d := data.Sum(code)
		v.Code[name] = registry.CodeRef{Digest: d, Size: int64(len(code))}
		if r.code == nil {
			r.code = map[data.Digest][]byte{}
		}
		r.code[d] = code
	}
	v.Digest = data.Sum(fmt.Append(nil, v.Code, v.Signature, v.Limits, v.Graph))
	r.versions = append(r.versions, v)
	return v, true, nil
}

func (r *fakeRegistry) Resolve(_ context.Context, tenant string, ref registry.Ref) (*registry.Version, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range slices.Backward(r.versions) {
		if v.Tenant == tenant && v.Name == ref.Name && (ref.Number == 0 || ref.Number == v.Number) {
			return v, nil
		}
	}
	return nil, &registry.NotFoundError{What: "function", Name: ref.Name}
}

func (r *fakeRegistry) ResolveAll(ctx context.Context, tenant string, refs ...registry.Ref) ([]*registry.Resolved, error) {
	found := make([]*registry.Resolved, len(refs))
	for i, ref := range refs {
		v, err := r.Resolve(ctx, tenant, ref)
		if err != nil {
			return nil, err
		}
		found[i] = &registry.Resolved{Version: v}
		for _, u := range v.Uses {
			if u.IO {
				found[i].Uses = append(found[i].Uses, &registry.Resolved{Version: &registry.Version{Name: u.Name, Kind: registry.KindIO, Signature: u.Signature}})
				continue
			}
			used, err := r.ResolveAll(ctx, tenant, registry.Ref{Name: u.Name, Tag: u.Tag, Number: u.Number, Digest: u.Digest})
			if err != nil {
				return nil, err
			}
			found[i].Uses = append(found[i].Uses, used[0])
		}
	}
	return found, nil
}

func (r *fakeRegistry) Versions(_ context.Context, tenant string, _ registry.Kind, name, _ string, _ int) ([]*registry.Version, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var page []*registry.Version
	for _, v := range r.versions {
		if v.Tenant == tenant && v.Name == name {
			page = append(page, v)
		}
	}
	return page, "", nil
}

func (r *fakeRegistry) List(_ context.Context, _ string, kind registry.Kind, _ string, _ int) ([]*registry.Version, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var page []*registry.Version
	for _, v := range r.versions {
		if v.Kind == kind {
			page = append(page, v)
		}
	}
	return page, "", nil
}

func (r *fakeRegistry) Code(_ context.Context, _ string, d data.Digest) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	code, ok := r.code[d]
	if !ok {
		return nil, errors.New("no such code")
	}
	return code, nil
}

// bench is a dispatcher with everything that a test looks at.
type bench struct {
	*Dispatcher
	engine  *fakeEngine
	reg     *fakeRegistry
	metrics *prometheus.Registry
	log     *bytes.Buffer
}

// newBench makes a dispatcher; finish, which the test calls, closes it and
// checks that nothing was lost.
func newBench(t testing.TB, change func(*Config)) *bench {
	t.Helper()
	c := Config{Workers: 2, CompileWorkers: 1}
	if change != nil {
		change(&c)
	}
	b := &bench{engine: newFakeEngine(), reg: &fakeRegistry{}, metrics: prometheus.NewRegistry(), log: new(bytes.Buffer)}
	var err error
	b.Dispatcher, err = New(c, b.reg, []engine.Engine{b.engine}, b.metrics, slog.New(slog.NewTextHandler(b.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) finish(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
	// What the memo shares is given back a moment after who ran it has left.
	for deadline := time.Now().Add(10 * time.Second); b.permits.counts().memory != 0 && time.Now().Before(deadline); {
		pass(time.Millisecond)
	}
	if c := b.permits.counts(); c.inUse != 0 || c.memory != 0 || c.waiting != [classes]int{} || len(b.permits.places) != 0 {
		t.Errorf("not everything was given back: %+v, places %v", c, b.permits.places)
	}
	if b.permits.alive != 0 || len(b.permits.growing) != 0 || len(b.permits.runs) != 0 {
		t.Errorf("%d instances are alive, %d want to grow, %d runs are not released", b.permits.alive, len(b.permits.growing), len(b.permits.runs))
	}
	if b.ioPool.going != 0 || len(b.ioPool.tenants) != 0 || b.ioPool.able.Len() != 0 {
		t.Errorf("slots for I/O are still in use: %+v", b.ioPool)
	}
	for name, io := range b.io {
		if going, waiting := io.going.Load(), io.waiting.Load(); going != 0 || waiting != 0 {
			t.Errorf("%s: %d calls go on, and %d wait", name, going, waiting)
		}
	}
	if n := b.engine.open.Load(); n != 0 {
		t.Errorf("%d programs were not closed", n)
	}
}

// publish registers code of the fake engine that ends in suffix.
func (b *bench) publish(t testing.TB, suffix string, change func(*Publication)) *registry.Version {
	t.Helper()
	pub := Publication{Tenant: "default", Name: "f" + suffix, Code: []byte("\x00asm" + suffix)}
	if change != nil {
		change(&pub)
	}
	v, _, err := b.Publish(context.Background(), pub)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (b *bench) call(ctx context.Context, v *registry.Version, in ...data.Set) (*Answer, error) {
	return b.Invoke(ctx, Invocation{Tenant: "default", Target: v, Inputs: in})
}

func set(name string, texts ...string) data.Set {
	s := data.Set{Name: name}
	for _, text := range texts {
		s.Items = append(s.Items, data.NewItem("", 0, []byte(text)))
	}
	return s
}

// pass lets the time of a synctest bubble pass.
func pass(d time.Duration) { <-time.After(d) }
