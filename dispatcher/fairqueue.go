package dispatcher

// fairQueue is a queue for each tenant, served in turn: every tenant that has
// something in it gets the same number of places, in the order of its own
// arrivals. It is not safe for concurrent use. The zero value is empty.
type fairQueue[T any] struct {
	tenants map[string]*tenantQueue[T]
	turn    *tenantQueue[T] // in a ring; nil when the queue is empty
	length  int
	spare   *tenantQueue[T] // the last that became empty, so that a lone tenant does not allocate
}

// tenantQueue is what one tenant has in the queue; it is never empty there.
type tenantQueue[T any] struct {
	tenant        string
	first, last   *place[T]
	before, after *tenantQueue[T] // in the ring
}

// place is a place in a fairQueue. Its owner keeps it, so that queueing does
// not allocate.
type place[T any] struct {
	value         T
	before, after *place[T]
	in            *tenantQueue[T] // nil: not in a queue
}

// push puts p, which is in no queue, behind everything of its tenant.
func (q *fairQueue[T]) push(tenant string, p *place[T]) {
	t := q.tenants[tenant]
	if t == nil {
		t = q.join(tenant)
	}
	p.in, p.before, p.after = t, t.last, nil
	if t.last == nil {
		t.first = p
	} else {
		t.last.after = p
	}
	t.last = p
	q.length++
}

// join lets a tenant into the ring, as the last of this round.
func (q *fairQueue[T]) join(tenant string) *tenantQueue[T] {
	t := q.spare
	q.spare = nil
	if t == nil {
		t = new(tenantQueue[T])
	}
	t.tenant = tenant
	if q.turn == nil {
		t.before, t.after = t, t
		q.turn = t
	} else {
		t.before, t.after = q.turn.before, q.turn
		t.before.after, t.after.before = t, t
	}
	if q.tenants == nil {
		q.tenants = make(map[string]*tenantQueue[T])
	}
	q.tenants[tenant] = t
	return t
}

// peek is the place that pop would take, or nil.
func (q *fairQueue[T]) peek() *place[T] {
	if q.turn == nil {
		return nil
	}
	return q.turn.first
}

// all yields everything in the queue, that of one tenant after the other.
func (q *fairQueue[T]) all(yield func(T) bool) {
	for t := q.turn; t != nil; {
		for p := t.first; p != nil; p = p.after {
			if !yield(p.value) {
				return
			}
		}
		if t = t.after; t == q.turn {
			return
		}
	}
}

// pop takes the first place of the tenant whose turn it is, or returns nil.
func (q *fairQueue[T]) pop() *place[T] {
	p := q.peek()
	if p == nil {
		return nil
	}
	next := q.turn.after
	q.remove(p)
	if q.turn != nil {
		q.turn = next
	}
	return p
}

// remove takes p out of the queue and reports whether it was in one.
func (q *fairQueue[T]) remove(p *place[T]) bool {
	t := p.in
	if t == nil {
		return false
	}
	if p.before == nil {
		t.first = p.after
	} else {
		p.before.after = p.after
	}
	if p.after == nil {
		t.last = p.before
	} else {
		p.after.before = p.before
	}
	p.in, p.before, p.after = nil, nil, nil
	q.length--
	if t.first == nil {
		q.part(t)
	}
	return true
}

// part takes a tenant that has nothing left out of the ring.
func (q *fairQueue[T]) part(t *tenantQueue[T]) {
	if q.turn == t {
		q.turn = t.after
	}
	if t.after == t {
		q.turn = nil
	}
	t.before.after, t.after.before = t.after, t.before
	t.before, t.after = nil, nil
	delete(q.tenants, t.tenant)
	q.spare = t
}
