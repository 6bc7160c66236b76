package binarytest

import (
	"pgregory.net/rapid"

	wasm "pappus/wasmengine/binary"
)

// Random draws a valid module that always ends. It exports a memory of one
// page as "memory" and functions "f0", "f1" … of type (i32, i64) -> (i64); they
// have locals, globals, loads and stores, blocks, loops, branches, tables of
// branches, calls (direct and through a table, returning and tail calls), bulk
// operations and several results. Some of them trap.
func Random(t *rapid.T) []byte { return random(t, false) }

// RandomFloats draws a module like those of Random that calculates with
// floating-point numbers of all types: with NaNs of all kinds, which it also
// looks at as bits.
func RandomFloats(t *rapid.T) []byte { return random(t, true) }

func random(t *rapid.T, floats bool) []byte {
	b := New().Pages(1, 2)
	g := &generator{T: t, b: b, floats: floats}
	g.entry = b.Type(Types(wasm.I32, wasm.I64), Types(wasm.I64))
	g.pair = b.Type(nil, Types(wasm.I32, wasm.I64))
	g.loopPair = b.Type(Types(wasm.I32, wasm.I64), Types(wasm.I32, wasm.I64))
	b.Global(wasm.I32, true, wasm.OpI32Const, S(rapid.IntRange(1, 300).Draw(t, "budget")))
	b.Global(wasm.I64, true, wasm.OpI64Const, S(7))
	b.Global(wasm.I32, false, wasm.OpI32Const, S(3))
	b.Table(wasm.FuncRef, 4, 8)
	segment := b.PassiveBytes([]byte("sixteen bytes or"))
	g.segment = segment
	n := rapid.IntRange(1, 4).Draw(t, "functions")
	for i := range n {
		g.function(i)
	}
	for i := range min(n, 4) {
		b.Funcs(int32(i), i)
	}
	b.Bytes(0, []byte("data at the beginning"))
	return b.Encode()
}

// Locals of every function: the parameters, then these.
const (
	localInt   = 0 // parameter
	localLong  = 1 // parameter
	localInt2  = 2
	localLong2 = 3
	localFloat = 4
)

type generator struct {
	*rapid.T
	b                     *Builder
	entry, pair, loopPair int
	segment               int
	floats                bool
	callable              int // functions that may be called: those before
	code                  []byte
	labels                []genLabel
	size                  int // instructions drawn, to end the drawing
}

type genLabel struct {
	results wasm.ValueTypes // carried by a branch
	loop    bool
}

func (g *generator) function(i int) {
	g.callable, g.code, g.size = i, nil, 0
	g.labels = []genLabel{{results: Types(wasm.I64)}}
	g.statements(4)
	g.statements(3)
	g.expr(wasm.I64, 3)
	locals := Types(wasm.I32, wasm.I64, wasm.F64)
	if g.floats {
		locals = append(locals, floatLocals()...)
	}
	f := g.b.Func(g.entry, locals, g.code)
	g.b.ExportAs("f"+string(rune('0'+i)), wasm.ExternFunc, f)
}

func (g *generator) emit(parts ...any) {
	g.code = append(g.code, Code(parts...)...)
	g.size++
}

func (g *generator) pick(n int, what string) int { return rapid.IntRange(0, n-1).Draw(g.T, what) }

func (g *generator) statements(depth int) {
	for range g.pick(3+depth, "statements") {
		if g.size > 400 {
			return
		}
		g.statement(depth)
	}
}

func (g *generator) statement(depth int) {
	if g.floats && g.pick(2, "of floats") == 0 {
		g.floatStatement()
		return
	}
	kinds := 22
	if depth == 0 {
		kinds = 9
	}
	switch g.pick(kinds, "statement") {
	case 0:
		g.expr(wasm.I32, 2)
		g.emit(wasm.OpLocalSet, []int{localInt, localInt2}[g.pick(2, "local")])
	case 1:
		g.expr(wasm.I64, 2)
		g.emit(wasm.OpLocalSet, []int{localLong, localLong2}[g.pick(2, "local")])
	case 2:
		g.expr(wasm.F64, 2)
		g.emit(wasm.OpLocalSet, localFloat)
	case 3:
		g.expr(wasm.I64, 2)
		g.emit(wasm.OpGlobalSet, 1)
	case 4:
		g.address()
		g.expr(wasm.I64, 2)
		g.emit(wasm.Op(0x37), g.pick(4, "align"), g.pick(70_000, "offset")) // i64.store
	case 5:
		g.address()
		g.expr(wasm.I32, 2)
		g.emit(wasm.Op(0x3a), 0, 0) // i32.store8
	case 6:
		g.bulk()
	case 7:
		g.emit(wasm.OpNop)
	case 8:
		g.branch()
	case 9, 10:
		g.emit(wasm.OpBlock, Void)
		g.within(genLabel{}, func() { g.statements(depth - 1) })
	case 11, 12:
		g.loop(depth)
	case 13, 14, 15:
		g.expr(wasm.I32, 2)
		g.emit(wasm.OpIf, Void)
		g.within(genLabel{}, func() {
			g.statements(depth - 1)
			if g.pick(2, "else") == 0 {
				g.emit(wasm.OpElse)
				g.statements(depth - 1)
			}
		})
	case 16:
		g.emit(wasm.OpBlock, g.pair)
		g.within(genLabel{results: Types(wasm.I32, wasm.I64)}, func() {
			g.statements(depth - 1)
			g.expr(wasm.I32, 1)
			g.expr(wasm.I64, 1)
		})
		g.emit(wasm.OpLocalSet, localLong2)
		g.emit(wasm.OpLocalSet, localInt2)
	case 17:
		g.table(depth)
	case 18, 19:
		g.call()
	case 20:
		g.exit()
	case 21:
		g.expr(wasm.I32, 2)
		g.emit(wasm.OpIf, Void)
		g.within(genLabel{}, g.exit)
	}
}

// within draws the inside of a block and ends it.
func (g *generator) within(l genLabel, inside func()) {
	g.labels = append(g.labels, l)
	inside()
	g.labels = g.labels[:len(g.labels)-1]
	g.emit(wasm.OpEnd)
}

// budget leaves 1 while the module may still go round.
func (g *generator) budget() {
	g.emit(wasm.OpGlobalGet, 0)
	g.emit(wasm.OpI32Const, S(1))
	g.emit(wasm.OpI32Sub)
	g.emit(wasm.OpGlobalSet, 0)
	g.emit(wasm.OpGlobalGet, 0)
	g.emit(wasm.OpI32Const, S(0))
	g.emit(wasm.Op(0x4a)) // i32.gt_s
}

func (g *generator) loop(depth int) {
	if g.pick(3, "loop with parameters") == 0 {
		g.expr(wasm.I32, 1)
		g.expr(wasm.I64, 1)
		g.emit(wasm.OpLoop, g.loopPair)
		g.within(genLabel{results: Types(wasm.I32, wasm.I64), loop: true}, func() {
			g.emit(wasm.OpLocalSet, localLong2)
			g.emit(wasm.OpLocalSet, localInt2)
			g.statements(depth - 1)
			g.expr(wasm.I32, 1)
			g.expr(wasm.I64, 1)
			g.budget()
			g.emit(wasm.OpBrIf, 0)
		})
		g.emit(wasm.OpDrop)
		g.emit(wasm.OpDrop)
		return
	}
	g.emit(wasm.OpLoop, Void)
	g.within(genLabel{loop: true}, func() {
		g.statements(depth - 1)
		g.budget()
		g.emit(wasm.OpBrIf, 0)
	})
}

// branch leaves a block under a condition.
func (g *generator) branch() {
	depth := g.pick(len(g.labels), "label")
	l := g.labels[len(g.labels)-1-depth]
	if l.loop {
		return
	}
	for _, t := range l.results {
		g.expr(wasm.ValueType(t), 1)
	}
	g.expr(wasm.I32, 2)
	g.emit(wasm.OpBrIf, depth)
	for range l.results {
		g.emit(wasm.OpDrop)
	}
}

// table branches by a number, to labels that carry nothing.
func (g *generator) table(depth int) {
	n := g.pick(4, "cases") + 1
	for range n {
		g.emit(wasm.OpBlock, Void)
		g.labels = append(g.labels, genLabel{})
	}
	var targets []int
	for d := range g.labels {
		if l := g.labels[len(g.labels)-1-d]; len(l.results) == 0 && !l.loop {
			targets = append(targets, d)
		}
	}
	g.expr(wasm.I32, 2)
	count := g.pick(5, "targets")
	g.emit(wasm.OpBrTable, count)
	for range count + 1 {
		g.code = wasm.AppendU32(g.code, uint32(targets[g.pick(len(targets), "target")]))
	}
	for range n {
		g.labels = g.labels[:len(g.labels)-1]
		g.emit(wasm.OpEnd)
		g.statements(depth - 1)
	}
}

// call calls a function before this one.
func (g *generator) call() {
	if g.callable == 0 {
		return
	}
	g.expr(wasm.I32, 1)
	g.expr(wasm.I64, 1)
	if g.pick(2, "indirect") == 0 {
		g.emit(wasm.OpCall, g.pick(g.callable, "callee"))
	} else {
		g.emit(wasm.OpI32Const, S(g.pick(g.callable, "callee")))
		g.emit(wasm.OpCallIndirect, g.entry, 0)
	}
	g.emit(wasm.OpLocalSet, localLong)
}

// exit leaves the function; what follows is never reached.
func (g *generator) exit() {
	switch g.pick(6, "exit") {
	case 0:
		g.emit(wasm.OpUnreachable)
	case 1:
		if g.callable > 0 {
			g.expr(wasm.I32, 1)
			g.expr(wasm.I64, 1)
			g.emit(wasm.OpReturnCall, g.pick(g.callable, "callee"))
			return
		}
		fallthrough
	case 2:
		g.expr(wasm.I64, 1)
		g.emit(wasm.OpBr, len(g.labels)-1)
	case 3:
		if g.callable > 0 {
			g.expr(wasm.I32, 1)
			g.expr(wasm.I64, 1)
			g.emit(wasm.OpI32Const, S(g.pick(5, "callee")))
			g.emit(wasm.OpReturnCallIndirect, g.entry, 0)
			return
		}
		fallthrough
	default:
		g.expr(wasm.I64, 1)
		g.emit(wasm.OpReturn)
	}
}

func (g *generator) bulk() {
	switch g.pick(7, "bulk") {
	case 0:
		g.address()
		g.expr(wasm.I32, 1)
		g.emit(wasm.OpI32Const, S(g.pick(200, "length")))
		g.emit(wasm.OpMemoryFill, 0)
	case 1:
		g.address()
		g.address()
		g.emit(wasm.OpI32Const, S(g.pick(200, "length")))
		g.emit(wasm.OpMemoryCopy, 0, 0)
	case 2:
		g.address()
		g.emit(wasm.OpI32Const, S(g.pick(8, "start")))
		g.emit(wasm.OpI32Const, S(g.pick(10, "length")))
		g.emit(wasm.OpMemoryInit, g.segment, 0)
	case 3:
		g.emit(wasm.OpDataDrop, g.segment)
	case 4:
		g.emit(wasm.OpI32Const, S(g.pick(3, "pages")))
		g.emit(wasm.OpMemoryGrow, 0)
		g.emit(wasm.OpLocalSet, localInt)
	case 5:
		g.emit(wasm.OpI32Const, S(g.pick(5, "entry")))
		g.emit(wasm.OpRefNull, wasm.FuncRef)
		g.emit(wasm.OpI32Const, S(g.pick(3, "length")))
		g.emit(wasm.OpTableFill, 0)
	case 6:
		g.emit(wasm.OpRefNull, wasm.FuncRef)
		g.emit(wasm.OpI32Const, S(g.pick(6, "length")))
		g.emit(wasm.OpTableGrow, 0)
		g.emit(wasm.OpLocalSet, localInt)
	}
}

// address leaves an address that is mostly within memory.
func (g *generator) address() {
	g.expr(wasm.I32, 1)
	g.emit(wasm.OpI32Const, S(0xffff))
	g.emit(wasm.Op(0x71)) // i32.and
}

// expr leaves a value of type t.
func (g *generator) expr(t wasm.ValueType, depth int) {
	if depth == 0 {
		g.leaf(t)
		return
	}
	if g.floats && g.pick(3, "of floats") > 0 {
		g.floatExpr(t, depth-1)
		return
	}
	switch t {
	case wasm.I32:
		g.intExpr(depth)
	case wasm.I64:
		g.longExpr(depth)
	case wasm.F32, wasm.V128:
		g.leaf(t)
	default:
		if g.pick(2, "float") == 0 {
			g.leaf(t)
			return
		}
		g.expr(wasm.F64, depth-1)
		g.expr(wasm.F64, depth-1)
		g.emit(wasm.Op(0xa0 + g.pick(4, "operator"))) // f64.add to div
	}
}

func (g *generator) leaf(t wasm.ValueType) {
	switch t {
	case wasm.I32:
		switch g.pick(4, "leaf") {
		case 0:
			g.emit(wasm.OpLocalGet, localInt)
		case 1:
			g.emit(wasm.OpLocalGet, localInt2)
		case 2:
			g.emit(wasm.OpGlobalGet, 2)
		default:
			g.emit(wasm.OpI32Const, S(rapid.Int32().Draw(g.T, "constant")))
		}
	case wasm.I64:
		switch g.pick(4, "leaf") {
		case 0:
			g.emit(wasm.OpLocalGet, localLong)
		case 1:
			g.emit(wasm.OpLocalGet, localLong2)
		case 2:
			g.emit(wasm.OpGlobalGet, 1)
		default:
			g.emit(wasm.OpI64Const, S(rapid.Int64().Draw(g.T, "constant")))
		}
	case wasm.F32, wasm.V128:
		g.floatLeaf(t)
	default:
		if g.floats {
			g.floatLeaf(t)
			return
		}
		if g.pick(2, "leaf") == 0 {
			g.emit(wasm.OpLocalGet, localFloat)
		} else {
			g.emit(wasm.OpF64Const, float64(g.pick(100, "constant"))/8)
		}
	}
}

func (g *generator) intExpr(depth int) {
	switch g.pick(7, "expression") {
	case 0, 1:
		g.expr(wasm.I32, depth-1)
		g.expr(wasm.I32, depth-1)
		g.emit(wasm.Op(0x46 + g.pick(10, "comparison"))) // i32.eq to ge_u
	case 2, 3:
		g.expr(wasm.I32, depth-1)
		g.expr(wasm.I32, depth-1)
		g.operator(0x6a, wasm.OpI32Const, 0x72)
	case 4:
		g.address()
		g.emit(wasm.Op(0x28), g.pick(3, "align"), g.pick(300, "offset")) // i32.load
	case 5:
		g.expr(wasm.I64, depth-1)
		g.emit(wasm.Op(0xa7)) // i32.wrap_i64
	default:
		g.leaf(wasm.I32)
	}
}

// operator draws one of the operators of integers, add to rotr. Divisors are
// mostly made odd, so that few runs end in a division by zero.
func (g *generator) operator(add, constant, or wasm.Op) {
	op := g.pick(15, "operator")
	if op >= 3 && op <= 6 && g.pick(10, "divisor") > 0 {
		g.emit(constant, S(1))
		g.emit(or)
	}
	g.emit(add + wasm.Op(op))
}

func (g *generator) longExpr(depth int) {
	switch g.pick(7, "expression") {
	case 0, 1, 2:
		g.expr(wasm.I64, depth-1)
		g.expr(wasm.I64, depth-1)
		g.operator(0x7c, wasm.OpI64Const, 0x84)
	case 3:
		g.expr(wasm.I32, depth-1)
		g.emit(wasm.OpI64ExtendI32U)
	case 4:
		g.emit(wasm.OpBlock, wasm.I64)
		g.within(genLabel{results: Types(wasm.I64)}, func() {
			g.branch()
			g.expr(wasm.I64, depth-1)
		})
	case 5:
		g.expr(wasm.F64, depth-1)
		g.emit(wasm.Op(0xfc06)) // i64.trunc_sat_f64_s
	default:
		g.leaf(wasm.I64)
	}
}
