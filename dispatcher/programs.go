package dispatcher

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/registry"
)

// versionBytes is what remembering one more version of a program is charged.
const versionBytes = 256

// programKey is what a loaded program depends on. The tenant is part of it, so
// that how long a publication or a first call takes says nothing of what
// others have.
type programKey struct {
	tenant, engine  string
	code, signature data.Digest
	memory, stack   engine.Bytes // the limits under which it was initialised
}

// versionKey names a version and the engine that runs it, for the table that
// the hot path looks in.
type versionKey struct {
	tenant, engine string
	digest         data.Digest
}

// program is a loaded program. Fields below programs' mutex are guarded by it.
type program struct {
	engine.Program
	key programKey

	peak peak
	deep atomic.Bool // a run of it needed more stack than shallowStack

	calls    int // that use it now; it is not closed before they end
	size     int64
	versions []versionKey
	element  *list.Element
}

// programs keeps prepared programs, closes idle ones that were not used for
// the longest time when there are too many, and loads them again on demand.
type programs struct {
	reg     Functions
	log     *slog.Logger
	pool    compilePool
	timeout time.Duration // for preparing
	observe func(time.Duration, error)

	base   context.Context // of all flights
	cancel context.CancelFunc

	mu        sync.Mutex
	wait      time.Duration // for a flight, queue included
	limit     int64         // bytes
	loaded    map[programKey]*program
	versions  map[versionKey]*program
	flights   map[programKey]*flight
	order     list.List // of *program, most recently used first
	bytes     int64
	evictions int64
}

// flight is the preparation of one program, for all who want it.
type flight struct {
	programs *programs
	key      programKey
	prepare  func(context.Context) (engine.Program, error)
	ctx      context.Context // ends when nobody waits any more
	cancel   context.CancelFunc
	place    place[*flight] // guarded by compilePool.mu
	waiters  int            // guarded by programs.mu
	done     chan struct{}
	program  *program // valid after done, with a call counted for every waiter
	err      error
}

func newPrograms(c Config, reg Functions, log *slog.Logger, observe func(time.Duration, error)) *programs {
	base, cancel := context.WithCancel(context.Background())
	return &programs{
		reg: reg, log: log,
		pool:    compilePool{workers: c.CompileWorkers, most: c.CompileWaiting},
		timeout: c.CompileTimeout, wait: c.CompileTimeout + c.QueueTimeout, limit: c.ProgramBytes, observe: observe,
		base: base, cancel: cancel,
		loaded: make(map[programKey]*program), versions: make(map[versionKey]*program), flights: make(map[programKey]*flight),
	}
}

// bound sets how long programs are waited for, from now on, and how many bytes
// may be loaded, at once.
func (ps *programs) bound(wait time.Duration, limit int64) {
	ps.mu.Lock()
	ps.wait, ps.limit = wait, limit
	idle := ps.evict()
	ps.mu.Unlock()
	ps.closeAll(idle)
}

// lookup is the loaded program of v for e, or nil. The caller releases it.
func (ps *programs) lookup(e engine.Engine, v *registry.Version) *program {
	key := versionKey{v.Tenant, e.Name(), v.Digest}
	ps.mu.Lock()
	p := ps.versions[key]
	if p != nil {
		ps.use(p)
	}
	ps.mu.Unlock()
	return p
}

func (ps *programs) use(p *program) {
	p.calls++
	ps.order.MoveToFront(p.element)
}

// release ends a use of p.
func (ps *programs) release(p *program) {
	ps.mu.Lock()
	p.calls--
	var idle []*program
	if ps.bytes > ps.limit {
		idle = ps.evict()
	}
	ps.mu.Unlock()
	ps.closeAll(idle)
}

// get loads the program of v, which has code for e, if it is not loaded. The
// caller releases it.
func (ps *programs) get(ctx context.Context, e engine.Engine, v *registry.Version) (*program, error) {
	code := v.Code[e.Name()]
	key, err := keyOf(v.Tenant, e, code.Digest, v.Signature, v.Limits)
	if err != nil {
		return nil, err
	}
	p, err := ps.load(ctx, key, func(ctx context.Context) (engine.Program, error) {
		bytes, err := ps.reg.Code(ctx, v.Tenant, code.Digest)
		if err != nil {
			return nil, fmt.Errorf("read the code of %s: %w", v.Name, err)
		}
		return e.Prepare(ctx, bytes, v.Signature, v.Limits)
	})
	if err != nil {
		return nil, err
	}
	vk := versionKey{v.Tenant, e.Name(), v.Digest}
	ps.mu.Lock()
	if ps.versions[vk] == nil {
		ps.versions[vk] = p
		p.versions = append(p.versions, vk)
		p.size += versionBytes
		ps.bytes += versionBytes
	}
	ps.mu.Unlock()
	return p, nil
}

func keyOf(tenant string, e engine.Engine, code data.Digest, sig engine.Signature, lim engine.Limits) (programKey, error) {
	text, err := json.Marshal(sig)
	if err != nil {
		return programKey{}, fmt.Errorf("encode a signature: %w", err)
	}
	return programKey{tenant, e.Name(), code, data.Sum(text), lim.Memory, lim.Stack}, nil
}

// load returns the program of that key, prepared by the given function if
// nobody has done it or is doing it. The caller releases it. When a caller's
// ctx ends, the work goes on for the others who wait.
func (ps *programs) load(ctx context.Context, key programKey, prepare func(context.Context) (engine.Program, error)) (*program, error) {
	ps.mu.Lock()
	if p := ps.loaded[key]; p != nil {
		ps.use(p)
		ps.mu.Unlock()
		return p, nil
	}
	f, running := ps.flights[key]
	if !running {
		f = &flight{programs: ps, key: key, prepare: prepare, done: make(chan struct{})}
		f.ctx, f.cancel = context.WithCancel(engine.WithTenant(ps.base, key.tenant))
		ps.flights[key] = f
	}
	f.waiters++
	wait := ps.wait
	ps.mu.Unlock()
	if !running {
		if err := ps.pool.submit(f); err != nil { //nolint:contextcheck // a flight is for all who wait, so it has a context of its own
			f.finish(nil, err)
		}
	}
	return ps.await(ctx, f, wait)
}

// await waits for a flight, for a bounded time; it has been counted as waiting.
func (ps *programs) await(ctx context.Context, f *flight, wait time.Duration) (*program, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case <-f.done:
		return f.program, f.err
	case <-ctx.Done():
		err = gone(ctx)
	case <-timer.C:
		err = overload(fmt.Sprintf("the function could not be prepared within %s; try again later", wait), nil)
	}
	ps.mu.Lock()
	select {
	case <-f.done: // at the same moment
		ps.mu.Unlock()
		if f.program != nil {
			ps.release(f.program)
		}
		return nil, err
	default:
	}
	f.waiters--
	last := f.waiters == 0
	if last {
		delete(ps.flights, f.key)
	}
	ps.mu.Unlock()
	if last {
		f.cancel()
		ps.pool.withdraw(f)
	}
	return nil, err
}

// run prepares the program, on a goroutine of the pool.
func (f *flight) run() {
	if f.ctx.Err() != nil {
		f.finish(nil, overload("the server is shutting down; try again elsewhere or later", ErrClosed))
		return
	}
	ctx, cancel := context.WithTimeout(f.ctx, f.programs.timeout)
	defer cancel()
	from := time.Now()
	p, err := f.try(ctx)
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = &engine.RejectedError{
			Reason: fmt.Sprintf("compiling it takes longer than the %s that are allowed", f.programs.timeout),
			Hint:   "split its largest functions, or build it with less inlining",
			Costly: true, Err: err,
		}
	case f.ctx.Err() != nil:
		err = overload("the server is shutting down; try again elsewhere or later", ErrClosed)
	}
	f.programs.observe(time.Since(from), err)
	f.finish(p, err)
}

// try calls the engine, whose panic must end nobody else's work.
func (f *flight) try(ctx context.Context) (p engine.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			f.programs.log.ErrorContext(ctx, "engine panicked while it prepared code",
				slog.String("engine", f.key.engine), slog.String("code", f.key.code.String()), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("prepare a function: %w: %v", ErrEnginePanic, r)
		}
	}()
	return f.prepare(ctx)
}

// finish hands the result to everybody who waits.
func (f *flight) finish(loaded engine.Program, err error) {
	ps := f.programs
	var size int64
	if loaded != nil {
		size = loaded.Size()
	}
	var idle []*program
	ps.mu.Lock()
	if ps.flights[f.key] == f {
		delete(ps.flights, f.key)
	}
	switch p := ps.loaded[f.key]; {
	case err != nil:
		f.err = err
	case p != nil: // two flights, because the first was given up
		idle = append(idle, &program{Program: loaded, key: f.key})
		f.program = p
	default:
		f.program = &program{Program: loaded, key: f.key, size: size}
		f.program.element = ps.order.PushFront(f.program)
		ps.loaded[f.key] = f.program
		ps.bytes += size
	}
	if f.program != nil {
		f.program.calls += f.waiters
		idle = append(idle, ps.evict()...)
	}
	close(f.done)
	ps.mu.Unlock()
	f.cancel()
	ps.closeAll(idle)
}

// evict takes out idle programs, those first that were not used for the longest
// time, until the rest is within the limit. ps.mu is held; the caller closes them.
func (ps *programs) evict() (idle []*program) {
	for e := ps.order.Back(); e != nil && ps.bytes > ps.limit; {
		p := e.Value.(*program) //nolint:errcheck // nothing else is put into the list
		e = e.Prev()
		if p.calls > 0 {
			continue
		}
		ps.forget(p)
		ps.evictions++
		idle = append(idle, p)
	}
	return idle
}

func (ps *programs) forget(p *program) {
	ps.order.Remove(p.element)
	delete(ps.loaded, p.key)
	for _, vk := range p.versions {
		delete(ps.versions, vk)
	}
	ps.bytes -= p.size
}

func (ps *programs) closeAll(idle []*program) {
	for _, p := range idle {
		if err := p.Close(); err != nil {
			ps.log.Error("a program did not close", slog.String("engine", p.key.engine), slog.String("code", p.key.code.String()), slog.Any("error", err))
		}
	}
}

// stop ends all flights.
func (ps *programs) stop() { ps.cancel() }

// close ends what is still being prepared and closes all programs. No call may
// be going on.
func (ps *programs) close() error {
	ps.cancel()
	ps.pool.work.Wait()
	ps.mu.Lock()
	var all []*program
	for e := ps.order.Front(); e != nil; e = ps.order.Front() {
		p := e.Value.(*program) //nolint:errcheck // nothing else is put into the list
		ps.forget(p)
		all = append(all, p)
	}
	ps.mu.Unlock()
	var errs []error
	for _, p := range all {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// counts says how many programs are loaded, their bytes, and how many were
// closed to make room.
func (ps *programs) counts() (loaded int, bytes, evictions int64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.loaded), ps.bytes, ps.evictions
}
