package lines

import "encoding/binary"

// Move is the table of the same code elsewhere: what was at an address is where
// to says, which must keep the order of addresses.
func (t *Table) Move(to func(address uint32) uint32) *Table {
	moved := &Table{rows: make([]row, len(t.rows)), files: t.files}
	for i, w := range t.rows {
		w.address = to(w.address)
		moved.rows[i] = w
	}
	return moved
}

// What the line programs have that are written here: the usual numbers.
const (
	ownLineBase   = -5
	ownLineRange  = 14
	ownOpcodeBase = 13
)

// Encode gives a .debug_line section from which Read makes a table that says the
// same, names cut as Read cuts them; nil for one that says nothing. It is one
// unit of version 4, whose names of files are as Position has them.
func (t *Table) Encode() []byte {
	const header = 10 // length of the unit, version, length of the header
	b := make([]byte, header, header+1<<10)
	b = append(b, 1, 1, 1, byte(ownLineBase&0xff), ownLineRange, ownOpcodeBase,
		0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, // arguments of the standard opcodes
		0) // no directories
	for _, name := range t.files {
		b = append(b, short([]byte(name))...)
		b = append(b, 0, 0, 0, 0) // its end, directory, time and length
	}
	b = append(b, 0)
	begin := len(b)
	w := writer{b: b, machine: newMachine()}
	for i, r := range t.rows {
		if i+1 == len(t.rows) || t.rows[i+1].address != r.address { // the last row of an address counts
			w.row(r)
		}
	}
	if w.b = w.b[:w.ended]; len(w.b) < begin {
		return nil
	}
	binary.LittleEndian.PutUint32(w.b, uint32(len(w.b)-4))
	binary.LittleEndian.PutUint16(w.b[4:], 4)
	binary.LittleEndian.PutUint32(w.b[6:], uint32(begin-header))
	return w.b
}

// writer writes a line program.
type writer struct {
	b       []byte
	machine machine
	open    bool // a sequence has begun
	ended   int  // length of b after the last one that has ended
}

func (w *writer) row(r row) {
	m := &w.machine
	says := r.file >= 0 && r.line > 0
	if !says && !w.open {
		return
	}
	if !w.open {
		w.open = true
		w.b = append(w.b, opExtended, 5, extSetAddress)
		w.b = binary.LittleEndian.AppendUint32(w.b, r.address)
		m.address = uint64(r.address)
	}
	further := uint64(r.address) - m.address
	if !says {
		w.advance(further)
		w.b = append(w.b, opExtended, 1, extEndSequence)
		w.open, w.ended, w.machine = false, len(w.b), newMachine()
		return
	}
	if file := uint64(r.file) + 1; file != m.file {
		w.b, m.file = binary.AppendUvarint(append(w.b, opSetFile), file), file
	}
	if column := uint64(r.column); column != m.column {
		w.b, m.column = binary.AppendUvarint(append(w.b, opSetColumn), column), column
	}
	lines := int64(r.line) - int64(m.line)
	if lines < ownLineBase || lines >= ownLineBase+ownLineRange {
		w.b, lines = appendSleb(append(w.b, opAdvanceLine), lines), 0
	}
	if further > 16 {
		w.advance(further)
		further = 0
	}
	w.b = append(w.b, byte(uint64(ownOpcodeBase+lines-ownLineBase)+ownLineRange*further))
	m.address, m.line = uint64(r.address), uint64(r.line)
}

func (w *writer) advance(addresses uint64) {
	w.b = binary.AppendUvarint(append(w.b, opAdvancePC), addresses)
}

// appendSleb appends a signed number in base 128.
func appendSleb(b []byte, v int64) []byte {
	for ; v < -64 || v > 63; v >>= 7 {
		b = append(b, byte(v)&0x7f|0x80)
	}
	return append(b, byte(v)&0x7f)
}
