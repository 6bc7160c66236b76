package lines

import (
	"cmp"
	"slices"
)

// MaxRows is how many rows of a line table are kept; those beyond are as if they
// were not there.
const MaxRows = 1 << 20

// maxFiles is how many files are named.
const maxFiles = 1 << 14

// Position is a place in source code.
type Position struct {
	File         string // as the compiler names it; it may hold anything
	Line, Column int    // from 1 on; Column 0: it is not known
}

// SectionLine is the section whose content says where code comes from.
const SectionLine = ".debug_line"

// MaxSize is the longest one that is worth reading, in bytes.
const MaxSize = 8 << 20

// Sections are the contents of the sections that tables are in.
type Sections struct {
	Line    []byte // .debug_line
	LineStr []byte // .debug_line_str
	Str     []byte // .debug_str
}

// Find finds them by their names. There is no table if a module has none, or too
// long a one.
func Find(custom func(name string) (content []byte, ok bool)) (s Sections, ok bool) {
	s.Line, _ = custom(SectionLine)
	if len(s.Line) == 0 || len(s.Line) > MaxSize {
		return Sections{}, false
	}
	s.LineStr, _ = custom(".debug_line_str")
	s.Str, _ = custom(".debug_str")
	return s, true
}

// Table maps addresses to positions. It may be used from many goroutines.
type Table struct {
	rows  []row // by address
	files []string
}

// row says where the code from an address on, up to that of the next row, comes
// from. A file of -1 is none.
type row struct {
	address, line uint32
	column        uint16
	file          int32
}

// At finds the position of an address.
func (t *Table) At(address uint32) (Position, bool) {
	i, exact := slices.BinarySearchFunc(t.rows, address, func(r row, a uint32) int { return cmp.Compare(r.address, a) })
	if !exact {
		i--
	}
	for exact && i+1 < len(t.rows) && t.rows[i+1].address == address {
		i++ // the last row of an address counts
	}
	if i < 0 || t.rows[i].file < 0 || t.rows[i].line == 0 {
		return Position{}, false
	}
	r := t.rows[i]
	return Position{t.files[r.file], int(r.line), int(r.column)}, true
}

// Read reads the tables of code that lies from first up to end: what tables say
// of other addresses is left out, as of functions that the linker dropped. From
// where a table is damaged nothing is read.
func Read(s Sections, first, end uint32) *Table {
	r := &reader{s: s, first: first, end: end, names: map[string]int32{}, table: &Table{}}
	rest := s.Line
	for len(rest) > 0 && len(r.table.rows) < MaxRows {
		c := cursor{b: rest}
		length := uint64(c.u32())
		if c.bad || length >= 0xfffffff0 || length > uint64(len(c.b)) {
			break
		}
		rest = c.b[length:]
		r.unit(cursor{b: c.b[:length]})
	}
	slices.SortStableFunc(r.table.rows, func(a, b row) int {
		if order := cmp.Compare(a.address, b.address); order != 0 {
			return order
		}
		return cmp.Compare(min(a.file, 0), min(b.file, 0)) // an end is before what begins there
	})
	return r.table
}

// reader reads the tables of all units.
type reader struct {
	s          Sections
	first, end uint32
	names      map[string]int32 // index in table.files
	table      *Table
	sequence   []row
}

// fileIndex is the index of a file in the table, -1 if it has none.
func (r *reader) fileIndex(p *program, number uint64) int32 {
	f := p.file(number)
	if f == nil {
		return -1
	}
	if f.index != 0 {
		return f.index - 1
	}
	name := p.path(f)
	i, known := r.names[name]
	if !known {
		if len(r.names) == maxFiles {
			return -1
		}
		i = int32(len(r.table.files))
		r.names[name] = i
		r.table.files = append(r.table.files, name)
	}
	f.index = i + 1
	return i
}

// finish takes the rows of a sequence over, unless they are of code that is not
// there.
func (r *reader) finish() {
	rows := r.sequence
	r.sequence = r.sequence[:0]
	if len(rows) < 2 || len(r.table.rows)+len(rows) > MaxRows {
		return
	}
	for i, w := range rows {
		if w.address < r.first || w.address > r.end || i > 0 && w.address < rows[i-1].address {
			return
		}
	}
	for i, w := range rows {
		if i+1 == len(rows) || w.address < rows[i+1].address { // otherwise there is no code of it
			r.table.rows = append(r.table.rows, w)
		}
	}
}
