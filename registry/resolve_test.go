package registry

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

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
	tags := make([]string, MaxTags)
	for i := range tags {
		tags[i] = fmt.Sprintf("t%d", i)
	}
	tagged := []string{"g0", "g1", "g2", "g3"}
	for _, name := range tagged {
		put(t, r, registration(name, "one", tags...))
	}
	many := func(name string) Registration {
		reg := composition(t, r, name, "g0@t0", "g1@t0", "g2@t0", "g3@t0")
		uses := reg.Uses
		reg.Uses = nil
		for _, use := range uses {
			for _, use.Tag = range tags {
				reg.Uses = append(reg.Uses, use)
			}
		}
		return reg
	}
	for _, name := range []string{"x", "y", "z"} {
		put(t, r, many(name))
	}
	put(t, r, composition(t, r, "two", "x", "y"))
	if _, _, err := r.Put(t.Context(), composition(t, r, "three", "x", "y", "z")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than %d references: %v", MaxUses, err)
	}
	// An error tells of some and counts the rest.
	broken := function(tagged[0], "two", sets("a"), sets("b"))
	broken.Tags = tags
	_, _, err = r.Put(t.Context(), broken)
	var breaks *BreaksError
	if !errors.As(err, &breaks) || len(breaks.Users) != maxTold || breaks.More != 3*MaxTags-maxTold || len(err.Error()) > 2000 {
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
