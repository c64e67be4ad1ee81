/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where every exception of a ppc64 guest goes.
 */

/* The stack frame: its header, struct ex_regs, the registers that C may change */
#define REGS		32
#define GPR(n)		(REGS + 8 * (n))
#define PC		(REGS + 256)
#define MSR		(REGS + 264)
#define LR		(REGS + 272)
#define CTR		(REGS + 280)
#define CR		(REGS + 288)
#define XER		(REGS + 296)
#define DAR		(REGS + 304)
#define DSISR		(REGS + 312)
#define VECTOR		(REGS + 320)
#define VSR(n)		(REGS + 336 + 16 * (n))
#define NR_VSRS		52
#define FPSCR		VSR(NR_VSRS)
#define FRAME		(FPSCR + 16)

/* What code may use below its stack pointer */
#define RED_ZONE	512

/* As numbers of special purpose registers */
#define SPR_DSISR	18
#define SPR_DAR		19

#define MSR_TRANSLATION	0x30
#define MSR_VEC_VSX	0x0280		/* its upper half */
#define MSR_FP		0x2000

	.text

/*
 * Copied to each vector.  The link register then tells which one it was.  bla
 * reaches 32 MiB: without the -Ttext-segment of the Makefile this does not link.
 */
	.balign	4
	.globl	exception_stub, exception_stub_end
exception_stub:
	mtsprg	0, %r3
	mflr	%r3
	bla	exception_entry
exception_stub_end:

	.balign	4
	.globl	exception_entry
exception_entry:
	mtsprg	1, %r3		/* its link register */
	mtsprg	2, %r4
	/* The stack may have no address but a virtual one. */
	mfsrr1	%r3
	rlwinm	%r3, %r3, 0, MSR_TRANSLATION
	mfmsr	%r4
	or	%r3, %r3, %r4
	ori	%r3, %r3, MSR_FP
	oris	%r3, %r3, MSR_VEC_VSX
	mtmsrd	%r3
	isync

	addi	%r3, %r1, -(FRAME + RED_ZONE)
	std	%r1, 0(%r3)
	.irp	n, 0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, \
		19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	std	\n, GPR(\n)(%r3)
	.endr
	mr	%r1, %r3
	mfsprg	%r3, 0
	std	%r3, GPR(3)(%r1)
	mfsprg	%r3, 2
	std	%r3, GPR(4)(%r1)
	mfsprg	%r3, 1
	std	%r3, LR(%r1)
	mfsrr0	%r3
	std	%r3, PC(%r1)
	mfsrr1	%r3
	std	%r3, MSR(%r1)
	mfctr	%r3
	std	%r3, CTR(%r1)
	mfcr	%r3
	std	%r3, CR(%r1)
	mfxer	%r3
	std	%r3, XER(%r1)
	mfspr	%r3, SPR_DAR
	std	%r3, DAR(%r1)
	mfspr	%r3, SPR_DSISR
	std	%r3, DSISR(%r1)
	mflr	%r3
	addi	%r3, %r3, -(exception_stub_end - exception_stub)
	std	%r3, VECTOR(%r1)
	.set	n, 0
	.rept	NR_VSRS
	li	%r3, VSR(n)
	stxvd2x	n, %r1, %r3
	.set	n, n + 1
	.endr
	mffs	%f0
	stfd	%f0, FPSCR(%r1)

	lis	%r2, .TOC.@ha
	addi	%r2, %r2, .TOC.@l
	addi	%r3, %r1, REGS
	bl	route_exception
	nop

	lfd	%f0, FPSCR(%r1)
	mtfsf	255, %f0
	.set	n, 0
	.rept	NR_VSRS
	li	%r3, VSR(n)
	lxvd2x	n, %r1, %r3
	.set	n, n + 1
	.endr
	ld	%r3, PC(%r1)
	mtsrr0	%r3
	ld	%r3, MSR(%r1)
	mtsrr1	%r3
	ld	%r3, LR(%r1)
	mtlr	%r3
	ld	%r3, CTR(%r1)
	mtctr	%r3
	ld	%r3, CR(%r1)
	mtcr	%r3
	ld	%r3, XER(%r1)
	mtxer	%r3
	.irp	n, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, \
		19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	\n, GPR(\n)(%r1)
	.endr
	ld	%r1, GPR(1)(%r1)
	rfid

	.section .note.GNU-stack, "", @progbits
