package dispatcher

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// Whoever asks gets a slot in the end, and there are never more than there may be.
func TestIOPool(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := IOLimits{Calls: rapid.IntRange(1, 6).Draw(t, "calls"), TenantCalls: rapid.IntRange(1, 4).Draw(t, "of a tenant")}
		p := newIOPool(limits)
		defer p.end()
		tenants := rapid.IntRange(1, 4).Draw(t, "tenants")
		var served atomic.Int64
		var all sync.WaitGroup
		check := func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			going := 0
			for name, of := range p.tenants {
				if going += of.going; of.going > limits.TenantCalls {
					t.Errorf("%s has %d slots", name, of.going)
				}
			}
			if going != p.going || going > limits.Calls {
				t.Errorf("%d slots are in use; counted are %d", going, p.going)
			}
		}
		asked := int64(0)
		for i := range tenants {
			for range rapid.IntRange(1, 5).Draw(t, "runs") {
				calls := rapid.Int64Range(1, 8).Draw(t, "calls")
				asked += calls
				ticket := &ioTicket{tenant: fmt.Sprint("tenant", i)}
				var done atomic.Int64
				all.Add(int(calls))
				ticket.granted = func() {
					check()
					if done.Add(1) < calls {
						p.ask(ticket)
					}
					served.Add(1)
					p.release(ticket.tenant)
					all.Done()
				}
				p.ask(ticket)
			}
		}
		all.Wait()
		if served.Load() != asked || p.going != 0 || len(p.tenants) != 0 || p.able.Len() != 0 {
			t.Errorf("%d of %d are served; %+v is left", served.Load(), asked, p)
		}
	})
}

// Tenants take turns, however much one of them asks for, and so do its runs.
func TestIOPoolIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newIOPool(IOLimits{Calls: 1, TenantCalls: 1})
		defer p.end()
		var order []string
		next := make(chan struct{})
		ticket := func(tenant, name string, calls int) {
			ticket := &ioTicket{tenant: tenant}
			ticket.granted = func() {
				<-next
				order = append(order, name)
				if calls--; calls > 0 {
					p.ask(ticket)
				}
				p.release(tenant)
			}
			p.ask(ticket)
		}
		ticket("a", "a1", 3)
		ticket("a", "a2", 3)
		ticket("b", "b1", 2)
		withdrawn := &ioTicket{tenant: "c", granted: func() { t.Error("a ticket was granted that was withdrawn") }}
		if !p.ask(withdrawn) {
			t.Error("it does not wait")
		}
		if !p.ask(withdrawn) {
			t.Error("asking again gives it another place")
		}
		p.withdraw(withdrawn)
		p.withdraw(withdrawn)
		for range 8 {
			next <- struct{}{}
			synctest.Wait()
		}
		if got, want := fmt.Sprint(order), "[a1 b1 a2 b1 a1 a2 a1 a2]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestIOLimitsSet(t *testing.T) {
	var l, again IOLimits
	for name, text := range map[string]string{"calls": "7", "tenant-calls": "3"} {
		if err := l.Set(name, text); err != nil {
			t.Errorf("%s=%s: %v", name, text, err)
		}
		for _, bad := range []string{"", "0", "-1", "x", "1.5", "100001"} {
			if err := l.Set(name, bad); err == nil {
				t.Errorf("%s=%s is accepted", name, bad)
			}
		}
	}
	l.Each(func(name, value string) {
		if err := again.Set(name, value); err != nil {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	})
	if want := (IOLimits{Calls: 7, TenantCalls: 3}); l != want || again != want {
		t.Errorf("%+v became %+v, want %+v", l, again, want)
	}
	if err := l.Set("call", "1"); err == nil {
		t.Error("a limit that is none is accepted")
	}
}
