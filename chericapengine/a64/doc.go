// Package a64 executes functions for Morello in software: AArch64 instructions, whose
// every fetch and access is checked against capabilities as the architecture does it.
//
// It owns the instruction set, its predecoded form, and the machine that runs it. It
// knows package capability and nothing else of the project: no files, no contexts, no
// engine.
//
// A program's executable segments are predecoded once (Decode), into slots that a
// machine steps through (Machine.Run); any number of machines share them. A slot holds
// one instruction, or the beginning of several that are executed in one step.
//
// # What is implemented
//
//   - The integer instructions of ARMv8.2 at EL0: arithmetic, logic, bit fields, shifts,
//     multiplication, division, CRC32, conditionals; loads and stores of all kinds,
//     exclusive and pairs included; LSE atomics, LDAPR; prefetches do nothing.
//   - Floating point in half, single and double precision: arithmetic (also of halves),
//     fused multiply-add, comparisons, conversions with every rounding mode, to and from
//     fixed point. Results, NaNs, flushing and the flags of FPSR are exactly the
//     architecture's; FPCR has RMode, FZ, FZ16, DN and AHP. Traps of floating point do
//     not exist, as on Morello's processors.
//   - AdvSIMD: all of ARMv8.2 with FP16, dot products and SQRDMLAH, but for what is listed
//     below.
//   - System: NZCV, FPCR, FPSR, TPIDR_EL0, TPIDRRO_EL0 (0), CTR_EL0, DCZID_EL0, DC ZVA;
//     barriers, hints and cache maintenance do nothing.
//   - Of Morello, in A64: LDR, STR, LDUR, STUR, LDP, STP, LDNP and STNP of capabilities; ADD, SUB, CPY,
//     CLRTAG, CLRPERM, SCBNDS, SCBNDSE, SCVALUE, SCOFF, SEAL (#RB, #LPB, #LB), CVTD, CVTP,
//     GCBASE to GCTYPE, CHKTGD, CHKEQ, RRLEN, RRMASK; BR, BLR, RET, BRR, BLRR, RETR, LDPBR,
//     LDPBLR; MRS and MSR of DDC, RDDC, RCSP, CTPIDR, RCTPIDR, CID and CCTLR. The Executive
//     and the Restricted state, base-offset mode, and tags of memory.
//
// # What is not implemented
//
// All of this is an undefined-instruction fault, never skipped:
//
//   - AES, SHA1, SHA256 and PMULL of 64 bits; everything after ARMv8.2 but LDAPR: pointer
//     authentication (its hints do nothing), MTE, SVE, FCMA, FHM, JSCVT, BFloat16.
//   - The instruction set C64 (BX, and branches to odd addresses); of Morello what is not
//     listed above: loads through capability registers (alternate base), LDCT, STCT,
//     CAS and SWP of capabilities, sealing with object types, UNSEAL, BUILD, CSEL, SUBS,
//     flags of addresses, LDTR and STTR of capabilities, branches to sealed pairs (BRS).
//   - CNTVCT_EL0, PMCCNTR_EL0 and other registers by which time or the machine could be told.
//   - What the architecture calls constrained unpredictable: writeback to a register that is
//     moved, pairs of the same register, a status register that is also an operand.
//
// # Where it is stricter, or made a choice
//
//   - The stack pointer must be aligned to 16 bytes as the base of an access (as under Linux).
//   - Atomics, exclusives and acquiring and releasing accesses must be aligned to their size.
//   - The upper 8 bits of an address count: there is no top-byte-ignore.
//   - A store to an executable segment is a permission fault, whatever DDC permits.
//   - LDR of a label is authorised by PCC, as on Morello: without Load it faults.
//   - Reset sets FPCR.DN: a NaN that is made is the default one, positive and quiet without
//     a payload, which is the platform's canonical NaN. Code may set FPCR otherwise; what
//     comes out is determined by the architecture then, too.
//   - A store-exclusive succeeds if the monitor is open for the same bytes and they are
//     unchanged. Nobody else stores to a context, so it never fails without a reason.
//   - A branch to a capability whose base is another than that of the code leaves the code,
//     since addresses in the predecoded form count from that base.
package a64
