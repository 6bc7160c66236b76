package meter

import (
	"pappus/wasmengine/binary"
	"pappus/wasmengine/canon"
)

// charge is a place in a function where fuel is charged: cost is that of all
// instructions that run exactly as often as this place is passed.
type charge struct {
	at    int // offset of the instruction that it stands before
	cost  int64
	check bool // function entry or loop header
}

// plan is what a first pass over a function finds out for the second.
type plan struct {
	charges []charge     // in the order of the code; the first is the function's entry
	loops   []loop       // in the order of the code
	height  int          // greatest number of operands
	calls   bool         // there are calls that return to this function
	tails   bool         // there are calls that take its place
	nans    []canon.Site // instructions whose NaNs are made canonical, in the order of the code
}

// short tells that a function does so little that its entry needs no check:
// it has no loops and calls none, so its callers' checks bound it.
func (p *plan) short() bool {
	if p.calls || p.tails || len(p.loops) > 0 {
		return false
	}
	sum := int64(0)
	for _, c := range p.charges {
		sum += c.cost
	}
	return sum <= shortCost
}

// frame is an open block of the planner.
type frame struct {
	base    int  // operands below the block
	params  int  // operands that the block takes
	results int  // operands that the block leaves
	entry   int  // charge that was current where the block starts
	target  int  // outermost frame that a branch from inside goes to
	loops   bool // there are loops inside
	loop    int  // number of the loop, or -1
	calls   bool // something inside may change the counter in the global
	dead    bool // the block starts in code that is never reached
}

// loop is what the plan says of a loop.
type loop struct {
	calls     bool // something inside may change the counter in the global
	innermost bool
	dead      bool // never reached
}

// planner walks a function. It tracks the height of the operand stack and the
// charge that the current code belongs to.
//
// Code behind a block belongs to the charge of the code before it, unless a
// branch or return leaves the block for a place outside: then it may run less
// often and gets a charge of its own. Code behind a conditional branch, in the
// arms of an if and in a loop always has its own. Traps are not counted as
// leaving, so a run that traps may have been charged for the code that the
// trap cut off.
type planner struct {
	m      *binary.Module
	plan   plan
	frames []frame
	height int
	cur    int  // current charge
	dead   bool // the current code is never reached

	canon    canon.Planner
	keepNaNs bool
}

// planBody makes the plan of a function of type t.
func (p *planner) planBody(b *binary.Body, t *binary.FuncType) (plan, error) {
	p.plan = plan{charges: p.plan.charges[:0], loops: p.plan.loops[:0]}
	p.frames = append(p.frames[:0], frame{results: len(t.Results)})
	p.height, p.dead = 0, false
	p.newCharge(0, false)
	p.canon.Begin(len(t.Params) + int(b.Locals))
	r := binary.NewReader(b.Raw[b.First:])
	var in binary.Instr
	for r.Next(&in) {
		p.step(&in)
		if !p.keepNaNs {
			p.canon.Step(&in)
		}
	}
	p.plan.nans = p.canon.End()
	return p.plan, r.Err()
}

func (p *planner) newCharge(at int, check bool) {
	p.cur = len(p.plan.charges)
	p.plan.charges = append(p.plan.charges, charge{at: at, check: check})
}

func (p *planner) step(in *binary.Instr) {
	if !p.dead {
		p.plan.charges[p.cur].cost += cost(in.Op)
	}
	switch in.Op {
	case binary.OpBlock, binary.OpLoop, binary.OpIf:
		p.open(in)
	case binary.OpElse:
		f := &p.frames[len(p.frames)-1]
		p.height, p.dead = f.base+f.params, f.dead
		if !p.dead {
			p.newCharge(in.End, false)
		}
	case binary.OpEnd:
		p.close(in)
	case binary.OpBr:
		p.branch(in.Index)
		p.dead = true
	case binary.OpBrIf:
		p.operands(1, 0)
		p.branch(in.Index)
		if !p.dead {
			p.newCharge(in.End, false)
		}
	case binary.OpBrTable:
		in.Labels.Each(p.branch)
		p.dead = true
	case binary.OpReturn:
		p.leave()
	case binary.OpUnreachable:
		p.dead = true
	case binary.OpCall, binary.OpCallIndirect:
		p.plan.calls = true
		p.touch()
		t := p.callee(in)
		pops, _ := in.Arity()
		p.operands(pops+len(t.Params), len(t.Results))
	case binary.OpReturnCall, binary.OpReturnCallIndirect:
		if t := p.callee(in); !inRegisters(t) { // becomes a call
			p.plan.calls = true
			p.touch()
			pops, _ := in.Arity()
			p.operands(pops+len(t.Params), len(t.Results))
		} else {
			p.plan.tails = true
		}
		p.leave()
	default:
		if _, ok := bulkOf(in); ok {
			p.touch()
		}
		pops, pushes := in.Arity()
		p.operands(pops, pushes)
	}
}

// touch notes that other code runs, which charges too.
func (p *planner) touch() { p.frames[len(p.frames)-1].calls = true }

func (p *planner) callee(in *binary.Instr) *binary.FuncType {
	t := in.Index
	if in.Op == binary.OpCall || in.Op == binary.OpReturnCall {
		t, _ = p.m.FuncTypeIndex(in.Index)
	}
	return &p.m.Types[t]
}

// inRegisters tells that what a call passes fits into registers of every
// processor. Only then the machine's frame of a tail call takes the caller's
// place: wazero makes an ordinary call of all others, so they are metered as
// such, and end by the stack limit if they never return.
func inRegisters(t *binary.FuncType) bool {
	const integers, floats = 6, 8 // the fewest: arm64's, less two that wazero uses
	for _, list := range []binary.ValueTypes{t.Params, t.Results} {
		n, f := 0, 0
		for _, v := range list {
			switch binary.ValueType(v) {
			case binary.F32, binary.F64, binary.V128:
				f++
			default:
				n++
			}
		}
		if n > integers || f > floats {
			return false
		}
	}
	return true
}

func (p *planner) open(in *binary.Instr) {
	if in.Op == binary.OpIf {
		p.operands(1, 0)
	}
	f := frame{entry: p.cur, target: len(p.frames), loop: -1, dead: p.dead}
	if in.Op == binary.OpLoop {
		f.loop = len(p.plan.loops)
		p.plan.loops = append(p.plan.loops, loop{})
	}
	switch {
	case in.Block.Indexed:
		t := &p.m.Types[in.Block.Index]
		f.params, f.results = len(t.Params), len(t.Results)
	case in.Block.Result != 0:
		f.results = 1
	}
	f.base = max(p.height-f.params, p.frames[len(p.frames)-1].base)
	p.frames = append(p.frames, f)
	if !p.dead && in.Op != binary.OpBlock {
		p.newCharge(in.End, in.Op == binary.OpLoop)
	}
}

func (p *planner) close(in *binary.Instr) {
	n := len(p.frames) - 1
	f := p.frames[n]
	p.frames = p.frames[:n]
	if n == 0 {
		return
	}
	parent := &p.frames[n-1]
	parent.target = min(parent.target, f.target)
	parent.calls = parent.calls || f.calls
	parent.loops = parent.loops || f.loops || f.loop >= 0
	if f.loop >= 0 {
		p.plan.loops[f.loop] = loop{calls: f.calls, innermost: !f.loops, dead: f.dead}
	}
	p.dead = f.dead
	p.height = f.base
	p.operands(0, f.results)
	switch {
	case f.dead:
	case f.target < n:
		p.newCharge(in.End, false)
	default:
		p.cur = f.entry
	}
}

// branch notes a branch to a label.
func (p *planner) branch(depth uint32) {
	top := &p.frames[len(p.frames)-1]
	top.target = min(top.target, len(p.frames)-1-int(depth))
}

// leave notes an exit from the function.
func (p *planner) leave() {
	p.frames[len(p.frames)-1].target = 0
	p.dead = true
}

// operands takes and gives operands. Code that takes more than there is would
// not pass the type check that follows metering; it must only do no harm here.
func (p *planner) operands(pops, pushes int) {
	if p.dead {
		return
	}
	p.height = max(p.height-pops, p.frames[len(p.frames)-1].base) + pushes
	p.plan.height = max(p.plan.height, p.height)
}
