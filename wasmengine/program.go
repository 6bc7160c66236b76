package wasmengine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/abi"
	"pappus/engine/domain"
	"pappus/engine/slice"
	"pappus/wasmengine/compiler"
)

// What a loaded program holds besides its machine code and its image, in
// bytes: a runtime, the host module, trampolines and an idle instance; and for
// each byte of the module, which wazero keeps decoded. Measured by TestSize.
const (
	programOverhead = 64 << 10
	moduleFactor    = 2
)

// Program is a compiled module and the instances of it that wait for a call.
type Program struct {
	engine  *Engine
	facts   facts
	names   exportNames
	imaged  bool // calls start from an image, and instances can be brought back to it
	sig     engine.Signature
	outputs []string
	size    int64
	image   *image // with imaged, once it is made

	sources  *sources // nil: the module has none
	initFuel int64    // that initialisation used when prepare ran it

	runtime  wazero.Runtime
	cache    wazero.CompilationCache // nil without files of machine code
	compiled wazero.CompiledModule
	// How instances are made. The name section must not name them: a second one
	// of that name would fail.
	instances wazero.ModuleConfig

	warmth domain.Warmth

	place int // in idlers.programs, under its lock

	mu     sync.Mutex
	idle   []*instance
	called bool // since the hand of idlers was here
	live   int  // instances in calls and in results that are not released
	closed bool // Close was called; the last instance to come back ends the program
}

var _ engine.Program = (*Program)(nil)

// exportNames are the names under which a metered module exports what the
// platform uses.
type exportNames struct {
	Fuel, Stack, Reset, Start string
	Globals                   []string
}

func newProgram(e *Engine, m *runnable, sig engine.Signature, rt wazero.Runtime, cache wazero.CompilationCache) *Program {
	p := &Program{
		engine:  e,
		facts:   m.Facts,
		names:   m.Names,
		imaged:  m.Imaged,
		sig:     sig,
		size:    programOverhead + moduleFactor*int64(len(m.code)),
		runtime: rt,
		cache:   cache,

		instances: wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(noRandom{}),
	}
	for _, o := range sig.Outputs {
		p.outputs = append(p.outputs, o.Name)
	}
	e.idlers.add(p)
	return p
}

// Stack is what the machine's stack may grow to under a stack limit: as much of
// it as MaxStack says for the limit, and twice that, since it is doubled.
func (p *Program) Stack(lim engine.Limits) int64 {
	if p.facts.MaxStack == 0 {
		return 0 // interpreted
	}
	return 2 * int64(float64(compiler.StackBytes)*float64(lim.Stack)/float64(max(p.facts.MaxStack, lim.Stack)))
}

// Size is about what the program holds while it is loaded, in bytes.
func (p *Program) Size() int64 { return p.size }

// Close gives back code and idle instances, once no call runs and no result is
// held any more: what they use stays until then.
func (p *Program) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	idle, last := p.idle, p.live == 0
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	var errs []error
	p.engine.idlers.remove(p)
	for _, i := range idle {
		p.engine.unreserve(i.warm)
		errs = append(errs, i.close())
	}
	if last {
		errs = append(errs, p.closeRuntime())
	}
	return errors.Join(errs...)
}

func (p *Program) closeRuntime() error {
	ctx := context.Background() // closing is not bound to any request
	err := p.runtime.Close(ctx)
	if p.cache != nil {
		err = errors.Join(err, p.cache.Close(ctx))
	}
	return errors.Join(err, p.image.close())
}

// Run executes the function once. See engine.Program.
func (p *Program) Run(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
	sets, err := p.sig.Arrange(in)
	if err != nil {
		return engine.Result{}, err
	}
	if err := p.sig.CheckInputs(sets); err != nil {
		return engine.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled, Detail: "the caller went away before the function started", Err: err}
	}
	pages := p.facts.MinPages
	if p.image != nil {
		pages = p.image.pages
	}
	at, err := p.facts.entryFor(pages, p.most(lim), sets, p.outputs)
	if err != nil {
		return engine.Result{}, err
	}
	if err := slice.Claim(ctx, int64(at.pages)*engine.PageSize); err != nil {
		return engine.Result{}, err
	}
	i, err := p.take(ctx, lim, at.pages)
	if err != nil {
		return engine.Result{}, err
	}
	result, err := p.run(ctx, i, at, sets, lim)
	if err != nil {
		// Whatever happened inside, such an instance is not used again.
		p.give(i, true)
		return engine.Result{}, err
	}
	return result, nil
}

func (p *Program) run(ctx context.Context, i *instance, at entry, sets []data.Set, lim engine.Limits) (engine.Result, error) {
	if err := i.begin(ctx, lim); err != nil {
		return engine.Result{}, err
	}
	if p.image == nil {
		// Initialisation may have grown the memory, and inputs go above that.
		var err error
		if at, err = p.facts.entryFor(i.pages(), i.memory.most, sets, p.outputs); err != nil {
			return engine.Result{}, err
		}
		if err := slice.Claim(ctx, int64(at.pages)*engine.PageSize); err != nil {
			return engine.Result{}, err
		}
	}
	if !i.grow(at.pages) {
		return engine.Result{}, fmt.Errorf("grow a memory of %d pages to %d", i.pages(), at.pages)
	}
	i.entryPages = at.pages
	i.observe(p.warmth.Due())
	if p.image != nil {
		p.image.write(i.bytes())
	}
	abi.Wasm32.Place(i.bytes(), uint64(p.facts.System), at.base, at.heap, sets, p.outputs, engine.CopiedOf(ctx))
	empty := emptyOf(sets)
	engine.Placed(ctx) // from here on nobody reads the sets

	usage, err := i.call(ctx, i.entry, lim)
	usage.MemoryPages = int64(i.pages())
	code := abi.ExitCode(i.bytes(), uint64(p.facts.System))
	if err = verdict(ctx, err, code, i); err != nil {
		return engine.Result{}, p.fault(err, usage, i, empty, lim)
	}
	outputs, err := abi.Wasm32.Outputs(i.bytes(), uint64(p.facts.System), p.outputs, lim)
	if err == nil {
		err = p.sig.CheckOutputs(outputs)
	}
	if err != nil {
		return engine.Result{}, p.fault(err, usage, i, empty, lim)
	}
	held := int64(0)
	if data.Count(outputs) > 0 {
		held = int64(i.pages()) * engine.PageSize
	}
	return engine.NewResult(outputs, usage, held, func() { p.give(i, false) }), nil
}

// fault completes a fault with usage and what the function said. empty is what
// inputs lacked.
func (p *Program) fault(err error, usage engine.Usage, i *instance, empty missing, lim engine.Limits) error {
	var f *engine.Fault
	if !errors.As(err, &f) {
		return err
	}
	f.Usage = usage
	abi.Wasm32.AddStderr(f, i.bytes(), uint64(p.facts.System), p.sig, p.outputs, lim)
	if f.Hint == "" {
		f.Hint = hintFor(f, empty, p.sig)
	}
	return err
}

// errClosed is returned by Run after Close.
var errClosed = errors.New("the program is closed")

// take finds an idle instance whose memory can begin the call with the given
// size, or makes one. The caller gives it back.
func (p *Program) take(ctx context.Context, lim engine.Limits, pages uint32) (*instance, error) {
	most, worker := p.most(lim), engine.WorkerOf(ctx)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	p.live++
	p.called = true
	if n := p.choose(most, pages, worker); n >= 0 {
		i := p.idle[n]
		p.idle[n] = p.idle[len(p.idle)-1]
		p.idle[len(p.idle)-1] = nil
		p.idle = p.idle[:len(p.idle)-1]
		p.mu.Unlock()
		p.engine.unreserve(i.warm)
		p.engine.reused.Add(1)
		i.worker = worker
		return i, nil
	}
	p.mu.Unlock()
	i, err := p.instantiate(ctx, lim)
	for errors.Is(err, domain.ErrExhausted) && p.engine.evict() {
		i, err = p.instantiate(ctx, lim)
	}
	if errors.Is(err, domain.ErrExhausted) {
		err = &engine.Fault{Kind: engine.FaultOverload, Detail: "all contexts are in use; try again later", Err: err}
	}
	if err != nil {
		p.leave(nil)
		return nil, err
	}
	i.worker = worker
	return i, nil
}

// choose finds an idle instance: the one that the worker had before, or else the
// one that was used last. It is -1 if there is none. p.mu is held.
func (p *Program) choose(most, pages uint32, worker any) int {
	chosen := -1
	for n := len(p.idle) - 1; n >= 0; n-- {
		i := p.idle[n]
		switch {
		case i.memory.most != most || i.pages() > pages: // made under another memory limit, or too large: memory can't shrink
		case worker == nil || i.worker == worker:
			return n
		case chosen < 0:
			chosen = n
		}
	}
	return chosen
}

// leave counts an instance out of its call and keeps it if there is room. The
// last one to leave a closed program ends it.
func (p *Program) leave(i *instance) (kept bool) {
	p.mu.Lock()
	p.live--
	if kept = i != nil && !p.closed && len(p.idle) < p.engine.config.Idle; kept {
		p.idle = append(p.idle, i)
	}
	last := p.closed && p.live == 0
	p.mu.Unlock()
	if last {
		_ = p.closeRuntime() // Close has returned: there is nobody to tell
	}
	return kept
}

// most is the largest memory in pages that a run under lim may have.
func (p *Program) most(lim engine.Limits) uint32 {
	return uint32(min(int64(lim.Memory)/engine.PageSize, int64(p.facts.MaxPages)))
}

// give takes an instance back when a call is over. It is kept for the next one
// only if it can be brought back to exactly its first state: its memory
// sanitised and of the size with which the next call begins, everything else
// put back by the reset that package meter made.
func (p *Program) give(i *instance, broken bool) {
	e := p.engine
	i.learn(&p.warmth)
	keep := p.imaged && !broken && i.pages() == i.entryPages && e.config.Idle > 0 && i.memory.region.Huge() == p.warmth.Huge()
	if keep {
		i.warm = min(p.warmth.Prefix(), int64(i.memory.size))
		keep = i.trim() && i.memory.region.Sanitize(int64(i.memory.size), i.warm) == nil && e.reserve(i.warm)
	}
	if !keep {
		// The region goes back through the domain's pool, which sanitises it.
		_ = i.close()
		p.leave(nil)
		return
	}
	warm := i.warm
	if !p.leave(i) {
		e.unreserve(warm)
		_ = i.close()
	}
}
