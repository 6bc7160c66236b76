package cases

import (
	"cmp"
	"fmt"
	"slices"

	"pappus/data"
)

// Difference is the first place where two runs, or a run and a case, differ.
type Difference struct {
	Set    string // "" if it is not in the outputs
	Item   string
	Offset int64  // first byte that differs; -1 if it is not in an item's bytes
	Reason string // in words: what is there, and what should be
}

// String is the difference in words, "" of none.
func (d *Difference) String() string {
	if d == nil {
		return ""
	}
	if d.Set == "" {
		return d.Reason
	}
	return d.Set + "/" + d.Item + " " + d.Reason
}

// Check compares outputs with those of the case, whatever the order of the
// items: files have none. It returns nil if they are the same. An empty set is
// the same as none.
func (c *Case) Check(outputs []data.Set) *Difference { return Compare(byName(outputs), byName(c.Out)) }

// byName gives sets and their items in the order of their names.
func byName(sets []data.Set) []data.Set {
	sorted := slices.Clone(sets)
	for i, s := range sorted {
		sorted[i].Items = slices.SortedStableFunc(slices.Values(s.Items), func(a, b *data.Item) int {
			return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.Key(), b.Key()))
		})
	}
	slices.SortStableFunc(sorted, func(a, b data.Set) int { return cmp.Compare(a.Name, b.Name) })
	return sorted
}

// Compare finds the first difference between two lists of sets, in the order of
// the items, or nil. An empty set is the same as none.
func Compare(got, want []data.Set) *Difference {
	for _, w := range want {
		if d := compareItems(w.Name, itemsOf(got, w.Name), w.Items); d != nil {
			return d
		}
	}
	for _, g := range got {
		if d := compareItems(g.Name, g.Items, itemsOf(want, g.Name)); d != nil {
			return d
		}
	}
	return nil
}

func itemsOf(sets []data.Set, name string) []*data.Item {
	i := slices.IndexFunc(sets, func(s data.Set) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return sets[i].Items
}

func compareItems(set string, got, want []*data.Item) *Difference {
	for i := range max(len(got), len(want)) {
		switch {
		case i == len(got), i < len(want) && want[i].Name() != got[i].Name() && !named(got[i:], want[i].Name()):
			return &Difference{set, want[i].Name(), -1, "is missing"}
		case i == len(want), want[i].Name() != got[i].Name():
			return &Difference{set, got[i].Name(), -1, fmt.Sprintf("is there, as item %d of the set, and should not be", i+1)}
		case want[i].Key() != got[i].Key():
			return &Difference{set, want[i].Name(), -1, fmt.Sprintf("has key %d instead of %d", got[i].Key(), want[i].Key())}
		}
		if d := compareBytes(got[i].Bytes(), want[i].Bytes()); d != nil {
			d.Set, d.Item = set, want[i].Name()
			return d
		}
	}
	return nil
}

func named(items []*data.Item, name string) bool {
	return slices.ContainsFunc(items, func(it *data.Item) bool { return it.Name() == name })
}

func compareBytes(got, want []byte) *Difference {
	both := min(len(got), len(want))
	for i := range both {
		if got[i] != want[i] {
			return &Difference{Offset: int64(i), Reason: fmt.Sprintf("differs at byte %d: %#02x instead of %#02x", i, got[i], want[i])}
		}
	}
	if len(got) != len(want) {
		return &Difference{Offset: int64(both), Reason: fmt.Sprintf("differs at byte %d, where one ends: it has %d bytes instead of %d", both, len(got), len(want))}
	}
	return nil
}
