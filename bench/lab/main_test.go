package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pappus/bench/lab/result"
)

func TestRefuses(t *testing.T) {
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "usage"}, {"walk", "usage"}, {"worker", "usage"},
		{"run -set all", "pappus, peers, k6 or languages"}, {"run -only latency,nothing", "no such experiment"},
		{"run peers -smoke", "no argument \"peers\""}, {"run -pappus true -peer pappus=true", "already"}, {"run -peer a=true -peer a=true", "already"},
		{"run -pappus true -out main.go", "-out: "}, {"run -functions 0", "must be one"}, {"run -pappus /no/such/program", "make build"}, {"worker nothing /tmp", "no such kind"},
		{"readme -root /no/such/folder", "measure first"},
		{"report", "folders of results"}, {"report /no/such/folder", "no such file"},
	} {
		if err := run(t.Context(), strings.Fields(test.args)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("lab %s: got %v, want %q", test.args, err, test.want)
		}
	}
	if err := run(t.Context(), []string{"run", "-no-such-flag"}); err == nil || errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
}

func TestNewest(t *testing.T) {
	folder := t.TempDir()
	series := func(experiment, value string) result.Series {
		return result.Series{Experiment: experiment, Name: "pappus", Points: []result.Point{{X: 1, Values: map[string]float64{value: 2}}}}
	}
	latency, throughput := series("latency", "p99_us"), series("throughput", "calls_per_s")
	for name, all := range map[string][]result.Series{
		"2026-01-02-pappus": {latency, throughput}, "2026-01-03-pappus": {latency, throughput}, "2026-01-03-pappus-2": {latency, throughput},
		"2026-01-04-pappus": {latency}, "2026-01-04-pappus-2": {series("workers", "calls_per_s")}, // partial runs
		"2026-01-04-pappus-smoke": {latency, throughput}, "2026-01-05-pappus.tmp": {latency, throughput},
		"2026-01-03-peers": {series("peers", "most_per_s")}, "2026-01-04-peers": nil, "2026-01-04-languages": {latency},
	} {
		write(t, filepath.Join(folder, name), result.Result{Schema: result.Schema, Series: all})
	}
	for set, want := range map[string]struct{ folder, passed string }{
		"pappus":    {"2026-01-03-pappus-2", "2026-01-04-pappus-2 2026-01-04-pappus"},
		"peers":     {"2026-01-03-peers", "2026-01-04-peers"},
		"languages": {"", "2026-01-04-languages"},
		"k6":        {"", ""},
	} {
		var said bytes.Buffer
		if got, err := newest(folder, set, &said); err != nil || got != want.folder {
			t.Errorf("%s: got %q, %v, want %q", set, got, err, want.folder)
		}
		var passed []string
		for line := range strings.Lines(said.String()) {
			passed = append(passed, strings.Fields(line)[1])
		}
		if got := strings.Join(passed, " "); got != want.passed {
			t.Errorf("%s: passed over %q, want %q:\n%s", set, got, want.passed, &said)
		}
	}
}

func write(t *testing.T, folder string, r result.Result) {
	t.Helper()
	c, err := result.NewClaim(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Write(&r, nil), c.Close()); err != nil {
		t.Fatal(err)
	}
}

// A summary whose figure is not there is not written; when the reports are made
// again, it is.
func TestReadme(t *testing.T) {
	root := t.TempDir()
	const before = "<!-- languages:  -->\n<!-- /languages -->\n<!-- measured:  -->\n<!-- /measured -->\n"
	file := filepath.Join(root, "README.md")
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, name := range []string{"2026-01-02-pappus", "2026-01-02-peers"} {
		r := result.Result{Schema: result.Schema}
		for experiment, value := range map[string]string{"latency": "p99_us", "throughput": "calls_per_s", "peers": "most_per_s"} {
			r.Series = append(r.Series, result.Series{Experiment: experiment, Name: "pappus", Points: []result.Point{{X: 1, Values: map[string]float64{value: 2}}}})
		}
		folders = append(folders, filepath.Join(root, "bench", "results", name))
		write(t, folders[len(folders)-1], r)
	}
	err := run(t.Context(), []string{"readme", "-root", root})
	if got, _ := os.ReadFile(file); err == nil || !strings.Contains(err.Error(), "latency-p99.svg") || string(got) != before {
		t.Errorf("without figures: got %v\n%s", err, got)
	}
	if err := run(t.Context(), append([]string{"report"}, folders...)); err != nil {
		t.Fatal(err)
	}
	err = run(t.Context(), []string{"readme", "-root", root})
	if got, _ := os.ReadFile(file); err != nil || !strings.Contains(string(got), "(bench/results/2026-01-02-pappus/throughput.svg)") {
		t.Errorf("with figures: got %v\n%s", err, got)
	}
}

// A run waits for the machine to be idle, but not for ever.
func TestQuiet(t *testing.T) {
	for name, test := range map[string]struct {
		loads []float64 // a second each, then the last of them
		took  time.Duration
		said  string
	}{
		"idle":      {[]float64{0.9}, 0, ""},
		"after one": {[]float64{2.5, 2, 1, 0.99}, 3 * time.Second, "waiting"},
		"busy":      {[]float64{3}, time.Minute, "nevertheless"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said bytes.Buffer
				load := func() float64 {
					now := test.loads[0]
					if len(test.loads) > 1 {
						test.loads = test.loads[1:]
					}
					return now
				}
				began := time.Now()
				if err := quiet(t.Context(), load, 1, time.Minute, &said); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != test.took || !strings.Contains(said.String(), test.said) || (test.said == "") != (said.Len() == 0) {
					t.Errorf("it took %v, want %v, and said %q, want %q", took, test.took, &said, test.said)
				}
			})
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := quiet(ctx, func() float64 { return 3 }, 1, time.Minute, t.Output()); !errors.Is(err, context.Canceled) {
		t.Errorf("when it is told to end: got %v", err)
	}
}
