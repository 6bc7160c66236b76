package a64

// How an opLoad, opStore or opPair finds its address (ra).
const (
	modeOffset   = iota // rn + imm
	modePost            // rn, which then grows by imm
	modePre             // rn after it has grown by imm
	modeRegister        // rn + rm, extended as imm says and shifted by sh
)

// What an opLoad, opStore or opPair moves (k): the size's logarithm, and more.
const (
	sizeMask   = 7
	signed64   = 1 << 3 // sign extended to 64 bits
	signed32   = 1 << 4 // sign extended to 32 bits
	vectorKind = 1 << 5 // a vector register
	loadKind   = 1 << 6 // of opPair: a load
)

func decodeLoadStore(w uint32) inst {
	switch {
	case w&0x3f000000 == 0x08000000:
		return decodeExclusive(w)
	case w&0xbf000000 == 0x0c000000, w&0xbf000000 == 0x0d000000:
		return decodeStructures(w)
	case w&0x3b000000 == 0x18000000:
		return decodeLiteral(w)
	case w&0x3a000000 == 0x28000000:
		return decodePair(w)
	case w&0x3b000000 == 0x39000000:
		return decodeRegisterAccess(w, modeOffset)
	case w&0x3b200000 == 0x38000000:
		switch w >> 10 & 3 {
		case 0:
			return decodeRegisterAccess(w, modeOffset)
		case 1:
			return decodeRegisterAccess(w, modePost)
		case 2: // LDTR, STTR: at this level the same as LDUR, STUR
			if bit(w, 26) || w>>30 == 3 && bit(w, 23) {
				return inst{}
			}
			return decodeRegisterAccess(w, modeOffset)
		default:
			return decodeRegisterAccess(w, modePre)
		}
	case w&0x3b200c00 == 0x38200800:
		if !bit(w, 14) {
			return inst{}
		}
		return decodeRegisterAccess(w, modeRegister)
	case w&0x3f200c00 == 0x38200000:
		return decodeAtomic(w)
	}
	return inst{}
}

// decodeExclusive decodes load-acquire, store-release, exclusives and compare-and-swap.
func decodeExclusive(w uint32) inst {
	size, rs, rt2, rn, rt := w>>30, w>>16&31, w>>10&31, w>>5&31, w&31
	in := inst{op: opCall, rd: zw(rt), rn: base(rn), rm: zr(rs)}
	h := hLoadAcquire
	load := bit(w, 22)
	switch w >> 21 & 5 { // o2 and o1
	case 0:
		h = hStoreExclusive
		if load {
			h = hLoadExclusive
		} else if rs == rt || rs == rn && rn != 31 {
			return inst{}
		}
	case 1:
		switch {
		case size < 2: // CASP
			if rt2 != 31 || rs&1 != 0 || rt&1 != 0 {
				return inst{}
			}
			h = hCASP
		case load:
			if rt == rt2 {
				return inst{}
			}
			h = hLoadExclusivePair
		default:
			if rs == rt || rs == rt2 || rs == rn && rn != 31 {
				return inst{}
			}
			h = hStoreExclusivePair
		}
	case 4:
		if !load {
			h = hStoreRelease
		}
	case 5:
		if rt2 != 31 {
			return inst{}
		}
		h = hCAS
	}
	in.imm = uint64(h)<<32 | uint64(w)
	return in
}

func decodeAtomic(w uint32) inst {
	o := w >> 12 & 15
	if o == 12 { // LDAPR
		if !bit(w, 23) || bit(w, 22) || w>>16&31 != 31 {
			return inst{}
		}
		return inst{op: opCall, rd: zw(w & 31), rn: base(w >> 5 & 31), imm: uint64(hLoadAcquire)<<32 | uint64(w)}
	}
	if o > 8 {
		return inst{}
	}
	return inst{op: opCall, rd: zw(w & 31), rn: base(w >> 5 & 31), rm: zr(w >> 16 & 31), imm: uint64(hAtomic)<<32 | uint64(w)}
}

// decodeLiteral decodes LDR of a label. The code capability authorises it.
func decodeLiteral(w uint32) inst {
	vector, opc := bit(w, 26), w>>30
	if opc == 3 {
		if vector {
			return inst{}
		}
		return inst{op: opNop} // PRFM
	}
	return call(hLiteral, w)
}

func decodePair(w uint32) inst {
	opc, vector, load := w>>30, bit(w, 26), bit(w, 22)
	rt, rt2, rn := w&31, w>>10&31, w>>5&31
	if opc == 3 || load && rt == rt2 {
		return inst{}
	}
	in := inst{op: opPair, rd: zr(rt), rm: zr(rt2), rn: base(rn), imm: signed(field(w, 21, 15), 7)}
	if load {
		in.rd, in.rm = zw(rt), zw(rt2)
		in.k = loadKind
	}
	switch field(w, 24, 23) {
	case 0: // LDNP, STNP
		if !vector && opc == 1 {
			return inst{}
		}
		in.ra = modeOffset
	case 1:
		in.ra = modePost
	case 2:
		in.ra = modeOffset
	case 3:
		in.ra = modePre
	}
	size := uint8(opc + 2)
	if vector {
		in.rd, in.rm = uint8(rt), uint8(rt2)
		in.k |= vectorKind
	} else {
		if in.ra != modeOffset && rn != 31 && (rt == rn || rt2 == rn) {
			return inst{}
		}
		switch opc {
		case 0:
		case 1: // LDPSW; its neighbour stores tags, which this architecture hasn't
			if !load {
				return inst{}
			}
			in.k |= signed64
			size = 2
		case 2:
			size = 3
		}
	}
	in.imm <<= size
	in.k |= size
	if !vector && size == 3 && opc == 2 {
		switch {
		case in.ra == modeOffset && load:
			in.op = opLdp64
		case in.ra == modeOffset && rn == 31:
			in.op = opStp64SP
		case in.ra == modeOffset:
			in.op = opStp64
		case in.ra == modePost && load && rn == 31:
			in.op = opLdp64PSP
		case in.ra == modePre && !load && rn == 31:
			in.op = opStp64WSP
		}
	}
	return in
}

// decodeRegisterAccess decodes loads and stores of one register.
func decodeRegisterAccess(w uint32, mode uint8) inst {
	size, vector, opc := w>>30, bit(w, 26), field(w, 23, 22)
	rt, rn, rm := w&31, w>>5&31, w>>16&31
	in := inst{op: opStore, rd: zr(rt), rn: base(rn), rm: regZR, ra: mode}
	switch {
	case vector:
		if opc > 1 {
			if size != 0 {
				return inst{}
			}
			size = 4
		}
		in.rd, in.k = uint8(rt), vectorKind
		if opc&1 != 0 {
			in.op = opLoad
		}
	case opc == 0:
	case opc == 1:
		in.op, in.rd = opLoad, zw(rt)
	case opc == 2 && size == 3: // PRFM
		if mode == modePost || mode == modePre {
			return inst{}
		}
		return inst{op: opNop}
	case opc == 2:
		in.op, in.rd, in.k = opLoad, zw(rt), signed64
	case size < 2:
		in.op, in.rd, in.k = opLoad, zw(rt), signed32
	default:
		return inst{}
	}
	in.k |= uint8(size)
	writeback := mode == modePost || mode == modePre
	if writeback && !vector && rt == rn && rn != 31 {
		return inst{}
	}
	switch {
	case mode == modeRegister:
		in.rm, in.imm = zr(rm), uint64(field(w, 15, 13))
		if bit(w, 12) {
			in.sh = uint8(size)
		}
	case bit(w, 24):
		in.imm = uint64(field(w, 21, 10)) << size
	default:
		in.imm = signed(field(w, 20, 12), 9)
	}
	return quick(in)
}

// quick gives a load or store an instruction of its own where there is one.
func quick(in inst) inst {
	const uxtw, uxtx, sxtw = 2, 3, 6 // of an index; UXTX is LSL
	if in.ra == modePost && in.rn == regStack {
		return in
	}
	if in.ra == modeRegister && in.imm != uxtx {
		if in.k != 0 && in.k != 2 && in.k != 3 || in.imm != uxtw && in.imm != sxtw {
			return in
		}
		table := [4]op{opLdr8U, 0, opLdr32U, opLdr64U}
		if in.op == opStore {
			table = [4]op{opStr8U, 0, opStr32U, opStr64U}
		}
		in.op = table[in.k&3]
		if in.imm == sxtw {
			in.op += opLdr8S - opLdr8U
		}
		return in
	}
	type ops [modeRegister + 1][5]op // by mode and size; 0 is none
	table := ops{}
	switch {
	case in.op == opLoad && in.k&^sizeMask == 0:
		table = ops{
			modeOffset:   {opLdr8, opLdr16, opLdr32, opLdr64},
			modePost:     {0: opLdr8P, 2: opLdr32P, 3: opLdr64P},
			modeRegister: {opLdr8R, opLdr16R, opLdr32R, opLdr64R},
		}
	case in.op == opStore && in.k&^sizeMask == 0:
		table = ops{
			modeOffset:   {opStr8, opStr16, opStr32, opStr64},
			modePost:     {0: opStr8P, 2: opStr32P, 3: opStr64P},
			modeRegister: {opStr8R, opStr16R, opStr32R, opStr64R},
		}
	case in.op == opLoad && in.k&^sizeMask == signed64:
		table = ops{modeOffset: {2: opLdrsw}, modeRegister: {2: opLdrswR}}
	case in.op == opLoad && in.k&^sizeMask == vectorKind:
		table = ops{modeOffset: {3: opLdrD, 4: opLdrQ}, modePost: {4: opLdrQP}, modeRegister: {3: opLdrDR, 4: opLdrQR}}
	case in.op == opStore && in.k&^sizeMask == vectorKind:
		table = ops{modeOffset: {3: opStrD, 4: opStrQ}, modePost: {4: opStrQP}, modeRegister: {3: opStrDR, 4: opStrQR}}
	}
	if o := table[in.ra][in.k&sizeMask]; o != 0 {
		in.op = o
	}
	switch {
	case in.rn != regStack:
	case in.op == opStr32:
		in.op = opStr32SP
	case in.op == opStr64:
		in.op = opStr64SP
	}
	return in
}
