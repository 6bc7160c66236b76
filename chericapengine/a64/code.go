package a64

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"
)

// Segment is an executable segment of a program.
type Segment struct {
	Addr  uint64 // an offset from the base of the context, a multiple of 4
	Bytes []byte // whole instructions; what is left over at the end is none. They are kept, and must stay as they are
}

// Code is a program in predecoded form. It is immutable, and any number of machines
// may run it at the same time.
type Code struct {
	insts    []inst    // the segments one after the other, with a slot for what is behind each
	areas    []area    // where the segments are, by address
	segments []Segment // by address

	longest uint64 // no straight line has more instructions: a branch is taken after so many

	unfused func() []inst // the same without fused instructions
}

// area is a segment's place: instructions from lo to below hi lie in the slots from slot on.
type area struct {
	lo, hi uint64
	slot   int
}

// maxCode is the highest address that code may have, in bytes.
const maxCode = 1 << 32

// Decode predecodes the executable segments of a program. Words that are no instruction
// are no error: they fault when they are reached.
func Decode(segments []Segment) (*Code, error) {
	sorted := slices.Clone(segments)
	slices.SortFunc(sorted, func(a, b Segment) int { return cmp.Compare(a.Addr, b.Addr) })
	c := &Code{segments: sorted}
	end, total := uint64(0), 0
	for _, s := range sorted {
		size := uint64(len(s.Bytes)) / wordBytes * wordBytes
		switch {
		case s.Addr%wordBytes != 0:
			return nil, fmt.Errorf("the executable segment at %#x does not begin at a multiple of 4", s.Addr)
		case s.Addr > maxCode || size > maxCode-s.Addr:
			return nil, fmt.Errorf("the executable segment at %#x reaches beyond the first 4GiB; link it lower", s.Addr)
		case s.Addr < end:
			return nil, fmt.Errorf("the executable segments at %#x overlap", s.Addr)
		}
		end = s.Addr + size
		total += int(size / wordBytes)
	}
	if total == 0 {
		return nil, errors.New("there is no executable segment with an instruction in it")
	}
	c.insts = make([]inst, 0, total+len(sorted))
	slot := 0
	for _, s := range sorted {
		n := len(s.Bytes) / wordBytes
		if n == 0 {
			continue
		}
		lo := s.Addr
		if last := len(c.areas) - 1; last >= 0 && c.areas[last].hi == lo {
			c.areas[last].hi += uint64(n) * wordBytes
		} else {
			if last >= 0 { // running off the end of a segment leads nowhere
				c.insts = append(c.insts, inst{op: opOut, imm: c.areas[last].hi})
				slot++
			}
			c.areas = append(c.areas, area{lo, lo + uint64(n)*wordBytes, slot})
		}
		for i := range n {
			w := binary.LittleEndian.Uint32(s.Bytes[i*wordBytes:])
			c.insts = append(c.insts, decode(w, lo+uint64(i)*wordBytes))
		}
		slot += n
	}
	c.insts = append(c.insts, inst{op: opOut, imm: c.End()})
	c.measure()
	c.resolve()
	c.unfused = sync.OnceValue(c.plain)
	c.fuse()
	return c, nil
}

// resolve turns the targets of branches from addresses into slots. Those that branch out
// of the code are left to a handler: a program can have as many such targets as
// instructions, and a slot for each would take more than the program.
func (c *Code) resolve() {
	slot := 0
	for _, a := range c.areas {
		for at := a.lo; at < a.hi; at += wordBytes {
			in := &c.insts[slot]
			slot++
			if !in.op.jumps() {
				continue
			}
			target, ok := c.slot(in.imm)
			switch {
			case !ok:
				*in = inst{op: opCall, imm: uint64(hBranchOut)<<32 | uint64(c.word(at))}
			case in.op == opBL:
				in.imm = uint64(target) | (at+wordBytes)<<32
			default:
				in.imm = uint64(target)
			}
		}
		slot++
	}
}

// measure finds the longest straight line: from behind one instruction that always
// branches or faults to the next.
func (c *Code) measure() {
	line := uint64(0)
	for i := range c.insts {
		line++
		c.longest = max(c.longest, line)
		switch c.insts[i].op {
		case opB, opBL, opBr, opBlr, opOut, opUndefined:
			line = 0
		}
	}
}

// jumps reports whether imm of such an instruction is a target.
func (o op) jumps() bool { return o >= opB && o <= opTbnz }

// plain copies the slots without fused instructions.
func (c *Code) plain() []inst {
	insts := slices.Clone(c.insts)
	for i := range insts {
		insts[i].op = insts[i].op.first()
	}
	return insts
}

// Size is how many bytes the code holds at most.
func (c *Code) Size() int64 {
	n := int64(cap(c.insts)+len(c.insts)) * int64(unsafe.Sizeof(inst{}))
	for _, s := range c.segments {
		n += int64(len(s.Bytes))
	}
	return n
}

// End is the address after the last instruction: what the code capability covers
// ends there.
func (c *Code) End() uint64 { return c.areas[len(c.areas)-1].hi }

// slot is where the instruction at an address lies.
func (c *Code) slot(address uint64) (int, bool) {
	if address%wordBytes != 0 {
		return 0, false
	}
	for _, a := range c.areas {
		if address >= a.lo && address < a.hi {
			return a.slot + int((address-a.lo)/wordBytes), true
		}
	}
	return 0, false
}

// address is the address of a slot: what slot was given.
func (c *Code) address(slot int) uint64 {
	for i := len(c.areas) - 1; i >= 0; i-- {
		if a := c.areas[i]; slot >= a.slot && uint64(slot-a.slot) < (a.hi-a.lo)/wordBytes {
			return a.lo + uint64(slot-a.slot)*wordBytes
		}
	}
	return c.insts[slot].imm
}

// word is the instruction at an address; 0 if it is outside of the code.
func (c *Code) word(address uint64) uint32 {
	for i := range c.segments {
		if s := &c.segments[i]; address >= s.Addr && address-s.Addr < uint64(len(s.Bytes))/wordBytes*wordBytes {
			return binary.LittleEndian.Uint32(s.Bytes[(address-s.Addr)&^(wordBytes-1):])
		}
	}
	return 0
}

// below is how many slots come before that of the first instruction of which not all
// lies below an address.
func (c *Code) below(address uint64) int {
	for _, a := range c.areas {
		if address < a.hi {
			return a.slot + int((max(address, a.lo)-a.lo)/wordBytes)
		}
	}
	return len(c.insts)
}
