package a64

// Morello's instructions that handlers tell apart by k.
const (
	cLoad = iota // LDR, LDUR, STR, STUR: as opLoad
	cStore
	cPair
	cGet // GCBASE to GCTYPE
	cRepresentable
	cCopy
	cClearTag
	cConvertData // CVTD
	cConvertCode // CVTP
	cSetBounds
	cSetBoundsExact
	cSetValue
	cSetOffset
	cClearPerms
	cSeal
	cAdd
	cCheckTag
	cCheckEqual
	cBranch
	cLoadPairBranch
	cReadSystem
	cWriteSystem
)

// Registers that Morello adds, as they lie in the word (see sysNZCV).
const (
	sysDDC     = 0x5a09 // S3_3_C4_C1_1
	sysRDDC    = 0x5a19 // S3_3_C4_C3_1
	sysRCSP    = 0x7a0b // S3_7_C4_C1_3
	sysRTPIDR  = 0x5e84 // S3_3_C13_C0_4
	sysCID     = 0x5e87 // S3_3_C13_C0_7
	sysCCTLR   = 0x5892 // S3_3_C1_C2_2, of 64 bits
	scaledPair = 4      // capabilities are 16 bytes
)

func morelloCall(w uint32, k uint8) inst {
	in := call(hMorello, w)
	in.k = k
	return in
}

// decodeMorello decodes the loads, stores, branches and manipulations of capabilities
// that functions and the code around them use.
func decodeMorello(w uint32) inst {
	switch {
	case w&0xff800000 == 0xc2000000: // LDR, STR with an unsigned offset
		return capabilityAccess(w, modeOffset)
	case w&0xffa00000 == 0xa2000000: // LDUR and STUR, post- and pre-indexed ones
		switch w >> 10 & 3 {
		case 0:
			return capabilityAccess(w, modeOffset)
		case 1:
			return capabilityAccess(w, modePost)
		case 3:
			return capabilityAccess(w, modePre)
		}
	case w&0xffa00c00 == 0xa2200800 && bit(w, 14): // with a register for the offset
		in := capabilityAccess(w, modeRegister)
		in.rm = zr(w >> 16 & 31)
		return in
	case w&0x9f800000 == 0x02800000 && w>>29&3 != 0, w&0xff800000 == 0x62000000: // LDP, STP; LDNP, STNP
		mode := [4]uint8{0, modePost, modeOffset, modePre}[w>>29&3]
		if !bit(w, 23) {
			mode = modeOffset
		}
		if bit(w, 22) && w&31 == w>>10&31 {
			return inst{}
		}
		in := capabilityAccess(w, mode)
		if in.op == opUndefined {
			return in
		}
		in.k = cPair
		return in
	case w&0xff000000 == 0x02000000: // ADD, SUB
		return morelloCall(w, cAdd)
	case w&0xffc00000 == 0xc2800000:
		return decodeCapabilityRegister(w)
	case w>>24 == 0xc2:
		return decodeCapability(w)
	}
	return inst{}
}

// capabilityAccess packs a load or store of one capability: ra is the mode.
func capabilityAccess(w uint32, mode uint8) inst {
	in := morelloCall(w, cStore)
	if bit(w, 22) {
		in.k = cLoad
	}
	in.rd, in.rn, in.ra, in.rm = uint8(w&31), base(w>>5&31), mode, regZR
	if (mode == modePost || mode == modePre) && w>>5&31 != 31 && (w&31 == w>>5&31 || w>>24 != 0xa2 && w>>10&31 == w>>5&31) {
		return inst{}
	}
	return in
}

// displacement is the immediate of a capabilityAccess.
func displacement(w uint32) uint64 {
	switch {
	case w>>24 == 0xc2:
		return uint64(field(w, 21, 10)) << scaledPair
	case w>>24 == 0xa2 && w>>10&3 == 0:
		return signed(field(w, 20, 12), 9)
	case w>>24 == 0xa2:
		return signed(field(w, 20, 12), 9) << scaledPair
	default:
		return signed(field(w, 21, 15), 7) << scaledPair
	}
}

func decodeCapabilityRegister(w uint32) inst {
	switch w >> 5 & 0x7fff {
	case sysDDC, sysTPIDR, sysRDDC, sysRCSP, sysRTPIDR, sysCID:
		if bit(w, 20) {
			return morelloCall(w, cReadSystem)
		}
		return morelloCall(w, cWriteSystem)
	}
	return inst{}
}

// morelloMRS and morelloMSR are the registers of 64 bits.
func morelloMRS(w uint32) inst {
	if w>>5&0x7fff == sysCCTLR {
		return morelloCall(w, cReadSystem)
	}
	return inst{}
}

func morelloMSR(w uint32) inst {
	if w>>5&0x7fff == sysCCTLR {
		return morelloCall(w, cWriteSystem)
	}
	return inst{}
}

func decodeCapability(w uint32) inst {
	var k uint8
	switch {
	case w&0xffff1c00 == 0xc2c01000:
		k = cGet
	case w&0xffffdc00 == 0xc2c71000:
		k = cRepresentable
	case w&0xfffffc00 == 0xc2c1d000:
		k = cCopy
	case w&0xfffffc00 == 0xc2c19000:
		k = cClearTag
	case w&0xfffffc00 == 0xc2c59000:
		k = cConvertData
	case w&0xfffffc00 == 0xc2c5b000:
		k = cConvertCode
	case w&0xffe0fc00 == 0xc2c00000:
		k = cSetBounds
	case w&0xffe0fc00 == 0xc2c02000:
		k = cSetBoundsExact
	case w&0xffe0fc00 == 0xc2c04000:
		k = cSetValue
	case w&0xffe0fc00 == 0xc2c06000:
		k = cSetOffset
	case w&0xffe0fc00 == 0xc2c0a000:
		k = cClearPerms
	case w&0xffff9c00 == 0xc2c31000 && w>>13&3 != 0:
		k = cSeal
	case w&0xfffffc1f == 0xc2c23001:
		k = cCheckTag
	case w&0xffe0fc1f == 0xc2c0a401:
		k = cCheckEqual
	case w&0xffff9c1c == 0xc2c21000 && w>>13&3 != 3 && (w&3 == 0 || w&3 == 3): // BR, BLR, RET; BRR, BLRR, RETR
		k = cBranch
	case w&0xffffdc00 == 0xc2c41000: // LDPBR, LDPBLR
		k = cLoadPairBranch
	default:
		return inst{}
	}
	return morelloCall(w, k)
}
