package dispatcher

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/engine"
	"pappus/iofuncs"
)

// DefaultParallelism is how many instances the any-forms may make unless a run
// says otherwise; MaxParallelism the most that one can say.
const (
	DefaultParallelism = 16
	MaxParallelism     = 1024
)

// run is one execution of a composition. Everything that is not fixed at its
// beginning is guarded by mu, which nobody holds while a function runs; it comes
// before the locks of permits and programs.
//
// The goroutine that asked for the run works on it, and others beside it while
// there is more to do than it can: at most one for each permit. Calls of I/O
// functions are none of their business: see calling.
type run struct {
	d           *Dispatcher
	caller      context.Context // of the invocation
	ctx         context.Context // ends when the run has to
	cancel      context.CancelCauseFunc
	tenant      string
	parallelism int
	limits      RunLimits
	reuse       Reuse     // what instances may have of what is remembered
	began       time.Time // also if it has begun again since
	serial      bool      // it does one thing at a time

	mu        sync.Mutex
	wake      sync.Cond // for the first worker, who waits when there is nothing to do
	workers   int       // besides the first one
	idle      bool      // the first one waits
	active    int       // instances that are being executed
	started   bool      // an instance has been: later ones wait as long as the run may take
	opened    bool      // an instance has ended: later ones wait in the run's own line
	ready     ready
	depths    []nested // by depth of nesting
	outermost *flow
	stop      *failure
	outputs   []data.Set // of the composition, once it is done
	done      bool
	usage     engine.Usage
	share     *share
	queue     time.Duration // how long the first instance waited, and for its program
	prepare   time.Duration
	held      map[*data.Item]*Answer // answers that somebody will have read, by what lies in them
	inPlace   map[*Answer]struct{}   // answers that are read, and not separate
	small     int64                  // bytes that all others are charged
	unread    []*Answer              // that nobody reads any more, to be released
	record    *recorder              // nil if nobody wants to see what happened
	trace     iofuncs.TraceID        // zero: none
	spare     []*Answer              // room for the next of them
	params    []shard.Param          // room for describing an application
	calling   calling                // I/O functions
}

// failure is how an instance failed, and where.
type failure struct {
	path     []int // nodes from the outermost composition in, each with the instance
	instance int
	err      error
}

// before orders failures: of those that are seen, the first one counts.
func (f *failure) before(other *failure) bool {
	return cmp.Or(slices.Compare(f.path, other.path), cmp.Compare(f.instance, other.instance)) < 0
}

// noInstance stands for the instance of a failure that is about an application as a
// whole.
const noInstance = -1

// errRunStopped is the cause with which a run that failed cancels what still runs.
var errRunStopped = errors.New("the run has failed")

// errRunDropped is the cause with which a run ends that has to begin again,
// because others need the memory that its outputs hold.
var errRunDropped = errors.New("the run is dropped for want of memory")

// errRunCrowded is the cause with which a run ends that can't begin again, because
// there is no memory for it to go on.
var errRunCrowded = errors.New("the run has no memory to go on")

// errRunTime is the cause with which a run ends that took too long.
var errRunTime = errors.New("the run took too long")

// newRun prepares a run, with its share of the memory. It must be released.
func (d *Dispatcher) newRun(ctx context.Context, tenant string, parallelism int, s *share) *run {
	r := &run{
		d: d, tenant: tenant, parallelism: cmp.Or(parallelism, DefaultParallelism), limits: d.config.Load().Run,
		share: s, began: time.Now(), caller: ctx,
	}
	r.wake.L = &r.mu
	r.calling.tree, r.calling.ticket.tenant, r.calling.ticket.granted = newCallTree(), tenant, r.slotted
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.serial = d.permits.enter(s, r.cancel)
	return r
}

// do runs a resolved composition on arranged inputs to its end, on this
// goroutine and on others. The outputs are there until release.
func (r *run) do(b *bound, inputs []data.Set) ([]data.Set, error) {
	timer := time.AfterFunc(r.limits.Time-time.Since(r.began), func() { r.cancel(errRunTime) })
	defer timer.Stop()
	defer r.cancel(nil)
	// The first worker waits on a condition, which a context can't end.
	unhook := context.AfterFunc(r.ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.wake.Signal()
	})
	defer unhook()

	r.mu.Lock()
	for _, s := range inputs {
		if len(s.Items) > r.limits.Items {
			r.stopAt(nil, 0, &engine.Fault{Kind: engine.FaultLimitItems, Application: b.graph.Entry().Name, Detail: fmt.Sprintf("the set %s has more than %d items", s.Name, r.limits.Items)})
		}
	}
	if r.stop == nil {
		r.begin(b, b.entry(), inputs, nil, 0)
	}
	r.work(true)
	for r.workers > 0 {
		r.wake.Wait()
	}
	r.mu.Unlock()
	r.endCalls()
	r.mu.Lock()
	var err error
	switch {
	case r.stop != nil:
		err = r.stop.err
	case !r.done:
		err = r.ended()
	}
	r.mu.Unlock()
	if err != nil {
		r.release()
		return nil, err
	}
	r.d.permits.settle(r.share)
	return r.outputs, nil
}

// release gives back everything that the run holds, its outputs too. No instance
// runs any more.
func (r *run) release() {
	r.mu.Lock()
	r.share.held.Store(0)
	bytes := r.small
	r.small = 0
	unread, inPlace := r.unread, r.inPlace
	r.unread, r.held, r.inPlace = nil, nil, nil
	r.mu.Unlock()
	bytes += releasing(unread)
	for a := range inPlace {
		a.Release()
	}
	r.d.permits.give(bytes)
	r.d.permits.exit(r.share)
}

// ended is why a run that has neither failed nor come to its end is over.
func (r *run) ended() error {
	switch cause := context.Cause(r.ctx); {
	case r.caller.Err() != nil: // maybe a run that calls this one by name, and has a cause of its own
		return gone(r.caller)
	case errors.Is(cause, errRunDropped):
		return errRunDropped
	case errors.Is(cause, errRunCrowded):
		return overload("other runs need the memory that this one holds, and it has called I/O functions, so it can't begin again; try again later, or give the server more memory", nil)
	case errors.Is(cause, errRunTime):
		return &engine.Fault{Kind: engine.FaultLimitTime, Application: r.unfinished(), Detail: fmt.Sprintf("the run did not end within %s", r.limits.Time)}
	case cause != nil:
		return gone(r.ctx)
	}
	return errors.New("a run has nothing left to do and no outputs") // a defect
}

// unfinished names the first of the run's own applications that has begun and not
// ended; "" if there is none. r.mu is held.
func (r *run) unfinished() string {
	if r.outermost == nil {
		return ""
	}
	for i := range r.outermost.apps {
		if app := &r.outermost.apps[i]; app.next > 0 && (!app.closed || app.ended < app.count) {
			return app.name()
		}
	}
	return ""
}

// over reports whether nothing is to be begun any more. r.mu is held.
func (r *run) over() bool { return r.done || r.stop != nil || r.ctx.Err() != nil }

// work executes instances until there are none that can begin: then the first
// worker waits for more, and others go. r.mu is held, but while a function runs.
func (r *run) work(first bool) {
	var w worker
	defer r.d.rest(&w)
	for !r.over() {
		if len(r.ready) == 0 {
			if !first || r.active == 0 && !r.calling.waits() {
				return
			}
			r.d.rest(&w)
			r.idle = true
			r.wake.Wait()
			r.idle = false
			continue
		}
		app := r.ready[0]
		if r.full(app) {
			continue
		}
		if b, composition := app.composition(); b != nil {
			number, _ := r.begun(&r.ready, app, 1)
			w.inputs = app.inputs(number, w.inputs[:0])
			r.begin(b, composition, app.given(w.inputs), app, number)
			continue
		}
		r.take(&w, app)
		inv := Invocation{Target: app.callee().version, Tenant: r.tenant, run: r.share, opens: !r.opened, patient: r.started, engine: app.callee().engine, worker: &w, Reuse: r.reuse}
		r.started = true
		r.active++
		r.share.active.Add(1)
		r.hire()
		r.mu.Unlock()
		w.perform(inv)
		r.mu.Lock()
		r.active--
		r.opened = true
		if last := w.done[len(w.done)-1]; !inv.patient && last.err == nil {
			r.queue, r.prepare = last.answer.Queue, last.answer.Prepare
		}
		r.handIn(&w)
		r.giveBack()
		r.d.permits.rest(r.share)
		if !first {
			r.wake.Signal() // the first one may wait for what this made possible
		}
	}
}

// giveBack releases answers that nobody wants any more. r.mu is held, but not
// meanwhile.
func (r *run) giveBack() {
	for len(r.unread) > 0 {
		unread := r.unread
		r.unread, r.spare = r.spare[:0], nil
		r.mu.Unlock()
		r.d.permits.give(releasing(unread))
		clear(unread)
		r.mu.Lock()
		r.spare = unread[:0]
	}
}

// releasing gives back what answers have but the memory that those are charged
// whose outputs are separate, and says how much that is.
func releasing(answers []*Answer) (bytes int64) {
	for _, a := range answers {
		if a.separate() {
			bytes += a.instance.bytes
			a.Outputs, a.instance.bytes = nil, 0
		} else {
			a.Release()
		}
	}
	return bytes
}

// separate reports whether the outputs of an instance were copied, so that memory
// is all that is to be given back.
func (a *Answer) separate() bool { return a.lent == nil && a.result.Detached() }

// hire starts another worker if there is something for it to do. r.mu is held.
func (r *run) hire() {
	if len(r.ready) == 0 || r.serial || r.workers+1 >= r.d.permits.total {
		return
	}
	r.workers++
	go func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.work(false)
		r.workers--
		r.wake.Signal()
	}()
}

// begun counts up to n of the next instances of the application that is first in
// a queue as begun, and says which these are.
func (r *run) begun(q *ready, app *application, n int) (first, end int) {
	if last := len(app.back) - 1; last >= 0 {
		s := &app.back[last]
		first, end = s.first, min(s.first+n, s.end)
		if s.first = end; s.first == s.end {
			app.back = app.back[:last]
		}
	} else {
		first, end = app.next, min(app.next+n, app.count)
		app.next = end
	}
	if app.left() == 0 {
		heap.Pop(q)
	}
	return first, end
}

// more makes an application's instances up to count ready. r.mu is held.
func (r *run) more(app *application, count int) {
	if app.io != nil {
		r.waitForCall(app, count)
		return
	}
	app.count = count
	if app.place < 0 && app.left() > 0 {
		heap.Push(&r.ready, app)
	}
}

// used adds what an instance used. r.mu is held.
func (r *run) used(u engine.Usage) {
	r.usage.Fuel += u.Fuel
	r.usage.MemoryPages = max(r.usage.MemoryPages, u.MemoryPages)
}

// leave takes over what an instance left. r.mu is held.
func (r *run) leave(app *application, number int, a *Answer) {
	r.used(a.Usage)
	a.readers = 1
	if a.separate() {
		r.small += a.instance.bytes
	} else {
		if r.inPlace == nil {
			r.inPlace = make(map[*Answer]struct{})
		}
		r.inPlace[a] = struct{}{}
	}
	if r.share.held.Add(a.holds()) > r.limits.Bytes && !r.d.permits.slower(r.share) {
		r.fail(app, number, nil, &engine.Fault{Kind: engine.FaultLimitBytes, Detail: heldMore(r.limits.Bytes)})
	} else {
		r.made(app, number, a.Outputs, a)
	}
	r.unhold(a)
}

// list notes in which answer items lie, all those of one output, and returns that.
// What is remembered gives equal instances the very same items: then it is the
// answer that has them already. r.mu is held.
func (r *run) list(items []*data.Item, a *Answer, room int) *Answer {
	if first := r.held[items[0]]; first != nil {
		return first
	}
	if r.held == nil {
		r.held = make(map[*data.Item]*Answer, room)
	}
	for _, it := range items {
		r.held[it] = a
	}
	return a
}

// hold counts readers of items. r.mu is held.
func (r *run) hold(items []*data.Item, readers int) {
	for _, it := range items {
		if a := r.held[it]; a != nil {
			a.readers += readers
		}
	}
}

// drop counts a reader of an item less. r.mu is held.
func (r *run) drop(it *data.Item) {
	if a := r.held[it]; a != nil {
		r.unhold(a)
	}
}

func (r *run) unhold(a *Answer) {
	if a.readers--; a.readers > 0 {
		return
	}
	for _, s := range a.Outputs {
		for _, it := range s.Items {
			if r.held[it] == a {
				delete(r.held, it)
			}
		}
	}
	if a.separate() {
		r.small -= a.instance.bytes
	} else {
		delete(r.inPlace, a)
	}
	r.share.held.Add(-a.holds())
	r.unread = append(r.unread, a)
}

// failed takes over what an instance used until it failed, and ends the run. r.mu
// is held.
func (r *run) failed(app *application, number int, in []data.Set, err error) {
	if f := new(engine.Fault); errors.As(err, &f) {
		r.used(f.Usage)
	}
	r.fail(app, number, in, err)
}

// fail ends the run with the first of its failures. r.mu is held.
func (r *run) fail(app *application, number int, in []data.Set, err error) {
	if r.ctx.Err() != nil && engine.KindOf(err) == engine.FaultCanceled {
		if r.stop != nil {
			return // it was stopped because of another
		}
		err = r.ended()
	} else {
		err = located(app, number, in, err)
	}
	r.stopAt(app.path, number, err)
}

func (r *run) stopAt(path []int, instance int, err error) {
	if f := (&failure{path, instance, err}); r.stop == nil || f.before(r.stop) {
		r.stop = f
	}
	r.cancel(errRunStopped)
}

// located says in a fault where it happened.
func located(app *application, number int, in []data.Set, err error) error {
	var fault *engine.Fault
	if !errors.As(err, &fault) {
		return fmt.Errorf("application %s, instance %d: %w", app.name(), number, err)
	}
	at := *fault
	at.Application, at.Instance = app.name(), number
	var items []string
	if own := app.items(in); own != "" {
		items = append(items, own)
	}
	for f := app.flow; f.parent != nil; f = f.parent.flow { // which instance of the compositions around it
		if outer := f.parent.items(f.parent.inputs(f.number, nil)); outer != "" {
			items = append(items, outer)
		}
	}
	if len(items) > 0 {
		at.Item = strings.Join(items, ", of ")
	}
	return &at
}
