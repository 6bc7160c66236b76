package composition

import (
	"encoding/json"

	"pappus/engine"
)

// graph makes the graph of a module without mistakes.
func (c *checker) graph() *Graph {
	b := &builder{graph: &Graph{Format: GraphFormat, References: []Reference{}}, references: map[string]int{}, callees: map[*callee]int{}, built: map[*flow]bool{}}
	b.add(c.flows[c.entry])
	return b.graph
}

type builder struct {
	graph      *Graph
	references map[string]int // by text and signature
	callees    map[*callee]int
	built      map[*flow]bool
}

// add adds a composition, after those that it applies.
func (b *builder) add(f *flow) {
	if b.built[f] {
		return
	}
	b.built[f] = true
	for _, n := range f.order {
		if n.callee.nested != nil {
			b.add(n.callee.nested)
		}
	}
	c := Composition{Name: f.decl.name.text, Inputs: len(f.inputs), Sets: []Set{}, Outputs: make([]int, len(f.outputs)), Nodes: make([]Node, len(f.order))}
	addSet := func(s *set) {
		s.index = len(c.Sets)
		c.Sets = append(c.Sets, Set{s.text, s.typ})
	}
	for _, s := range f.inputs {
		addSet(s)
	}
	for i, n := range f.order {
		for _, s := range n.to {
			addSet(s)
		}
		c.Nodes[i] = b.node(n)
	}
	for i, s := range f.outputs {
		c.Outputs[i] = s.index
	}
	f.index = len(b.graph.Compositions)
	b.graph.Compositions = append(b.graph.Compositions, c)
}

func (b *builder) node(n *node) Node {
	made := Node{
		Name: n.app.callee.text, Position: n.app.callee.position(),
		Arguments: make([]Argument, 0, len(n.app.args)), Kept: make([]Kept, len(n.to)),
	}
	params := len(n.callee.names[0])
	if n.callee.nested != nil {
		made.Nested, made.Callee = true, n.callee.nested.index
	} else {
		at, ok := b.callees[n.callee]
		if !ok {
			at = b.reference(n.callee.ref)
			b.callees[n.callee] = at
		}
		made.Callee = at
		params = len(n.callee.ref.Signature.Inputs)
	}
	given := make([]*Argument, params)
	for i, arg := range n.app.args {
		given[n.params[i]] = &Argument{n.params[i], n.from[i].index, arg.kind, arg.optional}
	}
	for _, arg := range given {
		if arg != nil {
			made.Arguments = append(made.Arguments, *arg)
		}
	}
	for i, l := range n.app.chain {
		made.Chain = append(made.Chain, Link{n.callee.params[l.param.text], l.join})
		if i == 0 {
			made.Chain[0].Join = 0
		}
	}
	for i, s := range n.to {
		made.Kept[i] = Kept{n.keeps[i], s.index}
	}
	return made
}

// reference adds what is registered to the flat list, once.
func (b *builder) reference(r Reference) int {
	if r.Signature.Inputs == nil {
		r.Signature.Inputs = []engine.Param{}
	}
	if r.Signature.Outputs == nil {
		r.Signature.Outputs = []engine.Param{}
	}
	sig, _ := json.Marshal(r.Signature) // strings and booleans only
	key := r.String() + "\x00" + string(sig)
	i, ok := b.references[key]
	if !ok {
		i = len(b.graph.References)
		b.references[key] = i
		b.graph.References = append(b.graph.References, r)
	}
	return i
}
