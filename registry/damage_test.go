package registry

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// A database that is cut off or overwritten is told of, however bbolt takes it,
// and nothing of the code is removed.
func TestDamagedRecords(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	for i := range 50 {
		put(t, r, registration(fmt.Sprintf("f%d", i), fmt.Sprint(i)))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "registry.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	code := codeFiles(t, dir)
	if len(code) != 50 {
		t.Fatalf("%d files of code", len(code))
	}
	check := func(what string, bad []byte, certain bool) {
		t.Helper()
		if err := os.Remove(path); err != nil { // a fresh file: an earlier one may still be mapped and locked
			t.Fatal(err)
		}
		if bad != nil {
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Open(dir, Options{})
		switch {
		case err == nil && !certain:
			err = r.Close()
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: close: %v", what, err)
			}
		case !errors.Is(err, ErrDamaged):
			t.Errorf("%s: %v", what, err)
		}
		if bad == nil {
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if certain && len(codeFiles(t, dir)) != len(code) {
			t.Fatalf("%s: code was removed", what)
		}
	}
	check("missing", nil, true)
	check("empty", []byte{}, true)
	page := os.Getpagesize()
	for n := page / 2; n < len(good); n += page * 3 / 2 {
		// What is cut off may be free pages.
		check(fmt.Sprintf("cut to %d of %d bytes", n, len(good)), good[:n], n < 4*page)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		bad := append([]byte(nil), good...)
		at := random.IntN(len(bad)/page) * page
		for k := range 16 { // the header of a page
			bad[at+k] = byte(random.Uint32())
		}
		check(fmt.Sprintf("overwritten %d", i), bad, false)
	}
}
