package composition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/engine"
)

// GraphFormat is the version of a graph's JSON form.
const GraphFormat = 1

// Graph is what a module or a script means: a composition and those of the same
// module that it applies, at whatever depth. Nobody writes to a graph that was
// handed out, so it may be shared.
type Graph struct {
	Format int `json:"format"` // GraphFormat

	// References are what is applied that is not of the module, each once. All of
	// them are resolved when a run starts.
	References []Reference `json:"references"`

	// Compositions stand after those that they apply; the last is the entry.
	Compositions []Composition `json:"compositions"`
}

// Entry is the composition that the graph is of.
func (g *Graph) Entry() *Composition { return &g.Compositions[len(g.Compositions)-1] }

// Reference is the use of a registered function or composition: by tag, by
// number, by digest, or, with none of them, by the tag latest.
type Reference struct {
	Name   string      `json:"name"`
	Tag    string      `json:"tag,omitempty"`
	Number int64       `json:"number,omitempty"`
	Digest data.Digest `json:"digest,omitzero"`

	// IO says that an I/O function is applied. Only its name is set then.
	IO bool `json:"io,omitempty"`

	// Signature is that against which the graph was checked. Parameters are
	// matched by position. If it is open the function had none: then these inputs
	// are the sets that it is given.
	Signature engine.Signature `json:"signature"`
}

// String is the reference as registered names are written: "name@tag".
func (r Reference) String() string {
	switch {
	case !r.Digest.IsZero():
		return r.Name + "@" + r.Digest.String()
	case r.Number != 0:
		return fmt.Sprintf("%s@%d", r.Name, r.Number)
	case r.Tag != "":
		return r.Name + "@" + r.Tag
	}
	return r.Name
}

// Composition is a graph of applications.
type Composition struct {
	Name string `json:"name"`

	// Sets are what flows: first the inputs, in order, then what applications
	// make, in their order.
	Sets   []Set `json:"sets"`
	Inputs int   `json:"inputs"` // how many of Sets are inputs

	// Outputs are indexes of Sets, in the order of the return list. A set may be
	// an output and an input, and one of them only once.
	Outputs []int `json:"outputs"`

	// Nodes are in topological order: each stands after those whose sets it
	// needs, and otherwise as written.
	Nodes []Node `json:"nodes"`
}

// Signature is the composition's own: it can be applied like a function.
func (c *Composition) Signature() engine.Signature {
	sig := engine.Signature{Inputs: make([]engine.Param, c.Inputs), Outputs: make([]engine.Param, len(c.Outputs))}
	for i, s := range c.Sets[:c.Inputs] {
		sig.Inputs[i] = engine.Param{Name: s.Name, Type: s.Type}
	}
	for i, set := range c.Outputs {
		sig.Outputs[i] = engine.Param{Name: c.Sets[set].Name, Type: c.Sets[set].Type}
	}
	return sig
}

// Signature is that of the graph's entry, in which an output has the content type
// of the functions' output that it is of, where that has one.
func (g *Graph) Signature() engine.Signature {
	types := make([][]string, len(g.Compositions)) // of the outputs; what is applied stands before
	for i := range g.Compositions {
		c := &g.Compositions[i]
		ofSet := make([]string, len(c.Sets))
		for j := range c.Nodes {
			n := &c.Nodes[j]
			for _, k := range n.Kept {
				if n.Nested {
					ofSet[k.Set] = types[n.Callee][k.Output]
				} else {
					ofSet[k.Set] = g.References[n.Callee].Signature.Outputs[k.Output].ContentType
				}
			}
		}
		for _, set := range c.Outputs {
			types[i] = append(types[i], ofSet[set])
		}
	}
	sig := g.Entry().Signature()
	for i, typ := range types[len(types)-1] {
		sig.Outputs[i].ContentType = typ
	}
	return sig
}

// Set is a set of a composition.
type Set struct {
	Name string `json:"name"`

	// Type is engine.TypeItem where the composition says that the set has exactly
	// one item, which the run has to check when the set is there; else
	// engine.TypeSet.
	Type string `json:"type"`
}

// Position is a place in a source, counted from 1; columns are characters.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Node is the application of a function or composition.
type Node struct {
	Name     string   `json:"name"` // of the callee, as written
	Position Position `json:"position"`

	// Callee is what is applied: an index of Graph.References, or, if it is
	// Nested, of Graph.Compositions.
	Callee int  `json:"callee"`
	Nested bool `json:"nested,omitempty"`

	// Arguments are in the order of the callee's inputs. One that has none gets an
	// empty set, which keeps nothing from running.
	Arguments []Argument `json:"arguments"`

	// Chain is the join over parameters, if there is one: two or more, whose
	// kinds are all Keyed or all AnyKeyed.
	Chain []Link `json:"chain,omitempty"`

	// Kept are the outputs that are used, in the order in which they are
	// written. Others are dropped. One output may be kept as several sets.
	Kept []Kept `json:"kept"`
}

// Argument says which set a parameter gets, and how it is divided.
type Argument struct {
	Param    int        // index of the callee's inputs
	Set      int        // index of Composition.Sets
	Kind     shard.Kind // how the set is divided among instances
	Optional bool       // whether the application runs if the set is empty
}

// Link is one parameter of a join chain.
type Link struct {
	Param int        // index of the callee's inputs
	Join  shard.Join // how it is joined to those before it; Cross, and without a meaning, for the first
}

// Kept is an output that becomes a set of the composition.
type Kept struct {
	Output int `json:"output"` // index of the callee's outputs
	Set    int `json:"set"`    // index of Composition.Sets
}

// Callee is the signature of what a node of the graph applies.
func (g *Graph) Callee(n *Node) engine.Signature {
	if n.Nested {
		return g.Compositions[n.Callee].Signature()
	}
	return g.References[n.Callee].Signature
}

type argumentJSON struct {
	Param    int    `json:"param"`
	Set      int    `json:"set"`
	Kind     string `json:"kind"`
	Optional bool   `json:"optional,omitempty"`
}

// MarshalJSON writes the kind as the language's word.
func (a Argument) MarshalJSON() ([]byte, error) {
	if a.Kind > shard.AnyKeyed {
		return nil, fmt.Errorf("kind %d of a parameter does not exist", a.Kind)
	}
	return json.Marshal(argumentJSON{a.Param, a.Set, a.Kind.String(), a.Optional})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (a *Argument) UnmarshalJSON(b []byte) error {
	var j argumentJSON
	if err := decode(b, &j); err != nil {
		return err
	}
	kind, ok := kindOf(j.Kind)
	if !ok {
		return fmt.Errorf("kind %.40q of a parameter does not exist", j.Kind)
	}
	*a = Argument{j.Param, j.Set, kind, j.Optional}
	return nil
}

type linkJSON struct {
	Param int    `json:"param"`
	Join  string `json:"join"`
}

// MarshalJSON writes the join as the language's word.
func (l Link) MarshalJSON() ([]byte, error) {
	if l.Join > shard.Full {
		return nil, fmt.Errorf("join %d does not exist", l.Join)
	}
	return json.Marshal(linkJSON{l.Param, l.Join.String()})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Link) UnmarshalJSON(b []byte) error {
	var j linkJSON
	if err := decode(b, &j); err != nil {
		return err
	}
	join, ok := joinOf(j.Join)
	if !ok {
		return fmt.Errorf("join %.40q does not exist", j.Join)
	}
	*l = Link{j.Param, join}
	return nil
}

// kindOf is the kind that a word of the language means.
func kindOf(word string) (shard.Kind, bool) {
	for k := shard.All; k <= shard.AnyKeyed; k++ {
		if k.String() == word {
			return k, true
		}
	}
	return 0, false
}

// joinOf is the join that a word of the language means.
func joinOf(word string) (shard.Join, bool) {
	if word == "outer" {
		return shard.Full, true
	}
	for j := shard.Cross; j <= shard.Full; j++ {
		if j.String() == word {
			return j, true
		}
	}
	return 0, false
}

func decode(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the graph")
	}
	return nil
}

// Decode reads the JSON form of a graph and checks it, so that who runs it need
// not.
func Decode(b []byte) (*Graph, error) {
	var g Graph
	if err := decode(b, &g); err != nil {
		return nil, fmt.Errorf("read a graph: %w", err)
	}
	if err := g.Check(); err != nil {
		return nil, fmt.Errorf("read a graph: %w", err)
	}
	return &g, nil
}

// Check says what is wrong with a graph that this package did not make: indexes,
// order, names, kinds. It returns nil for those that it did.
func (g *Graph) Check() error {
	if g.Format != GraphFormat {
		return fmt.Errorf("its format is %d; known is %d", g.Format, GraphFormat)
	}
	if len(g.Compositions) == 0 {
		return errors.New("it has no composition")
	}
	for i, r := range g.References {
		if err := r.check(); err != nil {
			return fmt.Errorf("reference %d: %w", i, err)
		}
	}
	for i := range g.Compositions {
		if err := g.checkComposition(i); err != nil {
			return fmt.Errorf("composition %.80q: %w", g.Compositions[i].Name, err)
		}
	}
	return nil
}

func (r Reference) check() error {
	pins := 0
	for _, there := range []bool{r.Tag != "", r.Number != 0, !r.Digest.IsZero()} {
		if there {
			pins++
		}
	}
	if r.Name == "" || pins > 1 || r.Number < 0 {
		return fmt.Errorf("%.80q has no name, or more than one of tag, number and digest", r.Name)
	}
	if r.IO && pins > 0 {
		return fmt.Errorf("%.80q is an I/O function, and has a tag, number or digest", r.Name)
	}
	return r.Signature.Check()
}

func (g *Graph) checkComposition(at int) error {
	c := &g.Compositions[at]
	if c.Name == "" {
		return errors.New("it has no name")
	}
	if c.Inputs < 0 || c.Inputs > len(c.Sets) {
		return fmt.Errorf("it has %d inputs of %d sets", c.Inputs, len(c.Sets))
	}
	names := make(map[string]bool, len(c.Sets))
	for _, s := range c.Sets {
		if err := data.CheckSetName(s.Name); err != nil {
			return err
		}
		if s.Type != engine.TypeItem && s.Type != engine.TypeSet || names[s.Name] {
			return fmt.Errorf("set %.80q appears twice, or its type %.40q does not exist", s.Name, s.Type)
		}
		names[s.Name] = true
	}
	// made is how many sets there are when a node's turn comes.
	made := c.Inputs
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if err := g.checkNode(at, n, made); err != nil {
			return fmt.Errorf("application %d, of %.80q: %w", i, n.Name, err)
		}
		made += len(n.Kept)
	}
	if made != len(c.Sets) {
		return fmt.Errorf("%d of its %d sets are made", made, len(c.Sets))
	}
	if len(c.Outputs) > engine.MaxParams {
		return fmt.Errorf("it has %d outputs; the most is %d", len(c.Outputs), engine.MaxParams)
	}
	for i, set := range c.Outputs {
		if set < 0 || set >= len(c.Sets) || slices.Contains(c.Outputs[:i], set) {
			return fmt.Errorf("output %d is set %d, which does not exist or is an output already", i, set)
		}
	}
	return c.Signature().Check()
}

func (g *Graph) checkNode(at int, n *Node, made int) error {
	if most := len(g.References); n.Callee < 0 || n.Nested && n.Callee >= at || !n.Nested && n.Callee >= most {
		return fmt.Errorf("its callee is %d, which does not exist or stands after it", n.Callee)
	}
	if n.Name == "" || n.Position.Line < 0 || n.Position.Column < 0 {
		return errors.New("it has no name or position")
	}
	sig := g.Callee(n)
	kinds := make([]shard.Kind, len(sig.Inputs))
	last := -1
	for _, a := range n.Arguments {
		if a.Param <= last || a.Param >= len(sig.Inputs) {
			return fmt.Errorf("parameter %d of %d is not there, or not in order", a.Param, len(sig.Inputs))
		}
		if a.Set < 0 || a.Set >= made {
			return fmt.Errorf("parameter %d gets set %d, which is not made before", a.Param, a.Set)
		}
		last, kinds[a.Param] = a.Param, a.Kind
	}
	if len(n.Chain) == 1 {
		return errors.New("its chain joins one parameter")
	}
	joined := make(map[int]bool, len(n.Chain))
	for i, l := range n.Chain {
		if l.Param < 0 || l.Param >= len(kinds) || joined[l.Param] || !kinds[l.Param].Keys() || kinds[l.Param] != kinds[n.Chain[0].Param] {
			return fmt.Errorf("its chain joins parameter %d, which is joined already, or not divided by key like the first", l.Param)
		}
		if i == 0 && l.Join != shard.Cross {
			return errors.New("the first of its chain is joined to nothing")
		}
		joined[l.Param] = true
	}
	for i, k := range n.Kept {
		if k.Output < 0 || k.Output >= len(sig.Outputs) || k.Set != made+i {
			return fmt.Errorf("it keeps output %d as set %d, which is not there or not the next", k.Output, k.Set)
		}
	}
	return nil
}
