package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pappus/bench/lab/load"
	"pappus/bench/lab/pappus"
	"pappus/bench/lab/result"
	"pappus/bench/lab/stats"
	"pappus/bench/lab/target"
)

// kind is a kind of call whose distribution is measured.
type kind struct {
	name   string
	warmed bool // before it is measured
	to     *target.Target
	sorted []time.Duration
	rounds
}

// cold compares the distributions of hot calls, of cold ones, of those whose
// function must be compiled first, and of those that are a process each, all at
// the same low rate.
func (l *Lab) cold(ctx context.Context, r *result.Result) (err error) {
	stop := func(s interface{ Stop() error }) { err = errors.Join(err, s.Stop()) }
	normal, err := l.serve(ctx, l.Plan.Cold+1, "--loaded-code", l.Plan.Loaded)
	if err != nil {
		return err
	}
	defer stop(normal)
	forgetful, err := l.serve(ctx, l.Plan.Cold+1, "--loaded-code", l.Plan.Loaded, "--code-cache", "0")
	if err != nil {
		return err
	}
	defer stop(forgetful)
	var made int
	cold := target.Mix{Cold: l.Plan.Cold}
	inTurn := func(n int) string { return pappus.Path(pappus.Name(cold.Function(made + n))) }
	kinds := []*kind{
		{name: "hot", warmed: true, to: l.product(normal.Addr, hot)},
		{name: "cold: code from disk", to: l.product(normal.Addr, inTurn)},
		{name: "compiled first", to: l.product(forgetful.Addr, inTurn)},
	}
	fork, _, err := l.start(ctx, "exec", 1) // throughput says why there is none
	if err != nil {
		return err
	}
	if fork != nil {
		defer func() { err = errors.Join(err, fork.Stop()) }()
		kinds = append(kinds, &kind{name: "a process for each call", warmed: true, to: fork.Asked(l.Plan.Rows, first)})
	}
	for _, k := range kinds {
		if !k.warmed {
			continue
		}
		if err := l.warm(ctx, 1, k.to); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	const turns = 4 // of the plan's, for so few calls
	for range l.Plan.Rounds {
		most := 0
		for _, k := range kinds {
			o, err := l.open(ctx, load.Poisson(l.Plan.Samples, turns*l.Plan.Turn, l.Plan.Seed+uint64(made)), turns*l.Plan.Turn, k.to)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			k.add(o)
			k.sorted = append(k.sorted, o.Sorted...)
			most = max(most, o.Offered)
		}
		made += most
	}
	for _, k := range kinds {
		slices.Sort(k.sorted)
		all := make([]float64, len(k.sorted))
		for i, d := range k.sorted {
			all[i] = micro(d)
		}
		summary := k.point(l.Plan.Samples)
		for name, q := range map[string]float64{"p50_us": 0.5, "p99_us": 0.99, "max_us": 1} {
			summary.Values[name] = stats.Quantile(all, q) // of all rounds together
		}
		summary.Values["calls"] = float64(len(all))
		s := result.Series{Experiment: "distribution", Name: k.name, X: "µs"}
		for _, step := range stats.Distribution(all, 100) {
			s.Points = append(s.Points, result.Point{X: step.Value, Values: map[string]float64{"share": step.Share}, Rounds: l.Plan.Rounds})
		}
		r.Series = append(r.Series, s, result.Series{Experiment: "cold", Name: k.name, X: "calls/s offered", Points: []result.Point{summary}})
	}
	return nil
}
