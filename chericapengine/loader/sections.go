package loader

import "pappus/engine"

// ManifestSection is the name of the section that holds the manifest.
const ManifestSection = "pappus"

// Types of sections.
const (
	sectionSymbols        = 2
	sectionNoBits         = 8
	sectionDynamicSymbols = 11
)

// section is the header of one, which there is.
func (p *parser) section(i int) file { return p.sections[i*sectionSize:] }

func (p *parser) sectionCount() int { return len(p.sections) / sectionSize }

// contents are the bytes of a section in the file.
func (p *parser) contents(i int) (file, bool) {
	h := p.section(i)
	if h.u32(4) == sectionNoBits {
		return nil, false
	}
	return p.file.part(h.u64(24), h.u64(32))
}

// readSections looks for the platform's symbols and the manifest.
func (p *parser) readSections() error {
	// No section is read twice: the time would be the product of two sizes.
	var symbols, dynamic, manifests int
	for i := range p.sectionCount() {
		h := p.section(i)
		kind := h.u32(4)
		switch kind {
		case sectionSymbols:
			symbols++
		case sectionDynamicSymbols:
			dynamic++
		}
		p.readDebug(i)
		manifest := p.names.named(uint64(h.u32(0)), ManifestSection)
		if manifest {
			manifests++
		}
		if symbols > 1 || dynamic > 1 || manifests > 1 {
			return reject(hintDamaged, "it has two symbol tables, or two sections %q", ManifestSection)
		}
		if kind == sectionSymbols || kind == sectionDynamicSymbols {
			if err := p.readSymbols(i, kind == sectionSymbols); err != nil {
				return err
			}
		}
		if manifest {
			if err := p.readManifest(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *parser) readManifest(i int) error {
	text, ok := p.contents(i)
	if !ok {
		return reject(hintDamaged, "its section %q lies outside of the file", ManifestSection)
	}
	m, err := engine.ParseManifest(text)
	if err != nil {
		return &engine.RejectedError{Reason: "its section " + ManifestSection + " can't be read: " + err.Error(), Hint: "correct the manifest in the source", Err: err}
	}
	if m.Layout != "" && m.Layout != "grow" {
		return reject("leave the layout out", "its manifest asks for layout %.20q; the one of native functions is \"grow\"", m.Layout)
	}
	p.image.Manifest = m
	return nil
}

const symbolSize = 24

// readSymbols looks through a symbol table; that of the linker names functions, too.
func (p *parser) readSymbols(i int, functions bool) error {
	h := p.section(i)
	symbols, ok := p.contents(i)
	if !ok || h.u64(56) != symbolSize || len(symbols)%symbolSize != 0 {
		return reject(hintDamaged, "its symbol table can't be read")
	}
	link := h.u32(40)
	if uint64(link) >= uint64(p.sectionCount()) {
		return reject(hintDamaged, "its symbol table has no names")
	}
	names, ok := p.contents(int(link))
	if !ok {
		return reject(hintDamaged, "the names of its symbol table lie outside of the file")
	}
	if functions && len(symbols) <= maxDebug && len(names) <= maxDebug {
		p.image.Debug.symbols, p.image.Debug.names = symbols, names
	}
	for ; len(symbols) > 0; symbols = symbols[symbolSize:] {
		const undefined = 0
		if symbols.u16(6) == undefined {
			continue
		}
		name, at := uint64(symbols.u32(0)), span{symbols.u64(8), symbols.u64(16)}
		for _, wanted := range []struct {
			name string
			s    *symbol
		}{{SystemSymbol, &p.system}, {ReturnSymbol, &p.slot}} {
			if !names.named(name, wanted.name) {
				continue
			}
			if wanted.s.found && wanted.s.span != at {
				return reject("link the runtime of the SDK once", "it has two symbols %s, at %#x and %#x", wanted.name, wanted.s.at, at.at)
			}
			*wanted.s = symbol{true, at}
		}
	}
	return nil
}
