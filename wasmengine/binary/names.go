package binary

import (
	"iter"
	"unicode/utf8"
)

// maxFuncName bounds the names that FuncNames yields, in bytes.
const maxFuncName = 4 << 10

// FuncNames yields the function names of the name section with their indices
// in the index space, in rising order. It decodes as it goes; what is
// malformed ends it, since names never make a module invalid. Names that are
// not UTF-8 or too long to be of use are left out.
func (m *Module) FuncNames() iter.Seq2[uint32, string] {
	return func(yield func(uint32, string) bool) {
		payload, _ := m.Custom("name")
		c := cursor{b: payload, fn: -1}
		for c.rest() > 0 {
			id := c.byte()
			content := c.bytes(c.u32())
			if c.err == nil && id == 1 {
				m.funcNames(content, yield)
				return
			}
		}
	}
}

func (m *Module) funcNames(content []byte, yield func(uint32, string) bool) {
	c := cursor{b: content, fn: -1}
	next := int64(0)
	for n := c.u32(); n > 0 && c.err == nil; n-- {
		index := c.u32()
		name := c.bytes(c.u32())
		if c.err != nil || int64(index) < next || int64(index) >= int64(m.NumFuncs()) {
			return
		}
		next = int64(index) + 1
		if len(name) > maxFuncName || !utf8.Valid(name) {
			continue
		}
		if !yield(index, string(name)) {
			return
		}
	}
}
