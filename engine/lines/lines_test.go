package lines_test

import (
	"bytes"
	"debug/dwarf"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"testing"

	"pappus/engine/lines"
	"pappus/wasmengine/binary"
)

// compiled are the line tables of modules that compilers made.
func compiled(t testing.TB, version string) (s lines.Sections, all map[string][]byte, m *binary.Module) {
	t.Helper()
	code, err := os.ReadFile("../../wasmengine/testdata/lines/" + version + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	m, err = binary.Decode(code, binary.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	all = map[string][]byte{}
	for _, c := range m.Customs {
		all[c.Name] = c.Payload
	}
	return lines.Sections{Line: all[".debug_line"], LineStr: all[".debug_line_str"], Str: all[".debug_str"]}, all, m
}

// The standard library's reader finds the same, for every address.
func TestLikeTheStandardLibrary(t *testing.T) {
	for _, version := range []string{"v4", "v5"} {
		s, all, m := compiled(t, version)
		d, err := dwarf.New(all[".debug_abbrev"], nil, nil, all[".debug_info"], all[".debug_line"], nil, all[".debug_ranges"], all[".debug_str"])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{".debug_line_str", ".debug_addr", ".debug_str_offsets", ".debug_rnglists"} {
			if err := d.AddSection(name, all[name]); err != nil {
				t.Fatal(err)
			}
		}
		last := m.Bodies[len(m.Bodies)-1]
		end := last.Offset + uint32(len(last.Raw))
		table := lines.Read(s, 1, end)
		units := d.Reader()
		found := 0
		for {
			unit, err := units.Next()
			if err != nil {
				t.Fatal(err)
			}
			if unit == nil {
				break
			}
			r, err := d.LineReader(unit)
			if err != nil || r == nil {
				continue
			}
			var before dwarf.LineEntry
			var want lines.Position
			for {
				var e dwarf.LineEntry
				if err := r.Next(&e); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if before.File != nil && !before.EndSequence && before.Address < e.Address && before.Address > 0 && before.Address < uint64(end) {
					for a := before.Address; a < e.Address; a++ {
						got, ok := table.At(uint32(a))
						if before.Line != 0 { // otherwise it counts to what is before
							want = lines.Position{File: path.Clean(before.File.Name), Line: before.Line, Column: before.Column}
						}
						if !ok || got != want {
							t.Fatalf("%s: %d is at %+v (%t), want %+v", version, a, got, ok, want)
						}
						found++
					}
				}
				before = e
			}
			units.SkipChildren()
		}
		if found < 100 {
			t.Errorf("%s: only %d addresses were compared", version, found)
		}
	}
}

func TestNothing(t *testing.T) {
	for _, address := range []uint32{0, 1, 1 << 31} {
		if p, ok := lines.Read(lines.Sections{}, 1, 100).At(address); ok {
			t.Errorf("%d is at %+v", address, p)
		}
	}
	s, _, _ := compiled(t, "v5")
	table := lines.Read(s, 1, 1<<20)
	for _, address := range []uint32{0, 1, 1 << 19, 1<<32 - 1} {
		if p, ok := table.At(address); ok {
			t.Errorf("%d is at %+v", address, p)
		}
	}
}

// unit is a line table of version 5 with a directory, files and a program.
func unit(files, program []byte) []byte {
	header := []byte{1, 1, 1, 0xfb, 14, 10, 0, 1, 1, 1, 1, 0, 0, 0, 1}
	header = append(header, 1, 1, 8, 1, '.', 0) // directories: one path
	header = append(header, files...)
	u := []byte{5, 0, 4, 0}
	u = binary32(u, len(header))
	u = append(append(u, header...), program...)
	return append(binary32(nil, len(u)), u...)
}

func binary32(b []byte, n int) []byte {
	return append(b, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

// The largest tables are read in the time that their size takes, and what is kept
// of them is bounded.
func TestLargeTables(t *testing.T) {
	const size = 8 << 20
	one := []byte{1, 1, 8, 2, 'a', 0, 'a', 0} // files: one path, twice
	start := []byte{0, 5, 2, 1, 0, 0, 0}
	end := []byte{0, 1, 1}
	many := []byte{1, 1, 0x1f, 0xff, 0xff, 3} // 65,535 files, whose names are in another section
	for i := range 0xffff {
		many = binary32(many, i)
	}
	var files []byte
	for i := range 0x4000 {
		files = append(files, 4, byte(i|0x80), byte(i>>7), 1)
	}
	var units []byte
	for len(units) < size {
		units = append(units, unit(one, slices.Concat(start, []byte{1, 2, 1}, end))...)
	}
	for name, line := range map[string][]byte{
		"rows":      unit(one, slices.Concat(start, bytes.Repeat([]byte{18}, size), end)),
		"sequences": unit(one, bytes.Repeat(slices.Concat(start, []byte{1, 2, 1}, end), size/13)),
		"units":     units,
		"files":     unit(many, slices.Concat(start, bytes.Repeat(files, size/len(files)), end)),
		"no end":    unit(one, bytes.Repeat([]byte{18}, size)),
		"numbers":   unit(one, bytes.Repeat([]byte{0xff}, size)),
	} {
		table := lines.Read(lines.Sections{Line: line, LineStr: bytes.Repeat([]byte{'x'}, 1<<16)}, 1, 1<<30)
		if p, ok := table.At(1); ok != (name == "sequences" || name == "units") || ok && p != (lines.Position{File: "a", Line: 1}) {
			t.Errorf("%s: %+v, %t", name, p, ok)
		}
	}
}

// What is written of a table says the same of every address, there or elsewhere.
func TestEncode(t *testing.T) {
	if b := new(lines.Table).Encode(); b != nil {
		t.Errorf("of nothing %d bytes", len(b))
	}
	for _, version := range []string{"v4", "v5"} {
		s, all, m := compiled(t, version)
		last := m.Bodies[len(m.Bodies)-1]
		end := last.Offset + uint32(len(last.Raw))
		table := lines.Read(s, 1, end)
		section := table.Encode()
		if len(section) == 0 || len(section) > len(all[".debug_line"]) {
			t.Errorf("%s: %d bytes of %d", version, len(section), len(all[".debug_line"]))
		}
		again := lines.Read(lines.Sections{Line: section}, 1, end)
		// Every address is twice as far, and there is more in front.
		to := func(a uint32) uint32 { return 2*a + 1000 }
		moved := lines.Read(lines.Sections{Line: table.Move(to).Encode()}, to(1), to(end))
		found := 0
		for a := range end + 10 {
			want, known := table.At(a)
			for _, other := range []struct {
				table *lines.Table
				at    uint32
			}{{again, a}, {moved, to(a)}, {moved, to(a) + 1}} {
				if got, ok := other.table.At(other.at); got != want || ok != known {
					t.Fatalf("%s: %d is at %+v (%t), want %+v (%t)", version, a, got, ok, want, known)
				}
			}
			if known {
				found++
			}
		}
		if found < 100 {
			t.Errorf("%s: only %d addresses have a line", version, found)
		}
	}
}

// FuzzRead reads tables that may hold anything, and writes what it found.
func FuzzRead(f *testing.F) {
	for _, version := range []string{"v4", "v5"} {
		s, _, _ := compiled(f, version)
		f.Add(s.Line, s.LineStr, s.Str, uint32(1), uint32(5000))
	}
	f.Add([]byte("\xff\xff\xff\xff"), []byte{}, []byte{}, uint32(0), uint32(0))
	f.Fuzz(func(t *testing.T, line, lineStr, str []byte, first, end uint32) {
		table := lines.Read(lines.Sections{Line: line, LineStr: lineStr, Str: str}, first, end)
		again := lines.Read(lines.Sections{Line: table.Encode()}, first, end)
		for _, address := range []uint32{0, first, first + 1, (first + end) / 2, end - 1, end, end + 1, 1<<32 - 1} {
			p, ok := table.At(address)
			if q, also := again.At(address); ok != also || p.Line != q.Line || p.Column != q.Column || len(p.File) <= 256 && p.File != q.File {
				t.Errorf("%d is at %+v, and written and read at %+v", address, p, q)
			}
			if ok && (p.Line < 1 || p.Column < 0) {
				t.Errorf("%d is at %+v", address, p)
			}
			if ok && (address < first || address > end) {
				t.Errorf("%d, which is outside of %d to %d, is at %+v", address, first, end, p)
			}
		}
	})
}
