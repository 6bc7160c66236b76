package a64

// An inst is one predecoded instruction. There is one slot for every word of the
// program, so that program counters and slots are the same thing. A slot may hold an
// instruction that does the work of the words after it too (fused); those have slots of
// their own all the same, for whoever jumps there.
type inst struct {
	op             op
	rd, rn, rm, ra uint8  // registers, as indices into Machine.x or Machine.v
	sh, k          uint8  // shift amount, condition, size: by op
	imm            uint64 // immediate; of branches the target's slot, and above bit 32 more
}

// Indices into Machine.x beyond the registers X0 to X30.
const (
	regLR     = 30
	regSP     = 31 // the stack pointer
	regZR     = 32 // reads as zero; nothing writes to it
	regSink   = 33 // where writes to XZR go; nothing reads it
	regStack  = 34 // the stack pointer as a base: unreachable while it is not aligned
	poisoned  = 1 << 63
	lowWord   = 1<<32 - 1
	wordBytes = 4
)

// zr is register r where 31 reads as zero.
func zr(r uint32) uint8 {
	if r == 31 {
		return regZR
	}
	return uint8(r)
}

// zw is register r where writes to 31 are thrown away.
func zw(r uint32) uint8 {
	if r == 31 {
		return regSink
	}
	return uint8(r)
}

// base is register r as the base of an address.
func base(r uint32) uint8 {
	if r == 31 {
		return regStack
	}
	return uint8(r)
}

type op uint16

// The instructions that the interpreter's loop knows itself. All others are opCall,
// with the handler's number in imm above bit 32, and the word below.
const (
	opUndefined op = iota
	opOut          // no instruction: imm is an address outside of the code
	opCall         // a handler's work
	opCallSP       // the same, and it may have written the stack pointer

	opNop
	opMovI   // rd = imm; also ADR and ADRP
	opMovK   // rd = rd with the 16 bits at sh replaced
	opMov    // rd = rm
	opMov32  //
	opAddI   // rd = rn + imm; SUB has a negative one
	opAddI32 //
	opAddISP // rd is the stack pointer
	opAdd    // rd = rn + rm
	opAdd32
	opSub
	opSub32
	opAddLsl // rd = rn + rm << sh
	opSubLsl
	opAddX // rd = rn + extended rm: k is how, sh the shift
	opSubs // flags of rn - (rm + imm): one of them is zero
	opSubs32
	opAdds
	opAdds32

	opAnd
	opAnd32
	opOrr
	opOrr32
	opEor
	opEor32
	opBic
	opAndLsl
	opAndLsr
	opOrrLsl
	opOrrLsr
	opEorLsl
	opEorLsr
	opAndI
	opOrrI
	opOrrI32
	opEorI
	opEorI32
	opAnds // flags of rn & (rm + imm): one of them is zero
	opAnds32

	opUbfx   // rd = rn >> sh & imm
	opUbfiz  // rd = rn << sh & imm
	opSbfx   // rd = rn << k >> sh, arithmetic; also SBFIZ, ASR, SXTW
	opSbfx32 //
	opBfm    // bits imm of rd come from rn rotated left by sh
	opExtr   // rd = rn:rm >> sh
	opLslv
	opLsrv
	opLslv32
	opLsrv32

	opMadd // rd = ra + rn * rm
	opMadd32
	opMsub
	opMsub32
	opSmaddl
	opUmaddl
	opUmulh

	opCsel // k is the condition, sh all bits of the result's width
	opCsinc
	opCsinv
	opCsneg
	opCset // rd = 1 if not k: CSINC of zeros
	opCcmp // of rn and rm + imm>>8; sh the flags otherwise

	opB     // imm: the target's slot
	opBL    // and the return address above bit 32
	opBcond // k: condition
	opCbz
	opCbz32
	opCbnz
	opCbnz32
	opTbz // sh: the bit
	opTbnz
	opBr
	opBlr

	opLdr8
	opLdr16
	opLdr32
	opLdr64
	opLdrsw
	opLdr8R // rn + rm << sh
	opLdr16R
	opLdr32R
	opLdr64R
	opLdrswR
	opLdr8U // rn + the lower word of rm << sh
	opLdr32U
	opLdr64U
	opLdr8S // the same, sign extended
	opLdr32S
	opLdr64S
	opLdr8P // post-index
	opLdr32P
	opLdr64P
	opStr8
	opStr16
	opStr32
	opStr64
	opStr32SP // from the stack pointer
	opStr64SP
	opStr8R
	opStr16R
	opStr32R
	opStr64R
	opStr8U
	opStr32U
	opStr64U
	opStr8S
	opStr32S
	opStr64S
	opStr8P
	opStr32P
	opStr64P
	opLdp64
	opStp64
	opStp64SP  // from the stack pointer
	opLdp64PSP // post-index of the stack pointer
	opStp64WSP // pre-index of the stack pointer
	opLoad     // any load of a register: see access
	opStore    // any store of one
	opPair     // any load or store of two
	opLdrD
	opLdrQ
	opLdrDR
	opLdrQR
	opLdrQP
	opStrD
	opStrQ
	opStrDR
	opStrQR
	opStrQP

	numPlain
)

// The fused instructions: the work of this slot and of the next one or two. Each slot
// keeps the fields of its own word, so that fusing changes op alone.
const (
	opSubsBeq op = numPlain + iota // CMP or SUBS, then B.cond
	opSubsBne
	opSubsBhs
	opSubsBlo
	opSubsBhi
	opSubsBls
	opSubsBge
	opSubsBlt
	opSubsBgt
	opSubsBle
	opSubs32Beq
	opSubs32Bne
	opSubs32Bhs
	opSubs32Blo
	opSubs32Bhi
	opSubs32Bls
	opSubs32Bge
	opSubs32Blt
	opSubs32Bgt
	opSubs32Ble
	opAndsB // ANDS or TST, then B.EQ or B.NE
	opAnds32B
	opAddISubsBne // ADD #, then CMP, then B.NE
	opLdr64Add
	opLdr64AddI
	opLdr64PMadd
	opAddIMadd
	opLdr64RLdr64R
	opAddIAddI
	opEorLslEorLsr
	opAddLslUbfx
	opMovMov
	opLdr64Ldr64
	opLdr64Ldr64Add
	opMaddStr64P
	opLdp64Ldp64
	opStp64SPStp64SP
	opAddI32Subs32Bhi
	opAddI32Subs32Bls

	endOfOps
)
