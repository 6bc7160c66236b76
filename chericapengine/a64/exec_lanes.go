package a64

// execShift shifts by an immediate.
func execShift(m *Machine, in *inst) outcome {
	w := in.word()
	size, u, opcode := in.sh, in.k&32 != 0, in.k&31
	width := 8 << size
	right, left := 2*width-int(in.rm), int(in.rm)-width
	a, d := m.v[in.rn&31], m.v[in.rd&31]
	scalar, full := bit(w, 28), bit(w, 30) && !bit(w, 28)
	var r vector
	switch {
	case opcode >= 16 && opcode < 20: // to lanes of half the size
		n := 8 >> size
		if scalar {
			n = 1
		}
		for i := range n {
			r.set(i, size, m.narrowing(opcode, u, size, a.get(i, size+1), uint(right)))
		}
		if full {
			r = vector{d.lo, r.lo}
		}
	case opcode == 20: // SSHLL, USHLL
		n, first := 8>>size, 0
		if full {
			first = n
		}
		for i := range n {
			v := a.get(first+i, size)
			if !u {
				v = uint64(signedLane(v, size))
			}
			r.set(i, size+1, v<<left)
		}
	default:
		for i := range laneCount(w, size) {
			r.set(i, size, m.shiftedLane(in, a.get(i, size), d.get(i, size), right, left))
		}
	}
	m.v[in.rd&31] = r
	return done
}

func (m *Machine) shiftedLane(in *inst, a, d uint64, right, left int) uint64 {
	size, u := in.sh, in.k&32 != 0
	f := &formats[size&3]
	bits := uint(8) << size
	switch in.k & 31 {
	case 0, 2, 4, 6: // SSHR, SSRA, SRSHR, SRSRA
		v := m.shiftLane(a, -right, size, shift{isSigned: !u, rounding: in.k&4 != 0})
		if in.k&2 != 0 {
			v += d
		}
		return v
	case 8: // SRI
		return d&^(laneMask(size)>>right) | a>>right
	case 10: // SHL, SLI
		if u {
			return d&(1<<left-1) | a<<left
		}
		return a << left
	case 12: // SQSHLU
		return m.shiftLane(a, left, size, shift{isSigned: true, saturating: true, unsigned: true})
	case 14:
		return m.shiftLane(a, left, size, shift{isSigned: !u, saturating: true})
	case 28:
		return m.fp.fromInteger(f, a, !u, bits, uint(right))
	default:
		return m.fp.toInteger(f, a, toZero, !u, bits, uint(right))
	}
}

// narrowing shifts a wide lane right and makes a narrow one of it.
func (m *Machine) narrowing(opcode uint8, u bool, size uint8, a uint64, n uint) uint64 {
	how := shift{isSigned: !u, rounding: opcode&1 != 0}
	unsignedOfSigned := u && opcode < 18 // SQSHRUN, SQRSHRUN
	if unsignedOfSigned {
		how.isSigned = true
	}
	x := int64(a)
	if how.isSigned {
		x = signedLane(a, size+1)
	}
	v := shiftRight(x, n, how)
	switch {
	case unsignedOfSigned:
		return m.clamp(int64(v), size, false)
	case opcode < 18: // SHRN, RSHRN
		return v
	case u:
		return m.clampUnsigned(v, size)
	default:
		return m.clamp(int64(v), size, true)
	}
}

// execAcross adds up the lanes of a vector, or picks the greatest or the least.
func execAcross(m *Machine, in *inst) outcome {
	w := in.word()
	size, u, opcode := in.sh, in.k&32 != 0, in.k&31
	a := m.v[in.rn&31]
	n := laneCount(w&^(1<<28), size)
	r := a.get(0, size)
	if opcode == 3 && !u {
		r = uint64(signedLane(r, size))
	}
	for i := 1; i < n; i++ {
		v := a.get(i, size)
		switch {
		case opcode == 3 && !u:
			r += uint64(signedLane(v, size))
		case opcode == 3, opcode == 27:
			r += v
		default:
			maximum := uint8(12)
			if opcode == 26 {
				maximum = 13
			}
			r = m.sameLane(in.k&32|maximum, size, r, v, 0)
		}
	}
	if opcode == 3 {
		size++
	}
	m.setScalar(in.rd, r&laneMask(size))
	return done
}

// execCopy does DUP, and INS of a general register.
func execCopy(m *Machine, in *inst) outcome {
	w := in.word()
	d := &m.v[in.rd&31]
	switch {
	case bit(w, 28):
		m.setScalar(in.rd, m.v[in.rn&31].get(int(in.rm), in.sh))
	case in.k == 0:
		*d = splat(m.v[in.rn&31].get(int(in.rm), in.sh), in.sh, bit(w, 30))
	case in.k == 1:
		*d = splat(m.x[in.rn], in.sh, bit(w, 30))
	default:
		d.set(int(in.rm), in.sh, m.x[in.rn])
	}
	return done
}

// execInsert does INS of a lane.
func execInsert(m *Machine, in *inst) outcome {
	m.v[in.rd&31].set(int(in.rm), in.sh, m.v[in.rn&31].get(int(in.k), in.sh))
	return done
}

// execMove does SMOV and UMOV.
func execMove(m *Machine, in *inst) outcome {
	v := m.v[in.rn&31].get(int(in.rm), in.sh)
	if in.k == 5 {
		v = uint64(signedLane(v, in.sh))
		if !bit(in.word(), 30) {
			v &= lowWord
		}
	}
	m.x[in.rd] = v
	return done
}

// execPermute does UZP, TRN and ZIP.
func execPermute(m *Machine, in *inst) outcome {
	size, second := in.sh, int(in.k>>2&1)
	a, b := m.v[in.rn&31], m.v[in.rm&31]
	n := laneCount(in.word(), size)
	get := func(i int) uint64 {
		if i < n {
			return a.get(i, size)
		}
		return b.get(i-n, size)
	}
	var r vector
	for i := range n {
		var from int
		switch in.k & 3 {
		case 1:
			from = 2*i + second
		case 2:
			from = i&^1 + second + i&1*n
		case 3:
			from = i/2 + second*n/2 + i&1*n
		}
		r.set(i, size, get(from))
	}
	m.v[in.rd&31] = r
	return done
}

// execExt takes bytes from the end of one vector and the beginning of another.
func execExt(m *Machine, in *inst) outcome {
	a, b := m.v[in.rn&31], m.v[in.rm&31]
	n := laneCount(in.word(), 0)
	var r vector
	for i := range n {
		if at := i + int(in.k); at < n {
			r.set(i, 0, a.get(at, 0))
		} else {
			r.set(i, 0, b.get(at-n, 0))
		}
	}
	m.v[in.rd&31] = r
	return done
}

// execTable does TBL and TBX.
func execTable(m *Machine, in *inst) outcome {
	w := in.word()
	b, r := m.v[in.rm&31], m.v[in.rd&31]
	length := 16 * (int(in.k>>1) + 1)
	if in.k&1 == 0 {
		r = vector{}
	}
	for i := range laneCount(w, 0) {
		if at := int(b.get(i, 0)); at < length {
			r.set(i, 0, m.v[(int(in.rn)+at/16)&31].get(at%16, 0))
		}
	}
	if !bit(w, 30) {
		r.hi = 0
	}
	m.v[in.rd&31] = r
	return done
}

// execVectorImmediate does MOVI, MVNI, ORR and BIC of an immediate, and FMOV.
func execVectorImmediate(m *Machine, in *inst) outcome {
	w := in.word()
	imm, op, full := uint64(field(w, 18, 16)<<5|field(w, 9, 5)), bit(w, 29), bit(w, 30)
	cmode := in.k
	var v uint64
	size := uint8(2)
	switch {
	case cmode < 8:
		v = imm << (8 * (cmode >> 1))
	case cmode < 12:
		v, size = imm<<(8*(cmode>>1&1)), 1
	case cmode < 14:
		ones := uint64(8) << (cmode & 1)
		v = imm<<ones | (1<<ones - 1)
	case cmode == 14 && !op:
		v, size = imm, 0
	case cmode == 14:
		for i := range 8 {
			v |= imm >> i & 1 * 0xff << (8 * i)
		}
		size = 3
	case bit(w, 11):
		v, size = expand(&formats[1], imm), 1
	case op:
		v, size = expand(&formats[3], imm), 3
	default:
		v = expand(&formats[2], imm)
	}
	r := splat(v, size, true)
	if op && cmode < 14 {
		r = vector{^r.lo, ^r.hi}
	}
	d := m.v[in.rd&31]
	switch {
	case cmode < 12 && cmode&1 != 0 && op:
		r = vector{d.lo & r.lo, d.hi & r.hi}
	case cmode < 12 && cmode&1 != 0:
		r = vector{d.lo | r.lo, d.hi | r.hi}
	}
	if !full {
		r.hi = 0
	}
	m.v[in.rd&31] = r
	return done
}

// execDot does SDOT and UDOT: sums of four products.
func execDot(m *Machine, in *inst) outcome {
	a, b, d := m.v[in.rn&31], m.v[in.rm&31], m.v[in.rd&31]
	var r vector
	for i := range laneCount(in.word(), 2) {
		r.set(i, 2, dot(a.get(i, 2), b.get(i, 2), in.k&1 == 0)+d.get(i, 2))
	}
	m.v[in.rd&31] = r
	return done
}

func dot(a, b uint64, isSigned bool) (sum uint64) {
	for s := 0; s < 32; s += 8 {
		if isSigned {
			sum += uint64(int64(int8(a>>s)) * int64(int8(b>>s)))
		} else {
			sum += uint64(uint8(a>>s)) * uint64(uint8(b>>s))
		}
	}
	return sum
}
