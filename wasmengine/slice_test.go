package wasmengine

import (
	"math"
	"testing"
	"time"
)

// A slow slice is followed by one that takes half a millisecond, and fast ones
// grow up to the largest.
func TestSlicesAdapt(t *testing.T) {
	r := &running{most: 250_000, slice: firstSlice, limit: math.MaxInt64}
	perUnit := 2 * time.Microsecond // a page fault
	took := time.Duration(r.slice) * perUnit
	r.adapt(took)
	if next := time.Duration(r.slice) * perUnit; next > longSlice || next < longSlice/2 {
		t.Errorf("after %s the next slice takes %s", took, next)
	}
	for range 20 {
		r.adapt(time.Duration(r.slice)) // a unit in a nanosecond
	}
	if r.slice < 125_000 || r.slice > r.most {
		t.Errorf("fast slices have %d", r.slice)
	}
	r.slice = 1
	r.adapt(time.Second)
	if r.slice != 1 {
		t.Errorf("the smallest slice has %d", r.slice)
	}
}
