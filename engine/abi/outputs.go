package abi

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"pappus/data"
	"pappus/engine"
)

// ExitCode is the exit code that stands in the system struct.
func ExitCode(mem []byte, system uint64) int32 {
	return int32(binary.LittleEndian.Uint32(mem[system:]))
}

// Outputs reads what a function left: one set for every name of outputs, in
// that order, items in key order, their data in place in mem. Everything in
// mem is hostile, but the system struct lies within. The error is a
// *engine.Fault of kind bad-output or output-too-large whose detail says what
// is wrong.
func (w Word) Outputs(mem []byte, system uint64, outputs []string, lim engine.Limits) ([]data.Set, error) {
	sets, _, err := w.OutputsEnd(mem, system, outputs, lim)
	return sets, err
}

// OutputsEnd is Outputs, and tells behind which address no item has data: 0 if none
// has any. The items of a function whose memory is there before it is touched can lie
// where it has never been.
func (w Word) OutputsEnd(mem []byte, system uint64, outputs []string, lim engine.Limits) (sets []data.Set, end int64, err error) {
	r := reader{mem: mem, word: uint64(w)}
	sets, err = w.readOutputs(&r, system, outputs, lim)
	return sets, int64(r.end), err
}

func (w Word) readOutputs(r *reader, system uint64, outputs []string, lim engine.Limits) ([]data.Set, error) {
	mem := r.mem
	setSize, itemSize := uint64(w.setSize()), uint64(w.itemSize())
	if n := r.field(system, fieldOutputSetsLen); n != uint64(len(outputs)) {
		return nil, bad("output_sets_len is %d; the signature has %d output sets", n, len(outputs))
	}
	arrayAt := r.field(system, fieldOutputSets)
	if !r.holds(arrayAt, uint64(len(outputs)+1)*setSize) {
		return nil, bad("output_sets points at %#x, outside of memory (%d bytes)", arrayAt, len(mem))
	}
	first := r.field(arrayAt, fieldFirst)
	last := first
	for i := range outputs {
		next := r.field(arrayAt+uint64(i+1)*setSize, fieldFirst)
		if next < last {
			return nil, bad("items of output set %q end at index %d, before they begin at %d", outputs[i], next, last)
		}
		last = next
	}
	count := last - first
	if count > uint64(max(lim.Items, 0)) {
		return nil, tooLarge("%d output items; the limit is %d", count, lim.Items)
	}
	itemsAt, ok := r.element(r.field(system, fieldOutputItems), first, itemSize)
	if count > 0 && (!ok || count > uint64(len(mem))/itemSize || !r.holds(itemsAt, count*itemSize)) {
		return nil, bad("%d output items at %#x reach outside of memory (%d bytes)", count, itemsAt, len(mem))
	}

	sets := make([]data.Set, len(outputs))
	cells := make([]data.Item, count)
	pointers := make([]*data.Item, count)
	total, done := uint64(0), uint64(0)
	for i := range outputs {
		sets[i].Name = outputs[i]
		n := r.field(arrayAt+uint64(i+1)*setSize, fieldFirst) - r.field(arrayAt+uint64(i)*setSize, fieldFirst)
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
type reader struct {
	mem  []byte
	word uint64
	end  uint64 // of the data that lies highest, of the items that were read
}

// holds reports whether n bytes at p lie within memory.
func (r *reader) holds(p, n uint64) bool {
	size := uint64(len(r.mem))
	return n <= size && p <= size-n
}

// element is where an element of an array begins; false if that is no address.
func (r *reader) element(array, index, size uint64) (at uint64, ok bool) {
	over, offset := bits.Mul64(index, size)
	at, carry := bits.Add64(array, offset, 0)
	return at, over == 0 && carry == 0
}

// field reads a field of the structure at p, which lies within memory.
func (r *reader) field(p, field uint64) uint64 {
	b := r.mem[p+field*r.word:]
	if r.word == 4 {
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// item reads the item record at p, which lies within memory. Its size is that
// of content and name: names are copied, and the same bytes may be the names
// of many items.
func (r *reader) item(it *data.Item, p uint64, set string, index uint64) (size uint64, err error) {
	nameAt, nameLen := r.field(p, 0), r.field(p, 1)
	dataAt, dataLen := r.field(p, fieldData), r.field(p, fieldDataLen)
	key := r.field(p, fieldKey)
	if nameLen > data.MaxItemName {
		return 0, bad("name of item %d of output set %q has %d bytes; the most is %d", index, set, nameLen, data.MaxItemName)
	}
	if nameLen > 0 && !r.holds(nameAt, nameLen) {
		return 0, bad("name of item %d of output set %q reaches outside of memory: %d bytes at %#x", index, set, nameLen, nameAt)
	}
	if dataLen > 0 && !r.holds(dataAt, dataLen) {
		return 0, bad("data of item %d of output set %q reaches outside of memory: %d bytes at %#x", index, set, dataLen, dataAt)
	}
	if key > math.MaxUint32 {
		return 0, bad("key of item %d of output set %q is %d; a key has 32 bits", index, set, key)
	}
	name, content := "", []byte(nil)
	if nameLen > 0 {
		name = string(r.mem[nameAt : nameAt+nameLen])
	}
	if dataLen > 0 {
		content = r.mem[dataAt : dataAt+dataLen : dataAt+dataLen]
		r.end = max(r.end, dataAt+dataLen)
	}
	if err := data.CheckItemName(name); err != nil {
		return 0, bad("item %d of output set %q: %v", index, set, err)
	}
	it.Init(name, uint32(key), content)
	return nameLen + dataLen, nil
}

func bad(format string, args ...any) error {
	return &engine.Fault{Kind: engine.FaultBadOutput, Detail: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) error {
	return &engine.Fault{Kind: engine.FaultOutputTooLarge, Detail: fmt.Sprintf(format, args...)}
}
