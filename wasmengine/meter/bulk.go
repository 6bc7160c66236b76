package meter

import "pappus/wasmengine/binary"

// bulk is an instruction that works on a length which is known only when it
// runs. It is replaced by a call to a function that charges the length, checks,
// and then executes it; in pieces with a check between if it moves much memory.
type bulk struct {
	op   binary.Op
	a, b uint32 // its indices: segment or table, second table
}

// bulkOf tells whether an instruction is to be replaced.
func bulkOf(in *binary.Instr) (bulk, bool) {
	switch in.Op {
	case binary.OpMemoryCopy, binary.OpMemoryFill, binary.OpMemoryGrow:
		return bulk{op: in.Op}, true
	case binary.OpMemoryInit, binary.OpTableFill, binary.OpTableGrow:
		return bulk{op: in.Op, a: in.Index}, true
	case binary.OpTableCopy, binary.OpTableInit:
		return bulk{op: in.Op, a: in.Index, b: in.Index2}, true
	}
	return bulk{}, false
}

func (k bulk) name() string {
	switch k.op {
	case binary.OpMemoryCopy:
		return "pappus.memory.copy"
	case binary.OpMemoryFill:
		return "pappus.memory.fill"
	case binary.OpMemoryGrow:
		return "pappus.memory.grow"
	case binary.OpMemoryInit:
		return "pappus.memory.init"
	case binary.OpTableFill:
		return "pappus.table.fill"
	case binary.OpTableGrow:
		return "pappus.table.grow"
	case binary.OpTableCopy:
		return "pappus.table.copy"
	default:
		return "pappus.table.init"
	}
}

func (k bulk) writesTable() bool {
	switch k.op {
	case binary.OpTableFill, binary.OpTableGrow, binary.OpTableCopy, binary.OpTableInit:
		return true
	}
	return false
}

// table is the table that the instruction writes to.
func (k bulk) table() uint32 {
	if k.op == binary.OpTableInit {
		return k.b
	}
	return k.a
}

func (k bulk) funcType(m *binary.Module) binary.FuncType {
	i32 := byte(binary.I32)
	switch k.op {
	case binary.OpMemoryGrow:
		return binary.FuncType{Params: binary.ValueTypes{i32}, Results: binary.ValueTypes{i32}}
	case binary.OpTableGrow:
		return binary.FuncType{Params: binary.ValueTypes{byte(m.Tables[k.a].Type), i32}, Results: binary.ValueTypes{i32}}
	case binary.OpTableFill:
		return binary.FuncType{Params: binary.ValueTypes{i32, byte(m.Tables[k.a].Type), i32}}
	default:
		return binary.FuncType{Params: binary.ValueTypes{i32, i32, i32}}
	}
}

// execute appends the instruction itself, without operands.
func (k bulk) execute(c *code) {
	c.op(k.op)
	switch k.op {
	case binary.OpMemoryCopy:
		c.b = append(c.b, 0, 0)
	case binary.OpMemoryFill, binary.OpMemoryGrow:
		c.b = append(c.b, 0)
	case binary.OpMemoryInit:
		c.b = append(binary.AppendU32(c.b, k.a), 0)
	case binary.OpTableFill, binary.OpTableGrow:
		c.b = binary.AppendU32(c.b, k.a)
	case binary.OpTableCopy, binary.OpTableInit:
		c.b = binary.AppendU32(binary.AppendU32(c.b, k.a), k.b)
	}
}

// body is the function that takes the place of the instruction. Its parameters
// are the instruction's operands; one i64 local follows them.
func (k bulk) body(m *binary.Module, g globals) binary.Body {
	params := uint32(len(k.funcType(m).Params))
	if k.op == binary.OpMemoryGrow {
		return growBody(g)
	}
	c := &code{b: []byte{1, 1, byte(binary.I64)}}
	first := uint32(len(c.b))
	f := helper{code: c, bulk: k, globals: g, length: params - 1, tmp: params}
	switch k.op {
	case binary.OpTableGrow:
		f.charge(0, func() {
			c.get(f.length)
			c.i32(int64(int32(maxTable(m.Tables[k.a]))))
			c.op(binary.OpI32GtU)
		})
	case binary.OpTableFill, binary.OpTableCopy, binary.OpTableInit:
		f.charge(0, func() {
			c.get(f.length)
			c.index(binary.OpTableSize, k.table())
			c.op(binary.OpI32GtU)
		})
	default:
		f.pieces(m)
		c.get(f.length)
		c.op(binary.OpI64ExtendI32U)
		c.i64(bytesPerUnitLog)
		c.op(binary.OpI64ShrU)
		f.chargeTop()
	}
	for i := range params {
		c.get(i)
	}
	k.execute(c)
	c.end()
	return binary.Body{Raw: c.b, First: first, Locals: 1, Blocks: uint32(c.blocks), Calls: uint32(c.calls)}
}

// helper builds the body of a bulk function.
type helper struct {
	*code
	globals
	bulk   bulk
	length uint32 // the parameter that holds the length
	tmp    uint32 // the i64 local
}

// growBody charges a growth of memory once it has succeeded: only then is it known
// that the memory limit allows it, and it takes no time before.
func growBody(g globals) binary.Body {
	const pages, tmp, before = 0, 1, 2
	k := bulk{op: binary.OpMemoryGrow}
	c := &code{b: []byte{2, 1, byte(binary.I64), 1, byte(binary.I32)}}
	first := uint32(len(c.b))
	f := helper{code: c, bulk: k, globals: g, length: pages, tmp: tmp}
	c.get(pages)
	k.execute(c)
	c.index(binary.OpLocalTee, before)
	c.i32(-1)
	c.op(binary.OpI32Ne)
	c.open(binary.OpIf)
	c.get(pages)
	c.op(binary.OpI64ExtendI32U)
	c.i64(pageCostLog)
	c.op(binary.OpI64Shl)
	f.chargeTop()
	c.end()
	c.get(before)
	c.end()
	return binary.Body{Raw: c.b, First: first, Locals: 2, Blocks: uint32(c.blocks), Calls: uint32(c.calls)}
}

// charge takes length << shift, or nothing if the condition on the stack says
// that the instruction must fail.
func (f helper) charge(shift int64, fails func()) {
	f.i32(0)
	f.get(f.length)
	fails()
	f.op(binary.OpSelect, binary.OpI64ExtendI32U)
	f.i64(shift)
	f.op(binary.OpI64Shl)
	f.chargeTop()
}

// chargeTop takes the amount on the stack and checks.
func (f helper) chargeTop() {
	f.set(f.tmp)
	f.global(f.fuel)
	f.get(f.tmp)
	f.op(binary.OpI64Sub)
	f.index(binary.OpLocalTee, f.tmp)
	f.toGlobal(f.fuel)
	f.check(f.code, f.tmp)
}

// pieces does all but the last piece of a memory instruction. Before it writes
// anything it makes sure that the whole is within bounds; if it is not, the
// instruction itself runs and traps.
func (f helper) pieces(m *binary.Module) {
	const to, from, n = 0, 1, 2
	f.get(n)
	f.i32(piece)
	f.op(binary.OpI32GtU)
	f.open(binary.OpIf)

	f.outside(to, func() {
		f.op(binary.OpMemorySize)
		f.b = append(f.b, 0)
		f.op(binary.OpI64ExtendI32U)
		f.i64(16)
		f.op(binary.OpI64Shl)
	})
	switch f.bulk.op {
	case binary.OpMemoryCopy:
		f.outside(from, func() {
			f.op(binary.OpMemorySize)
			f.b = append(f.b, 0)
			f.op(binary.OpI64ExtendI32U)
			f.i64(16)
			f.op(binary.OpI64Shl)
		})
		f.op(binary.OpI32Or)
	case binary.OpMemoryInit:
		f.outside(from, func() { f.i64(int64(len(m.Data[f.bulk.a].Bytes))) })
		f.op(binary.OpI32Or)
	}
	f.open(binary.OpIf)
	f.get(to)
	f.get(from)
	f.get(n)
	f.bulk.execute(f.code)
	f.op(binary.OpUnreachable)
	f.end()
	if f.bulk.op == binary.OpMemoryInit { // traps if the segment was dropped
		f.i32(0)
		f.get(from)
		f.get(n)
		f.op(binary.OpI32Add)
		f.i32(0)
		f.bulk.execute(f.code)
	}

	f.open(binary.OpLoop)
	f.globals.charge(f.code, piece>>bytesPerUnitLog, f.tmp, false)
	f.check(f.code, f.tmp)
	switch f.bulk.op {
	case binary.OpMemoryCopy: // from the end if the ranges may overlap that way
		f.get(to)
		f.get(from)
		f.op(binary.OpI32LeU)
		f.open(binary.OpIf)
		f.forward(to, from)
		f.op(binary.OpElse)
		for _, start := range []uint32{to, from} {
			f.get(start)
			f.get(n)
			f.op(binary.OpI32Add)
			f.i32(piece)
			f.op(binary.OpI32Sub)
		}
		f.i32(piece)
		f.bulk.execute(f.code)
		f.end()
	case binary.OpMemoryFill:
		f.forward(to)
	default:
		f.forward(to, from)
	}
	f.advance(n, -piece)
	f.get(n)
	f.i32(piece)
	f.op(binary.OpI32GtU)
	f.index(binary.OpBrIf, 0)
	f.end()

	f.end()
}

// outside leaves whether start + length is over the size, in 64 bits.
func (f helper) outside(start uint32, size func()) {
	f.get(start)
	f.op(binary.OpI64ExtendI32U)
	f.get(f.length)
	f.op(binary.OpI64ExtendI32U, binary.OpI64Add)
	size()
	f.op(binary.OpI64GtU)
}

// forward does the first piece and moves the given parameters on.
func (f helper) forward(moves ...uint32) {
	f.get(0)
	f.get(1)
	f.i32(piece)
	f.bulk.execute(f.code)
	for _, p := range moves {
		f.advance(p, piece)
	}
}

func (f helper) advance(param uint32, by int64) {
	f.get(param)
	f.i32(by)
	f.op(binary.OpI32Add)
	f.set(param)
}
