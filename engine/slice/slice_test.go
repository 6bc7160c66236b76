package slice

import (
	"math"
	"testing"
	"time"
)

// A slow slice is followed by one that takes half a millisecond, and fast ones
// grow up to the largest.
func TestSlicesAdapt(t *testing.T) {
	r := &Run{most: 250_000, next: first, limit: math.MaxInt64}
	perUnit := 2 * time.Microsecond // a page fault
	took := time.Duration(r.next) * perUnit
	r.adapt(took)
	if next := time.Duration(r.next) * perUnit; next > long || next < long/2 {
		t.Errorf("after %s the next slice takes %s", took, next)
	}
	for range 20 {
		r.adapt(time.Duration(r.next)) // a unit in a nanosecond
	}
	if r.next < 125_000 || r.next > r.most {
		t.Errorf("fast slices have %d", r.next)
	}
	r.next = 1
	r.adapt(time.Second)
	if r.next != 1 {
		t.Errorf("the smallest slice has %d", r.next)
	}
}
