package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pappus/engine"
)

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
