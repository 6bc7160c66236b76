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

func (g globals) refill(c *code, tmp uint32) {
	c.get(tmp)
	c.call(sliceFun)
	c.index(binary.OpLocalTee, tmp)
	c.toGlobal(g.fuel)
}

// enter takes the fuel of a function's first code and checks, and takes its
// frame from the stack: if there is no room, it traps and leaves the counter of
// the stack negative. A function that calls none only compares.
func (g globals) enter(c *code, fuel, frame int64, tmp uint32, leaf bool) {
	g.charge(c, fuel, tmp, false)
	c.global(g.stack)
	c.i64(frame)
	c.op(binary.OpI64Sub)
	left := tmp + 1
	c.index(binary.OpLocalTee, left)
	if !leaf {
		c.toGlobal(g.stack)
		c.get(left)
	}
	c.get(tmp)
	c.op(binary.OpI64Or)
	c.i64(0)
	c.op(binary.OpI64LtS)
	c.open(binary.OpIf) // at least one of both is negative
	c.get(left)
	c.i64(0)
	c.op(binary.OpI64LtS)
	c.open(binary.OpIf)
	if leaf {
		c.get(left)
		c.toGlobal(g.stack)
	}
	c.op(binary.OpUnreachable)
	c.end()
	g.refill(c, tmp)
	c.end()
}

// returnStack gives a frame back.
func (g globals) returnStack(c *code, size int64) {
	c.global(g.stack)
	c.i64(size)
	c.op(binary.OpI64Add)
	c.toGlobal(g.stack)
}
