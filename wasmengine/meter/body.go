package meter

import (
	"pappus/wasmengine/binary"
	"pappus/wasmengine/canon"
)

// frameBytes is what a call costs of the stack.
func frameBytes(locals, height int) int64 { return 8*(int64(locals)+int64(height)) + 64 }

// frame is what a call of the function costs of the stack.
func (p *plan) frame(b *binary.Body, t *binary.FuncType) int64 {
	return frameBytes(len(t.Params)+int(b.Locals), p.height)
}

// body rewrites one function: the second pass, which emits what the plan says.
//
// What is left of the stack is handed on in a global: a function takes its frame
// from that at its entry, keeps the rest in a local, and puts it into the global
// before every call. So it has nothing to do where it returns.
//
// The code of a function that checks at its entry stands in the guard of a loop,
// whose label takes the place of the function's own.
func (w *rewriter) body(b *binary.Body, t *binary.FuncType) (binary.Body, error) {
	p, err := w.planner.planBody(b, t)
	if err != nil {
		return binary.Body{}, err
	}
	e := &emitter{
		rewriter: w,
		src:      b.Raw[b.First:],
		first:    b.First,
		charges:  p.charges[1:],
		loops:    p.loops,
		tmp:      uint32(len(t.Params)) + b.Locals,
		frame:    p.frame(b, t),
		nans:     p.nans,
		returns:  p.calls,
		guarded:  !p.short(),
	}
	e.scratch = canon.NewScratch(p.nans, e.tmp+2)
	e.b = make([]byte, 0, len(b.Raw)+len(b.Raw)/2+64)
	e.b = appendLocals(e.b, b.Raw[:b.First], e.scratch.Types)
	first := uint32(len(e.b))

	e.globals.takeStack(&e.code, e.frame, e.tmp+1, !p.calls)
	e.globals.charge(&e.code, p.charges[0].cost, e.tmp, false)
	if e.guarded {
		blockType := w.appendBlockType(nil, t.Results)
		e.openAs(binary.OpLoop, blockType)
		e.globals.guard(&e.code, e.tmp, blockType)
	}
	e.known = true
	if err := e.instructions(); err != nil {
		return binary.Body{}, err
	}
	w.stats.Frames = append(w.stats.Frames, e.frame)
	if w.options.Origins {
		w.stats.Origins = append(w.stats.Origins, e.origins)
	}
	return binary.Body{
		Raw:    e.b,
		First:  first,
		Locals: b.Locals + 2 + uint32(len(e.scratch.Types)),
		Blocks: b.Blocks + uint32(e.blocks),
		Calls:  b.Calls + uint32(e.calls),
	}, nil
}

// appendLocals appends local declarations, then two locals of i64 and more.
func appendLocals(dst, decls []byte, more binary.ValueTypes) []byte {
	n, size := uint32(0), 0
	for shift := 0; ; shift += 7 {
		x := decls[size]
		size++
		n |= uint32(x&0x7f) << shift
		if x < 0x80 {
			break
		}
	}
	dst = binary.AppendU32(dst, n+1+uint32(len(more)))
	dst = append(dst, decls[size:]...)
	dst = append(dst, 2, byte(binary.I64))
	for _, t := range more {
		dst = append(dst, 1, t)
	}
	return dst
}

// emitter is the state of the second pass over one function.
type emitter struct {
	*rewriter
	code
	src     []byte
	copied  int    // src up to here is in the output
	first   uint32 // where src begins in the body
	origins []Origin
	charges []charge // still to come
	loops   []loop   // still to come, see plan
	tmp     uint32   // an i64 local: copy of the fuel counter; one more follows it
	frame   int64
	nans    []canon.Site // still to come
	scratch canon.Scratch
	returns bool // there are calls that return to this function
	guarded bool // it checks at its entry

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
	guard []byte // the type of a loop whose code stands in a guard, or nil
}

// copyTo copies the source up to an offset.
func (e *emitter) copyTo(offset int) {
	if e.options.Origins {
		e.origins = append(e.origins, Origin{uint32(len(e.b)), e.first + uint32(e.copied), uint32(offset - e.copied)})
	}
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
		if len(e.nans) > 0 && e.nans[0].At == in.Start {
			e.makeCanonical(&in)
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
		case binary.OpUnreachable, binary.OpReturn:
			e.known = true
		case binary.OpRefFunc:
			e.replace(&in)
			e.index(in.Op, in.Index+1)
		case binary.OpCall:
			e.replace(&in)
			e.leaveStack(0)
			e.index(in.Op, in.Index+1)
			e.known = false
		case binary.OpCallIndirect:
			e.copyTo(in.Start)
			e.leaveStack(0)
			e.known = false
		case binary.OpReturnCall, binary.OpReturnCallIndirect:
			e.tailCall(&in)
		case binary.OpTableSet, binary.OpDataDrop, binary.OpElemDrop:
			e.resettable = false
		default:
			if k, ok := bulkOf(&in); ok {
				if k.op == binary.OpMemoryInit && e.m.Data[k.a].Mode == binary.Active {
					k.a = e.emptySegment()
				}
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

// tailCall emits a call that takes this one's place, or an ordinary one where
// the compiler makes one.
func (e *emitter) tailCall(in *binary.Instr) {
	e.replace(in)
	proper := inRegisters(e.planner.callee(in))
	op, frame := in.Op, e.frame
	if !proper {
		op, frame = binary.OpCall, 0
		if in.Op == binary.OpReturnCallIndirect {
			op = binary.OpCallIndirect
		}
	}
	e.leaveStack(frame)
	if in.Op == binary.OpReturnCall {
		e.index(op, in.Index+1)
	} else {
		e.index(op, in.Index)
		e.b = binary.AppendU32(e.b, in.Index2)
	}
	if !proper {
		e.op(binary.OpReturn)
	}
	e.known = true
}

// makeCanonical adds the code that makes the NaN of an instruction canonical.
// It costs no fuel: it is not the function's doing.
func (e *emitter) makeCanonical(in *binary.Instr) {
	e.copyTo(in.End)
	e.b = e.scratch.Append(e.b, e.nans[0])
	if e.nans[0].Branch {
		e.blocks++
	}
	e.nans = e.nans[1:]
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
		if top := e.labels[len(e.labels)-1]; top.guard != nil {
			e.globals.guard(&e.code, e.tmp, top.guard)
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
	top := e.labels[len(e.labels)-1]
	if top.guard != nil {
		return top.level + 1
	}
	return top.level
}

// open enters a block. The copy of the counter is known in a loop if nothing
// in the loop changes the counter but its own charges.
//
// An innermost loop without calls is put into another, which asks for slices:
// what the inner one holds in registers then need not live through that call.
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
		if !l.dead && (l.calls || l.innermost) {
			j.guard = e.src[in.Start+1 : in.End]
		}
		if j.guard != nil && !l.calls {
			j.twin = true
			j.level++
			e.copyTo(in.End)
			e.globals.check(&e.code, e.tmp)
			e.openAs(in.Op, j.guard)
		}
	}
	j.entry = e.known
	e.labels = append(e.labels, j)
}

func (e *emitter) close(in *binary.Instr) {
	if len(e.labels) == 0 {
		if e.guarded {
			e.copyTo(in.Start)
			e.globals.refillElse(&e.code, e.tmp)
			e.end()
		}
		return
	}
	top := e.labels[len(e.labels)-1]
	e.labels = e.labels[:len(e.labels)-1]
	if e.known = e.known && top.known; top.op == binary.OpIf { // without else
		e.known = e.known && top.entry
	}
	switch {
	case top.twin:
		e.copyTo(in.Start)
		e.op(binary.OpElse)
		e.index(binary.OpBr, 2)
		e.end()
		e.end()
	case top.guard != nil:
		e.copyTo(in.Start)
		e.globals.refillElse(&e.code, e.tmp)
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

// leaveStack puts what is left of the stack, and the frame if it is given back,
// where the function that is called next finds it.
func (e *emitter) leaveStack(frame int64) {
	if !e.returns {
		return // nothing has changed the global
	}
	e.get(e.tmp + 1)
	if frame > 0 {
		e.i64(frame)
		e.op(binary.OpI64Add)
	}
	e.toGlobal(e.globals.stack)
}
