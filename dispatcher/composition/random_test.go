package composition_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/dispatcher/composition"
	"pappus/dispatcher/shard"
	"pappus/engine"
)

// randomGraph draws a graph that holds what Check asks for, and in the first form
// can be written: all its compositions lead from the entry, and none has types.
func randomGraph(t *rapid.T) *composition.Graph {
	g := &composition.Graph{Format: composition.GraphFormat, References: []composition.Reference{}}
	for i := range rapid.IntRange(1, 4).Draw(t, "references") {
		r := composition.Reference{Name: fmt.Sprintf("f-%d", i), Signature: engine.Signature{Inputs: someParams(t, "in"), Outputs: someParams(t, "out")}}
		switch rapid.IntRange(0, 2).Draw(t, "pin") {
		case 1:
			r.Tag = "prod"
		case 2:
			r.Number = int64(i + 1)
		}
		g.References = append(g.References, r)
	}
	compositions := rapid.IntRange(1, 3).Draw(t, "compositions")
	for at := range compositions {
		g.Compositions = append(g.Compositions, randomComposition(t, g, at))
	}
	return g
}

func someParams(t *rapid.T, name string) []engine.Param {
	params := make([]engine.Param, rapid.IntRange(0, 4).Draw(t, name))
	for i := range params {
		params[i] = engine.Param{Name: fmt.Sprintf("%s-%d", name, i), Type: engine.TypeSet}
	}
	return params
}

func randomComposition(t *rapid.T, g *composition.Graph, at int) composition.Composition {
	c := composition.Composition{Name: fmt.Sprintf("C%d", at), Sets: []composition.Set{}, Outputs: []int{}, Nodes: []composition.Node{}}
	c.Inputs = rapid.IntRange(0, 3).Draw(t, "inputs")
	for i := range c.Inputs {
		c.Sets = append(c.Sets, composition.Set{Name: fmt.Sprintf("input%d", i), Type: engine.TypeSet})
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "nodes") {
		n := composition.Node{Arguments: []composition.Argument{}, Kept: []composition.Kept{}}
		if n.Nested = at > 0 && (i == 0 || rapid.Bool().Draw(t, "nested")); n.Nested {
			n.Callee = at - 1
			if i > 0 {
				n.Callee = rapid.IntRange(0, at-1).Draw(t, "composition")
			}
			n.Name = g.Compositions[n.Callee].Name
		} else {
			n.Callee = rapid.IntRange(0, len(g.References)-1).Draw(t, "reference")
			n.Name = fmt.Sprintf("F%d", n.Callee)
		}
		sig := g.Callee(&n)
		joins := map[shard.Kind][]int{}
		for p := range sig.Inputs {
			if len(c.Sets) == 0 || rapid.IntRange(0, 4).Draw(t, "left out") == 0 {
				continue
			}
			a := composition.Argument{
				Param: p, Set: rapid.IntRange(0, len(c.Sets)-1).Draw(t, "set"),
				Kind: shard.Kind(rapid.IntRange(0, int(shard.AnyKeyed)).Draw(t, "kind")), Optional: rapid.Bool().Draw(t, "optional"),
			}
			joins[a.Kind] = append(joins[a.Kind], p)
			n.Arguments = append(n.Arguments, a)
		}
		for _, kind := range []shard.Kind{shard.Keyed, shard.AnyKeyed} {
			if list := joins[kind]; len(list) > 1 && len(n.Chain) == 0 && rapid.Bool().Draw(t, "join") {
				for i, p := range rapid.Permutation(list).Draw(t, "chain") {
					l := composition.Link{Param: p}
					if i > 0 {
						l.Join = shard.Join(rapid.IntRange(0, int(shard.Full)).Draw(t, "kind of join"))
					}
					n.Chain = append(n.Chain, l)
				}
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "kept") {
			if len(sig.Outputs) == 0 {
				break
			}
			n.Kept = append(n.Kept, composition.Kept{Output: rapid.IntRange(0, len(sig.Outputs)-1).Draw(t, "output"), Set: len(c.Sets)})
			c.Sets = append(c.Sets, composition.Set{Name: fmt.Sprintf("set%d", len(c.Sets)), Type: engine.TypeSet})
		}
		c.Nodes = append(c.Nodes, n)
	}
	for set := range c.Sets {
		if rapid.Bool().Draw(t, "is output") {
			c.Outputs = append(c.Outputs, set)
		}
	}
	if at > 0 && len(c.Nodes) == 0 { // what is before it has to lead from it
		n := composition.Node{Name: g.Compositions[at-1].Name, Nested: true, Callee: at - 1, Arguments: []composition.Argument{}, Kept: []composition.Kept{}}
		c.Nodes = append(c.Nodes, n)
	}
	return c
}

// written is a graph in the form of applications.
func written(g *composition.Graph) string {
	var b strings.Builder
	params := make([][2][]string, len(g.References))
	for i, r := range g.References {
		b.WriteString(composition.Declaration(fmt.Sprintf("F%d", i), r.String(), r.Signature) + "\n")
		for range r.Signature.Inputs {
			params[i][0] = append(params[i][0], fmt.Sprintf("in%d", len(params[i][0])+1))
		}
		for range r.Signature.Outputs {
			params[i][1] = append(params[i][1], fmt.Sprintf("out%d", len(params[i][1])+1))
		}
	}
	name := func(n *composition.Node, side, i int) string {
		if !n.Nested {
			return params[n.Callee][side][i]
		}
		sig := g.Callee(n)
		return [][]engine.Param{sig.Inputs, sig.Outputs}[side][i].Name
	}
	for i := range g.Compositions {
		c := &g.Compositions[i]
		fmt.Fprintf(&b, "composition %s(", c.Name)
		for _, s := range c.Sets[:c.Inputs] {
			b.WriteString(s.Name + ",")
		}
		b.WriteString(") => (")
		for _, set := range c.Outputs {
			b.WriteString(c.Sets[set].Name + ",")
		}
		b.WriteString(") {\n")
		for i := range c.Nodes {
			n := &c.Nodes[i]
			b.WriteString(n.Name + "(")
			for _, a := range n.Arguments {
				optional := ""
				if a.Optional {
					optional = "optional "
				}
				fmt.Fprintf(&b, "%s = %s%s %s,", name(n, 0, a.Param), optional, a.Kind, c.Sets[a.Set].Name)
			}
			b.WriteString(") => (")
			for _, k := range n.Kept {
				fmt.Fprintf(&b, "%s = %s,", c.Sets[k.Set].Name, name(n, 1, k.Output))
			}
			b.WriteString(")")
			for i, l := range n.Chain {
				word := l.Join.String()
				if i == 0 {
					word = "by"
				}
				fmt.Fprintf(&b, " %s %s", word, name(n, 0, l.Param))
			}
			b.WriteString(";\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// placeless is a graph without positions, and with references and compositions in
// the order in which they are needed.
func placeless(g *composition.Graph) *composition.Graph {
	out := &composition.Graph{Format: g.Format, References: []composition.Reference{}}
	references, compositions := map[int]int{}, map[int]int{}
	var add func(at int)
	add = func(at int) {
		if _, ok := compositions[at]; ok {
			return
		}
		c := g.Compositions[at]
		c.Nodes = append([]composition.Node{}, c.Nodes...)
		for _, n := range c.Nodes {
			if n.Nested {
				add(n.Callee)
			}
		}
		for i := range c.Nodes {
			n := &c.Nodes[i]
			n.Position = composition.Position{}
			if n.Nested {
				n.Callee = compositions[n.Callee]
				continue
			}
			if _, ok := references[n.Callee]; !ok {
				references[n.Callee] = len(out.References)
				out.References = append(out.References, g.References[n.Callee])
			}
			n.Callee = references[n.Callee]
		}
		compositions[at] = len(out.Compositions)
		out.Compositions = append(out.Compositions, c)
	}
	add(len(g.Compositions) - 1)
	return out
}

func resolverOf(g *composition.Graph) registered {
	known := registered{}
	for _, r := range g.References {
		known[r.Name] = &composition.Callee{Signature: r.Signature}
	}
	return known
}

// A graph that is written and read is the same one, formatted or not; and so is one
// that goes through JSON.
func TestRandomGraphs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := randomGraph(t)
		if err := g.Check(); err != nil {
			t.Fatalf("%v\n%s", err, described(g))
		}
		want := placeless(g)
		source := written(g)
		opts := composition.Options{Name: g.Entry().Name, Resolver: resolverOf(g)}
		read, _, err := composition.Compile(t.Context(), source, opts)
		if err != nil {
			t.Fatalf("%v\n%s", err, source)
		}
		if got := placeless(read); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\nis read as\n%s\nwant\n%s", source, described(got), described(want))
		}
		formatted, err := composition.Format(source)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := composition.Compile(t.Context(), formatted, opts)
		if err != nil || !reflect.DeepEqual(placeless(again), want) {
			t.Fatalf("%v: formatted it is\n%s", err, formatted)
		}
		checkJSON(t, read)
		for _, format := range composition.Pictures() {
			if picture, err := read.Draw(format); err != nil || picture == "" {
				t.Fatalf("%s: %v", format, err)
			}
		}
	})
}

// Both forms of one application mean the same graph, but for what only scripts say:
// that a set is one item.
func TestFormsAgree(t *testing.T) {
	known := registered{}
	for _, line := range []string{"makeGetRequests (servers) => (requests)", "system_HTTPGet (requests) => (bodies)", "sumOccurance (logs, pattern) => (counts)", "sumSet (counts) => (total)"} {
		known.add(line)
	}
	var graphs [2]*composition.Graph
	for i, source := range []string{`input item eventPattern, serverList
output item totalSum
ephemeral set requestSet, logSet, partialSums
requestSet = makeGetRequests(serverList)
logSet = for each getRequest in requestSet : system_HTTPGet(getRequest)
partialSums = for each log in logSet : sumOccurance(log, eventPattern)
totalSum = sumSet(partialSums)`, `function makeGetRequests(servers) => (requests);
function system_HTTPGet(requests) => (bodies);
function sumOccurance(logs, pattern) => (counts);
function sumSet(counts) => (total);
composition Count(eventPattern, serverList) => (totalSum) {
    makeGetRequests(servers = all serverList) => (requestSet = requests);
    system_HTTPGet(requests = each requestSet) => (logSet = bodies);
    sumOccurance(pattern = all eventPattern, logs = each logSet) => (partialSums = counts);
    sumSet(counts = all partialSums) => (totalSum = total);
}`} {
		g, warnings, err := composition.Compile(t.Context(), source, composition.Options{Name: "Count", Resolver: known})
		if err != nil || len(warnings) > 0 {
			t.Fatal(err, warnings)
		}
		graphs[i] = placeless(g)
	}
	sets := graphs[0].Compositions[0].Sets
	for i := range sets {
		sets[i].Type = engine.TypeSet
	}
	if !reflect.DeepEqual(graphs[0], graphs[1]) {
		t.Errorf("%s\n%s", described(graphs[0]), described(graphs[1]))
	}
}

// checkJSON holds a graph to being the same after JSON.
func checkJSON(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, g *composition.Graph) {
	t.Helper()
	b, err := json.Marshal(g)
	if err != nil {
		t.Fatalf("%v", err)
	}
	back, err := composition.Decode(b)
	if err != nil || !reflect.DeepEqual(back, g) {
		t.Fatalf("%v: %s", err, b)
	}
}
