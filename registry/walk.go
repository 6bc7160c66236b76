package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Resolved is a version and, of a composition, all that it applies, as names
// meant it at one moment. What is applied twice is there once, but for I/O
// functions, of which a Version has the name, the signature that the composition
// was checked against, and nothing else. It is shared: nobody writes to it.
type Resolved struct {
	Version *Version
	Uses    []*Resolved // in the order of Version.Uses
}

// walk finds what versions reach, within one transaction. A name is looked up
// once, and a version that is reached in several ways is walked once.
type walk struct {
	rec    records
	tenant string
	run    bool // all that is reached has to be as it was checked, and is read with source and graph

	// known, if it is not nil, gives versions that were read before. They are
	// what they were, since they never change and numbers are not used again.
	known func(versionID) *Version

	names map[string]functionRecord
	done  map[versionID]*Resolved // nil: it is on the path
	path  []versionID
	uses  int
}

// newWalk begins a walk: for a run, or to check what a composition uses itself
// and that it does not reach itself.
func newWalk(rec records, tenant string, run bool) *walk {
	return &walk{rec: rec, tenant: tenant, run: run, names: map[string]functionRecord{}, done: map[versionID]*Resolved{}}
}

// id is the version that a reference means.
func (w *walk) id(ref Ref) (versionID, functionRecord, error) {
	f, ok := w.names[ref.Name]
	if !ok {
		var err error
		if f, err = w.rec.function(w.tenant, ref.Name); err != nil {
			return versionID{}, f, err
		}
		w.names[ref.Name] = f
	}
	number, err := w.rec.number(w.tenant, ref, f)
	return versionID{ref.Name, number}, f, err
}

// ref walks what a reference means.
func (w *walk) ref(ref Ref) (*Resolved, error) {
	id, _, err := w.id(ref)
	if err != nil {
		return nil, err
	}
	return w.number(id)
}

func (w *walk) number(id versionID) (*Resolved, error) {
	if done, ok := w.done[id]; ok {
		if done == nil {
			return nil, w.cycle(id)
		}
		return done, nil
	}
	if w.known != nil && w.rec.has(w.tenant, id) {
		if v := w.known(id); v != nil {
			return w.version(v)
		}
	}
	v, err := w.rec.version(w.tenant, id.name, id.number)
	if err == nil && w.run {
		err = w.rec.load(v)
	}
	if err != nil {
		return nil, err
	}
	return w.version(v)
}

// version walks a version that was not walked yet. Errors: *UsesError,
// *CycleError, ErrTooLarge, ErrDamaged.
func (w *walk) version(v *Version) (*Resolved, error) {
	id := versionID{v.Name, v.Number}
	node := &Resolved{Version: v}
	if v.Kind == KindComposition {
		w.done[id] = nil
		w.path = append(w.path, id)
		if err := w.follow(node); err != nil {
			return nil, err
		}
		w.path = w.path[:len(w.path)-1]
	}
	w.done[id] = node
	return node, nil
}

// follow walks what a composition uses.
func (w *walk) follow(node *Resolved) error {
	uses := node.Version.Uses
	if !w.run {
		var err error
		if uses, err = w.rec.references(node.Version); err != nil {
			return err
		}
	}
	if w.uses += len(uses); w.uses > MaxUses {
		return fmt.Errorf("%w: %s reaches more than %d references; make parts of it functions", ErrTooLarge, w.path[0], MaxUses)
	}
	strict := w.run || len(w.path) == 1
	node.Uses = make([]*Resolved, len(uses))
	bad := &UsesError{User: w.path[len(w.path)-1].String()}
	for i, use := range uses {
		if use.IO {
			node.Uses[i] = &Resolved{Version: use.ioFunction(w.tenant)}
			continue
		}
		id, f, err := w.id(use.Ref())
		if err == nil && !strict && f.Kind != KindComposition {
			continue
		}
		if err == nil {
			node.Uses[i], err = w.number(id)
		}
		var missing *NotFoundError
		switch {
		case errors.As(err, &missing):
			if strict {
				bad.Uses = append(bad.Uses, BadUse{Ref: use.Ref(), Missing: missing})
			}
		case err != nil:
			return err
		case strict:
			if differs := differences(use.Signature, node.Uses[i].Version.Signature); differs != "" {
				bad.Uses = append(bad.Uses, BadUse{Ref: use.Ref(), Differs: differs})
			}
		}
	}
	if len(bad.Uses) > 0 {
		return bad
	}
	return nil
}

// closure is what the walk found from root, for the cache.
func (w *walk) closure(root *Resolved) *closure {
	c := &closure{root: root, names: slices.Collect(maps.Keys(w.names))}
	for _, node := range w.done {
		c.size += sizeOf(node.Version)
	}
	return c
}

// cycle is the error of a version that was met below itself.
func (w *walk) cycle(id versionID) error {
	e := &CycleError{}
	for _, on := range w.path {
		if on == id || len(e.Path) > 0 {
			e.Path = append(e.Path, on.String())
		}
	}
	e.Path = append(e.Path, id.String())
	return e
}
