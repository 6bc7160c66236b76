package loader

import (
	"bytes"
	"testing"
)

// Functions and lines are found where the code comes to lie, in a file that is moved too.
func TestDebug(t *testing.T) {
	code := read(t, "testdata/small-lines.elf")
	image, err := Load(code)
	if err != nil {
		t.Fatal(err)
	}
	debug := image.Debug.Clone()
	clear(code)
	functions, lines := debug.Functions(image.CodeStart, image.CodeEnd), debug.Lines(image.CodeStart, image.CodeEnd)
	name, at, ok := functions.At(image.Entry + 4)
	if !ok || name != "_start" || at != image.Entry {
		t.Errorf("function %q at %#x, %v; the entry is %#x", name, at, ok, image.Entry)
	}
	const first, last = 22, 28 // lines of _start in small.c
	p, ok := lines.At(image.Entry + 4)
	if !ok || p.File != "small.c" || p.Line < first || p.Line > last {
		t.Errorf("line %+v, %v", p, ok)
	}
	for _, at := range []uint64{0, image.CodeStart - 4, image.CodeEnd, image.Return, 1<<64 - 4} {
		if name, _, ok := functions.At(at); ok {
			t.Errorf("%#x is in %s", at, name)
		}
		if p, ok := lines.At(at); ok {
			t.Errorf("%#x is %+v", at, p)
		}
	}
}

// A file without symbols of functions and without lines has none, and what is too large is not kept.
func TestNoDebug(t *testing.T) {
	code := read(t, "testdata/small.elf")
	image, err := Load(code)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := image.Debug.Lines(image.CodeStart, image.CodeEnd).At(image.Entry); ok {
		t.Error("it has lines")
	}
	var none Debug
	if _, _, ok := none.Functions(image.CodeStart, image.CodeEnd).At(image.Entry); ok || none.Size() != 0 {
		t.Error("nothing has functions")
	}
	large := read(t, "testdata/small-lines.elf")
	section := sectionOf(t, large, ".debug_line")
	offset := uint64(len(large))
	large = append(large, bytes.Repeat([]byte{0}, maxDebug+1)...)
	for i := range 8 {
		large[section+24+i], large[section+32+i] = byte(offset>>(8*i)), byte(uint64(maxDebug+1)>>(8*i))
	}
	if image, err = Load(large); err != nil || image.Debug.Size() > maxDebug {
		t.Errorf("%v, %d bytes are kept", err, image.Debug.Size())
	}
}
