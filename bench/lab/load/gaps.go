package load

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Gaps gives the time from one call to the next, by call.
type Gaps func() time.Duration

// Even is a fixed number of calls a second, evenly spaced.
func Even(perSecond float64) Gaps {
	// The times are exact in sum, and each is rounded.
	n, last := 0, time.Duration(0)
	return func() time.Duration {
		at := time.Duration(float64(n) / perSecond * float64(time.Second))
		gap := at - last
		n, last = n+1, at
		return gap
	}
}

// Poisson is that many calls a second for a time, rounded to whole calls, of users
// who know nothing of each other: a Poisson process of which as many calls came, so
// that no turn offers more or less than it should. The same seed gives the same
// times.
func Poisson(perSecond float64, during time.Duration, seed uint64) Gaps {
	random := rand.New(rand.NewPCG(seed, 0))
	at := make([]time.Duration, int(math.Round(perSecond*during.Seconds())))
	for i := range at {
		at[i] = time.Duration(random.Int64N(int64(during)))
	}
	slices.Sort(at)
	return Schedule(at)
}

// Schedule is calls at given times from the beginning, in order. After the
// last there are none.
func Schedule(at []time.Duration) Gaps {
	last := time.Duration(0)
	return func() time.Duration {
		if len(at) == 0 {
			return never
		}
		gap := at[0] - last
		last, at = at[0], at[1:]
		return gap
	}
}

const never = 1 << 60 * time.Nanosecond // 36 years

// Timer waits by a timer of the Go runtime.
func Timer(ctx context.Context, until time.Time) error {
	left := time.Until(until)
	if left <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
