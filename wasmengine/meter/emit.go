package meter

import "pappus/wasmengine/binary"

const (
	noValue  = 0x40 // block type without parameters and results
	sliceFun = 0    // index of the imported function
)

// code is a list of instructions under construction.
type code struct {
	b      []byte
	blocks int // blocks and calls that were added
	calls  int
}

func (c *code) op(ops ...binary.Op) {
	for _, op := range ops {
		c.b = binary.AppendOp(c.b, op)
	}
}

// index appends an instruction with an index.
func (c *code) index(op binary.Op, i uint32) {
	c.b = binary.AppendU32(binary.AppendOp(c.b, op), i)
}

func (c *code) get(local uint32)  { c.index(binary.OpLocalGet, local) }
func (c *code) set(local uint32)  { c.index(binary.OpLocalSet, local) }
func (c *code) i32(v int64)       { c.b = binary.AppendS64(append(c.b, byte(binary.OpI32Const)), v) }
func (c *code) i64(v int64)       { c.b = binary.AppendS64(append(c.b, byte(binary.OpI64Const)), v) }
func (c *code) global(i uint32)   { c.index(binary.OpGlobalGet, i) }
func (c *code) toGlobal(i uint32) { c.index(binary.OpGlobalSet, i) }
func (c *code) end()              { c.op(binary.OpEnd) }

// open starts a block, loop or if without parameters and results.
func (c *code) open(op binary.Op) { c.openAs(op, []byte{noValue}) }

// openAs starts a block, loop or if of a type.
func (c *code) openAs(op binary.Op, blockType []byte) {
	c.b = append(binary.AppendOp(c.b, op), blockType...)
	c.blocks++
}

func (c *code) call(f uint32) {
	c.index(binary.OpCall, f)
	c.calls++
}

// globals are the indices of the counters.
type globals struct{ fuel, stack uint32 }

// charge takes n units of fuel. The local tmp, an i64, is a copy of the counter
// afterwards; known says that it is one before.
//
// The copy saves the load: in a short loop, loading what the round before has
// stored takes longer than the rest of the loop.
func (g globals) charge(c *code, n int64, tmp uint32, known bool) {
	switch {
	case known && n == 0:
		return
	case known:
		c.get(tmp)
	default:
		c.global(g.fuel)
	}
	if n != 0 {
		c.i64(n)
		c.op(binary.OpI64Sub)
		c.index(binary.OpLocalTee, tmp)
		c.toGlobal(g.fuel)
	} else {
		c.set(tmp)
	}
}

// check asks for a new slice if tmp, the copy of the counter, is negative.
func (g globals) check(c *code, tmp uint32) {
	c.get(tmp)
	c.i64(0)
	c.op(binary.OpI64LtS)
	c.open(binary.OpIf)
	g.refill(c, tmp)
	c.end()
}

// guard starts the code of a loop whose rounds need a counter that is not
// negative: it stands in an if, so that what is done otherwise is out of its
// way in the machine code. A br_if around it would cost wazero more: where
// other branches go there too, it makes the condition a number first.
func (g globals) guard(c *code, tmp uint32, blockType []byte) {
	c.get(tmp)
	c.i64(0)
	c.op(binary.OpI64GeS)
	c.openAs(binary.OpIf, blockType)
}

// refillElse ends a guard: otherwise there is a new slice, and the loop begins
// again.
func (g globals) refillElse(c *code, tmp uint32) {
	c.op(binary.OpElse)
	g.refill(c, tmp)
	c.index(binary.OpBr, 1)
	c.end()
}

func (g globals) refill(c *code, tmp uint32) {
	c.get(tmp)
	c.call(sliceFun)
	c.index(binary.OpLocalTee, tmp)
	c.toGlobal(g.fuel)
}

// takeStack takes a function's frame from the stack: if there is no room, it
// traps and leaves the counter negative. The rest goes to the local unless the
// function calls none (leaf).
func (g globals) takeStack(c *code, frame int64, rest uint32, leaf bool) {
	c.global(g.stack)
	c.i64(frame)
	if !leaf {
		c.op(binary.OpI64Sub)
		c.index(binary.OpLocalTee, rest)
		c.i64(0)
	}
	c.op(binary.OpI64LtS)
	c.open(binary.OpIf)
	c.i64(-1)
	c.toGlobal(g.stack)
	c.op(binary.OpUnreachable)
	c.end()
}
