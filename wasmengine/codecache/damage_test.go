package codecache_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pappus/wasmengine/codecache"
)

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

// swap exchanges two files or folders.
func swap(a, b string) error {
	return errors.Join(os.Rename(a, a+".x"), os.Rename(b, a), os.Rename(a+".x", b))
}

// replace makes what is made in the place of a file or folder.
func replace(path string, with func(path string) error) error {
	return errors.Join(os.RemoveAll(path), with(path))
}

func empty(path string) error { return os.WriteFile(path, nil, 0o600) }

func appendTo(path, more string) error {
	content, err := os.ReadFile(path)
	return errors.Join(err, os.WriteFile(path, append(content, more...), 0o600))
}

// TestDamage changes one thing of an entry: it must be a miss and be removed,
// whether the cache was open meanwhile or is opened later.
func TestDamage(t *testing.T) {
	at := filepath.Join
	type damage struct {
		name string
		do   func(entry, other string) error // folders of two entries
	}
	all := []damage{
		{"the seal is gone", func(e, _ string) error { return os.Remove(at(e, "seal")) }},
		{"the seal is empty", func(e, _ string) error { return os.Truncate(at(e, "seal"), 0) }},
		{"the seal is longer", func(e, _ string) error { return appendTo(at(e, "seal"), "x") }},
		{"the seal is a folder", func(e, _ string) error {
			return replace(at(e, "seal"), func(p string) error { return os.Mkdir(p, 0o700) })
		}},
		{"the seal is a pipe", func(e, _ string) error { return replace(at(e, "seal"), mkfifo) }},
		{"the seal is a link to itself", func(e, _ string) error {
			return errors.Join(os.Rename(at(e, "seal"), e+".seal"), os.Symlink(e+".seal", at(e, "seal")))
		}},
		{"the seal of another", func(e, o string) error { return swap(at(e, "seal"), at(o, "seal")) }},
		{"the files of another", func(e, o string) error { return swap(at(e, "files"), at(o, "files")) }},
		{"all of another", swap},
		{"a copy of another", func(e, o string) error {
			return replace(e, func(p string) error { return os.CopyFS(p, os.DirFS(o)) })
		}},
		{"the files are gone", func(e, _ string) error { return os.RemoveAll(at(e, "files")) }},
		{"the files are a file", func(e, _ string) error { return replace(at(e, "files"), empty) }},
		{"the files are a link", func(e, _ string) error {
			return errors.Join(os.Rename(at(e, "files"), e+".files"), os.Symlink(e+".files", at(e, "files")))
		}},
		{"everything is gone", os2(os.RemoveAll)},
		{"a file in its place", func(e, _ string) error { return replace(e, empty) }},
		{"a link in its place", func(e, _ string) error { return errors.Join(os.Rename(e, e+".x"), os.Symlink(e+".x", e)) }},
		{"a file more", func(e, _ string) error { return empty(at(e, "files", "c")) }},
		{"a file more in a folder", func(e, _ string) error { return empty(at(e, "files", "engine-x", "c")) }},
		{"a file more beside", func(e, _ string) error { return empty(at(e, "c")) }},
		{"a folder more", func(e, _ string) error { return os.Mkdir(at(e, "files", "c"), 0o700) }},
		{"a folder more beside", func(e, _ string) error { return os.Mkdir(at(e, "c"), 0o700) }},
		{"a link more", func(e, _ string) error { return os.Symlink("a", at(e, "files", "c")) }},
		{"a pipe more", func(e, _ string) error { return mkfifo(at(e, "files", "c")) }},
		{"a file less", func(e, _ string) error { return os.Remove(at(e, "files", "a")) }},
		{"a folder less", func(e, _ string) error { return os.RemoveAll(at(e, "files", "engine-x")) }},
		{"another name", func(e, _ string) error { return os.Rename(at(e, "files", "a"), at(e, "files", "A")) }},
		{"another name of a folder", func(e, _ string) error { return os.Rename(at(e, "files", "engine-x"), at(e, "files", "engine-y")) }},
		{"another folder", func(e, _ string) error { return os.Rename(at(e, "files", "a"), at(e, "files", "engine-x", "a")) }},
		{"contents exchanged", func(e, _ string) error { return swap(at(e, "files", "a"), at(e, "files", "b")) }},
		{"a byte from one to the next", func(e, _ string) error {
			return errors.Join(os.WriteFile(at(e, "files", "a"), []byte("code 00"), 0o600), os.WriteFile(at(e, "files", "b"), []byte("1more 001"), 0o600))
		}},
		{"a link to the same", func(e, _ string) error {
			return errors.Join(os.Rename(at(e, "files", "a"), e+".a"), os.Symlink(e+".a", at(e, "files", "a")))
		}},
		{"a link to the same folder", func(e, _ string) error {
			return errors.Join(os.Rename(at(e, "files", "engine-x"), e+".x"), os.Symlink(e+".x", at(e, "files", "engine-x")))
		}},
		{"a pipe in its place", func(e, _ string) error { return replace(at(e, "files", "a"), mkfifo) }},
	}
	files := sample(1)
	files["../seal"] = string(make([]byte, sealSize))
	for name, content := range files {
		path := at("files", name)
		for i := range len(content) {
			all = append(all, damage{fmt.Sprintf("a bit of byte %d of %s", i, path), func(e, _ string) error {
				content, err := os.ReadFile(at(e, path))
				if err != nil {
					return err
				}
				content[i] ^= 1 << (i % 8)
				return os.WriteFile(at(e, path), content, 0o600)
			}}, damage{fmt.Sprintf("only %d bytes of %s", i, path), func(e, _ string) error {
				return os.Truncate(at(e, path), int64(i))
			}})
		}
		all = append(all, damage{"a byte more of " + path, func(e, _ string) error { return appendTo(at(e, path), "\x00") }})
	}
	for _, d := range all {
		for _, reopen := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", d.name, reopen), func(t *testing.T) {
				dir := t.TempDir()
				c := open(t, dir, 0)
				put(t, c, key(1), sample(1))
				put(t, c, key(2), sample(2))
				entry := folder(t, dir, key(1))
				if err := d.do(entry, folder(t, dir, key(2))); err != nil {
					t.Fatal(err)
				}
				want := uint64(1)
				if reopen {
					if _, err := os.Lstat(entry); err != nil {
						want = 0 // nothing is there to be damaged
					}
					c.Close()
					c = open(t, dir, 0)
				}
				if has(t, c, key(1), nil) {
					t.Fatal("it is a hit")
				}
				if _, err := os.Lstat(entry); err == nil {
					t.Error("it is still there")
				}
				if s := c.Stats(); s.Damaged != want || s.Misses != 1 || s.Entries != 1 {
					t.Errorf("stats %+v, want %d damaged", s, want)
				}
				put(t, c, key(1), sample(3))
				if !has(t, c, key(1), sample(3)) {
					t.Error("a new one in its place is not found")
				}
			})
		}
	}
}

func os2(f func(string) error) func(string, string) error {
	return func(a, _ string) error { return f(a) }
}

// An entry that was found and is held is not removed when it is found to be
// damaged later.
func TestDamagedWhileHeld(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	put(t, c, key(1), sample(1))
	held, _ := c.Get(key(1))
	if err := empty(filepath.Join(held.Dir(), "a")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if has(t, c, key(1), nil) {
			t.Error("it is a hit")
		}
	}
	wantStats(t, c, codecache.Stats{Hits: 1, Misses: 2, Damaged: 1})
	if len(read(t, held.Dir())) != len(sample(1)) {
		t.Error("it was removed while it was held")
	}
	held.Close()
	if found := folders(t, dir, key(1)); len(found) != 0 {
		t.Errorf("%v are left", found)
	}
}

// An entry that its user has no use for goes, but not one that has taken its
// place, and not before all who hold it let it go.
func TestReject(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	put(t, c, key(1), sample(1))
	first, _ := c.Get(key(1))
	second, _ := c.Get(key(1))
	first.Reject()
	second.Reject()
	if has(t, c, key(1), nil) {
		t.Error("it is a hit")
	}
	wantStats(t, c, codecache.Stats{Hits: 2, Misses: 1, Damaged: 1})
	put(t, c, key(1), sample(2))
	first.Reject()
	first.Close()
	if len(read(t, second.Dir())) != len(sample(1)) {
		t.Error("it was removed while it was held")
	}
	second.Close()
	if !has(t, c, key(1), sample(2)) {
		t.Error("its successor was removed with it")
	}
	if found := folders(t, dir, key(1)); len(found) != 1 {
		t.Errorf("%v are there", found)
	}
}

// A file that has become huge is neither read nor a reason to evict others.
func TestHugeFile(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	for n := range 3 {
		put(t, c, key(n), sample(n))
	}
	for n := range 2 {
		if err := os.Truncate(filepath.Join(folder(t, dir, key(n)), "files", "a"), 1<<42); err != nil {
			t.Fatal(err)
		}
	}
	if has(t, c, key(0), nil) {
		t.Error("it is a hit")
	}
	wantStats(t, c, codecache.Stats{Entries: 2, Bytes: 2 * sample(0).size(), Misses: 1, Damaged: 1})
	c.Close()
	c = open(t, dir, 0)
	wantStats(t, c, codecache.Stats{Entries: 1, Bytes: sample(0).size(), Evicted: 1})
	if has(t, c, key(1), nil) || !has(t, c, key(2), sample(2)) {
		t.Error("it has other entries than were left whole")
	}
}

// The format is the one that docs/format.md describes: what is on disk stays
// readable until its version changes.
func TestFormat(t *testing.T) {
	dir := t.TempDir()
	secret := strings.Repeat("s", 32)
	entry := filepath.Join(dir, "v1", hex.EncodeToString(keyBytes(1))+"-7")
	write(t, dir, tree{"key": secret})
	write(t, filepath.Join(entry, "files"), sample(1))
	length := func(n int) string { return string(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("pappus code cache 1\x00" + string(keyBytes(1)) +
		"d" + length(5) + "files" + length(0) +
		"f" + length(7) + "files/a" + length(8) + "code 001" +
		"f" + length(7) + "files/b" + length(8) + "more 001" +
		"d" + length(14) + "files/engine-x" + length(0) +
		"f" + length(19) + "files/engine-x/code" + length(7) + "another"))
	write(t, entry, tree{"seal": string(mac.Sum(nil))})
	if !has(t, open(t, dir, 0), key(1), sample(1)) {
		t.Error("an entry that was made by the description is a miss")
	}
}

// What is not content does not count.
func TestSeemingDamage(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	put(t, c, key(1), sample(1))
	entry := folder(t, dir, key(1))
	if err := os.Chmod(filepath.Join(entry, "files", "a"), 0o400); err != nil {
		t.Fatal(err)
	}
	// Another number, as another moment would have given it.
	if err := os.Rename(entry, entry+"0"); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, 0)
	if !has(t, c, key(1), sample(1)) {
		t.Error("it is a miss")
	}
}

// The key of the seals is kept while only its owner can know it; with another
// one no entry is.
func TestSecret(t *testing.T) {
	tests := []struct {
		name string
		do   func(path string) error
		kept bool
	}{
		{"untouched", func(string) error { return nil }, true},
		{"gone", os.Remove, false},
		{"empty", empty, false},
		{"too short", func(p string) error { return os.Truncate(p, 31) }, false},
		{"too long", func(p string) error { return appendTo(p, "x") }, false},
		{"known to a group", func(p string) error { return os.Chmod(p, 0o640) }, false},
		{"known to all", func(p string) error { return os.Chmod(p, 0o604) }, false},
		{"only to be read", func(p string) error { return os.Chmod(p, 0o400) }, true},
		{"a link", func(p string) error { return errors.Join(os.Rename(p, p+".x"), os.Symlink(p+".x", p)) }, false},
		{"a pipe", func(p string) error { return replace(p, mkfifo) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, dir, 0)
			put(t, c, key(1), sample(1))
			c.Close()
			path := filepath.Join(dir, "key")
			before, err := os.ReadFile(path)
			if err == nil {
				err = test.do(path)
			}
			if err != nil {
				t.Fatal(err)
			}
			c = open(t, dir, 0)
			if got := has(t, c, key(1), sample(1)); got != test.kept {
				t.Errorf("a hit: %t, want %t", got, test.kept)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if same := string(before) == string(after); same != test.kept || len(after) != 32 {
				t.Errorf("a key of %d bytes, the same as before: %t, want %t", len(after), same, test.kept)
			}
			if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("the key is %v, %v", info.Mode(), err)
			}
			if !test.kept && count(t, filepath.Join(dir, "v1")) != 0 {
				t.Error("entries of another key are left")
			}
			put(t, c, key(2), sample(2))
			if !has(t, c, key(2), sample(2)) {
				t.Error("the new key does not work")
			}
		})
	}
	t.Run("of another cache", func(t *testing.T) {
		from, to := t.TempDir(), t.TempDir()
		open(t, to, 0).Close()
		put(t, open(t, from, 0), key(1), sample(1))
		if err := os.CopyFS(filepath.Join(to, "v1", hex.EncodeToString(keyBytes(1))+"-1"), os.DirFS(folder(t, from, key(1)))); err != nil {
			t.Fatal(err)
		}
		c := open(t, to, 0)
		wantStats(t, c, codecache.Stats{Entries: 1, Bytes: sample(1).size()})
		if has(t, c, key(1), nil) {
			t.Error("an entry of another cache is a hit")
		}
	})
}

func keyBytes(n int) []byte {
	k := key(n)
	return k[:]
}
