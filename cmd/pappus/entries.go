package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"pappus/client"
	"pappus/registry"
	"pappus/server/problem"
)

// entry is a version of a function or of a composition, as both are listed.
type entry struct {
	Kind            registry.Kind `json:"kind"`
	client.Function               // of a composition what both have

	composition *client.Composition // nil of a function
}

func functionEntry(f *client.Function) entry {
	return entry{Kind: registry.KindFunction, Function: *f}
}

func compositionEntry(c *client.Composition) entry {
	return entry{
		Kind: registry.KindComposition, composition: c,
		Function: client.Function{Name: c.Name, Version: c.Version, Digest: c.Digest, Inputs: c.Inputs, Outputs: c.Outputs, Tags: c.Tags, Created: c.Created},
	}
}

// MarshalJSON gives what the server says of it, and its kind.
func (e entry) MarshalJSON() ([]byte, error) {
	if e.composition != nil {
		return jsonText(struct { // json.Marshal would escape the arrows of sources
			*client.Composition
			Kind registry.Kind `json:"kind"`
		}{e.composition, e.Kind}, "")
	}
	return jsonText(struct {
		client.Function
		Kind registry.Kind `json:"kind"`
	}{e.Function, e.Kind}, "")
}

// ofKind does something with a name that stands for a function or a composition:
// the first for the one, and, if there is none of that name, the second.
func ofKind[T any](function, composition func() (T, error)) (T, error) {
	v, err := function()
	if !isProblem(err, problem.UnknownFunction) {
		return v, err
	}
	w, other := composition()
	if isProblem(other, problem.UnknownComposition) {
		return v, err
	}
	return w, other
}

// isProblem reports whether a server answered with a problem of that code.
func isProblem(err error, code problem.Code) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Code() == string(code)
}

// lookUp describes what a reference names.
func lookUp(ctx context.Context, cl *client.Client, ref string) (entry, error) {
	return ofKind(func() (entry, error) {
		f, err := cl.GetFunction(ctx, ref)
		if err != nil {
			return entry{}, err
		}
		return functionEntry(f), nil
	}, func() (entry, error) {
		c, err := cl.GetComposition(ctx, ref)
		if err != nil {
			return entry{}, err
		}
		return compositionEntry(c), nil
	})
}

// callable is lookUp that knows I/O functions too: of one there is nothing but its
// name and sets.
func callable(ctx context.Context, cl *client.Client, ref string) (entry, error) {
	one, err := lookUp(ctx, cl, ref)
	var p *client.Problem
	if errors.As(err, &p) && p.Code() == string(problem.UnknownFunction) && len(p.Inputs)+len(p.Outputs) > 0 {
		return entry{Kind: registry.KindIO, Function: client.Function{Name: ref, Inputs: p.Inputs, Outputs: p.Outputs}}, nil
	}
	return one, err
}

// ioNames lists the I/O functions of a server, which has none of this name.
func ioNames(ctx context.Context, cl *client.Client) []string {
	_, err := cl.GetFunction(ctx, "system_")
	var p *client.Problem
	if errors.As(err, &p) {
		return p.Declared
	}
	return nil
}

// entryPage is a page of a list.
type entryPage struct {
	items []entry
	next  string
}

// pageFunc returns a page.
type pageFunc func(ctx context.Context, cursor string, limit int) (entryPage, error)

func ofFunctions(page client.Page, err error) (entryPage, error) {
	p := entryPage{next: page.Next}
	for i := range page.Items {
		p.items = append(p.items, functionEntry(&page.Items[i]))
	}
	return p, err
}

func ofCompositions(page client.CompositionPage, err error) (entryPage, error) {
	p := entryPage{next: page.Next}
	for i := range page.Items {
		p.items = append(p.items, compositionEntry(&page.Items[i]))
	}
	return p, err
}

// versionsOf returns pages of the versions of a name, the newest first.
func versionsOf(cl *client.Client, name string) pageFunc {
	return func(ctx context.Context, cursor string, limit int) (entryPage, error) {
		return ofKind(func() (entryPage, error) { return ofFunctions(cl.Versions(ctx, name, cursor, limit)) },
			func() (entryPage, error) { return ofCompositions(cl.CompositionVersions(ctx, name, cursor, limit)) })
	}
}

// walk asks for one page after the other.
func walk(ctx context.Context, page pageFunc) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for cursor := ""; ; {
			p, err := page(ctx, cursor, 0)
			if err != nil {
				yield(entry{}, err)
				return
			}
			for _, v := range p.items {
				if !yield(v, nil) {
					return
				}
			}
			if cursor = p.next; cursor == "" {
				return
			}
		}
	}
}

// everything lists functions and compositions in the order of their names.
func everything(ctx context.Context, cl *client.Client) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		functions, stopFunctions := pulled(ctx, func(ctx context.Context, cursor string, limit int) (entryPage, error) {
			return ofFunctions(cl.ListFunctions(ctx, cursor, limit))
		})
		defer stopFunctions()
		compositions, stopCompositions := pulled(ctx, func(ctx context.Context, cursor string, limit int) (entryPage, error) {
			return ofCompositions(cl.ListCompositions(ctx, cursor, limit))
		})
		defer stopCompositions()
		for {
			first := functions
			if !first.ok || compositions.ok && (compositions.err != nil || first.err == nil && compositions.one.Name < first.one.Name) {
				first = compositions
			}
			if !first.ok || !yield(first.one, first.err) || first.err != nil {
				return
			}
			first.step()
		}
	}
}

// pulledList is a list, of which one entry is known.
type pulledList struct {
	next func() (entry, error, bool)
	one  entry
	err  error
	ok   bool // it is there
}

func pulled(ctx context.Context, page pageFunc) (l *pulledList, stop func()) {
	next, stop := iter.Pull2(walk(ctx, page))
	l = &pulledList{next: next}
	l.step()
	return l, stop
}

func (l *pulledList) step() { l.one, l.err, l.ok = l.next() }

// versionView shows versions, each by a reference to it.
func versionView() *view[entry] {
	return &view[entry]{
		name: func(v entry) string { return fmt.Sprintf("%s@%d", v.Name, v.Version) },
		columns: []column[entry]{
			{title: "NAME", value: func(v entry) string { return v.Name }},
			{title: "VERSION", value: func(v entry) string { return fmt.Sprint(v.Version) }},
			{title: "KIND", value: func(v entry) string {
				if v.composition != nil && v.composition.Broken != "" {
					return string(v.Kind) + " (broken)"
				}
				return string(v.Kind)
			}},
			{title: "TAGS", value: func(v entry) string { return tagsOf(v.Tags, v.Version) }},
			{title: "ENGINE", value: func(v entry) string { return enginesOf(&v.Function) }},
			{title: "SIZE", value: func(v entry) string {
				if v.composition != nil {
					return ""
				}
				return roughBytes(v.Size)
			}},
			{title: "AGE", only: formTable, value: func(v entry) string { return age(time.Since(v.Created)) }},
			{title: "DIGEST", only: formTable, value: func(v entry) string { return shortDigest(v.Digest) }},
			{title: "CREATED", only: formWide, value: func(v entry) string { return v.Created.Local().Format(time.RFC3339) }},
			{title: "DIGEST", only: formWide, value: func(v entry) string { return v.Digest }},
			{title: "INPUTS", only: formWide, value: func(v entry) string { return paramList(v.Inputs, v.Open) }},
			{title: "OUTPUTS", only: formWide, value: func(v entry) string { return paramList(v.Outputs, v.Open) }},
		},
	}
}

// enginesOf lists the engines that a version has code for, its own first.
func enginesOf(f *client.Function) string {
	list := []string{f.Engine}
	for _, name := range slices.Sorted(maps.Keys(f.Code)) {
		if name != f.Engine {
			list = append(list, name)
		}
	}
	return strings.Join(list, ",")
}

// tagsOf lists the tags that name a version.
func tagsOf(tags map[string]int64, number int64) string {
	var list []string
	for _, tag := range sortedTags(tags) {
		if tags[tag] == number {
			list = append(list, tag)
		}
	}
	return strings.Join(list, ",")
}
