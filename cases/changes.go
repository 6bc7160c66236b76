package cases

import (
	"bytes"
	"cmp"

	"pappus/data"
)

// Change is an item that is not as it should be.
type Change struct {
	Set, Item string
	Got, Want *data.Item // nil: it is not there
}

// Changes lists all items of outputs that are not those of the case, in the
// order of their names. Check finds the first of them.
func (c *Case) Changes(outputs []data.Set) (list []Change) {
	got, want := byName(outputs), byName(c.Out)
	for len(got) > 0 || len(want) > 0 {
		var g, w data.Set
		switch order := compareFirst(got, want, func(s data.Set) string { return s.Name }); {
		case order < 0:
			g, got = got[0], got[1:]
		case order > 0:
			w, want = want[0], want[1:]
		default:
			g, got, w, want = got[0], got[1:], want[0], want[1:]
		}
		list = append(list, changes(cmp.Or(g.Name, w.Name), g.Items, w.Items)...)
	}
	return list
}

// compareFirst compares the first of two lists; an empty list is behind all.
func compareFirst[T any](got, want []T, name func(T) string) int {
	switch {
	case len(want) == 0:
		return -1
	case len(got) == 0:
		return 1
	}
	return cmp.Compare(name(got[0]), name(want[0]))
}

func changes(set string, got, want []*data.Item) (list []Change) {
	for len(got) > 0 || len(want) > 0 {
		switch order := compareFirst(got, want, (*data.Item).Name); {
		case order < 0:
			list = append(list, Change{Set: set, Item: got[0].Name(), Got: got[0]})
			got = got[1:]
		case order > 0:
			list = append(list, Change{Set: set, Item: want[0].Name(), Want: want[0]})
			want = want[1:]
		default:
			if got[0].Key() != want[0].Key() || !bytes.Equal(got[0].Bytes(), want[0].Bytes()) {
				list = append(list, Change{Set: set, Item: got[0].Name(), Got: got[0], Want: want[0]})
			}
			got, want = got[1:], want[1:]
		}
	}
	return list
}
