package report

import (
	"fmt"
	"strings"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/meter"
)

// Module is what can be known of a module without running it.
type Module struct {
	Sections  []Section  `json:"sections"`
	Customs   []Custom   `json:"custom_sections"`
	Imports   []Import   `json:"imports"`
	Exports   []Export   `json:"exports"`
	Memory    *Memory    `json:"memory,omitempty"`
	Tables    []Table    `json:"tables"`
	Globals   []Global   `json:"globals"`
	Data      []Data     `json:"data_segments"`
	Elements  []Element  `json:"element_segments"`
	Features  []string   `json:"features"`        // see features.go
	Start     *int       `json:"start,omitempty"` // index of the start function
	Named     int        `json:"named_functions"` // functions that are defined and that the name section names
	CodeSize  int        `json:"code_size"`       // bytes of all functions
	Functions []Function `json:"functions"`       // those that are defined, in the order of their indices
	Stacks    []Stack    `json:"stacks"`          // of the entries

	graph *graph
}

// Section is a section as it lies in the file.
type Section struct {
	Name   string `json:"name"`
	Offset int    `json:"offset"`
	Size   int    `json:"size"` // of its content, bytes
}

// Custom is a custom section.
type Custom struct {
	Name string `json:"name"`
	Size int    `json:"size"` // bytes without the name
}

// Import is an import.
type Import struct {
	Module string `json:"module"`
	Name   string `json:"name"`
	Kind   string `json:"kind"` // func, table, memory, global
	Type   string `json:"type"` // as the text format writes it
}

// Export is an export.
type Export struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Index uint32 `json:"index"`
	Type  string `json:"type"`
}

// Memory is the module's memory; sizes in pages of 64 KiB.
type Memory struct {
	Minimum  uint32  `json:"minimum"`
	Maximum  *uint32 `json:"maximum,omitempty"`
	Imported bool    `json:"imported,omitempty"`
}

// Table is a table; sizes in entries.
type Table struct {
	Type    string  `json:"type"`
	Minimum uint32  `json:"minimum"`
	Maximum *uint32 `json:"maximum,omitempty"`
}

// Global is a global.
type Global struct {
	Type    string  `json:"type"`
	Mutable bool    `json:"mutable,omitempty"`
	Bits    *uint64 `json:"bits,omitempty,string"` // its initial value, if that is known
}

// Data is a data segment.
type Data struct {
	Mode   string  `json:"mode"`             // active, passive
	Offset *uint32 `json:"offset,omitempty"` // of active ones, if it is known
	Size   int     `json:"size"`
}

// Element is an element segment.
type Element struct {
	Mode   string  `json:"mode"` // active, passive, declarative
	Table  uint32  `json:"table"`
	Offset *uint32 `json:"offset,omitempty"` // of active ones, if it is known
	Count  uint32  `json:"count"`
}

// Function is a function that the module defines.
type Function struct {
	Index         int     `json:"index"`          // in the index space, imports included
	Name          string  `json:"name,omitempty"` // from the name section, or of an export
	Type          string  `json:"type"`
	Size          int     `json:"size"`         // bytes of its body
	Percent       float64 `json:"percent"`      // of the code of all functions
	Instructions  int     `json:"instructions"` // the last end included
	Locals        int     `json:"locals"`       // parameters included
	Blocks        int     `json:"blocks"`
	Loops         int     `json:"loops"`
	Calls         int     `json:"calls"`
	IndirectCalls int     `json:"indirect_calls"`
	Floats        bool    `json:"floats"`
	SIMD          bool    `json:"simd"`
	Frame         int64   `json:"frame"`     // bytes of stack that a call is charged
	Fuel          int64   `json:"fuel_once"` // if each of its instructions ran once, see meter.Estimate

	Child string `json:"child_process,omitempty"` // why it has to be compiled in a child process; set by who knows
}

// Label is what people know a function by: its name, or its index.
func (f *Function) Label() string {
	if f.Name != "" {
		return f.Name
	}
	return label(f.Index)
}

func label(index int) string { return fmt.Sprintf("func[%d]", index) }

// Of describes what a survey has read. Of a broken module the functions are
// those before the defect, and there are no estimates of the stack.
func Of(s *binary.Survey) (*Module, error) {
	m := s.Module
	r := &Module{Sections: []Section{}, Customs: []Custom{}, Imports: []Import{}, Exports: []Export{}, Tables: []Table{}, Globals: []Global{},
		Data: []Data{}, Elements: []Element{}, Functions: []Function{}, Stacks: []Stack{}}
	for _, x := range s.Sections {
		r.Sections = append(r.Sections, Section(x))
	}
	for _, c := range m.Customs {
		r.Customs = append(r.Customs, Custom{c.Name, len(c.Payload)})
	}
	if m.Memory != nil {
		r.Memory = &Memory{m.Memory.Min, optional(m.Memory.Max, m.Memory.HasMax), m.Memory.Imported}
	}
	for _, t := range m.Tables {
		r.Tables = append(r.Tables, Table{t.Type.String(), t.Min, optional(t.Max, t.HasMax)})
	}
	for _, g := range m.Globals {
		r.Globals = append(r.Globals, Global{g.Type.String(), g.Mutable, optional(g.Value, g.Known)})
	}
	for _, d := range m.Data {
		r.Data = append(r.Data, Data{mode(d.Mode), optional(d.Offset, d.Mode == binary.Active && d.Known), len(d.Bytes)})
	}
	for _, e := range m.Elements {
		r.Elements = append(r.Elements, Element{mode(e.Mode), e.Table, optional(e.Offset, e.Mode == binary.Active && e.Known), e.Count})
	}
	if m.Start >= 0 {
		r.Start = &m.Start
	}
	for _, im := range m.Imports {
		r.Imports = append(r.Imports, Import{im.Module, im.Name, im.Kind.String(), importType(m, &im)})
	}
	for _, x := range m.Exports {
		r.Exports = append(r.Exports, Export{x.Name, x.Kind.String(), x.Index, exportType(m, x)})
	}
	f := features{}
	f.module(m)
	if err := r.functions(m, f); err != nil {
		return nil, err
	}
	r.Features = f.list()
	return r, nil
}

func (r *Module) functions(m *binary.Module, used features) error {
	r.graph = newGraph(m)
	r.Functions = make([]Function, len(m.Bodies))
	estimator := meter.NewEstimator(m)
	for i := range m.Bodies {
		r.CodeSize += len(m.Bodies[i].Raw)
	}
	for i := range m.Bodies {
		f := &r.Functions[i]
		if err := r.function(m, i, estimator, used); err != nil {
			return fmt.Errorf("function %d: %w", f.Index, err)
		}
		f.Percent = 100 * float64(f.Size) / float64(r.CodeSize)
	}
	for _, x := range m.Exports {
		if i := int(x.Index) - m.ImportedFuncs; x.Kind == binary.ExternFunc && i >= 0 && i < len(r.Functions) && r.Functions[i].Name == "" {
			r.Functions[i].Name = x.Name
		}
	}
	for index, name := range m.FuncNames() {
		if i := int(index) - m.ImportedFuncs; i >= 0 && i < len(r.Functions) && name != "" {
			r.Functions[i].Name = name
			r.Named++
		}
	}
	return nil
}

func (r *Module) function(m *binary.Module, i int, estimator *meter.Estimator, used features) error {
	b, t := &m.Bodies[i], &m.Types[m.FuncTypes[i]]
	f := &r.Functions[i]
	est, err := estimator.Function(i)
	if err != nil {
		return err
	}
	*f = Function{
		Index: m.ImportedFuncs + i, Type: funcType(t), Size: len(b.Raw), Locals: len(t.Params) + int(b.Locals), Blocks: int(b.Blocks),
		Frame: est.Frame, Fuel: est.Fuel,
	}
	here := features{}
	r.graph.begin(est.Frame)
	code := binary.NewReader(b.Raw[b.First:])
	var in binary.Instr
	for code.Next(&in) {
		f.Instructions++
		here.instruction(&in)
		switch in.Op {
		case binary.OpLoop:
			f.Loops++
		case binary.OpCall, binary.OpReturnCall:
			f.Calls++
			r.graph.call(in.Index, estimator.TakesPlace(&in))
		case binary.OpCallIndirect, binary.OpReturnCallIndirect:
			f.IndirectCalls++
			r.graph.indirect()
		}
	}
	f.Floats, f.SIMD = here[featureF32] || here[featureF64], here[featureSIMD]
	for name := range here {
		used[name] = true
	}
	return code.Err()
}

// optional is a pointer to v, or nil.
func optional[T any](v T, ok bool) *T {
	if !ok {
		return nil
	}
	return &v
}

func mode(m binary.SegmentMode) string {
	switch m {
	case binary.Active:
		return "active"
	case binary.Passive:
		return "passive"
	default:
		return "declarative"
	}
}

func valueTypes(list binary.ValueTypes) string {
	names := make([]string, len(list))
	for i, t := range list {
		names[i] = binary.ValueType(t).String()
	}
	return "(" + strings.Join(names, ", ") + ")"
}

func funcType(t *binary.FuncType) string {
	return valueTypes(t.Params) + " -> " + valueTypes(t.Results)
}

// indexedType is a function type, if there is one of that index: in a broken
// module there need not be.
func indexedType(m *binary.Module, t uint32) string {
	if int64(t) >= int64(len(m.Types)) {
		return "unknown"
	}
	return funcType(&m.Types[t])
}

func between(lo, hi uint32, hasMax bool) string {
	if !hasMax {
		return fmt.Sprintf("%d", lo)
	}
	return fmt.Sprintf("%d %d", lo, hi)
}

func globalType(g *binary.Global) string {
	if g.Mutable {
		return "mut " + g.Type.String()
	}
	return g.Type.String()
}

func tableType(t *binary.Table) string {
	return between(t.Min, t.Max, t.HasMax) + " " + t.Type.String()
}

func importType(m *binary.Module, im *binary.Import) string {
	switch im.Kind {
	case binary.ExternFunc:
		return indexedType(m, im.Type)
	case binary.ExternTable:
		return tableType(&im.Table)
	case binary.ExternMemory:
		return between(im.Memory.Min, im.Memory.Max, im.Memory.HasMax)
	default:
		return globalType(&im.Global)
	}
}

func exportType(m *binary.Module, x binary.Export) string {
	switch x.Kind {
	case binary.ExternFunc:
		if t, ok := m.FuncTypeIndex(x.Index); ok {
			return indexedType(m, t)
		}
	case binary.ExternTable:
		return tableType(&m.Tables[x.Index])
	case binary.ExternMemory:
		return between(m.Memory.Min, m.Memory.Max, m.Memory.HasMax)
	case binary.ExternGlobal:
		return globalType(&m.Globals[x.Index])
	}
	return "unknown"
}
