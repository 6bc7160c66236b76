package purify

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"pappus/wasmengine/binary"
)

// PageSize is the unit of memories, in bytes.
const PageSize = 64 << 10

// DefaultMemory is the size of the memory of a pure function unless its program
// begins with more than half of it, in bytes.
const DefaultMemory = 64 << 20

// maxPages is the most that a memory may have.
const maxPages = math.MaxUint16

// The modules whose functions the adapter has.
const (
	moduleWASI   = "wasi_snapshot_preview1"
	moduleDirect = "dandelion"
)

// Options say what becomes of a program.
type Options struct {
	// Memory is the size of the function's memory in bytes, rounded up to whole
	// pages: all that program, inputs and outputs can have together. 0 is the
	// manifest's memory limit, or without one DefaultMemory or twice what the
	// program begins with.
	Memory int64

	// Entry is the export that a call runs, of type () -> () or () -> (i32), the
	// exit code. "" is _start, or run in a library.
	Entry string

	// Manifest is a JSON object whose members take the place of those of the
	// program's own manifest. Its layout, and a memory limit that is not below what
	// the function has, are filled in. nil changes nothing.
	Manifest []byte
}

// ErrPure is the cause where a module is a function already.
var ErrPure = errors.New("the module is a function already")

// An Error says why a program can't be made pure, and what to do.
type Error struct {
	Reason string
	Hint   string
	Err    error // ErrPure, the decoder's, or nil
}

func (e *Error) Error() string { return e.Reason }
func (e *Error) Unwrap() error { return e.Err }

// refuse makes an error, whose cause is what the format's %w stands for. Names of
// the module have to be shown.
func refuse(hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: err.Error(), Hint: hint, Err: errors.Unwrap(err)}
}

// maxShown is how many bytes of a name are told.
const maxShown = 200

// shown is a name that the module has, bounded and printable.
func shown(name string) string {
	if len(name) > maxShown {
		name = name[:maxShown] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
}

// Purify makes a pure function of a program. The result depends on nothing but
// the arguments, and passes the decoder's checks; like that, it does not check
// the types of operands. The error is an *Error.
func Purify(code []byte, o Options) ([]byte, error) {
	program, err := binary.Decode(code, programCaps())
	if err != nil {
		return nil, undecodable(err, "the program")
	}
	joinData(program, fewSegments)
	adapter, err := loadAdapter()
	if err != nil {
		return nil, err
	}
	m := &merger{options: o, program: program, adapter: adapter, referred: map[uint32]bool{}}
	if err := m.merge(); err != nil {
		return nil, err
	}
	out := binary.Encode(&m.out)
	if _, err := binary.Decode(out, binary.DefaultCaps()); err != nil {
		return nil, undecodable(err, "the pure function")
	}
	return out, nil
}

func undecodable(err error, what string) *Error {
	hint := "build it again; the file is damaged"
	switch {
	case errors.Is(err, binary.ErrNotWasm):
		hint = "give a linked .wasm module (not text, not an object file, and not a component)"
	case errors.Is(err, binary.ErrUnsupported):
		hint = "build it for WebAssembly 2.0 without that feature"
	case errors.Is(err, binary.ErrLimit):
		hint = "build a smaller program: without debug information, with size optimisation (-Os)"
	}
	return &Error{Reason: what + ": " + err.Error(), Hint: hint, Err: err}
}

// merger makes one module of two.
type merger struct {
	options Options
	program *binary.Module
	adapter *adapter
	out     binary.Module
	source  source

	referred map[uint32]bool // functions that the program's code has references to

	manifest, limits map[string]json.RawMessage
	memoryLimit      int64 // that the manifest has, bytes; 0 if it has none

	pages uint32 // of the function's memory
	base  uint32 // address at which the adapter lies

	functions uint32 // of the program, imports included: the adapter's first has this index
	types     uint32 // of the program
	globals   uint32 // of the program
}

func (m *merger) merge() error {
	steps := []func() error{m.check, m.readManifest, m.layOut, m.readLines, m.addImports, m.addProgram, m.addAdapter, m.addEntries, m.addManifest, m.addNames, m.addLines}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// check refuses what no adapter makes pure.
func (m *merger) check() error {
	p := m.program
	if _, ok := p.Export(exportSystem); ok && p.ImportedFuncs > 0 {
		return refuse("link the libc layer of sdk/c into it", "the module exports %s: it has a runtime of its own, and yet imports %s", exportSystem, importName(p.Imports[0]))
	} else if ok {
		return &Error{Reason: fmt.Sprintf("%v: it exports %s", ErrPure, exportSystem), Hint: "register it as it is", Err: ErrPure}
	}
	for _, im := range p.Imports {
		switch im.Kind {
		case binary.ExternTable, binary.ExternGlobal:
			return refuse("link it statically, as a whole program", "the module imports the %v %s, and only functions can be given to it", im.Kind, importName(im))
		}
	}
	if p.Memory == nil {
		return refuse("build a whole program, not an object file", "the module has no memory")
	}
	m.functions, m.types, m.globals = uint32(p.NumFuncs()), uint32(len(p.Types)), uint32(len(p.Globals))
	return nil
}

// layOut decides where things lie.
func (m *merger) layOut() error {
	const most = maxPages * PageSize
	first := int64(m.program.Memory.Min) * PageSize
	size := cmp.Or(m.options.Memory, m.memoryLimit, min(max(DefaultMemory, 2*first), most))
	if size < 0 || size > most {
		return refuse("ask for less", "a memory of %d bytes: the most is %d", size, int64(most))
	}
	size = (size + PageSize - 1) / PageSize * PageSize
	// The adapter's end is the memory's. Whole pages of the machine's keep the two apart.
	const align = 4096
	base := size - (int64(m.adapter.size)+align-1)/align*align
	if least := first + PageSize; base < least {
		hint := fmt.Sprintf("give it a memory of at least %d bytes", least+size-base)
		if least+size-base > most {
			hint = "build it with a smaller initial memory"
		}
		return refuse(hint, "a memory of %d bytes has no room: the program begins with %d, and the adapter takes %d", size, first, size-base)
	}
	m.pages, m.base = uint32(size/PageSize), uint32(base)
	return nil
}

// addImports turns every imported function into one that calls the adapter's, so
// that it keeps its index.
func (m *merger) addImports() error {
	p := m.program
	for i, im := range p.Imports {
		if im.Kind != binary.ExternFunc {
			continue
		}
		to, ok := m.adapter.functions[im.Module+"."+im.Name]
		if !ok || im.Module != moduleWASI && im.Module != moduleDirect { // the adapter has others, which are for what is made here
			return m.unknown(i, im)
		}
		if have, want := p.Types[im.Type], m.adapter.typeOf(to); string(have.Params) != string(want.Params) || string(have.Results) != string(want.Results) {
			return refuse("build it with a current toolchain for wasip1", "the module imports %s as %s, and its type is %s", importName(im), typeText(have), typeText(want))
		}
		body := []byte{0} // no locals
		for i := range p.Types[im.Type].Params {
			body = binary.AppendU32(binary.AppendOp(body, binary.OpLocalGet), uint32(i))
		}
		body = binary.AppendU32(binary.AppendOp(body, binary.OpCall), m.functions+to)
		m.out.FuncTypes = append(m.out.FuncTypes, im.Type)
		m.out.Bodies = append(m.out.Bodies, binary.Body{Raw: binary.AppendOp(body, binary.OpEnd)})
	}
	return nil
}

// unknown says that there is no such import, and who calls it.
func (m *merger) unknown(at int, im binary.Import) error {
	index := uint32(0)
	for _, before := range m.program.Imports[:at] {
		if before.Kind == binary.ExternFunc {
			index++
		}
	}
	who := ""
	if caller, ok := m.callerOf(index); ok {
		who = ", which " + shown(caller) + " calls"
	}
	hint := "leave out what uses it; a pure function has the functions of " + moduleWASI + " and " + moduleDirect + " only"
	_, isGo := m.program.Custom(sectionGo)
	switch {
	case isGo && im.Module != moduleWASI && im.Module != moduleDirect:
		hint = "leave out the //go:wasmimport of it: there is no host that has it; a pure function can import from " + moduleWASI + " and " + moduleDirect + " only"
	case im.Module == "wasi_unstable":
		hint = "build it with a toolchain that links against " + moduleWASI
	case im.Module == "wasi" && im.Name == "thread-spawn":
		hint = "build it without threads"
	case im.Module == "env" && (im.Name == "abort" || im.Name == "seed"):
		hint = "in AssemblyScript, build it with --use " + im.Name + "= and a function of your own, or with @assemblyscript/wasi-shim"
	case im.Module == "env" && (strings.HasPrefix(im.Name, "emscripten_") || strings.HasPrefix(im.Name, "__syscall_")):
		hint = "build it with Emscripten's -sSTANDALONE_WASM, or with wasi-libc, which has files too"
	case im.Module == "env":
		hint = "the linker did not find " + shown(im.Name) + ": link the library that has it, and don't allow undefined symbols"
	case strings.HasPrefix(im.Module, "wasi:"):
		hint = "build it for wasip1; this is a part of a component"
	}
	return refuse(hint, "the module imports %s%s, and there is no such function", importName(im), who)
}

func importName(im binary.Import) string { return shown(im.Module) + "." + shown(im.Name) }

// callerOf finds a function that calls another one.
func (m *merger) callerOf(index uint32) (name string, ok bool) {
	p := m.program
	for i := range p.Bodies {
		r, in := binary.NewReader(p.Bodies[i].Raw[p.Bodies[i].First:]), binary.Instr{}
		for r.Next(&in) {
			if in.Imm == binary.ImmFunc && in.Index == index {
				caller := uint32(p.ImportedFuncs + i)
				for at, name := range p.FuncNames() {
					if at == caller {
						return name, true
					}
				}
				return fmt.Sprintf("function %d", caller), true
			}
		}
	}
	return "", false
}

func typeText(t binary.FuncType) string {
	list := func(types binary.ValueTypes) string {
		var b strings.Builder
		for i, v := range types {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(binary.ValueType(v).String())
		}
		return "(" + b.String() + ")"
	}
	return list(t.Params) + " -> " + list(t.Results)
}
