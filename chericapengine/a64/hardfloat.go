package a64

import "math"

// The processor that this runs on computes the common cases: operands and results that
// are normal numbers, rounded to nearest. Whether a result is inexact follows from an
// error that is itself computed exactly. Everything else is left to the functions of
// softfloat.go, which these must not differ from.

// Results that are far enough from the smallest number that their errors are numbers.
const (
	roomDouble = 1023 - 900
)

// nearest reports whether rounding is to nearest.
func (p *fpu) nearest() bool { return p.cr&fpcrRMode == 0 }

// normal64 reports whether a double is a normal number, and usual64 whether it is that
// or zero.
func normal64(v uint64) bool { return v>>52&0x7ff-1 < 0x7fe }
func usual64(v uint64) bool  { return normal64(v) || v<<1 == 0 }
func normal32(v uint32) bool { return v>>23&0xff-1 < 0xfe }
func usual32(v uint32) bool  { return normal32(v) || v<<1 == 0 }

// noted raises inexact if an error is not zero.
func (p *fpu) noted(exact bool) {
	if !exact {
		p.sr |= inexact
	}
}

// quickAdd is a + b, if it is one of the common cases.
func (p *fpu) quickAdd(f *format, a, b uint64) (uint64, bool) {
	switch f.size {
	case 3:
		if !p.nearest() || !usual64(a) || !usual64(b) {
			return 0, false
		}
		x, y := math.Float64frombits(a), math.Float64frombits(b)
		s := x + y
		r := math.Float64bits(s)
		if !normal64(r) {
			return 0, false
		}
		if p.sr&inexact == 0 {
			t := s - x
			p.noted((x-(s-t))+(y-t) == 0)
		}
		return r, true
	case 2:
		if !p.nearest() || !usual32(uint32(a)) || !usual32(uint32(b)) {
			return 0, false
		}
		x, y := math.Float32frombits(uint32(a)), math.Float32frombits(uint32(b))
		s := x + y
		r := math.Float32bits(s)
		if !normal32(r) {
			return 0, false
		}
		if p.sr&inexact == 0 {
			t := s - x
			p.noted(float32(x-float32(s-t))+float32(y-t) == 0)
		}
		return uint64(r), true
	}
	return 0, false
}

// quickMul is a * b, if it is one of the common cases.
func (p *fpu) quickMul(f *format, a, b uint64) (uint64, bool) {
	switch f.size {
	case 3:
		if !p.nearest() || !normal64(a) || !normal64(b) {
			return 0, false
		}
		x, y := math.Float64frombits(a), math.Float64frombits(b)
		s := float64(x * y)
		r := math.Float64bits(s)
		if e := r >> 52 & 0x7ff; e-roomDouble >= 0x7ff-roomDouble {
			return 0, false
		}
		if p.sr&inexact == 0 {
			p.noted(math.FMA(x, y, -s) == 0)
		}
		return r, true
	case 2:
		if !p.nearest() || !normal32(uint32(a)) || !normal32(uint32(b)) {
			return 0, false
		}
		x, y := math.Float32frombits(uint32(a)), math.Float32frombits(uint32(b))
		s := float32(x * y)
		r := math.Float32bits(s)
		if !normal32(r) || r>>23&0xff < 2 {
			return 0, false
		}
		p.noted(float64(x)*float64(y) == float64(s))
		return uint64(r), true
	}
	return 0, false
}

// quickDiv is a / b, if it is one of the common cases.
func (p *fpu) quickDiv(f *format, a, b uint64) (uint64, bool) {
	switch f.size {
	case 3:
		if !p.nearest() || !normal64(a) || !normal64(b) || a>>52&0x7ff < roomDouble {
			return 0, false
		}
		x, y := math.Float64frombits(a), math.Float64frombits(b)
		s := float64(x / y)
		r := math.Float64bits(s)
		if e := r >> 52 & 0x7ff; e-roomDouble >= 0x7ff-roomDouble {
			return 0, false
		}
		if p.sr&inexact == 0 {
			p.noted(math.FMA(-s, y, x) == 0)
		}
		return r, true
	case 2:
		if !p.nearest() || !normal32(uint32(a)) || !normal32(uint32(b)) {
			return 0, false
		}
		x, y := math.Float32frombits(uint32(a)), math.Float32frombits(uint32(b))
		s := float32(x / y)
		r := math.Float32bits(s)
		if !normal32(r) || r>>23&0xff < 2 {
			return 0, false
		}
		p.noted(float64(s)*float64(y) == float64(x))
		return uint64(r), true
	}
	return 0, false
}

// quickSqrt is the square root of a, if it is one of the common cases.
func (p *fpu) quickSqrt(f *format, a uint64) (uint64, bool) {
	switch f.size {
	case 3:
		if !p.nearest() || !normal64(a) || a>>63 != 0 || a>>52 < roomDouble {
			return 0, false
		}
		x := math.Float64frombits(a)
		s := math.Sqrt(x)
		p.noted(math.FMA(-s, s, x) == 0)
		return math.Float64bits(s), true
	case 2:
		if !p.nearest() || !normal32(uint32(a)) || a>>31 != 0 {
			return 0, false
		}
		x := math.Float32frombits(uint32(a))
		s := float32(math.Sqrt(float64(x)))
		p.noted(float64(s)*float64(s) == float64(x))
		return uint64(math.Float32bits(s)), true
	}
	return 0, false
}

// quickMuladd is a + b*c rounded once, if it is one of the common cases. Whether a double
// is inexact it can't tell.
func (p *fpu) quickMuladd(f *format, a, b, c uint64) (uint64, bool) {
	switch f.size {
	case 3:
		if !p.nearest() || p.sr&inexact == 0 || !usual64(a) || !normal64(b) || !normal64(c) {
			return 0, false
		}
		r := math.Float64bits(math.FMA(math.Float64frombits(b), math.Float64frombits(c), math.Float64frombits(a)))
		if e := r >> 52 & 0x7ff; e-2 >= 0x7ff-2 {
			return 0, false
		}
		return r, true
	case 2:
		if !p.nearest() || !usual32(uint32(a)) || !normal32(uint32(b)) || !normal32(uint32(c)) {
			return 0, false
		}
		z := float64(math.Float32frombits(uint32(a)))
		product := float64(math.Float32frombits(uint32(b))) * float64(math.Float32frombits(uint32(c))) // exact
		s := product + z
		t := s - product
		lost := (product - (s - t)) + (z - t)
		if lost != 0 { // round to odd, so that rounding again is right
			v := math.Float64bits(s)
			if v&1 == 0 {
				if (lost > 0) == (s > 0) {
					v++
				} else {
					v--
				}
			}
			s = math.Float64frombits(v)
		}
		n := float32(s)
		r := math.Float32bits(n)
		if !normal32(r) || r>>23&0xff < 2 {
			return 0, false
		}
		p.noted(lost == 0 && float64(n) == s)
		return uint64(r), true
	}
	return 0, false
}
