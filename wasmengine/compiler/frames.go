package compiler

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
)

// StackBytes is how much stack of the machine the calls of compiled code can
// have in any case. wazero's stacks grow to twice their size until they are
// larger than this.
const StackBytes = 50_000_000

// errFrames says that a file is not what wazero makes. A test compares, so that
// this does not happen but with another version of it.
var errFrames = errors.New("the machine code has another form than is known")

// Frames reads from a file of machine code, which must be wazero's for this
// machine, how many bytes of stack a call of each function takes, with what it
// puts there for those that it calls: what its first instructions make sure of.
func Frames(file []byte) ([]int64, error) {
	offsets, code, err := functions(file)
	if err != nil {
		return nil, err
	}
	prologue := prologueAMD64
	if runtime.GOARCH == "arm64" {
		prologue = prologueARM64
	}
	frames := make([]int64, len(offsets))
	for i, at := range offsets {
		if at > uint64(len(code)) {
			return nil, fmt.Errorf("%w: function %d is at %d of %d bytes", errFrames, i, at, len(code))
		}
		if frames[i] = prologue(code[at:]); frames[i] <= 0 {
			return nil, fmt.Errorf("%w: function %d begins with % x", errFrames, i, code[at:min(at+32, uint64(len(code)))])
		}
	}
	return frames, nil
}

// functions finds the functions in wazero's file: a magic, its version, the
// functions' offsets, the length of the code, the code.
func functions(file []byte) (offsets []uint64, code []byte, err error) {
	rest, ok := bytes.CutPrefix(file, []byte("WAZEVO"))
	if !ok || len(rest) < 1 || len(rest) < 5+int(rest[0]) {
		return nil, nil, fmt.Errorf("%w: no header", errFrames)
	}
	rest = rest[1+int(rest[0]):]
	n := uint64(binary.LittleEndian.Uint32(rest))
	if rest = rest[4:]; uint64(len(rest)) < 8*n+8 {
		return nil, nil, fmt.Errorf("%w: %d functions in %d bytes", errFrames, n, len(rest))
	}
	for range n {
		offsets = append(offsets, binary.LittleEndian.Uint64(rest))
		rest = rest[8:]
	}
	size := binary.LittleEndian.Uint64(rest)
	if rest = rest[8:]; size > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("%w: %d bytes of code in %d", errFrames, size, len(rest))
	}
	return offsets, rest[:size], nil
}

// prologueAMD64 reads
//
//	push rbp; mov rbp, rsp; sub rsp, SIZE
//
// and 0 if the function begins otherwise.
func prologueAMD64(code []byte) int64 {
	rest, ok := bytes.CutPrefix(code, []byte{0x55, 0x48, 0x89, 0xe5})
	if !ok || len(rest) < 7 || rest[0] != 0x48 || rest[2] != 0xec {
		return 0
	}
	switch rest[1] {
	case 0x83:
		return int64(int8(rest[3]))
	case 0x81:
		return int64(int32(binary.LittleEndian.Uint32(rest[3:])))
	}
	return 0
}

// prologueARM64 reads
//
//	[mov x27, ARGUMENTS; sub sp, sp, x27]; stp x30, …, [sp, #-16]!; sub x27, sp, SIZE
//
// where SIZE is an immediate, or is put into x27 before. It is 0 if the
// function begins otherwise.
func prologueARM64(code []byte) int64 {
	const (
		most    = 16 // instructions
		x27, sp = 27, 31
	)
	value, saved := uint64(0), false
	for range most {
		if len(code) < 4 {
			return 0
		}
		in := binary.LittleEndian.Uint32(code)
		code = code[4:]
		rd, rn := in&31, in>>5&31
		imm16, shift := uint64(in>>5&0xffff), in>>21&3*16
		switch {
		case in&0xffc003e0 == 0xa9800000|sp<<5 && rd == 30: // stp x30, …, [sp, …]!
			saved = true
		case !saved && in == 0xcb3b63ff: // sub sp, sp, x27
		case in&0xff800000 == 0xd2800000 && rd == x27: // movz
			value = imm16 << shift
		case in&0xff800000 == 0xf2800000 && rd == x27: // movk
			value = value&^(0xffff<<shift) | imm16<<shift
		case in&0xff800000 == 0x92800000 && rd == x27: // movn
			value = ^(imm16 << shift)
		case in&0xff800000 == 0xb2000000 && rd == x27 && rn == 31: // orr x27, xzr, …
			value = bitmask(in>>22&1, in>>16&63, in>>10&63)
		case saved && in&0xff8003ff == 0xd1000000|sp<<5|x27: // sub x27, sp, …
			return int64(in>>10&0xfff) << (in >> 22 & 1 * 12)
		case saved && in == 0xcb3b63fb: // sub x27, sp, x27
			return int64(value)
		default:
			return 0
		}
	}
	return 0
}

// bitmask is the immediate of arm64's logical instructions: a run of ones,
// rotated, in every element.
func bitmask(n, immr, imms uint32) uint64 {
	size := uint32(1) << (bits.Len32(n<<6|^imms&63) - 1)
	ones, turn := imms&(size-1)+1, immr&(size-1)
	element := uint64(1)<<ones - 1
	mask := ^uint64(0) >> (64 - size)
	element = (element>>turn | element<<(size-turn)) & mask
	value := uint64(0)
	for at := uint32(0); at < 64; at += size {
		value |= element << at
	}
	return value
}
