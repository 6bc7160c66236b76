package cases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"pappus/data"
	"pappus/engine"
)

// Outcome is how a run of a case ended.
type Outcome struct {
	Outputs []data.Set    // of a success; they depend on no context
	Fault   *engine.Fault // nil for a success
	Usage   engine.Usage
}

// End is "ok", the kind of the fault, or "exit 7".
func (o *Outcome) End() string {
	if o.Fault == nil {
		return "ok"
	}
	return ending(o.Fault.Kind, o.Fault.ExitCode)
}

// End is how the case must end, in the words of Outcome.End.
func (c *Case) End() string {
	if c.Fault == "" {
		return "ok"
	}
	return ending(c.Fault, c.ExitCode)
}

func ending(kind engine.FaultKind, code int32) string {
	if kind == engine.FaultExit {
		return fmt.Sprintf("exit %d", code)
	}
	return string(kind)
}

// Fits returns a *FormError if the sets of the case are not those of the
// signature.
func (c *Case) Fits(sig engine.Signature) error {
	for _, side := range []struct {
		folder string
		sets   []data.Set
		params []engine.Param
		any    bool
	}{{inFolder, c.In, sig.Inputs, sig.Open}, {outFolder, c.Out, sig.Outputs, c.Fault != ""}} {
		if side.any {
			continue
		}
		for _, s := range side.sets {
			if !slices.ContainsFunc(side.params, func(p engine.Param) bool { return p.Name == s.Name }) {
				return &FormError{File: path.Join(c.Name, side.folder, s.Name), Reason: "the function has no such set", Hint: "use one of those that it has: " + strings.Join(names(side.params), ", ")}
			}
		}
	}
	for _, p := range sig.Inputs {
		if n := len(itemsOf(c.In, p.Name)); p.Type == engine.TypeItem && n != 1 {
			return &FormError{File: path.Join(c.Name, inFolder, p.Name), Reason: fmt.Sprintf("has %d items, and the function takes exactly one", n), Hint: "leave one file there"}
		}
	}
	return nil
}

func names(params []engine.Param) (list []string) {
	for _, p := range params {
		list = append(list, p.Name)
	}
	return list
}

// Run runs the case once, under the given limits. Errors are the platform's
// own: that the function fails is an outcome.
func (c *Case) Run(ctx context.Context, p engine.Program, lim engine.Limits) (*Outcome, error) {
	r, err := p.Run(ctx, c.In, lim)
	var f *engine.Fault
	if errors.As(err, &f) {
		return &Outcome{Fault: f, Usage: f.Usage}, nil
	} else if err != nil {
		return nil, fmt.Errorf("case %s: %w", c.Name, err)
	}
	r.Detach()
	return &Outcome{Outputs: r.Outputs, Usage: r.Usage}, nil
}

// Differs finds where an outcome is not what the case says, or nil.
func (c *Case) Differs(o *Outcome) *Difference {
	switch {
	case o.End() == c.End() && o.Fault == nil:
		return c.Check(o.Outputs)
	case o.End() == c.End():
		return nil
	case o.Fault != nil && o.Fault.Detail != "":
		return differ("it ended with %s (%s) instead of %s", o.End(), o.Fault.Detail, c.End())
	}
	return differ("it ended with %s instead of %s", o.End(), c.End())
}

// Same finds where two outcomes of one case differ in anything that must be the
// same on every machine and engine, or nil.
func Same(got, want *Outcome) *Difference {
	switch {
	case got.End() != want.End():
		return differ("it ended with %s instead of %s", got.End(), want.End())
	case got.Usage.Fuel != want.Usage.Fuel:
		return differ("it used %d fuel instead of %d", got.Usage.Fuel, want.Usage.Fuel)
	case got.Usage.MemoryPages != want.Usage.MemoryPages:
		return differ("it had %d pages of memory instead of %d", got.Usage.MemoryPages, want.Usage.MemoryPages)
	case got.Fault != nil && !bytes.Equal(got.Fault.Stderr, want.Fault.Stderr):
		return differ("it wrote something else to stderr")
	}
	return Compare(got.Outputs, want.Outputs)
}

func differ(format string, args ...any) *Difference {
	return &Difference{Offset: -1, Reason: fmt.Sprintf(format, args...)}
}
