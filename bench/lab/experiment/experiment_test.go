package experiment

import (
	"context"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/bench/lab/load"
	"pappus/bench/lab/peer"
	"pappus/bench/lab/result"
	"pappus/bench/lab/worker"
)

// TestMain is also the program that serves as workers.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "worker" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err := worker.Serve(ctx, os.Args[2], os.Args[3], os.Stdout)
		stop()
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 2 && !strings.HasPrefix(os.Args[1], "-") { // a peer that answers wrongly, with so many functions
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err := worker.Serve(ctx, "echo", "", os.Stdout)
		stop()
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func smoke(t *testing.T) *Lab {
	t.Helper()
	s := peer.Setup{Root: "../../..", Self: os.Args[0], Scratch: t.TempDir(), Pappus: filepath.Join(t.TempDir(), "pappus")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.Pappus, "./cmd/pappus")
	build.Dir = s.Root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &Lab{Setup: s, Plan: Smoke(), Log: os.Stderr}
}

// All experiments run, in little, and have a figure for every point that the
// plan names.
func TestExperiments(t *testing.T) {
	l := smoke(t)
	plan := l.Plan
	x := func(counts []int) (all []float64) {
		for _, n := range counts {
			all = append(all, float64(n))
		}
		return all
	}
	want := map[string]struct {
		series int
		xs     []float64 // nil: any
		values string
	}{
		"latency":         {len(plan.Hot), nil, "calls_per_s cold_share late_share p50_us p99_us"},
		"throughput":      {2, []float64{100, 90, 0}, "calls_per_s late_share p50_us p99_us"},
		"distribution":    {4, nil, "share"},
		"cold":            {4, []float64{plan.Samples}, "calls calls_per_s late_share max_us p50_us p99_us"},
		"composition":     {2, x(plan.Logs), "calls_per_s instances_per_s p50_us p99_us"},
		"fetched":         {2, x(plan.Logs), "calls_per_s instances_per_s p50_us p99_us"},
		"instances":       {2, x(plan.Instances), "calls_per_s instances_per_s p50_us p99_us"},
		"workers":         {1, x(plan.Workers), "calls_per_s p50_us p99_us"},
		"registered":      {1, x(plan.Registered), "calls_per_s memory_mib p50_us p99_us"},
		"inputs":          {1, x(plan.Inputs), "calls_per_s mib_per_s p50_us p99_us"},
		"density":         {5, nil, "memory_mib"},
		"density summary": {5, []float64{float64(plan.Trace)}, "cold_calls cold_share mean_mib"},
		"peers":           {0, []float64{float64(plan.Rows), 1}, "calls_per_s cpu_s_per_1000 most_per_s p50_us p99_us"},
	}
	r := &result.Result{Parameters: map[string]string{}}
	if err := l.Run(t.Context(), slices.Concat(Platform(), Peers()), r); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, s := range r.Series {
		w, ok := want[s.Experiment]
		if !ok {
			t.Errorf("experiment %q is not expected", s.Experiment)
			continue
		}
		seen[s.Experiment]++
		if len(s.Points) == 0 || s.Name == "" || s.X == "" {
			t.Errorf("%s: %+v", s.Experiment, s)
		}
		var xs []float64
		for _, p := range s.Points {
			xs = append(xs, p.X)
			for _, name := range strings.Fields(w.values) {
				v, ok := p.Values[name]
				if calls, counted := p.Values["calls"]; !ok && name == "p99_us" && counted && calls < fewest {
					continue
				}
				if calls, counted := p.Values["calls_per_s"]; !ok && counted && calls == 0 && strings.HasSuffix(name, "_us") {
					continue // so short a turn may have no call
				}
				if !ok || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
					t.Errorf("%s, %s at %v: %s is %v, %v", s.Experiment, s.Name, p.X, name, v, ok)
				}
			}
		}
		if w.xs != nil && !slices.Equal(xs, w.xs) {
			t.Errorf("%s, %s: points at %v, want %v", s.Experiment, s.Name, xs, w.xs)
		}
	}
	skipped := len(r.Skipped)
	for experiment, w := range want {
		if w.series > 0 && seen[experiment] != w.series && skipped == 0 {
			t.Errorf("%s: %d series, want %d", experiment, seen[experiment], w.series)
		}
		if seen[experiment] == 0 {
			t.Errorf("%s: nothing", experiment)
		}
	}
	// The replay begins with nothing loaded, and each function that is called must be.
	if v, ok := r.Value("density summary", "measured: all of pappus", float64(plan.Trace), "cold_calls"); !ok || v < float64(plan.Trace-1) {
		t.Errorf("of a day of %d functions %v calls were cold (%v)", plan.Trace, v, ok)
	}
	// Latencies are those at half of the most, with exactly so many calls.
	for _, s := range r.Of("peers") {
		for _, p := range s.Points {
			half := p.Values["most_per_s"] / 2
			want := math.Round(half * l.length(half).Seconds())
			if got := p.Values["calls"]; got != want && p.Invalid == "" {
				t.Errorf("%s, %v rows: %v calls at half of %v calls/s, want %v", s.Name, p.X, got, 2*half, want)
			}
		}
	}
	if _, ok := r.Value("peers", "pappus", 1, "most_per_s"); !ok {
		t.Errorf("pappus was not measured: %+v", r.Skipped)
	}
	// Calls that are said to be cold are so more often than those that are said to
	// be hot. How often exactly is a matter of time in so short a turn.
	hot, okHot := r.Value("throughput", "pappus", 100, "cold_share")
	cold, okCold := r.Value("throughput", "pappus", 0, "cold_share")
	if !okHot || !okCold || cold <= hot {
		t.Errorf("of calls that should be hot %v were cold (%v), of those that should be cold %v (%v)", hot, okHot, cold, okCold)
	}
}

// A 99th percentile is that of enough calls, and what was refused is said of a
// figure, in whichever of its loads.
func TestRounds(t *testing.T) {
	outcome := func(calls int) *load.Outcome {
		o := &load.Outcome{Offered: calls, Done: calls, Elapsed: time.Second}
		for i := range calls {
			o.Sorted = append(o.Sorted, time.Duration(i+1)*time.Microsecond)
		}
		return o
	}
	var few, enough rounds
	few.add(outcome(fewest - 1))
	enough.add(outcome(fewest))
	if v, ok := few.point(1).Values["p99_us"]; ok {
		t.Errorf("of %d calls the 99th percentile is %v", fewest-1, v)
	}
	if v := enough.point(1).Values["p99_us"]; v != 99 {
		t.Errorf("of %d calls the 99th percentile is %v, want 99", fewest, v)
	}
	refused := outcome(10)
	refused.Refused = 2
	enough.count(refused)
	if p := enough.point(1); !strings.Contains(p.Invalid, "2 refused") || p.Values["calls_per_s"] != fewest {
		t.Errorf("got %+v, want that two were refused", p)
	}
}

func TestLength(t *testing.T) {
	l := &Lab{Plan: Full()}
	for perSecond, want := range map[float64]time.Duration{10: 4 * time.Second, 100: 3 * time.Second, 300: time.Second, 5000: time.Second} {
		if got := l.length(perSecond); got != want {
			t.Errorf("at %v calls/s a turn is %v, want %v", perSecond, got, want)
		}
	}
}

// A full plan asks for what the paper's figures and the scales have.
func TestFull(t *testing.T) {
	p := Full()
	if !slices.Equal(p.Hot, []float64{1, 0.97, 0.95, 0.9, 0}) || p.Rows != 128 || p.Rounds < 3 {
		t.Errorf("%+v is not the paper's experiment", p)
	}
	for name, most := range map[string][2]int{
		"registered": {slices.Max(p.Registered), 10_000}, "instances": {slices.Max(p.Instances), 10_000}, "inputs": {slices.Max(p.Inputs), 256 << 20},
	} {
		if most[0] != most[1] {
			t.Errorf("%s: up to %d, want %d", name, most[0], most[1])
		}
	}
	if len(p.Parameters()) < 10 {
		t.Errorf("%v", p.Parameters())
	}
}
