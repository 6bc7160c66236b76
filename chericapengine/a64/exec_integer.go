package a64

import (
	"hash/crc32"
	"math/bits"

	"pappus/chericapengine/capability"
)

// narrow is v as the result of an instruction whose word has the width in bit 31.
func narrow(w uint32, v uint64) uint64 {
	if !bit(w, 31) {
		v &= lowWord
	}
	return v
}

// flagged sets the flags of a+b or a-b, of the width in bit 31 of the word.
func (m *Machine) flagged(w uint32, kind uint8, a, b uint64) {
	if !bit(w, 31) {
		a, b = a<<32, b<<32
	}
	m.setFlags(kind, a, b)
}

// shifted is v shifted by LSL, LSR, ASR or ROR.
func shifted(w uint32, v uint64, kind, n uint32) uint64 {
	if bit(w, 31) {
		switch kind & 3 {
		case 0:
			return v << (n & 63)
		case 1:
			return v >> (n & 63)
		case 2:
			return uint64(int64(v) >> (n & 63))
		default:
			return bits.RotateLeft64(v, -int(n))
		}
	}
	switch s := uint32(v); kind & 3 {
	case 0:
		return uint64(s << (n & 31))
	case 1:
		return uint64(s >> (n & 31))
	case 2:
		return uint64(uint32(int32(s) >> (n & 31)))
	default:
		return uint64(bits.RotateLeft32(s, -int(n)))
	}
}

func execExtr32(m *Machine, in *inst) outcome {
	v := m.x[in.rn]<<32 | m.x[in.rm]&lowWord
	m.x[in.rd] = v >> field(in.word(), 14, 10) & lowWord
	return done
}

func execLogicalShifted(m *Machine, in *inst) outcome {
	w := in.word()
	a, b := m.x[in.rn], shifted(w, m.x[in.rm], field(w, 23, 22), field(w, 15, 10))
	if bit(w, 21) {
		b = ^b
	}
	var v uint64
	switch field(w, 30, 29) {
	case 0, 3:
		v = a & b
	case 1:
		v = a | b
	case 2:
		v = a ^ b
	}
	m.x[in.rd] = narrow(w, v)
	if field(w, 30, 29) == 3 {
		m.flagged(w, flagsAdd, v, 0)
	}
	return done
}

// sum does ADD, SUB, ADDS or SUBS of a and b.
func (m *Machine) sum(in *inst, a, b uint64) {
	w := in.word()
	kind, v := uint8(flagsAdd), a+b
	if bit(w, 30) {
		kind, v = flagsSub, a-b
	}
	m.x[in.rd] = narrow(w, v)
	if bit(w, 29) {
		m.flagged(w, kind, a, b)
	}
}

func execAddsShifted(m *Machine, in *inst) outcome {
	w := in.word()
	m.sum(in, m.x[in.rn], shifted(w, m.x[in.rm], field(w, 23, 22), field(w, 15, 10)))
	return done
}

func execAddsExtended(m *Machine, in *inst) outcome {
	w := in.word()
	m.sum(in, m.x[in.rn], extend(m.x[in.rm], uint8(field(w, 15, 13)))<<field(w, 12, 10))
	return done
}

func execAddI32SP(m *Machine, in *inst) outcome {
	w := in.word()
	imm := uint64(field(w, 21, 10))
	if bit(w, 22) {
		imm <<= 12
	}
	if bit(w, 30) {
		imm = -imm
	}
	m.x[regSP] = (m.x[w>>5&31] + imm) & lowWord
	return done
}

func execLogicalISP(m *Machine, in *inst) outcome {
	w := in.word()
	imm, _, _ := bitMasks(w>>22&1, field(w, 21, 16), field(w, 15, 10))
	v := m.x[in.rn]
	switch field(w, 30, 29) {
	case 0:
		v &= imm
	case 1:
		v |= imm
	case 2:
		v ^= imm
	}
	m.x[regSP] = narrow(w, v)
	return done
}

func execAdc(m *Machine, in *inst) outcome {
	w := in.word()
	a, b := m.x[in.rn], m.x[in.rm]
	if bit(w, 30) {
		b = ^b
	}
	c := m.nzcv() >> 1 & 1
	size := 63
	v, carry := bits.Add64(a, b, c)
	if !bit(w, 31) {
		a, b = a&lowWord, b&lowWord
		v = a + b + c
		carry = v >> 32
		v &= lowWord
		size = 31
	}
	m.x[in.rd] = v
	if bit(w, 29) {
		f := (v>>size&1)*flagN | carry*flagC | ((a^v)&(b^v)>>size&1)*flagV
		if v == 0 {
			f |= flagZ
		}
		m.setFlags(flagsKnown, f, 0)
	}
	return done
}

func execMsubl(m *Machine, in *inst) outcome {
	w := in.word()
	a, b := m.x[in.rn], m.x[in.rm]
	p := a & lowWord * (b & lowWord)
	if !bit(w, 23) {
		p = uint64(int64(int32(a)) * int64(int32(b)))
	}
	m.x[in.rd] = m.x[zr(w>>10&31)] - p
	return done
}

func execSmulh(m *Machine, in *inst) outcome {
	a, b := m.x[in.rn], m.x[in.rm]
	hi, _ := bits.Mul64(a, b)
	m.x[in.rd] = hi - uint64(int64(a)>>63)&b - uint64(int64(b)>>63)&a
	return done
}

func execDiv(m *Machine, in *inst) outcome {
	w := in.word()
	a, b := m.x[in.rn], m.x[in.rm]
	isSigned := bit(w, 10)
	if !bit(w, 31) {
		a, b = a&lowWord, b&lowWord
		if isSigned {
			a, b = uint64(int64(int32(a))), uint64(int64(int32(b)))
		}
	}
	var v uint64
	switch {
	case b == 0:
	case isSigned:
		v = uint64(int64(a) / int64(b))
	default:
		v = a / b
	}
	m.x[in.rd] = narrow(w, v)
	return done
}

func execShiftv(m *Machine, in *inst) outcome {
	w := in.word()
	m.x[in.rd] = shifted(w, m.x[in.rn], field(w, 11, 10), uint32(m.x[in.rm]))
	return done
}

func execCRC32(m *Machine, in *inst) outcome {
	w := in.word()
	poly := uint32(crc32.IEEE)
	if bit(w, 12) {
		poly = crc32.Castagnoli
	}
	crc, v := uint32(m.x[in.rn]), m.x[in.rm]
	for range 8 << field(w, 11, 10) {
		low := (crc ^ uint32(v)) & 1
		crc = crc>>1 ^ poly&-low
		v >>= 1
	}
	m.x[in.rd] = uint64(crc)
	return done
}

func execBits(m *Machine, in *inst) outcome {
	w := in.word()
	v := m.x[in.rn]
	wide := bit(w, 31)
	size := 64
	if !wide {
		v &= lowWord
		size = 32
	}
	switch field(w, 12, 10) {
	case 0: // RBIT
		v = bits.Reverse64(v) >> (64 - size)
	case 1: // REV16
		v = v&0x00ff00ff00ff00ff<<8 | v>>8&0x00ff00ff00ff00ff
	case 2: // REV32, and REV of 32 bits
		v = bits.RotateLeft64(bits.ReverseBytes64(v), 32)
		if !wide {
			v &= lowWord
		}
	case 3: // REV
		v = bits.ReverseBytes64(v)
	case 4: // CLZ
		v = leading(v, size)
	case 5: // CLS
		if wide {
			v = leading(v^uint64(int64(v)>>63), 64) - 1
		} else {
			s := uint32(v)
			v = leading(uint64(s^uint32(int32(s)>>31)), 32) - 1
		}
	}
	m.x[in.rd] = v
	return done
}

// execBranchOut executes a branch whose target is no instruction.
func execBranchOut(m *Machine, in *inst) outcome {
	pc := m.code.address(m.slot)
	b := decode(in.word(), pc)
	taken := true
	switch v := m.x[b.rn]; b.op {
	case opBL:
		m.SetX(regLR, pc+wordBytes)
	case opBcond:
		taken = m.holds(b.k)
	case opCbz:
		taken = v == 0
	case opCbz32:
		taken = v&lowWord == 0
	case opCbnz:
		taken = v != 0
	case opCbnz32:
		taken = v&lowWord != 0
	case opTbz:
		taken = v>>(b.sh&63)&1 == 0
	case opTbnz:
		taken = v>>(b.sh&63)&1 != 0
	}
	if !taken {
		return done
	}
	m.noInstruction(b.imm)
	return astray
}

func execSVC(m *Machine, _ *inst) outcome {
	m.refuse(FaultSVC, m.slot)
	return faulted
}

func execBRK(m *Machine, _ *inst) outcome {
	m.refuse(FaultBRK, m.slot)
	return faulted
}

func execMRS(m *Machine, in *inst) outcome {
	var v uint64
	switch in.word() >> 5 & 0x7fff {
	case sysNZCV:
		v = m.nzcv() << 28
	case sysFPCR:
		v = uint64(m.fp.cr)
	case sysFPSR:
		v = uint64(m.fp.sr)
	case sysTPIDR:
		v = m.thread.Address()
	case sysDCZID:
		v = 4 // blocks of 64 bytes
	case sysCTR:
		v = 0x8444c004 // as of the Neoverse N1
	}
	m.x[in.rd] = v
	return done
}

func execMSR(m *Machine, in *inst) outcome {
	w := in.word()
	v := m.x[in.rd&31]
	if w&31 == 31 {
		v = 0
	}
	switch w >> 5 & 0x7fff {
	case sysNZCV:
		m.SetNZCV(uint32(v))
	case sysFPCR:
		m.SetFPCR(uint32(v))
	case sysFPSR:
		m.SetFPSR(uint32(v))
	case sysTPIDR:
		m.thread = capability.FromBits(v, 0, false)
	}
	return done
}
