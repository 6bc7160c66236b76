package a64

import "math/bits"

// unpackCV is unpack for a conversion from half precision, which may be of the
// alternative kind and is never flushed.
func (p *fpu) unpackCV(f *format, v uint64) number {
	if f.size == 1 {
		if p.cr&fpcrAHP != 0 && v>>10&31 == 31 {
			return number{class: isFinite, negative: v>>15&1 != 0, exp: 16, sig: 1<<63 | v&0x3ff<<53, bits: v}
		}
		return f.parts(v)
	}
	return p.unpack(f, v)
}

// convert changes the precision.
func (p *fpu) convert(from, to *format, v uint64) uint64 {
	return p.convertMode(from, to, v, p.rounding())
}

func (p *fpu) convertMode(from, to *format, v uint64, mode uint32) uint64 {
	n := p.unpackCV(from, v)
	alternative := to.size == 1 && p.cr&fpcrAHP != 0
	switch n.class {
	case isQuiet, isSignaling:
		if alternative {
			p.raise(invalid)
			return to.zero(n.negative)
		}
		if n.class == isSignaling {
			p.raise(invalid)
		}
		if p.cr&fpcrDN != 0 {
			return to.nan
		}
		payload := v & (from.quiet() - 1)
		if from.frac > to.frac {
			payload >>= from.frac - to.frac
		} else {
			payload <<= to.frac - from.frac
		}
		return to.infinity(n.negative) | to.quiet() | payload
	case isInfinite:
		if alternative {
			p.raise(invalid)
			return to.zero(n.negative) | 0x7fff
		}
		return to.infinity(n.negative)
	case isZero:
		return to.zero(n.negative)
	}
	flush := to.size != 1 && p.flushes(to) // never to a half
	return p.roundMode(to, n.negative, n.exp, n.sig, mode, flush, alternative)
}

// toInteger rounds v * 2^fraction to an integer of width bits; what does not fit saturates.
func (p *fpu) toInteger(f *format, v uint64, mode uint32, isSigned bool, width, fraction uint) uint64 {
	n := p.unpack(f, v)
	limit := func(negative bool) uint64 {
		switch {
		case !isSigned && negative:
			return 0
		case !isSigned:
			return ^uint64(0) >> (64 - width)
		case negative:
			return 1 << (width - 1)
		default:
			return 1<<(width-1) - 1
		}
	}
	switch n.class {
	case isQuiet, isSignaling:
		p.raise(invalid)
		return 0
	case isInfinite:
		p.raise(invalid)
		return limit(n.negative)
	case isZero:
		return 0
	}
	exp := n.exp + int(fraction)
	if exp > 63 {
		p.raise(invalid)
		return limit(n.negative)
	}
	whole, low, middle := integral(n.sig, exp)
	if increments(mode, n.negative, whole&1 != 0, low, middle) {
		whole++
		if whole == 0 {
			p.raise(invalid)
			return limit(n.negative)
		}
	}
	most := limit(false)
	if isSigned && n.negative {
		most++
	}
	if n.negative && !isSigned {
		most = 0
	}
	if whole > most {
		p.raise(invalid)
		return limit(n.negative)
	}
	if low != 0 {
		p.raise(inexact)
	}
	if n.negative {
		whole = -whole
	}
	return whole & (^uint64(0) >> (64 - width))
}

// integral parts sig/2^63 * 2^exp into its whole part, and the rest, of which middle is
// one half. Exp is 63 at most.
func integral(sig uint64, exp int) (whole, low, middle uint64) {
	middle = 1 << 63
	switch {
	case exp == 63:
		return sig, 0, middle
	case exp >= 0:
		return sig >> (63 - exp), sig << (exp + 1), middle
	default:
		return 0, sticky(sig, uint(min(-exp-1, 64))), middle
	}
}

// fromInteger converts v / 2^fraction, an integer of width bits.
func (p *fpu) fromInteger(f *format, v uint64, isSigned bool, width, fraction uint) uint64 {
	negative := false
	v &= ^uint64(0) >> (64 - width)
	if isSigned && v>>(width-1) != 0 {
		negative = true
		v = -v & (^uint64(0) >> (64 - width))
	}
	if v == 0 {
		return 0
	}
	zeros := bits.LeadingZeros64(v)
	return p.round(f, negative, 63-zeros-int(fraction), v<<zeros)
}

// toIntegral rounds to a whole number; exact says that it is an event if v was none.
func (p *fpu) toIntegral(f *format, v uint64, mode uint32, exact bool) uint64 {
	n := p.unpack(f, v)
	switch n.class {
	case isQuiet, isSignaling:
		return p.nan(f, n)
	case isInfinite:
		return v
	case isZero:
		return f.zero(n.negative)
	}
	if n.exp >= int(f.frac) {
		return v
	}
	whole, low, middle := integral(n.sig, n.exp)
	if increments(mode, n.negative, whole&1 != 0, low, middle) {
		whole++
	}
	if low != 0 && exact {
		p.raise(inexact)
	}
	if whole == 0 {
		return f.zero(n.negative)
	}
	zeros := bits.LeadingZeros64(whole)
	e := uint64(63 - zeros + f.bias)
	return f.zero(n.negative) | e<<f.frac | whole<<zeros<<1>>(64-f.frac)
}

// reciprocalEstimate is FRECPE.
func (p *fpu) reciprocalEstimate(f *format, v uint64) uint64 {
	n := p.unpack(f, v)
	switch n.class {
	case isQuiet, isSignaling:
		return p.nan(f, n)
	case isInfinite:
		return f.zero(n.negative)
	case isZero:
		p.raise(divideByZero)
		return f.infinity(n.negative)
	}
	if n.exp < -f.bias-1 {
		p.raise(overflow | inexact)
		switch mode := p.rounding(); {
		case mode == toNearest, mode == upward && !n.negative, mode == downward && n.negative:
			return f.infinity(n.negative)
		default:
			return f.infinity(n.negative) - 1
		}
	}
	if p.flushes(f) && n.exp >= f.bias-1 {
		p.raise(underflow)
		return f.zero(n.negative)
	}
	estimate := reciprocal(n.sig >> 55) // 9 bits
	exp := -1 - n.exp
	frac := estimate & 0xff << 56 // fraction, from the top
	e := exp + f.bias
	switch e {
	case 0:
		frac = 1<<63 | frac>>1
	case -1:
		frac = 1<<62 | frac>>2
		e = 0
	}
	return f.zero(n.negative) | uint64(e)<<f.frac | frac>>(64-f.frac)
}

// reciprocal is RecipEstimate: of a number from 256 to 511 one of 9 bits.
func reciprocal(a uint64) uint64 {
	a = a*2 + 1
	return (1<<19/a + 1) / 2
}

// rootEstimate is FRSQRTE.
func (p *fpu) rootEstimate(f *format, v uint64) uint64 {
	n := p.unpack(f, v)
	switch {
	case n.isNaN():
		return p.nan(f, n)
	case n.class == isZero:
		p.raise(divideByZero)
		return f.infinity(n.negative)
	case n.negative:
		return p.wrong(f)
	case n.class == isInfinite:
		return 0
	}
	scaled := n.sig >> 55 // 256 to 511
	if n.exp&1 == 0 {
		scaled = n.sig >> 56 // 128 to 255: a number from 1/4 on
	}
	estimate := root(scaled)
	e := (-1-n.exp)>>1 + f.bias
	if n.exp&1 == 0 {
		e = (-2-n.exp)>>1 + f.bias
	}
	return uint64(e)<<f.frac | estimate&0xff<<(f.frac-8)
}

// root is RecipSqrtEstimate: of a number from 128 to 511 one of 9 bits.
func root(a uint64) uint64 {
	if a < 256 {
		a = a*2 + 1
	} else {
		a = (a>>1<<1 + 1) * 2
	}
	b := uint64(512)
	for a*(b+1)*(b+1) < 1<<28 {
		b++
	}
	return (b + 1) / 2
}

// reciprocalStep is FRECPS, 2 - a*b, and rootStep FRSQRTS, (3 - a*b)/2, rounded once.
func (p *fpu) reciprocalStep(f *format, a, b uint64) uint64 { return p.step(f, a, b, 0) }

func (p *fpu) rootStep(f *format, a, b uint64) uint64 { return p.step(f, a, b, 1) }

func (p *fpu) step(f *format, a, b uint64, halvings int) uint64 {
	x, y := p.unpack(f, a), p.unpack(f, b)
	x.negative = !x.negative // the first operand is negated, NaN or not
	x.bits ^= 1 << f.sign()
	if v, ok := p.nans(f, x, y); ok {
		return v
	}
	negative := x.negative != y.negative
	constant := f.zero(false) | uint64(f.bias+1)<<f.frac // 2
	if halvings == 1 {
		constant = uint64(f.bias)<<f.frac | f.quiet() // 1.5
	}
	z := f.parts(constant)
	switch {
	case x.class == isInfinite && y.class == isZero || x.class == isZero && y.class == isInfinite:
		return constant
	case x.class == isInfinite || y.class == isInfinite:
		return f.infinity(negative)
	case x.class == isZero || y.class == isZero:
		return constant
	}
	hi, lo, exp := product(x, y)
	return p.addProduct(f, negative, exp-halvings, wide{hi, lo}, z)
}

// exponentOf is FRECPX: a number with the inverse exponent.
func (p *fpu) exponentOf(f *format, v uint64) uint64 {
	n := p.unpack(f, v)
	if n.isNaN() {
		return p.nan(f, n)
	}
	e := n.bits >> f.frac & f.maxExp()
	if e == 0 {
		return f.zero(n.negative) | (f.maxExp()-1)<<f.frac
	}
	return f.zero(n.negative) | (^e&f.maxExp())<<f.frac
}
