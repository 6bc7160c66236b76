package purify

import (
	"cmp"
	"slices"

	"pappus/wasmengine/binary"
)

// maxSegments is the most data segments that a program may have: Go's linker
// makes up to 100,000. The platform takes fewer, so they are joined.
const maxSegments = 100_000

// programCaps are the caps of programs.
func programCaps() binary.Caps {
	caps := binary.DefaultCaps()
	caps.Data = maxSegments
	return caps
}

// maxGap is the longest run of zeros that joined segments have in place of a
// segment's end and another one's beginning, in bytes. Those take about ten.
const maxGap = 64

// fewSegments are so few that they stay as they are: joining makes a module a
// tenth larger.
const fewSegments = 40_000

// joinData makes fewer data segments of those that lie close behind one another.
// Memory is zero between them. Nothing is changed if there are no more than few,
// if the code may refer to segments, or if what comes of it overlaps.
func joinData(p *binary.Module, few int) {
	if len(p.Data) <= few || p.HasCount { // memory.init and data.drop have their numbers
		return
	}
	var joined []binary.Data
	own := false // the last one's bytes are a copy, and may become more
	for _, d := range p.Data {
		if d.Mode != binary.Active || !d.Known {
			return
		}
		if len(joined) > 0 {
			last := &joined[len(joined)-1]
			if end := endOf(last); uint64(d.Offset) >= end && uint64(d.Offset)-end <= maxGap {
				if !own {
					last.Bytes, own = slices.Clone(last.Bytes), true
				}
				last.Bytes = append(append(last.Bytes, make([]byte, uint64(d.Offset)-end)...), d.Bytes...)
				continue
			}
		}
		joined, own = append(joined, d), false
	}
	inOrder := slices.SortedFunc(slices.Values(joined), func(a, b binary.Data) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := range inOrder[:max(0, len(inOrder)-1)] {
		if endOf(&inOrder[i]) > uint64(inOrder[i+1].Offset) {
			return
		}
	}
	p.Data = joined
}

func endOf(d *binary.Data) uint64 { return uint64(d.Offset) + uint64(len(d.Bytes)) }
