package composition_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/engine"
)

// registered is a Resolver for tests.
type registered map[string]*composition.Callee

var _ composition.Resolver = registered{}

func (r registered) Resolve(_ context.Context, text string) (*composition.Callee, error) {
	name, which, qualified := strings.Cut(text, "@")
	found := r[name]
	if found == nil {
		return nil, &composition.UnknownError{Near: slices.Sorted(maps.Keys(r))}
	}
	c := *found
	c.Name, c.IO = name, reserved(name)
	switch {
	case qualified && which == "":
		return nil, &composition.UnknownError{Reason: "is no reference"}
	case which == "broken":
		return nil, errors.New("the registry is closed")
	case strings.HasPrefix(which, data.DigestPrefix):
		d, err := data.ParseDigest(which)
		if err != nil {
			return nil, &composition.UnknownError{Reason: "has no valid digest"}
		}
		c.Digest = d
	case which != "" && strings.Trim(which, "0123456789") == "":
		if _, err := fmt.Sscan(which, &c.Number); err != nil {
			return nil, err
		}
	default:
		c.Tag = which
	}
	return &c, nil
}

// add reads "name (input, input:item) => (output) [open] [applies a b]".
func (r registered) add(line string) {
	name, rest, _ := strings.Cut(line, " ")
	inputs, rest, _ := strings.Cut(strings.TrimPrefix(rest, "("), ") => (")
	outputs, rest, _ := strings.Cut(rest, ")")
	c := &composition.Callee{Signature: engine.Signature{Inputs: paramsOf(inputs), Outputs: paramsOf(outputs)}}
	words := strings.Fields(rest)
	if len(words) > 0 && words[0] == "open" {
		c.Signature = engine.OpenSignature()
	}
	if len(words) > 0 && words[0] == "applies" {
		c.Applies = words[1:]
	}
	r[name] = c
}

func paramsOf(list string) []engine.Param {
	params := []engine.Param{}
	for _, name := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' }) {
		name, typ, typed := strings.Cut(name, ":")
		if !typed {
			typ = engine.TypeSet
		}
		params = append(params, engine.Param{Name: name, Type: typ})
	}
	return params
}

func reserved(name string) bool { return name == "HTTP" || strings.HasPrefix(name, "system_") }

// The files in testdata are cases: a command, a source, and what comes of it. They
// are written again with: go test ./dispatcher/composition -rewrite
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		known := registered{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			opts := composition.Options{Resolver: known, Reserved: reserved}
			d.MaybeScanArgs(t, "name", &opts.Name)
			d.MaybeScanArgs(t, "nesting", &opts.Nesting)
			if d.HasArg("offline") {
				opts.Resolver = nil
			}
			input := d.Input
			if d.HasArg("quoted") { // what the file could not hold
				var err error
				if _, err = fmt.Sscanf(d.Input, "%q", &input); err != nil {
					d.Fatalf(t, "%v", err)
				}
			}
			switch d.Cmd {
			case "register":
				for line := range strings.Lines(input) {
					known.add(strings.TrimSpace(line))
				}
				return ""
			case "compile":
				return compiled(t, input, opts)
			case "format":
				text, err := composition.Format(input)
				if err != nil {
					return diagnosed(err)
				}
				return text
			case "show":
				g, _, err := composition.Compile(t.Context(), input, opts)
				if err != nil {
					return diagnosed(err)
				}
				var format string
				d.ScanArgs(t, "format", &format)
				picture, err := g.Draw(format)
				if err != nil {
					return err.Error()
				}
				return picture
			}
			d.Fatalf(t, "no such command")
			return ""
		})
	})
}

// compiled is a graph in words, after the warnings; or what is wrong.
func compiled(t *testing.T, source string, opts composition.Options) string {
	t.Helper()
	g, warnings, err := composition.Compile(t.Context(), source, opts)
	var b strings.Builder
	if err != nil {
		b.WriteString(diagnosed(err))
	}
	for _, w := range warnings {
		b.WriteString(w.Text())
	}
	if g != nil {
		b.WriteString(described(g))
	}
	return b.String()
}

func diagnosed(err error) string {
	var invalid *composition.InvalidError
	if !errors.As(err, &invalid) {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, d := range invalid.Diagnostics {
		b.WriteString(d.Text())
	}
	if invalid.More {
		b.WriteString("and more\n")
	}
	return b.String()
}

// described is a graph in words.
func described(g *composition.Graph) string {
	var b strings.Builder
	for _, r := range g.References {
		fmt.Fprintf(&b, "reference %s%s\n", r, signatureText(r.Signature))
	}
	for i := range g.Compositions {
		c := &g.Compositions[i]
		fmt.Fprintf(&b, "composition %s%s\n", c.Name, signatureText(c.Signature()))
		for _, n := range c.Nodes {
			sig := g.Callee(&n)
			fmt.Fprintf(&b, "  %d:%d %s", n.Position.Line, n.Position.Column, n.Name)
			for _, a := range n.Arguments {
				optional := ""
				if a.Optional {
					optional = "optional "
				}
				fmt.Fprintf(&b, " %s=%s%s:%s", sig.Inputs[a.Param].Name, optional, a.Kind, c.Sets[a.Set].Name)
			}
			b.WriteString(" =>")
			for _, k := range n.Kept {
				fmt.Fprintf(&b, " %s=%s", c.Sets[k.Set].Name, sig.Outputs[k.Output].Name)
			}
			for i, l := range n.Chain {
				join := l.Join.String()
				if i == 0 {
					join = "by"
				}
				fmt.Fprintf(&b, " %s %s", join, sig.Inputs[l.Param].Name)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func signatureText(sig engine.Signature) string {
	list := func(params []engine.Param) string {
		var names []string
		for _, p := range params {
			if p.Type == engine.TypeItem {
				p.Name += ":item"
			}
			names = append(names, p.Name)
		}
		return strings.Join(names, ", ")
	}
	text := fmt.Sprintf(" (%s) => (%s)", list(sig.Inputs), list(sig.Outputs))
	if sig.Open {
		text += " open"
	}
	return text
}
