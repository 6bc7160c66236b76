package codecache_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pappus/wasmengine/codecache"
)

// sealSize is what an entry counts besides its files.
const sealSize = 32

// tree is what a folder holds: contents of files by their names.
type tree map[string]string

func (f tree) size() (n int64) {
	for _, content := range f {
		n += int64(len(content))
	}
	return n + sealSize
}

// sample has files of equal length, in a folder and beside it.
func sample(n int) tree {
	return tree{
		"a":             fmt.Sprintf("code %03d", n),
		"b":             fmt.Sprintf("more %03d", n),
		"engine-x/code": "another",
	}
}

func key(n int) (k codecache.Key) {
	k[0], k[31] = byte(n), byte(n>>8)
	return k
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func open(t fataler, dir string, bytes int64) *codecache.Cache {
	t.Helper()
	c, err := codecache.Open(dir, codecache.Options{Bytes: bytes})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t fataler, dir string, files tree) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func scratch(t fataler, c *codecache.Cache, files tree) string {
	t.Helper()
	dir, err := c.Scratch()
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, files)
	return dir
}

func put(t fataler, c *codecache.Cache, k codecache.Key, files tree) {
	t.Helper()
	if err := c.Put(k, scratch(t, c, files)); err != nil {
		t.Fatal(err)
	}
}

func read(t fataler, dir string) tree {
	t.Helper()
	files := make(tree)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// has reports whether the cache has an entry, which must be as it was put.
func has(t fataler, c *codecache.Cache, k codecache.Key, want tree) bool {
	t.Helper()
	e, ok := c.Get(k)
	if !ok {
		return false
	}
	defer e.Close()
	if got := read(t, e.Dir()); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("the entry holds %v, want %v", got, want)
	}
	return true
}

// folders returns the folders of a key's entries on disk.
func folders(t fataler, dir string, k codecache.Key) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "v1", hex.EncodeToString(k[:])+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func folder(t fataler, dir string, k codecache.Key) string {
	t.Helper()
	found := folders(t, dir, k)
	if len(found) != 1 {
		t.Fatalf("%d folders of an entry on disk, want one", len(found))
	}
	return found[0]
}

func count(t fataler, dir string) int {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func wantStats(t fataler, c *codecache.Cache, want codecache.Stats) {
	t.Helper()
	if got := c.Stats(); got != want {
		t.Fatalf("stats %+v, want %+v", got, want)
	}
}

func TestPutAndGet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there yet")
	c := open(t, dir, 0)
	if has(t, c, key(1), nil) {
		t.Fatal("an entry in an empty cache")
	}
	put(t, c, key(1), sample(1))
	put(t, c, key(2), tree{})
	if !has(t, c, key(1), sample(1)) || !has(t, c, key(2), tree{}) || has(t, c, key(3), nil) {
		t.Fatal("it has other entries than were put")
	}
	put(t, c, key(1), sample(9)) // another in its place
	if !has(t, c, key(1), sample(9)) {
		t.Fatal("the entry is gone")
	}
	folder(t, dir, key(1))
	wantStats(t, c, codecache.Stats{Entries: 2, Bytes: sample(9).size() + sealSize, Hits: 3, Misses: 2})
	if n := count(t, filepath.Join(dir, "tmp")); n != 0 {
		t.Errorf("%d folders left in tmp", n)
	}
	for name, mode := range map[string]fs.FileMode{".": 0o700 | fs.ModeDir, "key": 0o600, "v1": 0o700 | fs.ModeDir, "tmp": 0o700 | fs.ModeDir} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != mode {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), mode)
		}
	}
}

func TestBoundAndOrder(t *testing.T) {
	size := sample(0).size()
	tests := []struct {
		name  string
		bound int64
		steps string // p1: put 1, g1: get 1, o: open again
		want  string // entries that are there at the end
		gone  uint64
	}{
		{"room for all", 3 * size, "p1 p2 p3", "123", 0},
		{"one byte too few", 3*size - 1, "p1 p2 p3", "23", 1},
		{"the oldest goes", 2 * size, "p1 p2 p3 p4", "34", 2},
		{"a use counts", 2 * size, "p1 p2 g1 p3", "13", 1},
		{"a miss does not", 2 * size, "p1 p2 g9 p3", "23", 1},
		{"in its own place", 2 * size, "p1 p2 p1 p1 p3", "13", 1},
		{"only one", size, "p1 p2 p3", "3", 2},
		{"order survives", 3 * size, "p1 p2 p3 g1 o p4", "134", 1},
		{"uses of one minute too", 3 * size, "p1 p2 p3 g3 g2 g1 g3 o p4 p5", "345", 2},
		{"twice", 3 * size, "p1 p2 p3 g1 o o g2 o p4", "124", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, dir, test.bound)
			evicted := uint64(0)
			for _, step := range strings.Fields(test.steps) {
				n := int(step[len(step)-1] - '0')
				switch step[0] {
				case 'p':
					put(t, c, key(n), sample(n))
				case 'g':
					has(t, c, key(n), sample(n))
				case 'o':
					c.Close()
					evicted += c.Stats().Evicted
					c = open(t, dir, test.bound)
				}
			}
			if evicted += c.Stats().Evicted; evicted != test.gone {
				t.Errorf("%d evicted, want %d", evicted, test.gone)
			}
			got := ""
			for n := range 10 {
				if has(t, c, key(n), sample(n)) {
					got += fmt.Sprint(n)
				}
			}
			if got != test.want {
				t.Errorf("it has %s, want %s", got, test.want)
			}
			if n := count(t, filepath.Join(dir, "v1")); n != len(test.want) {
				t.Errorf("%d folders on disk, want %d", n, len(test.want))
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 100)
	put(t, c, key(1), tree{"a": "1"})
	large := tree{"a": strings.Repeat("x", 40), "b": strings.Repeat("x", 29)}
	from := scratch(t, c, large)
	err := c.Put(key(2), from)
	var tooLarge *codecache.TooLargeError
	if !errors.As(err, &tooLarge) || *tooLarge != (codecache.TooLargeError{Bytes: 101, Bound: 100}) {
		t.Fatalf("error %v, want one of 101 bytes over 100", err)
	}
	if !has(t, c, key(1), tree{"a": "1"}) {
		t.Error("what was there has gone for it")
	}
	// It is still there, to be used without the cache or to be put once more.
	if err := os.Truncate(filepath.Join(from, "b"), 28); err != nil {
		t.Fatal(err)
	}
	if err := c.Put(key(2), from); err != nil {
		t.Fatal(err)
	}
	large["b"] = large["b"][:28]
	if !has(t, c, key(2), large) || has(t, c, key(1), nil) {
		t.Error("an entry as large as the bound must be there, alone")
	}
	if _, err := codecache.Open(dir, codecache.Options{Bytes: -1}); err == nil {
		t.Error("a negative bound is accepted")
	}
}

func TestPutRefuses(t *testing.T) {
	tests := []struct {
		name string
		make func(dir string) error
	}{
		{"a symbolic link", func(dir string) error { return os.Symlink("a", filepath.Join(dir, "link")) }},
		{"a link to a folder", func(dir string) error { return os.Symlink("engine-x", filepath.Join(dir, "link")) }},
		{"a link in a folder", func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "engine-x", "link")) }},
		{"a pipe", func(dir string) error { return mkfifo(filepath.Join(dir, "pipe")) }},
		{"a link in its place", func(dir string) error {
			return errors.Join(os.Rename(dir, dir+"2"), os.Symlink(dir+"2", dir))
		}},
		{"a file beside it", func(dir string) error { return os.WriteFile(filepath.Join(dir, "..", "x"), nil, 0o600) }},
		{"a seal already", func(dir string) error { return os.WriteFile(filepath.Join(dir, "..", "seal"), nil, 0o600) }},
		{"nothing", os.RemoveAll},
		{"a file in its place", func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) }},
		{"too many files", func(dir string) (err error) {
			for i := range 1000 {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600))
			}
			return err
		}},
		{"too large to add up", func(dir string) (err error) {
			for _, name := range []string{"x", "y"} {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), nil, 0o600), os.Truncate(filepath.Join(dir, name), 1<<42))
			}
			return err
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, dir, 1<<42)
			from := scratch(t, c, sample(1))
			if err := test.make(from); err != nil {
				t.Fatal(err)
			}
			if err := c.Put(key(1), from); err == nil {
				t.Fatal("it is kept")
			}
			if has(t, c, key(1), nil) || count(t, filepath.Join(dir, "v1")) != 0 {
				t.Error("there is an entry")
			}
			c.Discard(from)
			if n := count(t, filepath.Join(dir, "tmp")); n != 0 {
				t.Errorf("%d folders are left in tmp", n)
			}
		})
	}
}

// Folders that the cache did not make are neither taken nor removed.
func TestForeignScratch(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	put(t, c, key(1), sample(1))
	foreign := filepath.Join(t.TempDir(), "files")
	write(t, foreign, sample(1))
	for _, path := range []string{"", ".", "/", foreign, filepath.Join(dir, "tmp"), filepath.Join(dir, "files"), filepath.Join(folder(t, dir, key(1)), "files")} {
		if err := c.Put(key(2), path); err == nil {
			t.Errorf("%q is taken", path)
		}
		c.Discard(path)
	}
	if !has(t, c, key(1), sample(1)) || len(read(t, foreign)) != len(sample(1)) {
		t.Error("something was removed")
	}
}

func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	c.Discard(scratch(t, c, sample(1)))
	taken := scratch(t, c, sample(1))
	if err := c.Put(key(1), taken); err != nil {
		t.Fatal(err)
	}
	c.Discard(taken)
	if err := c.Put(key(2), taken); err == nil {
		t.Error("a folder is taken twice")
	}
	if n := count(t, filepath.Join(dir, "tmp")); n != 0 {
		t.Errorf("%d folders are left in tmp", n)
	}
	if !has(t, c, key(1), sample(1)) {
		t.Error("the entry went with the folder it was made of")
	}
}

func TestPins(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, sample(0).size())
	put(t, c, key(1), sample(1))
	first, _ := c.Get(key(1))
	second, _ := c.Get(key(1))
	put(t, c, key(1), sample(2))
	replaced, _ := c.Get(key(1))
	put(t, c, key(3), sample(3))
	if has(t, c, key(1), nil) || !has(t, c, key(3), sample(3)) {
		t.Fatal("the bound does not hold beside entries that are held")
	}
	for e, want := range map[*codecache.Entry]tree{first: sample(1), second: sample(1), replaced: sample(2)} {
		if got := read(t, e.Dir()); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("an entry that is held has become %v", got)
		}
	}
	first.Close()
	first.Close() // no effect
	if got := read(t, second.Dir()); fmt.Sprint(got) != fmt.Sprint(sample(1)) {
		t.Errorf("an entry that is held has become %v", got)
	}
	second.Close()
	replaced.Close()
	if found := folders(t, dir, key(1)); len(found) != 0 {
		t.Errorf("%v are left", found)
	}
	// One that is in the cache stays when it is let go.
	held, _ := c.Get(key(3))
	held.Close()
	if !has(t, c, key(3), sample(3)) {
		t.Error("the entry is gone")
	}
}

func TestClosed(t *testing.T) {
	c := open(t, t.TempDir(), 0)
	put(t, c, key(1), sample(1))
	from := scratch(t, c, sample(2))
	held, _ := c.Get(key(1))
	c.Close()
	c.Close()
	if _, ok := c.Get(key(1)); ok {
		t.Error("an entry of a closed cache")
	}
	if err := c.Put(key(2), from); !errors.Is(err, codecache.ErrClosed) {
		t.Errorf("Put: %v", err)
	}
	if _, err := c.Scratch(); !errors.Is(err, codecache.ErrClosed) {
		t.Errorf("Scratch: %v", err)
	}
	if got := read(t, held.Dir()); fmt.Sprint(got) != fmt.Sprint(sample(1)) {
		t.Error("an entry that is held went with the cache")
	}
	held.Close()
}

// The disk knows when an entry was used without Close, but is not written to
// for every use.
func TestTimesOfUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir, 0)
		put(t, c, key(1), sample(1))
		seal := filepath.Join(folder(t, dir, key(1)), "seal")
		start := time.Now()
		for _, step := range []struct{ wait, want time.Duration }{
			{0, 0}, {30 * time.Second, 0}, {29 * time.Second, 0}, {time.Second, 60 * time.Second},
			{59 * time.Second, 60 * time.Second}, {time.Hour, time.Hour + 119*time.Second},
		} {
			<-time.After(step.wait)
			if !has(t, c, key(1), sample(1)) {
				t.Fatal("the entry is gone")
			}
			info, err := os.Stat(seal)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.ModTime().Sub(start).Round(time.Second); got != step.want {
				t.Errorf("after %v: the time on disk is %v after the start, want %v", time.Since(start), got, step.want)
			}
		}
	})
}

// After a crash there are folders in tmp, two entries of one key, a part of an
// entry, a part of a key.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	for n := range 3 {
		put(t, c, key(n), sample(n))
	}
	scratch(t, c, sample(3))
	write(t, filepath.Join(dir, "tmp"), tree{"key-1": "half a k", filepath.Base(folder(t, dir, key(0))): "x"})
	// The newer of key 1 is the one that was put last.
	older := folder(t, dir, key(1))
	kept := older + "0"
	if err := os.CopyFS(kept, os.DirFS(older)); err != nil {
		t.Fatal(err)
	}
	put(t, c, key(1), sample(1))
	if err := os.Rename(kept, older); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(older, "seal"), past, past); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder(t, dir, key(2)), "seal")); err != nil {
		t.Fatal(err)
	}
	foreign := []string{"README", "zz-1", hex.EncodeToString(make([]byte, 32)), strings.Repeat("AB", 32) + "-1", filepath.Base(folder(t, dir, key(0))) + "x"}
	for _, name := range foreign {
		write(t, filepath.Join(dir, "v1"), tree{name: "left alone"})
	}

	var log bytes.Buffer
	again, err := codecache.Open(dir, codecache.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	wantStats(t, again, codecache.Stats{Entries: 2, Bytes: 2 * sample(0).size(), Damaged: 1})
	if !has(t, again, key(0), sample(0)) || !has(t, again, key(1), sample(1)) || has(t, again, key(2), nil) {
		t.Error("it has other entries than were complete")
	}
	if folder(t, dir, key(1)) == older {
		t.Error("the older of two entries was kept")
	}
	if n := count(t, filepath.Join(dir, "tmp")); n != 0 {
		t.Errorf("%d folders are left in tmp", n)
	}
	if n := count(t, filepath.Join(dir, "v1")); n != 2+len(foreign) {
		t.Errorf("%d files in the folder of entries, want %d", n, 2+len(foreign))
	}
	if !strings.Contains(log.String(), "damaged") {
		t.Errorf("the log says nothing of damage: %q", log.String())
	}
}

func TestLowerBound(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	for n := range 4 {
		put(t, c, key(n), sample(n))
	}
	large := tree{"a": strings.Repeat("x", 1000)}
	put(t, c, key(9), large)
	has(t, c, key(0), sample(0))
	c.Close()
	// The last but one is larger than the new bound, and no reason to remove others.
	c = open(t, dir, 2*sample(0).size())
	wantStats(t, c, codecache.Stats{Entries: 2, Bytes: 2 * sample(0).size(), Evicted: 3})
	if !has(t, c, key(0), sample(0)) || !has(t, c, key(3), sample(3)) {
		t.Error("it has other entries than were used last")
	}
	if n := count(t, filepath.Join(dir, "v1")); n != 2 {
		t.Errorf("%d folders on disk, want 2", n)
	}
}
