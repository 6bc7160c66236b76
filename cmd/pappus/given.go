package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"pappus/client"
	"pappus/engine"
)

// givenInputs are what a call is given: by --in, or as one raw body.
type givenInputs struct {
	inputs []input  // of --in, as they are sent
	sets   []string // that --in names, also those of empty folders
	raw    bool     // the body is one item
	whole  bool     // or it holds named sets, which nobody looked at
}

// defaultInputs are the input sets of a program for WASI where nobody declared any.
func defaultInputs() []engine.Param {
	return []engine.Param{{Name: stdioSet, Type: engine.TypeSet}, {Name: "input", Type: engine.TypeSet}}
}

// missing are the names of declared input sets that a call leaves empty without
// saying so. Nobody misses standard input, nor sets that nobody declared.
func (g givenInputs) missing(inputs []engine.Param, open bool) []string {
	if open || g.whole || slices.Equal(inputs, defaultInputs()) {
		return nil
	}
	sets := g.sets
	if g.raw {
		set, _ := rawTarget(engine.Signature{Inputs: inputs})
		sets = []string{set}
	}
	for _, set := range sets {
		if !slices.ContainsFunc(inputs, func(p engine.Param) bool { return p.Name == set }) {
			return nil // which the server refuses
		}
	}
	var names []string
	for _, p := range inputs {
		if p.Name != stdioSet && !slices.Contains(sets, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// warnMissing tells of input sets that were perhaps forgotten. That what is called
// can't be looked up is told by the call.
func (c *commandLine) warnMissing(ctx context.Context, w io.Writer, cl *client.Client, ref string, g givenInputs) {
	if c.quiet || c.json {
		return
	}
	called, err := callable(ctx, cl, ref)
	if err != nil {
		return
	}
	params := make([]engine.Param, len(called.Inputs))
	for i, p := range called.Inputs {
		params[i] = engine.Param(p)
	}
	switch names := g.missing(params, called.Open); len(names) {
	case 0:
	case 1:
		_, _ = fmt.Fprintf(w, "warning: input %s is not given: it is an empty set\n", oneLine(names[0])) // nobody is left to tell
	default:
		_, _ = fmt.Fprintf(w, "warning: inputs %s are not given: they are empty sets\n", oneLine(strings.Join(names, ", "))) // as above
	}
}

// named says in the problem of a call which input it is about, where the server
// knows only which part of the body.
func (g givenInputs) named(err error) error {
	var p *client.Problem
	var part int
	if !errors.As(err, &p) {
		return err
	}
	if _, scanErr := fmt.Sscanf(p.Detail, "part[%d]: ", &part); scanErr != nil || part < 0 || part >= len(g.inputs) {
		return err
	}
	_, rest, _ := strings.Cut(p.Detail, ": ")
	in := g.inputs[part]
	p.Detail = fmt.Sprintf("--in %s/%s: %s", in.set, in.name, rest)
	return err
}
