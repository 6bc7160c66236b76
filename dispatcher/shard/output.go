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
	parts []part
	count int
}

// part is what one instance made.
type part struct {
	instance int
	first    int // arrival number of its first item
	items    []*data.Item
}

// Add takes what an instance made, which must not change any more. Items are
// numbered as they arrive; Add returns the number of the first of these. What an
// instance makes in several parts counts in the order of the calls.
func (o *Output) Add(instance int, items []*data.Item) (first int) {
	first = o.count
	if len(items) > 0 {
		o.parts = append(o.parts, part{instance, first, items})
		o.count += len(items)
	}
	return first
}

// Count is the number of items that have arrived.
func (o *Output) Count() int { return o.count }

// entry is one item while the set is ordered.
type entry struct {
	key     uint32
	arrival int
	item    *data.Item
}

// Settle gives the set when all instances have ended: their items in the order
// of instances, then ordered by key, stably. order names the instances in their
// order, each once (Stream.Order); nil when they are numbered in it, as those of
// a Plan are. arrivals has for every item of the set the number under which it
// arrived. Before all instances have ended, it gives what the set is so far.
func (o *Output) Settle(order []int) (items []*data.Item, arrivals []int) {
	o.orderParts(order)
	entries := make([]entry, 0, o.count)
	for _, p := range o.parts {
		for i, it := range p.items {
			entries = append(entries, entry{it.Key(), p.first + i, it})
		}
	}
	entries = orderEntries(entries)
	items, arrivals = make([]*data.Item, len(entries)), make([]int, len(entries))
	for i, e := range entries {
		items[i], arrivals[i] = e.item, e.arrival
	}
	return items, arrivals
}

func (o *Output) orderParts(order []int) {
	place := func(instance int) int { return instance }
	if order != nil {
		places := make([]int, len(order))
		for at, instance := range order {
			places[instance] = at
		}
		place = func(instance int) int { return places[instance] }
	}
	slices.SortStableFunc(o.parts, func(a, b part) int { return cmp.Compare(place(a.instance), place(b.instance)) })
}

// orderEntries merges the stretches that are in order already, neighbours first,
// which keeps equal keys as they are. It is one stretch when all keys are equal,
// and at most one an instance, because what an instance makes is in order.
func orderEntries(from []entry) []entry {
	var ends []int // of stretches
	for i := 1; i <= len(from); i++ {
		if i == len(from) || from[i-1].key > from[i].key {
			ends = append(ends, i)
		}
	}
	if len(ends) < 2 {
		return from
	}
	to := make([]entry, len(from))
	for len(ends) > 1 {
		start, merged := 0, 0
		for i := 0; i < len(ends); i += 2 {
			middle, end := ends[i], ends[min(i+1, len(ends)-1)]
			merge(to[start:end], from[start:middle], from[middle:end])
			ends[merged] = end
			start = end
			merged++
		}
		ends = ends[:merged]
		from, to = to, from
	}
	return from
}

func merge(to, a, b []entry) {
	for i := range to {
		if len(b) == 0 || len(a) > 0 && a[0].key <= b[0].key {
			to[i], a = a[0], a[1:]
		} else {
			to[i], b = b[0], b[1:]
		}
	}
}
