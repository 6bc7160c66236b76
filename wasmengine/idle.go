package wasmengine

import "sync"

// idlers are the programs whose instances wait for calls. Together these may
// hold so many bytes and regions; when that is used up, those of programs that
// were not called for long make room, so that who has many programs does not
// take it from the others.
//
// Lock order: idlers.mu, then Program.mu.
type idlers struct {
	mu       sync.Mutex
	programs []*Program // that are loaded, in a circle
	hand     int        // of a clock: where the search for a victim goes on
}

func (l *idlers) add(p *Program) {
	l.mu.Lock()
	p.place = len(l.programs)
	l.programs = append(l.programs, p)
	l.mu.Unlock()
}

func (l *idlers) remove(p *Program) {
	l.mu.Lock()
	last := len(l.programs) - 1
	l.programs[p.place] = l.programs[last]
	l.programs[p.place].place = p.place
	l.programs[last] = nil
	l.programs = l.programs[:last]
	l.mu.Unlock()
}

// victim takes an idle instance out of a program that was not called since the
// hand was there before, or else of any; nil if none is idle.
func (l *idlers) victim() *instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 2 * len(l.programs) {
		l.hand = (l.hand + 1) % len(l.programs)
		p := l.programs[l.hand]
		p.mu.Lock()
		called := p.called
		p.called = false
		if called || len(p.idle) == 0 {
			p.mu.Unlock()
			continue
		}
		i := p.idle[0]
		p.idle = append(p.idle[:0], p.idle[1:]...)
		p.live++ // so that the program is not ended before the instance is
		p.mu.Unlock()
		return i
	}
	return nil
}

// evict ends one idle instance and reports whether there was one.
func (e *Engine) evict() bool {
	i := e.idlers.victim()
	if i == nil {
		return false
	}
	e.unreserve(i.warm)
	e.evicted.Add(1)
	_ = i.close() // its region goes back all the same
	i.program.leave(nil)
	return true
}

// reserve counts an instance in that keeps warm bytes while it is idle, in place
// of others if need be, or reports that there is no room.
func (e *Engine) reserve(warm int64) bool {
	e.idleInstances.Add(1)
	e.idleBytes.Add(warm)
	for e.idleBytes.Load() > e.config.IdleBytes || e.idleInstances.Load() > int64(e.config.Regions/2) {
		if !e.evict() {
			e.unreserve(warm)
			return false
		}
	}
	return true
}

func (e *Engine) unreserve(warm int64) {
	e.idleInstances.Add(-1)
	e.idleBytes.Add(-warm)
}
