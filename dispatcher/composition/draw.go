package composition

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pappus/dispatcher/shard"
	"pappus/engine"
)

// Formats of pictures.
const (
	PictureText = "text" // an indented list, for people at a terminal
	PictureDot  = "dot"  // the language of Graphviz
	PictureSVG  = "svg"  // a drawing by itself
)

// Pictures lists the formats.
func Pictures() []string { return []string{PictureText, PictureDot, PictureSVG} }

// Draw is a picture of the graph, the entry first. It fails if there is no such
// format.
func (g *Graph) Draw(format string) (string, error) {
	switch format {
	case PictureText:
		return g.text(), nil
	case PictureDot:
		return g.dot(), nil
	case PictureSVG:
		return g.svg(), nil
	}
	return "", fmt.Errorf("there are no pictures of format %.40q, only %s", format, strings.Join(Pictures(), ", "))
}

// words describes an argument: "optional each logs".
func (c *Composition) words(a Argument) string {
	text := a.Kind.String() + " " + c.Sets[a.Set].Name
	if a.Optional {
		text = "optional " + text
	}
	return text
}

// chainWords describes a join: "by a inner b"; "" if there is none.
func chainWords(n *Node, sig engine.Signature) string {
	var b strings.Builder
	for i, l := range n.Chain {
		word := l.Join.String()
		if i == 0 {
			word = "by"
		}
		fmt.Fprintf(&b, " %s %s", word, sig.Inputs[l.Param].Name)
	}
	return strings.TrimPrefix(b.String(), " ")
}

// text lists applications by number, and where their sets come from and go to.
func (g *Graph) text() string {
	var b strings.Builder
	for i := range slices.Backward(g.Compositions) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		g.textOf(&b, &g.Compositions[i])
	}
	return b.String()
}

func (g *Graph) textOf(b *strings.Builder, c *Composition) {
	from, to := make([]string, len(c.Sets)), make([][]string, len(c.Sets))
	for i := range c.Nodes {
		for _, a := range c.Nodes[i].Arguments {
			if number := strconv.Itoa(i + 1); !slices.Contains(to[a.Set][max(0, len(to[a.Set])-1):], number) {
				to[a.Set] = append(to[a.Set], number)
			}
		}
		for _, k := range c.Nodes[i].Kept {
			from[k.Set] = fmt.Sprintf("  (of %d)", i+1)
		}
	}
	for _, set := range c.Outputs {
		to[set] = append(to[set], "output")
	}
	goes := func(set int) string {
		if len(to[set]) == 0 {
			return "nowhere"
		}
		return strings.Join(to[set], ", ")
	}
	fmt.Fprintf(b, "%s %s\n", c.Name, parameters(c.Signature()))
	for i, s := range c.Sets[:c.Inputs] {
		from[i] = "  (input)"
		fmt.Fprintf(b, "     %s -> %s\n", s.Name, goes(i))
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		sig := g.Callee(n)
		fmt.Fprintf(b, "%3d. %s", i+1, n.Name)
		if !n.Nested && g.References[n.Callee].String() != n.Name {
			fmt.Fprintf(b, "  %s", g.References[n.Callee])
		}
		switch {
		case n.Nested:
			b.WriteString("  composition")
		case g.References[n.Callee].IO:
			b.WriteString("  I/O")
		}
		fmt.Fprintf(b, "  line %d\n", n.Position.Line)
		for _, a := range n.Arguments {
			fmt.Fprintf(b, "       %s <- %s%s\n", sig.Inputs[a.Param].Name, c.words(a), from[a.Set])
		}
		if chain := chainWords(n, sig); chain != "" {
			fmt.Fprintf(b, "       %s\n", chain)
		}
		for _, k := range n.Kept {
			name := c.Sets[k.Set].Name
			if returned := sig.Outputs[k.Output].Name; returned != name {
				name += " = " + returned
			}
			fmt.Fprintf(b, "       %s -> %s\n", name, goes(k.Set))
		}
	}
}

// parameters describes a signature: "(a, item b) => (c)".
func parameters(sig engine.Signature) string {
	list := func(params []engine.Param) string {
		names := make([]string, len(params))
		for i, p := range params {
			if names[i] = p.Name; p.Type == engine.TypeItem {
				names[i] = "item " + p.Name
			}
		}
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("(%s) => (%s)", list(sig.Inputs), list(sig.Outputs))
}

// vertexKind is what a vertex of a picture stands for.
type vertexKind uint8

const (
	vertexInput vertexKind = iota
	vertexOutput
	vertexFunction
	vertexNested
	vertexIO   // an I/O function
	vertexBend // of a long edge
)

// vertex is an input, an application or an output in a picture.
type vertex struct {
	kind  vertexKind
	label string
	note  string // below it
	rank  int    // row
	x     float64
}

// edge is what flows between two of them.
type edge struct {
	from, to int
	label    string
	bends    []int
}

// longLabel is the length in bytes from which on a label is not made longer.
const longLabel = 60

// picture is what of a composition is drawn.
func (g *Graph) picture(c *Composition) (vertices []vertex, edges []edge) {
	makers := make([]int, len(c.Sets))
	for i, s := range c.Sets[:c.Inputs] {
		makers[i] = len(vertices)
		vertices = append(vertices, vertex{kind: vertexInput, label: s.Name})
	}
	between := map[[2]int]int{}
	connect := func(from, to int, label string) {
		if i, ok := between[[2]int{from, to}]; ok {
			if e := &edges[i]; len(e.label) < longLabel {
				e.label += ", " + label
			} else if !strings.HasSuffix(e.label, "…") {
				e.label += ", …"
			}
			return
		}
		between[[2]int{from, to}] = len(edges)
		edges = append(edges, edge{from: from, to: to, label: label})
		vertices[to].rank = max(vertices[to].rank, vertices[from].rank+1)
	}
	rows := 0
	for i := range c.Nodes {
		n := &c.Nodes[i]
		v := vertex{kind: vertexFunction, label: n.Name, rank: 1, note: chainWords(n, g.Callee(n))}
		switch {
		case n.Nested:
			v.kind = vertexNested
		case g.References[n.Callee].IO:
			v.kind = vertexIO
		}
		vertices = append(vertices, v)
		at := len(vertices) - 1
		for _, a := range n.Arguments {
			label := c.words(a)
			if a.Kind == shard.All && !a.Optional {
				label = c.Sets[a.Set].Name
			}
			connect(makers[a.Set], at, label)
		}
		for _, k := range n.Kept {
			makers[k.Set] = at
		}
		rows = max(rows, vertices[at].rank)
	}
	for _, set := range c.Outputs {
		vertices = append(vertices, vertex{kind: vertexOutput, label: c.Sets[set].Name, rank: rows + 1})
		connect(makers[set], len(vertices)-1, "")
	}
	return vertices, edges
}

// dot writes the graph for Graphviz, each composition in a frame.
func (g *Graph) dot() string {
	shapes := map[vertexKind]string{
		vertexInput: "shape=ellipse", vertexOutput: "shape=ellipse, style=bold", vertexFunction: "shape=box, style=rounded", vertexNested: "shape=box, peripheries=2",
		vertexIO: "shape=box, style=\"rounded,dashed\"",
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace
	quote := func(text string) string { return `"` + escape(text) + `"` }
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n", quote(g.Entry().Name))
	for i := range slices.Backward(g.Compositions) {
		c := &g.Compositions[i]
		vertices, edges := g.picture(c)
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s;\n", i, quote(c.Name))
		for j, v := range vertices {
			label := v.label
			if v.note != "" {
				label += "\n" + v.note
			}
			fmt.Fprintf(&b, "    v%d_%d [label=%s, %s];\n", i, j, quote(label), shapes[v.kind])
		}
		for _, e := range edges {
			label := ""
			if e.label != "" {
				label = fmt.Sprintf(" [label=%s]", quote(e.label))
			}
			fmt.Fprintf(&b, "    v%d_%d -> v%d_%d%s;\n", i, e.from, i, e.to, label)
		}
		b.WriteString("  }\n")
	}
	b.WriteString("}\n")
	return b.String()
}
