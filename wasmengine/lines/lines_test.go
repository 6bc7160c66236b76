package lines_test

import (
	"debug/dwarf"
	"errors"
	"io"
	"os"
	"path"
	"testing"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/lines"
)

// compiled are the line tables of modules that compilers made.
func compiled(t testing.TB, version string) (s lines.Sections, all map[string][]byte, m *binary.Module) {
	t.Helper()
	code, err := os.ReadFile("../testdata/lines/" + version + ".wasm")
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

// FuzzRead reads tables that may hold anything.
func FuzzRead(f *testing.F) {
	for _, version := range []string{"v4", "v5"} {
		s, _, _ := compiled(f, version)
		f.Add(s.Line, s.LineStr, s.Str, uint32(1), uint32(5000))
	}
	f.Add([]byte("\xff\xff\xff\xff"), []byte{}, []byte{}, uint32(0), uint32(0))
	f.Fuzz(func(t *testing.T, line, lineStr, str []byte, first, end uint32) {
		table := lines.Read(lines.Sections{Line: line, LineStr: lineStr, Str: str}, first, end)
		for _, address := range []uint32{0, first, first + 1, (first + end) / 2, end - 1, end, end + 1, 1<<32 - 1} {
			p, ok := table.At(address)
			if ok && (p.Line < 1 || p.Column < 0) {
				t.Errorf("%d is at %+v", address, p)
			}
			if ok && (address < first || address > end) {
				t.Errorf("%d, which is outside of %d to %d, is at %+v", address, first, end, p)
			}
		}
	})
}
