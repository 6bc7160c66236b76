package dispatcher

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"pappus/engine"
)

// Budget is a number of bytes that many share. Claims that do not fit wait in
// order. It is safe for concurrent use.
//
// Whoever holds bytes must not wait for more of the same budget, or all could
// wait for one another: reserve the most that may be needed before the first
// byte is read, or use Grow, which never waits. Work that holds bytes here may
// wait for a context, since contexts are charged elsewhere.
type Budget struct {
	what  string
	limit int64

	mu      sync.Mutex
	timeout time.Duration // of claims that wait
	most    int           // claims that may wait
	used    int64
	queue   list.List // of *claim
}

// claim is a wait for bytes.
type claim struct {
	n       int64
	granted chan struct{} // closed, with the budget locked, once the bytes are charged
}

func newBudget(what string, limit int64, timeout time.Duration, most int) *Budget {
	return &Budget{what: what, limit: limit, timeout: timeout, most: most}
}

// bound sets how long and how many claims may wait, for those that begin to
// wait from now on.
func (b *Budget) bound(timeout time.Duration, most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timeout, b.most = timeout, most
}

// Reservation is bytes charged to a budget. The zero value holds nothing. It
// must not be copied once it is in use, nor used by two goroutines at once.
type Reservation struct {
	budget *Budget
	n      int64
}

// Reserve charges n bytes. When they are not there it waits its turn, at most
// until ctx ends or the waiting limit is over. Errors are *TooLargeError when n
// is more than the whole budget, and faults overload, canceled and deadline.
func (b *Budget) Reserve(ctx context.Context, n int64) (Reservation, error) {
	if n > b.limit {
		return Reservation{}, &TooLargeError{What: b.what, Size: n, Limit: b.limit}
	}
	if n <= 0 {
		return Reservation{}, nil
	}
	b.mu.Lock()
	if b.queue.Len() == 0 && n <= b.limit-b.used {
		b.used += n
		b.mu.Unlock()
		return Reservation{b, n}, nil
	}
	if most := b.most; b.queue.Len() >= most {
		b.mu.Unlock()
		return Reservation{}, overload(fmt.Sprintf("%d requests already wait for memory for their %s; try again later", most, b.what), nil)
	}
	c := &claim{n: n, granted: make(chan struct{})}
	e := b.queue.PushBack(c)
	timeout := b.timeout
	b.mu.Unlock()

	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var err error
	select {
	case <-c.granted:
		return Reservation{b, n}, nil
	case <-ctx.Done():
		err = gone(ctx)
	case <-timer.C:
		err = overload(fmt.Sprintf("no memory for a %s of %s within %s; try again later", b.what, engine.Bytes(n), timeout), nil)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted: // it came at the same moment
		b.used -= n
	default:
		b.queue.Remove(e)
	}
	b.grant()
	return Reservation{}, err
}

// TryReserve charges n bytes if they are there and nobody waits.
func (b *Budget) TryReserve(n int64) (Reservation, bool) {
	r := Reservation{budget: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	ok := b.queue.Len() == 0 && r.add(n)
	return r, ok
}

// grant serves those who wait, in order, while there is room. b.mu is held.
func (b *Budget) grant() {
	for e := b.queue.Front(); e != nil; e = b.queue.Front() {
		c := e.Value.(*claim) //nolint:errcheck // nothing else is put into the queue
		if c.n > b.limit-b.used {
			return
		}
		b.used += c.n
		b.queue.Remove(e)
		close(c.granted)
	}
}

// Used is the number of bytes charged now.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Limit is the most that can be charged, in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Size is the number of bytes that r holds.
func (r *Reservation) Size() int64 { return r.n }

// Grow charges n bytes more if they are there. It never waits, and it passes
// those who do: they hold nothing, and what has begun should end. It fails on
// the zero Reservation.
func (r *Reservation) Grow(n int64) bool {
	b := r.budget
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return r.add(n)
}

// add charges n bytes more if they are there. The budget is locked.
func (r *Reservation) add(n int64) bool {
	b := r.budget
	if n < 0 || n > b.limit-b.used {
		return false
	}
	b.used += n
	r.n += n
	return true
}

// Shrink gives bytes back until r holds n; it does nothing if r holds less.
func (r *Reservation) Shrink(n int64) {
	n = max(n, 0)
	b := r.budget
	if b == nil || n >= r.n {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= r.n - n
	r.n = n
	b.grant()
}

// Release gives everything back. More calls than one have no effect.
func (r *Reservation) Release() { r.Shrink(0) }
