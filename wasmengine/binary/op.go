package binary

import "fmt"

// Op is an instruction's opcode: one byte, or a prefix (0xfc, 0xfd) in the
// upper byte and the number after it in the lower.
type Op uint16

// Opcodes that readers of code care about; the others are only numbers.
const (
	OpUnreachable        Op = 0x00
	OpNop                Op = 0x01
	OpBlock              Op = 0x02
	OpLoop               Op = 0x03
	OpIf                 Op = 0x04
	OpElse               Op = 0x05
	OpEnd                Op = 0x0b
	OpBr                 Op = 0x0c
	OpBrIf               Op = 0x0d
	OpBrTable            Op = 0x0e
	OpReturn             Op = 0x0f
	OpCall               Op = 0x10
	OpCallIndirect       Op = 0x11
	OpReturnCall         Op = 0x12
	OpReturnCallIndirect Op = 0x13
	OpDrop               Op = 0x1a
	OpSelect             Op = 0x1b
	OpSelectTyped        Op = 0x1c
	OpLocalGet           Op = 0x20
	OpLocalSet           Op = 0x21
	OpLocalTee           Op = 0x22
	OpGlobalGet          Op = 0x23
	OpGlobalSet          Op = 0x24
	OpTableGet           Op = 0x25
	OpTableSet           Op = 0x26
	OpMemorySize         Op = 0x3f
	OpMemoryGrow         Op = 0x40
	OpI32Const           Op = 0x41
	OpI64Const           Op = 0x42
	OpF32Const           Op = 0x43
	OpF64Const           Op = 0x44
	OpI32Eqz             Op = 0x45
	OpI32LtU             Op = 0x49
	OpI32GtU             Op = 0x4b
	OpI32Ne              Op = 0x47
	OpI32LeU             Op = 0x4d
	OpI64LtS             Op = 0x53
	OpI64GtU             Op = 0x56
	OpI64GeS             Op = 0x59
	OpF32Ge              Op = 0x60
	OpF64Ge              Op = 0x66
	OpI32Add             Op = 0x6a
	OpI32Sub             Op = 0x6b
	OpI32Or              Op = 0x72
	OpI32Mul             Op = 0x6c
	OpI32DivS            Op = 0x6d
	OpI32RemU            Op = 0x70
	OpI64Add             Op = 0x7c
	OpI64Sub             Op = 0x7d
	OpI64Mul             Op = 0x7e
	OpI64DivS            Op = 0x7f
	OpI64RemU            Op = 0x82
	OpI64Or              Op = 0x84
	OpI64Shl             Op = 0x86
	OpI64ShrU            Op = 0x88
	OpF32Sqrt            Op = 0x91
	OpF32Div             Op = 0x95
	OpF64Sqrt            Op = 0x9f
	OpF64Div             Op = 0xa3
	OpI64ExtendI32U      Op = 0xad
	OpRefNull            Op = 0xd0
	OpRefIsNull          Op = 0xd1
	OpRefFunc            Op = 0xd2
	OpMemoryInit         Op = 0xfc08
	OpDataDrop           Op = 0xfc09
	OpMemoryCopy         Op = 0xfc0a
	OpMemoryFill         Op = 0xfc0b
	OpTableInit          Op = 0xfc0c
	OpElemDrop           Op = 0xfc0d
	OpTableCopy          Op = 0xfc0e
	OpTableGrow          Op = 0xfc0f
	OpTableSize          Op = 0xfc10
	OpTableFill          Op = 0xfc11
	OpV128Const          Op = 0xfd0c
	OpF32x4Eq            Op = 0xfd41
	OpF64x2Eq            Op = 0xfd47
	OpV128Bitselect      Op = 0xfd52
	OpF32x4Sqrt          Op = 0xfde3
	OpF32x4Div           Op = 0xfde7
	OpF64x2Sqrt          Op = 0xfdef
	OpF64x2Div           Op = 0xfdf3
)

// String is the opcode in hexadecimal, as it stands in the code.
func (op Op) String() string {
	if op > 0xff {
		return fmt.Sprintf("0x%02x 0x%02x", uint16(op)>>8, uint16(op)&0xff)
	}
	return fmt.Sprintf("0x%02x", uint16(op))
}

// Immediate says what follows an opcode.
type Immediate byte

// The kinds of immediates; the fields of Instr that each of them sets stand
// behind it.
const (
	immIllegal  Immediate = iota
	ImmNone               //
	ImmBlock              // Block
	ImmLabel              // Index: depth
	ImmLabels             // Labels
	ImmFunc               // Index: function
	ImmIndirect           // Index: type, Index2: table
	ImmSelect             // Type
	ImmLocal              // Index: local
	ImmGlobal             // Index: global
	ImmTable              // Index: table
	ImmTables             // Index: destination, Index2: source
	ImmElem               // Index: element segment
	ImmElemTab            // Index: element segment, Index2: table
	ImmData               // Index: data segment
	ImmDataMem            // Index: data segment
	ImmMemory             // (memory.size, memory.grow, memory.fill)
	ImmMemories           // (memory.copy)
	ImmAccess             // Align, Offset
	ImmLaneMem            // Align, Offset, Index: lane
	ImmLane               // Index: lane
	ImmRefType            // Type
	ImmI32                // Value
	ImmI64                // Value
	ImmF32                // Value: bits
	ImmF64                // Value: bits
	Imm16                 // (v128.const, i8x16.shuffle) 16 bytes
)

// opInfo describes an opcode: its immediates, how many operands it takes and
// gives where that does not depend on them, and the bound of its alignment
// (ImmAccess, ImmLaneMem: power of two) and lane.
type opInfo struct {
	imm          Immediate
	pops, pushes uint8
	align, lanes uint8
}

// arity is the number of operands that op takes and gives. It has no meaning
// for control instructions and calls, which depend on types.
func (op Op) arity() (pops, pushes int) {
	in := op.info()
	return int(in.pops), int(in.pushes)
}

func (op Op) info() opInfo {
	switch uint16(op) >> 8 {
	case 0:
		return plainOps[op&0xff]
	case 0xfc:
		if i := int(op & 0xff); i < len(miscOps) {
			return miscOps[i]
		}
	case 0xfd:
		return vectorOps[op&0xff]
	}
	return opInfo{}
}

var plainOps = func() (t [256]opInfo) {
	set := func(from, to int, in opInfo) {
		for i := from; i <= to; i++ {
			t[i] = in
		}
	}
	unary, binary, zero := opInfo{ImmNone, 1, 1, 0, 0}, opInfo{ImmNone, 2, 1, 0, 0}, opInfo{imm: ImmNone}
	set(0x00, 0x01, zero)                    // unreachable, nop
	set(0x02, 0x03, opInfo{imm: ImmBlock})   // block, loop
	t[OpIf] = opInfo{ImmBlock, 1, 0, 0, 0}   //
	t[OpElse], t[OpEnd] = zero, zero         //
	t[OpBr] = opInfo{imm: ImmLabel}          //
	t[OpBrIf] = opInfo{ImmLabel, 1, 0, 0, 0} //
	t[OpBrTable] = opInfo{ImmLabels, 1, 0, 0, 0}
	t[OpReturn] = zero
	t[OpCall], t[OpReturnCall] = opInfo{imm: ImmFunc}, opInfo{imm: ImmFunc}
	t[OpCallIndirect] = opInfo{ImmIndirect, 1, 0, 0, 0}
	t[OpReturnCallIndirect] = t[OpCallIndirect]
	t[OpDrop] = opInfo{ImmNone, 1, 0, 0, 0}
	t[OpSelect] = opInfo{ImmNone, 3, 1, 0, 0}
	t[OpSelectTyped] = opInfo{ImmSelect, 3, 1, 0, 0}
	t[OpLocalGet] = opInfo{ImmLocal, 0, 1, 0, 0}
	t[OpLocalSet] = opInfo{ImmLocal, 1, 0, 0, 0}
	t[OpLocalTee] = opInfo{ImmLocal, 1, 1, 0, 0}
	t[OpGlobalGet] = opInfo{ImmGlobal, 0, 1, 0, 0}
	t[OpGlobalSet] = opInfo{ImmGlobal, 1, 0, 0, 0}
	t[OpTableGet] = opInfo{ImmTable, 1, 1, 0, 0}
	t[OpTableSet] = opInfo{ImmTable, 2, 0, 0, 0}
	for i, align := range []uint8{2, 3, 2, 3, 0, 0, 1, 1, 0, 0, 1, 1, 2, 2} { // loads
		t[0x28+i] = opInfo{ImmAccess, 1, 1, align, 0}
	}
	for i, align := range []uint8{2, 3, 2, 3, 0, 1, 0, 1, 2} { // stores
		t[0x36+i] = opInfo{ImmAccess, 2, 0, align, 0}
	}
	t[OpMemorySize] = opInfo{ImmMemory, 0, 1, 0, 0}
	t[OpMemoryGrow] = opInfo{ImmMemory, 1, 1, 0, 0}
	t[OpI32Const] = opInfo{ImmI32, 0, 1, 0, 0}
	t[OpI64Const] = opInfo{ImmI64, 0, 1, 0, 0}
	t[OpF32Const] = opInfo{ImmF32, 0, 1, 0, 0}
	t[OpF64Const] = opInfo{ImmF64, 0, 1, 0, 0}
	set(0x45, 0x45, unary)  // i32.eqz
	set(0x46, 0x4f, binary) // i32 comparisons
	set(0x50, 0x50, unary)  // i64.eqz
	set(0x51, 0x66, binary) // i64, f32, f64 comparisons
	set(0x67, 0x69, unary)  // i32.clz, ctz, popcnt
	set(0x6a, 0x78, binary)
	set(0x79, 0x7b, unary) // i64.clz, ctz, popcnt
	set(0x7c, 0x8a, binary)
	set(0x8b, 0x91, unary) // f32.abs to sqrt
	set(0x92, 0x98, binary)
	set(0x99, 0x9f, unary) // f64.abs to sqrt
	set(0xa0, 0xa6, binary)
	set(0xa7, 0xc4, unary) // conversions, sign extension
	t[OpRefNull] = opInfo{ImmRefType, 0, 1, 0, 0}
	t[OpRefIsNull] = unary
	t[OpRefFunc] = opInfo{ImmFunc, 0, 1, 0, 0}
	return t
}()

var miscOps = [18]opInfo{
	0:                   {ImmNone, 1, 1, 0, 0}, // saturating truncations
	1:                   {ImmNone, 1, 1, 0, 0},
	2:                   {ImmNone, 1, 1, 0, 0},
	3:                   {ImmNone, 1, 1, 0, 0},
	4:                   {ImmNone, 1, 1, 0, 0},
	5:                   {ImmNone, 1, 1, 0, 0},
	6:                   {ImmNone, 1, 1, 0, 0},
	7:                   {ImmNone, 1, 1, 0, 0},
	OpMemoryInit & 0xff: {ImmDataMem, 3, 0, 0, 0},
	OpDataDrop & 0xff:   {ImmData, 0, 0, 0, 0},
	OpMemoryCopy & 0xff: {ImmMemories, 3, 0, 0, 0},
	OpMemoryFill & 0xff: {ImmMemory, 3, 0, 0, 0},
	OpTableInit & 0xff:  {ImmElemTab, 3, 0, 0, 0},
	OpElemDrop & 0xff:   {ImmElem, 0, 0, 0, 0},
	OpTableCopy & 0xff:  {ImmTables, 3, 0, 0, 0},
	OpTableGrow & 0xff:  {ImmTable, 2, 1, 0, 0},
	OpTableSize & 0xff:  {ImmTable, 0, 1, 0, 0},
	OpTableFill & 0xff:  {ImmTable, 3, 0, 0, 0},
}

var vectorOps = func() (t [256]opInfo) {
	unary, binary := opInfo{ImmNone, 1, 1, 0, 0}, opInfo{ImmNone, 2, 1, 0, 0}
	for i := 0x0e; i <= 0xff; i++ {
		t[i] = binary
	}
	for i, align := range []uint8{4, 3, 3, 3, 3, 3, 3, 0, 1, 2, 3} { // v128.load to load64_splat
		t[i] = opInfo{ImmAccess, 1, 1, align, 0}
	}
	t[0x0b] = opInfo{ImmAccess, 2, 0, 4, 0} // v128.store
	t[0x0c] = opInfo{Imm16, 0, 1, 0, 0}     // v128.const
	t[0x0d] = opInfo{Imm16, 2, 1, 0, 32}    // i8x16.shuffle
	for i := 0x0f; i <= 0x14; i++ {
		t[i] = unary // splats
	}
	for i, lanes := range []uint8{16, 16, 16, 8, 8, 8, 4, 4, 2, 2, 4, 4, 2, 2} { // extract_lane, replace_lane
		t[0x15+i] = opInfo{ImmLane, 1, 1, 0, lanes}
	}
	for _, i := range []int{0x17, 0x1a, 0x1c, 0x1e, 0x20, 0x22} {
		t[i].pops = 2 // replace_lane
	}
	t[0x4d] = unary                       // v128.not
	t[0x52] = opInfo{ImmNone, 3, 1, 0, 0} // v128.bitselect
	t[0x53] = unary                       // v128.any_true
	for i, align := range []uint8{0, 1, 2, 3} {
		t[0x54+i] = opInfo{ImmLaneMem, 2, 1, align, 16 >> align} // v128.load8_lane to load64_lane
		t[0x58+i] = opInfo{ImmLaneMem, 2, 0, align, 16 >> align} // v128.store8_lane to store64_lane
	}
	t[0x5c], t[0x5d] = opInfo{ImmAccess, 1, 1, 2, 0}, opInfo{ImmAccess, 1, 1, 3, 0} // v128.load32_zero, load64_zero
	for _, i := range []int{
		0x5e, 0x5f, 0x60, 0x61, 0x62, 0x63, 0x64, 0x67, 0x68, 0x69, 0x6a, 0x74, 0x75, 0x7a, 0x7c, 0x7d, 0x7e, 0x7f,
		0x80, 0x81, 0x83, 0x84, 0x87, 0x88, 0x89, 0x8a, 0x94, 0xa0, 0xa1, 0xa3, 0xa4, 0xa7, 0xa8, 0xa9, 0xaa,
		0xc0, 0xc1, 0xc3, 0xc4, 0xc7, 0xc8, 0xc9, 0xca, 0xe0, 0xe1, 0xe3, 0xec, 0xed, 0xef,
		0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff,
	} {
		t[i] = unary
	}
	for _, i := range []int{0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee} {
		t[i] = opInfo{} // not assigned
	}
	return t
}()
