package dispatcher

import (
	"time"

	"pappus/data"
	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/registry"
)

// worker is what a goroutine that runs one instance after the other keeps from
// each to the next: workers that run many short ones would stand in one
// another's way wherever all of them go for each. nil keeps nothing.
//
// It may take several instances of an application at once, a batch, when they
// have been short: it runs them in one turn, with one permit, and hands in what
// all of them left. Whatever takes longer than that must not keep anything from
// going on, so a worker settles before: it hands in what it has, and gives back
// what it has not begun. It does so before it waits for anything, and when an
// instance comes to the end of a slice.
type worker struct {
	version *registry.Version
	program *program         // of the version, for the engine that was chosen, in use; nil if there is none
	context engine.Scheduled // of the instance that it runs
	phases  phases           // that are not counted for all yet
	ran     int              // instances of program, the same

	run    *run
	app    *application
	keeps  int64      // app.keeps, when the batch was taken
	batch  span       // instances of app that are taken and not begun
	inputs []data.Set // of those, and those that are begun, one after the other
	done   []done     // instances that the run does not know of yet

	began time.Time // the batch
	last  time.Time // when the last instance ended; zero before the first
	turn  turn

	memo   *memo.Function // what the memo knows memoOf by, run by the engine
	memoOf *registry.Version
	skip   int // so many of its instances are run without asking the memo
}

// skipped is how many short instances are run without asking the memo, when it had
// no use for the one before.
const skipped = 15

// remembered is what the memo knows a version by, or nil.
func (w *worker) remembered(v *registry.Version) *memo.Function {
	if w == nil || w.memoOf != v {
		return nil
	}
	return w.memo
}

func (w *worker) remember(v *registry.Version, f *memo.Function) {
	if w != nil {
		w.memoOf, w.memo, w.skip = v, f, 0
	}
}

// skips reports whether the memo is not to be asked.
func (w *worker) skips() bool {
	if w == nil || w.skip == 0 {
		return false
	}
	w.skip--
	return true
}

// found notes that the memo had no use for an instance, and whether that was a
// short one.
func (w *worker) found(short bool) {
	if w != nil && short {
		w.skip = skipped
	}
}

// turn is the permit of an instance that has ended, with its memory, for the next
// one of a batch.
type turn struct {
	held  bool
	bytes int64
	order order
}

// done is how an instance ended.
type done struct {
	number int
	in     []data.Set
	answer *Answer
	err    error
	record InstanceRecord // if the run has one
}

// A batch is of so many instances at most, and of as many as take so long and
// leave so much; less than smallestBatch is not worth while.
const (
	smallestBatch = 4
	largestBatch  = 64
	batchTime     = 100 * time.Microsecond
	batchBytes    = 256 << 10
)

// take has a worker take a batch of the application that is first in r.ready.
// A run that has begun is not refused for calls that still wait. r.mu is held.
func (r *run) take(w *worker, app *application) {
	if r.patient() {
		r.started = false // the instance waits in its place
	}
	w.run, w.app, w.keeps, w.inputs, w.last = r, app, app.keeps, w.inputs[:0], time.Time{}
	w.batch.first, w.batch.end = r.begun(&r.ready, app, r.batch(app))
	for n := w.batch.first; n < w.batch.end; n++ {
		w.inputs = app.inputs(n, w.inputs)
	}
}

// batch is how many instances of an application a worker may take. All others get
// some too, and the last ones are taken one by one. What they leave must be little
// beside what the run may still hold. r.mu is held.
func (r *run) batch(app *application) int {
	if r.serial || app.ended == 0 || app.keeps > detachBytes {
		return 1
	}
	workers := r.d.permits.total
	bytes := min(batchBytes, (r.limits.Bytes-r.share.held.Load())/int64(4*workers))
	n := min(largestBatch, app.left()/(2*workers), int(batchTime/max(app.took, 1)), int(bytes/max(app.keeps, 1)))
	if n < smallestBatch {
		return 1
	}
	return n
}

// perform runs the instances of a batch, as long as it is the worker's turn.
func (w *worker) perform(inv Invocation) {
	r, app := w.run, w.app
	sets := len(app.sig.Inputs)
	for at := 0; ; at += sets {
		d := done{number: w.batch.first, in: w.inputs[at : at+sets : at+sets]}
		w.batch.first++
		inv.Inputs = app.given(d.in)
		var queued time.Duration
		if r.record != nil {
			queued = w.now().Sub(r.record.record.Began)
		}
		d.answer, d.err = r.d.runFunction(r.ctx, &inv)
		if r.record != nil {
			d.record = r.record.executed(app, d.number, queued, d.in, d.answer, d.err)
		}
		w.done = append(w.done, d)
		if !w.turn.held {
			return
		}
	}
}

// handIn makes known to a run what a worker has done, and gives back what it has
// not begun. r.mu is held.
func (r *run) handIn(w *worker) {
	app := w.app
	var took time.Duration
	var keeps int64
	for i := range w.done {
		d := &w.done[i]
		if r.record != nil {
			r.record.instance(app, d.record)
		}
		if d.err != nil {
			r.failed(app, d.number, d.in, d.err)
			continue
		}
		if took += d.answer.Run; d.answer.From.Source != "" {
			took += batchTime // those that the memo is asked for are taken one by one
		}
		keeps = max(keeps, d.answer.instance.bytes)
		r.leave(app, d.number, d.answer)
	}
	if n := len(w.done); n > 0 {
		app.took, app.keeps = took/time.Duration(n), keeps
	}
	clear(w.done)
	w.done = w.done[:0]
	if w.batch.first < w.batch.end {
		app.back = append(app.back, w.batch)
		w.batch.first = w.batch.end
		r.more(app, app.count)
	}
}

// busy reports whether the worker has something that others may wait for.
func (w *worker) busy() bool {
	return w != nil && (len(w.done) > 0 || w.batch.first < w.batch.end)
}

// settle lets the run have all that the worker has of it, but for the instance
// that it is at.
func (w *worker) settle() {
	if !w.busy() {
		return
	}
	r := w.run
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handIn(w)
	r.giveBack()
	if r.idle {
		r.wake.Signal()
	} else if !r.over() {
		r.hire()
	}
}

// wants is how much memory what the instances of the batch leave may need, all but
// the first.
func (w *worker) wants() int64 {
	if !w.busy() {
		return 0
	}
	return int64(w.batch.end-w.batch.first) * w.keeps
}

// borrow keeps the permit of an instance that has ended, and its memory but for
// what its answer keeps, if there is another one in the batch, time for it, and
// nobody who waits for either.
func (w *worker) borrow(i *instance, keep int64) bool {
	if w == nil || w.batch.first == w.batch.end || w.last.Sub(w.began) >= batchTime || i.class != classNew || keep > i.bytes {
		return false
	}
	if p := i.permits; p.waiting.Load() > 0 || p.hungry.Load() {
		return false
	}
	w.turn = turn{held: true, bytes: i.bytes - keep, order: i.order}
	i.holds, i.alive, i.bytes, i.worker = false, false, keep, nil
	return true
}

// lend gives an instance the permit and the memory that were kept for it, if there
// are any and they are enough.
func (w *worker) lend(i *instance, bytes int64) bool {
	if w == nil || !w.turn.held {
		return false
	}
	t := w.turn
	w.turn = turn{}
	i.holds, i.alive, i.began, i.since, i.bytes, i.order = true, true, w.last, w.last, t.bytes, t.order
	if t.bytes >= bytes {
		return true
	}
	i.permits.end(i, 0)
	i.worker = w
	return false
}

// pause has a worker keep nothing from others while it waits for something else
// than permit and memory.
func (w *worker) pause(p *permits) {
	if w == nil {
		return
	}
	if w.turn.held {
		i := &instance{permits: p}
		w.lend(i, 0)
		p.end(i, 0)
	}
	w.settle()
}

// answer is a new one, and the context in which it is made.
func (w *worker) answer() (*Answer, *engine.Scheduled) {
	if w != nil {
		return new(Answer), &w.context
	}
	both := new(struct {
		Answer
		context engine.Scheduled
	})
	return &both.Answer, &both.context
}

// now is the time, which need not be asked for between two instances.
func (w *worker) now() time.Time {
	if w == nil {
		return time.Now()
	}
	if w.last.IsZero() {
		w.began = time.Now()
		return w.began
	}
	return w.last
}

// see tells the time at which an instance ends.
func (w *worker) see(now time.Time) {
	if w != nil {
		w.last = now
	}
}

// loaded is the program of v if it is kept, or nil.
func (w *worker) loaded(v *registry.Version) *program {
	if w == nil || w.version != v {
		return nil
	}
	return w.program
}

// keep has a worker keep a program, whose use passes to it, in place of the one
// that it has.
func (d *Dispatcher) keep(w *worker, v *registry.Version, p *program) {
	if w.program != nil {
		d.metrics.ran[w.program.key.engine].Add(float64(w.ran))
		w.ran = 0
		d.programs.release(w.program)
	}
	w.version, w.program = v, p
}

// rest has a worker keep nothing, as it must before it waits and at its end.
func (d *Dispatcher) rest(w *worker) {
	d.keep(w, nil, nil)
	d.metrics.phases.take(&w.phases)
	w.inputs, w.done, w.run, w.app = nil, nil, nil, nil // idle instances refer to their worker
	w.context = engine.Scheduled{}
}

// succeeded counts the phases of an invocation, which a worker may have run.
func (d *Dispatcher) succeeded(w *worker, a *Answer) {
	if w == nil {
		d.metrics.phases.add(a)
		d.metrics.ran[a.Engine].Inc()
		return
	}
	w.ran++
	w.phases.add(a)
	if w.phases.due(a) {
		d.metrics.phases.take(&w.phases)
	}
}
