package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"pappus/engine"
)

// Memory for contexts is charged as it is taken: an instance starts with what
// its function was seen to need, and asks for more when its memory grows. So
// there may be none when it asks. Then it waits, without a permit, and if all
// wait for one another the youngest is dropped, to run again with its whole
// limit charged. Nobody can see it, because it is pure.

// charge is what a context of so many bytes costs, with the machine's stack. A
// stack for which there is not enough makes the instance run alone.
func (p *permits) charge(memory, stack int64) int64 {
	return max(memory, min(memory+stack, p.memory))
}

// Grow gives an instance the memory that it asks for. See engine.Scheduler.
func (i *instance) Grow(ctx context.Context, bytes int64, deadline time.Time) (time.Duration, error) {
	p := i.permits
	total := p.charge(bytes, i.stack)
	if total > i.bytes || bytes > longCopy {
		i.worker.settle()
	}
	if total <= i.bytes {
		return 0, nil
	}
	if i.least == 0 {
		return 0, fmt.Errorf("an instance that was charged %d bytes, its whole limit, asks for %d", i.bytes, total)
	}
	p.mu.Lock()
	first := len(p.growing) == 0 || i.order.compare(p.growing[0].order) < 0
	if more := total - i.bytes; first && more <= p.memory-p.used {
		p.use(more)
		i.bytes = total
		p.mu.Unlock()
		return 0, nil
	}
	if i.holds {
		i.holds = false
		p.account(i, time.Since(i.since))
		p.free.Add(1)
	}
	w := p.waiter(classParked, i, total-i.bytes)
	w.owner = i
	i.run.wait(1)
	at, _ := slices.BinarySearchFunc(p.growing, w, func(a, b *waiter) int { return a.order.compare(b.order) })
	p.growing = slices.Insert(p.growing, at, w)
	p.dispatch()
	p.mu.Unlock()
	return p.comeBack(ctx, i, w, deadline)
}

// longCopy is from how many bytes of memory on an instance may spend longer on
// placing its inputs than others should wait.
const longCopy = 1 << 20

// use charges bytes more. p.mu is held.
func (p *permits) use(bytes int64) {
	p.used += bytes
	p.peak = max(p.peak, p.used)
}

// order is that of who is older: by when the invocation began, the run within it,
// and the instance.
type order struct{ age, run, number uint64 }

func (o order) compare(other order) int {
	return cmp.Or(cmp.Compare(o.age, other.age), cmp.Compare(o.run, other.run), cmp.Compare(o.number, other.number))
}

// arrive gives an instance its place in the order, which it keeps if it has to begin
// again. p.mu is held.
func (p *permits) arrive(i *instance) {
	if i.order.number > 0 {
		return
	}
	p.ages++
	if i.order = (order{age: p.ages, number: p.ages}); i.run != nil {
		i.order.age, i.order.run = i.run.age, i.run.number
	}
}

// feed gives memory to those who asked for it, the oldest first. They go on
// when it is their turn. p.mu is held.
func (p *permits) feed() {
	for len(p.growing) > 0 && p.growing[0].bytes <= p.memory-p.used {
		w := p.growing[0]
		p.growing = slices.Delete(p.growing, 0, 1)
		p.use(w.bytes)
		w.owner.bytes += w.bytes
		w.bytes = 0
		p.push(w)
	}
}

// share is what a run has of the memory. A nil share is that of an invocation
// which is no run.
type share struct {
	age    uint64       // when the invocation began that it belongs to: the same for runs that it calls by name
	number uint64       // when it began itself
	parent *share       // of the run that calls it by name, or nil
	held   atomic.Int64 // bytes of outputs that are not used up

	active  atomic.Int64 // instances that have begun, and whose inputs are not given back yet
	waiting atomic.Int64 // of these, how many wait for a permit or memory, or for a run that they call by name
	started atomic.Bool  // of the root: an instance of the invocation has started
	thinks  atomic.Int64 // of these, how many wait for the memo, or for a run that others began

	// Guarded by permits.mu.
	cancel     context.CancelCauseFunc // ends the run; nil when it is at its end
	repeatable bool                    // it can begin again: it has called no I/O function
	serial     bool                    // it does one thing at a time from now on
	ending     bool                    // it was told to end
}

func (s *share) wait(n int64) {
	if s != nil {
		s.waiting.Add(n)
	}
}

// root is the run that began the invocation.
func (s *share) root() *share {
	for s.parent != nil {
		s = s.parent
	}
	return s
}

func (s *share) think(n int64) {
	if s != nil {
		s.thinks.Add(n)
	}
}

// enter makes a run known, which cancel ends, and reports whether it is to do one
// thing at a time. It may be told to end, give back everything and begin again. It
// keeps its age then.
func (p *permits) enter(s *share, cancel context.CancelCauseFunc) (serial bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.number == 0 {
		p.ages++
		s.number = p.ages
		if s.age = s.number; s.parent != nil {
			s.age = s.parent.age
		}
	}
	s.cancel, s.repeatable, s.ending = cancel, true, false
	p.runs[s] = struct{}{}
	return s.serial
}

// commit says that a run is about to do what can't be done again, and so are those
// that called it. It reports false if one of them was told to end.
func (p *permits) commit(s *share) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := s; t != nil; t = t.parent {
		if t.ending {
			return false
		}
	}
	for t := s; t != nil; t = t.parent {
		t.repeatable = false
	}
	return true
}

// slow has a run begin again and do one thing at a time, so that it holds as little
// as it can, and reports whether that is possible. p.mu is held.
func (p *permits) slow(s *share) bool {
	for ; s != nil; s = s.parent {
		if s.repeatable && !s.serial && s.cancel != nil {
			s.serial = true
			p.tell(s, errRunDropped)
			return true
		}
	}
	return false
}

// slower is slow for a run that holds more than it may.
func (p *permits) slower(s *share) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.ending || p.slow(s)
}

// tell ends a run. p.mu is held.
func (p *permits) tell(s *share, cause error) {
	s.ending = true
	if errors.Is(cause, errRunDropped) {
		p.droppedRuns++
	}
	s.cancel(cause)
}

// settle says that a run has its outputs, and is not told to end any more.
func (p *permits) settle(s *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.cancel, s.ending = nil, false
	p.dispatch()
}

// exit forgets a run, which holds nothing. What it called may go on for others, and
// can't have it begin again.
func (p *permits) exit(s *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.cancel, s.ending = nil, false
	delete(p.runs, s)
	p.dispatch()
}

// give takes back memory that answers were charged.
func (p *permits) give(bytes int64) {
	if bytes == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used -= bytes
	p.dispatch()
}

// heldBytes is what all runs hold.
func (p *permits) heldBytes() (bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.runs {
		bytes += s.held.Load()
	}
	return bytes
}

// rest says that an instance of a run has ended, and what it used is given back.
func (p *permits) rest(s *share) {
	s.active.Add(-1)
	if p.stuck.Load() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dispatch()
	}
}

// unstick finds a way on when nothing runs, and those who wait need more memory
// than there is. What is oldest goes on, whatever it takes: the memory of
// everything younger is taken from it until there is enough. p.mu is held.
func (p *permits) unstick() {
	p.stuck.Store(false)
	if p.alive > len(p.growing) {
		return // somebody runs, or is about to
	}
	oldest := p.oldest()
	if oldest == nil {
		return
	}
	if n := len(p.growing); n > 0 && p.growing[n-1] != oldest {
		w := p.growing[n-1]
		p.growing = p.growing[:n-1]
		p.droppedInstances++
		p.refuse(w, fmt.Errorf("the youngest of all that need more memory: %w", engine.ErrDropped))
		return
	}
	if room := p.memory - p.used; len(p.growing) == 0 && 0 < oldest.least && oldest.least <= room {
		oldest.bytes = min(oldest.bytes, room)
		p.remove(oldest)
		p.free.Add(-1)
		p.grant(oldest)
		return
	}
	repeatable, stopped := p.youngest(oldest)
	switch {
	case repeatable == nil && stopped == nil:
	case repeatable != nil && repeatable.ending:
		return // its memory is about to come
	case repeatable != nil:
		p.tell(repeatable, errRunDropped)
		return
	default:
		p.tell(stopped, errRunCrowded)
		return
	}
	// Before it is looked at what the run does: it may do the last of it just now,
	// and then it comes here again.
	p.stuck.Store(true)
	if held, waits := p.family(oldest); waits && p.used == held+p.grown() {
		p.stuck.Store(false)
		if p.slow(oldest.run) {
			return
		}
		if oldest.owner != nil {
			p.growing = p.growing[:0]
		} else {
			p.remove(oldest)
		}
		p.refuse(oldest, &engine.Fault{Kind: engine.FaultLimitBytes, Detail: fmt.Sprintf("it needs %s, and outputs that are not used up yet hold %s of the %s that this server has for contexts",
			engine.Bytes(oldest.bytes).Long(), engine.Bytes(held).Long(), engine.Bytes(p.memory))})
		return
	}
	// Answers are being read, or a run is about to give something back.
}

// youngest finds who is to give back what it holds, so that a waiter can go on: the
// youngest run that can begin again, and the youngest that can't, but is stopped as
// well. Both are younger than what the waiter is of, or wait for what others compute:
// maybe for this very one. p.mu is held.
func (p *permits) youngest(w *waiter) (repeatable, stopped *share) {
	for s := range p.runs {
		if s.ending {
			return s, nil
		}
		waits := s.active.Load() > 0 && s.active.Load() == s.waiting.Load()+s.thinks.Load()
		switch {
		case s.cancel == nil || s.held.Load() == 0 || s == w.run:
		case !s.after(w.order.age, w.order.run) && (s.thinks.Load() == 0 || !waits || s.age == w.order.age):
		case s.repeatable:
			if repeatable == nil || s.after(repeatable.age, repeatable.number) {
				repeatable = s
			}
		case waits && (stopped == nil || s.after(stopped.age, stopped.number)):
			stopped = s
		}
	}
	return repeatable, stopped
}

// after reports whether a run began after another one.
func (s *share) after(age, number uint64) bool {
	return cmp.Or(cmp.Compare(s.age, age), cmp.Compare(s.number, number)) > 0
}

// family is what the run holds that a waiter is of, with the runs that it calls by
// name, and whether all that is going on in them waits. p.mu is held.
func (p *permits) family(w *waiter) (held int64, waits bool) {
	if w.run == nil {
		return 0, false
	}
	waits = true
	for s := range p.runs {
		if s.age == w.order.age {
			held += s.held.Load()
			waits = waits && s.active.Load() == s.waiting.Load()
		}
	}
	return held, waits
}

// grown is what instances have that wait for more. p.mu is held.
func (p *permits) grown() (bytes int64) {
	for _, w := range p.growing {
		bytes += w.owner.bytes
	}
	return bytes
}

// oldest is who has waited for memory with the oldest invocation. p.mu is held.
func (p *permits) oldest() (oldest *waiter) {
	if len(p.growing) > 0 {
		oldest = p.growing[0]
	}
	for w := range p.queues[classNew].each {
		if oldest == nil || w.order.compare(oldest.order) < 0 {
			oldest = w
		}
	}
	return oldest
}

// refuse ends the wait of a waiter, which is in no queue, with an error. p.mu is
// held.
func (p *permits) refuse(w *waiter, err error) {
	w.err = err
	w.ready <- struct{}{}
}

// peak is the most memory that recent runs of a program had. The zero value is
// ready to use, by many goroutines.
type peak struct {
	runs        atomic.Int64
	now, before atomic.Int64 // bytes
}

// peakRuns is how many runs are recent: so many, up to twice.
const peakRuns = 1024

func (k *peak) see(bytes int64) {
	if k.runs.Add(1)%peakRuns == 0 {
		k.before.Store(k.now.Swap(0))
	}
	for {
		now := k.now.Load()
		if bytes <= now || k.now.CompareAndSwap(now, bytes) {
			return
		}
	}
}

// bytes is 0 as long as there was no run.
func (k *peak) bytes() int64 { return max(k.now.Load(), k.before.Load()) }
