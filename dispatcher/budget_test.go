package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pappus/engine"
)

func TestBudgetServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget("body", 100, 5*time.Second, 10)
		first, err := b.Reserve(t.Context(), 70)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int64
		var held []*Reservation
		for _, n := range []int64{60, 20, 10} {
			go func() {
				r, err := b.Reserve(t.Context(), n)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order, held = append(order, n), append(held, &r)
			}()
			synctest.Wait()
		}
		if len(order) != 0 || b.Used() != 70 {
			t.Errorf("%v passed the one before them; %d used", order, b.Used())
		}
		if _, ok := b.TryReserve(1); ok {
			t.Error("one that does not wait passed those who do")
		}
		if !first.Grow(1) || b.Used() != 71 {
			t.Error("what has begun does not pass those who wait")
		}
		first.Shrink(35)
		synctest.Wait()
		if fmt.Sprint(order) != "[60]" || b.Used() != 95 || first.Size() != 35 {
			t.Errorf("order %v; %d used", order, b.Used())
		}
		first.Release()
		first.Release()
		synctest.Wait()
		if len(order) != 3 || b.Used() != 90 {
			t.Errorf("order %v; %d used", order, b.Used())
		}
		for _, r := range held {
			r.Release()
		}
		if b.Used() != 0 {
			t.Errorf("%d used in the end", b.Used())
		}
	})
}

func TestBudgetWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget("body", 100, 5*time.Second, 1)
		all, err := b.Reserve(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Reserve(ctx, 1); engine.KindOf(err) != engine.FaultDeadline {
			t.Errorf("the caller's deadline: %v", err)
		}
		from := time.Now()
		done := make(chan error)
		go func() {
			_, err := b.Reserve(t.Context(), 1)
			done <- err
		}()
		synctest.Wait()
		if _, err := b.Reserve(t.Context(), 1); engine.KindOf(err) != engine.FaultOverload || time.Since(from) != 0 {
			t.Errorf("one more than may wait: %v after %s", err, time.Since(from))
		}
		if err := <-done; engine.KindOf(err) != engine.FaultOverload || time.Since(from) != 5*time.Second || !strings.Contains(err.Error(), "try again") {
			t.Errorf("%v after %s", err, time.Since(from))
		}
		all.Release()
		if b.Used() != 0 {
			t.Errorf("%d used in the end", b.Used())
		}
	})
}

func TestBudgetSizes(t *testing.T) {
	b := newBudget("body", 100, time.Second, 1)
	var tooLarge *TooLargeError
	for _, n := range []int64{101, math.MaxInt64} {
		if _, err := b.Reserve(t.Context(), n); !errors.As(err, &tooLarge) || tooLarge.Size != n || tooLarge.Limit != 100 {
			t.Errorf("%d bytes of 100: %v", n, err)
		}
		if _, ok := b.TryReserve(n); ok {
			t.Errorf("%d bytes of 100 were charged", n)
		}
	}
	for _, n := range []int64{0, -1, math.MinInt64} {
		r, err := b.Reserve(t.Context(), n)
		if err != nil || b.Used() != 0 {
			t.Errorf("%d bytes: %v, %d used", n, err, b.Used())
		}
		r.Release()
	}
	r, ok := b.TryReserve(60)
	if !ok || !r.Grow(40) || r.Grow(1) || r.Grow(math.MaxInt64) || r.Grow(-1) || b.Used() != 100 {
		t.Errorf("charged %d of 100", b.Used())
	}
	r.Shrink(200)
	if r.Size() != 100 || b.Used() != 100 {
		t.Errorf("shrinking to more left %d, %d used", r.Size(), b.Used())
	}
	r.Shrink(-5)
	var none Reservation
	if none.Grow(0) || b.Used() != 0 {
		t.Errorf("%d used in the end", b.Used())
	}
	none.Release()
}

// Hammer: no byte is lost, whatever ends when, and never is more charged than there is.
func TestBudgetHammer(t *testing.T) {
	b := newBudget("body", 1000, 200*time.Microsecond, 8)
	var sum, granted, refused atomic.Int64
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 2))
			for range 2000 {
				ctx, cancel := context.WithCancel(context.Background())
				if rnd.IntN(3) == 0 {
					time.AfterFunc(time.Duration(rnd.IntN(200))*time.Microsecond, cancel)
				}
				n := 1 + rnd.Int64N(600)
				r, err := b.Reserve(ctx, n)
				if err != nil {
					refused.Add(1)
					cancel()
					continue
				}
				granted.Add(1)
				if sum.Add(n) > 1000 {
					t.Error("more was granted than there is")
				}
				for until := time.Now().Add(5 * time.Microsecond); time.Now().Before(until); {
					runtime.Gosched() // others meet it also on one processor
				}
				sum.Add(-n)
				r.Release()
				cancel()
			}
		})
	}
	wg.Wait()
	if b.Used() != 0 || b.queue.Len() != 0 || granted.Load() == 0 || refused.Load() == 0 {
		t.Errorf("%d used, %d wait, %d granted, %d refused", b.Used(), b.queue.Len(), granted.Load(), refused.Load())
	}
}
