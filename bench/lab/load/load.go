package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Caller makes calls, one at a time.
type Caller interface {
	// Call makes call n and returns when it was answered. ErrRefused is of one
	// that the server would not do now; any other error ends the measurement.
	Call(n int) error
	// Close ends a call that waits.
	Close() error
}

// ErrRefused is of a call that a server refused since it has too much to do.
var ErrRefused = errors.New("the server refused the call")

// A Dialer makes callers, each with a connection of its own.
type Dialer func(ctx context.Context) (Caller, error)

// An Outcome is what a load found.
type Outcome struct {
	Offered int // calls that were due
	Done    int // that were answered
	Refused int // that the server refused
	Dropped int // that were not made, since too many waited
	Late    int // that were begun more than Open.Late after they were due
	Elapsed time.Duration
	Sorted  []time.Duration // how long the answered ones took, shortest first
}

// PerSecond is how many calls were answered a second.
func (o *Outcome) PerSecond() float64 { return float64(o.Done) / o.Elapsed.Seconds() }

// Open is a load at a rate.
type Open struct {
	Gaps        Gaps          // between calls
	Duration    time.Duration // calls are due for so long
	Connections int           // calls under way at most
	Waiting     int           // calls that wait for a connection, at most
	Late        time.Duration // a call begun later than this after it was due is counted as late
	// Sleep waits until the time has come or the context ended; nil: a timer.
	// Timers of the Go runtime may be a millisecond late.
	Sleep func(ctx context.Context, until time.Time) error
}

// an arrival is a call that is due.
type arrival struct {
	n   int
	due time.Time
}

// Run applies the load. It ends after Duration and the calls that then are
// under way or wait.
func (o Open) Run(ctx context.Context, dial Dialer) (*Outcome, error) {
	if o.Connections < 1 || o.Waiting < 0 || o.Duration <= 0 || o.Gaps == nil {
		return nil, fmt.Errorf("load of %d connections, %d waiting, for %v: there must be some", o.Connections, o.Waiting, o.Duration)
	}
	callers, hangUp, err := dialAll(ctx, dial, o.Connections)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	out := new(Outcome)
	queue := make(chan arrival, o.Waiting)
	recorders := make([]recorder, o.Connections)
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, hangUp)()
	begin := time.Now()
	for i, c := range callers {
		group.Go(func() error {
			for a := range queue {
				began := time.Now()
				if began.Sub(a.due) > o.Late {
					recorders[i].late++
				}
				if err := recorders[i].record(c, a.n, a.due); err != nil {
					return errors.Join(err, ctx.Err())
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(queue)
		return o.arrive(ctx, begin, queue, out)
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out.Elapsed = max(time.Since(begin), o.Duration)
	out.take(recorders)
	return out, nil
}

// arrive sends the calls when they are due.
func (o Open) arrive(ctx context.Context, begin time.Time, queue chan<- arrival, out *Outcome) error {
	sleep := o.Sleep
	if sleep == nil {
		sleep = Timer
	}
	due := begin
	for n := 0; ; n++ {
		due = due.Add(o.Gaps())
		if due.Sub(begin) >= o.Duration {
			return nil
		}
		if err := sleep(ctx, due); err != nil {
			return err
		}
		out.Offered++
		select {
		case queue <- arrival{n, due}:
		default:
			out.Dropped++
		}
	}
}

// Closed is a load of as many calls as are answered.
type Closed struct {
	Connections int
	Duration    time.Duration
}

// Run applies the load.
func (c Closed) Run(ctx context.Context, dial Dialer) (*Outcome, error) {
	if c.Connections < 1 || c.Duration <= 0 {
		return nil, fmt.Errorf("load of %d connections for %v: there must be some", c.Connections, c.Duration)
	}
	callers, hangUp, err := dialAll(ctx, dial, c.Connections)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	recorders := make([]recorder, c.Connections)
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, hangUp)()
	var next atomic.Int64
	begin := time.Now()
	for i, caller := range callers {
		group.Go(func() error {
			for now := begin; now.Sub(begin) < c.Duration; now = time.Now() {
				n := int(next.Add(1)) - 1
				if err := recorders[i].record(caller, n, now); err != nil {
					return errors.Join(err, ctx.Err())
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := &Outcome{Offered: int(next.Load()), Elapsed: time.Since(begin)}
	out.take(recorders)
	return out, nil
}

// a recorder keeps what one connection saw.
type recorder struct {
	took          []time.Duration
	refused, late int
}

func (r *recorder) record(c Caller, n int, from time.Time) error {
	err := c.Call(n)
	if errors.Is(err, ErrRefused) {
		r.refused++
		return nil
	}
	if err != nil {
		return fmt.Errorf("call %d: %w", n, err)
	}
	r.took = append(r.took, time.Since(from))
	return nil
}

func (o *Outcome) take(recorders []recorder) {
	for i := range recorders {
		r := &recorders[i]
		o.Sorted = append(o.Sorted, r.took...)
		o.Refused += r.refused
		o.Late += r.late
	}
	o.Done = len(o.Sorted)
	slices.Sort(o.Sorted)
}

// dialAll makes n callers. What it returns closes them all, and may be called
// more than once.
func dialAll(ctx context.Context, dial Dialer, n int) (callers []Caller, hangUp func(), err error) {
	hangUp = func() {
		for _, c := range callers {
			_ = c.Close() // what was asked of it is answered, or will not be
		}
	}
	for range n {
		c, err := dial(ctx)
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		callers = append(callers, c)
	}
	return callers, hangUp, nil
}
