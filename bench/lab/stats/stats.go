package stats

import (
	"cmp"
	"math"
	"slices"
)

// Number is what can be counted and measured.
type Number interface {
	~int | ~int64 | ~float64
}

// Quantile of sorted values by nearest rank: the smallest value that at least
// the part q of them do not exceed. It is 0 if there are none.
func Quantile[T cmp.Ordered](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var none T
		return none
	}
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9)) // 0.99 × 100 is more than 99 in floating point
	return sorted[min(max(rank-1, 0), len(sorted)-1)]
}

// Median of values in any order, the mean of the two in the middle if there
// are two. It is 0 if there are none.
func Median[T Number](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// A Step of a distribution: the part Share of all values is at most Value.
type Step struct{ Value, Share float64 }

// Distribution is that of sorted values in at most n+2 steps: the smallest,
// then equally spaced parts, of which the last tenth is as fine again so that
// the tail is seen.
func Distribution(sorted []float64, n int) []Step {
	if len(sorted) == 0 {
		return nil
	}
	steps := []Step{{sorted[0], 1 / float64(len(sorted))}}
	add := func(q float64) {
		if q > steps[len(steps)-1].Share {
			steps = append(steps, Step{Quantile(sorted, q), q})
		}
	}
	for i := 1; i <= n/2; i++ {
		add(0.9 * float64(i) / float64(n/2))
	}
	for i := 1; i <= n/2; i++ {
		add(0.9 + 0.1*float64(i)/float64(n/2))
	}
	return steps
}
