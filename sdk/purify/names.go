package purify

import (
	"maps"
	"slices"

	"pappus/wasmengine/binary"
)

const (
	sectionName     = "name"
	sectionManifest = "pappus"
)

// kept are the custom sections that say the same of the pure function.
var kept = []string{"producers", "target_features", sectionGo}

// addNames names all functions for the stacks of traps: as the program does,
// by its exports where it does not, and the adapter's.
func (m *merger) addNames() error {
	p := m.program
	names := map[uint32]string{}
	at := uint32(0)
	for _, im := range p.Imports {
		if im.Kind == binary.ExternFunc {
			names[at] = im.Module + "." + im.Name
			at++
		}
	}
	for _, x := range p.Exports {
		if x.Kind == binary.ExternFunc && names[x.Index] == "" {
			names[x.Index] = x.Name
		}
	}
	maps.Insert(names, p.FuncNames())
	for i, name := range m.adapter.module.FuncNames() {
		names[m.functions+i] = name
	}
	names[uint32(len(m.out.FuncTypes)-1)] = "pappus.start"

	list := binary.AppendU32(nil, uint32(len(names)))
	for _, i := range slices.Sorted(maps.Keys(names)) {
		list = binary.AppendName(binary.AppendU32(list, i), names[i])
	}
	const functions = 1 // subsection
	payload := binary.AppendU32([]byte{functions}, uint32(len(list)))
	m.out.Customs = append(m.out.Customs, binary.Custom{Name: sectionName, Payload: append(payload, list...)})
	for _, c := range p.Customs {
		if slices.Contains(kept, c.Name) {
			m.out.Customs = append(m.out.Customs, c)
		}
	}
	return nil
}
