package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"pappus/data"
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

func function(name, code string, in, out []engine.Param, tags ...string) Registration {
	reg := registration(name, code, tags...)
	reg.Signature = engine.Signature{Inputs: in, Outputs: out}
	return reg
}

func parse(t testing.TB, text string) Ref {
	t.Helper()
	ref, err := ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestCompositions(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	put(t, r, registration("f", "one"))
	reg := composition(t, r, "c", "f", "f@1")
	v, created, err := r.Put(t.Context(), reg)
	if err != nil || !created || v.Number != 1 || v.Kind != KindComposition {
		t.Fatalf("%+v, %v, %v", v, created, err)
	}
	reg.Source += "\n# other words"
	slices.Reverse(reg.Uses)
	again, created, err := r.Put(t.Context(), reg)
	if err != nil || created || !reflect.DeepEqual(again, v) {
		t.Errorf("the same again: %+v, %v, %v", again, created, err)
	}
	two := put(t, r, composition(t, r, "c", "f@latest"))
	if two.Number != 2 || number(t, r, "c") != 2 || number(t, r, "c@1") != 1 || number(t, r, "c@"+v.Digest.String()) != 1 {
		t.Errorf("the second is %+v", two)
	}
	if _, err := r.SetTag(t.Context(), DefaultTenant, "c", LatestTag, parse(t, "c@1"), Change{Kind: KindComposition}); err != nil {
		t.Error(err)
	}
	for range 2 { // and after a restart
		got, err := r.Resolve(t.Context(), DefaultTenant, Ref{Name: "c"})
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%+v (%v), want %+v", got, err, v)
		}
		all, err := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: "c"})
		if err != nil || outline(all[0]) != "c@1(f@1()f@1())" {
			t.Errorf("all of it: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r = open(t, dir)
	}
	for _, at := range []string{"c@2", "c"} {
		if err := r.Delete(t.Context(), DefaultTenant, parse(t, at), Change{Kind: KindComposition}); err != nil {
			t.Error(err)
		}
	}
	for _, bucket := range [][]byte{bucketCompositions, bucketReferences, bucketUsers} {
		if err := r.view(t.Context(), func(rec records) error {
			return rec.tx.Bucket(bucket).ForEach(func(k, _ []byte) error { return fmt.Errorf("%q", k) })
		}); err != nil {
			t.Errorf("left in %s: %v", bucket, err)
		}
	}
	put(t, r, registration("f", "one"))
	if v := put(t, r, composition(t, r, "c", "f")); v.Number != 3 {
		t.Errorf("a number is used again: %d", v.Number)
	}
}

// Functions and compositions share names, and are shown apart.
func TestKinds(t *testing.T) {
	r := open(t, t.TempDir())
	for _, name := range []string{"a", "c", "e"} {
		put(t, r, registration(name, "code"))
	}
	for _, name := range []string{"b", "d"} {
		put(t, r, composition(t, r, name, "a"))
	}
	if _, _, err := r.Put(t.Context(), registration("b", "code")); !errors.Is(err, ErrOtherKind) {
		t.Errorf("a function in the place of a composition: %v", err)
	}
	if _, _, err := r.Put(t.Context(), composition(t, r, "c", "a")); !errors.Is(err, ErrOtherKind) {
		t.Errorf("a composition in the place of a function: %v", err)
	}
	for kind, want := range map[Kind][]string{"": {"a", "b", "c", "d", "e"}, KindFunction: {"a", "c", "e"}, KindComposition: {"b", "d"}} {
		for limit := 1; limit < 6; limit++ {
			var got []string
			for cursor := ""; ; {
				page, next, err := r.List(t.Context(), DefaultTenant, kind, cursor, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range page {
					got = append(got, v.Name)
					if v.Source != "" || v.Graph != nil || v.Uses != nil {
						t.Errorf("the list holds all of %s", v.Name)
					}
				}
				if cursor = next; cursor == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q in pages of %d: %v", kind, limit, got)
			}
		}
	}
	for _, c := range []struct {
		name     string
		is, isnt Kind
	}{{"a", KindFunction, KindComposition}, {"b", KindComposition, KindFunction}} {
		for what, try := range map[string]func(Kind) error{
			"versions": func(k Kind) error {
				_, _, err := r.Versions(t.Context(), DefaultTenant, k, c.name, "", 1)
				return err
			},
			"set a tag": func(k Kind) error {
				_, err := r.SetTag(t.Context(), DefaultTenant, c.name, "x", Ref{Name: c.name}, Change{Kind: k})
				return err
			},
			"a tag": func(k Kind) error { return r.RemoveTag(t.Context(), DefaultTenant, c.name, "x", Change{Kind: k}) },
			"delete": func(k Kind) error {
				return r.Delete(t.Context(), DefaultTenant, Ref{Name: c.name}, Change{Kind: k, Force: true})
			},
		} {
			var missing *NotFoundError
			if err := try(c.isnt); !errors.As(err, &missing) || missing.What != string(c.isnt) || missing.Other != c.is {
				t.Errorf("%s of %s as a %s: %v", what, c.name, c.isnt, err)
			}
		}
		for _, kind := range []Kind{"", c.is} {
			if page, _, err := r.Versions(t.Context(), DefaultTenant, kind, c.name, "", 1); err != nil || len(page) != 1 || page[0].Kind != c.is {
				t.Errorf("versions of %s: %v, %v", c.name, page, err)
			}
		}
	}
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "b"}, Change{}); err != nil {
		t.Fatal(err)
	}
	if v := put(t, r, registration("b", "code")); v.Number != 2 || v.Kind != KindFunction {
		t.Errorf("a freed name: %+v", v)
	}
}

func TestWhatMakesAComposition(t *testing.T) {
	r := open(t, t.TempDir())
	put(t, r, registration("f", "one"))
	put(t, r, registration("f", "two", "x"))
	base := put(t, r, composition(t, r, "c", "f"))
	seen := map[data.Digest]string{base.Digest: "nothing"}
	for name, change := range map[string]func(*Registration){
		"graph":     func(g *Registration) { g.Graph = []byte("other") },
		"an input":  func(g *Registration) { g.Signature.Inputs = sets("in/item") },
		"an output": func(g *Registration) { g.Signature.Outputs = sets("out", "more") },
		"a limit":   func(g *Registration) { g.Limits.Items = 7 },
		"a tag":     func(g *Registration) { g.Uses[0].Tag = "x" },
		"no use":    func(g *Registration) { g.Uses = nil },
	} {
		reg := composition(t, r, "c", "f")
		change(&reg)
		v := put(t, r, reg)
		if other, ok := seen[v.Digest]; ok {
			t.Errorf("%s makes the digest that %s makes", name, other)
		}
		seen[v.Digest] = name
	}
	// What a use was checked against is part of it: it can be checked again.
	put(t, r, function("g", "one", sets("a"), sets("b")))
	first := put(t, r, composition(t, r, "d", "g"))
	broken := function("g", "one", sets("a/item"), sets("b"))
	broken.Force = true
	put(t, r, broken)
	if second := put(t, r, composition(t, r, "d", "g")); second.Digest == first.Digest || second.Number != 2 {
		t.Errorf("checked again, it is %+v", second)
	}
	// docs/format.md says how the digest is made.
	reg := composition(t, r, "e", "g@latest", "f")
	graph := data.Sum(reg.Graph).String()
	want := data.Sum([]byte(`{"graph":"` + graph + `","inputs":["in"],"outputs":["out"],"limits":{},"uses":[` +
		`{"ref":"f","inputs":[],"outputs":["output"],"open":true},{"ref":"g@latest","inputs":[{"name":"a","type":"item"}],"outputs":["b"]}]}`))
	if v := put(t, r, reg); v.Digest != want {
		t.Errorf("digest %s, want %s", v.Digest, want)
	}
}

func TestRefusedCompositions(t *testing.T) {
	r := open(t, t.TempDir())
	put(t, r, registration("f", "one"))
	for name, c := range map[string]struct {
		change func(*Registration)
		want   error
	}{
		"code":            {func(g *Registration) { g.Code = map[string][]byte{"wasm": nil} }, nil},
		"layout":          {func(g *Registration) { g.Layout = "grow" }, nil},
		"no graph":        {func(g *Registration) { g.Graph = nil }, nil},
		"unknown kind":    {func(g *Registration) { g.Kind = "thing" }, nil},
		"a function":      {func(g *Registration) { g.Kind = "" }, nil},
		"and code":        {func(g *Registration) { g.Kind, g.Code = "", map[string][]byte{"wasm": nil} }, nil},
		"reserved":        {func(g *Registration) { g.Name = "HTTP" }, ErrReservedName},
		"an I/O function": {func(g *Registration) { g.Uses[0].Name = "system_HTTPGet" }, ErrReservedName},
		"a bad name":      {func(g *Registration) { g.Uses[0].Name = "a\x00b" }, nil},
		"two ways":        {func(g *Registration) { g.Uses[0].Number, g.Uses[0].Tag = 1, "x" }, nil},
		"twice":           {func(g *Registration) { g.Uses = append(g.Uses, g.Uses[0]) }, nil},
		"bad sets":        {func(g *Registration) { g.Uses[0].Signature.Inputs = sets("a", "a") }, nil},
		"bad own sets":    {func(g *Registration) { g.Signature.Inputs = sets("a/b") }, nil},
		"large":           {func(g *Registration) { g.Source = strings.Repeat("x", MaxComposition) }, ErrTooLarge},
		"large encoded":   {func(g *Registration) { g.Graph = make([]byte, MaxComposition*4/5) }, ErrTooLarge},
		"many uses":       {func(g *Registration) { g.Uses = make([]Use, MaxUses+1) }, ErrTooLarge},
	} {
		reg := composition(t, r, "c", "f")
		c.change(&reg)
		if _, _, err := r.Put(t.Context(), reg); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := number(t, r, "c"); n != 0 {
		t.Errorf("version %d is there", n)
	}
}

// A change that gives a name other sets, as some composition refers to it, is
// refused, and nothing of it is visible.
func TestBreaks(t *testing.T) {
	in, out := sets("a", "b/item"), sets("x", "y")
	one := func(tags ...string) Registration { return function("f", "one", in, out, tags...) }
	changed := func(in, out []engine.Param) func(...string) Registration {
		return func(tags ...string) Registration { return function("f", "two", in, out, tags...) }
	}
	other := changed(sets("a"), out)
	named := out
	named = slices.Clone(named)
	named[0].ContentType = "text/plain"
	opened := func(tags ...string) Registration {
		reg := other(tags...)
		reg.Signature.Open = true
		return reg
	}
	for name, c := range map[string]struct {
		ref     string // by which c refers to f; f@1 is latest and prod
		push    Registration
		differs string // "": it is let pass
	}{
		"an input less":             {"f", other(), `input "b" is gone`},
		"latest by its name":        {"f@latest", other(), `input "b" is gone`},
		"by a tag":                  {"f@prod", other("prod"), `input "b" is gone`},
		"an input more":             {"f", changed(sets("a", "b/item", "c"), out)(), `input "c" is new`},
		"an output less":            {"f", changed(in, sets("x"))(), `output "y" is gone`},
		"another name":              {"f", changed(in, sets("x", "z"))(), `output "y" is gone, output "z" is new`},
		"another type":              {"f", changed(sets("a", "b"), out)(), `input "b" is declared as set and was as item`},
		"no signature":              {"f", opened(), `it has no signature any more, input "b" is gone`},
		"many":                      {"f", changed(sets("1", "2", "3", "4"), out)(), `input "a" is gone, input "b" is gone, input "1" is new, input "2" is new, input "3" is new, and 1 more`},
		"another order":             {"f", changed(sets("b/item", "a"), sets("y", "x"))(), ""},
		"another content type":      {"f", changed(in, named)(), ""},
		"the same sets":             {"f", changed(in, out)(), ""},
		"another tag":               {"f", other("prod"), ""},
		"by a tag, another":         {"f@prod", other(), ""},
		"by number":                 {"f@1", other("latest", "prod"), ""},
		"by digest":                 {"f@digest", other("latest", "prod"), ""},
		"a new tag":                 {"f", other("new"), ""},
		"a tag that is there again": {"f", one("latest"), ""},
	} {
		for _, how := range []string{"put", "tag", "force", "force a tag"} {
			t.Run(name+", "+how, func(t *testing.T) {
				r := open(t, t.TempDir())
				r.db.NoSync = true
				v := put(t, r, one("latest", "prod"))
				ref := strings.Replace(c.ref, "digest", v.Digest.String(), 1)
				put(t, r, composition(t, r, "c", ref))
				put(t, r, composition(t, r, "innocent", "f@1"))
				var err error
				switch how {
				case "put", "force":
					reg := c.push
					reg.Force = how == "force"
					_, _, err = r.Put(t.Context(), reg)
				default:
					reg := c.push
					reg.Tags = []string{"aside"}
					v := put(t, r, reg)
					for _, tag := range append(slices.Clone(c.push.Tags), LatestTag)[:max(1, len(c.push.Tags))] {
						_, setErr := r.SetTag(t.Context(), DefaultTenant, "f", tag, Ref{Name: "f", Number: v.Number}, Change{Force: how == "force a tag"})
						err = errors.Join(err, setErr)
					}
				}
				_, runs := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: "c"})
				if c.differs == "" || strings.HasPrefix(how, "force") {
					var broken *UsesError
					if err != nil || (runs != nil) != (c.differs != "") || runs != nil && (!errors.As(runs, &broken) || broken.Uses[0].Differs != c.differs) {
						t.Fatalf("%v; then a run: %v", err, runs)
					}
					return
				}
				var breaks *BreaksError
				if !errors.As(err, &breaks) || breaks.Version != "f@2" || breaks.More != 0 ||
					!slices.Equal(breaks.Users, []User{{"c", 1, parse(t, ref), c.differs}}) || !strings.Contains(err.Error(), "c@1 uses "+ref+" ("+c.differs+")") {
					t.Fatalf("%v", err)
				}
				if n := number(t, r, ref); n != 1 || runs != nil {
					t.Errorf("it is visible: version %d, %v", n, runs)
				}
				if how == "put" && number(t, r, "f@2") != 0 {
					t.Error("the version is there")
				}
			})
		}
	}
}

// What is in use stays, unless forced.
func TestInUse(t *testing.T) {
	deleting := func(text string) func(*testing.T, *Registry, bool) error {
		return func(t *testing.T, r *Registry, force bool) error {
			return r.Delete(t.Context(), DefaultTenant, parse(t, text), Change{Force: force})
		}
	}
	removing := func(tag string) func(*testing.T, *Registry, bool) error {
		return func(t *testing.T, r *Registry, force bool) error {
			return r.RemoveTag(t.Context(), DefaultTenant, "f", tag, Change{Force: force})
		}
	}
	// f@1 is prod, f@2 latest, f@3 has no tag.
	for _, c := range []struct {
		ref    string
		remove func(*testing.T, *Registry, bool) error
		used   string // "": nobody minds
	}{
		{"f", deleting("f"), "f"},
		{"f@3", deleting("f"), "f"},
		{"f@3", deleting("f@3"), "f@3"},
		{"f@digest", deleting("f@3"), "f@3"},
		{"f", deleting("f@3"), ""},
		{"f", removing("latest"), "f@latest"},
		{"f@latest", removing("latest"), "f@latest"},
		{"f@prod", removing("prod"), "f@prod"},
		{"f", removing("prod"), ""},
		{"f@1", removing("prod"), ""},
		{"g", deleting("f"), ""},
	} {
		for _, force := range []bool{false, true} {
			r := open(t, t.TempDir())
			r.db.NoSync = true
			put(t, r, registration("g", "one"))
			put(t, r, registration("f", "one", "prod"))
			put(t, r, registration("f", "two"))
			three := put(t, r, registration("f", "three", "x"))
			if err := r.RemoveTag(t.Context(), DefaultTenant, "f", "x", Change{}); err != nil {
				t.Fatal(err)
			}
			ref := strings.Replace(c.ref, "digest", three.Digest.String(), 1)
			put(t, r, composition(t, r, "c", ref))
			err := c.remove(t, r, force)
			_, runs := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: "c"})
			if force || c.used == "" {
				var broken *UsesError
				if err != nil || (runs != nil) != (c.used != "") || runs != nil && (!errors.As(runs, &broken) || broken.Uses[0].Missing == nil) {
					t.Errorf("%s, forced %v: %v; then a run: %v", c.ref, force, err, runs)
				}
				continue
			}
			var used *InUseError
			if !errors.Is(err, ErrInUse) || !errors.As(err, &used) || used.What != c.used || !slices.Equal(used.Users, []User{{"c", 1, parse(t, ref), ""}}) || runs != nil {
				t.Errorf("%s: %v; then a run: %v", c.ref, err, runs)
			}
		}
	}
	r := open(t, t.TempDir())
	put(t, r, registration("f", "one"))
	if err := r.Delete(t.Context(), DefaultTenant, parse(t, "f@1"), Change{Force: true}); !errors.Is(err, ErrInUse) {
		t.Errorf("a version that a tag names, forced: %v", err)
	}
}

// Versions that no tag names are history, and nobody minds them, unless one
// that counts pins them.
func TestHistoryDoesNotCount(t *testing.T) {
	r := open(t, t.TempDir())
	put(t, r, registration("f", "one"))
	put(t, r, registration("g", "one"))
	put(t, r, composition(t, r, "c", "f"))
	put(t, r, composition(t, r, "d", "c@1"))
	put(t, r, composition(t, r, "c", "g")) // c@1 is history, and d pins it
	var used *InUseError
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{}); !errors.As(err, &used) || used.Users[0].Name != "c" || used.Users[0].Number != 1 {
		t.Fatalf("d reaches it through c@1: %v", err)
	}
	put(t, r, composition(t, r, "d", "g")) // now nobody does
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{}); err != nil {
		t.Errorf("only history uses it: %v", err)
	}
	// History that comes back is checked like a registration.
	for _, back := range []string{"c", "d"} {
		_, err := r.SetTag(t.Context(), DefaultTenant, back, "old", Ref{Name: back, Number: 1}, Change{Force: true})
		var uses *UsesError
		if back == "c" && (!errors.As(err, &uses) || uses.User != "c@1" || uses.Uses[0].Ref != Ref{Name: "f"}) {
			t.Errorf("%s is back: %v", back, err)
		}
		if back == "d" && err != nil { // what it uses itself is there
			t.Errorf("%s: %v", back, err)
		}
	}
	// A composition goes with versions of it that use one another.
	put(t, r, composition(t, r, "own", "g"))
	put(t, r, composition(t, r, "own", "own@1"))
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "own", Number: 1}, Change{}); !errors.As(err, &used) {
		t.Errorf("own@2 uses it: %v", err)
	}
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "own"}, Change{}); err != nil {
		t.Error(err)
	}
}

// What changes between the check of a composition and its commit is seen.
func TestChangedMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*testing.T, *Registry) error
		missing bool
	}{
		"other sets": {func(t *testing.T, r *Registry) error {
			_, _, err := r.Put(t.Context(), function("f", "two", sets("a/item"), sets("b")))
			return err
		}, false},
		"deleted": {func(t *testing.T, r *Registry) error {
			return r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{})
		}, true},
		"no tag": {func(t *testing.T, r *Registry) error {
			return r.RemoveTag(t.Context(), DefaultTenant, "f", LatestTag, Change{})
		}, true},
	} {
		r := open(t, t.TempDir())
		put(t, r, function("f", "one", sets("a"), sets("b")))
		reg := composition(t, r, "c", "f")
		reg.Force = true // does not help
		reg.Approve = func() error { return c.change(t, r) }
		_, _, err := r.Put(t.Context(), reg)
		var uses *UsesError
		if !errors.As(err, &uses) || uses.User != "c@1" || len(uses.Uses) != 1 || uses.Uses[0].Ref != (Ref{Name: "f"}) ||
			(uses.Uses[0].Missing != nil) != c.missing || (uses.Uses[0].Differs == "") != c.missing {
			t.Errorf("%s: %v", name, err)
		}
		if number(t, r, "c") != 0 {
			t.Errorf("%s: it is there", name)
		}
	}
}

func TestCycles(t *testing.T) {
	r := open(t, t.TempDir())
	put(t, r, registration("f", "one"))
	put(t, r, composition(t, r, "a", "f"))
	put(t, r, composition(t, r, "b", "a"))
	put(t, r, composition(t, r, "c", "b", "a@1"))
	wantCycle := func(err error, path ...string) {
		t.Helper()
		var cycle *CycleError
		if !errors.As(err, &cycle) || !slices.Equal(cycle.Path, path) || !strings.Contains(err.Error(), strings.Join(path, " → ")) {
			t.Errorf("%v, want %v", err, path)
		}
	}
	own := composition(t, r, "a", "a")
	_, _, err := r.Put(t.Context(), own)
	wantCycle(err, "a@2", "a@2")
	long := composition(t, r, "a", "f", "c")
	long.Force = true // does not help
	_, _, err = r.Put(t.Context(), long)
	wantCycle(err, "a@2", "c@1", "b@1", "a@2")
	// As it is tagged now it reaches a@1; moving the tag would close the ring.
	long.Tags = []string{"next"}
	put(t, r, long)
	_, err = r.SetTag(t.Context(), DefaultTenant, "a", LatestTag, parse(t, "a@next"), Change{Force: true})
	wantCycle(err, "a@2", "c@1", "b@1", "a@2")
	put(t, r, composition(t, r, "a", "a@1")) // another version of itself is none
	if all, err := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: "a", Tag: "next"}); err != nil ||
		outline(all[0]) != "a@2(f@1()c@1(b@1(a@3(a@1(f@1())))a@1(f@1())))" {
		t.Errorf("%v", err)
	}
	e := &CycleError{}
	for i := range 12 {
		e.Path = append(e.Path, fmt.Sprint(i))
	}
	if text := e.Error(); !strings.HasSuffix(text, ": 0 → 1 → 2 → 3 → 4 → 2 more → 7 → 8 → 9 → 10 → 11") {
		t.Error(text)
	}
}

// The work is bounded by references, not by the paths through them.
func TestReach(t *testing.T) {
	r := open(t, t.TempDir())
	r.db.NoSync = true
	put(t, r, registration("f", "one"))
	last := "f"
	for i := range 64 { // 2⁶⁴ paths
		name := fmt.Sprintf("c%d", i)
		put(t, r, composition(t, r, name, last, last+"@1"))
		last = name
	}
	all, err := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: last})
	if err != nil {
		t.Fatal(err)
	}
	depth := 0
	for at := all[0]; len(at.Uses) > 0; at = at.Uses[1] {
		depth++
		if at.Uses[0] != at.Uses[1] {
			t.Error("a version is there twice")
		}
	}
	if depth != 64 {
		t.Errorf("depth %d", depth)
	}
	if _, err := r.ResolveAll(t.Context(), DefaultTenant, slices.Repeat([]Ref{{Name: last, Number: 1}}, MaxUses)...); !errors.Is(err, ErrTooLarge) {
		t.Errorf("many at once: %v", err)
	}
	// 3 × 4,000 references are too many for one that reaches them all.
	many := func(name string) Registration {
		reg := composition(t, r, name, "f")
		use := reg.Uses[0]
		reg.Uses = nil
		for i := range 4000 {
			use.Tag = fmt.Sprintf("t%d", i)
			reg.Uses = append(reg.Uses, use)
		}
		return reg
	}
	tags := registration("f", "one")
	for _, use := range many("c").Uses {
		tags.Tags = append(tags.Tags, use.Tag)
	}
	put(t, r, tags)
	for _, name := range []string{"x", "y", "z"} {
		put(t, r, many(name))
	}
	put(t, r, composition(t, r, "two", "x", "y"))
	if _, _, err := r.Put(t.Context(), composition(t, r, "three", "x", "y", "z")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than %d references: %v", MaxUses, err)
	}
	// An error tells of some and counts the rest.
	broken := function("f", "two", sets("a"), sets("b"))
	broken.Tags = tags.Tags
	_, _, err = r.Put(t.Context(), broken)
	var breaks *BreaksError
	if !errors.As(err, &breaks) || len(breaks.Users) != maxTold || breaks.More != 3*4000-maxTold || len(err.Error()) > 2000 {
		t.Errorf("%v", err)
	}
}

func TestResolveAll(t *testing.T) {
	r := open(t, t.TempDir())
	put(t, r, registration("f", "one"))
	put(t, r, registration("g", "one"))
	put(t, r, composition(t, r, "inner", "f", "g@latest"))
	put(t, r, composition(t, r, "outer", "inner", "g@1"))
	put(t, r, composition(t, r, "apart", "g"))
	ref := Ref{Name: "outer"}
	get := func(want string) *Resolved {
		t.Helper()
		all, err := r.ResolveAll(t.Context(), DefaultTenant, ref, Ref{Name: "apart"})
		if err != nil || len(all) != 2 || outline(all[0]) != want {
			t.Fatalf("%v: %v, want %s", all, err, want)
		}
		return all[0]
	}
	first := get("outer@1(inner@1(f@1()g@1())g@1())")
	if v := first.Version; v.Source == "" || len(v.Graph) == 0 || len(v.Uses) != 2 || len(first.Uses[0].Version.Graph) == 0 {
		t.Errorf("it lacks what a run needs: %+v", v)
	}
	if get("outer@1(inner@1(f@1()g@1())g@1())") != first {
		t.Error("it was read again")
	}
	put(t, r, registration("other", "one"))
	if get("outer@1(inner@1(f@1()g@1())g@1())") != first {
		t.Error("a name that is not part of it made it be read again")
	}
	put(t, r, registration("g", "two"))
	get("outer@1(inner@1(f@1()g@2())g@1())")
	if _, err := r.SetTag(t.Context(), DefaultTenant, "g", LatestTag, parse(t, "g@1"), Change{}); err != nil {
		t.Fatal(err)
	}
	get("outer@1(inner@1(f@1()g@1())g@1())")
	put(t, r, composition(t, r, "inner", "f"))
	get("outer@1(inner@2(f@1())g@1())")
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{Force: true}); err != nil {
		t.Fatal(err)
	}
	_, err := r.ResolveAll(t.Context(), DefaultTenant, ref)
	var uses *UsesError
	var missing *NotFoundError
	if !errors.As(err, &uses) || uses.User != "inner@2" || errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
	if _, err := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: "gone"}); !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
	if all, err := r.ResolveAll(t.Context(), DefaultTenant); err != nil || len(all) != 0 {
		t.Errorf("nothing: %v, %v", all, err)
	}
	// A failed write leaves what is known in order.
	failed := errors.New("failed")
	r.files.before = func(string) error { return failed }
	if _, err := r.SetTag(t.Context(), DefaultTenant, "g", LatestTag, parse(t, "g@2"), Change{}); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	r.files.before = nil
	if all, err := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: "apart"}); err != nil || outline(all[0]) != "apart@1(g@1())" {
		t.Errorf("%v", err)
	}
	if len(r.cache.writing) != 0 {
		t.Errorf("writes that never end: %v", r.cache.writing)
	}
}

func TestResolveAllNeedsNoStore(t *testing.T) {
	r := open(t, t.TempDir())
	put(t, r, registration("f", "code"))
	put(t, r, composition(t, r, "c", "f"))
	ref := Ref{Name: "c", Number: 1}
	resolve := func() {
		if _, err := r.ResolveAll(t.Context(), DefaultTenant, ref); err != nil {
			t.Error(err)
		}
	}
	resolve()
	if n := testing.AllocsPerRun(100, resolve); n > 1 {
		t.Errorf("a known composition takes %v allocations", n)
	}
}

// What the cache counts is what it holds, however it got there.
func TestCacheSize(t *testing.T) {
	r := open(t, t.TempDir())
	r.db.NoSync = true
	put(t, r, registration("f", "one"))
	big := composition(t, r, "big", "f")
	big.Graph = make([]byte, 4<<20)
	put(t, r, big)
	check := func() {
		t.Helper()
		size := 0
		for _, refs := range r.cache.versions {
			for _, v := range refs {
				size += sizeOf(v)
			}
		}
		for _, known := range r.cache.closures {
			size += known.size
		}
		if size != r.cache.size || size > maxCached {
			t.Fatalf("it holds %d and counts %d", size, r.cache.size)
		}
	}
	for i := range 30 { // 4 MiB each
		name := fmt.Sprintf("c%d", i)
		put(t, r, composition(t, r, name, "big"))
		for range 2 {
			if _, err := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		number(t, r, name)
		check()
	}
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "big"}, Change{Force: true}); err != nil {
		t.Fatal(err)
	}
	check()
	if len(r.cache.closures) != 0 || len(r.cache.within) != 0 {
		t.Errorf("%d closures are left, %d names", len(r.cache.closures), len(r.cache.within))
	}
}

// Tags of two names are moved together with what applies them, while runs look:
// every run sees one moment, and what was acknowledged.
func TestConcurrentCompositions(t *testing.T) {
	r := open(t, t.TempDir())
	r.db.NoSync = true
	for i := range 4 {
		put(t, r, registration("a", fmt.Sprint(i)))
		put(t, r, registration("b", fmt.Sprint(i)))
	}
	put(t, r, composition(t, r, "c", "a", "b"))
	// a moves first and b follows: b is never ahead, and at most one behind.
	set := func(name string, n int64) {
		if _, err := r.SetTag(t.Context(), DefaultTenant, name, LatestTag, Ref{Name: name, Number: n}, Change{}); err != nil {
			t.Error(err)
		}
	}
	set("a", 1)
	set("b", 1)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				all, err := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: "c"}, Ref{Name: "a"}, Ref{Name: "b"})
				if err != nil {
					t.Error(err)
					return
				}
				a, b := all[1].Version.Number, all[2].Version.Number
				if (a-b+4)%4 > 1 || all[0].Uses[0].Version.Number != a || all[0].Uses[1].Version.Number != b {
					t.Errorf("a@%d with b@%d, and %s", a, b, outline(all[0]))
					return
				}
			}
		})
	}
	wg.Go(func() { // writes of other names
		for i := 0; ctx.Err() == nil; i++ {
			put(t, r, composition(t, r, "d", "a@1", fmt.Sprintf("b@%d", 1+i%4)))
		}
	})
	for i := range int64(160) {
		n := 1 + (i+1)%4
		for _, name := range []string{"a", "b"} {
			set(name, n)
			all, err := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: "c"})
			if err != nil || all[0].Uses[map[string]int{"a": 0, "b": 1}[name]].Version.Number != n {
				t.Errorf("what was acknowledged is not seen: %v", err)
			}
		}
	}
	cancel()
	wg.Wait()
}

// Pushes of functions and compositions at once: whatever the order, none that
// counts is broken.
func TestConcurrentPushes(t *testing.T) {
	r := open(t, t.TempDir())
	r.db.NoSync = true
	put(t, r, function("f", "0", sets("a"), sets("b")))
	var wg sync.WaitGroup
	refused := make(chan string, 1000)
	for g := range 6 {
		wg.Go(func() {
			for i := range 30 {
				var reg Registration
				if g%2 == 0 {
					reg = function("f", fmt.Sprint(i%2), signatures()[(g/2+i)%2].Inputs, sets("b"))
				} else {
					reg = Registration{Tenant: DefaultTenant, Name: fmt.Sprintf("c%d", g), Kind: KindComposition, Graph: fmt.Append(nil, i)}
					reg.Uses = []Use{{Name: "f", Signature: signatures()[(g/2+i)%2]}}
				}
				_, _, err := r.Put(t.Context(), reg)
				if reason := reasonOf(err); err != nil && reason != reasonUses && reason != reasonBreaks {
					t.Error(err)
				} else if err != nil {
					refused <- reason
				}
				if g%2 == 1 && i%5 == 4 {
					if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: reg.Name}, Change{}); err != nil && reasonOf(err) != reasonGone {
						t.Error(err)
					}
				}
				for _, name := range []string{"c1", "c3", "c5"} {
					if _, err := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: name}); err != nil && reasonOf(err) != reasonGone {
						t.Errorf("%s is broken: %v", name, err)
					}
				}
			}
		})
	}
	wg.Wait()
	if len(refused) == 0 {
		t.Error("nothing was refused")
	}
}

// A composition whose records are damaged is told of, by whoever meets it.
func TestDamagedCompositions(t *testing.T) {
	for _, c := range []struct {
		bucket     []byte
		value      string // "": the record is removed
		atOpen     bool
		atResolve  bool
		pushBreaks bool // a push of what it uses fails
	}{
		{bucketCompositions, "", true, true, false},
		{bucketCompositions, "{", true, true, false},
		{bucketCompositions, `{"graph": "?"}`, true, true, false},
		{bucketReferences, "", true, true, false},
		{bucketReferences, `{"uses": 7}`, true, true, false},
		{bucketReferences, `{"uses": [{"name": "f", "digest": "x"}]}`, true, true, false},
		{bucketVersions, `{"kind": "thing"}`, true, true, false},
		{bucketVersions, "{", true, true, false},
		{bucketUsers, "{", false, false, true},
	} {
		dir := t.TempDir()
		r := open(t, dir)
		put(t, r, function("f", "one", sets("a"), sets("b")))
		put(t, r, composition(t, r, "c", "f"))
		if err := r.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(c.bucket)
			k := versionKey(DefaultTenant, "c", 1)
			if b.Get(k) == nil {
				k, _ = b.Cursor().First()
			}
			if c.value == "" {
				return b.Delete(k)
			}
			return b.Put(k, []byte(c.value))
		}); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("%s with %q", c.bucket, c.value)
		_, err := r.Resolve(t.Context(), DefaultTenant, Ref{Name: "c"})
		_, allErr := r.ResolveAll(t.Context(), DefaultTenant, Ref{Name: "c"})
		if errors.Is(err, ErrDamaged) != c.atResolve || errors.Is(allErr, ErrDamaged) != c.atResolve {
			t.Errorf("%s: %v, %v", what, err, allErr)
		}
		_, _, err = r.Put(t.Context(), function("f", "two", sets("a"), sets("b")))
		if errors.Is(err, ErrDamaged) != c.pushBreaks {
			t.Errorf("%s: a push: %v", what, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir, Options{})
		if errors.Is(err, ErrDamaged) != c.atOpen {
			t.Errorf("%s: open: %v", what, err)
		}
		if err == nil {
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Every step of what changes compositions fails once, and leaves nothing.
func TestEveryStepOfCompositionsCanFail(t *testing.T) {
	injected := errors.New("injected")
	r := open(t, t.TempDir())
	put(t, r, registration("f", "one"))
	put(t, r, registration("f", "two", "aside"))
	put(t, r, composition(t, r, "c", "f@1"))
	put(t, r, composition(t, r, "c", "f"))
	before := userRows(t, r, []string{"f", "c"})
	for name, change := range map[string]func() error{
		"put": func() error {
			_, _, err := r.Put(t.Context(), composition(t, r, "c", "f", "f@2"))
			return err
		},
		"tag": func() error {
			_, err := r.SetTag(t.Context(), DefaultTenant, "c", "old", Ref{Name: "c", Number: 1}, Change{})
			return err
		},
		"untag":  func() error { return r.RemoveTag(t.Context(), DefaultTenant, "c", LatestTag, Change{}) },
		"delete": func() error { return r.Delete(t.Context(), DefaultTenant, Ref{Name: "c"}, Change{}) },
	} {
		steps := 0
		r.files.before = func(string) error {
			steps++
			return injected
		}
		err := change()
		r.files.before = nil
		if !errors.Is(err, injected) || steps != 1 {
			t.Errorf("%s: %v after %d steps", name, err, steps)
		}
		if after := userRows(t, r, []string{"f", "c"}); !maps.Equal(before, after) {
			t.Errorf("%s: users are %v, want %v", name, after, before)
		}
		if number(t, r, "c") != 2 || number(t, r, "c@3") != 0 || number(t, r, "c@old") != 0 {
			t.Errorf("%s: something of it is visible", name)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	user := User{Name: "c", Number: 3, Ref: Ref{Name: "f", Tag: "prod"}}
	differing := user
	differing.Differs = `input "a" is gone`
	missing := &NotFoundError{What: "tag", Name: "f@prod"}
	for want, err := range map[string]error{
		`function "b" not found; it is a composition`:                                                                                                  &NotFoundError{What: "function", Name: "b", Other: KindComposition},
		`f@2 is in use: c@3 uses f@prod; and 7 more; change them first, or force it`:                                                                   &InUseError{What: "f@2", Users: []User{user}, More: 7},
		`f is in use: c@3 uses f@prod; c@3 uses f@prod; c@3 uses f@prod; c@3 uses f@prod; c@3 uses f@prod; and 1 more; change them first, or force it`: &InUseError{What: "f", Users: slices.Repeat([]User{user}, 6)},
		`the signature of f@2 breaks compositions: c@3 uses f@prod (input "a" is gone); use another tag, or force it`:                                  &BreaksError{Version: "f@2", Users: []User{differing}},
		`what c@3 uses is not what it was checked against: tag "f@prod" not found; g has other sets (output "x" is new); push it again`: &UsesError{
			User: "c@3", Uses: []BadUse{{Ref: Ref{Name: "f", Tag: "prod"}, Missing: missing}, {Ref: Ref{Name: "g"}, Differs: `output "x" is new`}},
		},
		`a composition would apply itself: a@1 → b@2 → a@1`: &CycleError{Path: []string{"a@1", "b@2", "a@1"}},
	} {
		if err.Error() != want {
			t.Errorf("%s\nwant %s", err, want)
		}
	}
}

func TestUsesAsJSON(t *testing.T) {
	uses := []Use{
		{Name: "f", Signature: engine.OpenSignature()},
		{Name: "f", Tag: "x", Signature: engine.Signature{Inputs: sets("a/item"), Outputs: sets()}},
		{Name: "f", Number: 3, Signature: engine.Signature{Inputs: sets(), Outputs: sets()}},
		{Name: "f", Digest: data.Sum(nil), Signature: engine.Signature{Inputs: sets(), Outputs: sets()}},
	}
	b, err := encodeReferences(uses)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeReferences(b, versionID{})
	if err != nil || !reflect.DeepEqual(got, uses) || !json.Valid(b) {
		t.Errorf("%s: %v, %v", b, got, err)
	}
}

func BenchmarkResolveAll(b *testing.B) {
	r := open(b, b.TempDir())
	r.db.NoSync = true
	var refs []string
	for i := range 100 {
		name := fmt.Sprintf("f%d", i)
		put(b, r, registration(name, name))
		refs = append(refs, name)
	}
	put(b, r, composition(b, r, "c", refs...))
	one := []Ref{{Name: "c", Number: 1}}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.ResolveAll(b.Context(), DefaultTenant, one...); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("known-parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := r.ResolveAll(b.Context(), DefaultTenant, one...); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("changed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.cache.write(DefaultTenant, "f7")
			r.cache.written(DefaultTenant, "f7")
			if _, err := r.ResolveAll(b.Context(), DefaultTenant, one...); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("each-alone", func(b *testing.B) { // 100 names, one after another, all known
		b.ReportAllocs()
		for b.Loop() {
			for _, name := range refs {
				if _, err := r.Resolve(b.Context(), DefaultTenant, Ref{Name: name}); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// What a push of a function costs that many compositions use.
func BenchmarkPutUsed(b *testing.B) {
	for _, users := range []int{0, 10, 1000} {
		b.Run(fmt.Sprint(users), func(b *testing.B) {
			r := open(b, b.TempDir())
			r.db.NoSync = true
			put(b, r, registration("f", "one"))
			for i := range users {
				put(b, r, composition(b, r, fmt.Sprintf("c%d", i), "f"))
			}
			put(b, r, registration("f", "two", "x"))
			tags := []int64{1, 2}
			i := 0
			for b.Loop() {
				i++
				if _, err := r.SetTag(b.Context(), DefaultTenant, "f", LatestTag, Ref{Name: "f", Number: tags[i%2]}, Change{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
