package a64

import "math"

// Results of a comparison, as flags.
const (
	flagsLess      = flagN
	flagsEqual     = flagZ | flagC
	flagsGreater   = flagC
	flagsUnordered = flagC | flagV
)

// compare compares; signaling says that any NaN is invalid.
func (p *fpu) compare(f *format, a, b uint64, signaling bool) uint64 {
	if f.size == 3 && usual64(a) && usual64(b) {
		switch x, y := math.Float64frombits(a), math.Float64frombits(b); {
		case x < y:
			return flagsLess
		case x > y:
			return flagsGreater
		default:
			return flagsEqual
		}
	}
	x, y := p.unpack(f, a), p.unpack(f, b)
	if x.isNaN() || y.isNaN() {
		if signaling || x.class == isSignaling || y.class == isSignaling {
			p.raise(invalid)
		}
		return flagsUnordered
	}
	switch o := order(f, x, y); {
	case o < 0:
		return flagsLess
	case o > 0:
		return flagsGreater
	default:
		return flagsEqual
	}
}

// order compares two that are no NaNs.
func order(f *format, x, y number) int {
	key := func(n number) int64 {
		v := int64(n.bits &^ (1 << f.sign()))
		if n.negative {
			return -v
		}
		return v
	}
	switch a, b := key(x), key(y); {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// extreme is the greater of two if sign is 1, the lesser if it is -1. Number says that
// a quiet NaN gives way to a number.
func (p *fpu) extreme(f *format, a, b uint64, sign int, num bool) uint64 {
	x, y := p.unpack(f, a), p.unpack(f, b)
	if num && x.class == isQuiet && !y.isNaN() {
		return y.bits
	}
	if num && y.class == isQuiet && !x.isNaN() {
		return x.bits
	}
	if v, ok := p.nans(f, x, y); ok {
		return v
	}
	if x.class == isZero && y.class == isZero {
		if sign > 0 {
			return f.zero(x.negative && y.negative)
		}
		return f.zero(x.negative || y.negative)
	}
	if order(f, x, y)*sign > 0 {
		return x.bits
	}
	return y.bits
}
