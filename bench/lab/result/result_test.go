package result

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func example() *Result {
	return &Result{
		Schema: Schema, Name: "pappus", Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 12.5,
		Command: "make bench", Commit: "0123456789ab", Machine: Machine{OS: "linux", Arch: "amd64", Cores: 2, Memory: 1 << 30},
		Versions: map[string]string{"go": "go1.26"}, Parameters: map[string]string{"rounds": "3"},
		Series: []Series{
			{Experiment: "latency", Name: "100 % hot", X: "calls/s", Points: []Point{
				{X: 100, Values: map[string]float64{"p99_us": 1.5}, Rounds: 3},
				{X: 200, Values: map[string]float64{"p99_us": 9}, Rounds: 3, Invalid: "4 calls dropped"},
			}},
			{Experiment: "throughput", Name: "pappus", X: "% hot"},
		},
		Skipped: []Skipped{{Name: "node", Reason: "not installed"}},
	}
}

func TestRoundTrip(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "results", "2026-01-02-pappus")
	want := example()
	claim := func() *Claim {
		t.Helper()
		c, err := NewClaim(folder)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// A run that was killed left something.
	if err := os.MkdirAll(filepath.Join(folder+".tmp", "left"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, second := claim(), claim()
	if c.Folder != folder || second.Folder != folder+"-2" {
		t.Errorf("two runs have %s and %s", c.Folder, second.Folder)
	}
	if err := c.Write(want, map[string][]byte{"report.md": []byte("# A\n")}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	got, err := Read(folder)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if b, err := os.ReadFile(filepath.Join(folder, "report.md")); err != nil || string(b) != "# A\n" {
		t.Errorf("report.md: %q, %v", b, err)
	}
	if c := claim(); c.Folder != folder+"-2" || c.Close() != nil {
		t.Errorf("beside results it is %s", c.Folder)
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 2 {
		t.Errorf("there are %v, %v, want two files", files, err)
	}
	if all, err := os.ReadDir(filepath.Dir(folder)); err != nil || len(all) != 1 {
		t.Errorf("there are %v, %v, want one folder", all, err)
	}
	if c, err := NewClaim(filepath.Join(folder, File, "x")); err == nil {
		t.Errorf("in a file it is %s", c.Folder)
	}
}

// What can't be written whole leaves nothing.
func TestWholeOrNothing(t *testing.T) {
	for name, others := range map[string]map[string][]byte{
		"a file that can't be": {"no/such/folder.md": nil},
		"of two files one":     {"a.md": []byte("a"), "z/z.md": nil},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			c, err := NewClaim(filepath.Join(folder, "x"))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Write(example(), others); err == nil {
				t.Error("it was written")
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
				t.Errorf("left over: %v, %v", left, err)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for name, document := range map[string]string{
		"another schema": `{"schema": 99}`, "no schema": `{}`, "no JSON": `schema`, "nothing": ``,
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, File), []byte(document), 0o600); err != nil {
				t.Fatal(err)
			}
			if r, err := Read(folder); err == nil {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestValue(t *testing.T) {
	r := example()
	if v, ok := r.Value("latency", "100 % hot", 200, "p99_us"); !ok || v != 9 {
		t.Errorf("got %v, %v, want 9", v, ok)
	}
	for _, missing := range []struct {
		experiment, series, value string
		x                         float64
	}{{"latency", "100 % hot", "p50_us", 200}, {"latency", "0 % hot", "p99_us", 200}, {"latency", "100 % hot", "p99_us", 1}, {"x", "100 % hot", "p99_us", 200}} {
		if v, ok := r.Value(missing.experiment, missing.series, missing.x, missing.value); ok {
			t.Errorf("%+v: got %v", missing, v)
		}
	}
}

func TestHere(t *testing.T) {
	if m := Here(t.Context()); m.OS == "" || m.Arch == "" || m.Cores < 1 {
		t.Errorf("got %+v", m)
	}
}
