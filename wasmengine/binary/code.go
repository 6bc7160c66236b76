package binary

// label is a block that branches may name.
type label struct {
	op     Op  // OpBlock, OpLoop, OpIf, OpElse
	values int // carried by a branch to it
}

func (d *decoder) codeSection() {
	at := d.pos
	d.m.Code = uint32(at)
	n := d.count("functions", "bodies", 3, max(d.caps.Functions, len(d.m.FuncTypes))) // a survey has told it of the functions
	if d.err == nil && n != len(d.m.FuncTypes) {
		d.malformed(at, "%d functions declared, %d have code", len(d.m.FuncTypes), n)
		return
	}
	d.m.Bodies = make([]Body, 0, n)
	for i := range n {
		at := d.pos
		d.fn = d.m.ImportedFuncs + i
		size := d.u32()
		if int64(size) > int64(d.caps.Body) { // who plans a body takes many times its size: a survey ends at twice the cap
			d.over("body", hopeless(int64(size), d.caps.Body/2), at, "body of %d bytes, at most %d are allowed", size, d.caps.Body)
		}
		start := d.pos
		raw := d.bytes(size)
		if d.err != nil {
			return
		}
		body := Body{Raw: raw, Offset: uint32(start)}
		if err := d.body(&body, &d.m.Types[d.m.FuncTypes[i]]); err != nil {
			d.err = err
			return
		}
		d.m.Bodies = append(d.m.Bodies, body)
		d.m.Counts.add(&body, len(d.m.Types[d.m.FuncTypes[i]].Params))
		d.fn = -1
	}
}

func (c *Counts) add(b *Body, params int) {
	c.Functions++
	c.Locals += int(b.Locals)
	c.Blocks += int(b.Blocks)
	c.Calls += int(b.Calls)
	c.LargestBody = max(c.LargestBody, len(b.Raw))
	c.MostLocals = max(c.MostLocals, int(b.Locals)+params)
	c.MostBlocks = max(c.MostBlocks, int(b.Blocks))
	c.MostCalls = max(c.MostCalls, int(b.Calls))
}

// body checks the local declarations and all instructions of one function.
func (d *decoder) body(b *Body, t *FuncType) *Error {
	r := Reader{cursor{b: b.Raw, base: int(b.Offset), section: d.section, fn: d.fn, past: d.past}}
	d.localDecls(&r.cursor, b, len(t.Params))
	b.First = uint32(r.pos)
	if r.err != nil {
		return r.err
	}
	locals := uint32(len(t.Params)) + b.Locals
	labels := d.labels[:0]
	labels = append(labels, label{OpBlock, len(t.Results)})
	var in Instr
	for r.Next(&in) {
		switch in.Op {
		case OpBlock, OpLoop, OpIf:
			b.Blocks++
			labels = append(labels, d.open(&r.cursor, &in))
			d.m.Counts.DeepestBlock = max(d.m.Counts.DeepestBlock, len(labels)-1)
			if n := len(labels) - 1; n == d.caps.Nesting+1 || n > d.caps.Nesting && hopeless(int64(n), d.caps.Nesting) {
				r.over("nesting", hopeless(int64(n), d.caps.Nesting), in.Start, "more than %d blocks within each other", d.caps.Nesting)
			}
		case OpElse:
			if top := &labels[len(labels)-1]; top.op != OpIf {
				r.malformed(in.Start, "else without if")
			} else {
				top.op = OpElse
			}
		case OpEnd:
			labels = labels[:len(labels)-1]
			if len(labels) == 0 {
				if r.rest() > 0 {
					r.malformed(in.End, "%d bytes behind the last end", r.rest())
				}
				d.labels = labels
				return d.bodyCaps(&r.cursor, b)
			}
		case OpBr, OpBrIf:
			if int64(in.Index) >= int64(len(labels)) {
				r.malformed(in.Start, "branch to label %d of %d", in.Index, len(labels))
			}
		case OpBrTable:
			d.branchTable(&r.cursor, &in, labels)
		default:
			if in.Op >= OpCall && in.Op <= OpReturnCallIndirect {
				b.Calls++
			}
			d.operands(&r.cursor, &in, locals)
		}
	}
	if r.err == nil {
		r.malformed(r.pos, "%d blocks are not ended", len(labels))
	}
	return r.err
}

func (d *decoder) bodyCaps(c *cursor, b *Body) *Error {
	if int64(b.Blocks) > int64(d.caps.Blocks) {
		c.over("blocks", false, 0, "%d blocks in one function, at most %d are allowed", b.Blocks, d.caps.Blocks)
	}
	if int64(b.Calls) > int64(d.caps.Calls) {
		c.over("calls", false, 0, "%d calls in one function, at most %d are allowed", b.Calls, d.caps.Calls)
	}
	return c.err
}

func (d *decoder) localDecls(c *cursor, b *Body, params int) {
	n := c.count("", "local declarations", 2, len(b.Raw))
	total, over := int64(params), false
	for range n {
		at := c.pos
		total += int64(c.u32())
		c.valueType()
		if total > int64(d.caps.Locals) && (!over || hopeless(total, d.caps.Locals)) {
			over = true
			c.over("locals", hopeless(total, d.caps.Locals), at, "%d or more locals in one function, at most %d are allowed", total, d.caps.Locals)
		}
		if c.err != nil {
			return
		}
	}
	b.Locals = uint32(total) - uint32(params)
	d.allLocals += int(b.Locals)
	if far := hopeless(int64(d.allLocals), d.caps.AllLocals); d.allLocals > d.caps.AllLocals && (far || d.first(overAllLocals)) {
		c.over("all-locals", far, c.pos, "%d or more locals in all functions, at most %d are allowed", d.allLocals, d.caps.AllLocals)
	}
}

// open makes the label of a block.
func (d *decoder) open(c *cursor, in *Instr) label {
	l := label{op: in.Op}
	switch {
	case in.Block.Indexed:
		if int64(in.Block.Index) >= int64(len(d.m.Types)) {
			c.malformed(in.Start, "block of type %d of %d", in.Block.Index, len(d.m.Types))
			return l
		}
		t := &d.m.Types[in.Block.Index]
		if l.values = len(t.Results); in.Op == OpLoop {
			l.values = len(t.Params)
		}
	case in.Block.Result != 0 && in.Op != OpLoop:
		l.values = 1
	}
	return l
}

func (d *decoder) branchTable(c *cursor, in *Instr, labels []label) {
	in.Labels.Each(func(depth uint32) {
		if int64(depth) >= int64(len(labels)) {
			c.malformed(in.Start, "branch to label %d of %d", depth, len(labels))
			return
		}
		d.branchWork += labels[len(labels)-1-int(depth)].values
	})
	if d.branchWork > d.caps.BranchWork && d.first(overBranchWork) {
		c.over("branch-work", false, in.Start, "branch tables carry %d values, at most %d are allowed", d.branchWork, d.caps.BranchWork)
	}
}

// operands checks the indices of all instructions but branches.
func (d *decoder) operands(c *cursor, in *Instr, locals uint32) {
	check := func(what string, index uint32, size int) bool {
		if int64(index) < int64(size) {
			return true
		}
		c.malformed(in.Start, "%s %d of %d", what, index, size)
		return false
	}
	switch in.Imm {
	case ImmLocal:
		check("local", in.Index, int(locals))
	case ImmGlobal:
		if check("global", in.Index, len(d.m.Globals)) && in.Op == OpGlobalSet && !d.m.Globals[in.Index].Mutable {
			c.malformed(in.Start, "global %d is immutable", in.Index)
		}
	case ImmFunc:
		if check("function", in.Index, d.m.NumFuncs()) && in.Op == OpRefFunc && !d.isDeclared(in.Index) {
			c.malformed(in.Start, "ref.func of function %d, which nothing outside of code names", in.Index)
		}
	case ImmIndirect:
		if check("type", in.Index, len(d.m.Types)) && check("table", in.Index2, len(d.m.Tables)) && d.m.Tables[in.Index2].Type != FuncRef {
			c.malformed(in.Start, "table %d holds no functions", in.Index2)
		}
	case ImmTable:
		check("table", in.Index, len(d.m.Tables))
	case ImmTables:
		_ = check("table", in.Index, len(d.m.Tables)) && check("table", in.Index2, len(d.m.Tables))
	case ImmElem:
		check("element segment", in.Index, len(d.m.Elements))
	case ImmElemTab:
		_ = check("element segment", in.Index, len(d.m.Elements)) && check("table", in.Index2, len(d.m.Tables))
	case ImmData, ImmDataMem:
		if !d.m.HasCount {
			c.malformed(in.Start, "data segment named without a data count section")
			return
		}
		if check("data segment", in.Index, int(d.dataCount)) && in.Imm == ImmDataMem && d.m.Memory == nil {
			c.malformed(in.Start, "no memory")
		}
	case ImmMemory, ImmMemories, ImmAccess, ImmLaneMem:
		if d.m.Memory == nil {
			c.malformed(in.Start, "no memory")
		}
	}
}
