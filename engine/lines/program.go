package lines

import (
	"bytes"
	"math"
	"path"
)

// maxEntries bounds directories and files of one unit.
const maxEntries = 1 << 16

// maxName is the longest name of a file that is kept, in bytes.
const maxName = 256

// program is the header of a unit's line table.
type program struct {
	version     uint16
	step        uint64 // by which addresses advance
	lineBase    int8
	lineRange   uint8
	opcodeBase  uint8
	lengths     []byte // numbers of arguments of standard opcodes
	directories [][]byte
	files       []file
}

type file struct {
	name      []byte
	directory uint64
	index     int32 // in the table of all units, and 1; 0: it is not known yet; noName
}

// file is the file of a number, nil if there is none. The version says where
// numbers begin.
func (p *program) file(number uint64) *file {
	if p.version < 5 {
		number-- // 0 becomes larger than any
	}
	if number >= uint64(len(p.files)) {
		return nil
	}
	return &p.files[number]
}

// path is a file's name with its directory, unless that is the one where the
// compiler ran. It is not clean.
func (p *program) path(f *file) string {
	directory := f.directory
	if p.version < 5 {
		directory--
	}
	name := string(f.name)
	if directory < uint64(len(p.directories)) && !path.IsAbs(name) {
		name = string(p.directories[directory]) + "/" + name
	}
	return name
}

// unit reads the table of one unit.
func (r *reader) unit(c cursor) {
	p := program{version: c.u16()}
	if p.version < 2 || p.version > 5 {
		return
	}
	if p.version == 5 {
		c.u16() // sizes of addresses and segment selectors
	}
	header := cursor{b: c.take(uint64(c.u32()))}
	p.step = uint64(header.u8())
	if p.version >= 4 {
		header.u8() // operations of an instruction, which is 1 but for VLIW machines
	}
	header.u8() // is_stmt
	p.lineBase, p.lineRange, p.opcodeBase = int8(header.u8()), header.u8(), header.u8()
	if p.lineRange == 0 || p.opcodeBase == 0 {
		return
	}
	p.lengths = header.take(uint64(p.opcodeBase) - 1)
	if p.version == 5 {
		r.entries(&header, func(e file) { p.directories = append(p.directories, e.name) })
		r.entries(&header, func(e file) { p.files = append(p.files, e) })
	} else {
		for name := header.text(); len(name) > 0 && len(p.directories) < maxEntries; name = header.text() {
			p.directories = append(p.directories, short(name))
		}
		for name := header.text(); len(name) > 0 && len(p.files) < maxEntries; name = header.text() {
			p.files = append(p.files, file{name: short(name), directory: header.uleb()})
			header.uleb() // time
			header.uleb() // length
		}
	}
	if !header.bad {
		r.run(&p, &c)
	}
	r.sequence = r.sequence[:0]
}

func short(name []byte) []byte { return name[:min(len(name), maxName)] }

// What an entry of a table of version 5 can hold, and how.
const (
	contentPath      = 1
	contentDirectory = 2

	formBlock   = 0x09
	formData1   = 0x0b
	formData2   = 0x05
	formData4   = 0x06
	formData8   = 0x07
	formData16  = 0x1e
	formString  = 0x08
	formUdata   = 0x0f
	formStrp    = 0x0e
	formLineStr = 0x1f
)

// entries reads a table of version 5.
func (r *reader) entries(c *cursor, add func(file)) {
	type field struct{ content, form uint64 }
	fields := make([]field, c.u8())
	for i := range fields {
		fields[i] = field{c.uleb(), c.uleb()}
	}
	n := c.uleb()
	for i := uint64(0); i < n && !c.bad; i++ {
		if i == maxEntries || len(fields) == 0 {
			c.bad = true // nothing tells where the table ends, or it says nothing
			return
		}
		var e file
		for _, f := range fields {
			number, text := r.value(c, f.form)
			switch f.content {
			case contentPath:
				e.name = short(text)
			case contentDirectory:
				e.directory = number
			}
		}
		add(e)
	}
}

// value reads a value of a form.
func (r *reader) value(c *cursor, form uint64) (number uint64, text []byte) {
	switch form {
	case formString:
		return 0, c.text()
	case formLineStr:
		return 0, textAt(r.s.LineStr, c.u32())
	case formStrp:
		return 0, textAt(r.s.Str, c.u32())
	case formUdata:
		return c.uleb(), nil
	case formData1:
		return uint64(c.u8()), nil
	case formData2:
		return uint64(c.u16()), nil
	case formData4:
		return uint64(c.u32()), nil
	case formData8:
		c.take(8)
	case formData16:
		c.take(16)
	case formBlock:
		c.take(c.uleb())
	default:
		c.bad = true
	}
	return 0, nil
}

// textAt is the text at an offset, up to a zero, as far as it is kept.
func textAt(b []byte, at uint32) []byte {
	if uint64(at) >= uint64(len(b)) {
		return nil
	}
	text, _, _ := bytes.Cut(short(b[at:]), []byte{0})
	return text
}

// Opcodes of line programs.
const (
	opExtended     = 0
	opCopy         = 1
	opAdvancePC    = 2
	opAdvanceLine  = 3
	opSetFile      = 4
	opSetColumn    = 5
	opConstAddPC   = 8
	opFixedAdvance = 9

	extEndSequence = 1
	extSetAddress  = 2
)

// machine is the state of a line program.
type machine struct{ address, line, column, file uint64 }

func newMachine() machine { return machine{line: 1, file: 1} }

// run runs a line program.
func (r *reader) run(p *program, c *cursor) {
	m := newMachine()
	for len(c.b) > 0 && len(r.sequence) < MaxRows {
		op := c.u8()
		switch {
		case op >= p.opcodeBase:
			adjusted := op - p.opcodeBase
			m.address += p.step * uint64(adjusted/p.lineRange)
			m.line += uint64(int64(p.lineBase) + int64(adjusted%p.lineRange))
			r.row(p, &m)
		case op == opExtended:
			arguments := cursor{b: c.take(c.uleb())}
			switch arguments.u8() {
			case extEndSequence:
				r.sequence = append(r.sequence, row{address: address32(m.address), file: -1})
				r.finish()
				m = newMachine()
			case extSetAddress:
				m.address = 0
				for i, b := range arguments.b[:min(len(arguments.b), 8)] {
					m.address |= uint64(b) << (8 * i)
				}
			}
		case op == opCopy:
			r.row(p, &m)
		case op == opAdvancePC:
			m.address += p.step * c.uleb()
		case op == opAdvanceLine:
			m.line += uint64(c.sleb())
		case op == opSetFile:
			m.file = c.uleb()
		case op == opSetColumn:
			m.column = c.uleb()
		case op == opConstAddPC:
			m.address += p.step * uint64((255-p.opcodeBase)/p.lineRange)
		case op == opFixedAdvance:
			m.address += uint64(c.u16())
		default:
			for range p.lengths[op-1] {
				c.uleb()
			}
		}
		if c.bad {
			return
		}
	}
}

// row adds a row to the sequence.
func (r *reader) row(p *program, m *machine) {
	w := row{address: address32(m.address), file: r.fileIndex(p, m.file)}
	if m.line <= math.MaxInt32 {
		w.line = uint32(m.line)
	}
	if m.column <= math.MaxUint16 {
		w.column = uint16(m.column)
	}
	if last := len(r.sequence) - 1; m.line == 0 && last >= 0 { // of no line: it belongs to what is before it
		w.line, w.column, w.file = r.sequence[last].line, r.sequence[last].column, r.sequence[last].file
	}
	r.sequence = append(r.sequence, w)
}

// address32 is an address of a function's code, or one that none has.
func address32(address uint64) uint32 { return uint32(min(address, math.MaxUint32)) }
