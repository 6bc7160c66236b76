package registry

import (
	"strings"
	"testing"

	"pappus/engine"
)

// composition is a registration that applies what refs mean now, one after
// another.
func composition(t testing.TB, r *Registry, name string, refs ...string) Registration {
	t.Helper()
	reg := Registration{
		Tenant: DefaultTenant, Name: name, Kind: KindComposition,
		Signature: engine.Signature{Inputs: sets("in"), Outputs: sets("out")},
		Source:    "# " + name + "\n" + strings.Join(refs, "\n"), Graph: []byte(strings.Join(refs, ",") + "."),
	}
	for _, text := range refs {
		ref, err := ParseRef(text)
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.Resolve(t.Context(), DefaultTenant, ref)
		if err != nil {
			t.Fatal(err)
		}
		reg.Uses = append(reg.Uses, Use{Name: ref.Name, Tag: ref.Tag, Number: ref.Number, Digest: ref.Digest, Signature: v.Signature})
	}
	return reg
}

// sets are parameters: "a" a set, "a/item" one item.
func sets(names ...string) []engine.Param {
	params := make([]engine.Param, len(names))
	for i, name := range names {
		params[i] = engine.Param{Name: name, Type: engine.TypeSet}
		if short, ok := strings.CutSuffix(name, "/item"); ok {
			params[i] = engine.Param{Name: short, Type: engine.TypeItem}
		}
	}
	return params
}
