package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
)

// model is what a registry is to be, told in the slowest way: maps, and rules
// that look at all of it before and after a change.
type model map[string]*modelName

type modelName struct {
	kind     Kind // "" once all versions are gone
	versions []modelVersion
	tags     map[string]int64
}

type modelVersion struct {
	gone   bool
	what   string // what makes it what it is
	code   string
	digest data.Digest
	sig    engine.Signature
	uses   []Use
}

func (m model) clone() model {
	c := model{}
	for name, n := range m {
		c[name] = &modelName{kind: n.kind, versions: slices.Clone(n.versions), tags: maps.Clone(n.tags)}
	}
	return c
}

// version is one that exists, or nil.
func (m model) version(id versionID) *modelVersion {
	n := m[id.name]
	if n == nil || id.number < 1 || id.number > int64(len(n.versions)) || n.versions[id.number-1].gone {
		return nil
	}
	return &n.versions[id.number-1]
}

func (m model) resolve(ref Ref) (versionID, *modelVersion) {
	id := versionID{name: ref.Name, number: ref.Number}
	n := m[ref.Name]
	if n == nil {
		return id, nil
	}
	switch {
	case !ref.Digest.IsZero():
		id.number = 1 + int64(slices.IndexFunc(n.versions, func(v modelVersion) bool { return !v.gone && v.digest == ref.Digest }))
	case ref.Number == 0:
		id.number = n.tags[cmp.Or(ref.Tag, LatestTag)]
	}
	return id, m.version(id)
}

func (m model) all() (ids []versionID) {
	for name, n := range m {
		for i := range n.versions {
			if id := (versionID{name, int64(i + 1)}); m.version(id) != nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// counted are the versions that count as users: those that tags name, and those
// that such ones pin.
func (m model) counted() map[versionID]bool {
	counted := map[versionID]bool{}
	for name, n := range m {
		for _, number := range n.tags {
			counted[versionID{name, number}] = true
		}
	}
	for before := -1; before != len(counted); {
		before = len(counted)
		for id := range maps.Clone(counted) {
			for _, use := range m.version(id).uses {
				if target, v := m.resolve(use.Ref()); v != nil && use.pinned() {
					counted[target] = true
				}
			}
		}
	}
	return counted
}

// reaches reports whether a version reaches another by one use or more.
func (m model) reaches(from, to versionID) bool {
	seen := map[versionID]bool{}
	next := []versionID{from}
	for len(next) > 0 {
		id := next[0]
		next = next[1:]
		for _, use := range m.version(id).uses {
			target, v := m.resolve(use.Ref())
			if v == nil || seen[target] {
				continue
			}
			if target == to {
				return true
			}
			seen[target] = true
			next = append(next, target)
		}
	}
	return false
}

func same(a, b engine.Signature) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// sound reports whether a version and all that it reaches is as it was checked.
func (m model) sound(v *modelVersion) bool {
	return !slices.ContainsFunc(v.uses, func(use Use) bool {
		_, target := m.resolve(use.Ref())
		return target == nil || !same(target.sig, use.Signature) || !m.sound(target)
	})
}

// Reasons for which a change is refused.
const (
	reasonUses   = "uses"
	reasonCycle  = "cycle"
	reasonBreaks = "breaks"
	reasonInUse  = "in use"
	reasonKind   = "other kind"
	reasonGone   = "not found"
)

// reasons against a change of m to after, which lets tags name set, if it has
// a name, and removes the name removed, if it is one.
func (m model) reasons(after model, set versionID, removed string, force bool) (list []string) {
	if set.name != "" {
		for _, use := range after.version(set).uses {
			if _, target := after.resolve(use.Ref()); target == nil || !same(target.sig, use.Signature) {
				list = append(list, reasonUses)
			}
		}
		for _, id := range after.all() {
			if after.reaches(id, id) {
				list = append(list, reasonCycle)
			}
		}
	}
	if force {
		return list
	}
	for id := range after.counted() {
		for _, use := range after.version(id).uses {
			was, before := m.resolve(use.Ref())
			is, now := after.resolve(use.Ref())
			switch {
			case before != nil && now == nil, use.Name == removed:
				list = append(list, reasonInUse)
			case now != nil && (before == nil || was != is) && !same(now.sig, use.Signature):
				list = append(list, reasonBreaks)
			}
		}
	}
	return list
}

func reasonOf(err error) string {
	var (
		uses    *UsesError
		cycle   *CycleError
		breaks  *BreaksError
		missing *NotFoundError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &uses):
		return reasonUses
	case errors.As(err, &cycle):
		return reasonCycle
	case errors.As(err, &breaks):
		return reasonBreaks
	case errors.As(err, &missing):
		return reasonGone
	case errors.Is(err, ErrInUse):
		return reasonInUse
	case errors.Is(err, ErrOtherKind):
		return reasonKind
	}
	return err.Error()
}

// tester drives a registry and the model of it.
type tester struct {
	r     *Registry
	model model
	dir   string
}

func (s *tester) open(t *rapid.T) {
	r, err := Open(s.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.db.NoSync = true // nothing is killed here
	s.r = r
}

// settle takes what a change made of the model, if it was to succeed.
func (s *tester) settle(t *rapid.T, what string, err error, after model, reasons []string) bool {
	reason := reasonOf(err)
	if len(reasons) == 0 && err != nil || len(reasons) > 0 && !slices.Contains(reasons, reason) {
		t.Fatalf("%s: %v; the model says %q", what, err, reasons)
	}
	if err == nil {
		s.model = after
	}
	return err == nil
}

func signatures() []engine.Signature {
	return []engine.Signature{
		{Inputs: sets("a"), Outputs: sets("b")},
		{Inputs: sets("a/item"), Outputs: sets("b")},
	}
}

func (s *tester) put(t *rapid.T, reg Registration, what string) {
	reg.Tenant = DefaultTenant
	reg.Force = rapid.IntRange(0, 5).Draw(t, "force") == 0
	if tag := rapid.SampledFrom([]string{"", "", "beta"}).Draw(t, "tag"); tag != "" {
		reg.Tags = []string{tag}
	}
	after := s.model.clone()
	n := after[reg.Name]
	if n == nil {
		n = &modelName{tags: map[string]int64{}}
		after[reg.Name] = n
	}
	var reasons []string
	number := 1 + slices.IndexFunc(n.versions, func(v modelVersion) bool { return !v.gone && v.what == what })
	fresh := number == 0
	if n.kind != "" && n.kind != reg.Kind {
		reasons = []string{reasonKind}
	} else {
		n.kind = reg.Kind
		if fresh {
			n.versions = append(n.versions, modelVersion{what: what, code: string(reg.Code["wasm"]), sig: reg.Signature, uses: reg.Uses})
			number = len(n.versions)
		}
		n.tags[cmp.Or(strings.Join(reg.Tags, ""), LatestTag)] = int64(number)
		reasons = s.model.reasons(after, versionID{reg.Name, int64(number)}, "", reg.Force)
	}
	v, created, err := s.r.Put(context.Background(), reg)
	if !s.settle(t, "put "+what, err, after, reasons) {
		return
	}
	if created != fresh || v.Number != int64(number) || v.Source != reg.Source || len(v.Uses) != len(reg.Uses) {
		t.Fatalf("put %s: version %+v, created %v; want %d, %v", what, v, created, number, fresh)
	}
	n.versions[number-1].digest = v.Digest
}

func (s *tester) ref(t *rapid.T, names ...string) Ref {
	ref := Ref{Name: rapid.SampledFrom(names).Draw(t, "name")}
	number := rapid.Int64Range(1, 4).Draw(t, "number")
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 1:
		ref.Tag = rapid.SampledFrom([]string{"latest", "beta"}).Draw(t, "tag")
	case 2:
		ref.Number = number
	case 3:
		if v := s.model.version(versionID{ref.Name, number}); v != nil {
			ref.Digest = v.digest
		}
	}
	return ref
}

func (s *tester) putFunction(t *rapid.T) {
	name, code := rapid.SampledFrom([]string{"f", "g"}).Draw(t, "name"), rapid.SampledFrom([]string{"one", "two"}).Draw(t, "code")
	sig := rapid.SampledFrom(signatures()).Draw(t, "signature")
	reg := registration(name, code)
	reg.Kind, reg.Signature = KindFunction, sig
	s.put(t, reg, fmt.Sprint(name, code, sig))
}

func (s *tester) putComposition(t *rapid.T) {
	reg := Registration{Kind: KindComposition, Name: rapid.SampledFrom([]string{"c", "d", "e", "g"}).Draw(t, "name")}
	reg.Signature = rapid.SampledFrom(signatures()).Draw(t, "signature")
	for range rapid.IntRange(0, 2).Draw(t, "uses") {
		ref := s.ref(t, "f", "g", "c", "d", "e")
		use := Use{Name: ref.Name, Tag: ref.Tag, Number: ref.Number, Digest: ref.Digest, Signature: signatures()[0]}
		if _, v := s.model.resolve(ref); v != nil && rapid.IntRange(0, 9).Draw(t, "stale") > 0 {
			use.Signature = v.sig
		}
		if !slices.ContainsFunc(reg.Uses, func(u Use) bool { return u.Ref() == ref }) {
			reg.Uses = append(reg.Uses, use)
		}
	}
	what := fmt.Sprint(reg.Name, reg.Signature, reg.Uses)
	reg.Source = what
	reg.Graph = []byte(what)
	s.put(t, reg, what)
}

func (s *tester) change(t *rapid.T) (c Change, kind Kind) {
	c.Force = rapid.IntRange(0, 3).Draw(t, "force") == 0
	c.Kind = rapid.SampledFrom([]Kind{"", "", "", KindFunction, KindComposition}).Draw(t, "kind")
	return c, c.Kind
}

func (m model) is(name string, kind Kind) bool {
	n := m[name]
	return n != nil && n.kind != "" && (kind == "" || n.kind == kind)
}

func (s *tester) setTag(t *rapid.T) {
	target := s.ref(t, "f", "g", "c", "d", "e")
	tag := rapid.SampledFrom([]string{LatestTag, "beta"}).Draw(t, "to")
	change, kind := s.change(t)
	after := s.model.clone()
	reasons := []string{reasonGone}
	if id, v := s.model.resolve(target); v != nil && s.model.is(target.Name, kind) {
		after[id.name].tags[tag] = id.number
		reasons = s.model.reasons(after, id, "", change.Force)
	}
	_, err := s.r.SetTag(context.Background(), DefaultTenant, target.Name, tag, target, change)
	s.settle(t, fmt.Sprint("tag ", target, " ", tag), err, after, reasons)
}

func (s *tester) removeTag(t *rapid.T) {
	name := rapid.SampledFrom([]string{"f", "g", "c", "d", "e"}).Draw(t, "name")
	tag := rapid.SampledFrom([]string{LatestTag, "beta"}).Draw(t, "tag")
	change, kind := s.change(t)
	after := s.model.clone()
	reasons := []string{reasonGone}
	if s.model.is(name, kind) && s.model[name].tags[tag] != 0 {
		delete(after[name].tags, tag)
		reasons = s.model.reasons(after, versionID{}, "", change.Force)
	}
	err := s.r.RemoveTag(context.Background(), DefaultTenant, name, tag, change)
	s.settle(t, fmt.Sprint("remove tag ", name, "@", tag), err, after, reasons)
}

func (s *tester) remove(t *rapid.T) {
	ref := s.ref(t, "f", "g", "c", "d", "e")
	ref.Tag = ""
	change, kind := s.change(t)
	after := s.model.clone()
	reasons := []string{reasonGone}
	n := after[ref.Name]
	switch id, v := s.model.resolve(ref); {
	case !s.model.is(ref.Name, kind):
	case ref == Ref{Name: ref.Name}:
		for i := range n.versions {
			n.versions[i] = modelVersion{gone: true}
		}
		n.kind, n.tags = "", map[string]int64{}
		reasons = s.model.reasons(after, versionID{}, ref.Name, change.Force)
	case v == nil:
	case slices.Contains(slices.Collect(maps.Values(n.tags)), id.number):
		reasons = []string{reasonInUse}
	default:
		n.versions[id.number-1] = modelVersion{gone: true}
		if !slices.ContainsFunc(n.versions, func(v modelVersion) bool { return !v.gone }) {
			n.kind = ""
		}
		reasons = s.model.reasons(after, versionID{}, "", change.Force)
	}
	err := s.r.Delete(context.Background(), DefaultTenant, ref, change)
	s.settle(t, fmt.Sprint("delete ", ref), err, after, reasons)
}

// check compares all that can be asked.
func (s *tester) check(t *rapid.T) {
	ctx := context.Background()
	counted := s.model.counted()
	want := map[string]string{}
	for name, n := range s.model {
		for i := range n.versions {
			id := versionID{name, int64(i + 1)}
			s.checkVersion(t, id)
			if v := s.model.version(id); v != nil && counted[id] {
				for _, use := range v.uses {
					want[use.Name+" used by "+id.String()] += use.Ref().String() + " "
				}
			}
		}
		for _, tag := range []string{LatestTag, "beta"} {
			v, err := s.r.Resolve(ctx, DefaultTenant, Ref{Name: name, Tag: tag})
			if number := n.tags[tag]; number == 0 && reasonOf(err) != reasonGone || number != 0 && (err != nil || v.Number != number) {
				t.Fatalf("%s@%s is %v (%v), want %d", name, tag, v, err, number)
			}
		}
	}
	for _, kind := range []Kind{"", KindFunction, KindComposition} {
		page, _, err := s.r.List(ctx, DefaultTenant, kind, "", MaxPage)
		if err != nil {
			t.Fatal(err)
		}
		var got, names []string
		for _, v := range page {
			got = append(got, v.Name)
		}
		for name := range s.model {
			if s.model.is(name, kind) {
				names = append(names, name)
			}
		}
		if slices.Sort(names); !slices.Equal(got, names) {
			t.Fatalf("list of %q: %v, want %v", kind, got, names)
		}
	}
	if got := userRows(t, s.r, slices.Collect(maps.Keys(s.model))); !maps.Equal(got, want) {
		t.Fatalf("users are %v, want %v", got, want)
	}
}

func (s *tester) checkVersion(t *rapid.T, id versionID) {
	ctx := context.Background()
	ref := Ref{Name: id.name, Number: id.number}
	v, err := s.r.Resolve(ctx, DefaultTenant, ref)
	all, allErr := s.r.ResolveAll(ctx, DefaultTenant, ref)
	want := s.model.version(id)
	if want == nil {
		if reasonOf(err) != reasonGone || reasonOf(allErr) != reasonGone {
			t.Fatalf("%s is back: %v, %v", id, err, allErr)
		}
		return
	}
	if err != nil || v.Digest != want.digest || v.Kind != s.model[id.name].kind || !same(v.Signature, want.sig) || fmt.Sprint(v.Uses) != fmt.Sprint(want.uses) {
		t.Fatalf("%s is %+v (%v), want %+v", id, v, err, want)
	}
	if !s.model.sound(want) {
		if reasonOf(allErr) != reasonUses {
			t.Fatalf("all of %s: %v", id, allErr)
		}
	} else if allErr != nil {
		t.Fatalf("all of %s: %v", id, allErr)
	} else if got, wanted := outline(all[0]), s.model.outline(id); got != wanted {
		t.Fatalf("all of %s is %s, want %s", id, got, wanted)
	}
	if v.Kind == KindFunction {
		if b, err := s.r.Code(ctx, DefaultTenant, v.Code["wasm"].Digest); err != nil || string(b) != want.code {
			t.Fatalf("code of %s: %q (%v)", id, b, err)
		}
	} else if string(v.Graph) != want.what || v.Source != want.what {
		t.Fatalf("graph of %s: %s", id, v.Graph)
	}
}

// outline writes what a version reaches as text.
func outline(r *Resolved) string {
	s := versionID{r.Version.Name, r.Version.Number}.String() + "("
	for _, use := range r.Uses {
		s += outline(use)
	}
	return s + ")"
}

func (m model) outline(id versionID) string {
	s := id.String() + "("
	for _, use := range m.version(id).uses {
		target, _ := m.resolve(use.Ref())
		s += m.outline(target)
	}
	return s + ")"
}

// userRows are the rows of the index of users, as text.
func userRows(t rapid.TB, r *Registry, names []string) map[string]string {
	rows := map[string]string{}
	err := r.view(context.Background(), func(rec records) error {
		n := 0
		for _, name := range names {
			if _, _, err := rec.usersOf(DefaultTenant, name, func(user versionID, use Use) (string, bool) {
				rows[name+" used by "+user.String()] += use.Ref().String() + " "
				return "", false
			}); err != nil {
				return err
			}
		}
		if err := rec.tx.Bucket(bucketUsers).ForEach(func(_, _ []byte) error { n++; return nil }); err != nil {
			return err
		}
		if n != len(rows) {
			return fmt.Errorf("there are %d rows of users, of which %d are known", n, len(rows))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// The registry behaves like the model, restarts included.
func TestAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "registry")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		s := &tester{model: model{}, dir: dir}
		s.open(t)
		defer func() { _ = s.r.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"function":     s.putFunction,
			"function 2":   s.putFunction,
			"composition":  s.putComposition,
			"composition2": s.putComposition,
			"composition3": s.putComposition,
			"tag":          s.setTag,
			"remove tag":   s.removeTag,
			"delete":       s.remove,
			"restart": func(t *rapid.T) {
				if err := s.r.Close(); err != nil {
					t.Fatal(err)
				}
				s.open(t)
			},
			"": s.check,
		})
	})
}
