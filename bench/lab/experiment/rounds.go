package experiment

import (
	"fmt"
	"time"

	"pappus/bench/lab/load"
	"pappus/bench/lab/result"
	"pappus/bench/lab/stats"
)

// rounds gathers a point's figures, of which there is one in each round.
type rounds struct {
	figures map[string][]float64
	n       int

	offered, dropped, refused, late int
}

// add takes a load's outcome.
func (r *rounds) add(o *load.Outcome) {
	r.n++
	r.count(o)
	r.note("calls_per_s", o.PerSecond())
	r.note("calls", float64(o.Done))
	if o.Done > 0 {
		r.note("p50_us", micro(stats.Quantile(o.Sorted, 0.5)))
	}
	if o.Done >= fewest {
		r.note("p99_us", micro(stats.Quantile(o.Sorted, 0.99)))
	}
}

// fewest calls have a 99th percentile: of fewer it would be the longest.
const fewest = 100

// count takes of a load's outcome only what was not as it should be. A figure
// for which calls were refused is not valid, whichever of its loads they were of.
func (r *rounds) count(o *load.Outcome) {
	r.offered += o.Offered
	r.dropped += o.Dropped
	r.refused += o.Refused
	r.late += o.Late
}

// note adds one figure of this round.
func (r *rounds) note(name string, value float64) {
	if r.figures == nil {
		r.figures = map[string][]float64{}
	}
	r.figures[name] = append(r.figures[name], value)
}

// median of a figure so far.
func (r *rounds) median(name string) float64 { return stats.Median(r.figures[name]) }

// point is the medians.
func (r *rounds) point(x float64) result.Point {
	p := result.Point{X: x, Values: map[string]float64{}, Rounds: r.n}
	for name, values := range r.figures {
		p.Values[name] = stats.Median(values)
	}
	if r.offered > 0 {
		p.Values["late_share"] = float64(r.late) / float64(r.offered)
	}
	if r.dropped+r.refused > 0 {
		p.Invalid = fmt.Sprintf("of %d calls, %d were dropped and %d refused", r.offered, r.dropped, r.refused)
	}
	return p
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
