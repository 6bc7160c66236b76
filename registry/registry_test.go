package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/data"
	"pappus/engine"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		os.Exit(writeUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, dir string) *Registry {
	t.Helper()
	r, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func registration(name, code string, tags ...string) Registration {
	return Registration{
		Tenant: DefaultTenant, Name: name, Code: map[string][]byte{"wasm": []byte(code)},
		Signature: engine.OpenSignature(), Limits: engine.DefaultLimits(), Layout: "grow", Memo: engine.MemoAuto, Tags: tags,
	}
}

func put(t testing.TB, r *Registry, reg Registration) *Version {
	t.Helper()
	v, _, err := r.Put(t.Context(), reg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func number(t testing.TB, r *Registry, ref string) int64 {
	t.Helper()
	parsed, err := ParseRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Resolve(t.Context(), DefaultTenant, parsed)
	var missing *NotFoundError
	if errors.As(err, &missing) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return v.Number
}

func codeFiles(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	for _, sub := range []string{"code", "tmp"} {
		err := filepath.WalkDir(filepath.Join(dir, sub), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				names = append(names, filepath.Base(path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func TestVersionsAndTags(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	one := put(t, r, registration("f", "one"))
	two := put(t, r, registration("f", "two"))
	if one.Number != 1 || two.Number != 2 || one.Digest == two.Digest {
		t.Fatalf("versions %d and %d", one.Number, two.Number)
	}
	if again, created, err := r.Put(t.Context(), registration("f", "two")); err != nil || created || again.Number != 2 {
		t.Errorf("the same again: %v, %v, %v", again, created, err)
	}
	put(t, r, registration("f", "three", "beta", "next"))
	check := func(when string, r *Registry, want map[string]int64) {
		t.Helper()
		for ref, n := range want {
			if got := number(t, r, ref); got != n {
				t.Errorf("%s: %s is version %d, want %d", when, ref, got, n)
			}
		}
	}
	check("a push with tags leaves latest", r, map[string]int64{"f": 2, "f@latest": 2, "f@beta": 3, "f@next": 3, "f@3": 3, "f@4": 0, "f@gone": 0, "g": 0, "f@" + one.Digest.String(): 1})
	put(t, r, registration("f", "one"))
	check("a push without tags moves latest back", r, map[string]int64{"f": 1})
	if _, err := r.SetTag(t.Context(), DefaultTenant, "f", "latest", Ref{Name: "f", Number: 3}, Change{}); err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveTag(t.Context(), DefaultTenant, "f", "next", Change{}); err != nil {
		t.Fatal(err)
	}
	after := map[string]int64{"f": 3, "f@next": 0, "f@beta": 3}
	check("rollback and removal", r, after)
	tags, err := r.Tags(t.Context(), DefaultTenant, "f")
	if err != nil || !maps.Equal(tags, map[string]int64{"latest": 3, "beta": 3}) {
		t.Errorf("tags %v (%v)", tags, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir)
	check("after a restart", r, after)
	code, err := r.Code(t.Context(), DefaultTenant, one.Code["wasm"].Digest)
	if err != nil || string(code) != "one" {
		t.Errorf("code %q (%v)", code, err)
	}
}

func TestDelete(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	put(t, r, registration("f", "one"))
	put(t, r, registration("f", "two"))
	put(t, r, registration("g", "two"))
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f", Number: 2}, Change{}); !errors.Is(err, ErrInUse) {
		t.Errorf("deleting what latest names: %v", err)
	}
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f", Number: 1}, Change{}); err != nil {
		t.Error(err)
	}
	if n := len(codeFiles(t, dir)); n != 1 {
		t.Errorf("%d files of code, want the one that f and g share", n)
	}
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{}); err != nil {
		t.Fatal(err)
	}
	if n := len(codeFiles(t, dir)); n != 1 || number(t, r, "f") != 0 || number(t, r, "g") != 1 {
		t.Errorf("g lost its code with f (%d files)", n)
	}
	var missing *NotFoundError
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{}); !errors.As(err, &missing) {
		t.Errorf("deleting it twice: %v", err)
	}
	if v := put(t, r, registration("f", "one")); v.Number != 3 {
		t.Errorf("after deletion the next version is %d, want 3", v.Number)
	}
	for _, name := range []string{"f", "g"} {
		if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: name}, Change{}); err != nil {
			t.Error(err)
		}
	}
	if left := codeFiles(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f", Tag: "latest"}, Change{}); err == nil {
		t.Error("a tag was deleted like a version")
	}
}

// Code that is deleted while it is asked for is not found; code that is missing
// though a version refers to it is damage.
func TestCodeWhileDeleted(t *testing.T) {
	r := open(t, t.TempDir())
	code := put(t, r, registration("f", "code")).Code["wasm"].Digest
	r.files.before = func(step string) error {
		if step != "read" {
			return nil
		}
		r.files.before = nil
		return r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{})
	}
	var missing *NotFoundError
	if _, err := r.Code(t.Context(), DefaultTenant, code); !errors.As(err, &missing) || r.files.before != nil {
		t.Errorf("deleted while it is asked for: %v", err)
	}
	put(t, r, registration("f", "code"))
	if err := os.Remove(r.files.path(DefaultTenant, code)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Code(t.Context(), DefaultTenant, code); !errors.Is(err, ErrDamaged) {
		t.Errorf("missing: %v", err)
	}
}

func TestWhatMakesAVersion(t *testing.T) {
	r := open(t, t.TempDir())
	base := put(t, r, registration("f", "code"))
	for name, change := range map[string]func(*Registration){
		"code":       func(g *Registration) { g.Code["wasm"] = []byte("other") },
		"two codes":  func(g *Registration) { g.Code["chericap"] = []byte("elf") },
		"memory":     func(g *Registration) { g.Limits.Memory++ },
		"timeout":    func(g *Registration) { g.Limits.Timeout++ },
		"fuel":       func(g *Registration) { g.Limits.Fuel++ },
		"layout":     func(g *Registration) { g.Layout = "fixed" },
		"memo":       func(g *Registration) { g.Memo = engine.MemoOff },
		"signature":  func(g *Registration) { g.Signature.Open = false },
		"an input":   func(g *Registration) { g.Signature.Inputs = []engine.Param{{Name: "a", Type: engine.TypeSet}} },
		"its type":   func(g *Registration) { g.Signature.Inputs = []engine.Param{{Name: "a", Type: engine.TypeItem}} },
		"its output": func(g *Registration) { g.Signature.Outputs[0].ContentType = "text/plain" },
	} {
		reg := registration("f", "code", "x")
		change(&reg)
		if v := put(t, r, reg); v.Digest == base.Digest {
			t.Errorf("%s does not change the digest", name)
		}
	}
	reg := registration("f", "code")
	reg.Description = "other words"
	if v, created, err := r.Put(t.Context(), reg); err != nil || created || v.Number != base.Number {
		t.Errorf("a description made a version: %v, %v, %v", v, created, err)
	}
}

func TestRefused(t *testing.T) {
	r := open(t, t.TempDir())
	for name, c := range map[string]struct {
		reg  Registration
		want error
	}{
		"reserved":        {registration("HTTP", "x"), ErrReservedName},
		"reserved prefix": {registration("system_x", "x"), ErrReservedName},
		"no code":         {Registration{Tenant: DefaultTenant, Name: "f"}, nil},
		"bad name":        {registration("../f", "x"), nil},
		"bad tag":         {registration("f", "x", "12"), nil},
		"bad tenant":      {Registration{Tenant: "a/b", Name: "f", Code: map[string][]byte{"wasm": nil}}, nil},
	} {
		if _, _, err := r.Put(t.Context(), c.reg); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Put(ctx, registration("f", "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that went away: %v", err)
	}
	if left := codeFiles(t, r.files.dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := r.SetTag(t.Context(), DefaultTenant, "f", "x", Ref{Name: "g"}, Change{}); err == nil {
		t.Error("a tag names another function's version")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Put(t.Context(), registration("f", "x")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := r.Resolve(t.Context(), DefaultTenant, Ref{Name: "f"}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Code that is stored and then not approved leaves nothing.
func TestNotApproved(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	reg := registration("f", "code")
	no := errors.New("no")
	stored := 0
	reg.Approve = func() error {
		stored = len(codeFiles(t, dir))
		return no
	}
	if _, _, err := r.Put(t.Context(), reg); !errors.Is(err, no) || stored != 1 {
		t.Errorf("%v, with %d files stored before", err, stored)
	}
	if left := codeFiles(t, dir); len(left) != 0 {
		t.Errorf("%q are left", left)
	}
	var missing *NotFoundError
	if _, err := r.Resolve(t.Context(), reg.Tenant, Ref{Name: "f"}); !errors.As(err, &missing) {
		t.Errorf("resolved: %v", err)
	}
	reg.Approve = func() error { return nil }
	if v := put(t, r, reg); v.Number != 1 {
		t.Errorf("it is version %d", v.Number)
	}
}

func TestTenantsAreApart(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	mine := put(t, r, registration("f", "code"))
	other := registration("f", "code")
	other.Tenant = "other"
	var missing *NotFoundError
	if _, err := r.Code(t.Context(), "other", mine.Code["wasm"].Digest); !errors.As(err, &missing) {
		t.Errorf("code by digest across tenants: %v", err)
	}
	if v, created, err := r.Put(t.Context(), other); err != nil || !created || v.Number != 1 {
		t.Errorf("the same code of another tenant: %v, %v, %v", v, created, err)
	}
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{}); err != nil {
		t.Fatal(err)
	}
	if code, err := r.Code(t.Context(), "other", mine.Code["wasm"].Digest); err != nil || string(code) != "code" {
		t.Errorf("the other tenant's code: %q, %v", code, err)
	}
	page, _, err := r.List(t.Context(), DefaultTenant, KindFunction, "", 10)
	if err != nil || len(page) != 0 {
		t.Errorf("list %v (%v)", page, err)
	}
}

func TestPages(t *testing.T) {
	r := open(t, t.TempDir())
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("f%02d", i)
		want = append(want, name)
		put(t, r, registration(name, name))
	}
	put(t, r, registration("f00", "second", "other")) // latest stays at the first
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f07"}, Change{}); err != nil {
		t.Fatal(err)
	}
	want = slices.DeleteFunc(want, func(s string) bool { return s == "f07" })
	for _, limit := range []int{1, 7, 24, 25, MaxPage} {
		var got []string
		for cursor := ""; ; {
			page, next, err := r.List(t.Context(), DefaultTenant, KindFunction, cursor, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("page of %d: %v", len(page), err)
			}
			for _, v := range page {
				got = append(got, v.Name)
				if v.Number != 1 {
					t.Errorf("%s is listed by version %d", v.Name, v.Number)
				}
			}
			if cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v", limit, got)
		}
	}
	for i := range 9 {
		put(t, r, registration("many", fmt.Sprint(i)))
	}
	for _, limit := range []int{1, 3, 9, 10} {
		var got []int64
		for cursor := ""; ; {
			page, next, err := r.Versions(t.Context(), DefaultTenant, KindFunction, "many", cursor, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range page {
				got = append(got, v.Number)
			}
			if cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, []int64{9, 8, 7, 6, 5, 4, 3, 2, 1}) {
			t.Errorf("versions in pages of %d: %v", limit, got)
		}
	}
	for _, cursor := range []string{"x", "-1", "0"} {
		if _, _, err := r.Versions(t.Context(), DefaultTenant, KindFunction, "many", cursor, 1); err == nil {
			t.Errorf("cursor %q was taken", cursor)
		}
	}
}

// A name has so many tags and not more, whatever they name.
func TestMostTags(t *testing.T) {
	r := open(t, t.TempDir())
	tags := make([]string, MaxTags)
	for i := range tags {
		tags[i] = fmt.Sprintf("t%d", i)
	}
	if _, _, err := r.Put(t.Context(), registration("f", "1", append(tags, "more")...)); !errors.Is(err, ErrTooManyTags) {
		t.Errorf("one more than the most: %v", err)
	}
	v := put(t, r, registration("f", "1", tags...))
	target := Ref{Name: "f", Number: v.Number}
	if _, err := r.SetTag(t.Context(), DefaultTenant, "f", "more", target, Change{}); !errors.Is(err, ErrTooManyTags) {
		t.Errorf("one more: %v", err)
	}
	if _, _, err := r.Put(t.Context(), registration("f", "2")); !errors.Is(err, ErrTooManyTags) {
		t.Errorf("latest, which is one more: %v", err)
	}
	put(t, r, registration("f", "2", "t7")) // moves
	if err := r.RemoveTag(t.Context(), DefaultTenant, "f", "t7", Change{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.SetTag(t.Context(), DefaultTenant, "f", "more", target, Change{}); err != nil {
		t.Errorf("in the place of another: %v", err)
	}
}

// Pages end early where entries are large: by their tags, or by themselves.
func TestPagesOfLargeEntries(t *testing.T) {
	r := open(t, t.TempDir())
	tags := make([]string, MaxTags)
	for i := range tags {
		tags[i] = fmt.Sprintf("t%0*d", maxName-1, i)
	}
	tags[0] = LatestTag
	const versions = 40
	put(t, r, registration("tagged", "0", tags...))
	for i := 1; i < versions; i++ {
		put(t, r, registration("tagged", fmt.Sprint(i)))
	}
	large := registration("f", "x")
	large.Description = strings.Repeat("x", pageBytes)
	put(t, r, large)
	large.Name = "g"
	put(t, r, large)

	var numbers, pages []int64
	for cursor := ""; ; {
		page, next, err := r.Versions(t.Context(), DefaultTenant, KindFunction, "tagged", cursor, MaxPage)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page {
			numbers = append(numbers, v.Number)
		}
		pages = append(pages, int64(len(page)))
		if cursor = next; next == "" {
			break
		}
	}
	if len(numbers) != versions || !slices.IsSortedFunc(numbers, func(a, b int64) int { return cmp.Compare(b, a) }) {
		t.Errorf("versions are %v", numbers)
	}
	if most := int64(pageBytes / (MaxTags * maxName)); len(pages) < 2 || slices.Max(pages) > most {
		t.Errorf("pages have %v versions; the most is %d", pages, most)
	}

	var names []string
	for cursor := ""; ; {
		page, next, err := r.List(t.Context(), DefaultTenant, KindFunction, cursor, MaxPage)
		if err != nil || len(page) != 1 {
			t.Fatalf("a page has %d functions: %v", len(page), err)
		}
		names = append(names, page[0].Name)
		if cursor = next; next == "" {
			break
		}
	}
	if !slices.Equal(names, []string{"f", "g", "tagged"}) {
		t.Errorf("names are %v", names)
	}
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	r := open(t, dir)
	if _, err := Open(dir, Options{LockWait: 10 * time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second process: %v", err)
	}
	kept := put(t, r, registration("kept", "kept"))
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder %v (%v)", info.Mode(), err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	orphan := r.files.path(DefaultTenant, data.Sum([]byte("orphan")))
	if err := os.MkdirAll(filepath.Dir(orphan), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{orphan: "orphan", filepath.Join(dir, "tmp", "code-1"): "half"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = open(t, dir)
	if left := codeFiles(t, dir); !slices.Equal(left, []string{kept.Code["wasm"].Digest.Hex()}) {
		t.Errorf("after recovery: %v", left)
	}
	// Damaged and missing code is told from good, and a push repairs it.
	path := r.files.path(DefaultTenant, kept.Code["wasm"].Digest)
	for _, damage := range []func() error{
		func() error { return os.WriteFile(path, []byte("KEPT"), 0o600) },
		func() error { return os.Remove(path) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Code(t.Context(), DefaultTenant, kept.Code["wasm"].Digest); !errors.Is(err, ErrDamaged) {
			t.Errorf("damaged code: %v", err)
		}
		put(t, r, registration("kept", "kept"))
		if code, err := r.Code(t.Context(), DefaultTenant, kept.Code["wasm"].Digest); err != nil || string(code) != "kept" {
			t.Errorf("after another push: %q, %v", code, err)
		}
	}
	if err := r.update(t.Context(), DefaultTenant, "kept", func(rec records) error {
		return rec.tx.Bucket(bucketMeta).Put(keyFormat, []byte("99"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("a later format: %v", err)
	}
}

// Every step of storing fails once: the push fails, nothing of it is visible,
// and after a restart the folder holds what was acknowledged and no more.
func TestEveryStepCanFail(t *testing.T) {
	injected := errors.New("injected")
	var steps int
	for fail := 0; ; fail++ {
		dir := t.TempDir()
		r := open(t, dir)
		put(t, r, registration("f", "first"))
		n := 0
		r.files.before = func(step string) error {
			if n++; n == fail+1 {
				return fmt.Errorf("%w at %s", injected, step)
			}
			return nil
		}
		_, _, err := r.Put(t.Context(), registration("f", "second"))
		r.files.before = nil
		if err == nil {
			steps = fail
			break
		}
		if !errors.Is(err, injected) {
			t.Fatalf("step %d: %v", fail, err)
		}
		if got := number(t, r, "f"); got != 1 || number(t, r, "f@2") != 0 {
			t.Errorf("step %d: a failed push is visible (%v)", fail, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r = open(t, dir)
		if left := codeFiles(t, dir); len(left) != 1 || number(t, r, "f") != 1 {
			t.Errorf("step %d: after a restart %v", fail, left)
		}
		if v := put(t, r, registration("f", "second")); v.Number != 2 {
			t.Errorf("step %d: the next version is %d", fail, v.Number)
		}
	}
	if steps < 6 {
		t.Errorf("only %d steps were made to fail", steps)
	}
}

// A folder that was made and perhaps not synced into its parent is synced before
// anything relies on it, be there a file in it or not.
func TestFoldersAreDurable(t *testing.T) {
	steps := func(r *Registry, reg Registration) string {
		t.Helper()
		var list []string
		r.files.before = func(step string) error {
			list = append(list, step)
			return nil
		}
		put(t, r, reg)
		r.files.before = nil
		return strings.Join(list, ", ")
	}
	const folders, file, commit = "mkdir, sync folder, mkdir, sync folder, ", "create, write, sync, rename, sync folder, ", "commit"
	dir := t.TempDir()
	r := open(t, dir)
	path := r.files.path(DefaultTenant, data.Sum([]byte("code")))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := steps(r, registration("f", "code")); got != folders+file+commit {
		t.Errorf("into folders that are there: %s", got)
	}
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{}); err != nil {
		t.Fatal(err)
	}
	if got := steps(r, registration("f", "code")); got != file+commit {
		t.Errorf("into folders that are known: %s", got)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir)
	if got := steps(r, registration("g", "code")); got != folders+"sync folder, "+commit {
		t.Errorf("of code that another process stored: %s", got)
	}
}

// Pushes, tags and deletions at once, over few names and few codes, end with
// every reference readable and no file without a version.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 12 {
				name := fmt.Sprintf("f%d", (g+i)%3)
				code := fmt.Sprintf("code %d", (g*i)%5)
				v, _, err := r.Put(t.Context(), registration(name, code, fmt.Sprintf("t%d", g)))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := r.Resolve(t.Context(), DefaultTenant, Ref{Name: name, Tag: fmt.Sprintf("t%d", g)})
				var missing *NotFoundError
				if err == nil && got.Number != v.Number || err != nil && !errors.As(err, &missing) {
					t.Errorf("own tag is %v (%v), want version %d", got, err, v.Number)
				}
				if i%4 == 3 {
					if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: name}, Change{}); err != nil && !errors.As(err, &missing) {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	wanted := map[string]bool{}
	page, _, err := r.List(t.Context(), DefaultTenant, KindFunction, "", MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range page {
		versions, _, err := r.Versions(t.Context(), DefaultTenant, KindFunction, f.Name, "", MaxPage)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range versions {
			if _, err := r.Code(t.Context(), DefaultTenant, v.Code["wasm"].Digest); err != nil {
				t.Errorf("%s@%d: %v", v.Name, v.Number, err)
			}
			wanted[v.Code["wasm"].Digest.Hex()] = true
		}
	}
	have := codeFiles(t, dir)
	if len(have) != len(wanted) {
		t.Errorf("%d files of code for %d digests", len(have), len(wanted))
	}
}

// Names whose versions were all deleted keep their records. A page does not take
// longer the more there are.
func TestPagesAmongDeleted(t *testing.T) {
	r := open(t, t.TempDir())
	r.db.NoSync = true
	put(t, r, registration("a", "code"))
	put(t, r, registration("z", "code"))
	if err := r.update(t.Context(), DefaultTenant, "f", func(rec records) error {
		for i := range 2 * mostLookedAt {
			if err := rec.putFunction(fmt.Sprintf("f%06d", i), functionRecord{Tenant: DefaultTenant, Next: 2}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for cursor := ""; ; {
		page, next, err := r.List(t.Context(), DefaultTenant, "", cursor, 10)
		if err != nil {
			t.Fatal(err)
		}
		names := ""
		for _, v := range page {
			names += v.Name
		}
		got = append(got, names)
		if cursor = next; next == "" {
			break
		}
	}
	if want := []string{"a", "", "z"}; !slices.Equal(got, want) {
		t.Errorf("the pages hold %q, want %q", got, want)
	}
}

func TestResolveNeedsNoStore(t *testing.T) {
	r := open(t, t.TempDir())
	put(t, r, registration("f", "code"))
	ref := Ref{Name: "f"}
	number(t, r, "f")
	if n := testing.AllocsPerRun(100, func() {
		if _, err := r.Resolve(t.Context(), DefaultTenant, ref); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("a known reference takes %v allocations", n)
	}
}

func TestNames(t *testing.T) {
	for s, ok := range map[string]bool{
		"f": true, "0": true, "a.b_c-d": true, strings.Repeat("x", 128): true, "latest": true,
		"": false, strings.Repeat("x", 129): false, ".f": false, "-f": false, "_f": false, "a b": false, "a/b": false, "é": false, "a\n": false, "a@b": false,
	} {
		if err := CheckName(s); (err == nil) != ok {
			t.Errorf("CheckName(%.20q): %v", s, err)
		}
	}
	for s, ok := range map[string]bool{"v1": true, "1a": true, "12": false, "0": false, "": false, "a:b": false} {
		if err := CheckTag(s); (err == nil) != ok {
			t.Errorf("CheckTag(%q): %v", s, err)
		}
	}
	digest := data.Sum(nil).String()
	for s, want := range map[string]Ref{
		"f": {Name: "f"}, "f@3": {Name: "f", Number: 3}, "f@prod": {Name: "f", Tag: "prod"}, "f@" + digest: {Name: "f", Digest: data.Sum(nil)},
	} {
		if got, err := ParseRef(s); err != nil || got != want || got.String() != s {
			t.Errorf("ParseRef(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"name@sha256:" + strings.Repeat("0", 64), "", "@", "f@", "f@0", "f@03", "f@99999999999999999999", "f@sha256:00", "f@a@b", "../f", "f@../x", "@latest"} {
		if got, err := ParseRef(s); err == nil {
			t.Errorf("ParseRef(%q) = %v", s, got)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"f", "f@1", "f@latest", "f@" + data.Sum(nil).String(), "f@@", "\xff@1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseRef(s)
		if err != nil {
			return
		}
		if ref.String() != s {
			t.Fatalf("%q is written %q", s, ref)
		}
	})
}

// What is deleted is gone, however many pages of the records become empty by it.
func TestDeleteMany(t *testing.T) {
	r := open(t, t.TempDir())
	r.db.NoSync = true
	// After f comes g: a cursor that goes back to the versions of f comes from there.
	put(t, r, registration("g", "code of g"))
	const versions = 60
	for i := range versions {
		put(t, r, registration("f", fmt.Sprint("code ", i)))
	}
	if err := r.Delete(t.Context(), DefaultTenant, Ref{Name: "f"}, Change{}); err != nil {
		t.Fatal(err)
	}
	again := put(t, r, registration("f", "another"))
	if again.Number != versions+1 {
		t.Errorf("it is version %d", again.Number)
	}
	page, _, err := r.Versions(t.Context(), DefaultTenant, "", "f", "", MaxPage)
	if err != nil || len(page) != 1 {
		t.Errorf("%d versions are back: %v", len(page)-1, err)
	}
	for i := range versions {
		if _, err := r.Code(t.Context(), DefaultTenant, data.Sum([]byte(fmt.Sprint("code ", i)))); err == nil {
			t.Errorf("the code of version %d is there", i+1)
		}
	}
}
