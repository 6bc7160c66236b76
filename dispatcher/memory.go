package dispatcher

import (
	"cmp"
	"context"
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
	first := len(p.growing) == 0 || older(i, p.growing[0].owner) < 0
	if more := total - i.bytes; first && more <= p.memory-p.used {
		p.used += more
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
	at, _ := slices.BinarySearchFunc(p.growing, w, func(a, b *waiter) int { return older(a.owner, b.owner) })
	p.growing = slices.Insert(p.growing, at, w)
	p.dispatch()
	p.mu.Unlock()
	return p.comeBack(ctx, i, w, deadline)
}

// longCopy is from how many bytes of memory on an instance may spend longer on
// placing its inputs than others should wait.
const longCopy = 1 << 20

// older orders instances by when what they belong to began, and they did.
func older(a, b *instance) int {
	return cmp.Or(cmp.Compare(a.age, b.age), cmp.Compare(a.number, b.number))
}

// feed gives memory to those who asked for it, the oldest first. They go on
// when it is their turn. p.mu is held.
func (p *permits) feed() {
	for len(p.growing) > 0 && p.growing[0].bytes <= p.memory-p.used {
		w := p.growing[0]
		p.growing = slices.Delete(p.growing, 0, 1)
		p.used += w.bytes
		w.owner.bytes += w.bytes
		w.bytes = 0
		p.push(w)
	}
}

// share is what a run has of the memory. A nil share is that of an invocation
// which is no run.
type share struct {
	age     uint64       // shared with the runs that it calls by name
	held    atomic.Int64 // bytes of outputs that are not used up
	active  atomic.Int64 // instances that have begun, and whose inputs are not given back yet
	waiting atomic.Int64 // of these, how many wait for a permit or memory
	thinks  atomic.Int64 // of these, how many wait for the memo, or for a run that others began

	// Guarded by permits.mu.
	drop    func() // ends the run, to begin again; nil when that is not possible
	dropped bool
}

func (s *share) wait(n int64) {
	if s != nil {
		s.waiting.Add(n)
	}
}

func (s *share) think(n int64) {
	if s != nil {
		s.thinks.Add(n)
	}
}

// enter makes a run known. Unless drop is nil, the run can be told to end, give
// back everything and begin again. It keeps its age then.
func (p *permits) enter(s *share, drop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.age == 0 {
		p.ages++
		s.age = p.ages
	}
	s.drop, s.dropped = drop, false
	p.runs[s] = struct{}{}
}

// settle says that a run has its outputs, and is not dropped any more.
func (p *permits) settle(s *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.drop, s.dropped = nil, false
	p.dispatch()
}

// exit forgets a run, which holds nothing.
func (p *permits) exit(s *share) {
	p.mu.Lock()
	defer p.mu.Unlock()
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
	var youngest *share
	for s := range p.runs {
		switch {
		case s.dropped:
			return // its memory is about to come
		case s.drop == nil || s.held.Load() == 0 || youngest != nil && s.age < youngest.age:
		case s.age > oldest.age, s.age < oldest.age && s.thinks.Load() > 0 && s.active.Load() == s.waiting.Load()+s.thinks.Load():
			// The second kind is older, and waits for what the memo has others
			// compute: maybe for this very one.
			youngest = s
		}
	}
	if youngest != nil {
		youngest.dropped = true
		p.droppedRuns++
		youngest.drop()
		return
	}
	// Before it is looked at what the run does: it may do the last of it just now,
	// and then it comes here again.
	p.stuck.Store(true)
	if held, waits := p.family(oldest); waits && p.used == held+p.grown() {
		p.stuck.Store(false)
		if oldest.owner != nil {
			p.growing = p.growing[:0]
		} else {
			p.remove(oldest)
		}
		p.refuse(oldest, &engine.Fault{Kind: engine.FaultLimitBytes, Detail: fmt.Sprintf("it needs %s, and outputs that are not used up yet hold %s of the %s that this server has for contexts",
			engine.Bytes(oldest.bytes), engine.Bytes(held), engine.Bytes(p.memory))})
		return
	}
	// Answers are being read, or a run is about to give something back.
}

// family is what the run holds that a waiter is of, with the runs that it calls by
// name, and whether all that is going on in them waits. p.mu is held.
func (p *permits) family(w *waiter) (held int64, waits bool) {
	if w.run == nil {
		return 0, false
	}
	waits = true
	for s := range p.runs {
		if s.age == w.age {
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
		if oldest == nil || w.age < oldest.age {
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
