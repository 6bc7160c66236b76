package wasmengine

import (
	"pappus/data"
	"pappus/engine"
	"pappus/engine/abi"
)

// entry is where a call's inputs go and how large the memory is when the
// function starts. It depends on inputs, declaration and limits only.
type entry struct {
	pages uint32 // size of the memory
	base  int64  // where placing begins
	heap  abi.Heap
}

// entryClasses are the sizes, in pages, to which memories of layout grow are
// rounded up: 64 KiB, 1 MiB, then four times as much each, up to 4 GiB.
var entryClasses = [...]int64{1, 16, 64, 256, 1024, 4096, 16384, engine.MaxPages}

// entryFor finds the entry of a call for a memory that now has pages pages
// and may have most. It fails with an out-of-memory fault that names both
// sizes when the inputs don't fit.
func (m *facts) entryFor(pages, most uint32, in []data.Set, outputs []string) (entry, error) {
	need := abi.Wasm32.Size(in, outputs)
	limit := int64(most) * engine.PageSize
	switch m.Layout {
	case layoutGrow:
		base := int64(pages) * engine.PageSize
		filled := base + need
		if filled > limit {
			return entry{}, abi.TooSmall(need, max(limit-base, 0))
		}
		return entry{pages: growClass(filled, most), base: base, heap: abi.Heap{Begin: -1, End: -1}}, nil
	case layoutFixed:
		base := (int64(m.HeapEnd) - need) &^ (abi.DataAlign - 1)
		if base < int64(m.HeapBase) {
			return entry{}, abi.TooSmall(need, int64(m.HeapEnd)-int64(m.HeapBase))
		}
		return entry{pages: pages, base: base, heap: abi.Heap{Begin: int64(m.HeapBase), End: base}}, nil
	default:
		base := int64(pages) * engine.PageSize
		if m.HasHeap {
			base = int64(m.HeapBase)
		}
		base = abi.Align(base)
		if base+need > limit {
			return entry{}, abi.TooSmall(need, max(limit-base, 0))
		}
		return entry{pages: most, base: base, heap: abi.Heap{Begin: -1, End: -1}}, nil
	}
}

// growClass is the smallest class that holds filled bytes and a page of heap,
// or the most there may be.
func growClass(filled int64, most uint32) uint32 {
	pages := (filled+engine.PageSize-1)/engine.PageSize + 1
	for _, class := range entryClasses {
		if class >= pages {
			return uint32(min(class, int64(most)))
		}
	}
	return most
}
