package stats

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestQuantile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, test := range []struct {
		values []int
		q      float64
		want   int
	}{
		{hundred, 0.99, 99}, {hundred, 0.5, 50}, {hundred, 0, 1}, {hundred, 1, 100}, {hundred, 0.999, 100},
		{[]int{7}, 0.99, 7}, {[]int{1, 2, 3}, 0.99, 3}, {[]int{1, 2, 3}, 0.5, 2}, {nil, 0.5, 0},
	} {
		if got := Quantile(test.values, test.q); got != test.want {
			t.Errorf("%v of %d values: got %d, want %d", test.q, len(test.values), got, test.want)
		}
	}
}

// Of the values, at least the part q are at most the quantile, and fewer are
// below it.
func TestQuantileProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := slices.Sorted(slices.Values(rapid.SliceOfN(rapid.IntRange(-50, 50), 1, 300).Draw(t, "values")))
		percent := rapid.IntRange(1, 100).Draw(t, "percent")
		got := Quantile(values, float64(percent)/100)
		atMost, below := 0, 0
		for _, v := range values {
			if v <= got {
				atMost++
			}
			if v < got {
				below++
			}
		}
		if atMost*100 < percent*len(values) || below*100 >= percent*len(values) {
			t.Fatalf("quantile %d%% of %v is %d", percent, values, got)
		}
	})
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}, {[]float64{9}, 9},
	} {
		if got := Median(test.values); got != test.want {
			t.Errorf("%v: got %v, want %v", test.values, got, test.want)
		}
	}
	values := []int{3, 1, 2}
	if Median(values); !slices.Equal(values, []int{3, 1, 2}) {
		t.Errorf("it changed what it was given: %v", values)
	}
}

func TestDistribution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := slices.Sorted(slices.Values(rapid.SliceOfN(rapid.Float64Range(0, 1000), 1, 500).Draw(t, "values")))
		n := rapid.IntRange(2, 100).Draw(t, "n")
		steps := Distribution(values, n)
		if len(steps) > n+2 || steps[0].Value != values[0] {
			t.Fatalf("%d steps, the first %v", len(steps), steps[0])
		}
		last := steps[len(steps)-1]
		if last.Value != values[len(values)-1] || math.Abs(last.Share-1) > 1e-9 {
			t.Fatalf("the last is %v, the largest %v", last, values[len(values)-1])
		}
		for i := 1; i < len(steps); i++ {
			if steps[i].Value < steps[i-1].Value || steps[i].Share <= steps[i-1].Share {
				t.Fatalf("%v after %v", steps[i], steps[i-1])
			}
		}
	})
	if got := Distribution(nil, 10); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
