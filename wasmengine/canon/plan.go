package canon

import "pappus/wasmengine/binary"

// Site is an instruction whose result must be made canonical.
type Site struct {
	At     int // where it starts, as binary.Instr.Start
	Kind   Kind
	Branch bool // by a block, which is faster, and not by a selection, which compiles faster
}

// maxBranches bounds the branches of one function: compile time grows with
// their square.
const maxBranches = 50

// Planner finds the sites of functions, one after another: Begin, Step for
// every instruction, End. It takes time and memory linear in the code. The zero
// value is ready for use.
//
// A result needs no care if it can't be observed: it only gets to comparisons,
// to conversions to integers, and to arithmetic, of which only the last result
// needs care. Planner follows results from where they are made over the operand
// stack and through locals. What goes anywhere else, or stays on the stack when
// a block begins or ends, counts as observed. Locals are looked at as a
// whole: what gets into one is observed if anything that it is read for is.
type Planner struct {
	locals int
	sees   []sight // of nodes, which are the locals and then the results of made
	edges  []edge
	first  []int32 // of a local: its first edge, or nothing
	made   []Site  // instructions that make NaNs
	stack  []int32 // what the top of the operand stack holds: nodes, or nothing
	work   []int32
	blocks []bool // the open blocks: whether they are loops
	loops  int    // open loops
}

const nothing = -1

// edge says that a node gets into a local.
type edge struct{ from, next int32 }

// sight is how a result is observed. A vector may be seen through lanes of
// another width, and then its NaNs are bits like any others.
type sight uint8

const (
	bits    sight = 1 << iota // as it is
	asF32x4                   // as four numbers, of which each may be a NaN
	asF64x2
)

// through is what an instruction that ignores NaNs sees of its operands.
func (k Kind) through() sight {
	switch k {
	case F32x4:
		return asF32x4
	case F64x2:
		return asF64x2
	default:
		return 0
	}
}

// Begin starts a function with a number of locals, parameters included.
func (p *Planner) Begin(locals int) {
	p.locals, p.loops = locals, 0
	p.sees, p.edges, p.first, p.made = p.sees[:0], p.edges[:0], p.first[:0], p.made[:0]
	p.stack, p.blocks = p.stack[:0], p.blocks[:0]
	for range locals {
		p.sees = append(p.sees, 0)
		p.first = append(p.first, nothing)
	}
}

// Step takes the next instruction.
func (p *Planner) Step(in *binary.Instr) {
	switch in.Op {
	case binary.OpBlock, binary.OpLoop, binary.OpIf:
		p.open(in.Op == binary.OpLoop)
		p.flush()
	case binary.OpEnd:
		p.close()
		p.flush()
	case binary.OpElse, binary.OpBr, binary.OpBrIf, binary.OpBrTable, binary.OpReturn, binary.OpUnreachable,
		binary.OpCall, binary.OpCallIndirect, binary.OpReturnCall, binary.OpReturnCallIndirect:
		p.flush()
	case binary.OpLocalGet:
		p.push(int32(in.Index))
	case binary.OpLocalSet:
		p.assign(in.Index, p.pop())
	case binary.OpLocalTee:
		n := p.pop()
		p.assign(in.Index, n)
		p.push(n)
	default:
		p.operate(in)
	}
}

func (p *Planner) open(loop bool) {
	p.blocks = append(p.blocks, loop)
	if loop {
		p.loops++
	}
}

func (p *Planner) close() {
	if n := len(p.blocks) - 1; n >= 0 { // else the function ends
		if p.blocks[n] {
			p.loops--
		}
		p.blocks = p.blocks[:n]
	}
}

// flush counts all that is on the stack as observed.
func (p *Planner) flush() {
	for len(p.stack) > 0 {
		p.see(p.pop(), bits)
	}
}

// operate takes an instruction that neither branches nor moves locals.
func (p *Planner) operate(in *binary.Instr) {
	info := infoOf(in.Op)
	seen := bits
	if info.use != observes {
		seen = info.from.through()
	}
	pops, pushes := in.Arity()
	operand := int32(nothing)
	for range pops {
		operand = p.pop()
		p.see(operand, seen)
	}
	switch {
	case info.use == transforms:
		p.push(operand)
	case info.made != Other:
		p.push(int32(len(p.sees)))
		p.sees = append(p.sees, 0)
		p.made = append(p.made, Site{At: in.Start, Kind: info.made, Branch: p.loops > 0 && info.made <= F64})
	default:
		for range pushes {
			p.push(nothing)
		}
	}
}

func (p *Planner) push(n int32) { p.stack = append(p.stack, n) }

// pop takes the top of the stack. Below what is known are values that were
// there when the block began, or came from calls.
func (p *Planner) pop() int32 {
	if len(p.stack) == 0 {
		return nothing
	}
	n := p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	return n
}

func (p *Planner) see(n int32, s sight) {
	if n != nothing {
		p.sees[n] |= s
	}
}

func (p *Planner) assign(local uint32, n int32) {
	if n != nothing {
		p.edges = append(p.edges, edge{from: n, next: p.first[local]})
		p.first[local] = int32(len(p.edges) - 1)
	}
}

// End gives the sites of the function in the order of the code. They are valid
// until the next Begin.
func (p *Planner) End() []Site {
	if len(p.made) == 0 {
		return nil
	}
	p.spread()
	sites, branches := p.made[:0], 0
	for i, site := range p.made {
		if p.sees[p.locals+i]&^site.Kind.through() == 0 {
			continue
		}
		if site.Branch {
			site.Branch = branches < maxBranches
			branches++
		}
		sites = append(sites, site)
	}
	return sites
}

// spread lets what gets into a local be seen as the local is. A local's sight
// grows three times at most, so this is linear in the edges.
func (p *Planner) spread() {
	for i := range p.locals {
		if p.sees[i] != 0 {
			p.work = append(p.work, int32(i))
		}
	}
	for len(p.work) > 0 {
		l := p.work[len(p.work)-1]
		p.work = p.work[:len(p.work)-1]
		for e := p.first[l]; e != nothing; e = p.edges[e].next {
			n := p.edges[e].from
			if p.sees[n]|p.sees[l] == p.sees[n] {
				continue
			}
			p.sees[n] |= p.sees[l]
			if int(n) < p.locals {
				p.work = append(p.work, n)
			}
		}
	}
}
