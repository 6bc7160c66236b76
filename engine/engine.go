package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"pappus/data"
)

// Engine prepares code of one kind and runs it in isolated contexts. All
// methods may be called from many goroutines.
type Engine interface {
	// Name is "wasm" or "chericap": as in registrations, metrics and placement.
	Name() string

	// Semantics names what results depend on besides code, signature, inputs and
	// limits: the version of what the engine makes of code, and the kind of machine
	// where that matters. What was remembered under another one is not true of it.
	Semantics() string

	// Recognizes reports whether code looks like something for this engine,
	// judged by its first bytes.
	Recognizes(code []byte) bool

	// Inspect verifies code without compiling it, in time linear in its length,
	// and says what can be known of it. It fails with *RejectedError.
	Inspect(code []byte) (Inspection, error)

	// Prepare verifies and compiles code, and makes ready what every run will
	// start from. It fails with *RejectedError when the code can't be accepted,
	// with ctx's error when it is cancelled. It may take seconds and belongs
	// on a bounded pool.
	Prepare(ctx context.Context, code []byte, sig Signature, lim Limits) (Program, error)

	// Close releases what the engine holds. All programs must be closed before.
	Close() error
}

// Program is prepared code. Run may be called from many goroutines.
type Program interface {
	// Run executes the function once, in a context that nobody used before it
	// was sanitised. The sets of in are matched to the signature's inputs by
	// name; declared sets that are missing are empty, and items must be in key
	// order (data.Set.Order). Input items must stay valid until Run returns.
	//
	// When the function fails the error is a *Fault; other errors are the
	// platform's own. Cancelling ctx ends the run with FaultCanceled. The
	// scheduler of ctx (WithScheduler) is asked at slice boundaries.
	//
	// Outputs hold every declared set, in order, empty or not. A set that is
	// declared as one item and does not hold exactly one, among the inputs or
	// the outputs, is a fault too (Signature.CheckInputs and CheckOutputs).
	Run(ctx context.Context, in []data.Set, lim Limits) (Result, error)

	// Stack is the most bytes that the calls of a run under these limits may take
	// besides the run's memory: what the machine's stack grows to.
	Stack(lim Limits) int64

	// Size is the number of bytes that the program holds while it is loaded.
	Size() int64

	// Close ends the program: Run fails from then on. What runs that are going
	// on and results that are not released use is given back when they end.
	Close() error
}

// Inspection is what can be known of code without running it.
type Inspection struct {
	Manifest Manifest // what the code says of itself
	Layout   string   // where inputs are placed: "dandelion", "grow", "fixed"; "" where there is no choice
	Memory   int64    // initial memory in bytes; the memory limit can't be lower
	Exports  []string // names, in the order of the code
}

// Refusals yields why the code can't be registered under limits, maximum being
// the highest that it may have.
func (i Inspection) Refusals(lim, maximum Limits) iter.Seq[*RejectedError] {
	return func(yield func(*RejectedError) bool) {
		for err := range lim.Violations(maximum) {
			if !yield(&RejectedError{Reason: "its manifest asks for too much: " + err.Error(), Hint: "lower the limit in the manifest or in the request", Err: err}) {
				return
			}
		}
		if i.Memory > int64(lim.Memory) {
			yield(&RejectedError{
				Reason: fmt.Sprintf("its initial memory is %s, and its memory limit %s", Bytes(i.Memory).Long(), lim.Memory.Long()),
				Hint:   "raise the memory limit, or build it with less initial memory",
			})
		}
	}
}

// Result is what a run left. Outputs may point into the run's context: they
// are valid until Release.
type Result struct {
	Outputs []data.Set
	Usage   Usage
	Held    int64 // bytes of context memory that Outputs keep from being used again; 0 if none

	release func()
}

// NewResult makes a result whose Release calls release once; release may be
// nil when the outputs depend on nothing. Where it is not, the items are the
// result's own: Detach changes them.
func NewResult(outputs []data.Set, usage Usage, held int64, release func()) Result {
	return Result{Outputs: outputs, Usage: usage, Held: held, release: release}
}

// Release gives the context back. Outputs must not be used afterwards. More
// calls than one have no effect; they must not be concurrent.
func (r *Result) Release() {
	if f := r.release; f != nil {
		r.release = nil
		r.Outputs = nil
		r.Held = 0
		f()
	}
}

// Detached reports whether the outputs depend on nothing that Release gives back.
func (r *Result) Detached() bool { return r.release == nil }

// Detach copies what outputs have in the context and releases it, so that they
// live as long as they are referred to. Nobody else may have read them yet.
func (r *Result) Detach() {
	if r.release == nil {
		return
	}
	buf := make([]byte, 0, data.Size(r.Outputs))
	for _, s := range r.Outputs {
		for _, it := range s.Items {
			from := len(buf)
			buf = append(buf, it.Bytes()...)
			it.Move(buf[from:len(buf):len(buf)])
		}
	}
	out := r.Outputs
	r.Release()
	r.Outputs = out
}

// Usage is what a run took. Fuel and MemoryPages are deterministic: the same
// code on the same inputs under the same limits has the same usage.
type Usage struct {
	Fuel        int64 // units of the engine's fuel model
	MemoryPages int64 // pages of 64 KiB in use at the end, placed inputs included

	Run    time.Duration // from the first instruction to the last, parked time included
	Parked time.Duration // of Run, how long the instance waited for its permit back
}

// Scheduler decides whether an instance goes on: at slice boundaries, and when
// it needs more memory.
type Scheduler interface {
	// Yield is called by an engine several times a millisecond of a run, on the
	// goroutine that runs it. It may block while others have the processor,
	// until deadline or the end of ctx at most, and then returns how long it
	// did. An error ends the run: context.DeadlineExceeded as FaultDeadline,
	// everything else as FaultCanceled.
	Yield(ctx context.Context, deadline time.Time) (parked time.Duration, err error)

	// Grow is called by an engine before the memory of a run becomes larger, on
	// the goroutine that runs it, with all the bytes that it will have then: the
	// first time before inputs are placed, with a zero deadline. It may block as
	// Yield does. An error ends the run in the same way, but for ErrDropped and
	// faults, which Run returns as they are.
	Grow(ctx context.Context, bytes int64, deadline time.Time) (parked time.Duration, err error)
}

// ErrDropped ends a run whose scheduler has no memory for it. It is no fault of
// the function: the same run again, when there is memory, does what this one
// would have done.
var ErrDropped = errors.New("there is no memory for it to go on; it can be run again")

type schedulerKey struct{}

// Scheduled is a context whose runs ask a scheduler at slice boundaries.
type Scheduled struct {
	context.Context
	Scheduler Scheduler
	Worker    any                  // pointer to who runs one instance after the other; nil if nobody does
	Copied    func(content []byte) // see WithCopied; nil if nobody wants to know
	Placed    func()               // see Placed; nil if nobody wants to know
}

// Value gives what it has to those who ask for that, and the context's values to
// everyone else.
func (s *Scheduled) Value(key any) any {
	switch key {
	case schedulerKey{}:
		return s.Scheduler
	case workerKey{}:
		return s.Worker
	case copiedKey{}:
		return s.Copied
	case placedKey{}:
		return s.Placed
	}
	return s.Context.Value(key)
}

// WithScheduler returns a context whose runs ask s at slice boundaries: a
// Scheduled.
func WithScheduler(ctx context.Context, s Scheduler) context.Context {
	return &Scheduled{Context: ctx, Scheduler: s, Copied: CopiedOf(ctx), Placed: placedOf(ctx)}
}

// SchedulerOf is the scheduler of ctx, or nil: then instances are never parked.
func SchedulerOf(ctx context.Context) Scheduler {
	s, _ := ctx.Value(schedulerKey{}).(Scheduler)
	return s
}

type workerKey struct{}

// WorkerOf is the Worker of a Scheduled, or nil. An engine may let it have the
// context that it had before, which its processor still has in its caches.
func WorkerOf(ctx context.Context) any { return ctx.Value(workerKey{}) }

type copiedKey struct{}

// WithCopied returns a context whose runs tell which pieces of their inputs'
// contents they have copied and will not read again. An engine may tell nothing,
// or of a part; it calls copied on the goroutine that runs.
func WithCopied(ctx context.Context, copied func(content []byte)) context.Context {
	return context.WithValue(ctx, copiedKey{}, copied)
}

// CopiedOf is what WithCopied put into ctx, or nil.
func CopiedOf(ctx context.Context) func(content []byte) {
	f, _ := ctx.Value(copiedKey{}).(func(content []byte))
	return f
}

type placedKey struct{}

// Placed tells who wants to know it that a run has taken all of its inputs, sets
// and items with their names and contents, and will read nothing of them again:
// they may be gone by then. An engine that does not tell lets others wait longer.
func Placed(ctx context.Context) {
	if placed := placedOf(ctx); placed != nil {
		placed()
	}
}

func placedOf(ctx context.Context) func() {
	f, _ := ctx.Value(placedKey{}).(func())
	return f
}

type tenantKey struct{}

// WithTenant returns a context in which code is prepared for a tenant. An engine
// that keeps what it made of code must not let one tenant notice, by the time
// it takes, what another has.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenant)
}

// TenantOf is the tenant of ctx, or "".
func TenantOf(ctx context.Context) string {
	t, _ := ctx.Value(tenantKey{}).(string)
	return t
}
