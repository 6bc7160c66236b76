package domain

import "sync/atomic"

// What a page costs, in relative units: clearing it in place for every call, or
// copying it from an image, against having it faulted in again when the function
// touches it. Measured at about 0.06, 0.35 and 1.3 µs on one thread.
const (
	costClear = 6
	costCopy  = 35
	costFault = 130
)

// MaxWarm bounds the prefix that is kept resident for a function.
const MaxWarm = 4 << 20

// Observed bounds what Observe looks at.
const Observed = 64 << 20

// From where on huge pages pay: so much that is touched, most of all that lies
// before its end. One takes some 70 µs to clear, 512 small ones 600.
const (
	denseBytes = 4 << 20
	denseParts = 4 // at most one of so many parts is not touched
)

// Warmth learns how long a prefix of its memory a function really dirties, so
// that Sanitize clears what will be needed again and gives back the rest. It
// only ever decides about time: what it learns is never trusted for
// cleanliness. It is safe for concurrent use.
type Warmth struct {
	prefix atomic.Int64
	calls  atomic.Uint64
	huge   atomic.Bool
}

// Prefix is the number of bytes to keep warm.
func (w *Warmth) Prefix() int64 { return w.prefix.Load() }

// Huge tells whether huge pages suit the function.
func (w *Warmth) Huge() bool { return w.huge.Load() }

// Due reports whether the next use of a region should be observed: the
// first ones, then ever fewer. The region must be watched in that use, and
// Observe called with what was touched after.
func (w *Warmth) Due() bool {
	n := w.calls.Add(1)
	return n <= 2 || n < 1024 && n&(n-1) == 0 || n%4096 == 0
}

// Observe learns from the pages that one call touched, of a region that is
// mapped from an image or not.
func (w *Warmth) Observe(pages []byte, mapped bool) {
	cost := costClear
	if mapped {
		cost = costCopy
	}
	best, gain, bestGain := int64(0), 0, 0
	touched, last := 0, 0
	for i, resident := range pages {
		if resident != 0 {
			touched, last = touched+1, i+1
		}
		if i >= MaxWarm/PageSize {
			continue
		}
		gain -= cost
		if resident != 0 {
			gain += costFault
		}
		if gain > bestGain {
			best, bestGain = int64(i+1)*PageSize, gain
		}
	}
	dense := touched*PageSize >= denseBytes && (last-touched)*denseParts <= last
	if w.huge.Store(dense); dense {
		w.prefix.Store(0) // huge pages are given back, and cleared by the system
		return
	}
	// One small call must not make the next large one pay: fall slowly.
	if old := w.prefix.Load(); best < old {
		best = roundUp(old - (old-best)/2)
	}
	w.prefix.Store(best)
}
