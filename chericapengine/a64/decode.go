package a64

import "math/bits"

// field is bits hi to lo of w.
func field(w uint32, hi, lo uint) uint32 { return w >> lo & (1<<(hi-lo+1) - 1) }

func bit(w uint32, n uint) bool { return w>>n&1 != 0 }

// signed is the number in the low n bits of v.
func signed(v uint32, n uint) uint64 { return uint64(int64(int32(v<<(32-n)) >> (32 - n))) }

// call is an instruction that handler h executes. It finds the word itself in imm, and
// Rd, Rn and Rm as registers that may be XZR.
func call(h handler, w uint32) inst {
	return inst{
		op: opCall,
		rd: zw(w & 31), rn: zr(w >> 5 & 31), rm: zr(w >> 16 & 31),
		imm: uint64(h)<<32 | uint64(w),
	}
}

// decode gives the instruction of word w at address pc; opUndefined if there is none.
// Branches have the target's address in imm.
func decode(w uint32, pc uint64) inst {
	switch w >> 25 & 15 {
	case 0b1000, 0b1001:
		return decodeImmediate(w, pc)
	case 0b1010, 0b1011:
		return decodeBranch(w, pc)
	case 0b0100, 0b0110, 0b1100, 0b1110:
		return decodeLoadStore(w)
	case 0b0101, 0b1101:
		return decodeRegister(w)
	case 0b0111, 0b1111:
		return decodeVector(w)
	case 0b0001:
		return decodeMorello(w)
	default:
		return inst{}
	}
}

// Data processing with an immediate.
func decodeImmediate(w uint32, pc uint64) inst {
	wide := bit(w, 31)
	rd, rn := w&31, w>>5&31
	switch w >> 23 & 7 {
	case 0, 1: // ADR, ADRP
		imm := signed(field(w, 23, 5)<<2|field(w, 30, 29), 21)
		if wide {
			return inst{op: opMovI, rd: zw(rd), imm: pc&^0xfff + imm<<12}
		}
		return inst{op: opMovI, rd: zw(rd), imm: pc + imm}
	case 2: // ADD, SUB
		imm := uint64(field(w, 21, 10))
		if bit(w, 22) {
			imm <<= 12
		}
		return addImmediate(w, imm)
	case 4: // AND, ORR, EOR
		imm, _, ok := bitMasks(w>>22&1, field(w, 21, 16), field(w, 15, 10))
		if !ok || !wide && bit(w, 22) {
			return inst{}
		}
		return logicalImmediate(w, imm)
	case 5: // MOVN, MOVZ, MOVK
		shift := field(w, 22, 21) * 16
		if !wide && shift > 16 {
			return inst{}
		}
		v := uint64(field(w, 20, 5)) << shift
		switch w >> 29 & 3 {
		case 0:
			v = ^v
			if !wide {
				v &= lowWord
			}
			return inst{op: opMovI, rd: zw(rd), imm: v}
		case 2:
			return inst{op: opMovI, rd: zw(rd), imm: v}
		case 3:
			if rd == 31 {
				return inst{op: opNop}
			}
			in := inst{op: opMovK, rd: uint8(rd), imm: v, sh: uint8(shift)}
			if !wide {
				in.k = 32
			}
			return in
		}
	case 6: // SBFM, BFM, UBFM
		return bitfield(w)
	case 7: // EXTR
		lsb := field(w, 15, 10)
		if field(w, 30, 29) != 0 || bit(w, 21) || bit(w, 22) != wide || !wide && lsb > 31 {
			return inst{}
		}
		if !wide {
			return call(hExtr32, w)
		}
		return inst{op: opExtr, rd: zw(rd), rn: zr(rn), rm: zr(w >> 16 & 31), sh: uint8(lsb)}
	}
	return inst{}
}

func addImmediate(w uint32, imm uint64) inst {
	wide, sub, flags := bit(w, 31), bit(w, 30), bit(w, 29)
	rd, rn := w&31, w>>5&31
	if flags {
		in := inst{op: opAdds, rd: zw(rd), rn: uint8(rn), rm: regZR, imm: imm}
		if sub {
			in.op = opSubs
		}
		if !wide {
			in.op++
		}
		return in
	}
	in := inst{op: opAddI, rd: uint8(rd), rn: uint8(rn), imm: imm}
	if sub {
		in.imm = -imm
	}
	switch {
	case rd == 31 && wide:
		in.op = opAddISP
	case rd == 31:
		in = call(hAddI32SP, w)
		in.op = opCallSP
	case !wide:
		in.op = opAddI32
	}
	return in
}

func logicalImmediate(w uint32, imm uint64) inst {
	wide := bit(w, 31)
	rd, rn := w&31, w>>5&31
	if !wide {
		imm &= lowWord
	}
	opc := w >> 29 & 3
	in := inst{rd: uint8(rd), rn: zr(rn), rm: regZR, imm: imm}
	switch opc {
	case 0:
		in.op = opAndI
	case 1:
		in.op = opOrrI
	case 2:
		in.op = opEorI
	case 3:
		in.op, in.rd = opAnds, zw(rd)
	}
	if !wide && opc != 0 {
		in.op++
	}
	switch {
	case opc != 3 && rd == 31:
		in = call(hLogicalISP, w)
		in.op = opCallSP
	case opc == 1 && rn == 31:
		in.op = opMovI
	}
	return in
}

// bitMasks is DecodeBitMasks of the architecture: the two masks, of 64 bits.
func bitMasks(n, immr, imms uint32) (wmask, tmask uint64, ok bool) {
	length := 31 - bits.LeadingZeros32(n<<6|^imms&0x3f)
	if length < 1 {
		return 0, 0, false
	}
	levels := uint32(1)<<length - 1
	if imms&levels == levels {
		return 0, 0, false
	}
	s, r := imms&levels, immr&levels
	d := (s - r) & levels
	size := uint(1) << length
	elem := ^uint64(0) >> (64 - size)
	w := ^uint64(0) >> (63 - s)
	t := ^uint64(0) >> (63 - d)
	w = (w>>r | w<<(uint32(size)-r)) & elem
	for i := uint(0); i < 64; i += size {
		wmask |= w << i
		tmask |= t << i
	}
	return wmask, tmask, true
}

func bitfield(w uint32) inst {
	wide := bit(w, 31)
	r, s := field(w, 21, 16), field(w, 15, 10)
	if bit(w, 22) != wide || !wide && (r > 31 || s > 31) {
		return inst{}
	}
	size := uint32(32)
	if wide {
		size = 64
	}
	in := inst{rd: zw(w & 31), rn: zr(w >> 5 & 31)}
	extract := s >= r
	width := s + 1 // of the field
	if extract {
		width = s - r + 1
	}
	mask := ^uint64(0) >> (64 - width)
	switch w >> 29 & 3 {
	case 0: // SBFM
		in.op = opSbfx
		if extract {
			in.k, in.sh = uint8(63-s), uint8(63-s+r)
		} else {
			in.k, in.sh = uint8(63-s), uint8(63-s-(size-r))
		}
		if !wide {
			in.op = opSbfx32
		}
	case 1: // BFM
		if w&31 == 31 {
			return inst{op: opNop}
		}
		in.op = opBfm
		if extract {
			in.imm, in.sh = mask, uint8(64-r)&63
		} else {
			in.imm, in.sh = mask<<(size-r), uint8(size-r)
		}
		if !wide {
			in.k = 32
		}
	case 2: // UBFM
		if extract {
			in.op, in.imm, in.sh = opUbfx, mask, uint8(r)
		} else {
			in.op, in.imm, in.sh = opUbfiz, mask<<(size-r), uint8(size-r)
		}
	default:
		return inst{}
	}
	return in
}

// Branches, exceptions and system instructions.
func decodeBranch(w uint32, pc uint64) inst {
	switch {
	case w&0x7c000000 == 0x14000000: // B, BL
		in := inst{op: opB, imm: pc + signed(w, 26)<<2}
		if bit(w, 31) {
			in.op = opBL
		}
		return in
	case w&0xff000010 == 0x54000000: // B.cond
		target := pc + signed(field(w, 23, 5), 19)<<2
		if w&14 == 14 {
			return inst{op: opB, imm: target}
		}
		return inst{op: opBcond, k: uint8(w & 15), imm: target}
	case w&0x7e000000 == 0x34000000: // CBZ, CBNZ
		in := inst{op: opCbz, rn: zr(w & 31), imm: pc + signed(field(w, 23, 5), 19)<<2}
		if bit(w, 24) {
			in.op = opCbnz
		}
		if !bit(w, 31) {
			in.op++
		}
		return in
	case w&0x7e000000 == 0x36000000: // TBZ, TBNZ
		in := inst{op: opTbz, rn: zr(w & 31), sh: uint8(w>>31<<5 | field(w, 23, 19)), imm: pc + signed(field(w, 18, 5), 14)<<2}
		if bit(w, 24) {
			in.op = opTbnz
		}
		return in
	case w&0xfffffc1f == 0xd61f0000, w&0xfffffc1f == 0xd65f0000: // BR, RET
		return inst{op: opBr, rn: zr(w >> 5 & 31)}
	case w&0xfffffc1f == 0xd63f0000: // BLR
		return inst{op: opBlr, rn: zr(w >> 5 & 31)}
	case w&0xffe0001f == 0xd4000001:
		return call(hSVC, w)
	case w&0xffe0001f == 0xd4200000:
		return call(hBRK, w)
	case w>>24 == 0xd5:
		return decodeSystem(w)
	}
	return inst{}
}

func decodeSystem(w uint32) inst {
	switch {
	case w&0xfffff01f == 0xd503201f: // hints: NOP, YIELD, XPACLRI and the like
		return inst{op: opNop}
	case w&0xfffff01f == 0xd503301f: // barriers
		switch w >> 5 & 7 {
		case 2: // CLREX
			return call(hClrex, w)
		case 4, 5: // DSB, DMB
			return inst{op: opNop}
		case 6: // ISB
			return inst{op: opNop}
		case 7: // SB
			return inst{}
		}
		return inst{}
	case w&0xfff00000 == 0xd5300000: // MRS
		switch w >> 5 & 0x7fff {
		case sysNZCV, sysFPCR, sysFPSR, sysTPIDR, sysTPIDRRO, sysDCZID, sysCTR:
			return call(hMRS, w)
		}
		return morelloMRS(w)
	case w&0xfff00000 == 0xd5100000: // MSR
		switch w >> 5 & 0x7fff {
		case sysNZCV, sysFPCR, sysFPSR, sysTPIDR:
			return call(hMSR, w)
		}
		return morelloMSR(w)
	case w&0xffffffe0 == 0xd50b7420: // DC ZVA
		return call(hZVA, w)
	case w&0xffffffe0 == 0xd50b7a20, w&0xffffffe0 == 0xd50b7b20, w&0xffffffe0 == 0xd50b7e20, w&0xffffffe0 == 0xd50b7520:
		// DC CVAC, CVAU, CIVAC and IC IVAU: there are no caches. The address isn't looked at.
		return inst{op: opNop}
	}
	return inst{}
}

// System registers: op0 (one bit), op1, CRn, CRm, op2 as they lie in the word.
const (
	sysNZCV    = 0x5a10 // S3_3_C4_C2_0
	sysFPCR    = 0x5a20 // S3_3_C4_C4_0
	sysFPSR    = 0x5a21 // S3_3_C4_C4_1
	sysTPIDR   = 0x5e82 // S3_3_C13_C0_2
	sysTPIDRRO = 0x5e83 // S3_3_C13_C0_3
	sysDCZID   = 0x5807 // S3_3_C0_C0_7
	sysCTR     = 0x5801 // S3_3_C0_C0_1
)

// Data processing with registers.
func decodeRegister(w uint32) inst {
	wide := bit(w, 31)
	switch {
	case w&0x1f000000 == 0x0a000000:
		return logicalShifted(w)
	case w&0x1f200000 == 0x0b000000:
		return addShifted(w)
	case w&0x1fe00000 == 0x0b200000:
		return addExtended(w)
	case w&0x1fe0fc00 == 0x1a000000: // ADC, SBC
		return call(hAdc, w)
	case w&0x3fe00000 == 0x3a400000: // CCMP, CCMN
		if w&0x410 != 0 {
			return inst{}
		}
		in := inst{op: opCcmp, rn: zr(w >> 5 & 31), rm: zr(w >> 16 & 31), k: uint8(field(w, 15, 12)), sh: uint8(w & 15)}
		if bit(w, 11) {
			in.imm, in.rm = uint64(w>>16&31), regZR
		}
		if !wide {
			in.rd = 32
		}
		if bit(w, 30) {
			in.ra = 1
		}
		return in
	case w&0x3fe00800 == 0x1a800000: // CSEL and its kind
		in := inst{op: opCsel, rd: zw(w & 31), rn: zr(w >> 5 & 31), rm: zr(w >> 16 & 31), k: uint8(field(w, 15, 12)), imm: ^uint64(0)}
		in.op += op(w >> 30 & 1 * 2)
		in.op += op(w >> 10 & 1)
		if !wide {
			in.imm = lowWord
		}
		return in
	case w&0x1f000000 == 0x1b000000:
		return multiply(w)
	case w&0x7fe00000 == 0x1ac00000:
		return twoSources(w)
	case w&0x7fff0000 == 0x5ac00000:
		return oneSource(w)
	}
	return inst{}
}

func logicalShifted(w uint32) inst {
	wide := bit(w, 31)
	rd, rn, rm := w&31, w>>5&31, w>>16&31
	kind, shift := field(w, 23, 22), field(w, 15, 10)
	if !wide && shift > 31 {
		return inst{}
	}
	opc := w>>29&3<<1 | w>>21&1
	in := inst{rd: zw(rd), rn: zr(rn), rm: zr(rm), sh: uint8(shift)}
	plain := shift == 0
	switch {
	case plain && opc == 2 && rn == 31 && wide:
		in.op = opMov
	case plain && opc == 2 && rn == 31:
		in.op = opMov32
	case plain && opc == 0 && wide:
		in.op = opAnd
	case plain && opc == 0:
		in.op = opAnd32
	case plain && opc == 2 && wide:
		in.op = opOrr
	case plain && opc == 2:
		in.op = opOrr32
	case plain && opc == 4 && wide:
		in.op = opEor
	case plain && opc == 4:
		in.op = opEor32
	case plain && opc == 1 && wide:
		in.op = opBic
	case plain && opc == 6 && wide:
		in.op = opAnds
	case plain && opc == 6:
		in.op = opAnds32
	case wide && kind < 2 && opc == 0:
		in.op = opAndLsl + op(kind)
	case wide && kind < 2 && opc == 2:
		in.op = opOrrLsl + op(kind)
	case wide && kind < 2 && opc == 4:
		in.op = opEorLsl + op(kind)
	default:
		return call(hLogicalShifted, w)
	}
	return in
}

func addShifted(w uint32) inst {
	wide, sub, flags := bit(w, 31), bit(w, 30), bit(w, 29)
	kind, shift := field(w, 23, 22), field(w, 15, 10)
	if kind == 3 || !wide && shift > 31 {
		return inst{}
	}
	in := inst{rd: zw(w & 31), rn: zr(w >> 5 & 31), rm: zr(w >> 16 & 31), sh: uint8(shift)}
	switch {
	case flags && shift == 0:
		in.op = opAdds
		if sub {
			in.op = opSubs
		}
		if !wide {
			in.op++
		}
	case flags:
		return call(hAddsShifted, w)
	case shift == 0:
		in.op = opAdd
		if sub {
			in.op = opSub
		}
		if !wide {
			in.op++
		}
	case wide && kind == 0:
		in.op = opAddLsl
		if sub {
			in.op = opSubLsl
		}
	default:
		return call(hAddsShifted, w)
	}
	return in
}

func addExtended(w uint32) inst {
	rd, rn, rm := w&31, w>>5&31, w>>16&31
	kind, shift := field(w, 15, 13), field(w, 12, 10)
	if shift > 4 {
		return inst{}
	}
	wide, sub, flags := bit(w, 31), bit(w, 30), bit(w, 29)
	if wide && !sub && !flags && rd != 31 {
		return inst{op: opAddX, rd: uint8(rd), rn: uint8(rn), rm: zr(rm), k: uint8(kind), sh: uint8(shift)}
	}
	in := call(hAddsExtended, w)
	in.rn = uint8(rn)
	if !flags {
		in.rd = uint8(rd)
		if rd == 31 {
			in.op = opCallSP
		}
	}
	return in
}

func multiply(w uint32) inst {
	in := inst{rd: zw(w & 31), rn: zr(w >> 5 & 31), rm: zr(w >> 16 & 31), ra: zr(w >> 10 & 31)}
	if field(w, 30, 29) != 0 {
		return inst{}
	}
	sub := bit(w, 15)
	switch o, wide := field(w, 23, 21), bit(w, 31); {
	case o == 0:
		in.op = opMadd
		if sub {
			in.op = opMsub
		}
		if !wide {
			in.op++
		}
	case !wide:
		return inst{}
	case o == 1 && !sub:
		in.op = opSmaddl
	case o == 5 && !sub:
		in.op = opUmaddl
	case o == 1 || o == 5:
		return call(hMsubl, w)
	case o == 2 && !sub: // Ra is ignored, as the architecture allows
		return call(hSmulh, w)
	case o == 6 && !sub:
		in.op = opUmulh
	default:
		return inst{}
	}
	return in
}

func twoSources(w uint32) inst {
	wide := bit(w, 31)
	in := inst{rd: zw(w & 31), rn: zr(w >> 5 & 31), rm: zr(w >> 16 & 31)}
	switch opc := field(w, 15, 10); opc {
	case 2, 3:
		return call(hDiv, w)
	case 8:
		in.op = opLslv
	case 9:
		in.op = opLsrv
	case 10, 11:
		return call(hShiftv, w)
	case 16, 17, 18, 20, 21, 22:
		if wide {
			return inst{}
		}
		return call(hCRC32, w)
	case 19, 23:
		if !wide {
			return inst{}
		}
		return call(hCRC32, w)
	default:
		return inst{}
	}
	if !wide {
		in.op = opLslv32 + in.op - opLslv
	}
	return in
}

func oneSource(w uint32) inst {
	switch field(w, 15, 10) {
	case 0, 1, 2, 4, 5: // RBIT, REV16, REV32 (REV of 32 bits), CLZ, CLS
		return call(hBits, w)
	case 3:
		if bit(w, 31) {
			return call(hBits, w)
		}
	}
	return inst{}
}
