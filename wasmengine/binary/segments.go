package binary

func (d *decoder) elementSection() {
	n := d.count("elements", "element segments", 3, d.caps.Elements)
	d.m.Elements = make([]Element, 0, n)
	for range n {
		e := d.element()
		if d.err != nil {
			return
		}
		d.m.Elements = append(d.m.Elements, e)
	}
}

// element reads a segment. Its flags say: 1 passive or declarative, 2 explicit
// table or declarative, 4 expressions.
func (d *decoder) element() Element {
	at := d.pos
	flags := d.u32()
	if flags > 7 {
		d.malformed(at, "element segment of kind %d", flags)
	}
	e := Element{Type: FuncRef, Exprs: flags&4 != 0}
	switch {
	case d.err != nil:
		return e
	case flags&3 == 1:
		e.Mode = Passive
	case flags&3 == 3:
		e.Mode = Declarative
	default:
		if flags&2 != 0 {
			e.Table = d.u32()
		}
		if int64(e.Table) >= int64(len(d.m.Tables)) {
			d.malformed(at, "table %d of %d", e.Table, len(d.m.Tables))
			return e
		}
		expr, v := d.constExpr(I32)
		e.OffsetExpr, e.Offset, e.Known = expr, uint32(v.bits), v.known
	}
	if flags&3 != 0 {
		if e.Exprs {
			e.Type = d.refType()
		} else if kindAt := d.pos; d.byte() != 0 && d.err == nil {
			d.malformed(kindAt, "kind of elements is not function")
		}
	}
	if d.err == nil && e.Mode == Active && d.m.Tables[e.Table].Type != e.Type {
		d.malformed(at, "elements of %v for a table of %v", e.Type, d.m.Tables[e.Table].Type)
	}
	d.elementInit(&e)
	return e
}

func (d *decoder) elementInit(e *Element) {
	n := d.count("element-size", "element entries", 1, d.caps.ElementSize-d.elements)
	d.elements += n
	e.Count = uint32(n)
	start := d.pos
	for range n {
		at := d.pos
		if e.Exprs {
			d.constExpr(e.Type)
		} else if f := d.u32(); int64(f) >= int64(d.m.NumFuncs()) {
			d.malformed(at, "function %d of %d", f, d.m.NumFuncs())
		} else if d.err == nil {
			d.declare(f)
		}
		if d.err != nil {
			return
		}
	}
	if d.err == nil {
		e.Init = d.b[start:d.pos:d.pos]
	}
}

func (d *decoder) dataSection() {
	n := d.count("data", "data segments", 2, d.caps.Data)
	d.m.Data = make([]Data, 0, n)
	for range n {
		s := d.dataSegment()
		if d.err != nil {
			return
		}
		d.m.Data = append(d.m.Data, s)
	}
}

func (d *decoder) dataSegment() Data {
	at := d.pos
	flags := d.u32()
	var s Data
	switch {
	case d.err != nil:
		return s
	case flags == 1:
		s.Mode = Passive
	case flags > 2:
		d.malformed(at, "data segment of kind %d", flags)
	default:
		if flags == 2 && d.u32() != 0 {
			d.fail(ErrUnsupported, at, "data segment names a memory: there is one at most")
		}
		if d.m.Memory == nil {
			d.malformed(at, "active data segment without a memory")
		}
		expr, v := d.constExpr(I32)
		s.OffsetExpr, s.Offset, s.Known = expr, uint32(v.bits), v.known
	}
	s.Bytes = d.bytes(d.u32())
	return s
}
