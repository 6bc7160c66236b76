package a64

import "math/bits"

// signedLane is a lane of 2^size bytes as a signed number.
func signedLane(v uint64, size uint8) int64 {
	s := 64 - 8<<(size&3)
	return int64(v<<s) >> s
}

// saturated is a sum or difference of a and b, each of 2^size bytes, that does not wrap.
func (m *Machine) saturated(a, b uint64, size uint8, isSigned, subtract bool) uint64 {
	mask := laneMask(size)
	if !isSigned {
		if subtract {
			if b > a {
				m.fp.raise(saturation)
				return 0
			}
			return a - b
		}
		if a > mask-b {
			m.fp.raise(saturation)
			return mask
		}
		return a + b
	}
	x, y := signedLane(a, size), signedLane(b, size)
	s := x + y
	over := (x^s)&(y^s) < 0
	if subtract {
		s = x - y
		over = (x^y)&(x^s) < 0
	}
	if size == 3 {
		if !over {
			return uint64(s)
		}
		m.fp.raise(saturation)
		return uint64(x>>63) ^ (1<<63 - 1)
	}
	return m.clamp(s, size, true)
}

// clamp fits a number into a lane, signed or not.
func (m *Machine) clamp(v int64, size uint8, isSigned bool) uint64 {
	low, high := int64(0), int64(laneMask(size))
	if size == 3 {
		high = 1<<63 - 1
	}
	if isSigned {
		high = int64(laneMask(size) >> 1)
		low = -high - 1
	}
	if v < low || v > high {
		m.fp.raise(saturation)
		v = min(max(v, low), high)
	}
	return uint64(v) & laneMask(size)
}

// clampUnsigned fits an unsigned number into an unsigned lane.
func (m *Machine) clampUnsigned(v uint64, size uint8) uint64 {
	if v > laneMask(size) {
		m.fp.raise(saturation)
		return laneMask(size)
	}
	return v
}

// A shift says how shiftLane shifts.
type shift struct {
	isSigned, rounding, saturating bool
	unsigned                       bool // the result is, though the operand is signed
}

// shiftLane shifts a lane of 2^size bytes to the left by n, or to the right if n is
// negative.
func (m *Machine) shiftLane(a uint64, n int, size uint8, how shift) uint64 {
	x := int64(a)
	if how.isSigned {
		x = signedLane(a, size)
	}
	if n < 0 {
		return shiftRight(x, uint(-n), how) & laneMask(size)
	}
	width := 8 << size
	if !how.saturating {
		return a << n & laneMask(size)
	}
	if how.unsigned && x < 0 {
		m.fp.raise(saturation)
		return 0
	}
	highest := laneMask(size)
	if how.isSigned && !how.unsigned {
		highest >>= 1
	}
	over := x != 0
	if n < width {
		if how.isSigned && !how.unsigned {
			v := x << n
			over = v>>n != x || v != signedLane(uint64(v), size)
		} else {
			over = a<<n>>n != a || a<<n > highest
		}
	}
	if !over {
		return a << n & laneMask(size)
	}
	m.fp.raise(saturation)
	if how.isSigned && x < 0 {
		return (highest + 1) & laneMask(size)
	}
	return highest
}

func shiftRight(x int64, n uint, how shift) uint64 {
	var r, carry uint64
	if how.isSigned {
		r = uint64(x >> min(n, 63))
		carry = uint64(x>>min(n-1, 63)) & 1
	} else {
		r = uint64(x) >> n
		carry = uint64(x) >> (n - 1) & 1
	}
	if how.rounding {
		r += carry
	}
	return r
}

// execSame does an integer operation on all lanes of two vectors.
func execSame(m *Machine, in *inst) outcome {
	w := in.word()
	a, b, d := m.v[in.rn&31], m.v[in.rm&31], m.v[in.rd&31]
	size, full := in.sh, bit(w, 30) && !bit(w, 28)
	opcode := in.k & 31
	var r vector
	n := laneCount(w, size)
	switch {
	case opcode == 3:
		r = bitwise(in.k>>5, size, a, b, d)
		if !full {
			r.hi = 0
		}
	case in.k == 16 && size == 3: // ADD
		r = vector{a.lo + b.lo, a.hi + b.hi}
		if !full {
			r.hi = 0
		}
	case opcode == 20 || opcode == 21 || in.k == 23: // pairwise
		for i := range n {
			from, lane := &a, 2*i
			if lane >= n {
				from, lane = &b, lane-n
			}
			r.set(i, size, m.sameLane(in.k, size, from.get(lane, size), from.get(lane+1, size), 0))
		}
	default:
		for i := range n {
			r.set(i, size, m.sameLane(in.k, size, a.get(i, size), b.get(i, size), d.get(i, size)))
		}
	}
	m.v[in.rd&31] = r
	return done
}

// bitwise does AND, BIC, ORR, ORN, EOR, BSL, BIT and BIF.
func bitwise(u, size uint8, a, b, d vector) vector {
	f := func(a, b, d uint64) uint64 {
		switch u<<2 | size {
		case 0:
			return a & b
		case 1:
			return a &^ b
		case 2:
			return a | b
		case 3:
			return a | ^b
		case 4:
			return a ^ b
		case 5:
			return b ^ (b^a)&d
		case 6:
			return d ^ (d^a)&b
		default:
			return d ^ (d^a)&^b
		}
	}
	return vector{f(a.lo, b.lo, d.lo), f(a.hi, b.hi, d.hi)}
}

// sameLane is one lane of an integer operation; bit 5 of the opcode is U, which makes
// most of them unsigned.
func (m *Machine) sameLane(opcode, size uint8, a, b, d uint64) uint64 {
	u := opcode&32 != 0
	x, y := int64(a), int64(b)
	if !u {
		x, y = signedLane(a, size), signedLane(b, size)
	}
	less := x < y
	if u {
		less = a < b
	}
	pick := func(first bool) uint64 {
		if first {
			return a
		}
		return b
	}
	switch opcode & 31 {
	case 0: // SHADD
		return uint64((x + y) >> 1)
	case 1:
		return m.saturated(a, b, size, !u, false)
	case 2: // SRHADD
		return uint64((x + y + 1) >> 1)
	case 4: // SHSUB
		return uint64((x - y) >> 1)
	case 5:
		return m.saturated(a, b, size, !u, true)
	case 6: // CMGT, CMHI
		return -b2u(!less && a != b)
	case 7: // CMGE, CMHS
		return -b2u(!less)
	case 8, 9, 10, 11: // SSHL, SQSHL, SRSHL, SQRSHL
		return m.shiftLane(a, int(int8(b)), size, shift{isSigned: !u, saturating: opcode&1 != 0, rounding: opcode&2 != 0})
	case 12, 20: // SMAX, SMAXP
		return pick(!less)
	case 13, 21:
		return pick(less)
	case 14, 15: // SABD, SABA
		v := uint64(x - y)
		if less {
			v = -v
		}
		if opcode&1 != 0 {
			v += d
		}
		return v
	case 16:
		if u {
			return a - b
		}
		return a + b
	case 17: // CMTST, CMEQ
		if u {
			return -b2u(a == b)
		}
		return -b2u(a&b != 0)
	case 18: // MLA, MLS
		if u {
			return d - a*b
		}
		return d + a*b
	case 19: // MUL, PMUL
		if u {
			return carryless(a, b)
		}
		return a * b
	case 22: // SQDMULH, SQRDMULH
		return m.doublingHigh(signedLane(a, size), signedLane(b, size), size, u)
	default: // ADDP
		return a + b
	}
}

// carryless multiplies two polynomials of 8 bits.
func carryless(a, b uint64) uint64 {
	var r uint64
	for i := range 8 {
		r ^= a << i & -(b >> i & 1)
	}
	return r
}

// doublingHigh is the upper half of twice a product.
func (m *Machine) doublingHigh(a, b int64, size uint8, rounding bool) uint64 {
	width := 8 << size
	p := a * b
	if rounding {
		p += 1 << (width - 2)
	}
	return m.clamp(p>>(width-1), size, true)
}

// execRounding does SQRDMLAH and SQRDMLSH.
func execRounding(m *Machine, in *inst) outcome {
	a, b, d := m.v[in.rn&31], m.v[in.rm&31], m.v[in.rd&31]
	var r vector
	for i := range laneCount(in.word(), in.sh) {
		r.set(i, in.sh, m.roundingLane(a.get(i, in.sh), b.get(i, in.sh), d.get(i, in.sh), in.sh, in.k&1 != 0))
	}
	m.v[in.rd&31] = r
	return done
}

func (m *Machine) roundingLane(a, b, d uint64, size uint8, subtract bool) uint64 {
	width := 8 << size
	p := signedLane(a, size) * signedLane(b, size)
	if subtract {
		p = -p
	}
	sum := signedLane(d, size)<<(width-1) + p // half of what the architecture adds up, so that it fits
	return m.clamp((sum+1<<(width-2))>>(width-1), size, true)
}

// execDifferent does operations whose operands and result have lanes of different sizes.
func execDifferent(m *Machine, in *inst) outcome {
	w := in.word()
	size, u, opcode := in.sh, in.k&16 != 0, in.k&15
	scalar, upper := bit(w, 28), bit(w, 30) && !bit(w, 28)
	n := 8 >> size
	first := 0
	if upper {
		first = n
	}
	if scalar {
		n = 1
	}
	a, b, d := m.v[in.rn&31], m.v[in.rm&31], m.v[in.rd&31]
	var r vector
	switch opcode {
	case 4, 6: // ADDHN, SUBHN: from wide to narrow
		for i := range n {
			x, y := a.get(i, size+1), b.get(i, size+1)
			if opcode == 6 {
				y = -y
			}
			v := x + y
			if u {
				v += 1 << (8<<size - 1)
			}
			r.set(i, size, v>>(8<<size))
		}
		if upper {
			r = vector{d.lo, r.lo}
		}
	default:
		for i := range n {
			x := a.get(first+i, size)
			if opcode == 1 || opcode == 3 {
				x = a.get(i, size+1)
			}
			r.set(i, size+1, m.longLane(in.k, size, x, b.get(first+i, size), d.get(i, size+1)))
		}
	}
	m.v[in.rd&31] = r
	return done
}

// longLane is one lane, twice as wide as a and b are.
func (m *Machine) longLane(opcode, size uint8, a, b, d uint64) uint64 {
	u := opcode&16 != 0
	x, y := int64(a), int64(b)
	if !u {
		x, y = signedLane(a, size), signedLane(b, size)
	}
	difference := uint64(max(x, y) - min(x, y))
	switch opcode & 15 {
	case 0: // SADDL
		return uint64(x + y)
	case 1: // SADDW, whose a is wide
		return a + uint64(y)
	case 2:
		return uint64(x - y)
	case 3:
		return a - uint64(y)
	case 5: // SABAL
		return d + difference
	case 7:
		return difference
	case 8: // SMLAL
		return d + uint64(x)*uint64(y)
	case 10:
		return d - uint64(x)*uint64(y)
	case 9, 11, 13: // SQDMLAL, SQDMLSL, SQDMULL
		p := x * y
		v := uint64(p) << 1 & laneMask(size+1)
		if signedLane(v, size+1)>>1 != p {
			m.fp.raise(saturation)
			v = laneMask(size+1) >> 1
		}
		if opcode&15 == 13 {
			return v
		}
		return m.saturated(d, v, size+1, true, opcode&15 == 11)
	case 12:
		return uint64(x) * uint64(y)
	default: // PMULL
		return carryless(a, b)
	}
}

// execIndexed multiplies by one lane of the second vector.
func execIndexed(m *Machine, in *inst) outcome {
	w := in.word()
	size, full := in.sh, bit(w, 30) && !bit(w, 28)
	source := m.v[in.rm&31]
	a, d, b := m.v[in.rn&31], m.v[in.rd&31], source.get(int(in.ra), size)
	n := laneCount(w, size)
	var r vector
	switch in.k {
	case 0x0e, 0x1e:
		for i := range n {
			r.set(i, size, dot(a.get(i, size), b, in.k == 0x0e)+d.get(i, size))
		}
	case 0x08, 0x10, 0x14: // MUL, MLA, MLS
		opcode := map3(in.k, 0x08, 19, 0x10, 18, 18|32)
		for i := range n {
			r.set(i, size, m.sameLane(opcode, size, a.get(i, size), b, d.get(i, size)))
		}
	case 0x0c, 0x0d:
		for i := range n {
			r.set(i, size, m.doublingHigh(signedLane(a.get(i, size), size), signedLane(b, size), size, in.k == 0x0d))
		}
	case 0x1d, 0x1f:
		for i := range n {
			r.set(i, size, m.roundingLane(a.get(i, size), b, d.get(i, size), size, in.k == 0x1f))
		}
	default: // long ones: the opcodes of longLane, but for the last bits
		opcode := in.k&16 | [16]uint8{0x2: 8, 0x6: 10, 0xa: 12, 0x3: 9, 0x7: 11, 0xb: 13}[in.k&15]
		first := 0
		if n = 8 >> size; full {
			first = n
		}
		if bit(w, 28) {
			n = 1
		}
		for i := range n {
			r.set(i, size+1, m.longLane(opcode, size, a.get(first+i, size), b, d.get(i, size+1)))
		}
	}
	m.v[in.rd&31] = r
	return done
}

// map3 gives a for key ka, b for kb and otherwise c.
func map3(key, ka, a, kb, b, c uint8) uint8 {
	switch key {
	case ka:
		return a
	case kb:
		return b
	default:
		return c
	}
}

// execTwo does an integer operation on the lanes of one vector.
func execTwo(m *Machine, in *inst) outcome {
	w := in.word()
	size, opcode := in.sh, in.k&31
	a, d := m.v[in.rn&31], m.v[in.rd&31]
	n := laneCount(w, size)
	scalar, full := bit(w, 28), bit(w, 30) && !bit(w, 28)
	var r vector
	switch opcode {
	case 0, 1: // REV64, REV32, REV16
		group := [2][2]uint8{{3, 1}, {2, 2}}[in.k>>5&1][opcode]
		for i := range n {
			r.set(i^(1<<(group-size)-1), size, a.get(i, size))
		}
	case 2, 6: // SADDLP, SADALP
		for i := range n / 2 {
			v := d.get(i, size+1) & -b2u(opcode == 6)
			x, y := a.get(2*i, size), a.get(2*i+1, size)
			if in.k&32 == 0 {
				x, y = uint64(signedLane(x, size)), uint64(signedLane(y, size))
			}
			r.set(i, size+1, v+x+y)
		}
	case 18, 20: // XTN and the saturating ones
		if n = 8 >> size; scalar {
			n = 1
		}
		for i := range n {
			r.set(i, size, m.extractNarrow(in.k, size, a.get(i, size+1)))
		}
		if full {
			r = vector{d.lo, r.lo}
		}
	case 19: // SHLL
		first := 0
		if n = 8 >> size; full {
			first = n
		}
		for i := range n {
			r.set(i, size+1, a.get(first+i, size)<<(8<<size))
		}
	default:
		for i := range n {
			r.set(i, size, m.twoLane(in.k, size, a.get(i, size), d.get(i, size)))
		}
		if in.k == 32+5 { // NOT and RBIT work on bytes
			r = m.bytewise(size, a)
			if !full {
				r.hi = 0
			}
		}
	}
	m.v[in.rd&31] = r
	return done
}

func (m *Machine) bytewise(size uint8, a vector) vector {
	if size == 0 {
		return vector{^a.lo, ^a.hi}
	}
	f := func(v uint64) uint64 { return bits.Reverse64(bits.ReverseBytes64(v)) }
	return vector{f(a.lo), f(a.hi)}
}

func (m *Machine) extractNarrow(opcode, size uint8, a uint64) uint64 {
	switch opcode {
	case 18: // XTN
		return a
	case 20: // SQXTN
		return m.clamp(signedLane(a, size+1), size, true)
	case 32 + 18: // SQXTUN
		return m.clamp(signedLane(a, size+1), size, false)
	default: // UQXTN
		return m.clampUnsigned(a, size)
	}
}

func (m *Machine) twoLane(opcode, size uint8, a, d uint64) uint64 {
	x, width := signedLane(a, size), 8<<size
	lowest := -int64(laneMask(size)>>1) - 1
	switch opcode {
	case 3: // SUQADD: an unsigned number to a signed one
		y := signedLane(d, size)
		if size < 3 {
			return m.clamp(int64(a)+y, size, true)
		}
		sum, carry := bits.Add64(a, d, 0)
		if over := y >= 0 && (carry != 0 || sum>>63 != 0) || y < 0 && carry != 0 && sum>>63 != 0; over {
			m.fp.raise(saturation)
			return 1<<63 - 1
		}
		return sum
	case 32 + 3: // USQADD: a signed number to an unsigned one
		if size < 3 {
			return m.clamp(x+int64(d), size, false)
		}
		sum, carry := bits.Add64(a, d, 0)
		switch {
		case x >= 0 && carry != 0:
			m.fp.raise(saturation)
			return ^uint64(0)
		case x < 0 && carry == 0:
			m.fp.raise(saturation)
			return 0
		}
		return sum
	case 4: // CLS
		return leading(a^uint64(x>>63)&laneMask(size), width) - 1
	case 32 + 4:
		return leading(a, width)
	case 5:
		return countBits(a)
	case 7, 32 + 7: // SQABS, SQNEG
		if x == lowest {
			m.fp.raise(saturation)
			return laneMask(size) >> 1
		}
		if opcode == 7 && x >= 0 {
			return a
		}
		return -a
	case 8: // CMGT, CMEQ, CMLT, CMGE and CMLE with zero
		return -b2u(x > 0)
	case 9:
		return -b2u(x == 0)
	case 10:
		return -b2u(x < 0)
	case 32 + 8:
		return -b2u(x >= 0)
	case 32 + 9:
		return -b2u(x <= 0)
	case 11:
		if x < 0 {
			return -a
		}
		return a
	case 32 + 11:
		return -a
	}
	return 0
}
