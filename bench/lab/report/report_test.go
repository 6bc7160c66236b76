package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pappus/bench/lab/result"
)

var update = flag.Bool("update", false, "write the golden files again")

// made up: no machine is that fast.
func example() *result.Result {
	r := &result.Result{
		Schema: result.Schema, Name: "example", Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 90,
		Command: "make bench", Commit: "0123456789ab", Modified: true,
		Machine:  result.Machine{OS: "linux", Arch: "amd64", Kernel: "Linux 6.1", CPU: "an abacus", Cores: 2, Memory: 8 << 30, Load: 0.05},
		Versions: map[string]string{"go": "go1.26"}, Parameters: map[string]string{"rounds": "3", "a call of pappus gets": "a new isolate", "memory of a call": "looked at while matrices of 512×512 are multiplied, two of 2 MiB each"},
		Skipped: []result.Skipped{{Name: "node-isolate", Reason: "there is no node"}},
	}
	add := func(experiment, name, x string, points ...result.Point) {
		r.Series = append(r.Series, result.Series{Experiment: experiment, Name: name, X: x, Points: points})
	}
	point := func(x float64, values map[string]float64) result.Point {
		return result.Point{X: x, Values: values, Rounds: 3}
	}
	add("peers", "echo", "rows", point(128, map[string]float64{"most_per_s": 30000, "p50_us": 100, "p99_us": 900, "cpu_s_per_1000": 0.02}))
	add("peers", "pappus", "rows", point(128, map[string]float64{"most_per_s": 1234.5, "p50_us": 1100, "p99_us": 2200, "cold_us": 1700, "idle_kib": 135, "running_mib": 4.25}),
		point(1, map[string]float64{"most_per_s": 20000, "p50_us": 120}))
	overload := point(1300, map[string]float64{"calls_per_s": 1234, "p50_us": 90_000, "p99_us": 500_000, "cold_share": 0})
	overload.Invalid = "of 1300 calls, 20 were dropped and 3 refused"
	add("latency", "100 % hot", "calls/s offered", point(100, map[string]float64{"calls_per_s": 100, "p50_us": 1100, "p99_us": 2000, "cold_share": 0, "late_share": 0.001}), overload)
	add("latency", "0 % hot", "calls/s offered", point(100, map[string]float64{"calls_per_s": 99.5, "p50_us": 1500, "p99_us": 3000, "cold_share": 1}))
	add("throughput", "pappus", "% hot", point(100, map[string]float64{"calls_per_s": 1234}), point(0, map[string]float64{"calls_per_s": 900}))
	add("distribution", "hot", "µs", point(900, map[string]float64{"share": 0.01}), point(1100, map[string]float64{"share": 0.5}), point(2000, map[string]float64{"share": 1}))
	add("cold", "hot", "calls/s offered", point(50, map[string]float64{"p50_us": 1100, "p99_us": 2000, "calls": 600}))
	add("cold", "compiled first", "calls/s offered", point(50, map[string]float64{"p50_us": 9000, "p99_us": 25_000, "calls": 600}))
	add("density", "measured: all of pappus", "h of the day", point(0.1, map[string]float64{"memory_mib": 40}), point(24, map[string]float64{"memory_mib": 60}))
	add("density", "computed: kept 10 min", "h of the day", point(0.1, map[string]float64{"memory_mib": 4000}), point(24, map[string]float64{"memory_mib": 5000}))
	add("density summary", "computed: kept 10 min", "functions", point(100, map[string]float64{"mean_mib": 4500, "cold_share": 0.1}))
	add("k6", "hot, name:invoke", "iterations of the script", point(3000, map[string]float64{"p50_us": 1500, "p95_us": 2500, "p99_us": 4000, "max_us": 9000}))
	add("languages", "c", "bytes", point(4802, map[string]float64{"call_us": 6, "no_image_us": 17}))
	add("languages", "cobol", "bytes", point(1<<20, map[string]float64{"call_us": 600, "no_image_us": 1700}))
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s\nand should be (-update writes it)\n%s", name, got, want)
	}
}

func TestReport(t *testing.T) {
	files, err := Of(example())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"cold.svg", "density.svg", "latency-p50.svg", "latency-p99.svg", "report.md", "throughput.svg"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	golden(t, "report.md", files[File])
	for name, content := range files {
		if filepath.Ext(name) != ".svg" {
			continue
		}
		d := xml.NewDecoder(bytes.NewReader(content))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("%s is no XML: %v", name, err)
				break
			}
		}
		if !bytes.Contains(files[File], []byte("]("+name+")")) {
			t.Errorf("the report does not show %s", name)
		}
	}
}

func TestFill(t *testing.T) {
	document := []byte("# Pappus\n\n<!-- languages:  -->\nold\n<!-- /languages -->\n\n<!-- measured:  -->\nold\n<!-- /measured -->\n\nThe end.\n")
	read := func(name string) (*result.Result, error) {
		if strings.HasPrefix(name, "2026-01-02-") {
			return example(), nil
		}
		return nil, os.ErrNotExist
	}
	names := Names{Platform: "2026-01-02-pappus", Peers: "2026-01-02-peers", Languages: "2026-01-02-languages"}
	filled, err := Fill(document, names, "bench/results", read)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "readme.md", filled)
	if got, err := NamesIn(filled); err != nil || got != names {
		t.Errorf("it is of %+v, %v", got, err)
	}
	if again, err := Fill(filled, names, "bench/results", read); err != nil || !bytes.Equal(again, filled) {
		t.Errorf("filled again it is\n%s\n%v", again, err)
	}
	if empty, err := Fill(filled, Names{}, "bench/results", read); err != nil || bytes.Contains(empty, []byte("÷")) || bytes.Contains(empty, []byte("ms |")) {
		t.Errorf("of nothing it is\n%s\n%v", empty, err)
	}
	some, err := Fill(document, Names{Languages: names.Languages}, "bench/results", read)
	if err != nil || !bytes.Contains(some, []byte("| C on")) || bytes.Contains(some, []byte("÷")) {
		t.Errorf("of languages alone it is\n%s\n%v", some, err)
	}
	for _, half := range []string{"# Pappus\n", "<!-- measured:  -->\n<!-- /measured -->\n"} {
		if _, err := Fill([]byte(half), Names{}, "", read); !errors.Is(err, errPlace) {
			t.Errorf("%q: got %v, want %v", half, err, errPlace)
		}
	}
	for _, missing := range []Names{{Platform: "1999-01-02-pappus", Peers: "2026-01-02-peers"}, {Languages: "1999-01-02-languages"}} {
		if _, err := Fill(document, missing, "", read); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: got %v, want %v", missing, err, os.ErrNotExist)
		}
	}
	without := func(string) (*result.Result, error) { return &result.Result{}, nil }
	for _, names := range []Names{{Platform: "a", Peers: "b"}, {Languages: "c"}} {
		if _, err := Fill(document, names, "", without); err == nil {
			t.Errorf("%+v: results without figures were filled in", names)
		}
	}
}

// What a figure is of is said as it was measured.
func TestGathered(t *testing.T) {
	for experiment, want := range map[string]string{"k6": "of one run of each script", "languages": "runs of a benchmark", "peers": "takes turns"} {
		r := example()
		r.Series = r.Of(experiment)
		files, err := Of(r)
		if err != nil {
			t.Fatal(err)
		}
		if turns := bytes.Contains(files[File], []byte("takes turns")); !bytes.Contains(files[File], []byte(want)) || turns != (experiment == "peers") {
			t.Errorf("%s:\n%s", experiment, files[File])
		}
	}
}

// A figure for which there are no values is left out, and the report is there.
func TestFewCalls(t *testing.T) {
	r := example()
	for _, s := range r.Series {
		for _, p := range s.Points {
			delete(p.Values, "p99_us")
		}
	}
	files, err := Of(r)
	if err != nil || files["latency-p99.svg"] != nil || files["latency-p50.svg"] == nil || bytes.Contains(files[File], []byte("latency-p99.svg")) {
		t.Errorf("got %v, %v", slices.Sorted(maps.Keys(files)), err)
	}
}

// A peer whose figures are not valid is not shown as if they were.
func TestInvalidIsSaid(t *testing.T) {
	r := example()
	r.Series[1].Points[0].Invalid = "of 100 calls, 3 were dropped and 0 refused"
	text, err := summary(r, r, "a", "b")
	if err != nil || !strings.Contains(text, "| pappus | a new isolate; **not valid: of 100 calls, 3 were dropped and 0 refused** |") {
		t.Errorf("got %v\n%s", err, text)
	}
}

// The languages that are named are those of pappus new.
func TestLanguagesAreNamed(t *testing.T) {
	var got, want []string
	for _, l := range named() {
		got = append(got, l[1])
	}
	templates, err := os.ReadDir("../../../sdk/toolchain/templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range templates {
		want = append(want, template.Name())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("named are %v, want %v", got, want)
	}
}

// The README says what its results' files say, and nothing else.
func TestReadme(t *testing.T) {
	const root = "../../.."
	document, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	names, err := NamesIn(document)
	if err != nil {
		t.Fatal(err)
	}
	filled, err := Fill(document, names, "bench/results", func(name string) (*result.Result, error) {
		return result.Read(filepath.Join(root, "bench", "results", name))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, figure := range Shown(document, "bench/results") {
		if _, err := os.Stat(filepath.Join(root, figure)); err != nil {
			t.Errorf("README.md shows what is not there: %v", err)
		}
	}
	if !bytes.Equal(filled, document) {
		t.Error("README.md is not what its results give: run make bench-report")
	}
}

// A report in the repository is what its results give too.
func TestReports(t *testing.T) {
	folders, err := filepath.Glob("../../results/*/" + result.File)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range folders {
		folder := filepath.Dir(file)
		r, err := result.Read(folder)
		if err != nil {
			t.Error(err)
			continue
		}
		files, err := Of(r)
		if err != nil {
			t.Errorf("%s: %v", folder, err)
			continue
		}
		for name, want := range files {
			if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s/%s is not what its results give (%v)", folder, name, err)
			}
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 1.5: "1.50", 12.34: "12.3", 123.4: "123", 1234.5: "1234", 12345.6: "12,346", 1234567: "1,234,567",
		0.1234: "0.123", 0.00012: "0.000", -3.5: "-3.50", -12345: "-12,345",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}
