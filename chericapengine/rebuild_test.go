package chericapengine

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRebuild holds the files of testdata to their sources, where the compiler is:
// to functions.c and to the runtime of the SDK in them.
func TestRebuild(t *testing.T) {
	if _, err := exec.LookPath("aarch64-linux-gnu-gcc"); errors.Is(err, exec.ErrNotFound) {
		t.Skip("needs aarch64-linux-gnu-gcc: apt-get install -y --no-install-recommends gcc-aarch64-linux-gnu")
	}
	if testing.Short() {
		t.Skip("building takes seconds")
	}
	out := t.TempDir()
	if log, err := exec.CommandContext(t.Context(), "testdata/build", out).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, log)
	}
	built, err := filepath.Glob(filepath.Join(out, "*.elf"))
	if err != nil || len(built) < 50 {
		t.Fatalf("%d files, %v", len(built), err)
	}
	for _, file := range built {
		name := filepath.Base(file)
		fresh, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile("testdata/functions/" + name)
		if err != nil || !bytes.Equal(fresh, kept) {
			t.Errorf("testdata/functions/%s is not what its sources give (%v); run chericapengine/testdata/build", name, err)
		}
	}
	if kept, err := filepath.Glob("testdata/functions/*.elf"); err != nil || len(kept) != len(built) {
		t.Errorf("%d files are kept, and %d built (%v)", len(kept), len(built), err)
	}
}
