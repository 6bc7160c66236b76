package experiment

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"pappus/bench/lab/result"
)

// soak is the script that takes an hour.
const soak = "soak"

// scripts are k6's, each an experiment: bench/k6/run.sh runs it against a server
// of its own, and fails if a threshold did.
func scripts() []Experiment {
	var all []Experiment
	for _, name := range []string{"smoke", "hot", "cold", "hot-ratio", "upload", "composition", "memo", soak} {
		all = append(all, Experiment{name, func(l *Lab, ctx context.Context, r *result.Result) error { return l.script(ctx, r, name) }})
	}
	return all
}

// k6Settings are the variables of bench/k6/README.md that say what is asked.
func k6Settings() []string {
	return []string{"RATE", "DURATION", "SIZE", "COLD", "LOGS", "P99", "RESIDENT", "VUS"}
}

func k6Parameters(p Plan) map[string]string {
	all := map[string]string{}
	for _, name := range k6Settings() {
		if value := cmp.Or(p.K6[name], os.Getenv(name)); value != "" {
			all[name] = value
		}
	}
	if len(all) == 0 {
		all["settings"] = "those of bench/k6/README.md"
	}
	return all
}

// script runs a script. A threshold that failed, and an iteration that was
// dropped, make all of the run worth nothing.
func (l *Lab) script(ctx context.Context, r *result.Result, name string) error {
	summary := filepath.Join(l.Setup.Scratch, "k6-"+name+".json")
	root, err := filepath.Abs(l.Setup.Root)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, "bench", "k6", "run.sh"), name)
	cmd.Env = append(os.Environ(), "SUMMARY="+summary)
	for name, value := range l.Plan.K6 {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = l.Log, l.Log
	together(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("bench/k6/run.sh %s: %w: what it measured is not valid", name, err)
	}
	document, err := os.ReadFile(summary)
	if err != nil {
		return err
	}
	series, held, err := k6Summary(name, document)
	if err != nil {
		return fmt.Errorf("%s: %w", summary, err)
	}
	r.Series = append(r.Series, series...)
	r.Parameters["thresholds of "+name] = held
	return nil
}

// together has a command end with all that it started when its context ends.
func together(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
}

var (
	errInvalid = errors.New("the run is not valid")
	// durationOf are the durations of some of a script's requests, by their tags.
	durationOf = regexp.MustCompile(`^http_req_duration\{(.*)\}$`)
)

// k6Metric is a metric of k6's summary. Its thresholds say whether each failed.
type k6Metric struct {
	values     map[string]float64
	Thresholds map[string]bool
}

func (m *k6Metric) UnmarshalJSON(document []byte) error {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(document, &all); err != nil {
		return err
	}
	m.values = map[string]float64{}
	for name, value := range all {
		var err error
		if name == "thresholds" {
			err = json.Unmarshal(value, &m.Thresholds)
		} else {
			var v float64
			err = json.Unmarshal(value, &v)
			m.values[name] = v
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// k6Summary reads what k6 found: a series for each kind of request that a
// threshold is on, and the thresholds, all of which must have held.
func k6Summary(script string, document []byte) (series []result.Series, held string, err error) {
	var summary struct{ Metrics map[string]*k6Metric }
	if err := json.Unmarshal(document, &summary); err != nil {
		return nil, "", err
	}
	metric := func(name string) map[string]float64 {
		if m := summary.Metrics[name]; m != nil {
			return m.values
		}
		return nil
	}
	if metric("iterations")["count"] < 1 || metric("http_req_duration") == nil {
		return nil, "", fmt.Errorf("%w: there were no iterations", errInvalid)
	}
	if n := metric("dropped_iterations")["count"]; n != 0 {
		return nil, "", fmt.Errorf("%w: %v iterations were dropped", errInvalid, n)
	}
	if checks := metric("checks"); checks == nil || checks["value"] != 1 {
		return nil, "", fmt.Errorf("%w: not all answers were right", errInvalid)
	}
	var thresholds, kinds []string
	for _, name := range slices.Sorted(maps.Keys(summary.Metrics)) {
		m := summary.Metrics[name]
		for _, threshold := range slices.Sorted(maps.Keys(m.Thresholds)) {
			if m.Thresholds[threshold] {
				return nil, "", fmt.Errorf("%w: of %s not %s", errInvalid, name, threshold)
			}
			thresholds = append(thresholds, name+" "+threshold)
		}
		if len(m.Thresholds) > 0 && durationOf.MatchString(name) {
			kinds = append(kinds, name)
		}
	}
	if len(thresholds) == 0 {
		return nil, "", fmt.Errorf("%w: it has no thresholds", errInvalid)
	}
	if len(kinds) == 0 {
		kinds = []string{"http_req_duration"}
	}
	for _, kind := range kinds {
		label := script
		if m := durationOf.FindStringSubmatch(kind); m != nil {
			label += ", " + m[1]
		}
		values := map[string]float64{} // from ms
		for name, of := range map[string]string{"p50_us": "med", "p95_us": "p(95)", "p99_us": "p(99)", "max_us": "max"} {
			if v, ok := metric(kind)[of]; ok {
				values[name] = 1000 * v
			}
		}
		if calls, ok := metric(kind)["count"]; ok {
			values["calls"] = calls
		}
		if values["calls"] < fewest {
			delete(values, "p99_us")
		}
		series = append(series, result.Series{
			Experiment: "k6", Name: label, X: "iterations of the script",
			Points: []result.Point{{X: metric("iterations")["count"], Values: values, Rounds: 1}},
		})
	}
	return series, strings.Join(thresholds, "; ") + ": all held", nil
}
