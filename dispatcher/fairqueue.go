package dispatcher

// fairQueue is a queue whose parts take turns. Tenants do; within a tenant,
// calls and runs do; within the runs, each of them and those that are to begin
// do. What is left is in order of arrival. It is not safe for concurrent use.
// The zero value is empty.
type fairQueue[T any] struct {
	all    place[T]              // the lines of tenants
	lines  map[line]*place[T]    // that somebody waits in
	length int                   // those who wait
	spare  [spareLines]*place[T] // of lines that became empty, so that the next do not allocate
	spares int
}

// spareLines is how many places of lines are kept for the next ones. Few become
// empty before others come: one for each of those who are let in and wait again.
const spareLines = 64

// line names those that wait for the same turns.
type line struct {
	tenant string
	level  level
	run    uint64
}

// level is what a line is for.
type level uint8

const (
	levelAll    level = iota // the lines of tenants
	levelTenant              // a tenant's: one of calls, and one of runs
	levelCalls               // calls, in order
	levelRuns                // the lines of runs
	levelRun                 // instances of a run in order; of run 0, those with which runs begin
)

// within is the line in which a line has its turn.
func (l line) within() line {
	switch l.level {
	case levelRun:
		return line{tenant: l.tenant, level: levelRuns}
	case levelCalls, levelRuns:
		return line{tenant: l.tenant, level: levelTenant}
	default:
		return line{}
	}
}

// callsOf is the line of a tenant's calls.
func callsOf(tenant string) line { return line{tenant: tenant, level: levelCalls} }

// line is the one in which an instance waits. Those with which runs begin wait
// in one line, so that however many are to begin, one that has begun goes on
// before most of them: it gives memory back, and they take it.
func (i *instance) line(c class) line {
	switch {
	case i.run == nil:
		return callsOf(i.tenant)
	case c == classNew && i.opens:
		return line{tenant: i.tenant, level: levelRun}
	default:
		return line{tenant: i.tenant, level: levelRun, run: i.run.age}
	}
}

// place is a place in a line: of one who waits, or of a line in that. Those in a
// line are a circle, which begins with the one whose turn it is. Who waits keeps
// the place, so that queueing does not allocate.
type place[T any] struct {
	value         T         // of one who waits
	name          line      // of a line
	first         *place[T] // in it; nil for one who waits, since lines that are empty have no place
	in            *place[T] // the line; nil: not in a queue
	before, after *place[T]
}

// push puts p, which is in no queue, at the end of a line.
func (q *fairQueue[T]) push(l line, p *place[T]) {
	q.line(l).add(p)
	q.length++
}

// line is the place of a line, which gets one if it has none. p must be added to it.
func (q *fairQueue[T]) line(l line) *place[T] {
	if l == (line{}) {
		return &q.all
	}
	p := q.lines[l]
	if p != nil {
		return p
	}
	if q.spares > 0 {
		q.spares--
		p = q.spare[q.spares]
	} else {
		p = new(place[T])
	}
	p.name = l
	if q.lines == nil {
		q.lines = make(map[line]*place[T])
	}
	q.lines[l] = p
	q.line(l.within()).add(p)
	return p
}

// peek is the place that pop would take, or nil.
func (q *fairQueue[T]) peek() *place[T] {
	p := q.all.first
	for p != nil && p.first != nil {
		p = p.first
	}
	return p
}

// each yields everything in the queue, that of one line after the other.
func (q *fairQueue[T]) each(yield func(T) bool) {
	if q.length > 0 {
		q.all.each(yield)
	}
}

func (p *place[T]) each(yield func(T) bool) bool {
	if p.first == nil {
		return yield(p.value)
	}
	for in := p.first; ; {
		if !in.each(yield) {
			return false
		}
		if in = in.after; in == p.first {
			return true
		}
	}
}

// pop takes the place whose turn it is, or returns nil. All the lines that it is
// in have had their turn.
func (q *fairQueue[T]) pop() *place[T] {
	p := q.peek()
	if p == nil {
		return nil
	}
	for l := p.in; l != nil; l = l.in {
		l.first = l.first.after
	}
	q.remove(p)
	return p
}

// remove takes p out of the queue, with the lines that become empty, and reports
// whether it was in one.
func (q *fairQueue[T]) remove(p *place[T]) bool {
	if p.in == nil {
		return false
	}
	q.length--
	l := p.leave()
	for l.first == nil && l != &q.all {
		empty := l
		l = l.leave()
		delete(q.lines, empty.name)
		empty.name = line{}
		if q.spares < spareLines {
			q.spare[q.spares] = empty
			q.spares++
		}
	}
	return true
}

// add puts another place into p, a line, as the last of this round.
func (p *place[T]) add(last *place[T]) {
	last.in = p
	if p.first == nil {
		last.before, last.after = last, last
		p.first = last
		return
	}
	last.before, last.after = p.first.before, p.first
	last.before.after, last.after.before = last, last
}

// leave takes p out of its line, which it returns.
func (p *place[T]) leave() *place[T] {
	l := p.in
	if l.first == p {
		l.first = p.after
	}
	if p.after == p {
		l.first = nil
	}
	p.before.after, p.after.before = p.after, p.before
	p.in, p.before, p.after = nil, nil, nil
	return l
}
