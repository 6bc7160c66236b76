package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pappus/engine"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// at is the byte of an image's memory at an address.
func (i *Image) at(t *testing.T, address uint64, n int) []byte {
	t.Helper()
	for _, s := range i.Segments {
		if s.span().holds(address, uint64(n)) {
			b := make([]byte, n)
			if off := address - s.Address; off < uint64(len(s.Data)) {
				copy(b, s.Data[off:])
			}
			return b
		}
	}
	t.Fatalf("%#x is in no segment", address)
	return nil
}

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		file                 string
		start, entry, system uint64
		segments             int
	}{
		{"testdata/small.elf", 0x10000, 0x10120, 0x11ff0, 2},
		{"testdata/small-lld.elf", 0x200000, 0x201158, 0x202188, 3},
		{"testdata/small-pie.elf", StackRoom, StackRoom + 0x220, StackRoom + 0x2000, 2},
	} {
		code := read(t, c.file)
		before := slices.Clone(code)
		image, err := Load(code)
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if !bytes.Equal(code, before) {
			t.Errorf("%s was changed", c.file)
		}
		if image.Start != c.start || image.Entry != c.entry || image.System != c.system || len(image.Segments) != c.segments {
			t.Errorf("%s: %d segments from %#x on, entry %#x, system struct %#x", c.file, len(image.Segments), image.Start, image.Entry, image.System)
		}
		if len(image.Manifest.Inputs) != 1 || image.Manifest.Outputs[0].Name != "b" {
			t.Errorf("%s: manifest %+v", c.file, image.Manifest)
		}
		system := image.at(t, image.System, 24)
		if binary.LittleEndian.Uint32(system) != 256 || system[8] != 1 || system[16] != 2 {
			t.Errorf("%s: the system struct at %#x begins with %x", c.file, image.System, system)
		}
		if slot := image.at(t, image.Return, ReturnSize); !bytes.Equal(slot, make([]byte, ReturnSize)) {
			t.Errorf("%s: the slot at %#x is %x", c.file, image.Return, slot)
		}
		// The exit follows from the entry within the code.
		if code := image.at(t, image.Entry, 48); !bytes.Contains(code, []byte{0x1d, 0x10, 0xc4, 0xc2}) {
			t.Errorf("%s: at its entry %#x there is %x", c.file, image.Entry, code)
		}
		if pointed := pointer(t, image); binary.LittleEndian.Uint32(pointed) != 7 {
			t.Errorf("%s: the pointer in its data points at %x", c.file, pointed)
		}
	}
}

// pointer follows the variable that holds an address.
func pointer(t *testing.T, image *Image) []byte {
	t.Helper()
	for i := range image.Segments {
		s := &image.Segments[i]
		for off := 0; s.Writable && off+8 <= len(s.Data); off += 8 {
			p := binary.LittleEndian.Uint64(s.Data[off:])
			if s.span().holds(p, 4) && p != s.Address && binary.LittleEndian.Uint32(image.at(t, p, 4)) == 7 {
				return image.at(t, p, 4)
			}
		}
	}
	t.Error("no pointer points at the number 7")
	return make([]byte, 4)
}

// The samples load.
func TestLoadSamples(t *testing.T) {
	files, err := filepath.Glob("../../samples/*/*.elf")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		image, err := Load(read(t, f))
		if err != nil {
			t.Errorf("%s: %v", f, err)
		} else if image.Manifest.Name+".elf" != filepath.Base(f) {
			t.Errorf("%s says that it is %q", f, image.Manifest.Name)
		}
	}
}

// Where things are in small.elf.
const (
	phoff   = 64
	codeSeg = phoff
	dataSeg = phoff + segmentSize
)

// A damage is a file changed so that it is refused.
type damage struct {
	name   string
	file   string // small.elf if empty
	change func([]byte) []byte
	text   string // of the reason
}

func (d damage) code(t testing.TB) []byte {
	if d.file == "" {
		d.file = "testdata/small.elf"
	}
	return d.change(read(t, d.file))
}

func damages(t testing.TB) []damage {
	put16 := func(at int, v uint16) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint16(b[at:], v); return b }
	}
	put32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[at:], v); return b }
	}
	put64 := func(at int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint64(b[at:], v); return b }
	}
	section := func(name string, at int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { return put64(sectionOf(t, b, name)+at, v)(b) }
	}
	rename := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(from), []byte(to)) }
	}
	dynamic := func(tag, newTag, value uint64) func([]byte) []byte {
		return func(b []byte) []byte {
			for at := 0xee0; at < 0xfe0; at += dynamicSize {
				if binary.LittleEndian.Uint64(b[at:]) == tag {
					binary.LittleEndian.PutUint64(b[at:], newTag)
					binary.LittleEndian.PutUint64(b[at+8:], value)
					return b
				}
			}
			t.Fatalf("no dynamic tag %d", tag)
			return b
		}
	}
	symbol := func(name string, at int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { return put64(symbolOf(t, b, name)+at, v)(b) }
	}
	const most = 1<<64 - 1
	return []damage{
		{"nothing", "", func([]byte) []byte { return nil }, "not an ELF"},
		{"magic only", "", func(b []byte) []byte { return b[:4] }, "within the ELF header"},
		{"half a header", "", func(b []byte) []byte { return b[:63] }, "within the ELF header"},
		{"header only", "", func(b []byte) []byte { return b[:64] }, "segment headers lie outside"},
		{"32 bits", "", func(b []byte) []byte { b[4] = 1; return b }, "not a 64-bit"},
		{"big endian", "", func(b []byte) []byte { b[5] = 2; return b }, "not a 64-bit"},
		{"x86", "", put16(18, 62), "machine 62"},
		{"object file", "", put16(16, 1), "ELF type 1"},
		{"purecap", "", put32(48, flagPurecap), "pure-capability"},
		{"other flags", "", put32(48, 2), "flags are 0x2"},
		{"entry in data", "", put64(24, 0x11fe8), "not in its code"},
		{"entry between instructions", "", put64(24, 0x10122), "not in its code"},
		{"entry at the end of code", "", put64(24, 0x10178), "not in its code"},
		{"entry that overflows", "", put64(24, most), "outside of memory"},
		{"entry that overflows, moved", "testdata/small-pie.elf", put64(24, most-StackRoom+1), "outside of memory"},
		{"no segments", "", put16(56, 0), "0 segments"},
		{"many segments", "", put16(56, 65535), "65535 segments"},
		{"small segment headers", "", put16(54, 32), "32 bytes each"},
		{"segment headers outside", "", put64(32, most), "segment headers lie outside"},
		{"segment headers at the end", "", put64(32, 5680-1), "segment headers lie outside"},
		{"small section headers", "", put16(58, 40), "40 bytes each"},
		{"section headers outside", "", put64(40, most-10), "section headers lie outside"},
		{"segment outside the file", "", put64(codeSeg+8, most), "segment 0 lies outside"},
		{"segment longer than the file", "", put64(codeSeg+32, most), "segment 0 lies outside"},
		{"more in the file than in memory", "", put64(dataSeg+40, 8), "segment 1 lies outside"},
		{"segment of all addresses", "", put64(dataSeg+40, most), "beyond the largest memory"},
		{"segment of almost 4 GiB", "", put64(dataSeg+40, MaxAddress), "beyond the largest memory"},
		{"segment far up", "", put64(dataSeg+16, most-100), "beyond the largest memory"},
		{"segment that wraps when it is moved", "testdata/small-pie.elf", put64(dataSeg+16, most-StackRoom), "beyond the largest memory"},
		{"writable code", "", put32(codeSeg+4, 7), "both executed and written"},
		{"executable data", "", put32(dataSeg+4, 7), "both executed and written"},
		{"overlap", "", put64(codeSeg+40, 0x3000), "overlap"},
		{"code and data in one page", "", put64(codeSeg+40, 0x1fe8), "share a page"},
		{"unaligned code", "", put64(codeSeg+16, 0x10002), "not aligned to instructions"},
		{"linked at 0", "", put64(codeSeg+16, 0), "stack has what is below"},
		{"nothing to load", "", func(b []byte) []byte { return put32(dataSeg, 4)(put32(codeSeg, 4)(b)) }, "nothing to load"},
		{"interpreter", "", put32(dataSeg, segmentInterp), "dynamic linker"},
		{"no system struct", "", rename(SystemSymbol, "__dandelion_system_dat_"), "no symbol " + SystemSymbol},
		{"no slot", "", rename(ReturnSymbol, "__dandelion_return_nowhere"), "no symbol " + ReturnSymbol},
		{"stripped", "", put16(60, 0), "no symbol"},
		{"short struct", "", symbol(SystemSymbol, 16, 71), "has 71 bytes"},
		{"short slot", "", symbol(ReturnSymbol, 16, 15), "has 15 bytes"},
		{"struct in code", "", symbol(SystemSymbol, 8, 0x10008), "in data that can be written"},
		{"struct over the end", "", symbol(SystemSymbol, 8, 0x13400), "in data that can be written"},
		{"struct far away", "", symbol(SystemSymbol, 8, most-7), "outside of memory"},
		{"unaligned struct", "", symbol(SystemSymbol, 8, 0x11fec), "aligned to 8"},
		{"unaligned slot", "", symbol(ReturnSymbol, 8, 0x12048), "aligned to 16"},
		{"slot in the struct", "", symbol(ReturnSymbol, 8, 0x11ff0), "overlap"},
		{"undefined slot", "", func(b []byte) []byte { return put16(symbolOf(t, b, ReturnSymbol)+6, 0)(b) }, "no symbol " + ReturnSymbol},
		{"two slots", "", func(b []byte) []byte {
			return put32(symbolOf(t, b, "zeroes"), binary.LittleEndian.Uint32(b[symbolOf(t, b, ReturnSymbol):]))(b)
		}, "two symbols"},
		{"symbols outside", "", section(".symtab", 24, most), "symbol table can't be read"},
		{"symbols of no size", "", section(".symtab", 56, 0), "symbol table can't be read"},
		{"half a symbol", "", section(".symtab", 32, 25), "symbol table can't be read"},
		{"names outside", "", section(".strtab", 32, most), "names of its symbol table"},
		{"names of no section", "", section(".symtab", 40, 99), "has no names"},
		{"two symbol tables", "", section(".strtab", 4, sectionSymbols), "two symbol tables"},
		{"manifest outside", "", section("pappus", 32, most), `section "pappus" lies outside`},
		{"manifest of no JSON", "", rename(`"inputs"`, `"inputz"`), "section pappus can't be read"},
		{"layout", "", rename(`{"inputs": ["a"], `, `{"layout":"fixed",`), `layout "fixed"`},
		{"dynamic section outside", "testdata/small-pie.elf", put64(phoff+2*segmentSize+8, most), "dynamic section lies outside"},
		{"shared library", "testdata/small-pie.elf", dynamic(5, tagNeeded, 1), "shared library"},
		{"packed relocations", "testdata/small-pie.elf", dynamic(5, tagPacked, 1), "of a kind"},
		{"relocations in code", "testdata/small-pie.elf", dynamic(5, tagText, 1), "of a kind"},
		{"relocations outside", "testdata/small-pie.elf", dynamic(tagRelocations, tagRelocations, 0x9000), "outside of its segments"},
		{"relocations far away", "testdata/small-pie.elf", dynamic(tagRelocations, tagRelocations, most), "can't be read"},
		{"relocations in zeroes", "testdata/small-pie.elf", dynamic(tagRelocations, tagRelocations, 0x2100), "outside of the file"},
		{"as many relocations as can be", "testdata/small-pie.elf", dynamic(tagRelocationSize, tagRelocationSize, most-most%24), "can't be read"},
		{"half a relocation", "testdata/small-pie.elf", dynamic(tagRelocationSize, tagRelocationSize, 25), "can't be read"},
		{"long relocations", "testdata/small-pie.elf", dynamic(tagRelocationEach, tagRelocationEach, 32), "32 bytes each"},
		{"a relocation of another type", "testdata/small-pie.elf", put64(0x208, 1032), "type 1032"},
		{"a relocation with a symbol", "testdata/small-pie.elf", put64(0x208, 1<<32|relocationRelative), "only relative ones"},
		{"a relocation of code", "testdata/small-pie.elf", put64(0x200, 0x220), "not in data"},
		{"a relocation over the end of data", "testdata/small-pie.elf", put64(0x200, 0x2054), "not in data"},
		{"a relocation of zeroes", "testdata/small-pie.elf", put64(0x200, 0x2100), "not in data"},
		{"a relocation far away", "testdata/small-pie.elf", put64(0x200, most), "outside of memory"},
	}
}

func TestRefused(t *testing.T) {
	for _, d := range damages(t) {
		image, err := Load(d.code(t))
		var r *engine.RejectedError
		switch {
		case !errors.As(err, &r):
			t.Errorf("%s: %v, image %+v", d.name, err, image)
		case !strings.Contains(r.Reason, d.text) || r.Hint == "":
			t.Errorf("%s: %q, hint %q; want %q", d.name, r.Reason, r.Hint, d.text)
		}
	}
}

// Code is bounded, up to the last byte.
func TestMuchCode(t *testing.T) {
	small := read(t, "testdata/small.elf")
	for _, c := range []struct {
		size int
		ok   bool
	}{{MaxCode, true}, {MaxCode + 1, false}} {
		code := append(slices.Clone(small), make([]byte, c.size)...)
		for _, at := range []int{codeSeg + 32, codeSeg + 40} {
			binary.LittleEndian.PutUint64(code[at:], uint64(c.size))
		}
		// What is data moves up, and with it what the symbols name.
		const up = 1 << 24
		for _, at := range []int{dataSeg + 16, symbolOf(t, code, SystemSymbol) + 8, symbolOf(t, code, ReturnSymbol) + 8} {
			binary.LittleEndian.PutUint64(code[at:], binary.LittleEndian.Uint64(code[at:])+up)
		}
		_, err := Load(code)
		if (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "the most is 8MiB") {
			t.Errorf("%d bytes of code: %v", c.size, err)
		}
	}
}

// sectionOf is where a section's header is.
func sectionOf(t testing.TB, b []byte, name string) int {
	t.Helper()
	p := parser{file: b}
	if err := p.readHeader(); err != nil {
		t.Fatal(err)
	}
	for i := range p.sectionCount() {
		if p.names.named(uint64(p.section(i).u32(0)), name) {
			return int(file(b).u64(40)) + i*sectionSize
		}
	}
	t.Fatalf("no section %s", name)
	return 0
}

// symbolOf is where a symbol is.
func symbolOf(t testing.TB, b []byte, name string) int {
	t.Helper()
	symbols, names := file(b[sectionOf(t, b, ".symtab"):]), file(b[sectionOf(t, b, ".strtab"):])
	for at := symbols.u64(24); at < symbols.u64(24)+symbols.u64(32); at += symbolSize {
		if file(b).named(names.u64(24)+uint64(file(b).u32(int(at))), name) {
			return int(at)
		}
	}
	t.Fatalf("no symbol %s", name)
	return 0
}

// Whatever the bytes, they are refused, or what comes of them is as Image says.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*.elf", "../../samples/matmul/*.elf", "../../samples/wordcount/*.elf"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no %s, %v", pattern, err)
		}
		for _, name := range files {
			code := read(f, name)
			f.Add(code)
			f.Add(code[:len(code)/2])
		}
	}
	for _, d := range damages(f) {
		f.Add(d.code(f))
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		image, err := Load(code)
		if err != nil {
			var r *engine.RejectedError
			if !errors.As(err, &r) || r.Reason == "" || r.Hint == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		held := uint64(0)
		last := image.Start
		for i := range image.Segments {
			s := &image.Segments[i]
			if s.Address < last || s.Size == 0 || s.span().end() > MaxAddress || uint64(len(s.Data)) > s.Size || s.Writable && s.Executable {
				t.Fatalf("segment %+v behind %#x", s, last)
			}
			last = s.span().end()
			held += uint64(len(s.Data))
		}
		if last != image.End || image.Start < MinStack || image.CodeEnd > image.End {
			t.Fatalf("%#x to %#x, code to %#x", image.Start, image.End, image.CodeEnd)
		}
		// Nothing was made by a claim: each segment holds no more than the file.
		if held > uint64(len(code))*uint64(len(image.Segments)) {
			t.Fatalf("%d bytes of a file of %d", held, len(code))
		}
		functions, lines := image.Debug.Functions(image.CodeStart, image.CodeEnd), image.Debug.Lines(image.CodeStart, image.CodeEnd)
		for _, at := range []uint64{0, image.CodeStart, image.Entry, image.CodeEnd - 4, image.CodeEnd, 1<<64 - 1} {
			name, begins, ok := functions.At(at)
			if ok && (name == "" || begins > at || begins < image.CodeStart || at >= image.CodeEnd) {
				t.Fatalf("%#x is in %q at %#x", at, name, begins)
			}
			if p, ok := lines.At(at); ok && (p.Line < 1 || at >= image.CodeEnd) {
				t.Fatalf("%#x is %+v", at, p)
			}
		}
		if clone := image.Debug.Clone(); clone.Size() != image.Debug.Size() || clone.Size() > 5*maxDebug {
			t.Fatalf("%d bytes, and a copy of %d", image.Debug.Size(), clone.Size())
		}
		p := parser{image: *image}
		for _, place := range []struct {
			at, n, align uint64
			code         bool
		}{{image.Entry, 4, 4, true}, {image.System, 72, 8, false}, {image.Return, 16, 16, false}} {
			s := p.within(place.at, place.n)
			if s == nil || place.at%place.align != 0 || s.Executable != place.code || s.Writable == place.code {
				t.Fatalf("%#x is in %+v", place.at, s)
			}
		}
	})
}
