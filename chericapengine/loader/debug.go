package loader

import (
	"bytes"
	"cmp"
	"slices"
	"unsafe"

	"pappus/engine/lines"
)

// maxDebug is the most bytes of a section that is kept for traces.
const maxDebug = 8 << 20

// Debug is what a file says of where its code comes from. It is the file's own bytes,
// which nobody has looked at: Functions and Lines take whatever they are.
type Debug struct {
	symbols, names file
	sections       lines.Sections
	bias           uint64
}

// readDebug keeps a section if it is one for traces.
func (p *parser) readDebug(i int) {
	found := &p.image.Debug
	found.bias = p.bias
	for _, wanted := range [...]struct {
		name    string
		section *[]byte
	}{{".debug_line", &found.sections.Line}, {".debug_line_str", &found.sections.LineStr}, {".debug_str", &found.sections.Str}} {
		const compressed = 0x800
		h := p.section(i)
		if p.names.named(uint64(h.u32(0)), wanted.name) && h.u64(8)&compressed == 0 {
			if b, ok := p.contents(i); ok && len(b) <= maxDebug {
				*wanted.section = b
			}
		}
	}
}

// Clone is the same in memory of its own.
func (d *Debug) Clone() Debug {
	c := *d
	for _, b := range []*file{&c.symbols, &c.names} {
		*b = bytes.Clone(*b)
	}
	for _, b := range []*[]byte{&c.sections.Line, &c.sections.LineStr, &c.sections.Str} {
		*b = bytes.Clone(*b)
	}
	return c
}

// Size is how many bytes it holds.
func (d *Debug) Size() int64 {
	return int64(len(d.symbols) + len(d.names) + len(d.sections.Line) + len(d.sections.LineStr) + len(d.sections.Str))
}

// Cost is the most that it holds with its functions and lines, in bytes.
func (d *Debug) Cost() int64 {
	functions := int64(len(d.symbols)/symbolSize) * int64(unsafe.Sizeof(function{}))
	return d.Size() + functions + lines.Cost(len(d.sections.Line))
}

// Functions are the functions that a file names, by address.
type Functions struct {
	list  []function
	names file
}

type function struct {
	at, end uint64
	name    uint32
}

// Functions lists the functions between two addresses of a context.
func (d *Debug) Functions(start, end uint64) *Functions {
	f := &Functions{names: d.names, list: make([]function, 0, len(d.symbols)/symbolSize)}
	for s := d.symbols; len(s) >= symbolSize; s = s[symbolSize:] {
		const kind, isFunction = 15, 2
		at, size := s.u64(8)+d.bias, s.u64(16)
		if s[4]&kind != isFunction || s.u16(6) == 0 || at < start || at >= end {
			continue
		}
		f.list = append(f.list, function{at, at + min(size, end-at), s.u32(0)})
	}
	slices.SortStableFunc(f.list, func(a, b function) int { return cmp.Compare(a.at, b.at) })
	for i := range f.list {
		// What is written in assembly often has no size.
		if a := &f.list[i]; a.end == a.at {
			a.end = end
			if i+1 < len(f.list) {
				a.end = f.list[i+1].at
			}
		}
	}
	return f
}

// At finds the function that has the instruction at an address: its name, which may hold
// anything, and where it begins.
func (f *Functions) At(address uint64) (name string, at uint64, ok bool) {
	i, exact := slices.BinarySearchFunc(f.list, address, func(f function, a uint64) int { return cmp.Compare(f.at, a) })
	if !exact {
		i--
	}
	if i < 0 || address >= f.list[i].end {
		return "", 0, false
	}
	const longest = 1 << 10
	text := f.names[min(uint64(f.list[i].name), uint64(len(f.names))):]
	text, _, _ = bytes.Cut(text[:min(len(text), longest)], []byte{0})
	return string(text), f.list[i].at, len(text) > 0
}

// Lines reads the source lines of code between two addresses of a context.
func (d *Debug) Lines(start, end uint64) *Lines {
	return &Lines{lines.Read(d.sections, uint32(start-d.bias), uint32(end-d.bias)), d.bias}
}

// Lines are the source lines of a function's code.
type Lines struct {
	table *lines.Table
	bias  uint64
}

// At finds the line of the instruction at an address.
func (l *Lines) At(address uint64) (lines.Position, bool) {
	const highest = 1<<32 - 1
	if address < l.bias || address-l.bias > highest {
		return lines.Position{}, false
	}
	return l.table.At(uint32(address - l.bias))
}
