package abi

import (
	"encoding/binary"
	"math"

	"pappus/data"
)

// Word is the size in bytes of pointers and lengths in a function's memory, from
// which all of the interface's structures follow.
type Word int64

// The machines that there are functions for.
const (
	Wasm32   Word = 4
	Native64 Word = 8
)

// SystemSize is the size of the system struct.
func (w Word) SystemSize() int64 { return 9 * int64(w) }

func (w Word) setSize() int64  { return 3 * int64(w) }
func (w Word) itemSize() int64 { return 5 * int64(w) }

// DataAlign is the alignment of every item's data.
const DataAlign = 128

// Fields of the system struct, in words.
const (
	fieldExitCode = iota // 32 bits, and padding
	fieldHeapBegin
	fieldHeapEnd
	fieldInputSetsLen
	fieldInputSets
	fieldOutputSetsLen
	fieldOutputSets
	fieldInputItems
	fieldOutputItems
)

// Fields of a set, in words: its name's pointer and length, and the index of its
// first item.
const fieldFirst = 2

// Fields of an item, in words: its name's pointer and length, and these.
const (
	fieldData = 2 + iota
	fieldDataLen
	fieldKey
)

// ExitNever is the exit code that stands before a function has exited.
const ExitNever = -1

// Size is the number of bytes that Place needs from a base that is aligned to
// DataAlign. It is computed in 64 bits and can't overflow for inputs that are
// in memory.
func (w Word) Size(in []data.Set, outputs []string) int64 {
	n := w.tableSize(in, outputs)
	for _, s := range in {
		n += int64(len(s.Name))
		for _, it := range s.Items {
			n += int64(len(it.Name()))
		}
	}
	for _, name := range outputs {
		n += int64(len(name))
	}
	for _, s := range in {
		for _, it := range s.Items {
			if it.Len() > 0 {
				n = align(n, DataAlign) + int64(it.Len())
			}
		}
	}
	return n
}

// tableSize is the size of the arrays of sets and items.
func (w Word) tableSize(in []data.Set, outputs []string) int64 {
	return int64(len(in)+1+len(outputs)+1)*w.setSize() + int64(data.Count(in))*w.itemSize()
}

// Align rounds n up to the next multiple of DataAlign.
func Align(n int64) int64 { return align(n, DataAlign) }

func align(n, to int64) int64 { return (n + to - 1) &^ (to - 1) }

// Heap is the range that a function may use as its heap. A Begin or End of -1
// stands for where the placed bytes end, and for the end of memory.
type Heap struct{ Begin, End int64 }

// Place writes the sets and the system struct for a call: the arrays, names
// and data from base on, which is aligned to DataAlign and has Size bytes of
// room below len(mem), and the struct at system. It returns where the placed
// bytes end. If copied is not nil, it is called with each piece of the items'
// data that has been placed.
func (w Word) Place(mem []byte, system uint64, base int64, heap Heap, in []data.Set, outputs []string, copied func([]byte)) int64 {
	p := placer{mem: mem, word: int64(w), copied: copied}
	inSets := base
	outSets := inSets + int64(len(in)+1)*w.setSize()
	items := outSets + int64(len(outputs)+1)*w.setSize()
	p.at = base + w.tableSize(in, outputs)

	first := 0
	for i, s := range in {
		p.set(inSets+int64(i)*w.setSize(), s.Name, first)
		first += len(s.Items)
	}
	p.set(inSets+int64(len(in))*w.setSize(), "", first)
	for i, name := range outputs {
		p.set(outSets+int64(i)*w.setSize(), name, 0)
	}
	p.set(outSets+int64(len(outputs))*w.setSize(), "", 0)

	// Names first, then data: the names of many small items stay together.
	at := items
	for _, s := range in {
		for _, it := range s.Items {
			p.text(at, it.Name())
			p.put(at, fieldKey, int64(it.Key()))
			at += w.itemSize()
		}
	}
	at = items
	for _, s := range in {
		for _, it := range s.Items {
			p.content(at, it.Bytes())
			at += w.itemSize()
		}
	}

	if heap.Begin < 0 {
		heap.Begin = p.at
	}
	if heap.End < 0 {
		heap.End = int64(len(mem))
		if w == Wasm32 {
			heap.End = min(heap.End, math.MaxUint32)
		}
	}
	sys := int64(system)
	p.put(sys, fieldExitCode, 0) // with its padding
	exitNever := int32(ExitNever)
	binary.LittleEndian.PutUint32(mem[sys:], uint32(exitNever))
	p.put(sys, fieldHeapBegin, heap.Begin)
	p.put(sys, fieldHeapEnd, heap.End)
	p.put(sys, fieldInputSetsLen, int64(len(in)))
	p.put(sys, fieldInputSets, inSets)
	p.put(sys, fieldOutputSetsLen, int64(len(outputs)))
	p.put(sys, fieldOutputSets, outSets)
	p.put(sys, fieldInputItems, items)
	p.put(sys, fieldOutputItems, 0)
	return p.at
}

// placer fills memory; at is where the next name or data goes.
type placer struct {
	mem    []byte
	word   int64
	at     int64
	copied func([]byte) // or nil
}

// put writes a field of the structure at a place.
func (p *placer) put(at, field, v int64) {
	b := p.mem[at+field*p.word:]
	if p.word == 4 {
		binary.LittleEndian.PutUint32(b, uint32(v))
	} else {
		binary.LittleEndian.PutUint64(b, uint64(v))
	}
}

func (p *placer) set(at int64, name string, first int) {
	p.text(at, name)
	p.put(at, fieldFirst, int64(first))
}

// text writes a name and, into the first two fields of the structure at a
// place, its pointer and length; an empty one has pointer 0.
func (p *placer) text(at int64, s string) {
	pointer := p.at
	if s == "" {
		pointer = 0
	}
	p.put(at, 0, pointer)
	p.put(at, 1, int64(len(s)))
	p.at += int64(copy(p.mem[p.at:], s))
}

func (p *placer) content(at int64, b []byte) {
	if len(b) > 0 {
		p.at = align(p.at, DataAlign)
	}
	p.put(at, fieldData, p.at)
	p.put(at, fieldDataLen, int64(len(b)))
	// A copy can't be interrupted: others wait for its end when memory is collected.
	const most = 1 << 20
	for len(b) > 0 {
		piece := b[:min(most, len(b))]
		b = b[len(piece):]
		p.at += int64(copy(p.mem[p.at:], piece))
		if p.copied != nil {
			p.copied(piece)
		}
	}
}
