package dispatcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pappus/dispatcher/composition"
	"pappus/engine"
	"pappus/registry"
)

// CompositionPublication is a request to register a composition.
type CompositionPublication struct {
	Tenant string
	Name   string
	Source string // in either form of the language
	Tags   []string
	Force  bool // also where the tags' moving breaks compositions that use the name
}

// PublishComposition compiles a source against what is registered and stores it
// as a version; the version is durable when PublishComposition returns. The same
// graph again is the version that exists, and created is false. Warnings are
// there in every case.
//
// Errors are *composition.InvalidError, faults overload and canceled, and those
// of registry.Registry.Put.
func (d *Dispatcher) PublishComposition(ctx context.Context, pub CompositionPublication) (v *registry.Version, created bool, warnings []composition.Diagnostic, err error) {
	if err := d.enter(); err != nil {
		return nil, false, nil, err
	}
	defer d.leave()
	if err := registry.CheckName(pub.Name); err != nil {
		return nil, false, nil, fmt.Errorf("publish: %w", err)
	}
	graph, warnings, err := d.compile(ctx, pub.Tenant, pub.Name, pub.Source)
	if err != nil {
		return nil, false, warnings, err
	}
	encoded, err := json.Marshal(graph)
	if err != nil {
		return nil, false, warnings, fmt.Errorf("publish %s: encode the graph: %w", pub.Name, err)
	}
	reg := registry.Registration{
		Tenant: pub.Tenant, Name: pub.Name, Kind: registry.KindComposition, Signature: graph.Signature(),
		Source: pub.Source, Graph: encoded, Tags: pub.Tags, Force: pub.Force, Uses: make([]registry.Use, len(graph.References)),
	}
	for i, r := range graph.References {
		reg.Uses[i] = registry.Use(r)
	}
	if v, created, err = d.reg.Put(ctx, reg); err != nil {
		return nil, false, warnings, fmt.Errorf("publish %s: %w", pub.Name, err)
	}
	return v, created, warnings, nil
}

// Broken says why a version can't be called at present: a composition that applies
// what was deleted, or what has other sets than it was checked against. It is nil
// for all else.
func (d *Dispatcher) Broken(ctx context.Context, v *registry.Version) *registry.UsesError {
	if v.Kind != registry.KindComposition {
		return nil
	}
	var broken *registry.UsesError
	resolved, err := d.reg.ResolveAll(ctx, v.Tenant, registry.Ref{Name: v.Name, Number: v.Number})
	if err == nil {
		_, err = d.bind(resolved[0], d.config.Load().Run, 0)
	}
	if errors.As(err, &broken) {
		return broken
	}
	return nil
}

// CheckComposition compiles a source as PublishComposition does and stores
// nothing. It returns the signature that the composition would have.
func (d *Dispatcher) CheckComposition(ctx context.Context, tenant, name, source string) (engine.Signature, []composition.Diagnostic, error) {
	if err := d.enter(); err != nil {
		return engine.Signature{}, nil, err
	}
	defer d.leave()
	graph, warnings, err := d.compile(ctx, tenant, name, source)
	if err != nil {
		return engine.Signature{}, warnings, err
	}
	return graph.Signature(), warnings, nil
}

func (d *Dispatcher) compile(ctx context.Context, tenant, name, source string) (*composition.Graph, []composition.Diagnostic, error) {
	return composition.Compile(ctx, source, composition.Options{
		Name: name, Resolver: tenantsNames{d.reg, d.io, tenant}, Nesting: d.config.Load().Run.Nesting, Reserved: registry.Reserved,
	})
}

// tenantsNames resolves what the compositions of a tenant refer to.
type tenantsNames struct {
	reg    Functions
	io     ioFunctions
	tenant string
}

var _ composition.Resolver = tenantsNames{}

// Resolve finds what a reference names.
func (n tenantsNames) Resolve(ctx context.Context, reference string) (*composition.Callee, error) {
	ref, err := registry.ParseRef(reference)
	var bad *registry.NameError
	if errors.As(err, &bad) {
		return nil, &composition.UnknownError{Reason: bad.Reason}
	}
	if err != nil {
		return nil, err
	}
	if registry.Reserved(ref.Name) {
		return n.ioFunction(ref)
	}
	v, err := n.reg.Resolve(ctx, n.tenant, ref)
	var missing *registry.NotFoundError
	switch {
	case errors.As(err, &missing):
		unknown := &composition.UnknownError{Near: n.names(ctx)}
		if missing.What != "function" {
			unknown.Reason = "is no version of " + ref.Name
		}
		return nil, unknown
	case err != nil:
		return nil, err
	}
	c := &composition.Callee{Name: ref.Name, Tag: ref.Tag, Number: ref.Number, Digest: ref.Digest, Signature: v.Signature}
	for _, u := range v.Uses {
		c.Applies = append(c.Applies, u.Ref().String())
	}
	return c, nil
}

// ioFunction finds one that a reference names.
func (n tenantsNames) ioFunction(ref registry.Ref) (*composition.Callee, error) {
	io, err := n.io.resolve(ref)
	if err == nil {
		return &composition.Callee{Name: ref.Name, IO: true, Signature: io.version.Signature}, nil
	}
	names := slices.Sorted(maps.Keys(n.io))
	unknown := &composition.UnknownError{
		Reason: "is no I/O function of this server, which has " + strings.Join(names, ", "), Near: names,
		Hint: "docs/compositions.md says what I/O functions are; their names can't be registered",
	}
	if n.io[ref.Name] != nil {
		unknown.Reason, unknown.Near = "is an I/O function, which has no versions or tags; write "+ref.Name, nil
	}
	return nil, unknown
}

// names are some of the names that there are, for suggestions.
func (n tenantsNames) names(ctx context.Context) []string {
	names := slices.Collect(maps.Keys(n.io))
	for _, kind := range []registry.Kind{registry.KindFunction, registry.KindComposition} {
		page, _, err := n.reg.List(ctx, n.tenant, kind, "", registry.MaxPage)
		if err != nil {
			return names // there is no suggestion, then
		}
		for _, v := range page {
			names = append(names, v.Name)
		}
	}
	return names
}
