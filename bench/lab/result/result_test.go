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
	if err := want.Write(folder, map[string][]byte{"report.md": []byte("# A\n")}); err != nil {
		t.Fatal(err)
	}
	got, err := Read(folder)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if b, err := os.ReadFile(filepath.Join(folder, "report.md")); err != nil || string(b) != "# A\n" {
		t.Errorf("report.md: %q, %v", b, err)
	}
	if err := want.Write(folder, nil); !errors.Is(err, errExists) {
		t.Errorf("over others: got %v, want %v", err, errExists)
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
			if err := example().Write(filepath.Join(folder, "x"), others); err == nil {
				t.Fatal("it was written")
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
