package experiment

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pappus/bench/lab/peer"
	"pappus/bench/lab/result"
)

const k6Good = `{"metrics": {
	"iterations": {"count": 105, "rate": 10.5},
	"dropped_iterations": {"count": 0, "rate": 0, "thresholds": {"count==0": false}},
	"checks": {"passes": 210, "fails": 0, "value": 1, "thresholds": {"rate==1": false}},
	"http_req_duration": {"med": 9, "p(99)": 99},
	"http_req_duration{name:invoke,scenario:hot97}": {"med": 2.5, "p(95)": 3, "p(99)": 4, "max": 5, "count": 100, "thresholds": {"p(99)<250": false}},
	"http_req_duration{name:upload}": {"med": 20, "p(99)": 40}
}}`

func TestK6Summary(t *testing.T) {
	series, held, err := k6Summary("hot-ratio", []byte(k6Good))
	if err != nil || len(series) != 1 || series[0].Name != "hot-ratio, name:invoke,scenario:hot97" {
		t.Fatalf("got %+v, %v", series, err)
	}
	p := series[0].Points[0]
	want := map[string]float64{"p50_us": 2500, "p95_us": 3000, "p99_us": 4000, "max_us": 5000, "calls": 100}
	if p.X != 105 || !maps.Equal(p.Values, want) {
		t.Errorf("got %+v, want %v", p, want)
	}
	for _, part := range []string{"dropped_iterations count==0", "checks rate==1", "p(99)<250", "all held"} {
		if !strings.Contains(held, part) {
			t.Errorf("thresholds %q do not name %q", held, part)
		}
	}
	for _, few := range []string{`"count": 99, "thresholds"`, `"thresholds"`} {
		series, _, err := k6Summary("hot-ratio", []byte(strings.Replace(k6Good, `"count": 100, "thresholds"`, few, 1)))
		if err != nil || len(series) != 1 {
			t.Fatalf("%s: got %+v, %v", few, series, err)
		}
		if v, ok := series[0].Points[0].Values["p99_us"]; ok || series[0].Points[0].Values["p50_us"] != 2500 {
			t.Errorf("of fewer than %d calls, or nobody knows how many, the 99th percentile is %v", fewest, v)
		}
	}
	for name, change := range map[string][2]string{
		"dropped":           {`"dropped_iterations": {"count": 0`, `"dropped_iterations": {"count": 2`},
		"a threshold":       {`{"p(99)<250": false}`, `{"p(99)<250": true}`},
		"a wrong answer":    {`"value": 1`, `"value": 0.99`},
		"no iterations":     {`"count": 105`, `"count": 0`},
		"another form":      {`"count": 105`, `"count": "many"`},
		"no JSON":           {`{"metrics"`, `"metrics"`},
		"no metrics at all": {`"metrics"`, `"nothing"`},
	} {
		if series, _, err := k6Summary("hot", []byte(strings.ReplaceAll(k6Good, change[0], change[1]))); err == nil {
			t.Errorf("%s: got %+v", name, series)
		}
	}
}

// What is asked by the environment stands before the command.
func TestGiven(t *testing.T) {
	for _, name := range k6Settings() {
		t.Setenv(name, "")
	}
	for _, set := range Sets() {
		if got := set.Given(); got != "" {
			t.Errorf("%s: got %q of nothing", set.Name, got)
		}
	}
	t.Setenv("RATE", "20")
	t.Setenv("DURATION", "1m; it's")
	for _, set := range Sets() {
		want := ""
		if set.Name == "k6" {
			want = `RATE=20 DURATION='1m; it'\''s' `
		}
		if got := set.Given(); got != want {
			t.Errorf("%s: got %q, want %q", set.Name, got, want)
		}
	}
}

// The scripts' command is asked for a summary, and what it says counts; if it
// fails, there is nothing.
func TestScript(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "bench", "k6")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, "run.sh"), []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l := &Lab{Setup: peer.Setup{Root: root, Scratch: t.TempDir()}, Plan: Smoke(), Log: t.Output()}
	run := func() (*result.Result, error) {
		r := &result.Result{Parameters: map[string]string{}}
		i := slices.IndexFunc(scripts(), func(e Experiment) bool { return e.Name == "cold" })
		return r, l.Run(t.Context(), scripts()[i:i+1], r)
	}
	write(`[ "$1" = cold ] && [ "$DURATION" = 1s ] && cat >"$SUMMARY" <<'EOF'` + "\n" + k6Good + "\nEOF\n")
	r, err := run()
	if err != nil || len(r.Series) != 1 || !strings.Contains(r.Parameters["thresholds of cold"], "all held") {
		t.Errorf("got %+v, %v", r, err)
	}
	write("exit 99\n")
	if r, err := run(); err == nil || len(r.Series) != 0 {
		t.Errorf("a script that failed: got %+v, %v", r.Series, err)
	}
	write("exit 0\n")
	if err := os.RemoveAll(filepath.Join(l.Setup.Scratch, "k6-cold.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := run(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a summary: got %v", err)
	}
}

// A script ends with all that it started when it is told to.
func TestScriptEnds(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "bench", "k6")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	// As run.sh waits for k6: bash runs no trap until what it waits for has ended.
	if err := os.WriteFile(filepath.Join(folder, "run.sh"), []byte("#!/bin/sh\necho >>\"$SUMMARY\"\nsleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := &Lab{Setup: peer.Setup{Root: root, Scratch: t.TempDir()}, Plan: Smoke(), Log: t.Output()}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for range ticker.C {
			if _, err := os.Stat(filepath.Join(l.Setup.Scratch, "k6-hot.json")); err == nil || ctx.Err() != nil {
				return
			}
		}
	}()
	if err := l.script(ctx, &result.Result{Parameters: map[string]string{}}, "hot"); err == nil || ctx.Err() == nil {
		t.Errorf("got %v, %v", err, ctx.Err())
	}
}

func TestSets(t *testing.T) {
	for _, set := range Sets() {
		usual := set.Usual()
		if len(usual) == 0 || len(usual)+len(set.Optional) != len(set.Experiments) || len(set.Parameters(Full())) == 0 {
			t.Errorf("%s: %d of %d", set.Name, len(usual), len(set.Experiments))
		}
		if slices.ContainsFunc(usual, func(e Experiment) bool { return e.Name == soak }) {
			t.Error("the soak is run unasked")
		}
	}
	// Each script of bench/k6 that has options is one of the set, and no other.
	files, err := filepath.Glob("../../k6/*.js")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "export const options") {
			want = append(want, strings.TrimSuffix(filepath.Base(file), ".js"))
		}
	}
	var got []string
	for _, e := range scripts() {
		got = append(got, e.Name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("scripts %v, want %v", got, want)
	}
}

func TestLanguagesOf(t *testing.T) {
	const out = `goos: linux
BenchmarkLanguages/c++/image-2         	     100	     6000 ns/op	      4802 module
BenchmarkLanguages/c++/image-2         	     100	     9000 ns/op	      4802 module
BenchmarkLanguages/c++/image-2         	     100	     7000 ns/op	      4802 module
BenchmarkLanguages/c++/no-image-2      	     100	    17000 ns/op	      4802 module
BenchmarkLanguages/c-libc/image        	     100	    15000 ns/op	     21899 module
BenchmarkLanguages/c-libc/no-image     	     100	    22000 ns/op	     21899 module
--- BENCH: BenchmarkLanguages
    bench_test.go:46: rustc is missing; install it
PASS
ok  	pappus/sdk	112.627s
`
	series, err := languagesOf([]byte(out))
	if err != nil || len(series) != 2 {
		t.Fatalf("got %+v, %v", series, err)
	}
	for i, want := range []result.Point{
		{X: 4802, Values: map[string]float64{"call_us": 7, "no_image_us": 17}, Rounds: 1},
		{X: 21899, Values: map[string]float64{"call_us": 15, "no_image_us": 22}, Rounds: 1},
	} {
		got := series[i].Points[0]
		if got.X != want.X || !closeTo(got.Values, want.Values) || got.Rounds != want.Rounds || series[i].Name != []string{"c++", "c-libc"}[i] {
			t.Errorf("got %s %+v, want %+v", series[i].Name, got, want)
		}
	}
	for name, out := range map[string]string{
		"nothing":      "PASS\n",
		"one of both":  "BenchmarkLanguages/c/image-2 100 6000 ns/op 4802 module\n",
		"no size":      "BenchmarkLanguages/c/image-2 100 6000 ns/op\n",
		"another part": "BenchmarkLanguages/c/picture-2 100 6000 ns/op 4802 module\n",
	} {
		if series, err := languagesOf([]byte(out)); err == nil {
			t.Errorf("%s: got %+v", name, series)
		}
	}
}

func closeTo(a, b map[string]float64) bool {
	return maps.EqualFunc(a, b, func(x, y float64) bool { return x-y < 1e-6 && y-x < 1e-6 })
}
