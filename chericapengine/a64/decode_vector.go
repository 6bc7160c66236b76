package a64

// vectorCall is an instruction on vector registers, with size and opcode taken apart: k
// is the opcode, sh the size of a lane, or of a scalar, and what else it says.
func vectorCall(h handler, w uint32, opcode uint32, size uint8) inst {
	return inst{
		op: opCall,
		rd: uint8(w & 31), rn: uint8(w >> 5 & 31), rm: uint8(w >> 16 & 31), ra: uint8(w >> 10 & 31),
		k: uint8(opcode), sh: size, imm: uint64(h)<<32 | uint64(w),
	}
}

// fpSize is the format that type says, in bits 23 and 22; 0 if there is none.
func fpSize(w uint32) uint8 { return [4]uint8{2, 3, 0, 1}[w>>22&3] }

func decodeVector(w uint32) inst {
	switch {
	case w&0x5f000000 == 0x1e000000:
		return decodeScalarFP(w)
	case w>>24 == 0x1f:
		if size := fpSize(w); size != 0 {
			return vectorCall(hFPThree, w, w>>20&2|w>>15&1, size)
		}
	case w&0x9f200400 == 0x0e200400:
		return decodeSame(w, false)
	case w&0xdf200400 == 0x5e200400:
		return decodeSame(w, true)
	case w&0x9f60c400 == 0x0e400400, w&0xdf60c400 == 0x5e400400:
		return decodeSameHalf(w, bit(w, 28))
	case w&0x9f208400 == 0x0e008400, w&0xdf208400 == 0x5e008400:
		return decodeSameExtra(w, bit(w, 28))
	case w&0x9f3e0c00 == 0x0e200800, w&0xdf3e0c00 == 0x5e200800:
		return decodeTwo(w, bit(w, 28))
	case w&0x9f7e0c00 == 0x0e780800, w&0xdf7e0c00 == 0x5e780800:
		return decodeTwoHalf(w, bit(w, 28))
	case w&0x9f3e0c00 == 0x0e300800:
		return decodeAcross(w)
	case w&0xdf3e0c00 == 0x5e300800:
		return decodePairwise(w)
	case w&0x9f200c00 == 0x0e200000, w&0xdf200c00 == 0x5e200000:
		return decodeDifferent(w, bit(w, 28))
	case w&0x9fe08400 == 0x0e000400, w&0xdfe08400 == 0x5e000400:
		return decodeCopy(w, bit(w, 28))
	case w&0xbf208c00 == 0x0e000800:
		return decodePermute(w)
	case w&0xbfe08400 == 0x2e000000:
		if at := field(w, 14, 11); bit(w, 30) || at < 8 {
			return vectorCall(hExt, w, at, 0)
		}
	case w&0xbfe08c00 == 0x0e000000:
		return vectorCall(hTable, w, w>>12&7, 0)
	case w&0x9ff80400 == 0x0f000400:
		return decodeVectorImmediate(w)
	case w&0x9f800400 == 0x0f000400, w&0xdf800400 == 0x5f000400:
		return decodeShift(w, bit(w, 28))
	case w&0x9f000400 == 0x0f000000, w&0xdf000400 == 0x5f000000:
		return decodeIndexed(w, bit(w, 28))
	}
	return inst{}
}

func decodeScalarFP(w uint32) inst {
	if bit(w, 29) {
		return inst{}
	}
	size := fpSize(w)
	if !bit(w, 21) {
		return decodeFixed(w, size)
	}
	if field(w, 15, 10) == 0 {
		return decodeFPInteger(w, size)
	}
	if bit(w, 31) || size == 0 {
		return inst{}
	}
	switch {
	case field(w, 14, 10) == 16:
		opcode := field(w, 20, 15)
		switch {
		case opcode < 4, opcode >= 8 && opcode < 16 && opcode != 13:
		case opcode >= 4 && opcode < 8: // FCVT to another format
			if to := [4]uint8{2, 3, 0, 1}[opcode&3]; to == 0 || to == size {
				return inst{}
			}
		default:
			return inst{}
		}
		return vectorCall(hFPOne, w, opcode, size)
	case field(w, 13, 10) == 8:
		if field(w, 15, 14) == 0 && w&7 == 0 {
			return vectorCall(hFPCompare, w, w>>3&3, size)
		}
	case field(w, 12, 10) == 4:
		if field(w, 9, 5) == 0 {
			in := vectorCall(hFPImmediate, w, 0, size)
			return in
		}
	case w>>10&3 == 1:
		return vectorCall(hFPCCompare, w, 0, size)
	case w>>10&3 == 2:
		if opcode := w >> 12 & 15; opcode < 9 {
			return vectorCall(hFPTwo, w, opcode, size)
		}
	case w>>10&3 == 3:
		return vectorCall(hFPSelect, w, w>>12&15, size)
	}
	return inst{}
}

// decodeFixed decodes conversions from and to fixed point.
func decodeFixed(w uint32, size uint8) inst {
	scale := 64 - field(w, 15, 10)
	if size == 0 || !bit(w, 31) && scale > 32 {
		return inst{}
	}
	switch mode, opcode := field(w, 20, 19), field(w, 18, 16); {
	case mode == 0 && opcode>>1 == 1: // SCVTF, UCVTF
		in := vectorCall(hFPFromGeneral, w, opcode, size)
		in.rn, in.ra = zr(w>>5&31), uint8(scale)
		return in
	case mode == 3 && opcode>>1 == 0: // FCVTZS, FCVTZU
		in := vectorCall(hFPToGeneral, w, opcode, size)
		in.rd, in.ra, in.rm = zw(w&31), uint8(scale), toZero
		return in
	}
	return inst{}
}

// decodeFPInteger decodes conversions from and to integers, and moves.
func decodeFPInteger(w uint32, size uint8) inst {
	mode, opcode, wide := field(w, 20, 19), field(w, 18, 16), bit(w, 31)
	general, number := inst{}, inst{}
	if size != 0 {
		general = vectorCall(hFPToGeneral, w, opcode, size)
		number = vectorCall(hFPFromGeneral, w, opcode, size)
		general.rd, general.ra, general.rm = zw(w&31), 0, uint8(mode)
		number.rn, number.ra = zr(w>>5&31), 0
	}
	switch {
	case opcode < 2: // FCVTNS, FCVTPS, FCVTMS, FCVTZS and the unsigned ones
		return general
	case opcode < 4 && mode == 0: // SCVTF, UCVTF
		return number
	case (opcode == 4 || opcode == 5) && mode == 0: // FCVTAS, FCVTAU
		if size != 0 {
			general.k, general.rm = uint8(opcode&1), tiesAway
		}
		return general
	case opcode >= 6 && mode == 0 && (size == 1 || size == 2 && !wide || size == 3 && wide): // FMOV
		if opcode == 6 {
			general.imm = uint64(hFMOVToGeneral)<<32 | uint64(w)
			return general
		}
		number.imm = uint64(hFMOVFromGeneral)<<32 | uint64(w)
		return number
	case opcode >= 6 && mode == 1 && w>>22&3 == 2 && wide: // FMOV of the upper half
		in := vectorCall(hFMOVToGeneral, w, opcode, 4)
		in.rd = zw(w & 31)
		if opcode == 7 {
			in = vectorCall(hFMOVFromGeneral, w, opcode, 4)
			in.rn = zr(w >> 5 & 31)
		}
		return in
	}
	return inst{}
}

// sizes is a set of lane sizes, by bit, that an instruction has: as a vector and as a
// scalar. Vectors of 64-bit lanes are always of 128 bits.
type sizes struct{ vector, scalar uint8 }

func (s sizes) has(size uint8, scalar, full bool) bool {
	if scalar {
		return s.scalar>>size&1 != 0
	}
	return s.vector>>size&1 != 0 && (size < 3 || full)
}

// u and opcode of the integer instructions of three vectors of a kind.
var sameSizes = [2][24]sizes{
	{
		{7, 0}, {15, 15}, {7, 0}, {15, 0}, {7, 0}, {15, 15}, {15, 8}, {15, 8},
		{15, 8}, {15, 15}, {15, 8}, {15, 15}, {7, 0}, {7, 0}, {7, 0}, {7, 0},
		{15, 8}, {15, 8}, {7, 0}, {7, 0}, {7, 0}, {7, 0}, {6, 6}, {15, 0},
	},
	{
		{7, 0}, {15, 15}, {7, 0}, {15, 0}, {7, 0}, {15, 15}, {15, 8}, {15, 8},
		{15, 8}, {15, 15}, {15, 8}, {15, 15}, {7, 0}, {7, 0}, {7, 0}, {7, 0},
		{15, 8}, {15, 8}, {7, 0}, {1, 0}, {7, 0}, {7, 0}, {6, 6}, {0, 0},
	},
}

// Floating-point instructions of three vectors of a kind. Bit 5 of the opcode is U, bit
// 4 the high bit of size, and the rest the low bits of the opcode.
const (
	fMAXNM = iota
	fMLA
	fADD
	fMULX
	fCMEQ
	_
	fMAX
	fRECPS
	fMINNM
	fMLS
	fSUB
	_
	_
	_
	fMIN
	fRSQRTS
	fMAXNMP
	_
	fADDP
	fMUL
	fCMGE
	fACGE
	fMAXP
	fDIV
	fMINNMP
	_
	fABD
	_
	fCMGT
	fACGT
	fMINP
)

// Which of them there are, and which are scalars too.
const (
	sameFP = 1<<fMAXNM | 1<<fMLA | 1<<fADD | 1<<fMULX | 1<<fCMEQ | 1<<fMAX | 1<<fRECPS | 1<<fMINNM | 1<<fMLS | 1<<fSUB |
		1<<fMIN | 1<<fRSQRTS | 1<<fMAXNMP | 1<<fADDP | 1<<fMUL | 1<<fCMGE | 1<<fACGE | 1<<fMAXP | 1<<fDIV | 1<<fMINNMP |
		1<<fABD | 1<<fCMGT | 1<<fACGT | 1<<fMINP
	scalarSameFP = 1<<fMULX | 1<<fCMEQ | 1<<fRECPS | 1<<fRSQRTS | 1<<fCMGE | 1<<fACGE | 1<<fABD | 1<<fCMGT | 1<<fACGT
)

func decodeSame(w uint32, scalar bool) inst {
	u, size, opcode := w>>29&1, uint8(w>>22&3), w>>11&31
	full := bit(w, 30)
	if opcode < 24 {
		if !sameSizes[u][opcode].has(size, scalar, full || opcode == 3) {
			return inst{}
		}
		return vectorCall(hSame, w, u<<5|opcode, size)
	}
	return sameFloat(w, u<<4|uint32(size>>1)<<3|opcode&7, size&1+2, scalar)
}

func sameFloat(w, opcode uint32, size uint8, scalar bool) inst {
	if scalar && scalarSameFP>>opcode&1 == 0 || !scalar && (sameFP>>opcode&1 == 0 || size == 3 && !bit(w, 30)) {
		return inst{}
	}
	return vectorCall(hSameFP, w, opcode, size)
}

func decodeSameHalf(w uint32, scalar bool) inst {
	return sameFloat(w, w>>29&1<<4|w>>23&1<<3|w>>11&7, 1, scalar)
}

func decodeSameExtra(w uint32, scalar bool) inst {
	u, size, opcode := w>>29&1, uint8(w>>22&3), w>>11&15
	switch {
	case u == 1 && opcode < 2 && (size == 1 || size == 2): // SQRDMLAH, SQRDMLSH
		return vectorCall(hRounding, w, opcode, size)
	case opcode == 2 && size == 2 && !scalar: // SDOT, UDOT
		return vectorCall(hDot, w, u, size)
	}
	return inst{}
}

// Sizes of the integer instructions of two vectors, by U and opcode.
var twoSizes = [2][24]sizes{
	{
		0: {7, 0}, 1: {1, 0}, 2: {7, 0}, 3: {15, 15}, 4: {7, 0}, 5: {1, 0}, 6: {7, 0}, 7: {15, 15},
		8: {15, 8}, 9: {15, 8}, 10: {15, 8}, 11: {15, 8}, 18: {7, 0}, 20: {7, 7},
	},
	{
		0: {3, 0}, 2: {7, 0}, 3: {15, 15}, 4: {7, 0}, 5: {3, 0}, 6: {7, 0}, 7: {15, 15},
		8: {15, 8}, 9: {15, 8}, 11: {15, 8}, 18: {7, 7}, 19: {7, 0}, 20: {7, 7},
	},
}

// Floating-point instructions of two vectors: bit 6 is U, bit 5 the high bit of size.
const (
	fCVTN    = 22
	fCVTL    = 23
	fRINTN   = 24
	fRINTM   = 25
	fCVTNS   = 26
	fCVTMS   = 27
	fCVTAS   = 28
	fSCVTF   = 29
	fCMGT0   = 32 + 12
	fCMEQ0   = 32 + 13
	fCMLT0   = 32 + 14
	fABS     = 32 + 15
	fRINTP   = 32 + 24
	fRINTZ   = 32 + 25
	fCVTPS   = 32 + 26
	fCVTZS   = 32 + 27
	fURECPE  = 32 + 28
	fRECPE   = 32 + 29
	fRECPX   = 32 + 31
	fCVTXN   = 64 + 22
	fRINTA   = 64 + 24
	fRINTX   = 64 + 25
	fCVTNU   = 64 + 26
	fCVTMU   = 64 + 27
	fCVTAU   = 64 + 28
	fUCVTF   = 64 + 29
	fCMGE0   = 96 + 12
	fCMLE0   = 96 + 13
	fNEG     = 96 + 15
	fRINTI   = 96 + 25
	fCVTPU   = 96 + 26
	fCVTZU   = 96 + 27
	fURSQRTE = 96 + 28
	fRSQRTE  = 96 + 29
	fSQRT    = 96 + 31
)

func decodeTwo(w uint32, scalar bool) inst {
	u, size, opcode, full := w>>29&1, uint8(w>>22&3), w>>12&31, bit(w, 30)
	if opcode < 24 && twoSizes[u][opcode].has(size, scalar, full) {
		return vectorCall(hTwo, w, u<<5|opcode, size)
	}
	if opcode < 12 {
		return inst{}
	}
	return twoFloat(w, u<<6|uint32(size>>1)<<5|opcode, size&1+2, scalar)
}

// twoFloat decodes FP operations on one vector; size 1 is half precision.
func twoFloat(w, opcode uint32, size uint8, scalar bool) inst {
	h := hTwoFP
	switch opcode {
	case fCVTN, fCVTL: // of any size: the wider format is size
		if scalar || size == 1 {
			return inst{}
		}
		return vectorCall(hTwoFP, w, opcode, size)
	case fCVTXN:
		if size != 3 {
			return inst{}
		}
		return vectorCall(hTwoFP, w, opcode, size)
	case fURECPE, fURSQRTE:
		if scalar || size != 2 {
			return inst{}
		}
	case fRECPX:
		if !scalar {
			return inst{}
		}
	case fCVTNS, fCVTMS, fCVTAS, fSCVTF, fCMGT0, fCMEQ0, fCMLT0, fCVTPS, fCVTZS, fRECPE, fCVTNU, fCVTMU, fCVTAU, fUCVTF,
		fCMGE0, fCMLE0, fCVTPU, fCVTZU, fRSQRTE:
	case fRINTN, fRINTM, fABS, fRINTP, fRINTZ, fRINTA, fRINTX, fNEG, fRINTI, fSQRT:
		if scalar {
			return inst{}
		}
	default:
		return inst{}
	}
	if !scalar && size == 3 && !bit(w, 30) {
		return inst{}
	}
	return vectorCall(h, w, opcode, size)
}

func decodeTwoHalf(w uint32, scalar bool) inst {
	return twoFloat(w, w>>29&1<<6|w>>23&1<<5|w>>12&31, 1, scalar)
}

func decodeAcross(w uint32) inst {
	u, size, opcode, full := w>>29&1, uint8(w>>22&3), w>>12&31, bit(w, 30)
	switch opcode {
	case 3, 10, 26, 27: // SADDLV, SMAXV, SMINV, ADDV
		if size == 3 || size == 2 && !full || opcode == 27 && u == 1 {
			return inst{}
		}
		return vectorCall(hAcross, w, u<<5|opcode, size)
	case 12, 15: // FMAXNMV, FMAXV and, with bit 23, the minima
		switch {
		case u == 1 && size&1 == 0 && full:
			return vectorCall(hAcrossFP, w, opcode, 2)
		case u == 0 && size&1 == 0:
			return vectorCall(hAcrossFP, w, opcode, 1)
		}
	}
	return inst{}
}

func decodePairwise(w uint32) inst {
	u, size, opcode := w>>29&1, uint8(w>>22&3), w>>12&31
	switch opcode {
	case 27:
		if u == 0 && size == 3 {
			return vectorCall(hPairwise, w, opcode, size)
		}
	case 12, 13, 15:
		if opcode == 13 && size>>1 != 0 {
			return inst{}
		}
		switch {
		case u == 1:
			return vectorCall(hPairwise, w, opcode, size&1+2)
		case size&1 == 0:
			return vectorCall(hPairwise, w, opcode, 1)
		}
	}
	return inst{}
}

func decodeDifferent(w uint32, scalar bool) inst {
	u, size, opcode := w>>29&1, uint8(w>>22&3), w>>12&15
	doubling := opcode == 9 || opcode == 11 || opcode == 13
	switch {
	case opcode == 15, size == 3, scalar && !doubling, doubling && (u == 1 || size == 0), opcode == 14 && (u == 1 || size != 0):
		return inst{}
	}
	return vectorCall(hDifferent, w, u<<4|opcode, size)
}

func decodeCopy(w uint32, scalar bool) inst {
	imm5, imm4, op1, full := w>>16&31, w>>11&15, bit(w, 29), bit(w, 30)
	var size uint8
	for size < 4 && imm5>>size&1 == 0 {
		size++
	}
	lane := imm5 >> (size + 1)
	if size > 3 {
		return inst{}
	}
	in := vectorCall(hCopy, w, imm4, size)
	in.rm = uint8(lane)
	switch {
	case scalar:
		if op1 || imm4 != 0 {
			return inst{}
		}
	case op1: // INS of a lane; imm4 says which one of the source
		if !full {
			return inst{}
		}
		in.imm = uint64(hInsert)<<32 | uint64(w)
		in.k = uint8(imm4 >> size)
	case imm4 == 0: // DUP of a lane
		if size == 3 && !full {
			return inst{}
		}
	case imm4 == 1: // DUP of a general register
		if size == 3 && !full {
			return inst{}
		}
		in.rn = zr(w >> 5 & 31)
	case imm4 == 3: // INS of a general register
		if !full {
			return inst{}
		}
		in.rn = zr(w >> 5 & 31)
	case imm4 == 5: // SMOV
		if size == 3 || size == 2 && !full {
			return inst{}
		}
		in.rd, in.imm = zw(w&31), uint64(hMove)<<32|uint64(w)
	case imm4 == 7: // UMOV
		if full != (size == 3) {
			return inst{}
		}
		in.rd, in.imm = zw(w&31), uint64(hMove)<<32|uint64(w)
	default:
		return inst{}
	}
	return in
}

func decodePermute(w uint32) inst {
	size, opcode := uint8(w>>22&3), w>>12&7
	if opcode&3 == 0 || size == 3 && !bit(w, 30) {
		return inst{}
	}
	return vectorCall(hPermute, w, opcode, size)
}

func decodeVectorImmediate(w uint32) inst {
	cmode, o2, op := w>>12&15, bit(w, 11), bit(w, 29)
	switch {
	case o2 && (cmode != 15 || op), cmode == 15 && op && !bit(w, 30):
		return inst{}
	}
	return vectorCall(hVectorImmediate, w, cmode, 0)
}

// Sizes of the shifts by an immediate, by U and opcode. Of those that narrow or widen it
// is the narrow one.
var shiftSizes = [2][32]sizes{
	{
		0: {15, 8}, 2: {15, 8}, 4: {15, 8}, 6: {15, 8}, 10: {15, 8}, 14: {15, 15}, 16: {7, 0}, 17: {7, 0},
		18: {7, 7}, 19: {7, 7}, 20: {7, 0}, 28: {14, 14}, 31: {14, 14},
	},
	{
		0: {15, 8}, 2: {15, 8}, 4: {15, 8}, 6: {15, 8}, 8: {15, 8}, 10: {15, 8}, 12: {15, 15}, 14: {15, 15}, 16: {7, 7}, 17: {7, 7},
		18: {7, 7}, 19: {7, 7}, 20: {7, 0}, 28: {14, 14}, 31: {14, 14},
	},
}

func decodeShift(w uint32, scalar bool) inst {
	u, opcode, immh := w>>29&1, w>>11&31, w>>19&15
	if immh == 0 {
		return inst{}
	}
	size := uint8(3)
	for immh>>size == 0 {
		size--
	}
	if !shiftSizes[u][opcode].has(size, scalar, bit(w, 30)) {
		return inst{}
	}
	in := vectorCall(hShift, w, u<<5|opcode, size)
	in.rm = uint8(w >> 16 & 127) // immh:immb
	return in
}

func decodeIndexed(w uint32, scalar bool) inst {
	u, size, opcode, full := w>>29&1, uint8(w>>22&3), w>>12&15, bit(w, 30)
	h, l, m := w>>11&1, w>>21&1, w>>20&1
	code := u<<4 | opcode
	isFP := code == 1 || code == 5 || code == 9 || code == 0x19
	in := vectorCall(hIndexed, w, code, size)
	if isFP {
		in.imm = uint64(hIndexedFP)<<32 | uint64(w)
		switch size {
		case 0:
			size = 1
		case 1:
			return inst{}
		}
		if size == 3 && (l == 1 || !scalar && !full) {
			return inst{}
		}
		in.sh = size
	} else {
		ok := false
		switch code {
		case 0x10, 0x14, 0x08, 0x02, 0x12, 0x06, 0x16, 0x0a, 0x1a: // MLA, MLS, MUL and the long ones
			ok = !scalar && (size == 1 || size == 2)
		case 0x03, 0x07, 0x0b, 0x0c, 0x0d, 0x1d, 0x1f: // the saturating ones
			ok = size == 1 || size == 2
		case 0x0e, 0x1e: // SDOT, UDOT
			ok = !scalar && size == 2
		}
		if !ok {
			return inst{}
		}
	}
	switch size {
	case 1:
		in.ra, in.rm = uint8(h<<2|l<<1|m), uint8(w>>16&15)
	case 2:
		in.ra = uint8(h<<1 | l)
	case 3:
		in.ra = uint8(h)
	}
	return in
}
