package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"pappus/data"
	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/iofuncs"
	"pappus/registry"
)

// MaxItems is the largest number of input items of one invocation.
const MaxItems = 100_000

// detachBytes is the size up to which outputs are copied, so that the context
// goes back at once.
const detachBytes = 64 << 10

// Invocation is one call of a function from outside.
type Invocation struct {
	Tenant string            // who calls, and in whose turn it waits
	Target *registry.Version // what Resolve gave

	// Inputs are sets by name, with items in key order (data.Set.Order). Sets
	// that are declared but missing are empty. With an open signature they may
	// have any names, and the function sees them in this order. The items must
	// stay valid until Invoke returns.
	Inputs []data.Set

	// Copied, if it is not nil, is called with pieces of the items' contents
	// that nobody will read again, by one goroutine at a time, and not after Invoke
	// has returned. Who has large inputs can give their memory back before the function runs.
	Copied func(content []byte)

	// Parallelism is how many instances the any-forms of a composition may make;
	// 0 stands for DefaultParallelism. Functions have no use for it.
	Parallelism int

	// Trace keeps a record of a composition's run, which Answer.RunID names.
	Trace bool

	// Recorded, if it is not nil, is given the record of a composition's run when it
	// ends, whether that is kept or not; nobody writes to it any more. Nothing is
	// recorded of a run that the invocation did not begin. Where several wait for one
	// run it may be called after Invoke has returned.
	Recorded func(*Record)

	// TraceID is the trace that I/O functions are told of; zero: none.
	TraceID iofuncs.TraceID

	// Pure has the invocation end with ErrNotPure if it would apply I/O functions.
	Pure bool

	// Reuse says whether the invocation may be answered from what is remembered,
	// and Keyed that its key is wanted even where remembering does not pay.
	Reuse Reuse
	Keyed bool

	shared  *memo.Shared  // of the run that several invocations have in common; nil: it has its own
	run     *share        // of the run that it is an instance of, or that calls it by name; nil for a call from outside
	opens   bool          // nothing of that run has ended yet
	patient bool          // that has begun, so it waits as long as it may take
	engine  engine.Engine // that was chosen for it; nil before
	worker  *worker       // that runs it; nil for a call from outside, or by name
	depth   int           // compositions around it, where a call by name made it
	tree    *callTree     // of the run that made it, or nil
}

// recorded reports whether a record of its run is wanted.
func (inv *Invocation) recorded() bool { return inv.Trace || inv.Recorded != nil }

// Answer is what an invocation left.
type Answer struct {
	Outputs []data.Set // every declared output set, in order; valid until Release
	Usage   engine.Usage

	// Of a composition, Queue and Prepare are those of its first instance, and Run
	// is the rest, whatever its other instances wait in it.
	Queue   time.Duration // waiting for a permit and memory
	Prepare time.Duration // waiting for the program to be loaded
	Run     time.Duration // in the engine

	Engine string // that ran it; "" for what is not run in one piece, and for what was remembered

	// RunID names the record of a run that is kept. After a run that failed there
	// is an Answer too, which has this, the usage and the times.
	RunID string

	// From says where the answer comes from. After a fault it is there in an Answer
	// that has nothing else.
	From Provenance

	result   engine.Result
	instance instance
	run      *run    // of a composition
	readers  int     // in a run: how many still want to read it
	lent     *Answer // of the run that the result is of; it is charged what that holds
}

// holds is how many bytes of memory the answer is charged.
func (a *Answer) holds() int64 {
	switch {
	case a.run != nil:
		return a.run.share.held.Load()
	case a.lent != nil:
		return a.lent.holds()
	default:
		return a.instance.bytes
	}
}

// Release gives back the memory in which the outputs lie. It must be called
// once the answer has been read; more calls than one have no effect.
func (a *Answer) Release() {
	a.Outputs = nil
	if a.run != nil {
		a.run.release()
		a.run = nil
		return
	}
	a.result.Release()
	if a.instance.bytes > 0 {
		a.instance.permits.end(&a.instance, 0)
	}
}

// Invoke runs a function once and returns its answer, which the caller
// releases. Errors are *InputError when the inputs can't be the function's,
// *engine.RejectedError when its code, which was accepted once, can't be
// prepared any more, and *engine.Fault for everything that can go wrong
// afterwards, overload included; other errors are defects of the platform.
// When ctx ends, the invocation ends soon, with a fault.
func (d *Dispatcher) Invoke(ctx context.Context, inv Invocation) (*Answer, error) {
	a, err := d.invoke(ctx, inv)
	d.metrics.ended(err)
	return a, err
}

func (d *Dispatcher) invoke(ctx context.Context, inv Invocation) (*Answer, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	return d.target(ctx, inv)
}

// target runs what an invocation is of.
func (d *Dispatcher) target(ctx context.Context, inv Invocation) (*Answer, error) {
	var err error
	if inv.Inputs, err = arrange(inv.Target.Signature, inv.Inputs); err != nil {
		return nil, err
	}
	switch inv.Target.Kind {
	case registry.KindComposition:
		return d.runComposition(ctx, inv)
	case registry.KindIO:
		return d.runIO(ctx, inv)
	default:
		return d.runFunction(ctx, &inv)
	}
}

// runInstance runs one instance of a function from admission to answer. An
// invocation of a function is exactly one; a graph makes several. The inputs
// are arranged.
func (d *Dispatcher) runInstance(ctx context.Context, inv *Invocation) (*Answer, error) {
	v := inv.Target
	a, scheduled := inv.worker.answer()
	// One by one: whole structures would be made elsewhere, and copied.
	i := &a.instance
	i.permits, i.tenant, i.worker = d.permits, inv.Tenant, inv.worker
	i.run, i.opens, i.patient = inv.run, inv.opens, inv.patient
	scheduled.Context, scheduled.Scheduler, scheduled.Copied = ctx, i, inv.Copied
	if inv.shared != nil {
		scheduled.Placed = inv.shared.Placed // it needs none of its caller's memory then
	}
	if inv.worker != nil {
		scheduled.Worker = inv.worker
	}
	began := inv.worker.now()
	prepared := began
	p := inv.worker.loaded(v)
	if p == nil {
		e := d.choose(inv)
		if e == nil {
			return nil, fmt.Errorf("version %d of %s has code for none of this server's engines", v.Number, v.Name)
		}
		if p = d.programs.lookup(e, v); p == nil {
			inv.worker.pause(d.permits)
			var err error
			if p, err = d.prepare(ctx, inv.Tenant, e, v); err != nil {
				return nil, err
			}
			prepared = time.Now()
		}
		if inv.worker != nil {
			d.keep(inv.worker, v, p)
		}
	}
	if inv.worker == nil {
		defer d.programs.release(p)
	}

	// Who gives inputs back while they are copied can't run twice.
	once := inv.Copied != nil || d.permits.strict
	for whole := once; ; {
		lim := v.Limits
		if !once && !p.deep.Load() {
			lim.Stack = min(lim.Stack, shallowStack)
		}
		i.stack = p.Stack(lim)
		least, need := d.permits.charge(engine.PageSize, i.stack), d.permits.charge(int64(lim.Memory), i.stack)
		if i.least = least; once {
			i.least = 0
		}
		if !whole {
			need = min(need, max(least, d.permits.charge(p.peak.bytes(), i.stack)))
		}
		err := d.attempt(scheduled, a, p, inv, lim, need) //nolint:contextcheck // it is ctx with the scheduler
		switch {
		case err == nil:
			a.Prepare, a.Queue = prepared.Sub(began), i.began.Sub(prepared)
			a.Engine = p.key.engine
			if len(v.Code) > 1 {
				d.costs.took(d.engines, v, a.Engine, a.Usage.Run-a.Usage.Parked)
			}
			d.succeeded(inv.worker, a)
			return a, nil
		case errors.Is(err, engine.ErrDropped):
			if !inv.again() {
				return nil, memo.ErrInputsGone
			}
			whole, i.patient = true, true
		case engine.KindOf(err) == engine.FaultOutOfStack && lim.Stack < v.Limits.Stack:
			if !inv.again() {
				return nil, memo.ErrInputsGone
			}
			p.deep.Store(true)
			i.patient = true
		default:
			return nil, err
		}
	}
}

// choose is the engine for an invocation, which stays its own; nil if there is none.
func (d *Dispatcher) choose(inv *Invocation) engine.Engine {
	if inv.engine == nil {
		inv.engine = d.place(d.engines, *inv)
	}
	return inv.engine
}

// shallowStack is the stack limit that functions run under which were not seen
// to need more; one that does is run again with its own. So an instance is not
// charged for a deep stack that it does not use.
const shallowStack = 512 << 10

// attempt runs an instance once, with need bytes of memory charged when it starts.
func (d *Dispatcher) attempt(ctx *engine.Scheduled, a *Answer, p *program, inv *Invocation, lim engine.Limits, need int64) error {
	i := &a.instance
	if !inv.worker.lend(i, need) {
		if err := d.permits.start(ctx, i, need); err != nil {
			return err
		}
	}
	keep := int64(0)
	ended := false // well, and nothing is left in the context
	defer func() {
		if !ended || !inv.worker.borrow(i, keep) {
			d.permits.end(i, keep)
		}
	}()
	var err error
	a.result, err = d.execute(ctx, p, inv, lim)
	if err != nil {
		if fault := (*engine.Fault)(nil); errors.As(err, &fault) {
			p.peak.see(fault.Usage.MemoryPages * engine.PageSize)
		}
		return err
	}
	p.peak.see(a.result.Usage.MemoryPages * engine.PageSize)
	if size := data.Size(a.result.Outputs); size <= detachBytes {
		a.result.Detach()
		keep, ended = size, true
	} else {
		keep = max(size, a.result.Held)
	}
	a.Outputs, a.Usage = a.result.Outputs, a.result.Usage
	a.Run = time.Since(i.began)
	inv.worker.see(i.began.Add(a.Run))
	return nil
}

// prepare loads the program of v for e. An invocation that waits for this
// counts as waiting.
func (d *Dispatcher) prepare(ctx context.Context, tenant string, e engine.Engine, v *registry.Version) (*program, error) {
	if err := d.permits.enterQueue(tenant); err != nil {
		return nil, err
	}
	defer d.permits.exitQueue(tenant)
	return d.programs.get(ctx, e, v)
}

// execute runs the program. A panic of the engine ends this run alone.
func (d *Dispatcher) execute(ctx context.Context, p *program, inv *Invocation, lim engine.Limits) (r engine.Result, err error) {
	v := inv.Target
	defer func() {
		if cause := recover(); cause != nil {
			d.log.ErrorContext(ctx, "engine panicked",
				slog.String("engine", p.key.engine), slog.String("function", v.Name), slog.Int64("version", v.Number),
				slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("run %s: %w: %v", v.Name, ErrEnginePanic, cause)
		}
	}()
	if inv.shared != nil {
		if longest := inv.shared.Timeout(); longest > 0 {
			lim.Timeout = engine.Duration(longest)
		}
	}
	return p.Run(ctx, inv.Inputs, lim)
}

// again reports whether the inputs are still there, for a run that begins again.
func (inv *Invocation) again() bool { return inv.shared == nil || inv.shared.Again() }

// arrange brings sets into the order of the signature.
func arrange(sig engine.Signature, in []data.Set) ([]data.Set, error) {
	if n := data.Count(in); n > MaxItems {
		return nil, &InputError{Reason: fmt.Sprintf("the inputs have %d items; the most is %d", n, MaxItems)}
	}
	if sig.Open {
		return in, checkOpen(in)
	}
	if slices.EqualFunc(in, sig.Inputs, func(s data.Set, p engine.Param) bool { return s.Name == p.Name }) {
		return in, nil
	}
	return match(sig, in)
}

// match puts sets, given by name, where the signature has them.
func match(sig engine.Signature, in []data.Set) ([]data.Set, error) {
	sets := make([]data.Set, len(sig.Inputs))
	index := make(map[string]int, len(sets))
	for i, p := range sig.Inputs {
		sets[i].Name = p.Name
		index[p.Name] = i
	}
	seen := make([]bool, len(sets))
	for _, s := range in {
		i, ok := index[s.Name]
		switch {
		case !ok:
			return nil, &InputError{Set: s.Name, Reason: "is not declared; " + declared(sig)}
		case seen[i]:
			return nil, &InputError{Set: s.Name, Reason: "is given twice; put all of its items into one set"}
		}
		seen[i] = true
		sets[i].Items = s.Items
	}
	return sets, nil
}

// declaredNames is how many names of sets a message lists.
const declaredNames = 20

func declared(sig engine.Signature) string {
	if len(sig.Inputs) == 0 {
		return "the function takes no inputs"
	}
	names := make([]string, 0, declaredNames)
	for _, p := range sig.Inputs[:min(len(sig.Inputs), declaredNames)] {
		names = append(names, fmt.Sprintf("%q", p.Name))
	}
	list := strings.Join(names, ", ")
	if more := len(sig.Inputs) - len(names); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return "the function declares " + list
}

// checkOpen checks the sets of a function without a signature.
func checkOpen(in []data.Set) error {
	if len(in) > engine.MaxParams {
		return &InputError{Reason: fmt.Sprintf("the inputs have %d sets; the most is %d", len(in), engine.MaxParams)}
	}
	if len(in) < 2 {
		return nil
	}
	seen := make(map[string]bool, len(in))
	for _, s := range in {
		if seen[s.Name] {
			return &InputError{Set: s.Name, Reason: "is given twice; put all of its items into one set"}
		}
		seen[s.Name] = true
	}
	return nil
}
