#include "textflag.h"

// The native driver: a process that shares our memory and runs one function. Its
// block (native.go) is in R19. Instructions that no assembler for AArch64 knows,
// and all between enter and leave, are words: a test executes them in the
// software driver.

#define SYS_prctl 167
#define SYS_seccomp 277
#define SYS_rt_sigaction 134
#define SYS_rt_sigprocmask 135
#define SYS_sigaltstack 132
#define SYS_clone 220
#define SYS_exit_group 94

#define CALL(number) MOVD $number, R8; SVC; CBNZ R0, unprepared

// func spawn(block uintptr) int64
//
// It gives the number of the process, or a negative error. All signals are masked
// until the process has handlers of its own: Go's would find no Go there.
TEXT ·spawn(SB),NOSPLIT,$0-16
	MOVD block+0(FP), R19
	MOVD $2, R0 // SIG_SETMASK
	ADD  $248, R19, R1
	ADD  $264, R19, R2
	MOVD $8, R3
	MOVD $SYS_rt_sigprocmask, R8
	SVC
	MOVD 240(R19), R0
	MOVD $61440, R1 // its stack, which is the end of the block
	ADD  R19, R1, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $SYS_clone, R8
	SVC
	CBZ  R0, process
	MOVD R0, R20
	MOVD $2, R0
	ADD  $264, R19, R1
	MOVD $0, R2
	MOVD $8, R3
	MOVD $SYS_rt_sigprocmask, R8
	SVC
	MOVD R20, ret+8(FP)
	RET

process:
	ADD  $112, R19, R0
	MOVD $0, R1
	CALL(SYS_sigaltstack)
	MOVD $·caught<>(SB), R1
	MOVD R1, 136(R19)
	ADD  $272, R19, R20

handle:
	MOVD 0(R20), R0
	CBZ  R0, handled
	ADD  $136, R19, R1
	MOVD $0, R2
	MOVD $8, R3
	CALL(SYS_rt_sigaction)
	ADD  $8, R20
	B    handle

handled:
	WORD $0xd51bd053 // msr tpidr_el0, x19: for the handler
	MOVD $2, R0
	ADD  $256, R19, R1
	MOVD $0, R2
	MOVD $8, R3
	CALL(SYS_rt_sigprocmask)
	MOVD 232(R19), R0
	CBNZ R0, probe
	MOVD $1, R0 // PR_SET_PDEATHSIG
	MOVD $9, R1 // SIGKILL
	CALL(SYS_prctl)
	MOVD $38, R0 // PR_SET_NO_NEW_PRIVS
	MOVD $1, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	CALL(SYS_prctl)
	MOVD $1, R0 // SECCOMP_SET_MODE_FILTER
	MOVD $4, R1 // SECCOMP_FILTER_FLAG_SPEC_ALLOW
	ADD  $168, R19, R2
	CALL(SYS_seccomp)
	MOVD R19, R0

	// enter
	WORD $0xf9400c01 // ldr x1, [x0, #24]: base of the context
	WORD $0xf9401002 // ldr x2, [x0, #32]: its size
	WORD $0xf9401403 // ldr x3, [x0, #40]: size of what is executable
	WORD $0xf9401804 // ldr x4, [x0, #48]: entry
	WORD $0xf9401c05 // ldr x5, [x0, #56]: stack pointer
	WORD $0xf9402006 // ldr x6, [x0, #64]: slot of the return capability
	WORD $0xc2c59027 // cvtd c7, x1
	WORD $0xc2c220e7 // scbndse c7, c7, x2
	WORD $0xd297ffe8 // mov x8, #0xbfff
	WORD $0xf2a00008 // movk x8, #0, lsl 16: all but LOAD, STORE, LOAD_CAP
	WORD $0xc2c8a0e7 // clrperm c7, c7, x8
	WORD $0xc28b4327 // msr rddc_el0, c7
	WORD $0xc2c5b03e // cvtp c30, x1
	WORD $0xc2c323de // scbndse c30, c30, x3
	WORD $0x8b010084 // add x4, x4, x1
	WORD $0xc2c443de // scvalue c30, c30, x4
	WORD $0xd28fffe8 // mov x8, #0x7fff
	WORD $0xf2a00068 // movk x8, #3, lsl 16: all but EXECUTE
	WORD $0xc2c8a3de // clrperm c30, c30, x8
	WORD $0xc2c59009 // cvtd c9, x0
	WORD $0xc2001409 // str c9, [x0, #80]: what the host gets back in c29
	WORD $0x10000a8a // adr x10, leave
	WORD $0xc2c5b14a // cvtp c10, x10
	WORD $0xc200180a // str c10, [x0, #96]: where it goes on
	WORD $0x9101400b // add x11, x0, #80
	WORD $0xc2c5916b // cvtd c11, x11
	WORD $0xd280040c // mov x12, #32
	WORD $0xc2cc216b // scbndse c11, c11, x12
	WORD $0xd297ffe8 // mov x8, #0xbfff
	WORD $0xf2a00028 // movk x8, #1, lsl 16: all but LOAD, LOAD_CAP
	WORD $0xc2c8a16b // clrperm c11, c11, x8
	WORD $0xc2c3516b // seal c11, c11, lpb
	WORD $0xc20000cb // str c11, [x6]
	WORD $0xc28f4165 // msr rcsp_el0, c5
	WORD $0xc28bd09f // msr rctpidr_el0, czr
	WORD $0xc28bd0ff // msr cid_el0, czr
	WORD $0xd2800188 // mov x8, #12
	WORD $0xd51b1248 // msr cctlr_el0, x8: base-offset mode
	WORD $0x6f00e400 // movi v0.2d, #0
	WORD $0x6f00e401 // movi v1.2d, #0
	WORD $0x6f00e402 // movi v2.2d, #0
	WORD $0x6f00e403 // movi v3.2d, #0
	WORD $0x6f00e404 // movi v4.2d, #0
	WORD $0x6f00e405 // movi v5.2d, #0
	WORD $0x6f00e406 // movi v6.2d, #0
	WORD $0x6f00e407 // movi v7.2d, #0
	WORD $0x6f00e408 // movi v8.2d, #0
	WORD $0x6f00e409 // movi v9.2d, #0
	WORD $0x6f00e40a // movi v10.2d, #0
	WORD $0x6f00e40b // movi v11.2d, #0
	WORD $0x6f00e40c // movi v12.2d, #0
	WORD $0x6f00e40d // movi v13.2d, #0
	WORD $0x6f00e40e // movi v14.2d, #0
	WORD $0x6f00e40f // movi v15.2d, #0
	WORD $0x6f00e410 // movi v16.2d, #0
	WORD $0x6f00e411 // movi v17.2d, #0
	WORD $0x6f00e412 // movi v18.2d, #0
	WORD $0x6f00e413 // movi v19.2d, #0
	WORD $0x6f00e414 // movi v20.2d, #0
	WORD $0x6f00e415 // movi v21.2d, #0
	WORD $0x6f00e416 // movi v22.2d, #0
	WORD $0x6f00e417 // movi v23.2d, #0
	WORD $0x6f00e418 // movi v24.2d, #0
	WORD $0x6f00e419 // movi v25.2d, #0
	WORD $0x6f00e41a // movi v26.2d, #0
	WORD $0x6f00e41b // movi v27.2d, #0
	WORD $0x6f00e41c // movi v28.2d, #0
	WORD $0x6f00e41d // movi v29.2d, #0
	WORD $0x6f00e41e // movi v30.2d, #0
	WORD $0x6f00e41f // movi v31.2d, #0
	WORD $0xd2a04008 // mov x8, #0x2000000: DN
	WORD $0xd51b4408 // msr fpcr, x8
	WORD $0xd51b443f // msr fpsr, xzr
	WORD $0xd51b421f // msr nzcv, xzr
	WORD $0xaa1f03e0 // mov x0, xzr
	WORD $0xaa1f03e1 // mov x1, xzr
	WORD $0xaa1f03e2 // mov x2, xzr
	WORD $0xaa1f03e3 // mov x3, xzr
	WORD $0xaa1f03e4 // mov x4, xzr
	WORD $0xaa1f03e5 // mov x5, xzr
	WORD $0xaa1f03e6 // mov x6, xzr
	WORD $0xaa1f03e7 // mov x7, xzr
	WORD $0xaa1f03e8 // mov x8, xzr
	WORD $0xaa1f03e9 // mov x9, xzr
	WORD $0xaa1f03ea // mov x10, xzr
	WORD $0xaa1f03eb // mov x11, xzr
	WORD $0xaa1f03ec // mov x12, xzr
	WORD $0xaa1f03ed // mov x13, xzr
	WORD $0xaa1f03ee // mov x14, xzr
	WORD $0xaa1f03ef // mov x15, xzr
	WORD $0xaa1f03f0 // mov x16, xzr
	WORD $0xaa1f03f1 // mov x17, xzr
	WORD $0xaa1f03f2 // mov x18, xzr
	WORD $0xaa1f03f3 // mov x19, xzr
	WORD $0xaa1f03f4 // mov x20, xzr
	WORD $0xaa1f03f5 // mov x21, xzr
	WORD $0xaa1f03f6 // mov x22, xzr
	WORD $0xaa1f03f7 // mov x23, xzr
	WORD $0xaa1f03f8 // mov x24, xzr
	WORD $0xaa1f03f9 // mov x25, xzr
	WORD $0xaa1f03fa // mov x26, xzr
	WORD $0xaa1f03fb // mov x27, xzr
	WORD $0xaa1f03fc // mov x28, xzr
	WORD $0xaa1f03fd // mov x29, xzr
	WORD $0xc2c213c3 // brr c30
	// leave
	WORD $0xd51b125f // msr cctlr_el0, xzr
	WORD $0xd2800021 // mov x1, #1
	WORD $0xf90003a1 // str x1, [x29]: it has left
	MOVD $0, R0
	MOVD $SYS_exit_group, R8
	SVC

unprepared:
	MOVD R0, 8(R19)
	MOVD $3, R1
	MOVD R1, 0(R19)
	MOVD $2, R0
	MOVD $SYS_exit_group, R8
	SVC

probe:
	// probe
	WORD $0xd2800201 // mov x1, #16
	WORD $0xc2c59260 // cvtd c0, x19
	WORD $0xc2c12000 // scbndse c0, c0, x1
	WORD $0xc2c09002 // gctag x2, c0
	WORD $0xc2c03003 // gclen x3, c0
	WORD $0xd1004063 // sub x3, x3, #16
	WORD $0xaa1f03e4 // mov x4, xzr
	WORD $0xc2c09085 // gctag x5, c4
	WORD $0xaa050063 // orr x3, x3, x5
	// probed
	CMP  $0, R3 // 42 says that the processor knows capabilities
	CSET EQ, R4
	CMP  $1, R2
	CSET EQ, R5
	AND  R4, R5
	MOVD $42, R0
	MUL  R5, R0
	MOVD $SYS_exit_group, R8
	SVC

// caught is the handler of signals of faults. The process ends with it.
TEXT ·caught<>(SB),NOSPLIT|NOFRAME,$0-0
	WORD $0xd53bd043 // mrs x3, tpidr_el0
	MOVD R0, 8(R3)
	MOVD R1, 16(R3)
	MOVD $2, R0
	MOVD R0, 0(R3)
	MOVD $1, R0
	MOVD $SYS_exit_group, R8
	SVC

// func synchronise(from, to uintptr)
//
// What was written as data becomes code.
TEXT ·synchronise(SB),NOSPLIT,$0-16
	MOVD from+0(FP), R0
	MOVD to+8(FP), R1

clean:
	WORD $0xd50b7b20 // dc cvau, x0
	ADD  $16, R0
	CMP  R1, R0
	BLO  clean
	WORD $0xd5033b9f // dsb ish
	MOVD from+0(FP), R0

invalidate:
	WORD $0xd50b7520 // ic ivau, x0
	ADD  $16, R0
	CMP  R1, R0
	BLO  invalidate
	WORD $0xd5033b9f // dsb ish
	WORD $0xd5033fdf // isb
	RET
