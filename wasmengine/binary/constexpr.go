package binary

// constValue is the value of a constant expression, if it is known before the
// module is instantiated.
type constValue struct {
	typ   ValueType
	bits  uint64
	known bool
}

// constExpr reads a constant expression of the wanted type, up to and with its
// end, and computes it. Indices are checked: global.get may only name
// immutable imported globals.
func (d *decoder) constExpr(want ValueType) (expr []byte, v constValue) {
	start := d.pos
	r := Reader{cursor{b: d.b[start:], base: d.base + start, section: d.section, fn: -1, past: d.past}}
	over := false
	var in Instr
	stack := d.consts[:0]
	for r.Next(&in) {
		if in.End > d.caps.ConstExpr && !over {
			over = true
			if r.over("const-expr", false, 0, "constant expression over %d bytes", d.caps.ConstExpr); r.err != nil {
				break
			}
		}
		if in.Op == OpEnd {
			d.pos = start + in.End
			if len(stack) != 1 || stack[0].typ != want {
				d.malformed(start, "constant expression is not one %v", want)
				return nil, constValue{}
			}
			return d.b[start:d.pos:d.pos], stack[0]
		}
		stack = d.constStep(&r.cursor, &in, stack)
	}
	if r.err == nil {
		r.malformed(0, "constant expression without end")
	}
	if d.err == nil {
		d.err = r.err
		d.pos = len(d.b)
	}
	return nil, constValue{}
}

func (d *decoder) constStep(r *cursor, in *Instr, stack []constValue) []constValue {
	push := func(v constValue) []constValue {
		stack = append(stack, v)
		d.consts = stack
		return stack
	}
	switch in.Op {
	case OpI32Const:
		return push(constValue{I32, in.Value, true})
	case OpI64Const:
		return push(constValue{I64, in.Value, true})
	case OpF32Const:
		return push(constValue{F32, in.Value, true})
	case OpF64Const:
		return push(constValue{F64, in.Value, true})
	case OpV128Const:
		return push(constValue{typ: V128})
	case OpRefNull:
		return push(constValue{typ: in.Type})
	case OpRefFunc:
		if int64(in.Index) >= int64(d.m.NumFuncs()) {
			r.malformed(in.Start, "function %d of %d", in.Index, d.m.NumFuncs())
			return stack
		}
		d.declare(in.Index)
		return push(constValue{typ: FuncRef})
	case OpGlobalGet:
		if int64(in.Index) >= int64(d.m.ImportedGlobals) || d.m.Globals[in.Index].Mutable {
			r.malformed(in.Start, "global %d is not an immutable import", in.Index)
			return stack
		}
		return push(constValue{typ: d.m.Globals[in.Index].Type})
	case OpI32Add, OpI32Sub, OpI32Mul, OpI64Add, OpI64Sub, OpI64Mul:
		typ := I32
		if in.Op >= OpI64Add {
			typ = I64
		}
		n := len(stack)
		if n < 2 || stack[n-1].typ != typ || stack[n-2].typ != typ {
			r.malformed(in.Start, "operands of %v", in.Op)
			return stack
		}
		stack[n-2] = arithmetic(in.Op, stack[n-2], stack[n-1])
		return stack[:n-1]
	}
	r.malformed(in.Start, "opcode %v in a constant expression", in.Op)
	return stack
}

func arithmetic(op Op, a, b constValue) constValue {
	v := constValue{typ: a.typ, known: a.known && b.known}
	if !v.known {
		return v
	}
	switch op {
	case OpI32Add, OpI64Add:
		v.bits = a.bits + b.bits
	case OpI32Sub, OpI64Sub:
		v.bits = a.bits - b.bits
	default:
		v.bits = a.bits * b.bits
	}
	if v.typ == I32 {
		v.bits = uint64(uint32(v.bits))
	}
	return v
}
