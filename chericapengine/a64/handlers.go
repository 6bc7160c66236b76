package a64

// A handler executes the instructions that the loop does not know. It finds the word in
// the lower half of imm.
type handler uint16

// The handlers. Up to lastResult they write to rd, as the loop's own instructions do.
const (
	hNone handler = iota
	hExtr32
	hLogicalShifted
	hAddsShifted
	hAddsExtended
	hAdc
	hMsubl
	hSmulh
	hDiv
	hShiftv
	hCRC32
	hBits
	hMRS
	hLoadAcquire
	hLoadExclusive
	hAtomic
	hLiteral // of a vector register it is not
	hFPToGeneral
	hFMOVToGeneral
	hMove

	lastResult

	hAddI32SP
	hLogicalISP
	hBranchOut
	hSVC
	hBRK
	hClrex
	hMSR
	hZVA
	hStoreRelease
	hStoreExclusive
	hLoadExclusivePair
	hStoreExclusivePair
	hCAS
	hCASP
	hFPOne
	hFPTwo
	hFPThree
	hFPCompare
	hFPCCompare
	hFPSelect
	hFPImmediate
	hFPFromGeneral
	hFMOVFromGeneral
	hSame
	hSameFP
	hRounding
	hDot
	hTwo
	hTwoFP
	hAcross
	hAcrossFP
	hPairwise
	hDifferent
	hCopy
	hInsert
	hPermute
	hExt
	hTable
	hVectorImmediate
	hShift
	hIndexed
	hIndexedFP
	hStructures
	hMorello
)

// numHandlers is a power of two, so that no number needs checking.
const numHandlers = 128

var handlers = [numHandlers]func(m *Machine, in *inst) outcome{
	hNone: func(m *Machine, _ *inst) outcome { return m.undefined() },

	hExtr32:             execExtr32,
	hLogicalShifted:     execLogicalShifted,
	hAddsShifted:        execAddsShifted,
	hAddsExtended:       execAddsExtended,
	hAdc:                execAdc,
	hMsubl:              execMsubl,
	hSmulh:              execSmulh,
	hDiv:                execDiv,
	hShiftv:             execShiftv,
	hCRC32:              execCRC32,
	hBits:               execBits,
	hMRS:                execMRS,
	hLoadAcquire:        execLoadAcquire,
	hLoadExclusive:      execLoadExclusive,
	hAtomic:             execAtomic,
	hLiteral:            execLiteral,
	hAddI32SP:           execAddI32SP,
	hLogicalISP:         execLogicalISP,
	hBranchOut:          execBranchOut,
	hSVC:                execSVC,
	hBRK:                execBRK,
	hClrex:              execClrex,
	hMSR:                execMSR,
	hZVA:                execZVA,
	hStoreRelease:       execStoreRelease,
	hStoreExclusive:     execStoreExclusive,
	hLoadExclusivePair:  execLoadExclusivePair,
	hStoreExclusivePair: execStoreExclusivePair,
	hCAS:                execCAS,
	hCASP:               execCASP,
	hFPOne:              execFPOne,
	hFPTwo:              execFPTwo,
	hFPThree:            execFPThree,
	hFPCompare:          execFPCompare,
	hFPCCompare:         execFPCCompare,
	hFPSelect:           execFPSelect,
	hFPImmediate:        execFPImmediate,
	hFPFromGeneral:      execFPFromGeneral,
	hFMOVFromGeneral:    execFMOVFromGeneral,
	hSame:               execSame,
	hSameFP:             execSameFP,
	hRounding:           execRounding,
	hDot:                execDot,
	hTwo:                execTwo,
	hTwoFP:              execTwoFP,
	hAcross:             execAcross,
	hAcrossFP:           execAcrossFP,
	hPairwise:           execPairwise,
	hDifferent:          execDifferent,
	hCopy:               execCopy,
	hInsert:             execInsert,
	hPermute:            execPermute,
	hExt:                execExt,
	hTable:              execTable,
	hVectorImmediate:    execVectorImmediate,
	hShift:              execShift,
	hIndexed:            execIndexed,
	hIndexedFP:          execIndexedFP,
	hFPToGeneral:        execFPToGeneral,
	hFMOVToGeneral:      execFMOVToGeneral,
	hMove:               execMove,
	hStructures:         execStructures,
	hMorello:            execMorello,
}

// undefined is the fault of the present instruction, in a handler.
func (m *Machine) undefined() outcome {
	m.refuse(FaultUndefined, m.slot)
	return faulted
}

// word is the instruction's own word, in a handler.
func (in *inst) word() uint32 { return uint32(in.imm) }

// writes is the set of registers X0 to X30 and SP that a plain instruction writes to.
func (in *inst) writes() uint64 {
	rd := uint64(1) << (in.rd & 63)
	back := func() uint64 {
		switch {
		case in.ra != modePost && in.ra != modePre:
			return 0
		case in.rn == regStack:
			return 1 << regSP
		default:
			return 1 << (in.rn & 63)
		}
	}
	switch o := in.op; {
	case o == opCall || o == opCallSP:
		return in.handlerWrites()
	case o <= opNop, o == opCcmp, o == opB, o >= opBcond && o <= opBr:
		return 0
	case o == opBL, o == opBlr:
		return 1 << regLR
	case o <= opCset:
		return rd
	case o == opLoad && in.k&vectorKind == 0, o >= opLdr8 && o <= opLdr64P:
		return rd | back()
	case o == opPair && in.k&(vectorKind|loadKind) == loadKind, o == opLdp64, o == opLdp64PSP:
		return rd | 1<<(in.rm&63) | back()
	default:
		return back()
	}
}

func (in *inst) handlerWrites() uint64 {
	w := in.word()
	rd, rn, rs := uint64(1)<<(in.rd&63), uint64(1)<<(in.rn&63), uint64(1)<<(in.rm&63)
	switch h := handler(in.imm >> 32); {
	case h == hLiteral && bit(w, 26):
		return 0
	case h == hAddI32SP, h == hLogicalISP:
		return 1 << regSP
	case h < lastResult:
		return rd
	case h == hStoreExclusive, h == hStoreExclusivePair, h == hCAS:
		return rs
	case h == hCASP:
		return rs | rs<<1
	case h == hLoadExclusivePair:
		return rd | 1<<zw(w>>10&31)
	case h == hStructures && bit(w, 23):
		if in.rn == regStack {
			return 1 << regSP
		}
		return rn
	default: // Morello's own look after upper halves themselves
		return 0
	}
}
