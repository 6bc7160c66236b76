package registry

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pappus/data"
	"pappus/engine"
)

// Use is a reference of a composition to what it applies, and the signature
// against which that was checked. At most one of Tag, Number and Digest is set;
// with none of them the tag latest is meant.
//
// An I/O function has a reserved name, and no versions: its row has none of the
// three. It is no business of the registry what such a name stands for.
type Use struct {
	Name      string           `json:"name"`
	Tag       string           `json:"tag,omitempty"`
	Number    int64            `json:"number,omitempty"`
	Digest    data.Digest      `json:"digest,omitzero"`
	IO        bool             `json:"io,omitempty"` // an I/O function
	Signature engine.Signature `json:"signature"`
}

// Ref is the reference.
func (u Use) Ref() Ref { return Ref{Name: u.Name, Tag: u.Tag, Number: u.Number, Digest: u.Digest} }

// pinned reports whether the reference means one version forever.
func (u Use) pinned() bool { return u.Number != 0 || !u.Digest.IsZero() }

// follows is the tag that the reference follows, or "".
func (u Use) follows() string {
	if u.pinned() || u.IO {
		return ""
	}
	return cmp.Or(u.Tag, LatestTag)
}

// pins reports whether the reference means v and nothing else.
func (u Use) pins(v *Version) bool {
	return u.Name == v.Name && (u.Number == v.Number || !u.Digest.IsZero() && u.Digest == v.Digest)
}

// ioFunction stands for what a row about an I/O function refers to. Its signature
// is that of the row: who knows the function compares.
func (u Use) ioFunction(tenant string) *Version {
	return &Version{Tenant: tenant, Name: u.Name, Kind: KindIO, Signature: u.Signature}
}

// Bounds of a composition.
const (
	// MaxUses is how many references a composition can have, and how many there
	// can be in all compositions together that one reaches.
	MaxUses = 10_000
	// MaxComposition is the size of a composition's source, graph and references
	// as they are stored, in bytes.
	MaxComposition = 8 << 20
)

// checkComposition returns what keeps a registration from being one of a composition.
func checkComposition(reg Registration) error {
	if len(reg.Code) > 0 || reg.Layout != "" || reg.Memo != "" {
		return errors.New("a composition has no code, layout or memo of its own")
	}
	if len(reg.Graph) == 0 {
		return errors.New("a composition needs a graph")
	}
	if len(reg.Uses) > MaxUses {
		return fmt.Errorf("%w: it has %d references, and the most is %d", ErrTooLarge, len(reg.Uses), MaxUses)
	}
	if n := len(reg.Source) + len(reg.Graph); n > MaxComposition {
		return fmt.Errorf("%w: its source and graph have %d bytes, and the most is %d", ErrTooLarge, n, MaxComposition)
	}
	if err := reg.Signature.Check(); err != nil {
		return err
	}
	seen := make(map[Ref]bool, len(reg.Uses))
	for _, u := range reg.Uses {
		ref := u.Ref()
		if parsed, err := ParseRef(ref.String()); err != nil {
			return err
		} else if parsed != ref {
			return &NameError{What: "reference", Name: ref.String(), Reason: "has more than one of tag, number and digest"}
		}
		if Reserved(u.Name) != u.IO {
			return fmt.Errorf("%w: %s is a reference to an I/O function if, and only if, its name is reserved", ErrReservedName, u.Name)
		}
		if u.IO && ref != (Ref{Name: u.Name}) {
			return &NameError{What: "reference", Name: ref.String(), Reason: "is to an I/O function, which has no versions or tags"}
		}
		if seen[ref] {
			return &NameError{What: "reference", Name: ref.String(), Reason: "is there twice"}
		}
		seen[ref] = true
		if err := u.Signature.Check(); err != nil {
			return fmt.Errorf("signature of %s: %w", ref, err)
		}
	}
	return nil
}

// compositionIdentity is what a composition's digest is the digest of, written
// like identity. The references are in it with the sets that they were checked
// against, so that a composition that has to be checked again is another version.
type compositionIdentity struct {
	Graph   data.Digest    `json:"graph"`
	Inputs  []engine.Param `json:"inputs"`
	Outputs []engine.Param `json:"outputs"`
	Limits  engine.Limits  `json:"limits"`
	Uses    []useIdentity  `json:"uses"`
}

type useIdentity struct {
	Ref     string         `json:"ref"`
	Inputs  []engine.Param `json:"inputs"`
	Outputs []engine.Param `json:"outputs"`
	Open    bool           `json:"open,omitempty"`
}

// digestOfComposition is the digest of a composition.
func digestOfComposition(reg Registration) (data.Digest, error) {
	id := compositionIdentity{
		Graph:   sha256.Sum256(reg.Graph),
		Inputs:  append([]engine.Param{}, reg.Signature.Inputs...),
		Outputs: append([]engine.Param{}, reg.Signature.Outputs...),
		Limits:  reg.Limits,
		Uses:    []useIdentity{},
	}
	for _, u := range reg.Uses {
		id.Uses = append(id.Uses, useIdentity{u.Ref().String(), setsOf(u.Signature.Inputs), setsOf(u.Signature.Outputs), u.Signature.Open})
	}
	slices.SortFunc(id.Uses, func(a, b useIdentity) int { return strings.Compare(a.Ref, b.Ref) })
	b, err := json.Marshal(id)
	if err != nil {
		return data.Digest{}, fmt.Errorf("digest of a composition: %w", err)
	}
	return sha256.Sum256(b), nil
}

// setsOf keeps of parameters what a use depends on: names and types, in no order.
func setsOf(params []engine.Param) []engine.Param {
	sets := make([]engine.Param, len(params))
	for i, p := range params {
		sets[i] = engine.Param{Name: p.Name, Type: cmp.Or(p.Type, engine.TypeSet)}
	}
	slices.SortFunc(sets, func(a, b engine.Param) int { return strings.Compare(a.Name, b.Name) })
	return sets
}

// maxDifferences is how many differences of two signatures are told.
const maxDifferences = 5

// differences says how the sets of a signature differ from those that something
// was checked against; "" if they don't. Order and content types do not matter.
func differences(was, is engine.Signature) string {
	var list []string
	if was.Open != is.Open {
		list = append(list, map[bool]string{true: "it has no signature any more", false: "it has a signature now"}[is.Open])
	}
	for _, side := range []struct {
		what    string
		was, is []engine.Param
	}{{"input", was.Inputs, is.Inputs}, {"output", was.Outputs, is.Outputs}} {
		types := make(map[string]string, len(side.is))
		for _, p := range side.is {
			types[p.Name] = cmp.Or(p.Type, engine.TypeSet)
		}
		for _, p := range setsOf(side.was) {
			switch now, ok := types[p.Name]; {
			case !ok:
				list = append(list, fmt.Sprintf("%s %q is gone", side.what, p.Name))
			case now != p.Type:
				list = append(list, fmt.Sprintf("%s %q is declared as %s and was as %s", side.what, p.Name, now, p.Type))
			}
			delete(types, p.Name)
		}
		for _, p := range setsOf(side.is) {
			if _, ok := types[p.Name]; ok {
				list = append(list, fmt.Sprintf("%s %q is new", side.what, p.Name))
			}
		}
	}
	if n := len(list) - maxDifferences; n > 0 {
		list = append(list[:maxDifferences], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(list, ", ")
}
