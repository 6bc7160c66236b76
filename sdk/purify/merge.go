package purify

import (
	"fmt"
	"slices"
	"strings"

	"pappus/wasmengine/binary"
)

// What a function exports.
const (
	exportMemory     = "memory"
	exportStart      = "_start"
	exportInitialize = "_initialize"
	exportSystem     = "__dandelion_system_data"
	exportHeapBase   = "__heap_base"
	exportHeapEnd    = "__heap_end"
)

// libraryEntry is the entry of a module that has no _start.
const libraryEntry = "run"

// addProgram takes over the program, its memory being one that only seems to
// grow.
func (m *merger) addProgram() error {
	p := m.program
	m.out.Types = slices.Clone(p.Types)
	m.out.Tables = p.Tables
	m.out.Memory = &binary.Memory{Min: m.pages, Max: m.pages, HasMax: true}
	m.out.Globals = slices.Clone(p.Globals)
	m.out.Start = p.Start
	m.out.HasCount = p.HasCount
	m.out.FuncTypes = append(m.out.FuncTypes, p.FuncTypes...)
	for i := range p.Bodies {
		m.out.Bodies = append(m.out.Bodies, m.virtual(i))
	}
	m.out.Elements = append(slices.Clip(p.Elements), m.declare()...)
	for i := range p.Data {
		d := p.Data[i]
		if d.Mode == binary.Active && d.Known {
			if end := uint64(d.Offset) + uint64(len(d.Bytes)); end > uint64(p.Memory.Min)*PageSize {
				return refuse("build it again; no linker makes that", "data segment %d reaches to %#x, outside of the program's memory of %d pages", i, end, p.Memory.Min)
			}
		}
		m.out.Data = append(m.out.Data, d)
	}
	return nil
}

// declare gives an element segment that does nothing but name functions that code
// refers to. They may be named by exports alone, which don't stay.
func (m *merger) declare() []binary.Element {
	e := binary.Element{Mode: binary.Declarative, Type: binary.FuncRef}
	for _, x := range m.program.Exports {
		if m.referred[x.Index] && x.Kind == binary.ExternFunc {
			delete(m.referred, x.Index)
			e.Init = binary.AppendU32(e.Init, x.Index)
			e.Count++
		}
	}
	if e.Count == 0 {
		return nil
	}
	return []binary.Element{e}
}

// virtual has a function ask the adapter how large its memory is, and for more.
func (m *merger) virtual(number int) binary.Body {
	body := &m.program.Bodies[number]
	code := body.Raw[body.First:]
	out, done := body.Raw, 0
	r, in := binary.NewReader(code), binary.Instr{}
	for r.Next(&in) {
		switch in.Op {
		case binary.OpMemorySize, binary.OpMemoryGrow:
		case binary.OpRefFunc:
			m.referred[in.Index] = true
			continue
		default:
			continue
		}
		if done == 0 {
			out = slices.Clone(body.Raw[:body.First])
		}
		to := m.adapter.size0
		if in.Op == binary.OpMemoryGrow {
			to = m.adapter.grow
		}
		out = append(out, code[done:in.Start]...)
		out = binary.AppendU32(binary.AppendOp(out, binary.OpCall), m.functions+to)
		done = in.End
		m.source.moved(number, move{body.First + uint32(in.End), uint32(len(out))})
	}
	if done != 0 {
		out = append(out, code[done:]...)
	}
	return binary.Body{Raw: out}
}

// addAdapter puts the adapter behind the program, and tells it what it has to
// know.
func (m *merger) addAdapter() error {
	a := m.adapter.at(m.base, m.functions, m.types, m.globals)
	m.out.Types = append(m.out.Types, a.types...)
	m.out.FuncTypes = append(m.out.FuncTypes, a.funcTypes...)
	m.out.Bodies = append(m.out.Bodies, a.bodies...)
	m.out.Globals = append(m.out.Globals, a.globals...)
	m.out.Data = append(m.out.Data, a.data...)

	most := uint32(maxPages)
	if m.program.Memory.HasMax {
		most = min(most, m.program.Memory.Max)
	}
	var facts []byte
	for _, v := range []uint32{m.program.Memory.Min, max(most, m.program.Memory.Min), m.base} {
		facts = append(facts, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	m.out.Data = append(m.out.Data, binary.Data{Mode: binary.Active, OffsetExpr: constant(m.base + a.program), Bytes: facts})

	m.export(exportMemory, binary.ExternMemory, 0)
	m.exportAddress(exportSystem, m.base+a.system)
	m.exportAddress(exportHeapBase, m.program.Memory.Min*PageSize)
	m.exportAddress(exportHeapEnd, m.base)
	return nil
}

func (m *merger) export(name string, kind binary.ExternKind, index uint32) {
	m.out.Exports = append(m.out.Exports, binary.Export{Name: name, Kind: kind, Index: index})
}

func (m *merger) exportAddress(name string, value uint32) {
	m.export(name, binary.ExternGlobal, uint32(len(m.out.Globals)))
	m.out.Globals = append(m.out.Globals, binary.Global{Type: binary.I32, Init: constant(value)})
}

// constant is the expression that gives an address.
func constant(value uint32) []byte {
	return binary.AppendOp(binary.AppendS64(binary.AppendOp(nil, binary.OpI32Const), int64(int32(value))), binary.OpEnd)
}

// addEntries makes _start of the program's entry, between the beginning of a
// call and its end, and keeps _initialize, from which the engine makes an image.
func (m *merger) addEntries() error {
	entry, exits, err := m.entry()
	if err != nil {
		return err
	}
	call := func(b []byte, f uint32) []byte { return binary.AppendU32(binary.AppendOp(b, binary.OpCall), f) }
	body := call([]byte{0}, m.functions+m.adapter.begin)
	body = call(body, entry)
	if !exits {
		body = binary.AppendS64(binary.AppendOp(body, binary.OpI32Const), 0)
	}
	body = call(body, m.functions+m.adapter.end)
	m.export(exportStart, binary.ExternFunc, uint32(len(m.out.FuncTypes)))
	m.out.FuncTypes = append(m.out.FuncTypes, m.plainType())
	m.out.Bodies = append(m.out.Bodies, binary.Body{Raw: binary.AppendOp(body, binary.OpEnd)})

	x, ok := m.program.Export(exportInitialize)
	if !ok || x.Kind == binary.ExternFunc && x.Index == entry {
		return nil
	}
	if exits, ok := m.callable(x); !ok || exits {
		return refuse("build a WASI reactor", "the export %s is not a function of type () -> ()", exportInitialize)
	}
	m.export(exportInitialize, binary.ExternFunc, x.Index)
	return nil
}

// plainType is the index of the type () -> ().
func (m *merger) plainType() uint32 {
	i := slices.IndexFunc(m.out.Types, func(t binary.FuncType) bool { return len(t.Params)+len(t.Results) == 0 })
	if i < 0 {
		i = len(m.out.Types)
		m.out.Types = append(m.out.Types, binary.FuncType{})
	}
	return uint32(i)
}

// callable reports whether an export can be called without anything, and
// whether it gives an exit code.
func (m *merger) callable(x binary.Export) (exits, ok bool) {
	if x.Kind != binary.ExternFunc {
		return false, false
	}
	t, ok := m.program.FuncTypeIndex(x.Index)
	if !ok {
		return false, false
	}
	ft := m.program.Types[t]
	exits = string(ft.Results) == string([]byte{byte(binary.I32)})
	return exits, len(ft.Params) == 0 && (exits || len(ft.Results) == 0)
}

// entry finds the function that a call runs.
func (m *merger) entry() (index uint32, exits bool, err error) {
	name := m.options.Entry
	if name == "" {
		name = exportStart
		if _, ok := m.program.Export(name); !ok {
			name = libraryEntry
		}
	}
	x, ok := m.program.Export(name)
	if !ok {
		missing := fmt.Sprintf("the module does not export %s", name)
		if m.options.Entry == "" {
			missing = fmt.Sprintf("the module exports neither %s nor %s", exportStart, libraryEntry)
		}
		return 0, false, refuse("build a program, or "+m.choices(), "%s", missing)
	}
	if exits, ok = m.callable(x); !ok {
		return 0, false, refuse(m.choices(), "the export %s can't be the entry: it is not a function of type () -> () or () -> (i32)", name)
	}
	return x.Index, exits, nil
}

// choices names the exports that can be the entry.
func (m *merger) choices() string {
	var names []string
	for _, x := range m.program.Exports {
		if _, ok := m.callable(x); ok && x.Name != exportInitialize {
			names = append(names, shown(x.Name))
		}
	}
	const most = 10
	if len(names) == 0 {
		return "export a function without parameters, named " + libraryEntry
	}
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return "name the entry, one of: " + strings.Join(names, ", ")
}
