package wasmengine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pappus/engine"
	"pappus/engine/abi"
	"pappus/wasmengine/binary"
)

// Where the platform places inputs and structures, see package abi's users in
// layout.go.
const (
	layoutDandelion = "dandelion"
	layoutGrow      = "grow"
	layoutFixed     = "fixed"
)

// Exports that the platform looks for.
const (
	exportStart      = "_start"
	exportInitialize = "_initialize"
	exportMemory     = "memory"
	exportSystem     = "__dandelion_system_data"
	exportHeapBase   = "__heap_base"
	exportHeapEnd    = "__heap_end"
)

// manifestSection is the custom section that holds the manifest.
const manifestSection = "pappus"

// module is a module that may be prepared: decoded and found to keep to the
// binary interface.
type module struct {
	decoded  *binary.Module
	manifest engine.Manifest
	facts
}

// facts are what running a module takes to know of it. They are kept with its
// machine code, so that the module itself need not be read again.
type facts struct {
	Layout   string
	System   uint32 // address of the system struct
	HeapBase uint32 // with HasHeap
	HeapEnd  uint32 // layoutFixed
	HasHeap  bool   // the module exports __heap_base

	MinPages uint32
	MaxPages uint32 // declared, or engine.MaxPages

	MaxStack engine.Bytes // largest stack limit under which the machine's own stack is never used up

	Initialize  bool // the module exports _initialize
	Initializes bool // it has code that runs before any call: that, or a start function
}

// examine decodes code and checks what the binary interface asks for. Its
// errors are *engine.RejectedError.
func (e *Engine) examine(code []byte) (*module, error) {
	decoded, err := binary.Decode(code, e.config.Caps)
	if err != nil {
		return nil, rejectDecoding(err)
	}
	m := newModule(decoded)
	for refused := range m.refusals {
		return nil, refused
	}
	return m, nil
}

func newModule(decoded *binary.Module) *module {
	return &module{decoded: decoded, facts: facts{Layout: layoutDandelion}}
}

// A refuser takes a reason for which a module is refused, and tells whether others
// are wanted.
type refuser = func(*engine.RejectedError) (more bool)

// refusals gives every reason for which the binary interface refuses the
// module, in the order in which registration looks for them: who needs one only
// takes the first. It finds out the facts besides, which are complete if there
// is no reason.
func (m *module) refusals(refuse refuser) {
	for _, check := range []func(refuser) bool{m.checkImports, m.readManifest, m.checkMemory, m.checkData, m.checkElements, m.checkEntry, m.checkSystem, m.checkHeap} {
		if !check(refuse) {
			return
		}
	}
}

func rejectDecoding(err error) *engine.RejectedError {
	hint := "the file is damaged or was built by a broken tool; build it again"
	var of *binary.Error
	switch {
	case errors.Is(err, binary.ErrNotWasm):
		hint = "give a compiled .wasm module (not text, and not a component)"
	case errors.Is(err, binary.ErrUnsupported):
		hint = "build for WebAssembly 2.0 without that feature"
	case errors.As(err, &of) && of.Cap != "":
		hint = capHint(of.Cap)
		if of.Cap != "imports" {
			hint += "; or have the operator raise " + of.Cap + " in module-limits"
		}
	}
	return &engine.RejectedError{Reason: err.Error(), Hint: hint, Err: err}
}

// capHint says how a module gets below a cap.
func capHint(name string) string {
	switch name {
	case "module":
		return "build a smaller module: without debug information, with size optimisation (-Os), or as several functions"
	case "body", "blocks", "calls", "nesting", "locals", "all-locals", "branch-work":
		return "split the program's function into smaller ones, keep the compiler from inlining into it, or build with size optimisation (-Os)"
	case "params", "results":
		return "pass what is many in memory, with a pointer to it"
	case "types", "functions":
		return "leave out code that is not used (--gc-sections, wasm-opt), or build several functions"
	case "imports":
		return "link it without imports: a function gets its inputs and leaves its outputs in memory"
	case "exports", "globals":
		return "have the linker export only what is needed, not everything (--export-all, --export-dynamic)"
	case "tables", "table-size":
		return "declare smaller tables: with as many entries as its element segments fill"
	case "elements", "element-size":
		return "have fewer functions whose address is taken, or build several functions"
	case "data":
		return "merge data segments: linkers do so unless they are told not to (wasm-opt --limit-segments)"
	case "customs":
		return "strip custom sections but the manifest (wasm-tools strip, or -s to the linker)"
	case "name":
		return "give shorter names to exports, imports and custom sections"
	case "const-expr":
		return "have a shorter initial value, and compute the rest in a start function"
	}
	return "build a smaller module"
}

func (m *module) checkImports(refuse refuser) bool {
	var refused []string
	wasi := true
	for _, i := range m.decoded.Imports {
		if i.Kind == binary.ExternMemory {
			continue
		}
		refused = append(refused, i.Module+"."+i.Name)
		wasi = wasi && (i.Module == "wasi_snapshot_preview1" || i.Module == "dandelion")
	}
	if len(refused) == 0 {
		return true
	}
	hint := "a function gets its inputs and leaves its outputs in memory; link it without imports"
	_, hasRuntime := m.decoded.Export(exportSystem)
	switch {
	case wasi && hasRuntime:
		hint = "link the libc layer of sdk/c into it, which has what it imports"
	case wasi:
		hint = "it is a program for WASI: make a pure function of it with \"pappus purify\", or with \"pappus push --purify\" in one step"
	}
	const most = 20
	shown := refused
	if len(shown) > most {
		shown = append(slices.Clone(shown[:most]), "…")
	}
	return refuse(&engine.RejectedError{
		Reason:  fmt.Sprintf("the module has imports, and a pure function imports nothing (at most its memory): %d refused (%s)", len(refused), strings.Join(shown, ", ")),
		Hint:    hint,
		Imports: refused,
	})
}

func (m *module) readManifest(refuse refuser) bool {
	sections := 0
	for _, c := range m.decoded.Customs {
		if c.Name == manifestSection {
			sections++
		}
	}
	if sections == 0 {
		return true
	}
	if sections > 1 {
		return refuse(reject(fmt.Sprintf("the module has %d custom sections %q", sections, manifestSection), "a module has one manifest: link only one"))
	}
	section, _ := m.decoded.Custom(manifestSection)
	manifest, err := engine.ParseManifest(section)
	if err != nil {
		return refuse(&engine.RejectedError{Reason: err.Error(), Hint: `correct the JSON in the custom section "pappus"`, Err: err})
	}
	switch manifest.Layout {
	case "":
	case layoutDandelion, layoutGrow, layoutFixed:
		m.Layout = manifest.Layout
	default:
		return refuse(reject(fmt.Sprintf("manifest: layout is %.40q", manifest.Layout), "it can be grow, fixed, or absent"))
	}
	m.manifest = manifest
	return true
}

func (m *module) checkMemory(refuse refuser) bool {
	if m.decoded.Memory == nil {
		return refuse(reject("the module has no memory", "a function needs one memory, exported as \"memory\""))
	}
	m.MinPages, m.MaxPages = m.decoded.Memory.Min, engine.MaxPages
	if m.decoded.Memory.HasMax {
		m.MaxPages = min(m.decoded.Memory.Max, m.MaxPages)
	}
	x, ok := m.decoded.Export(exportMemory)
	if !m.decoded.Memory.Imported && (!ok || x.Kind != binary.ExternMemory) {
		return refuse(reject("the module does not export its memory", "export it under the name \"memory\""))
	}
	return true
}

// initial is the size of the initial memory in bytes; 0 without a memory.
func (m *module) initial() uint64 { return uint64(m.MinPages) * engine.PageSize }

func (m *module) checkData(refuse refuser) bool {
	size := m.initial()
	for i := range m.decoded.Data {
		d := &m.decoded.Data[i]
		if end := uint64(d.Offset) + uint64(len(d.Bytes)); d.Mode == binary.Active && d.Known && end > size {
			if !refuse(reject(fmt.Sprintf("data segment %d reaches to %#x, outside of the initial memory of %d bytes", i, end, size),
				"give the module a larger initial memory")) {
				return false
			}
		}
	}
	return true
}

// checkElements refuses what must trap when a module is instantiated.
func (m *module) checkElements(refuse refuser) bool {
	for i := range m.decoded.Elements {
		e := &m.decoded.Elements[i]
		if e.Mode != binary.Active || !e.Known {
			continue
		}
		if size, end := uint64(m.decoded.Tables[e.Table].Min), uint64(e.Offset)+uint64(e.Count); end > size {
			if !refuse(reject(fmt.Sprintf("element segment %d reaches to entry %d of table %d, which has %d", i, end, e.Table, size),
				"give the table a larger initial size")) {
				return false
			}
		}
	}
	return true
}

func (m *module) checkEntry(refuse refuser) bool {
	if err := m.checkFunction(exportStart); err != nil && !refuse(err) {
		return false
	}
	if _, ok := m.decoded.Export(exportStart); !ok && !refuse(reject("the module does not export _start", "build a command, not a library, or export the entry as _start")) {
		return false
	}
	_, m.Initialize = m.decoded.Export(exportInitialize)
	m.Initializes = m.Initialize || m.decoded.Start >= 0
	err := m.checkFunction(exportInitialize)
	return err == nil || refuse(err)
}

// checkFunction refuses an export of that name that is not a function of type
// () -> ().
func (m *module) checkFunction(name string) *engine.RejectedError {
	x, ok := m.decoded.Export(name)
	if !ok {
		return nil
	}
	if x.Kind == binary.ExternFunc {
		if t, ok := m.decoded.FuncTypeIndex(x.Index); ok {
			if ft := m.decoded.Types[t]; len(ft.Params) == 0 && len(ft.Results) == 0 {
				return nil
			}
		}
	}
	return reject(fmt.Sprintf("the export %s is not a function without parameters and results", name), "give it the type () -> ()")
}

func (m *module) checkSystem(refuse refuser) bool {
	address, ok, err := m.address(exportSystem)
	if err != nil {
		return refuse(err)
	}
	if !ok {
		return refuse(reject("the module does not export "+exportSystem, "link the runtime of a Pappus or Dandelion SDK, and export that global"))
	}
	if memory := m.initial(); uint64(address)+uint64(abi.Wasm32.SystemSize()) > memory {
		return refuse(reject(fmt.Sprintf("%s is at %#x, and its %d bytes reach outside of the initial memory of %d bytes", exportSystem, address, abi.Wasm32.SystemSize(), memory),
			"the global must hold the address of the system struct in the module's data"))
	}
	m.System = address
	return true
}

func (m *module) checkHeap(refuse refuser) bool {
	var bad, badEnd *engine.RejectedError
	if m.HeapBase, m.HasHeap, bad = m.address(exportHeapBase); bad != nil && !refuse(bad) {
		return false
	}
	if m.Layout != layoutFixed {
		return true
	}
	end, ok, badEnd := m.address(exportHeapEnd)
	if badEnd != nil {
		return refuse(badEnd)
	}
	memory := m.initial()
	if bad == nil && (!m.HasHeap || !ok || m.HeapBase > end || uint64(end) > memory) {
		return refuse(reject(fmt.Sprintf("layout fixed: %s and %s must be exported and lie within the initial memory of %d bytes, the first not above the second", exportHeapBase, exportHeapEnd, memory),
			"build the module with the tool that gave it this layout"))
	}
	m.HeapEnd = end
	return true
}

// address is the value of an exported immutable i32 global.
func (m *module) address(name string) (uint32, bool, *engine.RejectedError) {
	x, ok := m.decoded.Export(name)
	if !ok {
		return 0, false, nil
	}
	if x.Kind == binary.ExternGlobal {
		if g := m.decoded.Globals[x.Index]; g.Type == binary.I32 && !g.Mutable && g.Known {
			return uint32(g.Value), true, nil
		}
	}
	return 0, false, reject(fmt.Sprintf("the export %s is not an immutable i32 global with a constant value", name), "export the address as the linker does (--export="+name+")")
}

// fits reports, as an error, that a module can't start under limits.
func (m *facts) fits(lim engine.Limits) error {
	var first error
	m.unfit(lim, func(refused *engine.RejectedError) bool { first = refused; return false })
	return first
}

// unfit gives every reason for which a module can't start under limits.
func (m *facts) unfit(lim engine.Limits, refuse refuser) {
	if need := int64(m.MinPages) * engine.PageSize; need > int64(lim.Memory) && !refuse(reject(
		fmt.Sprintf("the module's initial memory of %s is above its memory limit of %s", engine.Bytes(need).Long(), lim.Memory.Long()),
		"raise the memory limit or build the module with less initial memory")) {
		return
	}
	if m.Layout == layoutDandelion && m.HasHeap && int64(m.HeapBase) >= int64(lim.Memory) && !refuse(reject(
		fmt.Sprintf("%s is %#x, at or above the memory limit of %s", exportHeapBase, m.HeapBase, lim.Memory),
		"raise the memory limit, or export the linker's value")) {
		return
	}
	if m.MaxStack != 0 && lim.Stack > m.MaxStack {
		refuse(reject(fmt.Sprintf("with a stack limit of %s its calls could use up the machine's stack: a function keeps so many values over its calls; the most is %s", lim.Stack, m.MaxStack),
			"lower the stack limit, or build the module with size optimisation (-Os)"))
	}
}

func reject(reason, hint string) *engine.RejectedError {
	return &engine.RejectedError{Reason: reason, Hint: hint}
}
