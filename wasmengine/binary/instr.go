package binary

import "encoding/binary"

// BlockType is the type of a block, loop or if: without a type index it has no
// parameters and at most one result.
type BlockType struct {
	Index   uint32 // into Types, if Indexed
	Indexed bool
	Result  ValueType // 0: none; only if not Indexed
}

// Labels are the targets of a br_table, the default last.
type Labels struct {
	Count int    // targets, the default included
	raw   []byte // checked LEB128 numbers
}

// Each calls f for every target, in order.
func (l Labels) Each(f func(depth uint32)) {
	c := cursor{b: l.raw}
	for range l.Count {
		f(c.u32())
	}
}

// Raw are the targets as they are encoded, without their count.
func (l Labels) Raw() []byte { return l.raw }

// Instr is one instruction. Which immediates are set follows from Imm.
type Instr struct {
	Op         Op
	Imm        Immediate
	Start, End int // where it stands in the reader's bytes
	Index      uint32
	Index2     uint32
	Align      uint32 // power of two
	Offset     uint32
	Type       ValueType
	Value      uint64
	Block      BlockType
	Labels     Labels
}

// Arity is the number of operands that the instruction takes and gives. For
// control instructions it counts only the condition or index, and for calls
// only the table index.
func (in *Instr) Arity() (pops, pushes int) { return in.Op.arity() }

// Reader reads instructions one after another.
type Reader struct{ cursor }

// NewReader reads from code, which is what follows a function's local
// declarations (Body.Raw from Body.First on) or a constant expression.
func NewReader(code []byte) *Reader {
	return &Reader{cursor{b: code, fn: -1}}
}

// Next reads the next instruction into in. It returns false at the end and at
// an error; Err tells which. Indices are only checked for their encoding.
func (r *Reader) Next(in *Instr) bool {
	if r.pos >= len(r.b) || r.err != nil {
		return false
	}
	start := r.pos
	op := Op(r.b[start])
	r.pos++
	if op >= 0xfb {
		op = r.prefixed(start, op)
	}
	info := op.info()
	in.Op, in.Imm, in.Start = op, info.imm, start
	switch info.imm {
	case ImmNone:
	case immIllegal:
		if r.err == nil {
			r.illegal(start, op)
		}
	case ImmLocal, ImmGlobal, ImmLabel, ImmFunc, ImmTable, ImmElem, ImmData:
		in.Index = r.u32()
	case ImmI32:
		in.Value = uint64(uint32(r.signed(32)))
	case ImmI64:
		in.Value = uint64(r.signed(64))
	case ImmAccess:
		r.access(in, info)
	default:
		r.rare(in, info)
	}
	in.End = r.pos
	return r.err == nil
}

// Err is the error that ended the reading, or nil. It is an *Error.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

func (r *Reader) access(in *Instr, info opInfo) {
	at := r.pos
	in.Align = r.u32()
	if in.Align > uint32(info.align) {
		if in.Align >= 64 && in.Align < 128 {
			r.fail(ErrUnsupported, at, "instruction names a memory: there is one at most")
		} else {
			r.malformed(at, "alignment 2^%d over the natural 2^%d", in.Align, info.align)
		}
	}
	in.Offset = r.u32()
}

func (r *Reader) rare(in *Instr, info opInfo) {
	at := r.pos
	switch info.imm {
	case ImmBlock:
		in.Block = r.blockType()
	case ImmLabels:
		n := r.count("", "branch targets", 1, r.rest()-1)
		at = r.pos
		for range n + 1 {
			r.u32()
		}
		if r.err == nil {
			in.Labels = Labels{Count: n + 1, raw: r.b[at:r.pos]}
		}
	case ImmIndirect, ImmElemTab, ImmTables:
		in.Index, in.Index2 = r.u32(), r.u32()
	case ImmSelect:
		if n := r.u32(); n != 1 && r.err == nil {
			r.malformed(at, "select of %d types", n)
		}
		in.Type = r.valueType()
	case ImmDataMem:
		in.Index = r.u32()
		r.memoryZero()
	case ImmMemory:
		r.memoryZero()
	case ImmMemories:
		r.memoryZero()
		r.memoryZero()
	case ImmLaneMem:
		r.access(in, info)
		r.lane(in, info)
	case ImmLane:
		r.lane(in, info)
	case ImmRefType:
		in.Type = r.refType()
	case ImmF32:
		if b := r.bytes(4); b != nil {
			in.Value = uint64(binary.LittleEndian.Uint32(b))
		}
	case ImmF64:
		if b := r.bytes(8); b != nil {
			in.Value = binary.LittleEndian.Uint64(b)
		}
	case Imm16:
		for _, lane := range r.bytes(16) {
			if info.lanes > 0 && lane >= info.lanes {
				r.malformed(at, "lane %d of %d", lane, info.lanes)
				return
			}
		}
	}
}

func (r *Reader) lane(in *Instr, info opInfo) {
	at := r.pos
	in.Index = uint32(r.byte())
	if in.Index >= uint32(info.lanes) && r.err == nil {
		r.malformed(at, "lane %d of %d", in.Index, info.lanes)
	}
}

func (r *Reader) memoryZero() {
	at := r.pos
	if b := r.byte(); b != 0 && r.err == nil {
		r.fail(ErrUnsupported, at, "instruction names memory 0x%02x: there is one at most", b)
	}
}

func (r *Reader) blockType() BlockType {
	if r.pos < len(r.b) {
		b := r.b[r.pos]
		if b == 0x40 {
			r.pos++
			return BlockType{}
		}
		if isValueType(b) {
			r.pos++
			return BlockType{Result: ValueType(b)}
		}
	}
	at := r.pos
	i := r.signed(33)
	if i < 0 {
		r.badType(at, r.b[at])
		return BlockType{}
	}
	return BlockType{Index: uint32(i), Indexed: true}
}

// prefixed reads the number behind a prefix byte. That of a SIMD instruction
// must be encoded without padding: nothing writes it otherwise, and wazero,
// which expects one byte, would see other instructions.
func (r *Reader) prefixed(start int, prefix Op) Op {
	switch prefix {
	case 0xfc, 0xfd:
	case 0xfe:
		r.fail(ErrUnsupported, start, "atomic instruction: threads are not supported")
		return prefix
	default:
		r.illegal(start, prefix)
		return prefix
	}
	n := r.u32()
	if r.err != nil {
		return prefix
	}
	if prefix == 0xfd && r.pos-start-1 > 1 && n>>(7*(r.pos-start-2)) == 0 {
		r.fail(ErrUnsupported, start, "padded opcode 0xfd %#x", n)
	}
	switch {
	case prefix == 0xfd && n >= 0x100:
		r.fail(ErrUnsupported, start, "opcode 0xfd %#x: relaxed SIMD is not supported", n)
	case n > 0xff:
		r.malformed(start, "illegal opcode 0xfc %#x", n)
	}
	return prefix<<8 | Op(n&0xff)
}

// illegal fails for an opcode that is not one of WebAssembly 2.0.
func (r *Reader) illegal(at int, op Op) {
	feature := ""
	switch {
	case op >= 0x06 && op <= 0x0a, op == 0x18, op == 0x19, op == 0x1f:
		feature = "exceptions"
	case op == 0x14, op == 0x15, op >= 0xd3 && op <= 0xd6:
		feature = "typed function references"
	case op == 0xfb:
		feature = "garbage collection"
	case op >= 0xfc12 && op <= 0xfc16:
		feature = "memory control or wide arithmetic"
	}
	if feature != "" {
		r.fail(ErrUnsupported, at, "opcode %v: %s", op, feature)
		return
	}
	r.malformed(at, "illegal opcode %v", op)
}

// EachIndex calls f for every number of a checked list of indices, such as
// Element.Init without Exprs.
func EachIndex(list []byte, f func(index uint32)) {
	c := cursor{b: list}
	for c.rest() > 0 && c.err == nil {
		f(c.u32())
	}
}
