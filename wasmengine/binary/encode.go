package binary

// AppendU32 appends v as unsigned LEB128.
func AppendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// AppendS64 appends v as signed LEB128; it serves for numbers of fewer bits too.
func AppendS64(b []byte, v int64) []byte {
	for {
		x := byte(v & 0x7f)
		v >>= 7
		if v == 0 && x&0x40 == 0 || v == -1 && x&0x40 != 0 {
			return append(b, x)
		}
		b = append(b, x|0x80)
	}
}

// AppendName appends a length and the bytes of s.
func AppendName(b []byte, s string) []byte {
	return append(AppendU32(b, uint32(len(s))), s...)
}

// AppendOp appends an opcode without its immediates.
func AppendOp(b []byte, op Op) []byte {
	if op > 0xff {
		return AppendU32(append(b, byte(op>>8)), uint32(op&0xff))
	}
	return append(b, byte(op))
}

// Encode is the inverse of Decode: the bytes of a module. It trusts m, which
// comes from Decode or from a rewriter; Counts, and what else Decode derives,
// are not looked at. Custom sections go to the end.
func Encode(m *Module) []byte {
	size := 1 << 10
	for i := range m.Bodies {
		size += len(m.Bodies[i].Raw) + 5
	}
	for i := range m.Data {
		size += len(m.Data[i].Bytes) + 16
	}
	e := encoder{out: append(append(make([]byte, 0, size), magic...), version...)}
	vector(&e, secType, m.Types, appendType)
	vector(&e, secImport, m.Imports, appendImport)
	vector(&e, secFunction, m.FuncTypes, AppendU32)
	vector(&e, secTable, m.Tables[m.ImportedTables:], appendTable)
	if m.Memory != nil && !m.Memory.Imported {
		vector(&e, secMemory, []Memory{*m.Memory}, appendMemory)
	}
	vector(&e, secGlobal, m.Globals[m.ImportedGlobals:], func(b []byte, g Global) []byte {
		return append(appendGlobalType(b, g), g.Init...)
	})
	vector(&e, secExport, m.Exports, func(b []byte, x Export) []byte {
		return AppendU32(append(AppendName(b, x.Name), byte(x.Kind)), x.Index)
	})
	if m.Start >= 0 {
		e.section(secStart, AppendU32(nil, uint32(m.Start)))
	}
	vector(&e, secElement, m.Elements, appendElement)
	if m.HasCount {
		e.section(secDataCount, AppendU32(nil, uint32(len(m.Data))))
	}
	vector(&e, secCode, m.Bodies, func(b []byte, x Body) []byte {
		return append(AppendU32(b, uint32(len(x.Raw))), x.Raw...)
	})
	vector(&e, secData, m.Data, appendData)
	for _, c := range m.Customs {
		e.section(secCustom, append(AppendName(nil, c.Name), c.Payload...))
	}
	return e.out
}

type encoder struct{ out, content []byte }

func (e *encoder) section(id byte, content []byte) {
	e.out = AppendU32(append(e.out, id), uint32(len(content)))
	e.out = append(e.out, content...)
}

// vector writes a section that is a vector; nothing for an empty one.
func vector[T any](e *encoder, id byte, list []T, appendOne func([]byte, T) []byte) {
	if len(list) == 0 {
		return
	}
	b := AppendU32(e.content[:0], uint32(len(list)))
	for _, x := range list {
		b = appendOne(b, x)
	}
	e.content = b
	e.section(id, b)
}

func appendType(b []byte, t FuncType) []byte {
	b = AppendU32(append(b, 0x60), uint32(len(t.Params)))
	b = append(b, t.Params...)
	b = AppendU32(b, uint32(len(t.Results)))
	return append(b, t.Results...)
}

func appendImport(b []byte, im Import) []byte {
	b = append(AppendName(AppendName(b, im.Module), im.Name), byte(im.Kind))
	switch im.Kind {
	case ExternFunc:
		return AppendU32(b, im.Type)
	case ExternTable:
		return appendTable(b, im.Table)
	case ExternMemory:
		return appendMemory(b, im.Memory)
	default:
		return appendGlobalType(b, im.Global)
	}
}

func appendTable(b []byte, t Table) []byte {
	return appendLimits(append(b, byte(t.Type)), t.Min, t.Max, t.HasMax)
}

func appendMemory(b []byte, m Memory) []byte { return appendLimits(b, m.Min, m.Max, m.HasMax) }

func appendLimits(b []byte, lo, hi uint32, hasMax bool) []byte {
	if !hasMax {
		return AppendU32(append(b, 0), lo)
	}
	return AppendU32(AppendU32(append(b, 1), lo), hi)
}

func appendGlobalType(b []byte, g Global) []byte {
	if g.Mutable {
		return append(b, byte(g.Type), 1)
	}
	return append(b, byte(g.Type), 0)
}

func appendElement(b []byte, e Element) []byte {
	var flags uint32
	if e.Exprs {
		flags |= 4
	}
	explicit := e.Mode != Active || e.Table != 0 || e.Type != FuncRef // says its type
	switch {
	case e.Mode == Passive:
		flags |= 1
	case e.Mode == Declarative:
		flags |= 3
	case explicit:
		flags |= 2
	}
	b = AppendU32(b, flags)
	if e.Mode == Active {
		if explicit {
			b = AppendU32(b, e.Table)
		}
		b = append(b, e.OffsetExpr...)
	}
	if explicit {
		if e.Exprs {
			b = append(b, byte(e.Type))
		} else {
			b = append(b, 0)
		}
	}
	return append(AppendU32(b, e.Count), e.Init...)
}

func appendData(b []byte, s Data) []byte {
	if s.Mode == Passive {
		b = append(b, 1)
	} else {
		b = append(append(b, 0), s.OffsetExpr...)
	}
	return append(AppendU32(b, uint32(len(s.Bytes))), s.Bytes...)
}
