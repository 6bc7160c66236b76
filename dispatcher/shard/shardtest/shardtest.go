package shardtest

import (
	"slices"

	"pappus/data"
	"pappus/dispatcher/shard"
)

// A choice is what some of the parameters get: by parameter, positions in its
// ordered set, ascending.
type choice map[int][]int

// row of a join: a choice, and the key that it is joined on.
type row struct {
	choice
	key uint32
}

// Instances is the instances of a valid application in their order, and what
// each sees of every parameter.
func Instances(app shard.Application) [][][]*data.Item {
	sets := make([][]*data.Item, len(app.Params))
	for i, p := range app.Params {
		sets[i] = Ordered(p.Items)
	}
	var factors [][]choice
	chained := make(map[int]bool)
	if len(app.Chain) > 0 {
		var rows []row
		for i, link := range app.Chain {
			chained[link.Param] = true
			right := groups(link.Param, sets[link.Param])
			if i == 0 {
				rows = right
			} else {
				rows = join(rows, link.Join, right)
			}
		}
		factors = append(factors, share(app.Params[app.Chain[0].Param].Kind, app.Parallelism, choices(rows)))
	}
	for _, byKey := range []bool{true, false} {
		for i, p := range app.Params {
			if !chained[i] && byKey == (p.Kind == shard.Keyed || p.Kind == shard.AnyKeyed) {
				factors = append(factors, share(p.Kind, app.Parallelism, divide(i, p, sets[i])))
			}
		}
	}
	instances := []choice{{}}
	for _, factor := range factors {
		var longer []choice
		for _, a := range instances {
			for _, b := range factor {
				longer = append(longer, union(a, b))
			}
		}
		instances = longer
	}
	seen := make([][][]*data.Item, len(instances))
	for i, instance := range instances {
		seen[i] = make([][]*data.Item, len(sets))
		for param, positions := range instance {
			for _, at := range positions {
				seen[i][param] = append(seen[i][param], sets[param][at])
			}
		}
	}
	return seen
}

// Ordered is the items in the order of their keys, equal keys as they were.
func Ordered(items []*data.Item) []*data.Item {
	var ordered []*data.Item
	for _, key := range keysOf(items) {
		for _, it := range items {
			if it.Key() == key {
				ordered = append(ordered, it)
			}
		}
	}
	return ordered
}

// Gather is the set that instances make: what each gives, in their order.
func Gather(outputs [][]*data.Item) []*data.Item { return Ordered(slices.Concat(outputs...)) }

// keysOf is the keys that occur, ascending.
func keysOf(items []*data.Item) []uint32 {
	var keys []uint32
	for _, it := range items {
		if !slices.Contains(keys, it.Key()) {
			keys = append(keys, it.Key())
		}
	}
	slices.Sort(keys)
	return keys
}

// divide is what the instances get of one parameter that is not joined, before
// any-forms share it.
func divide(param int, p shard.Param, set []*data.Item) []choice {
	if len(set) == 0 && p.Optional {
		return []choice{{param: nil}}
	}
	var parts []choice
	switch p.Kind {
	case shard.Keyed, shard.AnyKeyed:
		return choices(groups(param, set))
	case shard.Each, shard.AnyEach:
		for at := range set {
			parts = append(parts, choice{param: {at}})
		}
	case shard.All:
		if len(set) > 0 {
			parts = []choice{{}}
			for at := range set {
				parts[0][param] = append(parts[0][param], at)
			}
		}
	}
	return parts
}

func groups(param int, set []*data.Item) []row {
	var rows []row
	for _, key := range keysOf(set) {
		group := row{choice{param: nil}, key}
		for at, it := range set {
			if it.Key() == key {
				group.choice[param] = append(group.choice[param], at)
			}
		}
		rows = append(rows, group)
	}
	return rows
}

func choices(rows []row) []choice {
	var all []choice
	for _, r := range rows {
		all = append(all, r.choice)
	}
	return all
}

func join(left []row, kind shard.Join, right []row) []row {
	var rows []row
	if kind == shard.Cross {
		for _, l := range left {
			for _, r := range right {
				rows = append(rows, row{union(l.choice, r.choice), r.key})
			}
		}
		return rows
	}
	var keys []uint32
	for _, r := range slices.Concat(left, right) {
		if !slices.Contains(keys, r.key) {
			keys = append(keys, r.key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		other := func(r row) bool { return r.key != key }
		ls := slices.DeleteFunc(slices.Clone(left), other)
		rs := slices.DeleteFunc(slices.Clone(right), other)
		if len(ls) == 0 && (kind == shard.Right || kind == shard.Full) {
			rows = append(rows, rs...)
		}
		if len(rs) == 0 && (kind == shard.Left || kind == shard.Full) {
			rows = append(rows, ls...)
		}
		for _, l := range ls {
			for _, r := range rs {
				rows = append(rows, row{union(l.choice, r.choice), key})
			}
		}
	}
	return rows
}

// share gives the parts of an any-form to at most n instances: it deals out how
// many each gets, then which, in order.
func share(kind shard.Kind, n int, parts []choice) []choice {
	if kind != shard.AnyEach && kind != shard.AnyKeyed {
		return parts
	}
	sizes := make([]int, min(n, len(parts)))
	for i := range parts {
		sizes[i%len(sizes)]++
	}
	shared := make([]choice, len(sizes))
	for i, size := range sizes {
		for _, part := range parts[:size] {
			shared[i] = union(shared[i], part)
		}
		parts = parts[size:]
	}
	return shared
}

// union has what either has, nothing twice.
func union(a, b choice) choice {
	both := make(choice)
	for _, c := range []choice{a, b} {
		for param, positions := range c {
			both[param] = append(both[param], positions...)
		}
	}
	for param := range both {
		slices.Sort(both[param])
		both[param] = slices.Compact(both[param])
	}
	return both
}
