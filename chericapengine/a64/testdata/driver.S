// Runs instruction sequences under another implementation of the architecture: each
// with its own registers, flags and memory, all of which it writes down afterwards.
// driver_test.go lays out the file around this. Made by: sh make.sh
	.equ PARAM, 0x20000	// index, count, input, output, output's begin, signal, input's size
	.equ WINDOW, 0x90000
	.equ WINDOW_SIZE, 512
	.equ IN_X, 0		// x0 to x30, then sp
	.equ IN_NZCV, 256
	.equ IN_FPCR, 264
	.equ IN_FPSR, 272
	.equ IN_STUB, 280
	.equ IN_V, 288
	.equ IN_WINDOW, 800
	.equ IN_SIZE, 1312
	.equ OUT_SIGNAL, 280

	.macro catch n
	mov	x0, #\n
	ldr	x1, =action
	mov	x2, #0
	mov	x3, #8
	mov	x8, #134
	svc	#0
	.endm

	.macro all_v what, base
	\what	q0, q1, [\base, #0]
	\what	q2, q3, [\base, #32]
	\what	q4, q5, [\base, #64]
	\what	q6, q7, [\base, #96]
	\what	q8, q9, [\base, #128]
	\what	q10, q11, [\base, #160]
	\what	q12, q13, [\base, #192]
	\what	q14, q15, [\base, #224]
	\what	q16, q17, [\base, #256]
	\what	q18, q19, [\base, #288]
	\what	q20, q21, [\base, #320]
	\what	q22, q23, [\base, #352]
	\what	q24, q25, [\base, #384]
	\what	q26, q27, [\base, #416]
	\what	q28, q29, [\base, #448]
	\what	q30, q31, [\base, #480]
	.endm

	.macro most_x what, base
	\what	x2, x3, [\base, #16]
	\what	x4, x5, [\base, #32]
	\what	x6, x7, [\base, #48]
	\what	x8, x9, [\base, #64]
	\what	x10, x11, [\base, #80]
	\what	x12, x13, [\base, #96]
	\what	x14, x15, [\base, #112]
	\what	x16, x17, [\base, #128]
	\what	x18, x19, [\base, #144]
	\what	x20, x21, [\base, #160]
	\what	x22, x23, [\base, #176]
	\what	x24, x25, [\base, #192]
	\what	x26, x27, [\base, #208]
	\what	x28, x29, [\base, #224]
	.endm

	.macro copy_window to, from
	mov	x5, #WINDOW_SIZE
1:	ldr	q0, [\from], #16
	str	q0, [\to], #16
	subs	x5, x5, #16
	b.ne	1b
	.endm

	.globl	_start
_start:
	b	begin
	.balign	16
epilogue:				// at 0x10010
	msr	tpidr_el0, x30
	ldr	x30, =PARAM
	ldr	x30, [x30, #24]
	stp	x0, x1, [x30]
	most_x	stp, x30
	mrs	x0, tpidr_el0
	mov	x1, sp
	stp	x0, x1, [x30, #240]
	mrs	x0, nzcv
	mrs	x1, fpcr
	stp	x0, x1, [x30, #IN_NZCV]
	mrs	x0, fpsr
	ldr	x2, =PARAM
	ldr	x1, [x2, #40]
	stp	x0, x1, [x30, #IN_FPSR]
	str	xzr, [x2, #40]
	add	x0, x30, #IN_V
	all_v	stp, x0
	msr	fpcr, xzr
	add	x0, x30, #IN_WINDOW
	ldr	x1, =WINDOW
	copy_window x0, x1
	add	x30, x30, #IN_SIZE
	str	x30, [x2, #24]
	ldr	x0, [x2]
	add	x0, x0, #1
	str	x0, [x2]
	b	next

begin:
	adr	x0, stack
	mov	x1, #0
	mov	x8, #132
	svc	#0
	catch	4
	catch	5
	catch	7
	catch	8
	catch	11
next:
	ldr	x10, =PARAM
	ldp	x11, x12, [x10]
	cmp	x11, x12
	b.hs	finish
	ldr	x13, [x10, #16]
	mov	x14, #IN_SIZE
	madd	x30, x11, x14, x13
	add	x0, x30, #IN_WINDOW
	ldr	x1, =WINDOW
	copy_window x1, x0
	ldp	x0, x1, [x30, #IN_NZCV]
	msr	nzcv, x0
	msr	fpcr, x1
	ldr	x0, [x30, #IN_FPSR]
	msr	fpsr, x0
	ldr	x0, [x30, #248]
	mov	sp, x0
	add	x0, x30, #IN_V
	all_v	ldp, x0
	clrex
	ldp	x0, x1, [x30]
	most_x	ldp, x30
	ldr	x30, [x30, #IN_STUB]
	br	x30

finish:
	ldr	x10, =PARAM
	ldr	x1, [x10, #32]
	ldr	x19, [x10, #24]
	sub	x19, x19, x1
2:	mov	x0, #1
	mov	x2, x19
	mov	x8, #64
	svc	#0
	cmp	x0, #0
	b.le	3f
	add	x1, x1, x0
	subs	x19, x19, x0
	b.ne	2b
3:	mov	x0, x19
	mov	x8, #93
	svc	#0

handler:
	ldr	x3, =PARAM
	str	x0, [x3, #40]
	ldr	x3, =epilogue
	str	x3, [x2, #440]
	ret

	.balign	8
action:
	.quad	handler, 0x48000004, 0, 0
stack:
	.quad	0x30000, 0, 0x10000
	.ltorg
