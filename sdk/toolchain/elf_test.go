package toolchain

import (
	"bytes"
	"debug/elf"
	"os"
	"testing"
)

func nativeSample(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("../../samples/wordmerge/wordmerge.elf")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A section that is added is there, another reader finds, and all others are as they were.
func TestAddToELF(t *testing.T) {
	code := nativeSample(t)
	f, ok := readELF(code)
	if !ok {
		t.Fatal("it can't be read")
	}
	f.add("more", []byte("what was added"))
	before, err := elf.NewFile(bytes.NewReader(code))
	if err != nil {
		t.Fatal(err)
	}
	after, err := elf.NewFile(bytes.NewReader(f.bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Sections) != len(before.Sections)+1 || len(after.Progs) != len(before.Progs) {
		t.Fatalf("%d sections and %d segments", len(after.Sections), len(after.Progs))
	}
	if got, err := after.Section("more").Data(); err != nil || string(got) != "what was added" {
		t.Errorf("%q, %v", got, err)
	}
	for i, s := range before.Sections {
		if s.Name != after.Sections[i].Name || s.Type != after.Sections[i].Type || s.Link != after.Sections[i].Link {
			t.Errorf("section %+v became %+v", s.SectionHeader, after.Sections[i].SectionHeader)
		}
		if s.Type == elf.SHT_NOBITS || s.Name == ".shstrtab" || s.Size == 0 {
			continue
		}
		was, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		if is, err := after.Sections[i].Data(); err != nil || !bytes.Equal(was, is) {
			t.Errorf("section %s has changed: %v", s.Name, err)
		}
	}
	for i, p := range before.Progs {
		if p.ProgHeader != after.Progs[i].ProgHeader {
			t.Errorf("segment %+v became %+v", p.ProgHeader, after.Progs[i].ProgHeader)
		}
	}
}

// Whatever a linker leaves, what is loaded stays, and the result can be read again.
func FuzzELF(f *testing.F) {
	f.Add(nativeSample(f))
	f.Add([]byte("\x7fELF\x02\x01"))
	f.Fuzz(func(t *testing.T, code []byte) {
		e, ok := readELF(code)
		if !ok {
			return
		}
		loaded := len(e.loaded)
		e.add("more", []byte("x"))
		out := e.bytes()
		if len(out) < loaded || loaded > 64 && !bytes.Equal(out[64:loaded], code[64:loaded]) {
			t.Fatal("what is loaded has changed")
		}
		again, ok := readELF(out)
		if !ok {
			t.Fatal("it can't be read again")
		}
		if i := again.find("more"); i < 0 {
			t.Fatal("what was added is not there")
		}
	})
}
