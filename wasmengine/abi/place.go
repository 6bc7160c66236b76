package abi

import (
	"encoding/binary"
	"math"

	"pappus/data"
)

// Sizes and alignments of the structures.
const (
	SystemSize = 36
	setSize    = 12
	itemSize   = 20

	// DataAlign is the alignment of every item's data.
	DataAlign = 128
)

// Offsets in the system struct.
const (
	offExitCode      = 0
	offHeapBegin     = 4
	offHeapEnd       = 8
	offInputSetsLen  = 12
	offInputSets     = 16
	offOutputSetsLen = 20
	offOutputSets    = 24
	offInputItems    = 28
	offOutputItems   = 32
)

// ExitNever is the exit code that stands before a function has exited.
const ExitNever = -1

// Size is the number of bytes that Place needs from a base that is aligned to
// DataAlign. It is computed in 64 bits and can't overflow for inputs that are
// in memory.
func Size(in []data.Set, outputs []string) int64 {
	n := tableSize(in, outputs)
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
func tableSize(in []data.Set, outputs []string) int64 {
	return int64(len(in)+1)*setSize + int64(len(outputs)+1)*setSize + int64(data.Count(in))*itemSize
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
func Place(mem []byte, system uint32, base int64, heap Heap, in []data.Set, outputs []string, copied func([]byte)) int64 {
	w := writer{mem: mem, copied: copied}
	inSets := base
	outSets := inSets + int64(len(in)+1)*setSize
	items := outSets + int64(len(outputs)+1)*setSize
	w.at = base + tableSize(in, outputs)

	first := 0
	for i, s := range in {
		w.set(inSets+int64(i)*setSize, s.Name, first)
		first += len(s.Items)
	}
	w.set(inSets+int64(len(in))*setSize, "", first)
	for i, name := range outputs {
		w.set(outSets+int64(i)*setSize, name, 0)
	}
	w.set(outSets+int64(len(outputs))*setSize, "", 0)

	// Names first, then data: the names of many small items stay together.
	at := items
	for _, s := range in {
		for _, it := range s.Items {
			w.text(at, it.Name())
			w.put(at+16, int64(it.Key()))
			at += itemSize
		}
	}
	at = items
	for _, s := range in {
		for _, it := range s.Items {
			w.content(at+8, it.Bytes())
			at += itemSize
		}
	}

	if heap.Begin < 0 {
		heap.Begin = w.at
	}
	if heap.End < 0 {
		heap.End = min(int64(len(mem)), math.MaxUint32)
	}
	sys := int64(system)
	exitNever := int32(ExitNever)
	w.put(sys+offExitCode, int64(uint32(exitNever)))
	w.put(sys+offHeapBegin, heap.Begin)
	w.put(sys+offHeapEnd, heap.End)
	w.put(sys+offInputSetsLen, int64(len(in)))
	w.put(sys+offInputSets, inSets)
	w.put(sys+offOutputSetsLen, int64(len(outputs)))
	w.put(sys+offOutputSets, outSets)
	w.put(sys+offInputItems, items)
	w.put(sys+offOutputItems, 0)
	return w.at
}

// writer fills memory; at is where the next name or data goes.
type writer struct {
	mem    []byte
	at     int64
	copied func([]byte) // or nil
}

func (w *writer) put(at, v int64) {
	binary.LittleEndian.PutUint32(w.mem[at:], uint32(v))
}

func (w *writer) set(at int64, name string, first int) {
	w.text(at, name)
	w.put(at+8, int64(first))
}

// text writes a name and, at the given place, its pointer and length; an
// empty one has pointer 0.
func (w *writer) text(at int64, s string) {
	p := w.at
	if s == "" {
		p = 0
	}
	w.put(at, p)
	w.put(at+4, int64(len(s)))
	w.at += int64(copy(w.mem[w.at:], s))
}

func (w *writer) content(at int64, b []byte) {
	if len(b) > 0 {
		w.at = align(w.at, DataAlign)
	}
	w.put(at, w.at)
	w.put(at+4, int64(len(b)))
	// A copy can't be interrupted: others wait for its end when memory is collected.
	const most = 1 << 20
	for len(b) > 0 {
		piece := b[:min(most, len(b))]
		b = b[len(piece):]
		w.at += int64(copy(w.mem[w.at:], piece))
		if w.copied != nil {
			w.copied(piece)
		}
	}
}
