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
		charges:  p.charges,
		tmp:      uint32(len(t.Params)) + b.Locals,
		frame:    frameBytes(len(t.Params)+int(b.Locals), p.height),
		wrapped:  p.calls,
	}
	e.b = make([]byte, 0, len(b.Raw)+len(b.Raw)/2+64)
	e.b = appendLocal(e.b, b.Raw[:b.First])
	first := uint32(len(e.b))

	e.globals.chargeAndCheck(&e.code, p.charges[0].cost, e.tmp)
	e.globals.chargeStack(&e.code, e.frame, e.tmp, !e.wrapped)
	e.charges = e.charges[1:]
	if e.wrapped {
		e.b = append(e.b, byte(binary.OpBlock))
		e.b = w.appendBlockType(e.b, t.Results)
		e.blocks++
	}
	if err := e.instructions(); err != nil {
		return binary.Body{}, err
	}
	if e.wrapped {
		e.globals.returnStack(&e.code, e.frame)
		e.end()
	}
	return binary.Body{
		Raw:    e.b,
		First:  first,
		Locals: b.Locals + 1,
		Blocks: b.Blocks + uint32(e.blocks),
		Calls:  b.Calls + uint32(e.calls),
	}, nil
}

// appendLocal appends local declarations and one more i64.
func appendLocal(dst, decls []byte) []byte {
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
	return append(dst, 1, byte(binary.I64))
}

// emitter is the state of the second pass over one function.
type emitter struct {
	*rewriter
	code
	src     []byte
	copied  int      // src up to here is in the output
	charges []charge // still to come
	tmp     uint32   // an i64 local for the counters
	frame   int64
	wrapped bool
	depth   uint32 // open blocks of src
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
			e.depth++
		case binary.OpEnd:
			e.depth-- // wraps at the function's own end, the last instruction
		case binary.OpReturn:
			if e.wrapped {
				e.replace(&in)
				e.index(binary.OpBr, e.depth)
			}
		case binary.OpCall, binary.OpRefFunc:
			e.replace(&in)
			e.index(in.Op, in.Index+1)
		case binary.OpReturnCall:
			e.replace(&in)
			e.tailCall()
			e.index(in.Op, in.Index+1)
		case binary.OpReturnCallIndirect:
			e.copyTo(in.Start)
			e.tailCall()
		case binary.OpTableSet, binary.OpDataDrop, binary.OpElemDrop:
			e.resettable = false
		default:
			if k, ok := bulkOf(&in); ok {
				e.replace(&in)
				e.call(e.bulkFunc(k))
				e.resettable = e.resettable && !k.writesTable()
			}
		}
	}
	e.copyTo(len(e.src))
	return r.Err()
}

func (e *emitter) chargeNext() {
	c := e.charges[0]
	e.charges = e.charges[1:]
	e.copyTo(c.at)
	if c.check {
		e.globals.chargeAndCheck(&e.code, c.cost, e.tmp)
	} else {
		e.globals.charge(&e.code, c.cost)
	}
}

// tailCall gives the frame back before a call that takes this one's place.
func (e *emitter) tailCall() {
	if e.wrapped {
		e.globals.returnStack(&e.code, e.frame)
	}
}
