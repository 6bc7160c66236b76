package meter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"pappus/wasmengine/binary"
)

// The imported function of a rewritten module, of type (i64) -> (i64): it takes
// the counter, which is negative, and returns the counter for the next slice.
const (
	ImportModule = "pappus"
	ImportName   = "slice"
)

// Bounds of a rewritten module.
const (
	maxCode    = 128 << 20 // bytes of all functions
	maxBody    = 32 << 20  // bytes of one function
	maxGrowth  = 8         // times that code may grow,
	freeGrowth = 4 << 20   // besides so many bytes
	maxGrown   = 1 << 16   // entries that a table may grow to if it starts with fewer
)

var (
	// ErrImports says that the module imports something other than a memory.
	ErrImports = errors.New("module has imports")
	// ErrTooLarge says that the module is too large once it is metered.
	ErrTooLarge = errors.New("metered module too large")
)

// Metered is a rewritten module. Its names are those of exports.
type Metered struct {
	Code   []byte
	Fuel   string // mutable i64 global: the rest of the slice; used = granted - counter
	Stack  string // mutable i64 global: bytes of stack for the next call; negative after a trap: out of stack
	Reset  string // function () -> () that gives mutable globals their initial values; "" unless Resettable
	Start  string // function () -> () that was the start function; "" if there was none
	Memory string // the memory; "" if there is none or it is not exported

	// Resettable tells that the module holds no state but its memory and its
	// mutable globals: no instruction changes a table or drops a segment.
	Resettable bool

	Image   bool     // active data segments are empty, see Options
	NoImage string   // why Image is false though the options ask for it
	Globals []string // mutable globals in their order, with Options.Globals and Image

	// Frames is what a call of each function is charged of the stack, in bytes; 0
	// for those that were added, which call nothing but the host.
	Frames []int64

	Sizes []Size // of the module's own functions, metered

	Origins [][]Origin // of the module's own functions, with Options.Origins

	Functions   int // defined functions, those added included
	LargestBody int // bytes
	MostBlocks  int // block, loop and if instructions of one function
	MostCalls   int // call instructions of one function
	MostLocals  int // locals of one function, parameters included
	Work        int // sum over functions of (blocks + 1) × (locals + 16), which the time to compile follows
}

// Size is how large one function is, which is what the time to compile it
// depends on.
type Size struct {
	Body   int // bytes
	Blocks int // block, loop and if instructions
	Calls  int // call instructions
	Locals int // parameters included
}

// Origin says that Length bytes of a metered body, from At on, are those of the
// original from From on. What follows up to the next Origin was added for the
// instruction at From + Length, or has taken its place.
type Origin struct{ At, From, Length uint32 }

// Rewrite meters a module that Decode has accepted. It does not change m, and
// the result does not point into it. The error wraps ErrImports or ErrTooLarge.
//
// The result must still be type-checked: a module that was invalid stays so.
func Rewrite(m *binary.Module) (*Metered, error) { return Options{}.Rewrite(m) }

// Rewrite does the same with options.
func (o Options) Rewrite(m *binary.Module) (*Metered, error) {
	if err := checkImports(m); err != nil {
		return nil, err
	}
	w := &rewriter{
		m:          m,
		options:    o,
		planner:    planner{m: m, keepNaNs: o.KeepNaNs},
		bulks:      map[bulk]uint32{},
		types:      map[string]uint32{},
		resettable: true,
		globals:    globals{fuel: uint32(len(m.Globals)), stack: uint32(len(m.Globals)) + 1},
	}
	return w.module()
}

// checkImports allows a memory only.
func checkImports(m *binary.Module) error {
	const listed = 20
	var list []string
	more := 0
	for _, im := range m.Imports {
		switch {
		case im.Kind == binary.ExternMemory:
		case len(list) < listed:
			list = append(list, fmt.Sprintf("%v %.64q %.64q", im.Kind, im.Module, im.Name))
		default:
			more++
		}
	}
	if len(list) == 0 {
		return nil
	}
	if more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%w: %s", ErrImports, strings.Join(list, ", "))
}

// rewriter is the state of one Rewrite.
type rewriter struct {
	m       *binary.Module
	options Options
	out     binary.Module
	planner planner
	globals globals

	bulks      map[bulk]uint32   // index of the function in place of each
	bulkList   []bulk            // in the order of those functions
	types      map[string]uint32 // index of the types that were added
	resettable bool
	keeper     int  // index of a function that keeps the module from being resettable
	empty      bool // the empty data segment is used
	stats      Metered
}

// firstAdded is the index of the first function behind the module's own.
func (w *rewriter) firstAdded() uint32 { return 1 + uint32(len(w.m.Bodies)) }

func (w *rewriter) module() (*Metered, error) {
	m := w.m
	w.out = binary.Module{
		Types:     append([]binary.FuncType(nil), m.Types...),
		FuncTypes: append([]uint32(nil), m.FuncTypes...),
		Globals:   append([]binary.Global(nil), m.Globals...),
		Start:     -1,
		Data:      m.Data,
		HasCount:  m.HasCount,
	}
	i64 := binary.ValueTypes{byte(binary.I64)}
	w.out.Imports = []binary.Import{{Module: ImportModule, Name: ImportName, Kind: binary.ExternFunc, Type: w.typeOf(binary.FuncType{Params: i64, Results: i64})}}
	if err := w.functions(); err != nil {
		return nil, err
	}
	w.out.Data = w.data(m.Data)
	w.tables()
	if err := w.indices(); err != nil {
		return nil, err
	}
	if m.Memory != nil {
		mem := *m.Memory
		mem.Imported = false
		w.out.Memory = &mem
	}
	zero := binary.Global{Type: binary.I64, Mutable: true, Init: []byte{byte(binary.OpI64Const), 0, byte(binary.OpEnd)}}
	w.out.Globals = append(w.out.Globals, zero, zero)
	names := w.added()
	w.exports(w.leaveImage())
	w.names(names)
	res := w.stats
	res.Code = binary.Encode(&w.out)
	return &res, nil
}

// maxCodeOf is how many bytes a module's functions may have when they are
// metered. What compilers make grows by a half; a module of nothing but loops
// grows twenty times, and would take that much memory before anything else looks
// at it.
func maxCodeOf(m *binary.Module) int {
	size := 0
	for i := range m.Bodies {
		size += len(m.Bodies[i].Raw)
	}
	return min(freeGrowth+maxGrowth*size, maxCode)
}

// functions rewrites all bodies.
func (w *rewriter) functions() error {
	total, most := 0, maxCodeOf(w.m)
	w.out.Bodies = make([]binary.Body, 0, len(w.m.Bodies)+8)
	w.stats.Sizes = make([]Size, 0, len(w.m.Bodies))
	for i := range w.m.Bodies {
		before := w.resettable
		b, err := w.body(&w.m.Bodies[i], &w.m.Types[w.m.FuncTypes[i]])
		if err != nil {
			return fmt.Errorf("function %d: %w", i, err)
		}
		if before && !w.resettable {
			w.keeper = w.m.ImportedFuncs + i
		}
		if len(b.Raw) > maxBody {
			return fmt.Errorf("%w: function %d has %d bytes, at most %d are allowed", ErrTooLarge, i, len(b.Raw), maxBody)
		}
		if total += len(b.Raw); total > most {
			return fmt.Errorf("%w: more than %d bytes of code", ErrTooLarge, most)
		}
		params := len(w.m.Types[w.m.FuncTypes[i]].Params)
		w.stats.Sizes = append(w.stats.Sizes, Size{len(b.Raw), int(b.Blocks), int(b.Calls), int(b.Locals) + params})
		w.add(b, params)
	}
	return nil
}

// add appends a body to the output.
func (w *rewriter) add(b binary.Body, params int) {
	w.out.Bodies = append(w.out.Bodies, b)
	s := &w.stats
	s.Functions++
	s.LargestBody = max(s.LargestBody, len(b.Raw))
	s.MostBlocks = max(s.MostBlocks, int(b.Blocks))
	s.MostCalls = max(s.MostCalls, int(b.Calls))
	s.MostLocals = max(s.MostLocals, int(b.Locals)+params)
	s.Work += (int(b.Blocks) + 1) * (int(b.Locals) + params + 16)
}

// added appends the functions in place of bulk instructions and the reset
// function, and returns the names of all that were added.
func (w *rewriter) added() []string {
	var names []string
	for _, k := range w.bulkList {
		t := k.funcType(w.m)
		w.out.FuncTypes = append(w.out.FuncTypes, w.typeOf(t))
		w.add(k.body(&w.out, w.globals), len(t.Params))
		names = append(names, k.name())
	}
	if w.stats.Resettable = w.resettable; w.resettable {
		w.out.FuncTypes = append(w.out.FuncTypes, w.typeOf(binary.FuncType{}))
		w.add(w.resetBody(), 0)
		names = append(names, "pappus.reset")
	}
	return names
}

// resetBody gives all mutable globals of the module their initial values.
func (w *rewriter) resetBody() binary.Body {
	c := &code{b: []byte{0}}
	for i := range w.m.Globals {
		if g := &w.out.Globals[i]; g.Mutable {
			c.b = append(c.b, g.Init[:len(g.Init)-1]...) // without its end
			c.toGlobal(uint32(i))
		}
	}
	c.end()
	return binary.Body{Raw: c.b, First: 1}
}

// bulkFunc is the index of the function in place of a bulk instruction.
func (w *rewriter) bulkFunc(k bulk) uint32 {
	f, ok := w.bulks[k]
	if !ok {
		f = w.firstAdded() + uint32(len(w.bulkList))
		w.bulks[k] = f
		w.bulkList = append(w.bulkList, k)
	}
	return f
}

// typeOf is the index of a type among those that were added.
func (w *rewriter) typeOf(t binary.FuncType) uint32 {
	key := string(t.Params) + ">" + string(t.Results)
	i, ok := w.types[key]
	if !ok {
		i = uint32(len(w.out.Types))
		w.types[key] = i
		w.out.Types = append(w.out.Types, t)
	}
	return i
}

// appendBlockType appends the type of a block without parameters.
func (w *rewriter) appendBlockType(b []byte, results binary.ValueTypes) []byte {
	switch len(results) {
	case 0:
		return append(b, noValue)
	case 1:
		return append(b, results[0])
	}
	return binary.AppendS64(b, int64(w.typeOf(binary.FuncType{Results: results})))
}

// maxTable bounds what a table may grow to, whatever it declares.
func maxTable(t binary.Table) uint32 {
	most := max(t.Min, maxGrown)
	if t.HasMax {
		most = min(most, t.Max)
	}
	return most
}

// tables gives every table a maximum.
func (w *rewriter) tables() {
	for _, t := range w.m.Tables {
		t.Max, t.HasMax = maxTable(t), true
		w.out.Tables = append(w.out.Tables, t)
	}
}

// indices shifts the functions that globals and element segments name.
func (w *rewriter) indices() error {
	for i := range w.out.Globals {
		g := &w.out.Globals[i]
		init, err := shift(g.Init)
		if err != nil {
			return fmt.Errorf("global %d: %w", i, err)
		}
		g.Init = init
	}
	for i, e := range w.m.Elements {
		var init []byte
		var err error
		if e.Exprs {
			init, err = shift(e.Init)
		} else {
			init = make([]byte, 0, len(e.Init)+8)
			binary.EachIndex(e.Init, func(f uint32) { init = binary.AppendU32(init, f+1) })
		}
		if err != nil {
			return fmt.Errorf("element segment %d: %w", i, err)
		}
		e.Init = init
		w.out.Elements = append(w.out.Elements, e)
	}
	return nil
}

// shift moves the functions that constant expressions name.
func shift(exprs []byte) ([]byte, error) {
	out := make([]byte, 0, len(exprs)+8)
	r := binary.NewReader(exprs)
	var in binary.Instr
	for r.Next(&in) {
		if in.Op == binary.OpRefFunc {
			out = binary.AppendU32(binary.AppendOp(out, in.Op), in.Index+1)
		} else {
			out = append(out, exprs[in.Start:in.End]...)
		}
	}
	return out, r.Err()
}

// exports shifts the module's exports and adds ours and those of globals.
func (w *rewriter) exports(globals []uint32) {
	taken := make(map[string]bool, len(w.m.Exports)+len(globals)+5)
	for _, e := range w.m.Exports {
		taken[e.Name] = true
		switch e.Kind {
		case binary.ExternFunc:
			e.Index++
		case binary.ExternMemory:
			if w.stats.Memory == "" || e.Name == "memory" {
				w.stats.Memory = e.Name
			}
		}
		w.out.Exports = append(w.out.Exports, e)
	}
	export := func(name string, kind binary.ExternKind, index uint32) string {
		for taken[name] {
			name += "'"
		}
		taken[name] = true
		w.out.Exports = append(w.out.Exports, binary.Export{Name: name, Kind: kind, Index: index})
		return name
	}
	w.stats.Fuel = export("pappus.fuel", binary.ExternGlobal, w.globals.fuel)
	w.stats.Stack = export("pappus.stack", binary.ExternGlobal, w.globals.stack)
	for _, g := range globals {
		w.stats.Globals = append(w.stats.Globals, export("pappus.global."+strconv.Itoa(int(g)), binary.ExternGlobal, g))
	}
	if w.resettable {
		w.stats.Reset = export("pappus.reset", binary.ExternFunc, w.firstAdded()+uint32(len(w.bulkList)))
	}
	if w.m.Start >= 0 {
		w.stats.Start = export("pappus.start", binary.ExternFunc, uint32(w.m.Start)+1)
	}
	if w.m.Memory != nil && w.m.Memory.Imported && w.stats.Memory == "" {
		w.stats.Memory = export("memory", binary.ExternMemory, 0)
	}
}

// names writes a name section with the module's function names and ours.
func (w *rewriter) names(added []string) {
	var list []byte
	n := uint32(1)
	list = binary.AppendName(binary.AppendU32(list, sliceFun), "pappus.slice")
	for i, name := range w.m.FuncNames() {
		list = binary.AppendName(binary.AppendU32(list, i+1), name)
		n++
	}
	for i, name := range added {
		list = binary.AppendName(binary.AppendU32(list, w.firstAdded()+uint32(i)), name)
		n++
	}
	count := binary.AppendU32(nil, n)
	payload := binary.AppendU32([]byte{1}, uint32(len(count)+len(list)))
	payload = append(append(payload, count...), list...)
	w.out.Customs = append([]binary.Custom{{Name: "name", Payload: payload}}, w.options.Customs...)
}
