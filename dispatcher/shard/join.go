package shard

import (
	"math"
	"strings"
)

// maxRows bounds the rows that a cross join may have, also where instances
// share them or a later join drops most. All other joins have at most as many
// rows as there are keys in what they join.
const maxRows = 1 << 20

// table is the rows of a chain, as far as it is joined.
type table struct {
	keys   []uint32 // by row: what the next parameter is joined on
	groups [][]int  // by parameter of the chain, then by row
}

// joinChain joins the chain of an application from left to right.
func joinChain(app Application, limit int) (axis, error) {
	columns := make([]column, len(app.Chain))
	names := make([]string, len(app.Chain))
	var t table
	for i, link := range app.Chain {
		param := &app.Params[link.Param]
		names[i] = param.Name
		c := &columns[i]
		*c = column{param: link.Param, items: ordered(param.Items)}
		c.split()
		right := c.keys()
		if i == 0 {
			t.begin(right)
			continue
		}
		if link.Join == Cross {
			what, most := "rows", maxRows
			if param.Kind == Keyed && i == len(app.Chain)-1 && limit < maxRows {
				what, most = "instances", limit // it is known already, without making the rows
			}
			factors := []Factor{{strings.Join(names[:i], " by "), len(t.keys)}, {param.Name, len(right)}}
			if _, err := product(what, most, factors); err != nil {
				return axis{}, err
			}
		}
		t.join(link.Join, right)
	}
	for i := range columns {
		columns[i].groups = t.groups[i]
	}
	return newAxis(app.Params[app.Chain[0].Param].Kind, app.Parallelism, len(t.keys), columns...), nil
}

// begin makes the table of the first parameter alone.
func (t *table) begin(keys []uint32) {
	t.keys = keys
	groups := make([]int, len(keys))
	for g := range groups {
		groups[g] = g
	}
	t.groups = [][]int{groups}
}

// pair is a row of a join: one row of the table and one group of the right
// parameter; either may be none.
type pair struct{ left, right int }

// join joins the right parameter, whose groups have these keys.
func (t *table) join(kind Join, right []uint32) {
	var pairs []pair
	if kind == Cross {
		pairs = t.cross(right)
	} else {
		pairs = t.match(kind, right)
	}
	keys := make([]uint32, len(pairs))
	groups := make([][]int, len(t.groups)+1)
	for i := range groups {
		groups[i] = make([]int, len(pairs))
	}
	for row, p := range pairs {
		keys[row] = p.key(kind, t.keys, right)
		for i := range t.groups {
			groups[i][row] = none
			if p.left != none {
				groups[i][row] = t.groups[i][p.left]
			}
		}
		groups[len(t.groups)][row] = p.right
	}
	t.keys, t.groups = keys, groups
}

// key of the row; after a cross join it is the right one's.
func (p pair) key(kind Join, left, right []uint32) uint32 {
	if p.left == none || kind == Cross {
		return right[p.right]
	}
	return left[p.left]
}

// cross is all pairs, the right one varying fastest.
func (t *table) cross(right []uint32) []pair {
	pairs := make([]pair, 0, len(t.keys)*len(right))
	for l := range t.keys {
		for r := range right {
			pairs = append(pairs, pair{l, r})
		}
	}
	return pairs
}

// match is the pairs of equal keys, and what the kind keeps of the others, keys
// ascending. Rows of equal keys, which only a cross join leaves, stay in their
// order.
func (t *table) match(kind Join, right []uint32) []pair {
	var pairs []pair
	rows := make([]entry, len(t.keys))
	for row, key := range t.keys {
		rows[row] = entry{key, row}
	}
	rows = byKey(rows)
	keepLeft, keepRight := kind == Left || kind == Full, kind == Right || kind == Full
	for l, r := 0, 0; l < len(rows) || r < len(right); {
		lk, rk := uint64(math.MaxUint64), uint64(math.MaxUint64) // beyond all keys
		if l < len(rows) {
			lk = uint64(rows[l].key)
		}
		if r < len(right) {
			rk = uint64(right[r])
		}
		switch {
		case lk < rk:
			if keepLeft {
				pairs = append(pairs, pair{rows[l].number, none})
			}
			l++
		case lk > rk:
			if keepRight {
				pairs = append(pairs, pair{none, r})
			}
			r++
		default:
			for ; l < len(rows) && rows[l].key == right[r]; l++ {
				pairs = append(pairs, pair{rows[l].number, r})
			}
			r++
		}
	}
	return pairs
}
