package loader

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"pappus/engine"
	"pappus/engine/abi"
)

// Symbols by which the platform finds its way in a function.
const (
	SystemSymbol = "__dandelion_system_data"
	ReturnSymbol = "__dandelion_return_address"
)

// ReturnSize is the size of the slot for the return capability, and its
// alignment.
const ReturnSize = 16

// StackRoom is where a file that can be moved is loaded: so many bytes of stack
// it has.
const StackRoom = 1 << 20

// MinStack is the least that a file which can't be moved must leave below it.
const MinStack = 4 << 10

// MaxAddress is the end of the largest context.
const MaxAddress = engine.MaxPages * engine.PageSize

// MaxCode is the most bytes of code: decoded they take several times as much.
const MaxCode = 8 << 20

// maxSegments is more than any linker makes.
const maxSegments = 32

// Segment is a part of a function's memory.
type Segment struct {
	Address    uint64
	Size       uint64 // bytes of memory; those behind Data are 0 at first
	Data       []byte // what it starts with
	Executable bool   // then it is never written
	Writable   bool
}

func (s *Segment) span() span { return span{s.Address, s.Size} }

// Image is a function as it comes to lie in a context. It is not changed any
// more.
type Image struct {
	Segments []Segment // in the order of their addresses, apart from one another
	Entry    uint64    // in an executable segment, aligned to 4
	System   uint64    // the system struct, in a writable segment
	Return   uint64    // the slot for the return capability, in a writable segment, aligned to 16
	Start    uint64    // of the lowest segment: the stack is below
	End      uint64    // behind the highest segment
	CodeEnd  uint64    // behind the highest executable segment
	Manifest engine.Manifest

	CodeStart uint64 // of the lowest executable segment
	Debug     Debug
}

// Recognizes reports whether code begins like an ELF file.
func Recognizes(code []byte) bool { return bytes.HasPrefix(code, []byte("\x7fELF")) }

// What to do about code that was built for something else, or is damaged.
const (
	hintBuild   = "build it with a compiler for aarch64, linked with -static -nostdlib and the C SDK"
	hintDamaged = "the file is damaged: upload it again"
)

func reject(hint, format string, args ...any) error {
	return &engine.RejectedError{Reason: fmt.Sprintf(format, args...), Hint: hint}
}

// Load reads a function. It fails with *engine.RejectedError. What the result
// holds may be parts of code, which must stay as it is.
func Load(code []byte) (*Image, error) {
	p := parser{file: code}
	for _, step := range []func() error{p.readHeader, p.readSegments, p.readSections, p.relocate, p.finish} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &p.image, nil
}

// parser is a file that is being read.
type parser struct {
	file     file
	image    Image
	bias     uint64 // added to the file's addresses
	segments file   // the headers
	sections file   // the headers; nil if there are none
	names    file   // of sections
	dynamic  file   // nil if there is none

	system, slot symbol
	owned        [maxSegments]bool // Data of these is a copy
}

// symbol is what the symbol table says of a name.
type symbol struct {
	found bool
	span
}

// What the header of an ELF file for us says.
const (
	class64      = 2
	littleEndian = 1
	version      = 1
	typeExec     = 2
	typeDyn      = 3
	machineArm64 = 183
	flagPurecap  = 0x10000

	headerSize  = 64
	segmentSize = 56
	sectionSize = 64
)

func (p *parser) readHeader() error {
	if !Recognizes(p.file) {
		return reject(hintBuild, "it is not an ELF file")
	}
	h, ok := p.file.part(0, headerSize)
	if !ok {
		return reject(hintDamaged, "it ends within the ELF header")
	}
	switch kind, machine, flags := h.u16(16), h.u16(18), h.u32(48); {
	case h[4] != class64 || h[5] != littleEndian || h[6] != version || h.u32(20) != version:
		return reject(hintBuild, "it is not a 64-bit little-endian ELF file")
	case machine != machineArm64:
		return reject(hintBuild, "it is built for machine %d; Morello functions are for AArch64 (%d)", machine, machineArm64)
	case kind != typeExec && kind != typeDyn:
		return reject("link it with -static", "it is of ELF type %d, neither an executable (%d) nor a static PIE (%d)", kind, typeExec, typeDyn)
	case flags&flagPurecap != 0:
		return reject("build it with -mabi=aapcs, or with a compiler that knows no capabilities", "it is a pure-capability program; functions are hybrid ones")
	case flags != 0:
		return reject(hintBuild, "its ELF flags are %#x, and must be 0", flags)
	case h.u16(54) != segmentSize:
		return reject(hintDamaged, "its segment headers have %d bytes each, not %d", h.u16(54), segmentSize)
	case kind == typeDyn:
		p.bias = StackRoom
	}
	p.image.Entry = h.u64(24)

	if n := h.u16(56); n == 0 || n > maxSegments {
		return reject(hintBuild, "it has %d segments; it can have 1 to %d", n, maxSegments)
	}
	if p.segments, ok = p.file.table(h.u64(32), uint64(h.u16(56)), segmentSize); !ok {
		return reject(hintDamaged, "its segment headers lie outside of the file")
	}
	if n := h.u16(60); n > 0 {
		if h.u16(58) != sectionSize {
			return reject(hintDamaged, "its section headers have %d bytes each, not %d", h.u16(58), sectionSize)
		}
		if p.sections, ok = p.file.table(h.u64(40), uint64(n), sectionSize); !ok {
			return reject(hintDamaged, "its section headers lie outside of the file")
		}
		if at := h.u16(62); at < n {
			p.names, _ = p.contents(int(at))
		}
	}
	return nil
}

// Types of segments.
const (
	segmentLoad    = 1
	segmentDynamic = 2
	segmentInterp  = 3
)

// Flags of a segment.
const (
	flagExecute = 1
	flagWrite   = 2
)

func (p *parser) readSegments() error {
	for at := 0; at < len(p.segments); at += segmentSize {
		h := p.segments[at:]
		offset, address, filed, size := h.u64(8), h.u64(16), h.u64(32), h.u64(40)
		switch kind := h.u32(0); kind {
		case segmentInterp:
			return reject("link it with -static", "it needs a dynamic linker")
		case segmentDynamic:
			dynamic, ok := p.file.part(offset, filed)
			if !ok {
				return reject(hintDamaged, "its dynamic section lies outside of the file")
			}
			p.dynamic = dynamic
		case segmentLoad:
			if size == 0 {
				continue
			}
			contents, ok := p.file.part(offset, filed)
			if !ok || filed > size {
				return reject(hintDamaged, "segment %d lies outside of the file", at/segmentSize)
			}
			if address > MaxAddress-p.bias || size > MaxAddress-p.bias-address {
				return reject("link it at a low address: -Wl,-Ttext-segment=0x100000", "segment %d, %d bytes at %#x, reaches beyond the largest memory of %s", at/segmentSize, size, address, engine.Bytes(MaxAddress).Long())
			}
			p.image.Segments = append(p.image.Segments, Segment{
				Address: address + p.bias, Size: size, Data: contents,
				Executable: h.u32(4)&flagExecute != 0, Writable: h.u32(4)&flagWrite != 0,
			})
		}
	}
	return p.checkSegments()
}

// checkSegments holds that segments are apart, and code apart from what can be
// written, down to the pages of a machine.
func (p *parser) checkSegments() error {
	segments := p.image.Segments
	if len(segments) == 0 {
		return reject(hintBuild, "it has nothing to load")
	}
	code := 0
	for i := range segments {
		if segments[i].Executable {
			code += len(segments[i].Data)
		}
	}
	if code > MaxCode {
		return reject("build it with -Os, or leave out what it does not need", "it has %d bytes of code; the most is %s", code, engine.Bytes(MaxCode))
	}
	slices.SortStableFunc(segments, func(a, b Segment) int { return cmp.Compare(a.Address, b.Address) })
	for i := range segments {
		s := &segments[i]
		if s.Executable && s.Writable {
			return reject("link it without -N and with -Wl,-z,separate-code", "the segment at %#x can be both executed and written", s.Address)
		}
		if s.Executable && s.Address%4 != 0 {
			return reject(hintDamaged, "the segment of code at %#x is not aligned to instructions", s.Address)
		}
		if s.Executable {
			if p.image.CodeEnd == 0 {
				p.image.CodeStart = s.Address
			}
			p.image.CodeEnd = s.span().end()
		}
		for j := range i {
			before := &segments[j]
			if s.span().overlaps(before.span()) {
				return reject(hintDamaged, "the segments at %#x and %#x overlap", before.Address, s.Address)
			}
			if (s.Executable && before.Writable || s.Writable && before.Executable) && s.span().pages().overlaps(before.span().pages()) {
				return reject("link it with -Wl,-z,max-page-size=0x1000", "the segments at %#x and %#x, one of code and one of data, share a page", before.Address, s.Address)
			}
		}
	}
	p.image.Start, p.image.End = segments[0].Address, segments[len(segments)-1].span().end()
	if p.image.Start < MinStack {
		return reject("link it higher, -Wl,-Ttext-segment=0x100000, or as a static PIE", "it is linked at %#x: its stack has what is below, and needs %d bytes", p.image.Start, MinStack)
	}
	return nil
}

// within is the segment that holds n bytes at an address, or nil.
func (p *parser) within(at, n uint64) *Segment {
	for i := range p.image.Segments {
		if s := &p.image.Segments[i]; s.span().holds(at, n) {
			return s
		}
	}
	return nil
}

// finish checks the places that the platform uses.
func (p *parser) finish() error {
	image := &p.image
	if image.Entry > MaxAddress {
		return reject(hintDamaged, "its entry %#x is outside of memory", image.Entry)
	}
	image.Entry += p.bias
	if s := p.within(image.Entry, 4); s == nil || !s.Executable || image.Entry%4 != 0 {
		return reject("link it with -Wl,-e,_start", "its entry %#x is not in its code", image.Entry-p.bias)
	}
	for _, c := range []struct {
		name        string
		s           symbol
		size, align uint64
		place       *uint64
	}{
		{SystemSymbol, p.system, uint64(abi.Native64.SystemSize()), uint64(abi.Native64), &image.System},
		{ReturnSymbol, p.slot, ReturnSize, ReturnSize, &image.Return},
	} {
		if !c.s.found {
			return reject("link the runtime of the C SDK, and don't strip the file", "it has no symbol %s", c.name)
		}
		if c.s.n != 0 && c.s.n < c.size {
			return reject("use the header of the SDK", "%s has %d bytes, and %d are needed", c.name, c.s.n, c.size)
		}
		if c.s.at > MaxAddress {
			return reject(hintDamaged, "%s is at %#x, outside of memory", c.name, c.s.at)
		}
		at := c.s.at + p.bias
		if s := p.within(at, c.size); s == nil || !s.Writable || at%c.align != 0 {
			return reject("make it a variable that can be written and is aligned to its size", "%s at %#x does not lie in data that can be written, aligned to %d", c.name, c.s.at, c.align)
		}
		*c.place = at
	}
	if (span{image.System, uint64(abi.Native64.SystemSize())}).overlaps(span{image.Return, ReturnSize}) {
		return reject(hintDamaged, "%s and %s overlap", SystemSymbol, ReturnSymbol)
	}
	return nil
}
