package dispatcher

import (
	"container/list"
	"context"
	"fmt"
	"strconv"
	"sync"
)

// IOLimits bound the calls of I/O functions. Zero values stand for the defaults.
type IOLimits struct {
	Calls       int // that go on at once; default 256
	TenantCalls int // of one tenant; default half of all
}

func (l IOLimits) withDefaults() IOLimits {
	l.Calls = orDefault(l.Calls, 256)
	l.TenantCalls = orDefault(l.TenantCalls, max(1, l.Calls/2))
	return l
}

// Each calls f for each of the limits, in a fixed order, with its name and value
// as Set reads it.
func (l IOLimits) Each(f func(name, value string)) {
	f("calls", strconv.Itoa(l.Calls))
	f("tenant-calls", strconv.Itoa(l.TenantCalls))
}

// Set sets the limit of that name to what text says: a number above 0.
func (l *IOLimits) Set(name, text string) error {
	to := map[string]*int{"calls": &l.Calls, "tenant-calls": &l.TenantCalls}[name]
	if to == nil {
		return fmt.Errorf("there is no limit of calls called %.40q; there are calls, tenant-calls", name)
	}
	const most = 100_000 // each that goes on has a goroutine, and files
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("%.40q is not a number from 1 to %d", text, most)
	}
	*to = n
	return nil
}

// ioPool hands out slots for calls of I/O functions, which wait for the world and
// need no processor: they hold no permit. Tenants take turns, and within a tenant
// its runs do: each has at most one place in the queue, and chooses what to call
// when its turn comes. So a run with thousands of calls keeps nobody out, and
// takes one goroutine for each that goes on.
//
// Nobody who has a slot waits for another: calls that call back into the
// dispatcher (callTree) have none.
type ioPool struct {
	limits IOLimits
	ended  context.Context // once all calls have to end
	end    context.CancelFunc

	mu      sync.Mutex
	going   int
	tenants map[string]*ioTenant
	able    list.List // of *ioTenant: where somebody waits and may go, in turn
}

// ioTenant is what one tenant has in the pool, while it has something.
type ioTenant struct {
	name    string
	going   int
	waiting list.List     // of *ioTicket
	place   *list.Element // in able, or nil
}

// ioTicket is a run's place in the queue.
type ioTicket struct {
	tenant  string
	granted func()         // runs on a goroutine of its own, and calls release
	serving sync.WaitGroup // granted ones that have not returned
	place   *list.Element  // in the queue of its tenant, or nil
}

func newIOPool(limits IOLimits) *ioPool {
	p := &ioPool{limits: limits, tenants: map[string]*ioTenant{}}
	p.ended, p.end = context.WithCancel(context.Background())
	return p
}

// ask queues a ticket, if it is in no queue, and reports whether it waits there.
func (p *ioPool) ask(t *ioTicket) (waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.place == nil {
		of := p.tenants[t.tenant]
		if of == nil {
			of = &ioTenant{name: t.tenant}
			p.tenants[t.tenant] = of
		}
		t.place = of.waiting.PushBack(t)
		p.settle(of)
		p.dispatch()
	}
	return t.place != nil
}

// withdraw takes a ticket out of the queue. It may have been granted before.
func (p *ioPool) withdraw(t *ioTicket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.place != nil {
		of := p.tenants[t.tenant]
		of.waiting.Remove(t.place)
		t.place = nil
		p.settle(of)
	}
}

// release gives a slot back.
func (p *ioPool) release(tenant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.tenants[tenant]
	p.going--
	of.going--
	p.settle(of)
	p.dispatch()
}

// settle puts a tenant where it belongs. p.mu is held.
func (p *ioPool) settle(of *ioTenant) {
	switch able := of.waiting.Len() > 0 && of.going < p.limits.TenantCalls; {
	case able && of.place == nil:
		of.place = p.able.PushBack(of)
	case !able && of.place != nil:
		p.able.Remove(of.place)
		of.place = nil
	}
	if of.going == 0 && of.waiting.Len() == 0 {
		delete(p.tenants, of.name)
	}
}

// dispatch hands out free slots. p.mu is held.
func (p *ioPool) dispatch() {
	for p.going < p.limits.Calls && p.able.Len() > 0 {
		of := p.able.Front().Value.(*ioTenant)    //nolint:errcheck // nothing else is in it
		t := of.waiting.Front().Value.(*ioTicket) //nolint:errcheck // nothing else is in it
		of.waiting.Remove(t.place)
		t.place = nil
		p.going++
		of.going++
		p.able.MoveToBack(of.place)
		p.settle(of)
		t.serving.Add(1)
		go func() {
			defer t.serving.Done()
			t.granted()
		}()
	}
}
