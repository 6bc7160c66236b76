package native

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pappus/bench/lab/target"
)

func TestChecksum(t *testing.T) {
	if !Compiled {
		t.Skip("built without cgo")
	}
	for _, rows := range []int{1, 2, 7, 128} {
		sum, ok := Checksum(rows)
		if got, want := strconv.FormatUint(sum, 10)+"\n", string(target.Checksum(rows)); !ok || got != want {
			t.Errorf("%d rows: got %q, %v, want %q", rows, got, ok, want)
		}
	}
}

func TestProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := Build(t.Context(), "../../..", program); errors.Is(err, ErrNoCompiler) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	run := func(in string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.Output()
		return string(out), err
	}
	for _, rows := range []int{1, 2, 7, 128} {
		if got, err := run(strconv.Itoa(rows)); err != nil || got != string(target.Checksum(rows)) {
			t.Errorf("%d rows: got %q, %v", rows, got, err)
		}
	}
	for _, in := range []string{"", "0", "x", "65536", "-1"} {
		if got, err := run(in); err == nil {
			t.Errorf("%q: got %q", in, got)
		}
	}
}
