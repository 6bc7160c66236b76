package contexts_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pappus/internal/contexts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReadAndUpdate(t *testing.T) {
	path := contexts.Path(t.TempDir())
	file, err := contexts.Read(path)
	if err != nil || len(file.Contexts) != 0 || file.Current != "" {
		t.Fatalf("without a file: %+v, %v", file, err)
	}
	want := contexts.Context{Server: "https://a", CA: "/ca.pem"}
	err = contexts.Update(t.Context(), path, func(f *contexts.File) error {
		f.Contexts["a"], f.Current = want, "a"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	err = contexts.Update(t.Context(), path, func(f *contexts.File) error {
		delete(f.Contexts, "a")
		return refused
	})
	if !errors.Is(err, refused) {
		t.Error(err)
	}
	for _, bad := range []contexts.Context{{}} {
		err := contexts.Update(t.Context(), path, func(f *contexts.File) error {
			f.Contexts["bad"] = bad
			return nil
		})
		if !errors.Is(err, contexts.ErrNotKept) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if file, err = contexts.Read(path); err != nil || file.Contexts["a"] != want || file.Current != "a" {
		t.Errorf("%+v, %v", file, err)
	}
	for name, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 2 { // and the lock
		t.Errorf("%v, %v", files, err)
	}
}

// A file that is kept elsewhere stays there.
func TestLinkedFile(t *testing.T) {
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "contexts.yaml"), filepath.Join(dir, "elsewhere.yaml")
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	want := contexts.Context{Server: "http://localhost:1"}
	err := contexts.Update(t.Context(), path, func(f *contexts.File) error {
		f.Contexts["a"] = want
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if file, err := contexts.Read(elsewhere); err != nil || file.Contexts["a"] != want {
		t.Errorf("%+v, %v", file, err)
	}
}

func TestDamagedFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.yaml")
	for text, want := range map[string]string{
		"":                        "",
		"contexts: {}":            "",
		"currant: a":              `line 1: unknown key currant`,
		"contexts: {a: {url: x}}": `unknown key url`,
		"contexts: {a: {}}":       `context "a" has no server`,
		"contexts: [a]":           `line 1: cannot unmarshal`,
		"current: b":              `current context "b" does not exist`,
		"contexts: {a: {server: x}, a: {server: y}}": "already defined",
		"current: ''\n---\ncurrent: ''":              "after its end",
		"\x00":                                       "control characters",
		"a: &a [*a, *a]\n":                           "unknown key a",
		strings.Repeat("#", 2<<20):                   "larger than",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := contexts.Read(path)
		var damaged *contexts.DamagedError
		if want == "" && err != nil || want != "" && (!errors.As(err, &damaged) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
		unread := errors.New("it was read")
		if err := contexts.Update(t.Context(), path, func(*contexts.File) error { return unread }); errors.Is(err, unread) == (want != "") {
			t.Errorf("%.40q is updated: %v", text, err)
		}
	}
}

// Commands that change the file at once lose nothing of one another.
func TestUpdatesAtOnce(t *testing.T) {
	const writers, each = 8, 10
	path := contexts.Path(t.TempDir())
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				err := contexts.Update(t.Context(), path, func(f *contexts.File) error {
					f.Contexts[fmt.Sprintf("c%d-%d", w, i)] = contexts.Context{Server: "http://x"}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				if _, err := contexts.Read(path); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if f, err := contexts.Read(path); err != nil || len(f.Names()) != writers*each {
		t.Errorf("%d of %d are there: %v", len(f.Names()), writers*each, err)
	}
}

func TestUpdateWaitsNoLongerThanItMay(t *testing.T) {
	path := contexts.Path(t.TempDir())
	err := contexts.Update(t.Context(), path, func(*contexts.File) error {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		return contexts.Update(ended, path, func(*contexts.File) error { return nil })
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "another command") {
		t.Error(err)
	}
}

// What is written is what is read, whatever it is.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	name := rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,20}`)
	ca := rapid.OneOf(rapid.StringMatching(`/[ -~]{0,20}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]contexts.Context{}
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			want[name.Draw(t, "name")] = contexts.Context{Server: "http://" + name.Draw(t, "host"), CA: ca.Draw(t, "ca")}
		}
		path := filepath.Join(dir, "contexts.yaml")
		err := contexts.Update(context.Background(), path, func(f *contexts.File) error {
			f.Contexts = want
			return nil
		})
		if errors.Is(err, contexts.ErrNotKept) {
			for _, c := range want {
				if strings.ContainsFunc(c.CA, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Skip("YAML does not keep it")
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := contexts.Read(path)
		if err != nil || len(got.Contexts) != len(want) {
			t.Fatalf("%+v, %v", got, err)
		}
		for n, c := range want {
			if got.Contexts[n] != c {
				t.Fatalf("%q: %+v, want %+v", n, got.Contexts[n], c)
			}
		}
	})
}
