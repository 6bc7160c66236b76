package a64

import (
	"math"
	"math/rand/v2"
	"testing"
)

// operand draws a number: often one whose result is exact, tiny, huge or half way.
func operand(r *rand.Rand, f *format) uint64 {
	v := r.Uint64() >> (63 - f.sign())
	switch r.IntN(6) {
	case 0: // few bits
		v &^= 1<<(f.frac-r.UintN(4)) - 1
	case 1: // near 1
		v = v&^(f.maxExp()<<f.frac) | uint64(f.bias-4+r.IntN(8))<<f.frac
	case 2: // near the smallest, or the greatest
		v = v&^(f.maxExp()<<f.frac) | uint64(r.IntN(4))<<f.frac
	case 3:
		v = v&^(f.maxExp()<<f.frac) | (f.maxExp()-uint64(r.IntN(4)))<<f.frac
	case 4: // few bits, near 1
		v = v&^(f.maxExp()<<f.frac)&^(1<<(f.frac-3)-1) | uint64(f.bias-2+r.IntN(4))<<f.frac
	}
	return v
}

// What the processor computes is what the architecture says, flags included.
func TestQuickIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var taken [5]int
	for range 300_000 {
		f := &formats[2+r.IntN(2)]
		a, b, c := operand(r, f), operand(r, f), operand(r, f)
		before := uint32(0)
		if r.IntN(2) == 0 {
			before = inexact
		}
		cr := []uint32{0, fpcrDN, fpcrFZ}[r.IntN(3)]
		for i, op := range []struct {
			name  string
			quick func(p *fpu) (uint64, bool)
			slow  func(p *fpu) uint64
		}{
			{"add", func(p *fpu) (uint64, bool) { return p.quickAdd(f, a, b) }, func(p *fpu) uint64 { return p.sum(f, a, b) }},
			{"mul", func(p *fpu) (uint64, bool) { return p.quickMul(f, a, b) }, func(p *fpu) uint64 { return p.multiply(f, a, b, false) }},
			{"div", func(p *fpu) (uint64, bool) { return p.quickDiv(f, a, b) }, func(p *fpu) uint64 { return p.divide(f, a, b) }},
			{"sqrt", func(p *fpu) (uint64, bool) { return p.quickSqrt(f, a) }, func(p *fpu) uint64 { return p.squareRoot(f, a) }},
			{"muladd", func(p *fpu) (uint64, bool) { return p.quickMuladd(f, a, b, c) }, func(p *fpu) uint64 { return p.fuse(f, a, b, c) }},
		} {
			quick, slow := fpu{cr, before}, fpu{cr, before}
			got, ok := op.quick(&quick)
			if !ok {
				continue
			}
			taken[i]++
			if want := op.slow(&slow); got != want || quick != slow {
				t.Fatalf("%s of %#x, %#x, %#x: %#x with flags %#x, want %#x with %#x", op.name, a, b, c, got, quick.sr, want, slow.sr)
			}
		}
	}
	for i, n := range taken {
		if n < 20_000 {
			t.Errorf("operation %d was taken only %d times", i, n)
		}
	}
}

// The slow functions agree with Go's about numbers.
func TestSoftIsGo(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50_000 {
		f := &formats[3]
		a, b, c := operand(r, f), operand(r, f), operand(r, f)
		x, y, z := math.Float64frombits(a), math.Float64frombits(b), math.Float64frombits(c)
		p := &fpu{cr: fpcrDN}
		for name, pair := range map[string][2]float64{
			"add":    {math.Float64frombits(p.sum(f, a, b)), x + y},
			"mul":    {math.Float64frombits(p.multiply(f, a, b, false)), x * y},
			"div":    {math.Float64frombits(p.divide(f, a, b)), x / y},
			"sqrt":   {math.Float64frombits(p.squareRoot(f, a)), math.Sqrt(x)},
			"muladd": {math.Float64frombits(p.fuse(f, a, b, c)), math.FMA(y, z, x)},
		} {
			if pair[0] != pair[1] && !(math.IsNaN(pair[0]) && math.IsNaN(pair[1])) {
				t.Fatalf("%s of %g, %g, %g: %g, want %g", name, x, y, z, pair[0], pair[1])
			}
		}
	}
}
