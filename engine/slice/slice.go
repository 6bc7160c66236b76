package slice

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"pappus/engine"
)

// Run is one run's time, fuel and scheduler. The zero value is a run that asks
// nobody. It belongs to the goroutine that runs.
type Run struct {
	ctx       context.Context // of the caller
	scheduler engine.Scheduler
	start     time.Time
	deadline  time.Time
	limit     int64 // fuel; math.MaxInt64 for none
	most      int64 // fuel of a slice
	next      int64 // fuel of the next one
	resumed   time.Time
	granted   int64 // fuel handed out so far
	parked    time.Duration
}

// Slices begin small and become larger while they are short in time. Fuel counts
// instructions, and some take a thousand times as long as others: those that
// touch a new page of memory, or go back in a loop with thousands of locals.
// Nothing can stop a slice, so the one after a long one is so much smaller.
const (
	first = 25_000                 // fuel
	long  = 500 * time.Microsecond // from there on they shrink
)

// Begin starts a run under the limits, with slices of at most so much fuel, and
// returns the fuel of the first one.
func (r *Run) Begin(ctx context.Context, lim engine.Limits, most int64) (granted int64) {
	start := time.Now()
	*r = Run{
		ctx:       ctx,
		scheduler: engine.SchedulerOf(ctx),
		start:     start,
		deadline:  start.Add(time.Duration(lim.Timeout)),
		resumed:   start,
		limit:     lim.Fuel,
		most:      most,
		next:      min(most, first),
	}
	if r.limit == 0 {
		r.limit = math.MaxInt64
	}
	r.granted = min(r.next, r.limit)
	return r.granted
}

// Granted is the fuel that was handed out so far.
func (r *Run) Granted() int64 { return r.granted }

// Next decides at a slice boundary whether the run goes on, and with how much
// more fuel than it has used. The first check at which the fuel used exceeds the
// limit ends it, whatever the slices were.
func (r *Run) Next(used int64) (granted int64, err error) {
	if err := r.CheckFuel(used); err != nil {
		return 0, err
	}
	if err := r.ctx.Err(); err != nil {
		return 0, Canceled(err)
	}
	now := time.Now()
	if !now.Before(r.deadline) {
		return 0, timedOut()
	}
	r.adapt(now.Sub(r.resumed))
	r.resumed = now
	if r.scheduler != nil {
		parked, err := r.scheduler.Yield(r.ctx, r.deadline)
		r.parked += parked
		r.resumed = time.Now()
		if err != nil {
			return 0, r.refused(err)
		}
	}
	granted = min(r.next, r.limit-used)
	r.granted = used + granted
	return granted, nil
}

// CheckFuel returns the fault of having used more than the limit, or nil.
func (r *Run) CheckFuel(used int64) error {
	if used <= r.limit {
		return nil
	}
	return &engine.Fault{Kind: engine.FaultOutOfFuel, Detail: fmt.Sprintf("it used %d, and its limit is %d", used, r.limit)}
}

// Grow asks for a memory of so many bytes. It does nothing outside of runs.
func (r *Run) Grow(bytes int64) error {
	if r.scheduler == nil {
		return nil
	}
	parked, err := r.scheduler.Grow(r.ctx, bytes, r.deadline)
	if err != nil {
		return r.refused(err)
	}
	if parked > 0 {
		r.parked += parked
		r.resumed = r.resumed.Add(parked) // the slice has not become longer by it
	}
	return nil
}

// Claim asks for the memory with which a run will begin.
func Claim(ctx context.Context, bytes int64) error {
	r := Run{ctx: ctx, scheduler: engine.SchedulerOf(ctx)}
	return r.Grow(bytes)
}

// Usage is what the run took so far.
func (r *Run) Usage(fuel int64) engine.Usage {
	return engine.Usage{Fuel: fuel, Run: time.Since(r.start), Parked: r.parked}
}

// refused is what an error of the scheduler means for the run.
func (r *Run) refused(err error) error {
	switch {
	case errors.Is(err, engine.ErrDropped), engine.KindOf(err) != "":
		return err
	case errors.Is(err, context.DeadlineExceeded) && r.ctx.Err() == nil:
		return timedOut()
	default:
		return Canceled(err)
	}
}

// adapt chooses the size of the next slice from how long the last one took.
func (r *Run) adapt(took time.Duration) {
	switch {
	case took > long:
		r.next = max(int64(float64(r.next)*float64(long)/float64(took)), 1)
	case took < long/4:
		r.next = min(2*r.next, r.most)
	}
}

func timedOut() *engine.Fault {
	return &engine.Fault{Kind: engine.FaultDeadline, Detail: "it ran longer than its timeout"}
}

// Canceled is a fault of the caller, from the error of its context: its own
// deadline, or that it went away.
func Canceled(err error) *engine.Fault {
	if errors.Is(err, context.DeadlineExceeded) {
		return &engine.Fault{Kind: engine.FaultDeadline, Detail: "the caller's deadline passed", Err: err}
	}
	return &engine.Fault{Kind: engine.FaultCanceled, Detail: "the caller went away", Err: err}
}
