package purify

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	wasm "pappus/wasmengine/binary"
)

//go:embed adapter/adapter.wasm
var adapterCode []byte

// adapter is the libc layer as it was linked: for address 0, with relocations
// that say what to change for another one.
type adapter struct {
	module    *wasm.Module
	size      uint32            // of its part of the memory, bytes
	functions map[string]uint32 // exported ones, by MODULE.NAME
	moved     []place           // in the bodies
	pointers  []place           // in the data

	size0, grow, begin, end uint32 // functions
	program, system         uint32 // addresses
}

// place is one that a relocation names.
type place struct {
	kind relocation
	in   int // body or data segment
	at   int // offset in it
}

// relocation kinds are those of the object file format's that the adapter has.
type relocation byte

const (
	moveFunction relocation = 0 // index, unsigned LEB128 of 5 bytes
	moveAddress  relocation = 3 // unsigned
	moveSigned   relocation = 4 // address, signed LEB128 of 5 bytes
	movePointer  relocation = 5 // address, 4 bytes
	moveType     relocation = 6
	moveGlobal   relocation = 7
)

// loadAdapter reads the adapter that is part of this package.
func loadAdapter() (*adapter, error) {
	s := wasm.Explore(adapterCode, wasm.DefaultCaps())
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("the adapter is damaged: %w", err)
	}
	a := &adapter{module: s.Module, functions: map[string]uint32{}}
	address := map[string]uint32{}
	for _, x := range a.module.Exports {
		switch x.Kind {
		case wasm.ExternFunc:
			a.functions[x.Name] = x.Index
		case wasm.ExternGlobal:
			address[x.Name] = uint32(a.module.Globals[x.Index].Value)
		}
	}
	a.size, a.program, a.system = address[exportHeapBase], address["__pappus_program"], address[exportSystem]
	a.size0, a.grow, a.begin, a.end = a.functions["memory.size"], a.functions["memory.grow"], a.functions["pappus.begin"], a.functions["pappus.end"]
	for _, own := range []string{"memory.size", "memory.grow", "pappus.begin", "pappus.end"} {
		if _, ok := a.functions[own]; !ok {
			return nil, fmt.Errorf("the adapter is damaged: it does not export %s", own)
		}
	}
	for i := range s.Sections {
		end := len(adapterCode)
		if i+1 < len(s.Sections) {
			end = s.Sections[i+1].Offset
		}
		begin := end - s.Sections[i].Size
		var err error
		switch s.Sections[i].Name {
		case "code":
			err = a.relocateCode(begin)
		case "data":
			err = a.relocateData(begin)
		}
		if err != nil {
			return nil, fmt.Errorf("the adapter is damaged: %w", err)
		}
	}
	return a, nil
}

func (a *adapter) typeOf(function uint32) wasm.FuncType {
	t, _ := a.module.FuncTypeIndex(function)
	return a.module.Types[t]
}

// relocateCode reads where in the bodies something is to be changed; the code
// section begins at an offset of the module.
func (a *adapter) relocateCode(section int) error {
	bodies := a.module.Bodies
	return a.relocations("reloc.CODE", func(kind relocation, at int) error {
		at += section
		i, exact := slices.BinarySearchFunc(bodies, at, func(b wasm.Body, at int) int { return int(b.Offset) - at })
		if !exact {
			i--
		}
		if i < 0 || at-int(bodies[i].Offset)+5 > len(bodies[i].Raw) {
			return errors.New("a relocation leads out of the code")
		}
		if kind == movePointer {
			return errors.New("a pointer in the code")
		}
		a.moved = append(a.moved, place{kind, i, at - int(bodies[i].Offset)})
		return nil
	})
}

// relocateData does so for the data segments.
func (a *adapter) relocateData(section int) error {
	starts := make([]int, len(a.module.Data))
	c := &cursor{b: adapterCode[section:]}
	c.u32()
	for i := range starts {
		d := &a.module.Data[i]
		c.u32() // mode
		c.at += len(d.OffsetExpr)
		c.u32()
		starts[i] = c.at
		c.at += len(d.Bytes)
	}
	return a.relocations("reloc.DATA", func(kind relocation, at int) error {
		i, exact := slices.BinarySearch(starts, at)
		if !exact {
			i--
		}
		if i < 0 || at-starts[i]+4 > len(a.module.Data[i].Bytes) || kind != movePointer {
			return errors.New("a relocation leads out of the data")
		}
		a.pointers = append(a.pointers, place{kind, i, at - starts[i]})
		return nil
	})
}

// relocations calls f for every relocation of a section with its offset in the
// section that it is for.
func (a *adapter) relocations(section string, f func(kind relocation, at int) error) error {
	payload, _ := a.module.Custom(section)
	c := &cursor{b: payload}
	c.u32() // which section
	for n := c.u32(); n > 0; n-- {
		kind, at := relocation(c.u32()), int(c.u32())
		c.u32() // symbol: what is there already says it
		switch kind {
		case moveAddress, moveSigned, movePointer:
			c.u32() // what is added to the symbol's address
		case moveFunction, moveType, moveGlobal:
		default:
			return fmt.Errorf("a relocation of kind %d", kind)
		}
		if c.failed {
			return fmt.Errorf("%s ends too soon", section)
		}
		if err := f(kind, at); err != nil {
			return err
		}
	}
	return nil
}

// parts are the adapter's, moved to where they belong.
type parts struct {
	types           []wasm.FuncType
	funcTypes       []uint32
	bodies          []wasm.Body
	globals         []wasm.Global
	data            []wasm.Data
	program, system uint32
}

// at moves the adapter to an address, and behind so many functions, types and
// globals.
func (a *adapter) at(base, functions, types, globals uint32) parts {
	p := parts{types: a.module.Types, bodies: slices.Clone(a.module.Bodies), data: slices.Clone(a.module.Data), program: a.program, system: a.system}
	for _, t := range a.module.FuncTypes {
		p.funcTypes = append(p.funcTypes, t+types)
	}
	for i := range p.bodies {
		p.bodies[i].Raw = slices.Clone(p.bodies[i].Raw)
	}
	by := map[relocation]uint32{moveFunction: functions, moveAddress: base, moveSigned: base, moveType: types, moveGlobal: globals}
	for _, m := range a.moved {
		field := p.bodies[m.in].Raw[m.at : m.at+5]
		putPadded(field, padded(field)+by[m.kind], m.kind == moveSigned)
	}
	for i := range p.data {
		p.data[i].Bytes = slices.Clone(p.data[i].Bytes)
		p.data[i].OffsetExpr = constant(p.data[i].Offset + base)
	}
	for _, m := range a.pointers {
		field := p.data[m.in].Bytes[m.at:]
		binary.LittleEndian.PutUint32(field, binary.LittleEndian.Uint32(field)+base)
	}
	for _, g := range a.module.Globals { // the stack pointer, and addresses
		g.Init = constant(uint32(g.Value) + base)
		p.globals = append(p.globals, g)
	}
	return p
}

// padded reads a number that takes 5 bytes as LEB128, signed or not.
func padded(b []byte) (v uint32) {
	for i := range 5 {
		v |= uint32(b[i]&0x7f) << (7 * i)
	}
	return v
}

// putPadded writes one. The last byte of a signed one has the sign in all of
// its upper bits.
func putPadded(b []byte, v uint32, signed bool) {
	for i := range 5 {
		b[i] = byte(v>>(7*i))&0x7f | 0x80
	}
	b[4] &= 0x0f
	if signed && v>>31 != 0 {
		b[4] |= 0x70
	}
}

// cursor reads LEB128 numbers.
type cursor struct {
	b      []byte
	at     int
	failed bool
}

func (c *cursor) u32() uint32 {
	if c.at >= len(c.b) {
		c.failed = true
		return 0
	}
	v, n := binary.Uvarint(c.b[c.at:])
	if n <= 0 {
		c.failed = true
		return 0
	}
	c.at += n
	return uint32(v)
}
