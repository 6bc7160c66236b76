package a64

// scalar is the lowest lane of register r, of the format of size.
func (m *Machine) scalar(r, size uint8) uint64 { return m.v[r&31].lo & laneMask(size) }

// setScalar sets register r to one lane and zeros.
func (m *Machine) setScalar(r uint8, v uint64) { m.v[r&31] = vector{v, 0} }

func execFPOne(m *Machine, in *inst) outcome {
	f, v := &formats[in.sh&3], m.scalar(in.rn, in.sh)
	switch in.k {
	case 0:
	case 1:
		v &^= 1 << f.sign()
	case 2:
		v ^= 1 << f.sign()
	case 3:
		v = m.fp.sqrt(f, v)
	case 4, 5, 7:
		v = m.fp.convert(f, &formats[[4]uint8{2, 3, 0, 1}[in.k&3]], v)
	case 12:
		v = m.fp.toIntegral(f, v, tiesAway, false)
	case 14, 15:
		v = m.fp.toIntegral(f, v, m.fp.rounding(), in.k == 14)
	default: // FRINTN, FRINTP, FRINTM, FRINTZ
		v = m.fp.toIntegral(f, v, uint32(in.k&3), false)
	}
	m.setScalar(in.rd, v)
	return done
}

func execFPTwo(m *Machine, in *inst) outcome {
	f, a, b := &formats[in.sh&3], m.scalar(in.rn, in.sh), m.scalar(in.rm, in.sh)
	var v uint64
	switch in.k {
	case 0:
		v = m.fp.mul(f, a, b)
	case 1:
		v = m.fp.div(f, a, b)
	case 2:
		v = m.fp.add(f, a, b)
	case 3:
		v = m.fp.sub(f, a, b)
	case 4:
		v = m.fp.extreme(f, a, b, 1, false)
	case 5:
		v = m.fp.extreme(f, a, b, -1, false)
	case 6:
		v = m.fp.extreme(f, a, b, 1, true)
	case 7:
		v = m.fp.extreme(f, a, b, -1, true)
	case 8: // FNMUL negates the result, NaN or not
		v = m.fp.mul(f, a, b) ^ 1<<f.sign()
	}
	m.setScalar(in.rd, v)
	return done
}

// execFPThree does FMADD, FMSUB, FNMADD and FNMSUB.
func execFPThree(m *Machine, in *inst) outcome {
	f := &formats[in.sh&3]
	a, b, c := m.scalar(in.rn, in.sh), m.scalar(in.rm, in.sh), m.scalar(in.ra, in.sh)
	minus := uint64(1) << f.sign()
	if in.k&2 != 0 {
		c ^= minus
	}
	if in.k == 1 || in.k == 2 {
		a ^= minus
	}
	m.setScalar(in.rd, m.fp.muladd(f, c, a, b))
	return done
}

func execFPCompare(m *Machine, in *inst) outcome {
	f, a, b := &formats[in.sh&3], m.scalar(in.rn, in.sh), m.scalar(in.rm, in.sh)
	if in.k&1 != 0 {
		b = 0
	}
	m.setFlags(flagsKnown, m.fp.compare(f, a, b, in.k&2 != 0), 0)
	return done
}

func execFPCCompare(m *Machine, in *inst) outcome {
	w := in.word()
	if !m.holds(uint8(field(w, 15, 12))) {
		m.setFlags(flagsKnown, uint64(w&15), 0)
		return done
	}
	f, a, b := &formats[in.sh&3], m.scalar(in.rn, in.sh), m.scalar(in.rm, in.sh)
	m.setFlags(flagsKnown, m.fp.compare(f, a, b, bit(w, 4)), 0)
	return done
}

func execFPSelect(m *Machine, in *inst) outcome {
	r := in.rm
	if m.holds(in.k) {
		r = in.rn
	}
	m.setScalar(in.rd, m.scalar(r, in.sh))
	return done
}

// expand is VFPExpandImm: the number that 8 bits stand for.
func expand(f *format, imm uint64) uint64 {
	e := imm >> 4 & 7 // a sign, and two bits
	exp := e&3 | (1<<(f.exp-1) - 4)
	if e&4 == 0 {
		exp = e&3 | 1<<(f.exp-1)
	}
	return imm>>7<<f.sign() | exp<<f.frac | imm&15<<(f.frac-4)
}

func execFPImmediate(m *Machine, in *inst) outcome {
	m.setScalar(in.rd, expand(&formats[in.sh&3], uint64(field(in.word(), 20, 13))))
	return done
}

// width is that of the general register, in bits.
func width(w uint32) uint {
	if bit(w, 31) {
		return 64
	}
	return 32
}

func execFPToGeneral(m *Machine, in *inst) outcome {
	f := &formats[in.sh&3]
	m.x[in.rd] = m.fp.toInteger(f, m.scalar(in.rn, in.sh), uint32(in.rm), in.k&1 == 0, width(in.word()), uint(in.ra))
	return done
}

func execFPFromGeneral(m *Machine, in *inst) outcome {
	f := &formats[in.sh&3]
	m.setScalar(in.rd, m.fp.fromInteger(f, m.x[in.rn], in.k&1 == 0, width(in.word()), uint(in.ra)))
	return done
}

func execFMOVToGeneral(m *Machine, in *inst) outcome {
	if in.sh == 4 {
		m.x[in.rd] = m.v[in.rn&31].hi
	} else {
		m.x[in.rd] = m.scalar(in.rn, in.sh)
	}
	return done
}

func execFMOVFromGeneral(m *Machine, in *inst) outcome {
	if in.sh == 4 {
		m.v[in.rd&31].hi = m.x[in.rn]
	} else {
		m.setScalar(in.rd, m.x[in.rn]&laneMask(in.sh))
	}
	return done
}

// execSameFP does an operation on all lanes of two vectors.
func execSameFP(m *Machine, in *inst) outcome {
	w := in.word()
	f := &formats[in.sh&3]
	a, b := m.v[in.rn&31], m.v[in.rm&31]
	n := laneCount(w, in.sh)
	var r vector
	switch in.k {
	case fMAXNMP, fADDP, fMAXP, fMINNMP, fMINP:
		for i := range n {
			from, lane := &a, 2*i
			if lane >= n {
				from, lane = &b, lane-n
			}
			r.set(i, in.sh, m.floatLane(f, in.k, from.get(lane, in.sh), from.get(lane+1, in.sh), 0))
		}
	default:
		d := m.v[in.rd&31]
		for i := range n {
			r.set(i, in.sh, m.floatLane(f, in.k, a.get(i, in.sh), b.get(i, in.sh), d.get(i, in.sh)))
		}
	}
	m.v[in.rd&31] = r
	return done
}

// laneCount is how many lanes the word's vectors have: one in a scalar.
func laneCount(w uint32, size uint8) int {
	switch {
	case bit(w, 28):
		return 1
	case bit(w, 30):
		return 16 >> size
	default:
		return 8 >> size
	}
}

func (m *Machine) floatLane(f *format, opcode uint8, a, b, d uint64) uint64 {
	minus := uint64(1) << f.sign()
	p := &m.fp
	mask := func(yes bool) uint64 { return -b2u(yes) }
	switch opcode {
	case fMAXNM, fMAXNMP:
		return p.extreme(f, a, b, 1, true)
	case fMINNM, fMINNMP:
		return p.extreme(f, a, b, -1, true)
	case fMAX, fMAXP:
		return p.extreme(f, a, b, 1, false)
	case fMIN, fMINP:
		return p.extreme(f, a, b, -1, false)
	case fMLA:
		return p.muladd(f, d, a, b)
	case fMLS:
		return p.muladd(f, d, a^minus, b)
	case fADD, fADDP:
		return p.add(f, a, b)
	case fSUB:
		return p.sub(f, a, b)
	case fMUL:
		return p.mul(f, a, b)
	case fMULX:
		return p.mulx(f, a, b)
	case fDIV:
		return p.div(f, a, b)
	case fABD:
		return p.sub(f, a, b) &^ minus
	case fRECPS:
		return p.reciprocalStep(f, a, b)
	case fRSQRTS:
		return p.rootStep(f, a, b)
	case fCMEQ:
		return mask(p.compare(f, a, b, false) == flagsEqual)
	case fACGE, fACGT:
		a, b = a&^minus, b&^minus
	}
	c := p.compare(f, a, b, true)
	return mask(c == flagsGreater || c == flagsEqual && (opcode == fCMGE || opcode == fACGE))
}

func execTwoFP(m *Machine, in *inst) outcome {
	w := in.word()
	switch in.k {
	case fCVTN, fCVTL, fCVTXN:
		m.resize(in)
		return done
	}
	f := &formats[in.sh&3]
	a := m.v[in.rn&31]
	var r vector
	for i := range laneCount(w, in.sh) {
		r.set(i, in.sh, m.floatOne(f, in.k, a.get(i, in.sh)))
	}
	m.v[in.rd&31] = r
	return done
}

// resize does FCVTN, FCVTXN and FCVTL, and their second halves.
func (m *Machine) resize(in *inst) {
	w := in.word()
	wide, narrow := in.sh, in.sh-1
	from, to := &formats[wide&3], &formats[narrow&3]
	n, upper := 16>>wide, bit(w, 30)
	a := m.v[in.rn&31]
	var r vector
	if in.k == fCVTL {
		first := 0
		if upper {
			first = n
		}
		for i := range n {
			r.set(i, wide, m.fp.convert(to, from, a.get(first+i, narrow)))
		}
		m.v[in.rd&31] = r
		return
	}
	mode := m.fp.rounding()
	if in.k == fCVTXN {
		mode = roundToOdd
	}
	if bit(w, 28) {
		n, upper = 1, false
	}
	for i := range n {
		r.set(i, narrow, m.fp.convertMode(from, to, a.get(i, wide), mode))
	}
	if upper {
		r = vector{m.v[in.rd&31].lo, r.lo}
	}
	m.v[in.rd&31] = r
}

func (m *Machine) floatOne(f *format, opcode uint8, a uint64) uint64 {
	p := &m.fp
	bits := uint(8) << f.size
	minus := uint64(1) << f.sign()
	mask := func(yes bool) uint64 { return -b2u(yes) }
	switch opcode {
	case fRINTN, fRINTP, fRINTM, fRINTZ:
		mode := map32(opcode, fRINTN, fRINTP, fRINTM, fRINTZ)
		return p.toIntegral(f, a, mode, false)
	case fRINTA:
		return p.toIntegral(f, a, tiesAway, false)
	case fRINTX, fRINTI:
		return p.toIntegral(f, a, p.rounding(), opcode == fRINTX)
	case fCVTNS, fCVTPS, fCVTMS, fCVTZS:
		return p.toInteger(f, a, map32(opcode, fCVTNS, fCVTPS, fCVTMS, fCVTZS), true, bits, 0)
	case fCVTNU, fCVTPU, fCVTMU, fCVTZU:
		return p.toInteger(f, a, map32(opcode, fCVTNU, fCVTPU, fCVTMU, fCVTZU), false, bits, 0)
	case fCVTAS, fCVTAU:
		return p.toInteger(f, a, tiesAway, opcode == fCVTAS, bits, 0)
	case fSCVTF, fUCVTF:
		return p.fromInteger(f, a, opcode == fSCVTF, bits, 0)
	case fABS:
		return a &^ minus
	case fNEG:
		return a ^ minus
	case fSQRT:
		return p.sqrt(f, a)
	case fCMEQ0:
		return mask(p.compare(f, a, 0, false) == flagsEqual)
	case fCMGT0:
		return mask(p.compare(f, a, 0, true) == flagsGreater)
	case fCMLT0:
		return mask(p.compare(f, a, 0, true) == flagsLess)
	case fCMGE0:
		c := p.compare(f, a, 0, true)
		return mask(c == flagsGreater || c == flagsEqual)
	case fCMLE0:
		c := p.compare(f, a, 0, true)
		return mask(c == flagsLess || c == flagsEqual)
	case fURECPE:
		if a>>31 == 0 {
			return lowWord
		}
		return reciprocal(a>>23&0x1ff) << 23
	case fURSQRTE:
		if a>>30 == 0 {
			return lowWord
		}
		return root(a>>23&0x1ff) << 23
	case fRECPE:
		return p.reciprocalEstimate(f, a)
	case fRSQRTE:
		return p.rootEstimate(f, a)
	case fRECPX:
		return p.exponentOf(f, a)
	}
	return 0
}

// map32 is the rounding mode of an opcode that stands in the place of that mode.
func map32(opcode uint8, modes ...uint8) uint32 {
	for i, o := range modes {
		if o == opcode {
			return uint32(i)
		}
	}
	return toNearest
}

func execAcrossFP(m *Machine, in *inst) outcome {
	w := in.word()
	f, a := &formats[in.sh&3], m.v[in.rn&31]
	sign := 1
	if bit(w, 23) {
		sign = -1
	}
	n := laneCount(w&^(1<<28), in.sh)
	var all [8]uint64
	for i := range n {
		all[i&7] = a.get(i, in.sh)
	}
	for ; n > 1; n /= 2 { // in pairs, as the architecture reduces
		for i := range n / 2 {
			all[i&7] = m.fp.extreme(f, all[2*i&7], all[(2*i+1)&7], sign, in.k == 12)
		}
	}
	m.setScalar(in.rd, all[0])
	return done
}

// execPairwise does an operation on the two lanes of a vector.
func execPairwise(m *Machine, in *inst) outcome {
	w := in.word()
	v := m.v[in.rn&31]
	if in.k == 27 {
		m.setScalar(in.rd, v.lo+v.hi)
		return done
	}
	f := &formats[in.sh&3]
	a, b := v.get(0, in.sh), v.get(1, in.sh)
	sign := 1
	if bit(w, 23) {
		sign = -1
	}
	if in.k == 13 {
		m.setScalar(in.rd, m.fp.add(f, a, b))
	} else {
		m.setScalar(in.rd, m.fp.extreme(f, a, b, sign, in.k == 12))
	}
	return done
}

func execIndexedFP(m *Machine, in *inst) outcome {
	w := in.word()
	f := &formats[in.sh&3]
	source := m.v[in.rm&31]
	a, d, b := m.v[in.rn&31], m.v[in.rd&31], source.get(int(in.ra), in.sh)
	opcode := [32]uint8{0x01: fMLA, 0x05: fMLS, 0x09: fMUL, 0x19: fMULX}[in.k&31]
	var r vector
	for i := range laneCount(w, in.sh) {
		r.set(i, in.sh, m.floatLane(f, opcode, a.get(i, in.sh), b, d.get(i, in.sh)))
	}
	m.v[in.rd&31] = r
	return done
}
