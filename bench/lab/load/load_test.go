package load

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// a server takes some time for each call, by its number.
type server struct {
	takes func(n int) (time.Duration, error)

	mu                sync.Mutex
	dialled, underWay int
	most              int
}

func (s *server) dial(context.Context) (Caller, error) {
	s.dialled++
	return &connection{server: s, hungUp: make(chan struct{})}, nil
}

type connection struct {
	*server
	once   sync.Once
	hungUp chan struct{}
}

func (c *connection) Close() error {
	c.once.Do(func() { close(c.hungUp) })
	return nil
}

var errHungUp = errors.New("hung up")

func (c *connection) Call(n int) error {
	c.mu.Lock()
	c.underWay++
	c.most = max(c.most, c.underWay)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.underWay--
		c.mu.Unlock()
	}()
	takes, err := c.takes(n)
	if takes == 0 {
		return err
	}
	timer := time.NewTimer(takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		return err
	case <-c.hungUp:
		return errHungUp
	}
}

func always(d time.Duration) func(int) (time.Duration, error) {
	return func(int) (time.Duration, error) { return d, nil }
}

func TestOpenAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: always(3 * time.Millisecond)}
		o, err := Open{Gaps: Even(100), Duration: time.Second, Connections: 4, Waiting: 10}.Run(t.Context(), s.dial)
		if err != nil {
			t.Fatal(err)
		}
		if o.Offered != 100 || o.Done != 100 || o.Dropped+o.Late+o.Refused != 0 {
			t.Errorf("got %+v", o)
		}
		if o.Sorted[0] != 3*time.Millisecond || o.Sorted[99] != 3*time.Millisecond {
			t.Errorf("took from %v to %v, want 3ms", o.Sorted[0], o.Sorted[99])
		}
		if o.PerSecond() != 100 || s.dialled != 4 {
			t.Errorf("%v a second over %d connections", o.PerSecond(), s.dialled)
		}
	})
}

// A server that stands still for a second makes all calls slow that were due in
// that second, and not only the one that it was asked.
func TestOpenCountsFromWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: func(n int) (time.Duration, error) {
			if n == 0 {
				return time.Second, nil
			}
			return 0, nil
		}}
		o, err := Open{Gaps: Even(10), Duration: 2 * time.Second, Connections: 1, Waiting: 100, Late: time.Millisecond}.Run(t.Context(), s.dial)
		if err != nil {
			t.Fatal(err)
		}
		// Those due at 0.1 … 0.9 s were answered at 1 s, as was that of 1 s itself
		// at once.
		if o.Done != 20 || o.Late != 9 || o.Dropped != 0 {
			t.Errorf("got %d done, %d late, %d dropped", o.Done, o.Late, o.Dropped)
		}
		for i := range 10 {
			if got, want := o.Sorted[10+i], time.Duration(i+1)*100*time.Millisecond; got != want {
				t.Errorf("call took %v, want %v", got, want)
			}
		}
	})
}

func TestOpenDropsWhatCannotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: always(time.Second)}
		// The first goes to the connection, two wait, the others are dropped.
		o, err := Open{Gaps: Even(10), Duration: time.Second, Connections: 1, Waiting: 2}.Run(t.Context(), s.dial)
		if err != nil {
			t.Fatal(err)
		}
		if o.Offered != 10 || o.Done != 3 || o.Dropped != 7 || s.most != 1 {
			t.Errorf("got %+v, %d at once", o, s.most)
		}
		if o.Elapsed != 3*time.Second {
			t.Errorf("elapsed %v, want 3s", o.Elapsed)
		}
	})
}

func TestRefusedIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: func(n int) (time.Duration, error) {
			if n%2 == 1 {
				return time.Millisecond, ErrRefused
			}
			return time.Millisecond, nil
		}}
		o, err := Open{Gaps: Even(100), Duration: time.Second, Connections: 2, Waiting: 10}.Run(t.Context(), s.dial)
		if err != nil || o.Done != 50 || o.Refused != 50 {
			t.Errorf("open: %+v, %v", o, err)
		}
		o, err = Closed{Connections: 1, Duration: 100 * time.Millisecond}.Run(t.Context(), s.dial)
		if err != nil || o.Done != 50 || o.Refused != 50 {
			t.Errorf("closed: %+v, %v", o, err)
		}
	})
}

func TestClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{takes: always(10 * time.Millisecond)}
		o, err := Closed{Connections: 3, Duration: time.Second}.Run(t.Context(), s.dial)
		if err != nil {
			t.Fatal(err)
		}
		if o.Done != 300 || o.Offered != 300 || o.PerSecond() != 300 || s.most != 3 {
			t.Errorf("got %+v, %d at once", o, s.most)
		}
	})
}

// A wrong answer and the end of the context end a load at once, whatever is
// under way.
func TestEnds(t *testing.T) {
	wrong := errors.New("wrong")
	loads := map[string]func(context.Context, Dialer) (*Outcome, error){
		"open":   Open{Gaps: Even(10), Duration: time.Hour, Connections: 2, Waiting: 1}.Run,
		"closed": Closed{Connections: 2, Duration: time.Hour}.Run,
	}
	for name, run := range loads {
		t.Run(name+" wrong answer", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{takes: func(n int) (time.Duration, error) {
					if n == 1 {
						return time.Second, wrong
					}
					return 20 * time.Minute, nil
				}}
				begin := time.Now()
				if _, err := run(t.Context(), s.dial); !errors.Is(err, wrong) {
					t.Errorf("got %v, want %v", err, wrong)
				}
				if took := time.Since(begin); took > 2*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
		t.Run(name+" cancelled", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				s := &server{takes: always(20 * time.Minute)}
				begin := time.Now()
				if _, err := run(ctx, s.dial); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
				}
				if took := time.Since(begin); took != 3*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestRefusesNonsense(t *testing.T) {
	s := &server{takes: always(0)}
	for _, o := range []Open{
		{Duration: time.Second, Connections: 1}, {Gaps: Even(1), Connections: 1},
		{Gaps: Even(1), Duration: time.Second}, {Gaps: Even(1), Duration: time.Second, Connections: 1, Waiting: -1},
	} {
		if _, err := o.Run(t.Context(), s.dial); err == nil {
			t.Errorf("%+v ran", o)
		}
	}
	for _, c := range []Closed{{Connections: 1}, {Duration: time.Second}} {
		if _, err := c.Run(t.Context(), s.dial); err == nil {
			t.Errorf("%+v ran", c)
		}
	}
	no := errors.New("no")
	if _, err := (Closed{Connections: 1, Duration: time.Second}).Run(t.Context(), func(context.Context) (Caller, error) { return nil, no }); !errors.Is(err, no) {
		t.Errorf("got %v, want %v", err, no)
	}
}

func TestGaps(t *testing.T) {
	even, sum := Even(3), time.Duration(0)
	for range 3001 {
		sum += even()
	}
	if sum != 1000*time.Second {
		t.Errorf("3,000 calls after the first at 3 a second: %v", sum)
	}
	const calls = 100_001
	const during = calls * time.Millisecond
	a, b, other := Poisson(1000, during, 7), Poisson(1000, during, 7), Poisson(1000, during, 8)
	sum = 0
	same, long := 0, 0
	for range calls {
		gap := a()
		if gap != b() {
			t.Fatal("the same seed gives other times")
		}
		if gap == other() {
			same++
		}
		if gap > time.Millisecond {
			long++
		}
		sum += gap
	}
	if next := a(); next != never || sum >= during || sum < during-during/100 || same > calls/100 {
		t.Errorf("%d calls in %v, the next %v later, %d the same as of another seed", calls, sum, next, same)
	}
	// Of a Poisson process 1/e of the gaps are longer than the mean.
	if share := float64(long) / calls; share < 0.36 || share > 0.376 {
		t.Errorf("%v of the gaps are longer than the mean", share)
	}
	schedule := Schedule([]time.Duration{2, 2, 7})
	for _, want := range []time.Duration{2, 0, 5, never} {
		if got := schedule(); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestPreciseWaits(t *testing.T) {
	until := time.Now().Add(2 * time.Millisecond)
	if err := Precise(t.Context(), until); err != nil || time.Now().Before(until) {
		t.Errorf("it came back before time, or %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Precise(ctx, time.Now().Add(time.Hour)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
