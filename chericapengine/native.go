package chericapengine

import (
	"encoding/binary"
	"fmt"
)

// The native driver lets a processor of Morello run functions itself. See the file
// native_linux_arm64.s, and doc.go for what of it has never run.
//
// A call is a process of its own that shares our memory, has no Go in it, and no
// system calls but to end. What it does and knows lies in a block of memory.

// Offsets in a block. The words of native_linux_arm64.s have them as numbers.
const (
	blockState  = 0  // how it ended
	blockSignal = 8  // which signal, or which error of preparing
	blockInfo   = 16 // address of the signal's siginfo, which lies in the block
	blockBase   = 24 // of the context
	blockLimit  = 32 // bytes of it
	blockCode   = 40 // bytes of it that hold code, as a capability can have them
	blockEntry  = 48
	blockStack  = 56
	blockSlot   = 64  // absolute
	blockPair   = 80  // two capabilities: to the block, and to where the host goes on
	blockStackT = 112 // stack_t of the handler's stack
	blockAction = 136 // struct sigaction; its handler is filled in by the process
	blockFilter = 168 // struct sock_fprog, and the filter behind it
	blockProbe  = 232 // not 0: only look whether the processor knows capabilities
	blockFlags  = 240 // of clone
	blockFirst  = 248 // mask of signals of the process at first: all
	blockMask   = 256 // and of the function: all but those of faults
	blockOld    = 264 // that of our thread
	blockFaults = 272 // numbers of the signals of faults, ends with 0
	blockTop    = 60 << 10
	blockSize   = 64 << 10
)

// States of a block.
const (
	stateRunning = iota // at the end: it was ended by a system call of its own
	stateLeft
	stateSignal
	stateUnprepared
)

// Signals of Linux.
const (
	sigILL, sigTRAP, sigBUS, sigFPE, sigSEGV, sigSYS = 4, 5, 7, 8, 11, 31
)

// nativeBlock is a block at an address.
type nativeBlock struct {
	bytes []byte
	at    uint64
}

func (b nativeBlock) put(offset int, v uint64) { binary.LittleEndian.PutUint64(b.bytes[offset:], v) }
func (b nativeBlock) get(offset int) uint64    { return binary.LittleEndian.Uint64(b.bytes[offset:]) }

// prepare fills in what is the same for all functions.
func (b nativeBlock) prepare(cloneFlags uint64) {
	clear(b.bytes[:blockFaults])
	b.put(blockStackT, b.at+8<<10)
	b.put(blockStackT+16, blockTop-8<<10)
	const siginfo, onStack = 4, 0x08000000
	b.put(blockAction+8, siginfo|onStack)
	b.put(blockAction+24, ^uint64(0)) // in the handler all are masked
	mask := ^uint64(0)
	for i, s := range []uint64{sigILL, sigTRAP, sigBUS, sigFPE, sigSEGV, sigSYS, 0} {
		b.put(blockFaults+8*i, s)
		if s > 0 {
			mask &^= 1 << (s - 1)
		}
	}
	b.put(blockFirst, ^uint64(0))
	b.put(blockMask, mask)
	b.put(blockFlags, cloneFlags)
	filter := b.bytes[blockFilter+16 : blockFilter+16]
	const exitGroup, allow, trap = 94, 0x7fff0000, 0x00030000
	for _, f := range []struct {
		code   uint16
		jt, jf byte
		k      uint32
	}{{0x20, 0, 0, 0}, {0x15, 0, 1, exitGroup}, {0x06, 0, 0, allow}, {0x06, 0, 0, trap}} {
		filter = binary.LittleEndian.AppendUint16(filter, f.code)
		filter = append(filter, f.jt, f.jf)
		filter = binary.LittleEndian.AppendUint32(filter, f.k)
	}
	b.put(blockFilter, uint64(len(filter)/8))
	b.put(blockFilter+8, b.at+blockFilter+16)
}

// entering is where a function is entered.
type entering struct {
	base, limit        uint64 // the context
	code, entry, stack uint64 // relative to it
	slot               uint64
}

func (b nativeBlock) enter(e entering) {
	for offset, v := range map[int]uint64{
		blockBase: e.base, blockLimit: e.limit, blockCode: e.code, blockEntry: e.entry, blockStack: e.stack, blockSlot: e.base + e.slot,
	} {
		b.put(offset, v)
	}
}

// Codes of SIGSEGV that Linux has for capabilities.
const (
	codeTag = iota + 10
	codeSealed
	codeBounds
	codePermission
)

// end tells how a process ended that is gone.
func (b nativeBlock) end(base uint64) stop {
	switch b.get(blockState) {
	case stateLeft:
		return stop{why: left}
	case stateRunning:
		return stop{why: faulted, detail: "system call: it ended its process", hint: hintSystem}
	case stateUnprepared:
		return stop{why: faulted, detail: fmt.Sprintf("the system refuses what the native driver needs: error %d", -int64(b.get(blockSignal)))}
	}
	var code, at uint64
	if info := b.get(blockInfo) - b.at; info <= blockSize-24 {
		code, at = uint64(binary.LittleEndian.Uint32(b.bytes[info+8:])), b.get(int(info)+16)-base
	}
	switch b.get(blockSignal) {
	case sigSYS:
		return stop{why: faulted, detail: "system call (SVC)", hint: hintSystem}
	case sigILL:
		return stop{why: faulted, detail: "undefined instruction", hint: hintUnknown}
	case sigTRAP:
		return stop{why: faulted, detail: "breakpoint (BRK)", hint: hintGaveUp}
	case sigBUS:
		return stop{why: faulted, detail: "alignment fault", hint: hintAligned}
	case sigFPE:
		return stop{why: faulted, detail: "a floating-point exception"}
	}
	switch code {
	case codeTag:
		return stop{why: faulted, detail: fmt.Sprintf("tag fault at %#x", at), hint: hintCapability}
	case codeSealed:
		return stop{why: faulted, detail: fmt.Sprintf("seal fault at %#x", at), hint: hintCapability}
	case codeBounds:
		return stop{why: faulted, detail: fmt.Sprintf("bounds fault at %#x", at), hint: hintPointer, outside: true, address: at, size: 1}
	default:
		return stop{why: faulted, detail: fmt.Sprintf("permission fault at %#x", at), hint: hintStore}
	}
}
