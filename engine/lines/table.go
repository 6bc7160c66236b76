package lines

import (
	"cmp"
	"path"
	"slices"
	"unsafe"
)

// MaxRows is how many rows of a line table are kept; those beyond are as if they
// were not there.
const MaxRows = 1 << 20

// maxFiles is how many files are named.
const maxFiles = 1 << 14

// Making the path of a file is paid for in bytes, those of the path and fileCost more,
// which is also what it takes to keep it. A table has pathsPerByte for each byte of its
// section, several times what compilers' tables need, and maxPaths at most: once they are
// spent, files that are not known yet have no name, and their lines are dropped.
const (
	fileCost     = 64
	pathsPerByte = 16
	maxPaths     = 4 << 20
)

func pathsOf(section int) int { return min(maxPaths, pathsPerByte*section) }

// Cost is the most that a table holds which is read from a section of so many bytes, in
// bytes.
func Cost(section int) int64 {
	return int64(rowSize*min(section, MaxRows) + pathsOf(section))
}

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

const rowSize = int(unsafe.Sizeof(row{}))

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
	r := &reader{s: s, first: first, end: end, names: map[string]int32{}, table: &Table{}, paths: pathsOf(len(s.Line))}
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
	r.table.rows = sorted(r.table.rows)
	return r.table
}

// sorted are rows by address, an end before what begins there, and otherwise in the order
// that they have. To sort numbers takes a fraction of what it takes to sort rows, which
// a hostile table has in the worst order.
func sorted(rows []row) []row {
	const indexBits = 21
	keys := make([]uint64, len(rows))
	for i, w := range rows {
		keys[i] = uint64(w.address)<<(indexBits+1) | uint64(i)
		if w.file >= 0 {
			keys[i] |= 1 << indexBits
		}
	}
	slices.Sort(keys)
	inOrder := make([]row, len(rows))
	for i, key := range keys {
		inOrder[i] = rows[key&(1<<indexBits-1)]
	}
	return inOrder
}

// reader reads the tables of all units.
type reader struct {
	s          Sections
	first, end uint32
	names      map[string]int32 // index in table.files
	paths      int              // what is left for paths, in bytes
	table      *Table
	sequence   []row
}

// fileIndex is the index of a file in the table, -1 if it has none.
func (r *reader) fileIndex(p *program, number uint64) int32 {
	f := p.file(number)
	if f == nil {
		return -1
	}
	if f.index == 0 {
		f.index = r.index(p, f)
	}
	if f.index == noName {
		return -1
	}
	return f.index - 1
}

// noName is the index of a file that gets none.
const noName = -1

// index finds or makes the index of a file in the table, and adds 1 to it.
func (r *reader) index(p *program, f *file) int32 {
	if r.paths <= 0 {
		return noName
	}
	name := p.path(f)
	if r.paths -= len(name) + fileCost; r.paths < 0 {
		return noName
	}
	name = path.Clean(name)
	i, known := r.names[name]
	if !known {
		if len(r.names) == maxFiles {
			return noName
		}
		i = int32(len(r.table.files))
		r.names[name] = i
		r.table.files = append(r.table.files, name)
	}
	return i + 1
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
