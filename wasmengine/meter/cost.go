package meter

import "pappus/wasmengine/binary"

// FuelModel is the version of the cost table. Whatever changes what a run
// costs, the places of charges and checks included, makes a new version.
const FuelModel = 1

// Costs of what depends on lengths, in units of fuel.
const (
	bytesPerUnitLog = 4       // memory.copy, fill, init: a unit for 16 bytes
	pageCostLog     = 12      // memory.grow: 4,096 units for a page of 64 KiB, as for filling it
	piece           = 1 << 20 // bytes that one memory instruction may move between two checks

	shortCost = 100 // functions up to this cost that neither loop nor call do not check at their entry
)

// cost is what one instruction costs when the block that holds it is entered.
func cost(op binary.Op) int64 {
	switch op {
	case binary.OpNop, binary.OpBlock, binary.OpLoop, binary.OpElse, binary.OpEnd:
		return 0
	case binary.OpF32Sqrt, binary.OpF64Sqrt, binary.OpF32Div, binary.OpF64Div,
		binary.OpF32x4Sqrt, binary.OpF32x4Div, binary.OpF64x2Sqrt, binary.OpF64x2Div:
		return 4
	case binary.OpMemoryGrow, binary.OpTableGrow:
		return 100
	case binary.OpMemoryCopy, binary.OpMemoryFill, binary.OpMemoryInit,
		binary.OpTableCopy, binary.OpTableFill, binary.OpTableInit:
		return 10
	case binary.OpCallIndirect, binary.OpReturnCallIndirect:
		return 4
	case binary.OpCall, binary.OpReturnCall:
		return 2
	}
	if op >= binary.OpI32DivS && op <= binary.OpI32RemU {
		return 8
	}
	if op >= binary.OpI64DivS && op <= binary.OpI64RemU {
		return 8
	}
	return 1
}
