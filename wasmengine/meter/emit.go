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
func (c *code) open(op binary.Op) {
	c.b = append(binary.AppendOp(c.b, op), noValue)
	c.blocks++
}

func (c *code) call(f uint32) {
	c.index(binary.OpCall, f)
	c.calls++
}

// globals are the indices of the counters.
type globals struct{ fuel, stack uint32 }

// charge takes n units of fuel.
func (g globals) charge(c *code, n int64) {
	if n == 0 {
		return
	}
	c.global(g.fuel)
	c.i64(n)
	c.op(binary.OpI64Sub)
	c.toGlobal(g.fuel)
}

// chargeAndCheck takes n units and asks for a new slice if none are left. It
// needs an i64 local.
func (g globals) chargeAndCheck(c *code, n int64, tmp uint32) {
	c.global(g.fuel)
	if n != 0 {
		c.i64(n)
		c.op(binary.OpI64Sub)
	}
	g.check(c, tmp, n != 0)
}

// check stores the counter that is on the stack, if it is new, and asks for a
// new slice if it is negative.
func (g globals) check(c *code, tmp uint32, store bool) {
	c.index(binary.OpLocalTee, tmp)
	if store {
		c.toGlobal(g.fuel)
		c.get(tmp)
	}
	c.i64(0)
	c.op(binary.OpI64LtS)
	c.open(binary.OpIf)
	c.get(tmp)
	c.call(sliceFun)
	c.toGlobal(g.fuel)
	c.end()
}

// chargeStack takes a frame from the stack and traps if there is no room. It
// leaves the counter negative then. A function that calls none only compares.
func (g globals) chargeStack(c *code, size int64, tmp uint32, leaf bool) {
	c.global(g.stack)
	if leaf {
		c.i64(size)
		c.op(binary.OpI64LtS)
		c.open(binary.OpIf)
		c.i64(-1)
		c.toGlobal(g.stack)
	} else {
		c.i64(size)
		c.op(binary.OpI64Sub)
		c.index(binary.OpLocalTee, tmp)
		c.toGlobal(g.stack)
		c.get(tmp)
		c.i64(0)
		c.op(binary.OpI64LtS)
		c.open(binary.OpIf)
	}
	c.op(binary.OpUnreachable)
	c.end()
}

// returnStack gives a frame back.
func (g globals) returnStack(c *code, size int64) {
	c.global(g.stack)
	c.i64(size)
	c.op(binary.OpI64Add)
	c.toGlobal(g.stack)
}
