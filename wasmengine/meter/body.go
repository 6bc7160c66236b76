package meter

import "pappus/wasmengine/binary"

// frameBytes is what a call costs of the stack.
func frameBytes(locals, height int) int64 { return 8*(int64(locals)+int64(height)) + 64 }

// body rewrites one function: the second pass, which emits what the plan says.
//
// A function that calls others takes its frame from the stack at its entry and
// gives it back at its one exit: its code is put into a block, whose label
// takes the place of the function's own, so branches to it need no change, and
// a return becomes a branch.
func (w *rewriter) body(b *binary.Body, t *binary.FuncType) (binary.Body, error) {
	p, err := w.planner.planBody(b, t)
	if err != nil {
		return binary.Body{}, err
	}
	e := &emitter{
		rewriter: w,
		src:      b.Raw[b.First:],
		charges:  p.charges[1:],
		loops:    p.loops,
		tmp:      uint32(len(t.Params)) + b.Locals,
		frame:    frameBytes(len(t.Params)+int(b.Locals), p.height),
		wrapped:  p.calls,
	}
	e.b = make([]byte, 0, len(b.Raw)+len(b.Raw)/2+64)
	e.b = appendLocals(e.b, b.Raw[:b.First])
	first := uint32(len(e.b))

	e.globals.charge(&e.code, p.charges[0].cost, e.tmp, false)
	e.globals.takeStack(&e.code, e.frame, e.tmp+1, !e.wrapped)
	if !p.short() {
		e.globals.check(&e.code, e.tmp)
	}
	e.known = true
	if e.wrapped {
		e.b = append(e.b, byte(binary.OpBlock))
		e.b = w.appendBlockType(e.b, t.Results)
		e.blocks++
	}
	if err := e.instructions(); err != nil {
		return binary.Body{}, err
	}
	if e.wrapped {
		e.globals.returnStack(&e.code, e.tmp+1)
		e.end()
	}
	return binary.Body{
		Raw:    e.b,
		First:  first,
		Locals: b.Locals + 2,
		Blocks: b.Blocks + uint32(e.blocks),
		Calls:  b.Calls + uint32(e.calls),
	}, nil
}

// appendLocals appends local declarations and two more, of i64.
func appendLocals(dst, decls []byte) []byte {
	n, size := uint32(0), 0
	for shift := 0; ; shift += 7 {
		x := decls[size]
		size++
		n |= uint32(x&0x7f) << shift
		if x < 0x80 {
			break
		}
	}
	dst = binary.AppendU32(dst, n+1)
	dst = append(dst, decls[size:]...)
	return append(dst, 2, byte(binary.I64))
}

// emitter is the state of the second pass over one function.
type emitter struct {
	*rewriter
	code
	src     []byte
	copied  int      // src up to here is in the output
	charges []charge // still to come
	loops   []loop   // still to come, see plan
	tmp     uint32   // an i64 local: copy of the fuel counter; one more follows it
	frame   int64
	wrapped bool

	labels []join // open blocks of src
	known  bool   // tmp is equal to the counter here, or the code is never reached
}

// join is where the ways out of a block meet.
type join struct {
	op    binary.Op
	level uint32 // labels of the output that are open around it and with it
	entry bool   // known where an if starts
	known bool   // known on all ways seen so far
	twin  bool   // a loop in a loop

	params bool // a loop with parameters
}

// copyTo copies the source up to an offset.
func (e *emitter) copyTo(offset int) {
	e.b = append(e.b, e.src[e.copied:offset]...)
	e.copied = offset
}

// replace drops an instruction of the source; what comes next takes its place.
func (e *emitter) replace(in *binary.Instr) {
	e.copyTo(in.Start)
	e.copied = in.End
}

func (e *emitter) instructions() error {
	r := binary.NewReader(e.src)
	var in binary.Instr
	for r.Next(&in) {
		if len(e.charges) > 0 && e.charges[0].at == in.Start {
			e.chargeNext()
		}
		switch in.Op {
		case binary.OpBlock, binary.OpLoop, binary.OpIf:
			e.open(&in)
		case binary.OpElse:
			top := &e.labels[len(e.labels)-1]
			top.op, top.known = in.Op, top.known && e.known
			e.known = top.entry
		case binary.OpEnd:
			e.close(&in)
		case binary.OpBr, binary.OpBrIf:
			e.branch(in.Index)
			if d := e.depth(in.Index); d != in.Index {
				e.replace(&in)
				e.index(in.Op, d)
			}
			e.known = e.known || in.Op == binary.OpBr
		case binary.OpBrTable:
			in.Labels.Each(e.branch)
			e.known = true
			if e.level() != uint32(len(e.labels)) {
				e.replace(&in)
				e.index(in.Op, uint32(in.Labels.Count-1))
				in.Labels.Each(func(d uint32) { e.b = binary.AppendU32(e.b, e.depth(d)) })
			}
		case binary.OpUnreachable:
			e.known = true
		case binary.OpReturn:
			if e.wrapped {
				e.replace(&in)
				e.index(binary.OpBr, e.level())
			}
			e.known = true
		case binary.OpRefFunc:
			e.replace(&in)
			e.index(in.Op, in.Index+1)
		case binary.OpCall:
			e.replace(&in)
			e.index(in.Op, in.Index+1)
			e.known = false
		case binary.OpCallIndirect:
			e.known = false
		case binary.OpReturnCall:
			e.replace(&in)
			e.tailCall()
			e.index(in.Op, in.Index+1)
			e.known = true
		case binary.OpReturnCallIndirect:
			e.copyTo(in.Start)
			e.tailCall()
			e.known = true
		case binary.OpTableSet, binary.OpDataDrop, binary.OpElemDrop:
			e.resettable = false
		default:
			if k, ok := bulkOf(&in); ok {
				e.replace(&in)
				e.call(e.bulkFunc(k))
				e.known = false
				e.resettable = e.resettable && !k.writesTable()
			}
		}
	}
	e.copyTo(len(e.src))
	return r.Err()
}

// chargeNext emits the next charge of the plan.
func (e *emitter) chargeNext() {
	c := e.charges[0]
	e.charges = e.charges[1:]
	e.copyTo(c.at)
	if c.check && !e.known {
		e.globals.charge(&e.code, 0, e.tmp, false)
		e.known = true
	}
	if c.check {
		if top := e.labels[len(e.labels)-1]; top.twin {
			e.get(e.tmp)
			e.i64(0)
			e.op(binary.OpI64LtS)
			if top.params {
				e.index(binary.OpBrIf, 1)
			} else { // wazero makes less of br_if here
				e.code.open(binary.OpIf)
				e.index(binary.OpBr, 2)
				e.end()
			}
		} else {
			e.globals.check(&e.code, e.tmp)
		}
	}
	if c.cost != 0 {
		e.globals.charge(&e.code, c.cost, e.tmp, e.known)
		e.known = true
	}
}

func (e *emitter) level() uint32 {
	if len(e.labels) == 0 {
		return 0
	}
	return e.labels[len(e.labels)-1].level
}

// open enters a block. The copy of the counter is known in a loop if nothing
// in the loop changes the counter but its own charges.
func (e *emitter) open(in *binary.Instr) {
	j := join{op: in.Op, level: e.level() + 1, known: true}
	if in.Op == binary.OpLoop {
		l := e.loops[0]
		e.loops = e.loops[1:]
		switch {
		case l.calls:
			e.known = false
		case !e.known:
			e.copyTo(in.Start)
			e.globals.charge(&e.code, 0, e.tmp, false)
			e.known = true
		}
		if l.innermost && !l.calls && !l.dead {
			j.twin = true
			j.params = in.Block.Indexed && len(e.m.Types[in.Block.Index].Params) > 0
			j.level++
			e.copyTo(in.End)
			e.globals.check(&e.code, e.tmp)
			e.b = append(e.b, e.src[in.Start:in.End]...)
			e.blocks++
		}
	}
	j.entry = e.known
	e.labels = append(e.labels, j)
}

func (e *emitter) close(in *binary.Instr) {
	if len(e.labels) == 0 {
		return
	}
	top := e.labels[len(e.labels)-1]
	e.labels = e.labels[:len(e.labels)-1]
	if e.known = e.known && top.known; top.op == binary.OpIf { // without else
		e.known = e.known && top.entry
	}
	if top.twin {
		e.copyTo(in.Start)
		e.end()
	}
}

// depth is the label of the output for a label of the source.
func (e *emitter) depth(depth uint32) uint32 {
	if int(depth) == len(e.labels) {
		return e.level()
	}
	return e.level() - e.labels[len(e.labels)-1-int(depth)].level
}

// branch notes what is known on a way to a label.
func (e *emitter) branch(depth uint32) {
	if i := len(e.labels) - 1 - int(depth); i >= 0 && e.labels[i].op != binary.OpLoop {
		e.labels[i].known = e.labels[i].known && e.known
	}
}

// tailCall gives the frame back before a call that takes this one's place.
func (e *emitter) tailCall() {
	if e.wrapped {
		e.globals.returnStack(&e.code, e.tmp+1)
	}
}
