package shard

import (
	"cmp"
	"slices"

	"pappus/data"
)

// ordered is items in the order of their keys, without changing what others
// may be reading.
func ordered(items []*data.Item) []*data.Item {
	if (data.Set{Items: items}).Ordered() {
		return items
	}
	s := data.Set{Items: slices.Clone(items)}
	s.Order()
	return s.Items
}

// entry stands for an item, or a row of a join, while many are put in order.
type entry struct {
	key    uint32
	number int
}

// byKey orders entries by key, stably, and may do so in place. Most sets are in order as they come, which
// costs one look. Others are distributed by one byte of the key after the other,
// the lowest first: that takes the same time whether they are a few long ordered
// stretches or a great many short ones, which merging them does not.
func byKey(from []entry) []entry {
	compare := func(a, b entry) int { return cmp.Compare(a.key, b.key) }
	const short = 64 // below it, 256 counters cost more than comparisons
	switch {
	case slices.IsSortedFunc(from, compare):
		return from
	case len(from) < short:
		slices.SortStableFunc(from, compare)
		return from
	}
	to := make([]entry, len(from))
	for shift := 0; shift < 32; shift += 8 {
		var starts [256]int // counts first, then where the next of each goes
		for _, e := range from {
			starts[byte(e.key>>shift)]++
		}
		if starts[byte(from[0].key>>shift)] == len(from) {
			continue // all have this byte
		}
		start := 0
		for b := range starts {
			start, starts[b] = start+starts[b], start
		}
		for _, e := range from {
			b := byte(e.key >> shift)
			to[starts[b]] = e
			starts[b]++
		}
		from, to = to, from
	}
	return from
}
