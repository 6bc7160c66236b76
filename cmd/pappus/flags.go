package main

import (
	"strings"

	"github.com/spf13/pflag"

	"pappus/cmd/pappus/internal/settings"
	"pappus/engine"
)

// fromEnvironment sets the flags that the command line does not from their
// variables.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool), names ...string) error {
	for _, name := range names {
		f := flags.Lookup(name)
		value, ok := lookup(settings.Variable(name))
		if f.Changed || !ok || value == "" {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return usage("correct or unset the variable", "%s: %w", settings.Variable(name), err)
		}
	}
	return nil
}

// limitFlags are the limits of a function, as push and run take them.
type limitFlags struct{ limits engine.Limits }

func (l *limitFlags) bind(flags *pflag.FlagSet) {
	for _, f := range []struct{ flag, limit, typ, usage string }{
		{"memory", "memory", "SIZE", "limit of its memory, like 64MiB"},
		{"timeout", "timeout", "TIME", "limit of a call's wall time, like 500ms"},
		{"fuel", "fuel", "UNITS", "limit of a call's fuel; makes failures the same everywhere"},
		{"stack", "stack", "SIZE", "limit of what its calls nest to, like 8MiB"},
		{"output-limit", "output", "SIZE", "limit of what it gives, like 64MiB"},
	} {
		flags.Var(&limitFlag{limits: &l.limits, name: f.limit, typ: f.typ}, f.flag, f.usage)
	}
}

// limitFlag is one limit.
type limitFlag struct {
	limits    *engine.Limits
	name, typ string
	given     string
}

func (f *limitFlag) String() string { return f.given }
func (f *limitFlag) Type() string   { return f.typ }

func (f *limitFlag) Set(text string) error {
	f.given = text
	return f.limits.Set(f.name, text)
}

// signatureFlags are the sets of a function, as push and run take them.
type signatureFlags struct{ inputs, outputs []string }

func (s *signatureFlags) bind(flags *pflag.FlagSet) {
	flags.StringArrayVar(&s.inputs, "input", nil, "an input set, `NAME` or NAME/item for exactly one item; repeat in order")
	flags.StringArrayVar(&s.outputs, "output", nil, "an output set, `NAME` or NAME/item; with --input or --output they are the whole signature")
}

// given reports whether the flags say what the signature is.
func (s *signatureFlags) given() bool { return len(s.inputs)+len(s.outputs) > 0 }

// signature makes what the flags say.
func (s *signatureFlags) signature() (engine.Signature, error) {
	sig := engine.Signature{Inputs: params(s.inputs), Outputs: params(s.outputs)}
	if err := sig.Check(); err != nil {
		return sig, usage("sets are named like --input text or --output counts/item", "signature: %w", err)
	}
	return sig, nil
}

func params(names []string) []engine.Param {
	list := make([]engine.Param, len(names))
	for i, name := range names {
		list[i] = engine.Param{Name: name, Type: engine.TypeSet}
		if set, ok := strings.CutSuffix(name, "/"+engine.TypeItem); ok {
			list[i] = engine.Param{Name: set, Type: engine.TypeItem}
		}
	}
	return list
}
