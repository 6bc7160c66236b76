package loader

import (
	"encoding/binary"
	"slices"
)

// Tags of the dynamic section.
const (
	tagNeeded         = 1
	tagJumpSize       = 2
	tagRelocations    = 7 // with addends
	tagRelocationSize = 8
	tagRelocationEach = 9
	tagBare           = 17 // without addends
	tagBareSize       = 18
	tagText           = 22 // some are in code
	tagJump           = 23
	tagPackedSize     = 35
	tagPacked         = 36
)

// Sizes of the records, and the one type of relocation there is.
const (
	dynamicSize        = 16
	relocationSize     = 24
	relocationRelative = 1027
)

// relocate does what a static PIE would do at its start: it adds where it is
// loaded to the addresses in its data.
func (p *parser) relocate() error {
	if p.dynamic == nil {
		return nil
	}
	var relocations, plt span
	for d := p.dynamic; len(d) >= dynamicSize; d = d[dynamicSize:] {
		value := d.u64(8)
		switch tag := d.u64(0); {
		case tag == 0:
			d = d[:dynamicSize]
		case tag == tagNeeded:
			return reject("link it with -static", "it needs a shared library")
		case tag == tagText, tag == tagBare, tag == tagBareSize, tag == tagPacked, tag == tagPackedSize:
			return reject("link it with -static-pie, -fPIE and -Wl,-z,nopack-relative-relocs", "it has relocations of a kind that functions can't have (dynamic tag %d)", tag)
		case tag == tagRelocations:
			relocations.at = value
		case tag == tagRelocationSize:
			relocations.n = value
		case tag == tagRelocationEach && value != relocationSize:
			return reject(hintDamaged, "its relocations have %d bytes each, not %d", value, relocationSize)
		case tag == tagJump:
			plt.at = value
		case tag == tagJumpSize:
			plt.n = value
		}
	}
	for _, table := range []span{relocations, plt} {
		if err := p.apply(table); err != nil {
			return err
		}
	}
	return nil
}

// apply applies a table of relocations that lies in loaded memory.
func (p *parser) apply(table span) error {
	if table.n == 0 {
		return nil
	}
	if p.bias == 0 {
		return reject("link it with -static, or as a static PIE", "it can't be moved, and has relocations")
	}
	if table.n%relocationSize != 0 || table.at > MaxAddress || table.n > MaxAddress {
		return reject(hintDamaged, "its table of relocations, %d bytes at %#x, can't be read", table.n, table.at)
	}
	s := p.within(table.at+p.bias, table.n)
	if s == nil {
		return reject(hintDamaged, "its table of relocations lies outside of its segments")
	}
	entries, ok := file(s.Data).part(table.at+p.bias-s.Address, table.n)
	if !ok {
		return reject(hintDamaged, "its table of relocations lies outside of the file")
	}
	// What is written must not be the table that is being read.
	for entries = slices.Clone(entries); len(entries) > 0; entries = entries[relocationSize:] {
		at, info, addend := entries.u64(0), entries.u64(8), entries.u64(16)
		if info != relocationRelative {
			return reject("build it with -fPIE and link it with -static-pie, without functions that are chosen at run time", "it has a relocation of type %d; only relative ones (%d) can be applied", uint32(info), relocationRelative)
		}
		if at > MaxAddress {
			return reject(hintDamaged, "a relocation is at %#x, outside of memory", at)
		}
		if err := p.write(at+p.bias, addend+p.bias); err != nil {
			return err
		}
	}
	return nil
}

// write changes a word of what a segment starts with.
func (p *parser) write(at, word uint64) error {
	for i := range p.image.Segments {
		s := &p.image.Segments[i]
		if !s.Writable || !(span{s.Address, uint64(len(s.Data))}).holds(at, 8) {
			continue
		}
		if !p.owned[i] {
			s.Data, p.owned[i] = slices.Clone(s.Data), true
		}
		binary.LittleEndian.PutUint64(s.Data[at-s.Address:], word)
		return nil
	}
	return reject("link it with -static-pie and without -Wl,-z,notext", "a relocation at %#x is not in data that can be written", at-p.bias)
}
