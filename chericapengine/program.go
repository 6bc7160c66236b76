package chericapengine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"pappus/chericapengine/capability"
	"pappus/chericapengine/loader"
	"pappus/data"
	"pappus/engine"
	"pappus/engine/abi"
	"pappus/engine/domain"
	"pappus/engine/slice"
)

// heapRoom is how much a context has at first behind what is placed, at least.
const heapRoom = engine.PageSize

// Program is a function that was read and decoded.
type Program struct {
	engine  *Engine
	image   *loader.Image
	code    code
	native  code // nil: there is none
	source  *source
	sig     engine.Signature
	outputs []string
	size    int64
	closed  atomic.Bool
}

var _ engine.Program = (*Program)(nil)

// Stack is 0: the stack of a native function is in its context.
func (p *Program) Stack(engine.Limits) int64 { return 0 }

// Size is about what the program holds while it is loaded, in bytes.
func (p *Program) Size() int64 { return p.size }

// Close ends the program. What runs and results use is theirs.
func (p *Program) Close() error {
	p.closed.Store(true)
	return nil
}

// smallest is the least memory that a function can be entered with.
func smallest(image *loader.Image) int64 {
	return int64(whole(image.End) * engine.PageSize)
}

// whole is the number of pages of the platform that hold n bytes.
func whole(n uint64) uint64 { return (n + engine.PageSize - 1) / engine.PageSize }

// most is the largest context that a memory limit allows: capabilities can't have
// every size.
func most(lim engine.Limits) int64 {
	n := uint64(lim.Memory) &^ (engine.PageSize - 1)
	return int64(n & capability.RepresentableMask(n))
}

// fitting is the smallest size of a context from n bytes on; most is one.
func fitting(n, most int64) int64 {
	pages := whole(uint64(n)) * engine.PageSize
	return min(int64(capability.RepresentableLength(pages)), most)
}

// Run executes the function once. See engine.Program.
func (p *Program) Run(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
	if p.closed.Load() {
		return engine.Result{}, errClosed
	}
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
	c, err := p.call(sets, lim)
	if err != nil {
		return engine.Result{}, err
	}
	if err := slice.Claim(ctx, c.size); err != nil {
		return engine.Result{}, err
	}
	if c.region, err = p.engine.pool.Get(c.limit+returnRoom, false); err != nil {
		if errors.Is(err, domain.ErrExhausted) {
			err = &engine.Fault{Kind: engine.FaultOverload, Detail: "all contexts are in use; try again later", Err: err}
		}
		return engine.Result{}, err
	}
	result, err := c.run(ctx, sets)
	if err != nil {
		c.release()
	}
	return result, err
}

// call is one run of a function.
type call struct {
	program *Program
	limits  engine.Limits
	code    code
	limit   int64 // bytes that the context may have
	base    int64 // where inputs are placed
	size    int64 // bytes that it has

	region *domain.Region
	slices slice.Run
	thread thread
}

// call works out where things come to lie.
func (p *Program) call(sets []data.Set, lim engine.Limits) (*call, error) {
	c := &call{program: p, limits: lim, limit: most(lim), base: abi.Align(int64(p.image.End))}
	if least := smallest(p.image); c.limit < least {
		return nil, fmt.Errorf("memory limit %s is below the %s that the function takes", lim.Memory, engine.Bytes(least))
	}
	need := abi.Native64.Size(sets, p.outputs)
	if need > c.limit-c.base {
		return nil, abi.TooSmall(need, max(c.limit-c.base, 0))
	}
	c.size, c.code = fitting(c.base+need+heapRoom, c.limit), p.code
	if p.native != nil && lim.Fuel == 0 {
		c.size, c.code = c.limit, p.native // it can't be extended while it runs, and counts nothing
	}
	return c, nil
}

// memory is all that the function may come to have. What it has not reached yet is
// zero.
func (c *call) memory() []byte { return c.region.Bytes()[:c.limit] }

func (c *call) run(ctx context.Context, sets []data.Set) (engine.Result, error) {
	p := c.program
	mem := c.memory()
	for i := range p.image.Segments {
		s := &p.image.Segments[i]
		copy(mem[s.Address:], s.Data)
	}
	abi.Native64.Place(mem, p.image.System, c.base, abi.Heap{Begin: -1, End: c.limit}, sets, p.outputs, engine.CopiedOf(ctx))
	engine.Placed(ctx)

	err := c.execute(ctx)
	if f := (*engine.Fault)(nil); errors.As(err, &f) {
		if gone := c.trace(ctx, f); gone != nil {
			err = slice.Canceled(gone)
		}
	}
	if err == nil {
		err = abi.Exited(abi.ExitCode(mem, p.image.System))
	}
	var outputs []data.Set
	if err == nil {
		outputs, err = c.outputs(mem)
	}
	usage := c.usage()
	if err == nil {
		err = p.sig.CheckOutputs(outputs)
	}
	if err != nil {
		if f := (*engine.Fault)(nil); errors.As(err, &f) {
			f.Usage = usage
			abi.Native64.AddStderr(f, mem, p.image.System, p.sig, p.outputs, c.limits)
		}
		return engine.Result{}, err
	}
	held := int64(0)
	if data.Count(outputs) > 0 {
		held = c.size
	}
	return engine.NewResult(outputs, usage, held, c.release), nil
}

// outputs reads what the function left. All its memory is there from the start, so
// it may name what it has not been to, which is zero: then it reaches that now.
func (c *call) outputs(mem []byte) ([]data.Set, error) {
	outputs, end, err := abi.Native64.OutputsEnd(mem, c.program.image.System, c.program.outputs, c.limits)
	if err != nil || end <= c.size {
		return outputs, err
	}
	size := fitting(end, c.limit)
	if err := c.slices.Grow(size); err != nil {
		return nil, err
	}
	c.size = size
	return outputs, nil
}

// execute runs the function from its entry to its end.
func (c *call) execute(ctx context.Context) error {
	p := c.program
	granted := c.slices.Begin(ctx, c.limits, p.engine.config.Slice)
	stack := int64(p.image.Start) &^ 15 // whatever the limit: the function sees where it is
	t, err := c.code.enter(entered{memory: c.region.Bytes()[:c.limit+returnRoom], size: c.size, stack: stack})
	if err != nil {
		return fmt.Errorf("enter a function: %w", err)
	}
	c.thread = t
	for {
		// One more than the limit, so that it is seen to be passed.
		s := t.run(max(granted-t.retired(), 1))
		switch {
		case s.why == left:
			return c.slices.CheckFuel(t.retired())
		case s.why == paused:
			if _, err := c.slices.Next(t.retired()); err != nil {
				return err
			}
			granted = c.slices.Granted()
		case !c.reaches(s):
			// A branch to nowhere counts, and may be one too many.
			if err := c.slices.CheckFuel(t.retired()); err != nil {
				return err
			}
			return fault(s)
		default:
			if err := c.grow(int64(s.address + s.size)); err != nil {
				return err
			}
		}
	}
}

// trace adds the function's calls to a fault. It fails if the caller goes away while
// that waits for others: one that is remembered must not lack them because of who waited.
func (c *call) trace(ctx context.Context, f *engine.Fault) (err error) {
	at, ok := c.thread.where()
	if !ok {
		return nil
	}
	f.Stack, err = c.program.source.calls(ctx, at, c.memory()[:c.size])
	if err != nil || f.Kind != engine.FaultOutOfStack {
		return err
	}
	f.Hint = hintStack
	if name := recursive(f.Stack); name != "" {
		f.Hint = name + " calls itself: look for a recursion that has no end; if it is only deep, link the function higher: what lies below it is its stack"
	}
	return nil
}

// usage ends the thread and tells what was used.
func (c *call) usage() engine.Usage {
	fuel := int64(0)
	if c.thread != nil {
		fuel = c.thread.retired()
		c.thread.leave()
		c.thread = nil
	}
	usage := c.slices.Usage(fuel)
	usage.MemoryPages = int64(whole(uint64(c.size)))
	return usage
}

// reaches reports whether an access was to memory that the function may have, and
// has not reached before.
func (c *call) reaches(s stop) bool {
	limit := uint64(c.limit)
	return s.outside && s.size <= limit && s.address <= limit-s.size && s.address+s.size > uint64(c.size)
}

// grow lets the function reach the memory below an address: some more than that,
// so that going through a lot of memory takes few steps.
func (c *call) grow(end int64) error {
	size := fitting(max(end, c.size+c.size/8), c.limit)
	if err := c.slices.Grow(size); err != nil {
		return err
	}
	c.size = size
	c.thread.extend(size)
	return nil
}

// fault is what a stop of the machine means. The stack ends at address 0: what
// goes on behind that leaves the context.
func fault(s stop) *engine.Fault {
	const frame = 1024 // an access whose base is the stack pointer reaches so far below it
	if s.outside && int64(s.address) < 0 && int64(s.stack) < frame {
		return &engine.Fault{Kind: engine.FaultOutOfStack, Detail: "its calls nest deeper than its stack holds: " + s.detail}
	}
	return &engine.Fault{Kind: engine.FaultTrap, Detail: s.detail, Hint: s.hint}
}

// release gives the context back, which is emptied.
func (c *call) release() {
	region := c.region
	c.region = nil
	// A region that can't be sanitised is unmapped by the pool; there is nobody to
	// tell, and nothing else to do. Behind the limit the driver may have written.
	_ = c.program.engine.pool.Put(region, c.limit+returnRoom, 0)
}
