package purify

import (
	"cmp"
	"slices"

	"pappus/engine/lines"
	"pappus/wasmengine/binary"
)

// maxMoves is how many instructions of a program with lines may become longer.
// Programs have a few; one with more has no lines afterwards.
const maxMoves = 1 << 20

// move says that the code from an offset on, up to that of the next one, is at
// another offset.
type move struct{ from, to uint32 }

// source is what is known of the lines of source code that the program is made of.
type source struct {
	table *lines.Table   // nil if nothing is
	moves map[int][]move // within bodies, by their numbers
	count int            // of moves
}

func (m *merger) readLines() error {
	p := m.program
	sections, ok := lines.Find(p.Custom)
	if n := len(p.Bodies); ok && n > 0 {
		m.source.table = lines.Read(sections, p.Bodies[0].Offset-p.Code, p.Bodies[n-1].Offset+uint32(len(p.Bodies[n-1].Raw))-p.Code)
		m.source.moves = map[int][]move{}
	}
	return nil
}

// moved notes what has become of a body from an offset on.
func (s *source) moved(body int, by move) {
	if s.table == nil {
		return
	}
	if s.count++; s.count > maxMoves {
		*s = source{}
		return
	}
	s.moves[body] = append(s.moves[body], by)
}

// addLines gives the function a line table of its own for the program's code. The
// other sections of debugging information are left out: they speak of places in
// code that has moved, and nothing here reads them.
func (m *merger) addLines() error {
	if m.source.table == nil {
		return nil
	}
	p := m.program
	var all []move // offsets in the code sections
	at := len(binary.AppendU32(nil, uint32(len(m.out.Bodies))))
	for i, body := range m.out.Bodies {
		at += len(binary.AppendU32(nil, uint32(len(body.Raw))))
		if own := i - p.ImportedFuncs; own >= 0 && own < len(p.Bodies) {
			from := p.Bodies[own].Offset - p.Code
			all = append(all, move{from, uint32(at)})
			for _, by := range m.source.moves[own] {
				all = append(all, move{from + by.from, uint32(at) + by.to})
			}
		}
		at += len(body.Raw)
	}
	all = append(all, move{^uint32(0), uint32(at)}) // nothing is behind
	table := m.source.table.Move(func(address uint32) uint32 {
		i, exact := slices.BinarySearchFunc(all, address, func(b move, address uint32) int { return cmp.Compare(b.from, address) })
		if exact {
			return all[i].to
		}
		// Between two bodies is a number that may have become shorter.
		return min(all[i-1].to+address-all[i-1].from, all[i].to)
	})
	if section := table.Encode(); len(section) > 0 && len(section) <= lines.MaxSize {
		m.out.Customs = append(m.out.Customs, binary.Custom{Name: lines.SectionLine, Payload: section})
	}
	return nil
}
