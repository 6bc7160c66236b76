package iofuncs

import (
	"fmt"
	"maps"
	"slices"

	"pappus/data"
)

// maxName is the longest name, in bytes, and maxParams how many sets a side may
// have.
const (
	maxName   = 128
	maxParams = 64
)

// Registry is the I/O functions of a server. Nobody writes to it once it is made.
// A nil one has none.
type Registry struct{ functions map[string]Function }

// NewRegistry makes a registry. It refuses names that are not legal, or there
// twice, and the same of their sets.
func NewRegistry(functions ...Function) (*Registry, error) {
	r := &Registry{functions: make(map[string]Function, len(functions))}
	for _, f := range functions {
		spec := f.Spec()
		if err := spec.check(); err != nil {
			return nil, fmt.Errorf("I/O function %.140q: %w", spec.Name, err)
		}
		if _, ok := r.functions[spec.Name]; ok {
			return nil, fmt.Errorf("there are two I/O functions %s", spec.Name)
		}
		r.functions[spec.Name] = f
	}
	return r, nil
}

// Lookup finds a function by its name; nil if there is none.
func (r *Registry) Lookup(name string) Function {
	if r == nil {
		return nil
	}
	return r.functions[name]
}

// Names are those of all functions, in order.
func (r *Registry) Names() []string {
	if r == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(r.functions))
}

func (s Spec) check() error {
	if !legal(s.Name) {
		return fmt.Errorf("its name is not 1 to %d letters, digits, '.', '_' and '-', beginning with a letter or digit", maxName)
	}
	for _, params := range [][]Param{s.Inputs, s.Outputs} {
		if len(params) > maxParams {
			return fmt.Errorf("it has %d sets on one side; the most is %d", len(params), maxParams)
		}
		for i, p := range params {
			if err := data.CheckSetName(p.Name); err != nil {
				return err
			}
			if slices.ContainsFunc(params[:i], func(other Param) bool { return other.Name == p.Name }) {
				return fmt.Errorf("its set %q is there twice", p.Name)
			}
		}
	}
	return nil
}

func legal(name string) bool {
	for i := range len(name) {
		c := name[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}
