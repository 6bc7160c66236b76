package shard

import (
	"cmp"
	"slices"

	"pappus/data"
)

// Output gathers a set that the instances of an application make. The zero value
// is empty. Instances may end in any order; the set is the same. It is not for
// several goroutines at once, and must not be copied.
type Output struct {
	items []*data.Item // as they arrived
	parts []part
	one   [1]part // room for parts: an application may well have one instance
}

// part is what one instance made: items[from:to].
type part struct{ instance, from, to int }

// Add takes what an instance made; the slice must not change from then on. Items
// are numbered as they arrive; Add returns the number of the first of these. What
// an instance makes in several parts counts in the order of the calls.
func (o *Output) Add(instance int, items []*data.Item) (first int) {
	first = len(o.items)
	switch {
	case len(items) == 0:
		return first
	case first == 0:
		o.items, o.parts = items[:len(items):len(items)], o.one[:0]
	default:
		o.items = append(o.items, items...)
	}
	o.parts = append(o.parts, part{instance, first, len(o.items)})
	return first
}

// Count is the number of items that have arrived.
func (o *Output) Count() int { return len(o.items) }

// Items are those that have arrived, as they did. They must be read only.
func (o *Output) Items() []*data.Item { return o.items[:len(o.items):len(o.items)] }

// Settle gives the set when all instances have ended: their items in the order
// of instances, then ordered by key, stably. order names the instances in their
// order, each once (Stream.Order); nil when they are numbered in it, as those of
// a Plan are. arrivals has for every item of the set the number under which it
// arrived; it is nil when they arrived in the set's order. Before all instances
// have ended, it gives what the set is so far.
func (o *Output) Settle(order []int) (items []*data.Item, arrivals []int) {
	if o.inOrder(order) {
		return o.Items(), nil
	}
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

// inOrder reports whether items arrived in the order of instances and keys.
func (o *Output) inOrder(order []int) bool {
	at := 0
	for _, p := range o.parts {
		if order == nil {
			if p.instance < at {
				return false
			}
			at = p.instance
			continue
		}
		for at < len(order) && order[at] != p.instance {
			at++
		}
		if at == len(order) {
			return false
		}
	}
	return data.Set{Items: o.items}.Ordered()
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
	// Arrival decides among the parts of one instance.
	most := 0
	for _, p := range parts {
		most = max(most, p.instance)
	}
	if most > 4*len(parts) {
		slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.instance, b.instance) })
		return parts
	}
	// Most instances made something: where the parts of each go is counted.
	next := make([]int, most+2)
	for _, p := range parts {
		next[p.instance+1]++
	}
	for i := range most {
		next[i+1] += next[i]
	}
	sorted := make([]part, len(parts))
	for _, p := range parts {
		sorted[next[p.instance]] = p
		next[p.instance]++
	}
	return sorted
}
