package dispatcher

import (
	"slices"

	"pappus/dispatcher/composition"
	"pappus/engine"
	"pappus/registry"
)

// bound is a graph whose names have been resolved: what they mean for one run,
// whatever happens to them while it runs.
type bound struct {
	graph      *composition.Graph
	callees    []callee           // by index of graph.References
	uses       [][][]use          // by composition and set: the arguments that get it
	sizes      []int              // applications of each composition, with all that is nested
	signatures []engine.Signature // of each composition
	depth      int                // compositions within one another, itself included
	pure       bool               // no I/O function is applied, at any depth: the same inputs have the same outputs
	forgets    bool               // a function is applied, at any depth, whose results are not to be remembered
}

// entry is the index of the composition that the graph is of.
func (b *bound) entry() int { return len(b.graph.Compositions) - 1 }

// use is an argument of a node.
type use struct{ node, argument int }

// newBound makes what a run needs of a graph and of what its references mean.
func newBound(graph *composition.Graph, callees []callee) *bound {
	b := &bound{graph: graph, callees: callees, depth: 1, pure: !slices.ContainsFunc(callees, callee.reachesIO), signatures: make([]engine.Signature, len(graph.Compositions)), uses: make([][][]use, len(graph.Compositions))}
	for i := range graph.Compositions {
		c := &graph.Compositions[i]
		b.signatures[i] = c.Signature()
		b.uses[i] = make([][]use, len(c.Sets))
		for n := range c.Nodes {
			for a, arg := range c.Nodes[n].Arguments {
				b.uses[i][arg.Set] = append(b.uses[i][arg.Set], use{n, a})
			}
		}
	}
	return b
}

// callee is the signature of what a node applies.
func (b *bound) callee(n *composition.Node) *engine.Signature {
	if n.Nested {
		return &b.signatures[n.Callee]
	}
	return &b.graph.References[n.Callee].Signature
}

// size is how many applications the composition has, with all that is nested.
func (b *bound) size() int { return b.sizes[len(b.sizes)-1] }

// callee is what a reference means: a function, a composition with a graph of its
// own, or an I/O function.
type callee struct {
	version *registry.Version
	engine  engine.Engine // that runs it, where it has code for several; else nil
	graph   *bound        // of a composition
	inputs  []int         // where the version has those that the reference has; nil: in the same places
	outputs []int
	io      *ioFunction // if it is one
}

// inOrder says where a version has the sets that a composition was checked
// against, which may have moved since: they are known by their names. It is nil if
// all are where they were.
func inOrder(was, is []engine.Param) (order []int) {
	moved := false
	for i, p := range was {
		at := slices.IndexFunc(is, func(q engine.Param) bool { return q.Name == p.Name })
		if at < 0 {
			return nil
		}
		moved = moved || at != i
		order = append(order, at)
	}
	if !moved {
		return nil
	}
	return order
}

// reachesIO reports whether applying it calls an I/O function.
func (c callee) reachesIO() bool { return c.io != nil || c.graph != nil && !c.graph.pure }

// reachesForgotten reports whether applying it calls a function whose results are
// not to be remembered.
func (c callee) reachesForgotten() bool {
	return c.version.Memo == engine.MemoOff || c.graph != nil && c.graph.forgets
}
