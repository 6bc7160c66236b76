package toolchain

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math"

	"pappus/sdk/purify"
)

// finishNative gives a native file the manifest of the project if it has none, and
// leaves out what debuggers take and stack traces don't.
func finishNative(module []byte, b *Build) ([]byte, error) {
	f, ok := readELF(module)
	if !ok {
		return module, nil // whoever looks at the file says what is wrong with it
	}
	if f.find(manifestSection) < 0 {
		text, err := nativeManifest(b)
		if err != nil {
			return nil, err
		}
		if text != nil {
			f.add(manifestSection, text)
		}
	}
	return f.bytes(), nil
}

// nativeManifest is what pappus.json says; nil if there is none.
func nativeManifest(b *Build) ([]byte, error) {
	text, err := readManifest(b.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return manifestOf(text)
}

// manifestOf is a manifest for a function that is linked with the runtime of sdk/c,
// whose heap grows.
func manifestOf(text []byte) ([]byte, error) {
	var manifest map[string]json.RawMessage
	if err := json.Unmarshal(text, &manifest); err != nil || manifest == nil {
		return nil, &purify.Error{Reason: manifestFile + " is not a JSON object", Hint: `it looks like {"inputs": ["text"], "outputs": ["counts"]}`, Err: err}
	}
	manifest["layout"] = json.RawMessage(`"grow"`)
	return json.Marshal(manifest)
}

// elfFile is a 64-bit ELF file that a linker made, taken apart: what is loaded, which stays
// as it is, and the sections behind it.
type elfFile struct {
	loaded   []byte // the header, the segments and all between
	names    []byte
	sections []elfSection
	strings  int // the section that holds the names
}

type elfSection struct {
	header  []byte
	content []byte // of those that are not loaded
}

// Sizes and places in ELF files.
const (
	elfHeader        = 64
	elfSegment       = 56
	elfSectionHeader = 64
	elfNoBits        = 8
	elfAllocated     = 2
)

// readELF takes a file apart; false if it is not of the form that linkers make.
func readELF(b []byte) (*elfFile, bool) {
	le := binary.LittleEndian
	if len(b) < elfHeader || !bytes.HasPrefix(b, []byte("\x7fELF\x02\x01")) {
		return nil, false
	}
	part := func(at, n uint64) ([]byte, bool) {
		if n > uint64(len(b)) || at > uint64(len(b))-n {
			return nil, false
		}
		return b[at : at+n], true
	}
	segments, ok := part(le.Uint64(b[32:]), elfSegment*uint64(le.Uint16(b[56:])))
	headers, found := part(le.Uint64(b[40:]), elfSectionHeader*uint64(le.Uint16(b[60:])))
	f := &elfFile{strings: int(le.Uint16(b[62:]))}
	if !ok || !found || f.strings >= len(headers)/elfSectionHeader {
		return nil, false
	}
	end := max(elfHeader, le.Uint64(b[32:])+uint64(len(segments)))
	for ; len(segments) > 0; segments = segments[elfSegment:] {
		at, n := le.Uint64(segments[8:]), le.Uint64(segments[32:])
		if _, ok := part(at, n); !ok {
			return nil, false
		}
		end = max(end, at+n)
	}
	f.loaded = b[:end]
	for ; len(headers) > 0; headers = headers[elfSectionHeader:] {
		s := elfSection{header: bytes.Clone(headers[:elfSectionHeader])}
		if !s.loaded() {
			if s.content, ok = part(le.Uint64(s.header[24:]), le.Uint64(s.header[32:])); !ok {
				return nil, false
			}
		}
		f.sections = append(f.sections, s)
	}
	f.names = f.sections[f.strings].content
	return f, !f.sections[f.strings].loaded() && len(f.sections) < math.MaxUint16
}

// loaded reports whether a section has no bytes of its own behind what is loaded.
func (s *elfSection) loaded() bool {
	kind, flags := binary.LittleEndian.Uint32(s.header[4:]), binary.LittleEndian.Uint64(s.header[8:])
	return kind == 0 || kind == elfNoBits || flags&elfAllocated != 0
}

// name is that of a section; "" if it can't be read.
func (f *elfFile) name(i int) string {
	at := uint64(binary.LittleEndian.Uint32(f.sections[i].header))
	if at >= uint64(len(f.names)) {
		return ""
	}
	name, _, _ := bytes.Cut(f.names[at:], []byte{0})
	return string(name)
}

// find is the index of a section; -1 if there is none.
func (f *elfFile) find(name string) int {
	for i := range f.sections {
		if f.name(i) == name {
			return i
		}
	}
	return -1
}

// add appends a section that is not loaded.
func (f *elfFile) add(name string, content []byte) {
	const bits = 1
	h := make([]byte, elfSectionHeader)
	binary.LittleEndian.PutUint32(h, uint32(len(f.names)))
	binary.LittleEndian.PutUint32(h[4:], bits)
	binary.LittleEndian.PutUint64(h[48:], 1) // alignment
	f.names = append(append(bytes.Clone(f.names), name...), 0)
	f.sections[f.strings].content = f.names
	f.sections = append(f.sections, elfSection{h, content})
}

// bytes puts the file together again. Sections keep their numbers, by which symbols
// name them: of those that are left out an empty header stays.
func (f *elfFile) bytes() []byte {
	le := binary.LittleEndian
	out := bytes.Clone(f.loaded)
	for i := range f.sections {
		s := &f.sections[i]
		switch {
		case s.loaded():
			continue
		case i != f.strings && !keepsSection(f.name(i)):
			s.header, s.content = make([]byte, elfSectionHeader), nil
			continue
		}
		for align := max(le.Uint64(s.header[48:]), 1); align <= 64 && uint64(len(out))%align != 0; {
			out = append(out, 0)
		}
		le.PutUint64(s.header[24:], uint64(len(out)))
		le.PutUint64(s.header[32:], uint64(len(s.content)))
		out = append(out, s.content...)
	}
	for len(out)%8 != 0 {
		out = append(out, 0)
	}
	le.PutUint64(out[40:], uint64(len(out)))
	le.PutUint16(out[60:], uint16(len(f.sections)))
	for i := range f.sections {
		out = append(out, f.sections[i].header...)
	}
	return out
}
