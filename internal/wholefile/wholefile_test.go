package wholefile_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pappus/internal/wholefile"
)

// folder makes a folder with files and links: a content, or "-> TARGET".
func folder(t *testing.T, entries map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range entries {
		at := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o700)
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			err = errors.Join(err, os.Symlink(strings.ReplaceAll(to, "DIR", dir), at))
		} else {
			err = errors.Join(err, os.WriteFile(at, []byte(content), 0o600), os.Chmod(at, 0o640))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestWrite(t *testing.T) {
	for name, c := range map[string]struct {
		entries  map[string]string
		path, at string // at: where the content is then
		perm     fs.FileMode
	}{
		"a new file":           {nil, "f", "f", 0o604},
		"one that is there":    {map[string]string{"f": "old"}, "f", "f", 0o640},
		"a link":               {map[string]string{"f": "-> g", "g": "old"}, "f", "g", 0o640},
		"an absolute link":     {map[string]string{"f": "-> DIR/d/g", "d/g": "old"}, "f", "d/g", 0o640},
		"links to links":       {map[string]string{"f": "-> d/g", "d/g": "-> h", "d/h": "old"}, "f", "d/h", 0o640},
		"a link to nothing":    {map[string]string{"f": "-> d/g", "d/other": ""}, "f", "d/g", 0o604},
		"from a link's folder": {map[string]string{"d": "-> a/b", "a/b/f": "-> ../g", "a/g": "old", "g": "other"}, "d/f", "a/g", 0o640},
	} {
		dir := folder(t, c.entries)
		if err := wholefile.Write(filepath.Join(dir, c.path), []byte("new"), 0o604); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		at := filepath.Join(dir, c.at)
		text, err := os.ReadFile(at)
		info, statErr := os.Lstat(at)
		if err = errors.Join(err, statErr); err != nil || string(text) != "new" || info.Mode() != c.perm {
			t.Errorf("%s: %q, %v, %v", name, text, info, err)
		}
		for entry, content := range c.entries {
			text, err := os.ReadFile(filepath.Join(dir, entry))
			if _, link := strings.CutPrefix(content, "-> "); !link && entry != c.at && (err != nil || string(text) != content) {
				t.Errorf("%s: %s is %q, %v", name, entry, text, err)
			}
			if info, err := os.Lstat(filepath.Join(dir, entry)); err != nil || strings.HasPrefix(content, "-> ") != (info.Mode()&fs.ModeSymlink != 0) {
				t.Errorf("%s: %s is %v, %v", name, entry, info, err)
			}
		}
		noneLeft(t, dir)
	}
	if err := wholefile.Write(os.DevNull, []byte("new"), 0o600); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("the device is %v, %v", info, err)
	}

	r, w, err := os.Pipe() // whose link says "pipe:[…]"
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(wholefile.Write(fmt.Sprint("/dev/fd/", w.Fd()), []byte("new"), 0o600), w.Close()); err != nil {
		t.Error(err)
	}
	if content, err := io.ReadAll(r); err != nil || string(content) != "new" {
		t.Errorf("the pipe has %q, %v", content, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// A file that can't be written is named, and nothing is left behind.
func TestWriteFails(t *testing.T) {
	dir := folder(t, map[string]string{"d/f": "old", "f": "old", "round": "-> dnuor", "dnuor": "-> round"})
	for name, want := range map[string]error{
		"none/f": fs.ErrNotExist, "f/f": syscall.ENOTDIR, "d": syscall.EISDIR, "round": syscall.ELOOP, strings.Repeat("n", 256): syscall.ENAMETOOLONG,
	} {
		path := filepath.Join(dir, name)
		err := wholefile.Write(path, []byte("new"), 0o600)
		var of *fs.PathError
		if !errors.Is(err, want) || !errors.As(err, &of) || of.Path != path {
			t.Errorf("%.10s: %v", name, err)
		}
	}
	noneLeft(t, dir)
	if text, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(text) != "old" {
		t.Errorf("%q, %v", text, err)
	}
}

func noneLeft(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".pappus") {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
