package binary

// ValueType is the type of a value as it is encoded.
type ValueType byte

// The value types of WebAssembly 2.0.
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

// String is the type's name in the text format.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return "unknown"
}

// FuncType is the type of a function or block. The slices point into the
// module's bytes, so they must not be written to.
type FuncType struct {
	Params, Results ValueTypes
}

// ValueTypes is a list of value types as it is encoded, a byte each.
type ValueTypes []byte

// ExternKind says what an import or export is.
type ExternKind byte

// The kinds of imports and exports.
const (
	ExternFunc   ExternKind = 0
	ExternTable  ExternKind = 1
	ExternMemory ExternKind = 2
	ExternGlobal ExternKind = 3
)

// String is the kind's name in the text format.
func (k ExternKind) String() string {
	switch k {
	case ExternFunc:
		return "func"
	case ExternTable:
		return "table"
	case ExternMemory:
		return "memory"
	case ExternGlobal:
		return "global"
	}
	return "unknown"
}

// Import is one import; Kind says which of the last fields is set.
type Import struct {
	Module, Name string
	Kind         ExternKind
	Type         uint32 // ExternFunc: index into Types
	Table        Table  // ExternTable
	Memory       Memory // ExternMemory
	Global       Global // ExternGlobal, without Init
}

// Table is a table's type. Max has a meaning only with HasMax.
type Table struct {
	Type     ValueType // FuncRef or ExternRef
	Min, Max uint32    // entries
	HasMax   bool
}

// Memory is a memory's type. Max has a meaning only with HasMax.
type Memory struct {
	Min, Max uint32 // pages of 64 KiB, at most 65,536
	HasMax   bool
	Imported bool
}

// Global is a global of the module or the type of an imported one.
type Global struct {
	Type    ValueType
	Mutable bool
	Init    []byte // the constant expression with its end; nil for an import
	Value   uint64 // the value, if Known (floats as their bits)
	Known   bool   // Init was computed: numbers of at most 64 bits only
}

// Export names an item of one of the index spaces, imports included.
type Export struct {
	Name  string
	Kind  ExternKind
	Index uint32
}

// SegmentMode says when an element or data segment is used.
type SegmentMode byte

// The modes of segments.
const (
	Active      SegmentMode = iota // copied when the module is instantiated
	Passive                        // used by memory.init and table.init
	Declarative                    // elements only: declares functions for ref.func
)

// Element is an element segment. Its entries are not expanded.
type Element struct {
	Mode       SegmentMode
	Type       ValueType
	Table      uint32 // Active only
	OffsetExpr []byte // Active only: constant expression with its end
	Offset     uint32 // Active only: value of OffsetExpr, if Known
	Known      bool   // Offset was computed
	Exprs      bool   // entries are constant expressions rather than function indices
	Count      uint32 // entries
	Init       []byte // the entries as they are encoded, without their count
}

// Data is a data segment.
type Data struct {
	Mode       SegmentMode // Active or Passive
	OffsetExpr []byte      // Active only: constant expression with its end
	Offset     uint32      // Active only: value of OffsetExpr, if Known
	Known      bool        // Offset was computed
	Bytes      []byte
}

// Body is the code of one defined function.
type Body struct {
	Raw    []byte // local declarations and instructions, up to and with the last end
	First  uint32 // offset of the first instruction in Raw
	Offset uint32 // offset of Raw in the module
	Locals uint32 // locals declared, parameters not included
	Blocks uint32 // block, loop and if instructions
	Calls  uint32 // call, call_indirect, return_call and return_call_indirect instructions
}

// Custom is a custom section.
type Custom struct {
	Name    string
	Payload []byte
}

// Counts tells how large a module is.
type Counts struct {
	Functions    int // defined functions
	Locals       int // declared by all functions, parameters not included
	Blocks       int
	Calls        int
	LargestBody  int // bytes
	MostLocals   int // of one function, parameters included
	MostBlocks   int // of one function
	MostCalls    int // of one function
	DeepestBlock int // greatest nesting
}

// Module is a decoded module. Its byte slices point into the bytes that were
// decoded, which must not change while it is used. A Module may be read by
// many goroutines.
type Module struct {
	Types     []FuncType
	Imports   []Import
	FuncTypes []uint32 // type index of every defined function
	Tables    []Table  // imported ones first
	Memory    *Memory  // nil without a memory
	Globals   []Global // imported ones first
	Exports   []Export
	Start     int // function index, or -1
	Elements  []Element
	Data      []Data
	HasCount  bool // there is a data count section
	Bodies    []Body
	Code      uint32 // offset of the content of the code section in the module: places in line tables count from it
	Customs   []Custom
	Counts    Counts

	ImportedFuncs   int
	ImportedTables  int
	ImportedGlobals int

	importTypes []uint32 // type index of every imported function
}

// NumFuncs is the size of the function index space, imports included.
func (m *Module) NumFuncs() int { return m.ImportedFuncs + len(m.FuncTypes) }

// FuncTypeIndex is the type index of function f of the index space; ok is
// false if there is no such function.
func (m *Module) FuncTypeIndex(f uint32) (index uint32, ok bool) {
	if int64(f) < int64(m.ImportedFuncs) {
		return m.importTypes[f], true
	}
	if i := int64(f) - int64(m.ImportedFuncs); i < int64(len(m.FuncTypes)) {
		return m.FuncTypes[i], true
	}
	return 0, false
}

// Export finds an export by name.
func (m *Module) Export(name string) (Export, bool) {
	for _, e := range m.Exports {
		if e.Name == name {
			return e, true
		}
	}
	return Export{}, false
}

// Custom finds the payload of the first custom section of that name.
func (m *Module) Custom(name string) ([]byte, bool) {
	for _, c := range m.Customs {
		if c.Name == name {
			return c.Payload, true
		}
	}
	return nil, false
}
