package shard

import (
	"slices"
	"strings"

	"pappus/data"
)

// Plan is the instances of an application whose sets are all there. It does not
// change, so any number of goroutines may use it.
type Plan struct {
	whole [][]*data.Item // by parameter: what every instance sees, unless an axis divides it
	axes  []axis         // the last varies fastest
	count int
	few   [2][]*data.Item // room for whole: most functions take few sets
}

// axis is one factor of the product: a parameter that is divided, or a chain.
type axis struct {
	columns []column
	rows    int // items, groups, or rows of the join
	count   int // positions: as many as rows, or fewer, which share them
}

// column is what an axis says of one of its parameters.
type column struct {
	param  int
	items  []*data.Item
	starts []int // where groups start, and the end; nil when every item is one
	groups []int // by row of the join, or none; nil when rows are groups
}

// none stands for a row of a join without a group.
const none = -1

// New plans an application. It returns a *TooManyError when there would be more
// instances than limit, and another error for what the language does not say.
func New(app Application, limit int) (*Plan, error) {
	if err := app.check(); err != nil {
		return nil, err
	}
	p := new(Plan)
	p.whole = slices.Grow(p.few[:0], len(app.Params))[:len(app.Params)]
	var byKey, others []axis
	for i, param := range app.Params {
		switch {
		case app.joins(i):
			continue
		case len(param.Items) == 0 && !param.Optional:
			return p, nil // it does not run
		case len(param.Items) == 0:
			continue
		}
		c := column{param: i, items: ordered(param.Items)}
		switch {
		case param.Kind == All:
			p.whole[i] = c.items
		case param.Kind.Keys():
			c.split()
			byKey = append(byKey, newAxis(param.Kind, app.Parallelism, len(c.starts)-1, c))
		default:
			others = append(others, newAxis(param.Kind, app.Parallelism, len(c.items), c))
		}
	}
	if len(app.Chain) > 0 {
		chain, err := joinChain(app, limit)
		if err != nil {
			return nil, err
		}
		p.axes = append(p.axes, chain)
	}
	p.axes = slices.Concat(p.axes, byKey, others)
	var err error
	p.count, err = product("instances", limit, p.factors(app.Params))
	if err != nil {
		return nil, err
	}
	return p, nil
}

func newAxis(kind Kind, parallelism, rows int, columns ...column) axis {
	a := axis{columns: columns, rows: rows, count: rows}
	if kind == AnyEach || kind == AnyKeyed {
		a.count = min(parallelism, rows)
	}
	return a
}

func (p *Plan) factors(params []Param) []Factor {
	factors := make([]Factor, len(p.axes))
	for i, a := range p.axes {
		names := make([]string, len(a.columns))
		for j, c := range a.columns {
			names[j] = params[c.param].Name
		}
		factors[i] = Factor{strings.Join(names, " by "), a.count}
	}
	return factors
}

// Count is the number of instances; 0 when the application does not run.
func (p *Plan) Count() int { return p.count }

// Instance gives what the i-th instance sees: for every parameter the items, in
// the order of their keys. in is used for that if it is large enough, so that a
// caller who is done with one instance can take the next without an allocation.
// Items are parts of the given sets: they must be read only. i must be less
// than Count.
func (p *Plan) Instance(i int, in [][]*data.Item) [][]*data.Item {
	in = append(in[:0], p.whole...)
	for a := len(p.axes) - 1; a >= 0; a-- {
		axis := &p.axes[a]
		from, to := axis.share(i % axis.count)
		i /= axis.count
		for c := range axis.columns {
			in[axis.columns[c].param] = axis.columns[c].at(from, to)
		}
	}
	return in
}

// share is the rows of a position. Their numbers differ by at most one, and the
// first positions have more.
func (a *axis) share(position int) (from, to int) {
	size, more := a.rows/a.count, a.rows%a.count
	from = position*size + min(position, more)
	to = from + size
	if position < more {
		to++
	}
	return from, to
}

// split finds the groups of equal keys.
func (c *column) split() {
	for i, it := range c.items {
		if i == 0 || it.Key() != c.items[i-1].Key() {
			c.starts = append(c.starts, i)
		}
	}
	c.starts = append(c.starts, len(c.items))
}

// keys of the groups.
func (c *column) keys() []uint32 {
	keys := make([]uint32, len(c.starts)-1)
	for g := range keys {
		keys[g] = c.items[c.starts[g]].Key()
	}
	return keys
}

// at is the items of rows, none of them twice.
func (c *column) at(from, to int) []*data.Item {
	if c.groups == nil {
		return c.between(from, to)
	}
	if to == from+1 {
		return c.group(c.groups[from])
	}
	// A cross join has groups more than once, and in any order; an inner one
	// leaves some out.
	groups := slices.Clone(c.groups[from:to])
	slices.Sort(groups)
	groups = slices.Compact(groups)
	if groups[0] == none {
		groups = groups[1:]
	}
	if len(groups) == 0 {
		return nil
	}
	if first, last := groups[0], groups[len(groups)-1]; last-first == len(groups)-1 {
		return c.between(first, last+1)
	}
	var items []*data.Item
	for _, g := range groups {
		items = append(items, c.group(g)...)
	}
	return items
}

func (c *column) group(g int) []*data.Item {
	if g == none {
		return nil
	}
	return c.between(g, g+1)
}

// between is the items of consecutive groups.
func (c *column) between(from, to int) []*data.Item {
	if c.starts != nil {
		from, to = c.starts[from], c.starts[to]
	}
	return c.items[from:to:to]
}
