package capability

import "math/bits"

// Bounds are the addresses from Base to below the top. The top has 65 bits:
// Carry is the uppermost.
type Bounds struct {
	Base, Top uint64
	Carry     uint64 // 1: the top is 2^64 + Top
}

// Length is the number of addresses; 2^64-1 also stands for more.
func (b Bounds) Length() uint64 {
	low, borrow := bits.Sub64(b.Top, b.Base, 0)
	if b.Carry > borrow {
		return ^uint64(0)
	}
	return low
}

// Holds reports whether n bytes from address on lie within.
func (b Bounds) Holds(address, n uint64) bool {
	end, carry := bits.Add64(address, n, 0)
	return address >= b.Base && !less(b.Carry, b.Top, carry, end)
}

// Within reports whether no address of b is outside of outer.
func (b Bounds) Within(outer Bounds) bool {
	return b.Base >= outer.Base && !less(outer.Carry, outer.Top, b.Carry, b.Top)
}

// less compares numbers of 65 bits.
func less(aCarry, a, bCarry, b uint64) bool {
	return aCarry < bCarry || aCarry == bCarry && a < b
}

// Parameters of the format.
const (
	mantissa    = 16 // bits of bottom and top
	maxExponent = 50
	wholeSpace  = 63 // the exponent that stands for all addresses
	addressBits = 56 // those above are flags
)

// fields are bounds as they are stored.
type fields struct {
	exponent    uint
	bottom, top uint64 // of mantissa bits
}

func unpack(hi uint64) fields {
	f := fields{bottom: hi & 0xffff, top: hi >> 16 & 0x3fff}
	long := hi&formBit == 0
	if long {
		f.exponent = uint(^(f.top&7<<3 | f.bottom&7) & 0x3f)
		f.bottom &^= 7
		f.top &^= 7
	}
	upper := f.bottom >> 14
	if f.top < f.bottom&0x3fff {
		upper++
	}
	if long {
		upper++
	}
	f.top |= upper & 3 << 14
	return f
}

// pack is the low 31 bits of the high word. The low three bits of bottom and
// top are 0 with long.
func (f fields) pack(long bool) uint64 {
	bottom, top := f.bottom&0xffff, f.top&0x3fff
	if !long {
		return formBit | top<<16 | bottom
	}
	inverted := ^uint64(f.exponent)
	return (top|inverted>>3&7)<<16 | bottom | inverted&7
}

// decode computes the bounds. An exponent that no instruction makes has none.
func decode(hi, address uint64) (b Bounds, ok bool) {
	f := unpack(hi)
	if f.exponent > maxExponent {
		return Bounds{Carry: 1}, f.exponent == wholeSpace
	}
	e := f.exponent
	a := signExtend(address)
	// Bottom, top and address each lie in the aligned block of 2^(e+16) that the
	// address is in, or in one of its neighbours: seen from an edge which is an
	// eighth of a block below the bottom, those below it are one block higher.
	edge := (f.bottom>>13 - 1) & 7
	aHigh, bHigh, tHigh := below(a>>(e+13)&7, edge), below(f.bottom>>13, edge), below(f.top>>13, edge)
	block := a >> (e + mantissa) // 0 if there is nothing above
	if e+mantissa >= 64 {
		block = 0
	}
	b.Base, _ = place(block+bHigh-aHigh, f.bottom, e)
	b.Top, b.Carry = place(block+tHigh-aHigh, f.top, e)
	// Bounds that are further apart than the address space has wrapped around it.
	if e < maxExponent-1 && (b.Carry<<1|b.Top>>63)-b.Base>>63 > 1 {
		b.Carry ^= 1
	}
	return b, true
}

func below(v, edge uint64) uint64 {
	if v < edge {
		return 1
	}
	return 0
}

// place puts a block number and 16 bits in it together, shifted by e: the low 64
// bits and the one above.
func place(block, low uint64, e uint) (sum, carry uint64) {
	// block<<16 | low has 80 bits.
	lo, hi := block<<mantissa|low, block>>(64-mantissa)
	if e == 0 {
		return lo, hi & 1
	}
	return lo << e, (hi<<e | lo>>(64-e)) & 1
}

// signExtend is the address that bounds see.
func signExtend(a uint64) uint64 {
	const flags = 64 - addressBits
	return uint64(int64(a<<flags) >> flags)
}

// usesAddress reports whether bounds with an exponent depend on the address.
func usesAddress(exponent uint) bool { return exponent < 64-mantissa }

// Bounds are the addresses that it reaches. Bits that no instruction makes have
// those of the whole address space, but hold no access.
func (c Capability) Bounds() Bounds {
	b, _ := decode(c.hi, c.lo)
	return b
}

// Representable reports whether the bounds would be the same with another
// address.
func (c Capability) Representable(address uint64) bool {
	was, ok := decode(c.hi, c.lo)
	is, _ := decode(c.hi, address)
	return ok && was == is && !c.changesSign(address)
}

// changesSign reports whether the address would be in the other half of the
// address space, where bounds are never the same.
func (c Capability) changesSign(address uint64) bool {
	return usesAddress(unpack(c.hi).exponent) && (c.lo^address)>>(addressBits-1)&1 == 1
}

// quicklyRepresentable is what hardware can decide without computing bounds:
// whether address and sum are in the same stretch of 2^(e+16) addresses, an
// eighth of which is below the bottom.
func (c Capability) quicklyRepresentable(increment uint64) bool {
	f := unpack(c.hi)
	if f.exponent > maxExponent && f.exponent != wholeSpace || c.changesSign(c.lo+increment) {
		return false
	}
	if f.exponent >= maxExponent-2 {
		return true
	}
	e := f.exponent
	by, a := signExtend(increment), signExtend(c.lo)
	above := uint64(int64(by) >> min(e+mantissa, 63))
	edge := (f.bottom>>13 - 1) & 7 << 13
	middle, distance := by>>e&0xffff, (edge-a>>e)&0xffff
	switch above {
	case 0:
		return middle < (distance-1)&0xffff
	case ^uint64(0):
		return middle >= distance && distance != 0
	default:
		return false
	}
}

// SetBounds makes it reach n bytes from its address on, as SCBNDS does. If the
// format can't hold that exactly, it reaches as little more on both sides as the
// format allows. The tag is lost if the request or what it is rounded to goes
// outside of what it reaches now, or if it is sealed.
func (c Capability) SetBounds(n uint64) (narrowed Capability, exact bool) {
	fromLarge := !usesAddress(unpack(c.hi).exponent)
	base := c.lo
	if !fromLarge {
		base = signExtend(base)
	}
	top, carry := bits.Add64(base, n, 0)
	was, ok := decode(c.hi, c.lo)
	asked := Bounds{base, top, carry}
	f, long, exact := encode(asked, n)

	narrowed = c
	narrowed.hi = c.hi&^boundsMask | f.pack(long)
	flagged := fromLarge && usesAddress(f.exponent) && signExtend(c.lo) != c.lo
	return narrowed.detagIf(c.Sealed() || !ok || !asked.Within(was) || flagged), exact
}

// SetBoundsExact is SetBounds, as SCBNDSE does it: the tag is also lost if the
// bounds are not exact.
func (c Capability) SetBoundsExact(n uint64) Capability {
	narrowed, exact := c.SetBounds(n)
	return narrowed.detagIf(!exact)
}

// encode finds the smallest exponent under which bounds of length n can be
// stored, and rounds them outwards.
func encode(b Bounds, n uint64) (f fields, long, exact bool) {
	e := uint(max(0, bits.Len64(n)-(mantissa-1)))
	if e == 0 && n>>(mantissa-2)&1 == 0 {
		return fields{bottom: b.Base & 0xffff, top: b.Top & 0xffff}, false, true
	}
	f, exact = round(b, e)
	// Losing low bits may have made the length too long for the exponent.
	if (f.top-f.bottom)>>(mantissa-1)&1 == 1 {
		f, exact = round(b, e+1)
	}
	return f, true, exact
}

// round keeps 13 bits of each bound from bit e+3 on, the base rounded down and
// the top up.
func round(b Bounds, e uint) (f fields, exact bool) {
	f = fields{exponent: e, bottom: b.Base >> e &^ 7, top: (b.Top>>e | b.Carry<<(64-e)) &^ 7}
	lost := uint64(1)<<(e+3) - 1
	if b.Top&lost != 0 {
		f.top += 8
	}
	f.bottom &= 0xffff
	f.top &= 0xffff
	return f, (b.Base|b.Top)&lost == 0
}

// RepresentableMask is what base and length have to be aligned to so that bounds
// of that length are exact, as RRMASK gives it.
func RepresentableMask(n uint64) uint64 {
	base := ^uint64(0) - n // the worst place: the top is as high as it can be
	c, _ := Capability{lo: base}.SetBounds(n)
	if c.hi&formBit != 0 {
		return ^uint64(0)
	}
	return ^uint64(0) << (unpack(c.hi).exponent + 3)
}

// RepresentableLength is the smallest length from n on that can be exact, as
// RRLEN gives it.
func RepresentableLength(n uint64) uint64 {
	mask := RepresentableMask(n)
	return (n + ^mask) & mask
}
