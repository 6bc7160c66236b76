package a64

import "math/bits"

// fpu is floating point exactly as the architecture has it: results, NaNs and the
// cumulative flags follow from the operands and the control register alone.
type fpu struct {
	cr, sr uint32 // FPCR and FPSR
}

// Bits of FPSR: what has happened since they were cleared.
const (
	invalid      = 1 << 0
	divideByZero = 1 << 1
	overflow     = 1 << 2
	underflow    = 1 << 3
	inexact      = 1 << 4
	denormal     = 1 << 7 // an input was flushed to zero
	saturation   = 1 << 27
)

// Rounding modes: those of FPCR, and two of instructions.
const (
	toNearest  = iota // ties to even
	upward            // to plus infinity
	downward          // to minus infinity
	toZero            //
	tiesAway          // to nearest, ties away from zero
	roundToOdd        // of narrowing twice
)

// A format is one of the three precisions.
type format struct {
	frac, exp uint   // bits of the fraction and of the exponent
	bias      int    //
	size      uint8  // in bytes, the logarithm
	nan       uint64 // the default one
}

// The formats, by size.
var formats = [4]format{
	1: {10, 5, 15, 1, 0x7e00},
	2: {23, 8, 127, 2, 0x7fc00000},
	3: {52, 11, 1023, 3, 0x7ff8000000000000},
}

func (f *format) sign() uint     { return f.frac + f.exp }
func (f *format) quiet() uint64  { return 1 << (f.frac - 1) }
func (f *format) maxExp() uint64 { return 1<<f.exp - 1 }
func (f *format) infinity(negative bool) uint64 {
	return f.maxExp()<<f.frac | f.zero(negative)
}

func (f *format) zero(negative bool) uint64 {
	if negative {
		return 1 << f.sign()
	}
	return 0
}

// What a number is.
type class uint8

const (
	isZero class = iota
	isFinite
	isInfinite
	isQuiet
	isSignaling
)

// number is one taken apart: sig/2^63 * 2^exp if it is finite, where bit 63 of sig is set.
type number struct {
	class    class
	negative bool
	exp      int
	sig      uint64
	bits     uint64
}

func (n number) isNaN() bool { return n.class >= isQuiet }

func (p *fpu) raise(flags uint32) { p.sr |= flags }
func (p *fpu) rounding() uint32   { return p.cr >> 22 & 3 }

func (p *fpu) flushes(f *format) bool {
	if f.size == 1 {
		return p.cr&fpcrFZ16 != 0
	}
	return p.cr&fpcrFZ != 0
}

// unpack takes a number apart, and flushes it to zero if it must.
func (p *fpu) unpack(f *format, v uint64) number {
	n := f.parts(v)
	if n.class == isFinite && v>>f.frac&f.maxExp() == 0 && p.flushes(f) {
		if f.size != 1 {
			p.raise(denormal)
		}
		n = number{class: isZero, negative: n.negative, bits: f.zero(n.negative)}
	}
	return n
}

func (f *format) parts(v uint64) number {
	n := number{negative: v>>f.sign()&1 != 0, bits: v}
	e, frac := v>>f.frac&f.maxExp(), v&(1<<f.frac-1)
	switch {
	case e == f.maxExp() && frac == 0:
		n.class = isInfinite
	case e == f.maxExp() && frac&f.quiet() != 0:
		n.class = isQuiet
	case e == f.maxExp():
		n.class = isSignaling
	case e == 0 && frac == 0:
		n.class = isZero
	case e == 0:
		n.class = isFinite
		zeros := bits.LeadingZeros64(frac)
		n.sig = frac << zeros
		n.exp = 1 - f.bias - (zeros - (63 - int(f.frac)))
	default:
		n.class = isFinite
		n.sig = 1<<63 | frac<<(63-f.frac)
		n.exp = int(e) - f.bias
	}
	return n
}

// nan gives the NaN that an operation on one results in.
func (p *fpu) nan(f *format, n number) uint64 {
	if n.class == isSignaling {
		p.raise(invalid)
	}
	if p.cr&fpcrDN != 0 {
		return f.nan
	}
	return n.bits | f.quiet()
}

// nans picks from the operands the NaN that comes through.
func (p *fpu) nans(f *format, operands ...number) (uint64, bool) {
	for _, c := range [...]class{isSignaling, isQuiet} {
		for _, n := range operands {
			if n.class == c {
				return p.nan(f, n), true
			}
		}
	}
	return 0, false
}

// wrong is the result of an operation that has none.
func (p *fpu) wrong(f *format) uint64 {
	p.raise(invalid)
	return f.nan
}

// sticky shifts right; what falls off is remembered in the lowest bit.
func sticky(v uint64, n uint) uint64 {
	switch {
	case n == 0:
		return v
	case n >= 64:
		return b2u(v != 0)
	default:
		return v>>n | b2u(v<<(64-n) != 0)
	}
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// increments says whether rounding away the low part of a number, of which half is the
// middle, makes the rest one greater.
func increments(mode uint32, negative, odd bool, low, half uint64) bool {
	switch mode {
	case toNearest:
		return low > half || low == half && odd
	case upward:
		return low != 0 && !negative
	case downward:
		return low != 0 && negative
	case tiesAway:
		return low >= half
	case roundToOdd:
		return low != 0 && !odd
	default:
		return false
	}
}

// round gives the nearest number of a format: of sig/2^63 * 2^exp, where bit 63 of sig is
// set and its lowest bit is sticky.
func (p *fpu) round(f *format, negative bool, exp int, sig uint64) uint64 {
	return p.roundMode(f, negative, exp, sig, p.rounding(), p.flushes(f), false)
}

func (p *fpu) roundMode(f *format, negative bool, exp int, sig uint64, mode uint32, flush, alternative bool) uint64 {
	e := exp + f.bias
	tiny := e <= 0
	if tiny {
		if flush {
			p.raise(underflow)
			return f.zero(negative)
		}
		sig = sticky(sig, uint(min(1-e, 64)))
		e = 0
	}
	shift := 63 - f.frac
	low, middle := sig&(1<<shift-1), uint64(1)<<(shift-1)
	v := sig >> shift // with the leading bit, if it is not tiny
	if low != 0 && tiny {
		p.raise(underflow)
	}
	if increments(mode, negative, v&1 != 0, low, middle) {
		v++
		if v>>(f.frac+1) != 0 {
			v >>= 1
			e++
		}
	}
	if tiny {
		e = int(v >> f.frac) // 1 if it has been rounded up to a normal number
	}
	v = v&(1<<f.frac-1) | uint64(e)<<f.frac
	top := int(f.maxExp())
	if alternative {
		if e > top {
			p.raise(invalid)
			return f.zero(negative) | (1<<f.sign() - 1)
		}
	} else if e >= top {
		p.raise(overflow | inexact)
		if mode == toNearest || mode == tiesAway || mode == upward && !negative || mode == downward && negative {
			return f.infinity(negative)
		}
		return f.infinity(negative) - 1
	}
	if low != 0 {
		p.raise(inexact)
	}
	return f.zero(negative) | v
}

// add is a + b.
func (p *fpu) add(f *format, a, b uint64) uint64 {
	if v, ok := p.quickAdd(f, a, b); ok {
		return v
	}
	return p.sum(f, a, b)
}

func (p *fpu) sum(f *format, a, b uint64) uint64 {
	x, y := p.unpack(f, a), p.unpack(f, b)
	return p.addNumbers(f, x, y)
}

// sub is a - b.
func (p *fpu) sub(f *format, a, b uint64) uint64 {
	if v, ok := p.quickAdd(f, a, b^1<<f.sign()); ok {
		return v
	}
	x, y := p.unpack(f, a), p.unpack(f, b)
	if !y.isNaN() {
		y.negative = !y.negative
		y.bits ^= 1 << f.sign()
	}
	return p.addNumbers(f, x, y)
}

func (p *fpu) addNumbers(f *format, x, y number) uint64 {
	if v, ok := p.nans(f, x, y); ok {
		return v
	}
	switch {
	case x.class == isInfinite && y.class == isInfinite && x.negative != y.negative:
		return p.wrong(f)
	case x.class == isInfinite:
		return x.bits
	case y.class == isInfinite:
		return y.bits
	case x.class == isZero && y.class == isZero:
		if x.negative == y.negative {
			return f.zero(x.negative)
		}
		return f.zero(p.rounding() == downward)
	case x.class == isZero:
		return p.round(f, y.negative, y.exp, y.sig)
	case y.class == isZero:
		return p.round(f, x.negative, x.exp, x.sig)
	}
	if x.exp < y.exp || x.exp == y.exp && x.sig < y.sig {
		x, y = y, x
	}
	s, t := x.sig>>1, sticky(y.sig>>1, uint(x.exp-y.exp))
	if x.negative == y.negative {
		s += t
	} else {
		s -= t
	}
	if s == 0 {
		return f.zero(p.rounding() == downward)
	}
	zeros := bits.LeadingZeros64(s)
	return p.round(f, x.negative, x.exp+1-zeros, s<<zeros)
}

// mul is a * b.
func (p *fpu) mul(f *format, a, b uint64) uint64 {
	if v, ok := p.quickMul(f, a, b); ok {
		return v
	}
	return p.multiply(f, a, b, false)
}

// mulx is a * b, where infinity times zero is 2.
func (p *fpu) mulx(f *format, a, b uint64) uint64 { return p.multiply(f, a, b, true) }

func (p *fpu) multiply(f *format, a, b uint64, extended bool) uint64 {
	x, y := p.unpack(f, a), p.unpack(f, b)
	if v, ok := p.nans(f, x, y); ok {
		return v
	}
	negative := x.negative != y.negative
	switch {
	case x.class == isInfinite && y.class == isZero || x.class == isZero && y.class == isInfinite:
		if extended {
			return f.zero(negative) | uint64(f.bias+1)<<f.frac
		}
		return p.wrong(f)
	case x.class == isInfinite || y.class == isInfinite:
		return f.infinity(negative)
	case x.class == isZero || y.class == isZero:
		return f.zero(negative)
	}
	hi, lo, exp := product(x, y)
	return p.round(f, negative, exp, hi|b2u(lo != 0))
}

// product multiplies two finite numbers exactly; bit 63 of hi is set.
func product(x, y number) (hi, lo uint64, exp int) {
	hi, lo = bits.Mul64(x.sig, y.sig)
	exp = x.exp + y.exp + 1
	if hi>>63 == 0 {
		hi, lo = hi<<1|lo>>63, lo<<1
		exp--
	}
	return hi, lo, exp
}

// div is a / b.
func (p *fpu) div(f *format, a, b uint64) uint64 {
	if v, ok := p.quickDiv(f, a, b); ok {
		return v
	}
	return p.divide(f, a, b)
}

func (p *fpu) divide(f *format, a, b uint64) uint64 {
	x, y := p.unpack(f, a), p.unpack(f, b)
	if v, ok := p.nans(f, x, y); ok {
		return v
	}
	negative := x.negative != y.negative
	switch {
	case x.class == y.class && (x.class == isInfinite || x.class == isZero):
		return p.wrong(f)
	case x.class == isInfinite:
		return f.infinity(negative)
	case y.class == isZero:
		p.raise(divideByZero)
		return f.infinity(negative)
	case x.class == isZero || y.class == isInfinite:
		return f.zero(negative)
	}
	exp := x.exp - y.exp
	hi, lo := x.sig>>1, x.sig<<63
	if x.sig < y.sig {
		hi, lo = x.sig, 0
		exp--
	}
	q, r := bits.Div64(hi, lo, y.sig)
	return p.round(f, negative, exp, q|b2u(r != 0))
}

// sqrt is the square root of a.
func (p *fpu) sqrt(f *format, a uint64) uint64 {
	if v, ok := p.quickSqrt(f, a); ok {
		return v
	}
	return p.squareRoot(f, a)
}

func (p *fpu) squareRoot(f *format, a uint64) uint64 {
	x := p.unpack(f, a)
	if v, ok := p.nans(f, x); ok {
		return v
	}
	switch {
	case x.class == isZero:
		return f.zero(x.negative)
	case x.negative:
		return p.wrong(f)
	case x.class == isInfinite:
		return x.bits
	}
	hi, lo := x.sig>>1, x.sig<<63
	if x.exp&1 != 0 {
		hi, lo = x.sig, 0
	}
	var r uint64
	exact := false
	for b := uint64(1) << 63; b != 0 && !exact; b >>= 1 {
		h, l := bits.Mul64(r|b, r|b)
		if h < hi || h == hi && l <= lo {
			r |= b
			exact = h == hi && l == lo
		}
	}
	return p.round(f, false, x.exp>>1, r|b2u(!exact))
}

// muladd is a + b*c, rounded once.
func (p *fpu) muladd(f *format, a, b, c uint64) uint64 {
	if v, ok := p.quickMuladd(f, a, b, c); ok {
		return v
	}
	return p.fuse(f, a, b, c)
}

func (p *fpu) fuse(f *format, a, b, c uint64) uint64 {
	z, x, y := p.unpack(f, a), p.unpack(f, b), p.unpack(f, c)
	indefinite := x.class == isInfinite && y.class == isZero || x.class == isZero && y.class == isInfinite
	if z.class == isQuiet && indefinite {
		return p.wrong(f)
	}
	if v, ok := p.nans(f, z, x, y); ok {
		return v
	}
	negative := x.negative != y.negative
	infinite := x.class == isInfinite || y.class == isInfinite
	switch {
	case indefinite, z.class == isInfinite && infinite && z.negative != negative:
		return p.wrong(f)
	case z.class == isInfinite:
		return z.bits
	case infinite:
		return f.infinity(negative)
	}
	if x.class == isZero || y.class == isZero {
		switch {
		case z.class != isZero:
			return p.round(f, z.negative, z.exp, z.sig)
		case z.negative == negative:
			return f.zero(negative)
		default:
			return f.zero(p.rounding() == downward)
		}
	}
	hi, lo, exp := product(x, y)
	if z.class == isZero {
		return p.round(f, negative, exp, hi|b2u(lo != 0))
	}
	return p.addProduct(f, negative, exp, wide{hi, lo}, z)
}

// wide is a number of 128 bits.
type wide struct{ hi, lo uint64 }

// sticky shifts right; what falls off is remembered in the lowest bit.
func (w wide) sticky(n uint) wide {
	switch {
	case n == 0:
		return w
	case n >= 128:
		return wide{0, b2u(w.hi|w.lo != 0)}
	case n >= 64:
		return wide{0, sticky(w.hi, n-64) | b2u(w.lo != 0)}
	default:
		return wide{w.hi >> n, w.hi<<(64-n) | sticky(w.lo, n)}
	}
}

func (p *fpu) addProduct(f *format, negative bool, exp int, product wide, z number) uint64 {
	s, t := product.sticky(1), wide{z.sig, 0}.sticky(1)
	if exp >= z.exp {
		t = t.sticky(uint(exp - z.exp))
	} else {
		s = s.sticky(uint(z.exp - exp))
		exp = z.exp
	}
	if negative == z.negative {
		var carry uint64
		s.lo, carry = bits.Add64(s.lo, t.lo, 0)
		s.hi, _ = bits.Add64(s.hi, t.hi, carry)
	} else {
		if s.hi < t.hi || s.hi == t.hi && s.lo < t.lo {
			s, t = t, s
			negative = !negative
		}
		var borrow uint64
		s.lo, borrow = bits.Sub64(s.lo, t.lo, 0)
		s.hi, _ = bits.Sub64(s.hi, t.hi, borrow)
	}
	if s.hi|s.lo == 0 {
		return f.zero(p.rounding() == downward)
	}
	zeros := bits.LeadingZeros64(s.hi)
	if s.hi == 0 {
		zeros = 64 + bits.LeadingZeros64(s.lo)
	}
	if zeros >= 64 {
		s = wide{s.lo << (zeros - 64), 0}
	} else if zeros > 0 {
		s = wide{s.hi<<zeros | s.lo>>(64-zeros), s.lo << zeros}
	}
	return p.round(f, negative, exp+1-zeros, s.hi|b2u(s.lo != 0))
}
