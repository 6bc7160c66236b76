package dispatcher

import (
	"pappus/data"
	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/registry"
)

// worker is what a goroutine that runs one instance after the other keeps from
// each to the next: workers that run many short ones would stand in one
// another's way wherever all of them go for each. nil keeps nothing.
type worker struct {
	engine  engine.Engine
	version *registry.Version
	program *program   // of both, in use; nil if there is none
	phases  phases     // that are not counted for all yet
	inputs  []data.Set // of an instance; room for the next one's

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

// loaded is the program of v for e if it is kept, or nil.
func (w *worker) loaded(e engine.Engine, v *registry.Version) *program {
	if w == nil || w.version != v || w.engine != e {
		return nil
	}
	return w.program
}

// keep has a worker keep a program, whose use passes to it, in place of the one
// that it has.
func (d *Dispatcher) keep(w *worker, e engine.Engine, v *registry.Version, p *program) {
	if w.program != nil {
		d.programs.release(w.program)
	}
	w.engine, w.version, w.program = e, v, p
}

// rest has a worker keep nothing, as it must before it waits and at its end.
func (d *Dispatcher) rest(w *worker) {
	d.keep(w, nil, nil, nil)
	d.metrics.phases.take(&w.phases)
	w.inputs = nil // idle instances refer to their worker
}

// succeeded counts the phases of an invocation, which a worker may have run.
func (d *Dispatcher) succeeded(w *worker, a *Answer) {
	if w == nil {
		d.metrics.phases.add(a)
		return
	}
	w.phases.add(a)
	if w.phases.due(a) {
		d.metrics.phases.take(&w.phases)
	}
}
