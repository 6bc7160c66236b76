package report

import (
	"slices"

	"pappus/wasmengine/binary"
)

// Bounds of an estimate of the stack.
const (
	StackExact     = "exact"     // no call can take more
	StackAtLeast   = "at-least"  // there are calls through tables, which may take more
	StackUnbounded = "unbounded" // there is a recursion; how far it goes is not known
)

// Stack is what calls can take of the stack from an entry on.
type Stack struct {
	Entry string `json:"entry"` // name of the export, or "start function"
	Index int    `json:"index"`
	Bound string `json:"bound"`
	Bytes int64  `json:"bytes"`           // of the deepest chain of calls; if unbounded: of one in which nothing comes twice
	Depth int    `json:"depth,omitempty"` // functions of that chain; 0 if unbounded

	// Chain is the deepest chain, or the recursion, from its outermost function
	// on, the first again at the end of a recursion. At most maxChain of it.
	Chain []string `json:"chain"`
}

// maxChain is how many functions of a chain are told.
const maxChain = 100

// graph is who calls whom.
type graph struct {
	imported int
	defined  int
	frames   []int64 // of defined functions, as far as begun
	first    []int   // where a function's edges begin
	edges    []edge
	loose    []bool // calls through a table, or an import

	seen [2][]uint32 // by callee: last caller + 1 by an ordinary and by a tail call
}

// edge is a call; tail says that it takes the place of its caller's frame.
type edge struct {
	to   uint32 // index among the defined functions
	tail bool
}

func newGraph(m *binary.Module) *graph {
	n := len(m.Bodies)
	return &graph{imported: m.ImportedFuncs, defined: n, seen: [2][]uint32{make([]uint32, n), make([]uint32, n)}}
}

// begin starts the calls of the next function.
func (g *graph) begin(frame int64) {
	g.frames = append(g.frames, frame)
	g.first = append(g.first, len(g.edges))
	g.loose = append(g.loose, false)
}

// call adds a call of a function by its index in the index space.
func (g *graph) call(index uint32, tail bool) {
	i := int64(index) - int64(g.imported)
	if i < 0 || i >= int64(g.defined) { // an import, or what a broken module does not have
		g.indirect()
		return
	}
	kind := 0
	if tail {
		kind = 1
	}
	if caller := uint32(len(g.frames)); g.seen[kind][i] != caller {
		g.seen[kind][i] = caller
		g.edges = append(g.edges, edge{uint32(i), tail})
	}
}

// indirect adds a call of nobody knows whom.
func (g *graph) indirect() { g.loose[len(g.loose)-1] = true }

func (g *graph) calls(f uint32) []edge {
	end := len(g.edges)
	if int(f)+1 < len(g.first) {
		end = g.first[f+1]
	}
	return g.edges[g.first[f]:end]
}

// depths is what is known of every function that a root reaches.
type depths struct {
	*graph
	order   []int32 // by function: when it was visited, from 1 on
	low     []int32
	group   []int32 // by function: the strongly connected component, from 1 on
	groups  int32
	stack   []uint32 // of functions whose group is not known yet
	visited int32

	bytes []int64
	next  []int32 // the callee of the deepest chain, or -1
	state []uint8 // of those below
}

const (
	atLeast   = 1 << iota // there are calls of nobody knows whom
	recursive             // there is a recursion
)

func (g *graph) newDepths() *depths {
	n := g.defined
	d := &depths{graph: g, order: make([]int32, n), low: make([]int32, n), group: make([]int32, n), bytes: make([]int64, n),
		next: make([]int32, n), state: make([]uint8, n)}
	return d
}

// visit finds out what there is to know of a function and of all that it
// reaches. It is Tarjan's algorithm, with a stack of its own, since a module
// may have a chain of calls as long as it likes.
func (d *depths) visit(root uint32) {
	if d.order[root] != 0 {
		return
	}
	type call struct {
		f    uint32
		rest []edge
	}
	calls := []call{{root, d.enter(root)}}
	for len(calls) > 0 {
		top := &calls[len(calls)-1]
		if len(top.rest) == 0 {
			f := top.f
			if calls = calls[:len(calls)-1]; len(calls) > 0 {
				d.low[calls[len(calls)-1].f] = min(d.low[calls[len(calls)-1].f], d.low[f])
			}
			if d.low[f] == d.order[f] {
				d.close(f)
			}
			continue
		}
		to := top.rest[0].to
		top.rest = top.rest[1:]
		switch {
		case d.order[to] == 0:
			calls = append(calls, call{to, d.enter(to)})
		case d.group[to] == 0:
			d.low[top.f] = min(d.low[top.f], d.order[to])
		}
	}
}

func (d *depths) enter(f uint32) []edge {
	d.visited++
	d.order[f], d.low[f] = d.visited, d.visited
	d.stack = append(d.stack, f)
	return d.calls(f)
}

// close ends a component, which is what of the stack begins with f. All that it
// calls outside of itself is known.
func (d *depths) close(f uint32) {
	at := len(d.stack) - 1
	for d.stack[at] != f {
		at--
	}
	members := d.stack[at:]
	d.stack = d.stack[:at]
	d.groups++
	for _, f := range members {
		d.group[f] = d.groups
	}
	// Of the whole component: calls that take their caller's place go round in
	// it for nothing, so all have the depth of the deepest.
	var state uint8
	deepest, most := members[0], int64(-1)
	for _, f := range members {
		if d.loose[f] {
			state |= atLeast
		}
		d.bytes[f], d.next[f] = d.frames[f], -1
		for _, e := range d.calls(f) {
			if d.group[e.to] == d.groups {
				if !e.tail {
					state |= recursive
				}
				continue
			}
			state |= d.state[e.to]
			bytes := d.bytes[e.to]
			if !e.tail {
				bytes += d.frames[f]
			}
			if bytes > d.bytes[f] {
				d.bytes[f], d.next[f] = bytes, int32(e.to)
			}
		}
		if d.bytes[f] > most {
			deepest, most = f, d.bytes[f]
		}
	}
	for _, f := range members {
		d.state[f] = state
		if d.bytes[f] < most {
			d.bytes[f], d.next[f] = most, int32(deepest)
		}
	}
}

// from estimates the calls from an entry on.
func (d *depths) from(f uint32) (s Stack, chain []uint32) {
	d.visit(f)
	s.Bytes = d.bytes[f]
	switch {
	case d.state[f]&recursive != 0:
		s.Bound, chain = StackUnbounded, d.recursion(f)
		return s, chain[:min(len(chain), maxChain)]
	case d.state[f]&atLeast != 0:
		s.Bound = StackAtLeast
	default:
		s.Bound = StackExact
	}
	chain, s.Depth = d.chain(f)
	return s, chain
}

// recursion is the nearest one that f reaches.
func (d *depths) recursion(f uint32) []uint32 {
	var from, to uint32
	d.search(f, func(caller uint32, e edge) bool {
		from, to = caller, e.to
		return d.group[caller] == d.group[e.to] && !e.tail
	})
	way := []uint32{from}
	if from != to {
		back := d.search(to, func(_ uint32, e edge) bool { return e.to == from })
		for i := back[from]; i != to; i = back[i] {
			way = append(way, i)
		}
		way = append(way, to)
	}
	way = append(way, from)
	slices.Reverse(way)
	return way
}

// search looks breadth first at the calls from f on until found, and returns
// from where each function was reached.
func (d *depths) search(f uint32, found func(caller uint32, e edge) bool) map[uint32]uint32 {
	reached := map[uint32]uint32{f: f}
	for queue := []uint32{f}; len(queue) > 0; queue = queue[1:] {
		for _, e := range d.calls(queue[0]) {
			if _, known := reached[e.to]; !known {
				reached[e.to] = queue[0]
				queue = append(queue, e.to)
			}
			if found(queue[0], e) {
				return reached
			}
		}
	}
	return reached
}

// chain is the deepest chain from f on.
func (d *depths) chain(f uint32) (list []uint32, depth int) {
	for i := int32(f); i >= 0; i = d.next[i] {
		if depth++; len(list) < maxChain {
			list = append(list, uint32(i))
		}
	}
	return list, depth
}

// Entries estimates the stack from exported functions on, and from the start
// function: those that there are. The module must not be broken.
func (r *Module) Entries(exports ...string) {
	d := r.graph.newDepths()
	add := func(name string, index int) {
		i := index - r.graph.imported
		if i < 0 || i >= r.graph.defined {
			return
		}
		s, chain := d.from(uint32(i))
		s.Entry, s.Index = name, index
		for _, f := range chain {
			s.Chain = append(s.Chain, r.Functions[f].Label())
		}
		r.Stacks = append(r.Stacks, s)
	}
	for _, name := range exports {
		for _, x := range r.Exports {
			if x.Name == name && x.Kind == binary.ExternFunc.String() {
				add(name, int(x.Index))
			}
		}
	}
	if r.Start != nil {
		add("start function", *r.Start)
	}
}
