package a64

import (
	"math/bits"

	"pappus/chericapengine/capability"
)

// aligned is reach for an access of 2^size bytes that must be aligned.
func (m *Machine) aligned(in *inst, size uint8, write bool) (uint64, bool) {
	a, n := m.x[in.rn], uint64(1)<<size
	perms := capability.Load
	if write {
		perms = capability.Store
	}
	if in.rn == regStack && m.x[regSP]%16 != 0 {
		return m.reach(in.rn, a, n, write)
	}
	if _, ok := m.authorise(m.ddc, a, n, perms); !ok {
		return 0, false
	}
	if a&(n-1) != 0 {
		m.fault = Fault{Kind: FaultAlignment, Addr: a, Size: int(n), Write: write}
		return 0, false
	}
	return m.reach(in.rn, a, n, write)
}

func execLoadAcquire(m *Machine, in *inst) outcome {
	size := uint8(in.word() >> 30)
	offset, ok := m.aligned(in, size, false)
	if !ok {
		return faulted
	}
	m.x[in.rd], _ = m.read(offset, size)
	return done
}

func execStoreRelease(m *Machine, in *inst) outcome {
	size := uint8(in.word() >> 30)
	offset, ok := m.aligned(in, size, true)
	if !ok {
		return faulted
	}
	m.write(offset, size, m.source(in.word()), 0)
	return done
}

// source is the register in the lowest bits of a word, to be read.
func (m *Machine) source(w uint32) uint64 { return m.x[zr(w&31)] }

func execClrex(m *Machine, _ *inst) outcome {
	m.exclusive = false
	return done
}

// monitor opens the exclusive monitor for 2^size bytes at an offset.
func (m *Machine) monitor(offset uint64, size uint8) (lo, hi uint64) {
	lo, hi = m.read(offset, size)
	m.exclusive, m.exclusiveAt, m.exclusiveSize = true, offset, uint64(size)
	m.exclusiveLo, m.exclusiveHi = lo, hi
	return lo, hi
}

func execLoadExclusive(m *Machine, in *inst) outcome {
	size := uint8(in.word() >> 30)
	offset, ok := m.aligned(in, size, false)
	if !ok {
		return faulted
	}
	m.x[in.rd], _ = m.monitor(offset, size)
	return done
}

func execLoadExclusivePair(m *Machine, in *inst) outcome {
	w := in.word()
	size := uint8(w>>30) + 1
	offset, ok := m.aligned(in, size, false)
	if !ok {
		return faulted
	}
	lo, hi := m.monitor(offset, size)
	if size == 3 {
		lo, hi = lo&lowWord, lo>>32
	}
	m.x[in.rd], m.x[zw(w>>10&31)] = lo, hi
	return done
}

func execStoreExclusive(m *Machine, in *inst) outcome {
	w := in.word()
	return m.storeExclusive(in, uint8(w>>30), m.source(w), 0)
}

func execStoreExclusivePair(m *Machine, in *inst) outcome {
	w := in.word()
	lo, hi := m.source(w), m.x[zr(w>>10&31)]
	size := uint8(w>>30) + 1
	if size == 3 {
		lo = lo&lowWord | hi<<32
	}
	return m.storeExclusive(in, size, lo, hi)
}

// storeExclusive stores if the monitor is open for the same bytes, and nothing else has
// been stored there.
func (m *Machine) storeExclusive(in *inst, size uint8, lo, hi uint64) outcome {
	offset, ok := m.aligned(in, size, false)
	if !ok {
		m.fault.Write = true
		return faulted
	}
	status := uint64(1)
	if m.exclusive && m.exclusiveAt == offset && m.exclusiveSize == uint64(size) {
		if nowLo, nowHi := m.read(offset, size); nowLo == m.exclusiveLo && nowHi == m.exclusiveHi {
			if _, ok := m.aligned(in, size, true); !ok {
				return faulted
			}
			m.write(offset, size, lo, hi)
			status = 0
		}
	}
	m.exclusive = false
	m.x[zw(in.word()>>16&31)] = status
	return done
}

// update is an atomic access: load and store permission, and the offset.
func (m *Machine) update(in *inst, size uint8) (uint64, bool) {
	if _, ok := m.aligned(in, size, false); !ok {
		return 0, false
	}
	return m.aligned(in, size, true)
}

func execCAS(m *Machine, in *inst) outcome {
	w := in.word()
	size := uint8(w >> 30)
	offset, ok := m.update(in, size)
	if !ok {
		return faulted
	}
	old, _ := m.read(offset, size)
	mask := ^uint64(0) >> (64 - 8<<size)
	if old == m.x[in.rm]&mask {
		m.write(offset, size, m.source(w), 0)
	}
	m.x[zw(w>>16&31)] = old
	return done
}

func execCASP(m *Machine, in *inst) outcome {
	w := in.word()
	wide := bit(w, 30)
	size := uint8(3)
	if wide {
		size = 4
	}
	offset, ok := m.update(in, size)
	if !ok {
		return faulted
	}
	pack := func(r uint32) (lo, hi uint64) {
		lo, hi = m.x[zr(r)], m.x[zr(r+1)]
		if !wide {
			return lo&lowWord | hi<<32, 0
		}
		return lo, hi
	}
	rs, rt := w>>16&31, w&31
	lo, hi := m.read(offset, size)
	if cl, ch := pack(rs); cl == lo && ch == hi {
		nl, nh := pack(rt)
		m.write(offset, size, nl, nh)
	}
	if !wide {
		lo, hi = lo&lowWord, lo>>32
	}
	m.x[zw(rs)], m.x[zw(rs+1)] = lo, hi
	return done
}

func execAtomic(m *Machine, in *inst) outcome {
	w := in.word()
	size := uint8(w >> 30)
	offset, ok := m.update(in, size)
	if !ok {
		return faulted
	}
	old, _ := m.read(offset, size)
	v, s := m.x[in.rm], 64-8<<size
	switch field(w, 15, 12) {
	case 0:
		v += old
	case 1:
		v = old &^ v
	case 2:
		v ^= old
	case 3:
		v |= old
	case 4: // SMAX
		if int64(old<<s) > int64(v<<s) {
			v = old
		}
	case 5:
		if int64(old<<s) < int64(v<<s) {
			v = old
		}
	case 6: // UMAX
		if old<<s > v<<s {
			v = old
		}
	case 7:
		if old<<s < v<<s {
			v = old
		}
	}
	m.write(offset, size, v, 0)
	m.x[in.rd] = old
	return done
}

func execLiteral(m *Machine, in *inst) outcome {
	w := in.word()
	a := m.code.address(m.slot) + signed(field(w, 23, 5), 19)<<2
	opc := w >> 30
	size := uint8(2)
	switch {
	case bit(w, 26):
		size = uint8(opc) + 2
	case opc == 1:
		size = 3
	}
	offset, ok := m.allowed(m.pcc, m.codeBase+a, a, 1<<size, capability.Load)
	if !ok {
		return faulted
	}
	lo, hi := m.read(offset, size)
	switch {
	case bit(w, 26):
		m.v[w&31] = vector{lo, hi}
	case opc == 2: // LDRSW
		m.x[in.rd] = uint64(int64(int32(lo)))
	default:
		m.x[in.rd] = lo
	}
	return done
}

// execZVA zeroes a block of 64 bytes.
func execZVA(m *Machine, in *inst) outcome {
	const block = 64
	a := m.source(in.word()) &^ (block - 1)
	offset, ok := m.reach(regZR, a, block, true)
	if !ok {
		return faulted
	}
	clear(m.memory[offset : offset+block])
	return done
}

// structures says what an LD1 to LD4 or ST1 to ST4 does.
type structures struct {
	registers int   // consecutive ones
	elements  int   // of one structure, from one register each
	size      uint8 // of an element, the logarithm
	lane      int   // the lane that is moved, or -1: all
	replicate bool
}

// structuresOf decodes; ok is false if there is no such instruction.
func structuresOf(w uint32) (s structures, ok bool) {
	if !bit(w, 23) && w>>16&31 != 0 {
		return s, false
	}
	if !bit(w, 24) {
		s.lane, s.size = -1, uint8(field(w, 11, 10))
		counts := [16][2]int{0: {4, 4}, 2: {4, 1}, 4: {3, 3}, 6: {3, 1}, 7: {1, 1}, 8: {2, 2}, 10: {2, 1}}[w>>12&15]
		s.registers, s.elements = counts[0], counts[1]
		return s, !bit(w, 21) && s.registers != 0 && (s.size < 3 || bit(w, 30) || s.elements == 1)
	}
	size, q, high := field(w, 11, 10), int(w>>30&1), int(w>>12&1)
	s.elements = int(w>>13&1<<1|w>>21&1) + 1
	s.registers = s.elements
	switch w >> 14 & 3 {
	case 0:
		s.size, s.lane = 0, q<<3|high<<2|int(size)
	case 1:
		s.size, s.lane = 1, q<<2|high<<1|int(size>>1)
		return s, size&1 == 0
	case 2:
		switch {
		case size == 0:
			s.size, s.lane = 2, q<<1|high
		case size == 1 && high == 0:
			s.size, s.lane = 3, q
		default:
			return s, false
		}
	case 3:
		s.size, s.replicate = uint8(size), true
		return s, bit(w, 22) && high == 0
	}
	return s, true
}

func decodeStructures(w uint32) inst {
	if _, ok := structuresOf(w); !ok {
		return inst{}
	}
	in := inst{op: opCall, rd: uint8(w & 31), rn: base(w >> 5 & 31), rm: zr(w >> 16 & 31), imm: uint64(hStructures)<<32 | uint64(w)}
	return in
}

func execStructures(m *Machine, in *inst) outcome {
	w := in.word()
	s, ok := structuresOf(w)
	if !ok {
		return m.undefined()
	}
	lanes, width := 1, 64
	if bit(w, 30) {
		width = 128
	}
	load, whole := bit(w, 22), s.lane < 0
	if whole || s.replicate {
		lanes = width >> (3 + s.size)
	}
	moved := s.registers << s.size // bytes
	if whole {
		moved = s.registers * width / 8
	}
	offset, ok := m.reach(in.rn, m.x[in.rn], uint64(moved), !load)
	if !ok {
		return faulted
	}
	reg := func(i int) *vector { return &m.v[(w+uint32(i))&31] }
	element := func(r *vector, lane int) {
		if load {
			v, _ := m.read(offset, s.size)
			r.set(lane, s.size, v)
		} else {
			m.write(offset, s.size, r.get(lane, s.size), 0)
		}
		offset += 1 << s.size
	}
	switch {
	case whole && s.elements == 1:
		for r := range s.registers {
			if load {
				*reg(r) = vector{}
			}
			for lane := range lanes {
				element(reg(r), lane)
			}
		}
	case whole:
		for r := 0; load && r < s.registers; r++ {
			*reg(r) = vector{}
		}
		for lane := range lanes {
			for r := range s.registers {
				element(reg(r), lane)
			}
		}
	case s.replicate:
		for r := range s.registers {
			v, _ := m.read(offset, s.size)
			*reg(r) = splat(v, s.size, width == 128)
			offset += 1 << s.size
		}
	default:
		for r := range s.registers {
			element(reg(r), s.lane)
		}
	}
	if bit(w, 23) {
		by := m.x[in.rm]
		if w>>16&31 == 31 {
			by = uint64(moved)
		}
		m.advance(in.rn, by)
	}
	return done
}

// get is a lane of 2^size bytes.
func (v *vector) get(lane int, size uint8) uint64 {
	at := lane << (size + 3) // in bits
	half := v.lo
	if at&64 != 0 {
		half = v.hi
	}
	return half >> (at & 63) & laneMask(size)
}

// set changes a lane of 2^size bytes.
func (v *vector) set(lane int, size uint8, to uint64) {
	at := lane << (size + 3)
	mask := laneMask(size)
	half := &v.lo
	if at&64 != 0 {
		half = &v.hi
	}
	*half = *half&^(mask<<(at&63)) | to&mask<<(at&63)
}

// laneMask is all bits of a lane of 2^size bytes.
func laneMask(size uint8) uint64 { return ^uint64(0) >> (64 - 8<<(size&3)) }

// splat is a vector with v in all lanes, of 128 or 64 bits.
func splat(v uint64, size uint8, full bool) vector {
	v &= laneMask(size)
	for s := size; s < 3; s++ {
		v |= v << (8 << s)
	}
	if full {
		return vector{v, v}
	}
	return vector{v, 0}
}

// countBits is CNT: the ones in each byte.
func countBits(v uint64) uint64 {
	var r uint64
	for i := range 8 {
		r |= uint64(bits.OnesCount8(uint8(v>>(8*i)))) << (8 * i)
	}
	return r
}
