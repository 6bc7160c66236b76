package httpio

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A request ends when the next piece is due, or all of it: at that moment, whatever
// came before, and not at all if it was stopped.
func TestPatienceEndsInTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limits := Limits{
			Idle:  time.Duration(rapid.IntRange(1, 20).Draw(r, "idle")) * time.Second,
			Total: time.Duration(rapid.IntRange(1, 60).Draw(r, "total")) * time.Second,
		}
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 0, 20).Draw(r, "steps")
		synctest.Test(t, func(*testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			began := time.Now()
			var p patience
			p.begin(&limits, cancel)
			due, late := limits.Total, errTotal
			for _, step := range steps {
				select {
				case <-ctx.Done():
				case <-time.After(time.Duration(step)*time.Second + time.Millisecond): // at no moment when something is due
				}
				if ctx.Err() != nil {
					break
				}
				if due, late = limits.Total, errTotal; step%3 == 0 {
					p.whole()
				} else if p.piece(); time.Since(began)+limits.Idle < due {
					due, late = time.Since(began)+limits.Idle, errIdle
				}
			}
			if len(steps)%4 == 3 && ctx.Err() == nil {
				p.stop()
				<-time.After(2 * limits.Total)
				if ctx.Err() != nil {
					r.Errorf("it ended although it was stopped: %v", context.Cause(ctx))
				}
				return
			}
			<-ctx.Done()
			if took := time.Since(began); took != due || !errors.Is(context.Cause(ctx), late) {
				r.Errorf("it ended after %s with %v, want %s and %v", took, context.Cause(ctx), due, late)
			}
		})
	})
}
