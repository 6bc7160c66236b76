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
	if len(items) > 0 {
		o.items = append(o.items, items...)
		o.parts = append(o.parts, part{instance, first, len(o.items)})
	}
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
	entries = byKey(entries)
	items, arrivals = make([]*data.Item, len(entries)), make([]int, len(entries))
	for i, e := range entries {
		items[i], arrivals[i] = o.items[e.number], e.number
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
