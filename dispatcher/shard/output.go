package shard

import (
	"cmp"
	"slices"

	"pappus/data"
)

// Output gathers a set that the instances of an application make. The zero value
// is empty. Instances may end in any order; the set is the same. It is not for
// several goroutines at once.
type Output struct {
	items []*data.Item // as they arrived
	parts []part
}

// part is what one instance made: items[from:to].
type part struct{ instance, from, to int }

// Add takes what an instance made. Items are numbered as they arrive; Add
// returns the number of the first of these. What an instance makes in several
// parts counts in the order of the calls.
func (o *Output) Add(instance int, items []*data.Item) (first int) {
	first = len(o.items)
	o.items = append(o.items, items...)
	o.parts = append(o.parts, part{instance, first, len(o.items)})
	return first
}

// Count is the number of items that have arrived.
func (o *Output) Count() int { return len(o.items) }

// Settle gives the set when all instances have ended: their items in the order
// of instances, then ordered by key, stably. order names the instances in their
// order, each once (Stream.Order); nil when they are numbered in it, as those of
// a Plan are. arrivals has for every item of the set the number under which it
// arrived. Before all instances have ended, it gives what the set is so far.
func (o *Output) Settle(order []int) (items []*data.Item, arrivals []int) {
	entries := make([]entry, 0, len(o.items))
	for _, p := range o.ordered(order) {
		for arrival := p.from; arrival < p.to; arrival++ {
			entries = append(entries, entry{o.items[arrival].Key(), arrival})
		}
	}
	entries = orderEntries(entries)
	items, arrivals = make([]*data.Item, len(entries)), make([]int, len(entries))
	for i, e := range entries {
		items[i], arrivals[i] = o.items[e.arrival], e.arrival
	}
	return items, arrivals
}

// ordered is the parts in the order of their instances.
func (o *Output) ordered(order []int) []part {
	places := make([]int, len(order))
	for place, instance := range order {
		places[instance] = place
	}
	parts := slices.Clone(o.parts)
	if order != nil {
		for i := range parts {
			parts[i].instance = places[parts[i].instance]
		}
	}
	byInstance := func(a, b part) int { return cmp.Compare(a.instance, b.instance) }
	if !slices.IsSortedFunc(parts, byInstance) {
		// Arrival decides among the parts of one instance.
		slices.SortFunc(parts, func(a, b part) int { return cmp.Or(byInstance(a, b), cmp.Compare(a.from, b.from)) })
	}
	return parts
}

// entry is one item while the set is ordered: its key and its arrival number.
type entry struct {
	key     uint32
	arrival int
}

// orderEntries orders by key, stably. Most sets are in order as they come, which
// costs one look. Others are distributed by one byte of the key after the other,
// the lowest first: that takes the same time whether they are a few long ordered
// stretches or a great many short ones, which merging them does not.
func orderEntries(from []entry) []entry {
	byKey := func(a, b entry) int { return cmp.Compare(a.key, b.key) }
	const short = 64 // below it, 256 counters cost more than comparisons
	switch {
	case slices.IsSortedFunc(from, byKey):
		return from
	case len(from) < short:
		slices.SortStableFunc(from, byKey)
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
