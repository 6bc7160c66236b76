package abi

import (
	"encoding/binary"
	"fmt"

	"pappus/data"
	"pappus/engine"
)

// ExitCode is the exit code that stands in the system struct.
func ExitCode(mem []byte, system uint32) int32 {
	return int32(binary.LittleEndian.Uint32(mem[system+offExitCode:]))
}

// Outputs reads what a function left: one set for every name of outputs, in
// that order, items in key order, their data in place in mem. Everything in
// mem is hostile. The error is a *engine.Fault of kind bad-output or
// output-too-large whose detail says what is wrong.
func Outputs(mem []byte, system uint32, outputs []string, lim engine.Limits) ([]data.Set, error) {
	r := reader{mem}
	sys := uint64(system)
	if n := r.u32(sys + offOutputSetsLen); uint64(n) != uint64(len(outputs)) {
		return nil, bad("output_sets_len is %d; the signature has %d output sets", n, len(outputs))
	}
	arrayAt := uint64(r.u32(sys + offOutputSets))
	if !r.holds(arrayAt, uint64(len(outputs)+1)*setSize) {
		return nil, bad("output_sets points at %#x, outside of memory (%d bytes)", arrayAt, len(mem))
	}
	first := r.u32(arrayAt + 8)
	last := first
	for i := range outputs {
		next := r.u32(arrayAt + uint64(i+1)*setSize + 8)
		if next < last {
			return nil, bad("items of output set %q end at index %d, before they begin at %d", outputs[i], next, last)
		}
		last = next
	}
	count := uint64(last - first)
	if count > uint64(max(lim.Items, 0)) {
		return nil, tooLarge("%d output items; the limit is %d", count, lim.Items)
	}
	itemsAt := uint64(r.u32(sys+offOutputItems)) + uint64(first)*itemSize
	if count > 0 && !r.holds(itemsAt, count*itemSize) {
		return nil, bad("%d output items at %#x reach outside of memory (%d bytes)", count, itemsAt, len(mem))
	}

	sets := make([]data.Set, len(outputs))
	cells := make([]data.Item, count)
	pointers := make([]*data.Item, count)
	total, done := uint64(0), uint64(0)
	for i := range outputs {
		sets[i].Name = outputs[i]
		n := uint64(r.u32(arrayAt+uint64(i+1)*setSize+8) - r.u32(arrayAt+uint64(i)*setSize+8))
		for j := range n {
			size, err := r.item(&cells[done+j], itemsAt+(done+j)*itemSize, outputs[i], j)
			if err != nil {
				return nil, err
			}
			pointers[done+j] = &cells[done+j]
			if total += size; total > uint64(max(lim.Output, 0)) {
				return nil, tooLarge("output items and their names hold more than %s", lim.Output)
			}
		}
		sets[i].Items = pointers[done : done+n : done+n]
		sets[i].Order()
		done += n
	}
	return sets, nil
}

// reader reads from memory that a function wrote.
type reader struct{ mem []byte }

// holds reports whether n bytes at p lie within memory. Both are below 2^40,
// so their sum can't overflow.
func (r reader) holds(p, n uint64) bool { return p+n <= uint64(len(r.mem)) }

func (r reader) u32(p uint64) uint32 { return binary.LittleEndian.Uint32(r.mem[p:]) }

// item reads the item record at p, which lies within memory. Its size is that
// of content and name: names are copied, and the same bytes may be the names
// of many items.
func (r reader) item(it *data.Item, p uint64, set string, index uint64) (size uint64, err error) {
	nameAt, nameLen := uint64(r.u32(p)), uint64(r.u32(p+4))
	dataAt, dataLen := uint64(r.u32(p+8)), uint64(r.u32(p+12))
	key := r.u32(p + 16)
	if nameLen > data.MaxItemName {
		return 0, bad("name of item %d of output set %q has %d bytes; the most is %d", index, set, nameLen, data.MaxItemName)
	}
	if nameLen > 0 && !r.holds(nameAt, nameLen) {
		return 0, bad("name of item %d of output set %q reaches outside of memory: %d bytes at %#x", index, set, nameLen, nameAt)
	}
	if dataLen > 0 && !r.holds(dataAt, dataLen) {
		return 0, bad("data of item %d of output set %q reaches outside of memory: %d bytes at %#x", index, set, dataLen, dataAt)
	}
	name, content := "", []byte(nil)
	if nameLen > 0 {
		name = string(r.mem[nameAt : nameAt+nameLen])
	}
	if dataLen > 0 {
		content = r.mem[dataAt : dataAt+dataLen : dataAt+dataLen]
	}
	if err := data.CheckItemName(name); err != nil {
		return 0, bad("item %d of output set %q: %v", index, set, err)
	}
	it.Init(name, key, content)
	return nameLen + dataLen, nil
}

func bad(format string, args ...any) error {
	return &engine.Fault{Kind: engine.FaultBadOutput, Detail: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) error {
	return &engine.Fault{Kind: engine.FaultOutputTooLarge, Detail: fmt.Sprintf(format, args...)}
}
