package wasmengine

import (
	"cmp"
	"context"
	encoding "encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"pappus/engine/lines"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/meter"
)

// maxLinedCode is the largest module whose lines are looked for, in bytes.
const maxLinedCode = 16 << 20

// positions are the custom sections because of which wazero keeps for each call
// and each instruction that can trap where it is in the code, and tells of each
// call in a trace: they say, in DWARF, that all code from address 1 on is one
// line of the file "p". What wazero would make of a module's own sections is
// never seen: they are not in the metered module.
func positions() []binary.Custom {
	return []binary.Custom{
		{Name: ".debug_abbrev", Payload: []byte{
			1, 0x11, 0, // a compile unit without children:
			0x10, 6, 0x11, 1, 0x12, 1, // stmt_list (data4), low_pc, high_pc (addr)
			0, 0, 0,
		}},
		{Name: ".debug_info", Payload: []byte{
			20, 0, 0, 0, 3, 0, 0, 0, 0, 0, 4, // length, version, abbreviations, size of addresses
			1, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f,
		}},
		{Name: lines.SectionLine, Payload: []byte{
			44, 0, 0, 0, 2, 0, 21, 0, 0, 0, // length, version, length of the header
			1, 1, 0, 1, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1, // line programs as usual
			0, 'p', 0, 0, 0, 0, 0, // no directories, one file
			0, 5, 2, 1, 0, 0, 0, // address 1
			1,                            // a row
			2, 0xfe, 0xff, 0xff, 0xff, 7, // to the last address
			0, 1, 1, // the end
		}},
	}
}

// hasLines reports whether a module has lines of source code for traces.
func hasLines(m *binary.Module) bool {
	_, ok := lines.Find(m.Custom)
	return ok
}

// sources finds the source lines of a program's calls. What that takes is made
// at the first fault, and not for programs that don't fail.
type sources struct {
	engine *Engine
	code   []byte // as it was sent
	lines  int    // bytes of the section that has the lines

	made     *lines.Once
	table    *lines.Table
	bodies   []body
	original uint32 // where the content of the original's code section begins
}

// body is where one function's code is in the metered code section, and where
// that comes from.
type body struct {
	start, end uint32 // in the metered code section
	from       uint32 // in the original module
	origins    []meter.Origin
}

// sourcesOf is nil for modules without lines.
func (e *Engine) sourcesOf(code []byte) *sources {
	if len(code) > maxLinedCode {
		return nil
	}
	for s := range sections(code) {
		if name, _, ok := customSection(s); ok && name == lines.SectionLine && len(s.content) <= lines.MaxSize {
			return &sources{engine: e, code: code, lines: len(s.content), made: e.readers.Once()}
		}
	}
	return nil
}

// size is what it holds at most, in bytes.
func (s *sources) size() int64 {
	if s == nil {
		return 0
	}
	return int64(len(s.code)) + s.originsBound() + lines.Cost(s.lines)
}

// originsBound is the most that bodies and their origins may take, in bytes: several
// times what they take of modules that compilers made. Others have no lines.
func (s *sources) originsBound() int64 { return 3 * int64(len(s.code)) }

// read makes what lines are found in, unless that is there. It waits for others
// until ctx ends: it takes as much memory as looking at a new module does.
func (s *sources) read(ctx context.Context) error { return s.made.Do(ctx, s.make) }

// at finds the source line of an offset in the metered code section, after read.
func (s *sources) at(offset uint32) (lines.Position, bool) {
	address, ok := s.origin(offset)
	if !ok || s.table == nil {
		return lines.Position{}, false
	}
	return s.table.At(address)
}

// origin is where in the original code section an offset in the metered one
// comes from.
func (s *sources) origin(offset uint32) (uint32, bool) {
	i, _ := slices.BinarySearchFunc(s.bodies, offset, func(b body, offset uint32) int {
		if b.end <= offset {
			return -1
		}
		return 1
	})
	if i == len(s.bodies) || offset < s.bodies[i].start {
		return 0, false
	}
	b := &s.bodies[i]
	at := offset - b.start
	n, exact := slices.BinarySearchFunc(b.origins, at, func(o meter.Origin, at uint32) int { return cmp.Compare(o.At, at) })
	if !exact {
		n--
	}
	for exact && n+1 < len(b.origins) && b.origins[n+1].At == at {
		n++ // of several at one place only the last has a length
	}
	if n < 0 {
		return 0, false // what every function begins with
	}
	o := b.origins[n]
	return b.from + o.From + min(at-o.At, o.Length) - s.original, true
}

// make reads the module again. It has been accepted before: an error means that
// there are no lines, and nothing else.
func (s *sources) make() {
	m, err := s.engine.examine(s.code)
	if err != nil {
		return
	}
	options := s.engine.meterOptions(m)
	options.Origins = true
	metered, err := options.Rewrite(m.decoded)
	if err != nil || len(metered.Origins) > math.MaxInt32 {
		return
	}
	s.original = m.decoded.Code
	rest, ok := codeSection(metered.Code)
	if !ok {
		return
	}
	count, n := encoding.Uvarint(rest)
	if n <= 0 || count < uint64(len(metered.Origins)) {
		return
	}
	held := int64(len(metered.Origins)) * int64(unsafe.Sizeof(body{}))
	for _, origins := range metered.Origins {
		held += int64(len(origins)) * int64(unsafe.Sizeof(meter.Origin{}))
	}
	if held > s.originsBound() {
		return
	}
	bodies := make([]body, 0, len(metered.Origins))
	at := n
	for i, origins := range metered.Origins {
		size, n := encoding.Uvarint(rest[at:])
		if n <= 0 || size > uint64(len(rest)-at-n) {
			return
		}
		at += n
		bodies = append(bodies, body{uint32(at), uint32(at + int(size)), m.decoded.Bodies[i].Offset, slices.Clone(origins)})
		at += int(size)
	}
	s.bodies = bodies
	found, ok := lines.Find(m.decoded.Custom)
	if n := len(m.decoded.Bodies); ok && n > 0 {
		last := &m.decoded.Bodies[n-1]
		s.table = lines.Read(found, m.decoded.Bodies[0].Offset-s.original, last.Offset+uint32(len(last.Raw))-s.original)
	}
}

// section is a section of a module.
type section struct {
	id      byte
	content []byte
}

// sections are those of a module, as far as it can be read.
func sections(code []byte) func(yield func(section) bool) {
	return func(yield func(section) bool) {
		const header = 8
		for at := header; at < len(code); {
			size, n := encoding.Uvarint(code[at+1:])
			start := at + 1 + n
			if n <= 0 || size > uint64(len(code)-start) {
				return
			}
			end := start + int(size)
			if !yield(section{code[at], code[start:end]}) {
				return
			}
			at = end
		}
	}
}

func codeSection(code []byte) (content []byte, ok bool) {
	const id = 10
	for s := range sections(code) {
		if s.id == id {
			return s.content, true
		}
	}
	return nil, false
}

// customSection is the name and content of a custom section.
func customSection(s section) (name string, content []byte, ok bool) {
	size, n := encoding.Uvarint(s.content)
	if s.id != 0 || n <= 0 || size > uint64(len(s.content)-n) {
		return "", nil, false
	}
	return string(s.content[n : n+int(size)]), s.content[n+int(size):], true
}

// frame is a call in a trace.
type frame struct {
	call   string // name and type
	offset uint32 // in the metered code section; 0: it is not known
}

// show spells the calls of a trace. If ctx ends while that waits, they have no lines,
// and the error is ctx's.
func (s *sources) show(ctx context.Context, frames []frame) (calls []string, err error) {
	lined := s != nil && len(frames) > 0
	if lined {
		err = s.read(ctx)
		lined = err == nil
	}
	for _, f := range frames {
		call := f.call
		if lined && f.offset > 0 {
			call += s.suffix(f.offset)
		}
		calls = append(calls, call)
	}
	return calls, err
}

// suffix is what a trace says of where a call is; "" if that is not known.
func (s *sources) suffix(offset uint32) string {
	p, ok := s.at(offset)
	if !ok {
		return ""
	}
	text := " at " + shown(p.File) + ":" + strconv.Itoa(p.Line)
	if p.Column > 0 {
		text += ":" + strconv.Itoa(p.Column)
	}
	return text
}

// shown is a name that the guest has given, bounded and printable.
func shown(name string) string {
	if len(name) > maxCall {
		name = name[:maxCall] + "…"
	}
	return printable(name)
}

// positionOf is the offset in a line of wazero's traces that tells where the call
// of the line above is.
func positionOf(line string) (offset uint32, ok bool) {
	text, _, ok := strings.Cut(line, ": p:")
	text, isHex := strings.CutPrefix(text, "\t\t0x")
	if !ok || !isHex {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 16, 32)
	return uint32(n), err == nil
}
