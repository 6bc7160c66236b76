package binary

import (
	"bytes"
	"math"
)

var (
	magic   = []byte("\x00asm")
	version = []byte{1, 0, 0, 0}
)

// Section numbers.
const (
	secCustom    = 0
	secType      = 1
	secImport    = 2
	secFunction  = 3
	secTable     = 4
	secMemory    = 5
	secGlobal    = 6
	secExport    = 7
	secStart     = 8
	secElement   = 9
	secCode      = 10
	secData      = 11
	secDataCount = 12
	secTag       = 13
)

// sectionNames by number.
var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export",
	"start", "element", "code", "data", "data count", "tag"}

// sectionOrder by number: sections other than custom must come in rising order.
var sectionOrder = [...]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10}

// decoder is the state of one Decode.
type decoder struct {
	cursor
	caps Caps
	m    *Module

	tableSize, elements, allLocals, branchWork int
	dataCount                                  uint32

	declared []uint64 // a bit for every function that may be named by ref.func in code

	consts []constValue // scratch of constExpr
	labels []label      // scratch of body

	noted    [overKinds]bool // see first
	sections []Section       // of a survey
}

// Decode decodes and checks a module. The error is an *Error that wraps
// ErrNotWasm, ErrMalformed, ErrUnsupported or ErrLimit. The module keeps
// pointing into code.
func Decode(code []byte, caps Caps) (*Module, error) {
	d := &decoder{cursor: cursor{b: code, fn: -1}, caps: caps, m: &Module{Start: -1}}
	d.module()
	if d.err != nil {
		return nil, d.err
	}
	return d.m, nil
}

func (d *decoder) module() {
	if len(d.b) < 8 || !bytes.Equal(d.b[:4], magic) {
		d.fail(ErrNotWasm, 0, `the first bytes are not "\0asm" and a version`)
		return
	}
	if !bytes.Equal(d.b[4:8], version) {
		if d.b[6] == 1 && d.b[7] == 0 {
			d.fail(ErrNotWasm, 4, "this is a component; a core module is needed")
		} else {
			d.fail(ErrNotWasm, 4, "version %d; version 1 is needed", d.b[4])
		}
		return
	}
	if len(d.b) > d.caps.Module || len(d.b) > math.MaxUint32>>1 {
		d.over("module", len(d.b) > math.MaxUint32>>1, 0, "module of %d bytes, at most %d are allowed", len(d.b), d.caps.Module)
		if d.err != nil {
			return
		}
	}
	d.pos = 8
	last := 0
	for d.rest() > 0 && d.err == nil {
		at := d.pos
		id := d.byte()
		size := d.u32()
		if d.err != nil {
			return
		}
		if id == secTag {
			d.fail(ErrUnsupported, at, "tag section: exceptions are not supported")
			return
		}
		if int(id) >= len(sectionOrder) {
			d.malformed(at, "section number %d", id)
			return
		}
		if order := sectionOrder[id]; id != secCustom {
			if order <= last {
				d.malformed(at, "%s section twice or out of order", sectionNames[id])
				return
			}
			last = order
		}
		if int64(size) > int64(d.rest()) {
			d.malformed(at, "%s section of %d bytes, %d left", sectionNames[id], size, d.rest())
			return
		}
		if d.past != nil {
			d.sections = append(d.sections, Section{sectionNames[id], at, int(size)})
		}
		d.inSection(id, int(size))
	}
	if d.err == nil {
		d.finish()
	}
}

// inSection decodes a section, which must end where its size says.
func (d *decoder) inSection(id byte, size int) {
	whole, end := d.b, d.pos+size
	d.b, d.section = whole[:end:end], sectionNames[id]
	switch id {
	case secCustom:
		d.customSection()
	case secType:
		d.typeSection()
	case secImport:
		d.importSection()
	case secFunction:
		d.functionSection()
	case secTable:
		d.tableSection()
	case secMemory:
		d.memorySection()
	case secGlobal:
		d.globalSection()
	case secExport:
		d.exportSection()
	case secStart:
		d.startSection()
	case secElement:
		d.elementSection()
	case secDataCount:
		d.dataCount, d.m.HasCount = d.u32(), true
	case secCode:
		d.codeSection()
	case secData:
		d.dataSection()
	}
	if d.err == nil && d.pos != end {
		d.malformed(d.pos, "%d bytes left over", end-d.pos)
	}
	d.b, d.section = whole, ""
	if d.err != nil {
		d.pos = len(d.b)
	}
}

// finish checks what only the complete module tells.
func (d *decoder) finish() {
	if len(d.m.Bodies) != len(d.m.FuncTypes) {
		d.malformed(d.pos, "%d functions declared, %d have code", len(d.m.FuncTypes), len(d.m.Bodies))
	}
	if d.m.HasCount && int64(d.dataCount) != int64(len(d.m.Data)) {
		d.malformed(d.pos, "%d data segments counted, %d present", d.dataCount, len(d.m.Data))
	}
}

func (d *decoder) customSection() {
	if n := len(d.m.Customs) + 1; n == d.caps.Customs+1 || n > d.caps.Customs && hopeless(int64(n), d.caps.Customs) {
		d.over("customs", hopeless(int64(n), d.caps.Customs), d.pos, "more than %d custom sections", d.caps.Customs)
		if d.err != nil {
			return
		}
	}
	name := d.name(d.caps.Name)
	d.m.Customs = append(d.m.Customs, Custom{Name: name, Payload: d.bytes(uint32(d.rest()))})
}

func (d *decoder) typeSection() {
	n := d.count("types", "types", 3, d.caps.Types)
	d.m.Types = make([]FuncType, 0, n)
	for range n {
		at := d.pos
		switch b := d.byte(); {
		case d.err != nil:
			return
		case b == 0x4e || b == 0x4f || b == 0x50 || b == 0x5e || b == 0x5f:
			d.fail(ErrUnsupported, at, "type 0x%02x: garbage collection is not supported", b)
			return
		case b != 0x60:
			d.malformed(at, "0x%02x is not a function type", b)
			return
		}
		params := d.valueTypes("params", "parameters", d.caps.Params)
		results := d.valueTypes("results", "results", d.caps.Results)
		if d.err != nil {
			return
		}
		d.m.Types = append(d.m.Types, FuncType{params, results})
	}
}

func (d *decoder) valueTypes(name, what string, limit int) ValueTypes {
	n := d.count(name, what, 1, limit)
	start := d.pos
	for range n {
		d.valueType()
	}
	if d.err != nil {
		return nil
	}
	return ValueTypes(d.b[start:d.pos:d.pos])
}

func (d *decoder) importSection() {
	n := d.count("imports", "imports", 4, d.caps.Imports)
	d.m.Imports = make([]Import, 0, n)
	for range n {
		im := Import{Module: d.name(d.caps.Name), Name: d.name(d.caps.Name)}
		at := d.pos
		im.Kind = ExternKind(d.byte())
		switch {
		case d.err != nil:
			return
		case im.Kind == ExternFunc:
			im.Type = d.typeIndex()
			d.m.importTypes = append(d.m.importTypes, im.Type)
			d.m.ImportedFuncs++
		case im.Kind == ExternTable:
			im.Table = d.table()
			d.m.ImportedTables++
		case im.Kind == ExternMemory:
			im.Memory = d.memory(true)
		case im.Kind == ExternGlobal:
			im.Global = d.globalType()
			d.m.Globals = append(d.m.Globals, im.Global)
			d.m.ImportedGlobals++
		case im.Kind == 4:
			d.fail(ErrUnsupported, at, "imported tag: exceptions are not supported")
		default:
			d.malformed(at, "import of kind %d", byte(im.Kind))
		}
		if d.err != nil {
			return
		}
		d.m.Imports = append(d.m.Imports, im)
	}
}

func (d *decoder) typeIndex() uint32 {
	at := d.pos
	i := d.u32()
	if int64(i) >= int64(len(d.m.Types)) && d.err == nil {
		d.malformed(at, "type %d of %d", i, len(d.m.Types))
	}
	return i
}

func (d *decoder) functionSection() {
	n := d.count("functions", "functions", 1, d.caps.Functions-d.m.ImportedFuncs)
	d.m.FuncTypes = make([]uint32, 0, n)
	for range n {
		t := d.typeIndex()
		if d.err != nil {
			return
		}
		d.m.FuncTypes = append(d.m.FuncTypes, t)
	}
}

// declare notes that a function is named outside of code.
func (d *decoder) declare(f uint32) {
	if d.declared == nil {
		d.declared = make([]uint64, d.m.NumFuncs()/64+1)
	}
	d.declared[f/64] |= 1 << (f % 64)
}

func (d *decoder) isDeclared(f uint32) bool {
	return len(d.declared) > 0 && d.declared[f/64]>>(f%64)&1 != 0
}

func (d *decoder) tableSection() {
	for range d.count("tables", "tables", 3, d.caps.Tables-d.m.ImportedTables) {
		d.table()
	}
}

// table reads a table's type and adds it to the index space.
func (d *decoder) table() Table {
	at := d.pos
	if at < len(d.b) && d.b[at] == 0x40 {
		d.fail(ErrUnsupported, at, "table with an initial value: typed function references are not supported")
		return Table{}
	}
	t := Table{Type: d.refType()}
	t.Min, t.Max, t.HasMax = d.limits(math.MaxUint32)
	d.tableSize += int(t.Min)
	if d.tableSize > d.caps.TableSize && d.first(overTableSize) {
		d.over("table-size", false, at, "tables of %d entries, at most %d are allowed", d.tableSize, d.caps.TableSize)
	}
	if len(d.m.Tables) >= d.caps.Tables && d.first(overTables) {
		d.over("tables", false, at, "more than %d tables", d.caps.Tables)
	}
	if d.err == nil {
		d.m.Tables = append(d.m.Tables, t)
	}
	return t
}

func (d *decoder) limits(most uint32) (lo, hi uint32, hasMax bool) {
	at := d.pos
	flags := d.byte()
	switch {
	case d.err != nil:
		return 0, 0, false
	case flags == 2 || flags == 3:
		d.fail(ErrUnsupported, at, "shared memory: threads are not supported")
	case flags >= 4 && flags < 8:
		d.fail(ErrUnsupported, at, "64-bit memory or table")
	case flags >= 8 && flags < 16:
		d.fail(ErrUnsupported, at, "pages of a custom size")
	case flags > 1:
		d.malformed(at, "limits of kind 0x%02x", flags)
	}
	lo = d.u32()
	if hasMax = flags == 1; hasMax {
		hi = d.u32()
	}
	switch {
	case d.err != nil:
	case lo > most || hi > most:
		d.malformed(at, "limits %d to %d, at most %d", lo, hi, most)
	case hasMax && lo > hi:
		d.malformed(at, "minimum %d over maximum %d", lo, hi)
	}
	return lo, hi, hasMax
}

func (d *decoder) memorySection() {
	for range d.count("", "memories", 2, math.MaxInt32) {
		d.memory(false)
	}
}

func (d *decoder) memory(imported bool) Memory {
	at := d.pos
	mem := Memory{Imported: imported}
	mem.Min, mem.Max, mem.HasMax = d.limits(1 << 16)
	if d.m.Memory != nil {
		d.fail(ErrUnsupported, at, "second memory: several memories are not supported")
	}
	if d.err == nil {
		d.m.Memory = &mem
	}
	return mem
}

func (d *decoder) globalType() Global {
	g := Global{Type: d.valueType()}
	at := d.pos
	switch b := d.byte(); {
	case d.err != nil:
	case b == 2 || b == 3:
		d.fail(ErrUnsupported, at, "shared global: threads are not supported")
	case b > 1:
		d.malformed(at, "mutability 0x%02x", b)
	default:
		g.Mutable = b == 1
	}
	return g
}

func (d *decoder) globalSection() {
	n := d.count("globals", "globals", 4, d.caps.Globals-d.m.ImportedGlobals)
	for range n {
		g := d.globalType()
		if d.err != nil {
			return
		}
		init, v := d.constExpr(g.Type)
		if d.err != nil {
			return
		}
		g.Init, g.Value, g.Known = init, v.bits, v.known
		d.m.Globals = append(d.m.Globals, g)
	}
}

func (d *decoder) exportSection() {
	n := d.count("exports", "exports", 3, d.caps.Exports)
	d.m.Exports = make([]Export, 0, n)
	seen := make(map[string]struct{}, n)
	for range n {
		at := d.pos
		e := Export{Name: d.name(d.caps.Name), Kind: ExternKind(d.byte()), Index: d.u32()}
		if d.err != nil {
			return
		}
		size := 0
		switch e.Kind {
		case ExternFunc:
			size = d.m.NumFuncs()
		case ExternTable:
			size = len(d.m.Tables)
		case ExternMemory:
			if d.m.Memory != nil {
				size = 1
			}
		case ExternGlobal:
			size = len(d.m.Globals)
		default:
			d.malformed(at, "export of kind %d", byte(e.Kind))
			return
		}
		if int64(e.Index) >= int64(size) {
			d.malformed(at, "export of %v %d of %d", e.Kind, e.Index, size)
			return
		}
		if _, twice := seen[e.Name]; twice {
			d.malformed(at, "export %.64q twice", e.Name)
			return
		}
		seen[e.Name] = struct{}{}
		if e.Kind == ExternFunc {
			d.declare(e.Index)
		}
		d.m.Exports = append(d.m.Exports, e)
	}
}

func (d *decoder) startSection() {
	at := d.pos
	f := d.u32()
	t, ok := d.m.FuncTypeIndex(f)
	switch {
	case d.err != nil:
	case !ok:
		d.malformed(at, "start function %d of %d", f, d.m.NumFuncs())
	case len(d.m.Types[t].Params)+len(d.m.Types[t].Results) > 0:
		d.malformed(at, "start function %d has parameters or results", f)
	default:
		d.m.Start = int(f)
	}
}
