package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/client"
	"pappus/data"
	"pappus/engine"
)

// named is an output without much content.
type named struct{ set, name string }

func these(list ...named) iter.Seq2[client.Output, error] {
	return func(yield func(client.Output, error) bool) {
		for _, o := range list {
			if !yield(client.Output{Set: o.set, Name: o.name, Body: strings.NewReader(o.set + "/" + o.name)}, nil) {
				return
			}
		}
	}
}

func filesIn(t interface{ Fatal(...any) }, dir string) []string {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			rel, relErr := filepath.Rel(dir, path)
			files, err = append(files, rel), relErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

func TestWriteItems(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new/folder")
	var says bytes.Buffer
	err := writeItems(&says, dir, these(
		named{"a", "x"}, named{"a", "x"}, named{"a", "x"}, named{"a", ""}, named{"a", ""}, named{"b", "deep/er/x"}, named{"b", "x~2"},
	))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a/x", "a/x~2", "a/x~3", "a/~1", "a/~2", "b/deep/er/x", "b/x~2"}
	if got := filesIn(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "a/x~2")); string(text) != "a/x" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if got := strings.Count(says.String(), "\n"); got != len(want) {
		t.Errorf("it says %q", says.String())
	}
}

// Nothing looks like an output before it is whole, and what can't be read to its end
// leaves what was there.
func TestWriteItemsWhole(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "a/deep/x")
	here := func() string {
		text, err := os.ReadFile(at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		return string(text)
	}
	broken := errors.New("broken")
	for _, c := range []struct {
		content string
		end     error
		before  string
		after   string
	}{{"one", broken, "", ""}, {"two", io.EOF, "", "two"}, {"three", broken, "two", "two"}, {"four", io.EOF, "two", "four"}} {
		content := strings.NewReader(c.content)
		body := readerFunc(func(b []byte) (int, error) {
			if got := here(); got != c.before {
				t.Errorf("while %s is written there is %q", c.content, got)
			}
			if content.Len() == 0 {
				return 0, c.end
			}
			return content.Read(b[:1])
		})
		err := writeItems(io.Discard, dir, func(yield func(client.Output, error) bool) {
			yield(client.Output{Set: "a", Name: "deep/x", Body: body}, nil)
		})
		if whole := errors.Is(c.end, io.EOF); whole != (err == nil) || !whole && !errors.Is(err, broken) {
			t.Errorf("%s: %v", c.content, err)
		}
		if got := here(); got != c.after {
			t.Errorf("after %s there is %q", c.content, got)
		}
		if files := filesIn(t, dir); c.after != "" && !slices.Equal(files, []string{"a/deep/x"}) || c.after == "" && len(files) > 0 {
			t.Errorf("after %s there are %q", c.content, files)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// Names that lead to one file are those of two: here because of links, elsewhere
// because case or form of letters tells nothing apart.
func TestOneFileOfManyNames(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"a/y": "x", "b": "a"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	outputs := these(named{"a", "x/f"}, named{"a", "y/f"}, named{"b", "x/f"}, named{"b", "x/f"}, named{"b", "y/f~2"})
	for range 2 { // what an earlier command wrote is written over
		if err := writeItems(io.Discard, dir, outputs); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, file := range filesIn(t, filepath.Join(dir, "a/x")) {
			text, err := os.ReadFile(filepath.Join(dir, "a/x", file))
			if err != nil {
				t.Fatal(err)
			}
			got[file] = string(text)
		}
		if want := map[string]string{"f": "a/x/f", "f~2": "a/y/f", "f~3": "b/x/f", "f~4": "b/x/f", "f~2~2": "b/y/f~2"}; !maps.Equal(got, want) {
			t.Errorf("%q", got)
		}
	}
}

// What the file system can't hold is an error that says how to get it.
func TestNamesThatAreNoFiles(t *testing.T) {
	long := strings.Repeat("n", 256)
	for _, list := range [][]named{
		{{"a", "x"}, {"a", "x/y"}}, {{"a", "x/y"}, {"a", "x"}}, {{"a", long}}, {{"a", long + "/x"}}, {{"a", "x/" + long}}, {{long, "x"}},
		{{"a", long[:255]}, {"a", long[:255]}}, // and ~2
	} {
		dir := t.TempDir()
		err := writeItems(io.Discard, dir, these(list...))
		if f := failureOf(err); err == nil || f.Exit != exitFile || !strings.Contains(f.Hint, "--json") || strings.Contains(f.Message, ".pappus") {
			t.Errorf("%.20q: %v", list, err)
		}
		if files := filesIn(t, dir); len(files) != len(list)-1 {
			t.Errorf("%.20q: there are %.20q", list, files)
		}
	}
}

func TestHostileOutputNames(t *testing.T) {
	for _, o := range []named{
		{"a", ".."}, {"a", "../x"}, {"a", "../../x"}, {"a", "/x"}, {"a", "x/../../y"}, {"a", "x//y"}, {"a", "./x"}, {"a", "."},
		{"..", "x"}, {".", "x"}, {"a/b", "x"}, {"", "x"}, {"a", "x\x00y"}, {"a", "link/x"}, {"link", "x"}, {"a", strings.Repeat("n", 1000)},
	} {
		parent := t.TempDir()
		dir, outside := filepath.Join(parent, "out"), filepath.Join(parent, "outside")
		for _, d := range []string{filepath.Join(dir, "a"), outside} {
			if err := os.MkdirAll(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for _, link := range []string{filepath.Join(dir, "link"), filepath.Join(dir, "a/link")} {
			if err := os.Symlink(outside, link); err != nil {
				t.Fatal(err)
			}
		}
		err := writeItems(&bytes.Buffer{}, dir, these(o))
		if f := failureOf(err); err == nil || f.Exit == exitInternal {
			t.Errorf("%q: %v", o, err)
		}
		if files := filesIn(t, outside); len(files) > 0 {
			t.Errorf("%q: files outside: %q", o, files)
		}
	}
}

// Whatever names a function chooses, nothing is written outside of the folder
// and nothing is written over.
func TestWriteItemsStaysInside(t *testing.T) {
	parts := rapid.SampledFrom([]string{"a", "b", "..", ".", "/", "~1", "~2", "", "\x00", "x"})
	names := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(parts, 0, 5).Draw(t, "parts"), "") })
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		parent, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		list := make([]named, rapid.IntRange(1, 6).Draw(t, "n"))
		for i := range list {
			list[i] = named{names.Draw(t, "set"), names.Draw(t, "name")}
		}
		err = writeItems(&bytes.Buffer{}, filepath.Join(parent, "out"), these(list...))
		files := filesIn(t, parent)
		for _, f := range files {
			if !strings.HasPrefix(f, "out/") {
				t.Fatalf("%q is outside", f)
			}
		}
		if err == nil && len(files) != len(list) {
			t.Fatalf("%d files for %d items: %q", len(files), len(list), files)
		}
	})
}

func TestShowItems(t *testing.T) {
	for _, c := range []struct {
		items []named
		want  string
	}{
		{nil, ""},
		{[]named{{"a", "x"}}, "a/x"},
		{[]named{{"a", "x"}, {"a", "y"}}, "== a/x (3 bytes)\na/x\n== a/y (3 bytes)\na/y\n"},
		{[]named{{"a", "x\n== a/z"}, {"b", ""}}, "== a/x\\n== a/z (10 bytes)\na/x\n== a/z\n== b/ (2 bytes)\nb/\n"},
	} {
		var b bytes.Buffer
		if err := showItems(&b, these(c.items...)); err != nil || b.String() != c.want {
			t.Errorf("%q: %q, %v", c.items, b.String(), err)
		}
	}
}

// zeroes is so many bytes, of which none is held.
func zeroes(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// Items of a gibibyte are passed on in little memory, in every form but that
// of one JSON document.
func TestLargeItems(t *testing.T) {
	const size = 1 << 30
	dir := t.TempDir()
	for _, c := range []struct {
		name  string
		items []client.Output
		show  func(w io.Writer, o iter.Seq2[client.Output, error]) error
		want  int64
	}{
		{"the first", []client.Output{{Set: "a", Name: "x", Body: zeroes(size)}, {Set: "a", Name: "y", Body: zeroes(3)}}, showItems, size + int64(len("== a/x (more than 1MiB)\n\n== a/y (3 bytes)\n\n")) + 3},
		{"a later one", []client.Output{{Set: "a", Name: "x", Body: zeroes(3)}, {Set: "a", Name: "y", Body: zeroes(size)}}, showItems, size + int64(len("== a/x (3 bytes)\n\n== a/y (more than 1MiB)\n\n")) + 3},
		{"just as much as is held", []client.Output{{Set: "a", Name: "x", Body: zeroes(peeked)}}, showItems, peeked},
		{"in a folder", []client.Output{{Set: "a", Name: "x", Body: zeroes(16 << 20)}}, func(w io.Writer, o iter.Seq2[client.Output, error]) error {
			return writeItems(w, dir, o)
		}, int64(len(filepath.Join(dir, "a/x\n")))},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var n counter
		err := c.show(&n, func(yield func(client.Output, error) bool) {
			for _, o := range c.items {
				if !yield(o, nil) {
					return
				}
			}
		})
		runtime.ReadMemStats(&after)
		if err != nil || int64(n) != c.want {
			t.Errorf("%s: %d bytes, want %d (%v)", c.name, n, c.want, err)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 16*peeked {
			t.Errorf("%s: it took %d bytes", c.name, taken)
		}
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// JSON is the API's form, byte for byte.
func TestWriteJSON(t *testing.T) {
	result := &engine.Result{
		Outputs: []data.Set{{Name: `a"b`, Items: []*data.Item{data.NewItem("x", 7, []byte("hello")), data.NewItem("", 0, nil)}}, {Name: "none"}},
		Usage:   engine.Usage{Fuel: 3, MemoryPages: 2},
	}
	const want = `{"outputs":{"a\"b":[{"name":"x","key":7,"data":"aGVsbG8="},{"name":"","key":0,"data":""}],"none":[]},"usage":{"fuel":3,"memory_pages":2}}` + "\n"
	var b bytes.Buffer
	if err := writeJSON(&b, result); err != nil || b.String() != want {
		t.Errorf("%s, %v", b.String(), err)
	}
}
