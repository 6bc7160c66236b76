package toolchain

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"pappus/internal/filelock"
)

// sdkOf is an SDK of one file.
func sdkOf(content string) *Language {
	return &Language{Name: "x", SDK: fstest.MapFS{"a/b": {Data: []byte(content)}, "c": {Data: nil}}}
}

func TestUnpack(t *testing.T) {
	b := &Builder{Cache: filepath.Join(t.TempDir(), "deep", "cache")}
	first, made, err := b.unpack(t.Context(), sdkOf("1"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, made, "object", "x")
	if again, _, err := b.unpack(t.Context(), sdkOf("1")); err != nil || again != first {
		t.Errorf("%s, %v", again, err)
	}
	if text, err := os.ReadFile(filepath.Join(first, "a/b")); err != nil || string(text) != "1" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(made, "object")); err != nil {
		t.Errorf("what was made is not kept: %v", err)
	}
	if other, _, err := b.unpack(t.Context(), sdkOf("2")); err != nil || other == first {
		t.Errorf("another SDK is in the same folder: %v", err)
	}
	if entries, err := filepath.Glob(filepath.Join(b.Cache, "*")); err != nil || len(entries) != 1+4 { // the lock, and two for each
		t.Errorf("left over: %v, %v", entries, err)
	}
	if info, err := os.Stat(b.Cache); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may look into it: %v, %v", info.Mode(), err)
	}
}

// What a process left that was killed goes, even if there is nothing to unpack.
func TestUnpackSweeps(t *testing.T) {
	b := &Builder{Cache: t.TempDir()}
	if _, _, err := b.unpack(t.Context(), sdkOf("1")); err != nil {
		t.Fatal(err)
	}
	write(t, b.Cache, unpacking+"left/.in-use", "")
	write(t, b.Cache, unpacking+"left/sdk/x", "")
	if _, _, err := b.unpack(t.Context(), sdkOf("1")); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(b.Cache, unpacking+"*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// Whatever was done to an unpacked SDK, it is what this program has when it is
// used, and what was made of the other is not.
func TestUnpackMendsWhatWasChanged(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "b", "1")
	for name, change := range map[string]func(dir string) error{
		"another content": func(dir string) error { return os.WriteFile(filepath.Join(dir, "a/b"), []byte("2"), 0o600) },
		"more":            func(dir string) error { return os.WriteFile(filepath.Join(dir, "a/b"), []byte("1\n"), 0o600) },
		"less":            func(dir string) error { return os.Truncate(filepath.Join(dir, "a/b"), 0) },
		"a file more":     func(dir string) error { return os.WriteFile(filepath.Join(dir, "a/stdlib.h"), nil, 0o600) },
		"a folder more":   func(dir string) error { return os.Mkdir(filepath.Join(dir, "d"), 0o700) },
		"a file less":     func(dir string) error { return os.Remove(filepath.Join(dir, "c")) },
		"a link": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "a/b")), os.Symlink(filepath.Join(outside, "b"), filepath.Join(dir, "a/b")))
		},
		"a linked folder": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "a")), os.Symlink(outside, filepath.Join(dir, "a")))
		},
		"a file for a folder": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "a")), os.WriteFile(filepath.Join(dir, "a"), nil, 0o600))
		},
		"a folder for a file": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "c")), os.Mkdir(filepath.Join(dir, "c"), 0o700))
		},
		"a folder that is closed": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "c"), []byte("x"), 0o600), os.Chmod(filepath.Join(dir, "a"), 0))
		},
		"all of it closed": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "c"), []byte("x"), 0o600), os.Chmod(dir, 0))
		},
		"all of it gone":   os.RemoveAll,
		"all of it a link": func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Symlink(outside, dir)) },
		"all of it a file": func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			b, l := &Builder{Cache: t.TempDir()}, sdkOf("1")
			dir, made, err := b.unpack(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			write(t, made, "object", "x")
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			if same, err := holds(dir, l.SDK); same || err != nil {
				t.Fatalf("it is taken for right: %v", err)
			}
			again, _, err := b.unpack(t.Context(), l)
			if err != nil || again != dir {
				t.Fatalf("%s, %v", again, err)
			}
			if same, err := holds(dir, l.SDK); !same || err != nil {
				t.Errorf("it was not mended: %v", err)
			}
			if _, err := os.Stat(filepath.Join(made, "object")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what was made of it is there: %v", err)
			}
			if text, err := os.ReadFile(filepath.Join(outside, "b")); err != nil || string(text) != "1" {
				t.Errorf("what a link led to is %q, %v", text, err)
			}
			if left, err := filepath.Glob(filepath.Join(b.Cache, ".unpacking-*")); err != nil || len(left) > 0 {
				t.Errorf("left over: %v, %v", left, err)
			}
		})
	}
}

// Many that begin at the same time find the same.
func TestUnpackTogether(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			l := sdkOf("1")
			dir, made, err := (&Builder{Cache: cache}).unpack(t.Context(), l)
			if err != nil {
				t.Error(err)
				return
			}
			if same, err := holds(dir, l.SDK); !same || err != nil {
				t.Errorf("it is not whole: %v", err)
			}
			if _, err := os.Stat(made); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// Who waits for another to unpack can give up.
func TestUnpackEnds(t *testing.T) {
	b := &Builder{Cache: t.TempDir()}
	unlock, err := filelock.Take(t.Context(), filepath.Join(b.Cache, ".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.unpack(ctx, sdkOf("1")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A cache of somebody else is not used, and one that others may look into is closed.
func TestCacheIsPrivate(t *testing.T) {
	b := &Builder{Cache: t.TempDir()}
	if err := os.Chmod(b.Cache, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.unpack(t.Context(), sdkOf("1")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(b.Cache); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a folder to somebody")
	}
	const nobody = 65534
	if err := os.Chown(b.Cache, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.unpack(t.Context(), sdkOf("1")); !errors.Is(err, ErrForeignCache) || !strings.Contains(err.Error(), b.Cache) {
		t.Errorf("%v", err)
	}
}
