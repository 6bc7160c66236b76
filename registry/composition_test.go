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
