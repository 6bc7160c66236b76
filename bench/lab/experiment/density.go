package experiment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"pappus/bench/lab/load"
	"pappus/bench/lab/pappus"
	"pappus/bench/lab/result"
	"pappus/bench/lab/trace"
	"pappus/bench/lab/usage"
)

// parts of the day in figures.
const parts = 288 // of five minutes

// density replays a made-up day in little time, and compares the memory that
// Pappus has with what policies would commit that keep sandboxes after calls,
// which are computed.
func (l *Lab) density(ctx context.Context, r *result.Result) (err error) {
	day, err := trace.Generate(trace.Params{Functions: l.Plan.Trace, Seed: l.Plan.Seed})
	if err != nil {
		return err
	}
	thin := day.Thin(l.Plan.TraceMost)
	top := int(math.Ceil((1 - trace.MinutesShare) * float64(l.Plan.Trace)))
	r.Parameters["the day's calls"] = fmt.Sprintf("%d, of which the %d most called functions have %.2f %%; replayed are %d", len(day.Events), top, 100*day.Top(top), len(thin.Events))
	// What is registered is loaded, while policies begin with nothing.
	s, err := l.serveAgain(ctx, l.Plan.Trace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	measured, err := l.replay(ctx, s, thin, len(day.Events))
	if err != nil {
		return err
	}
	r.Series = append(r.Series, measured...)
	for _, policy := range []struct {
		name string
		idle time.Duration
	}{
		{"computed: sandboxes kept 20 min", 20 * time.Minute}, {"computed: kept 10 min", 10 * time.Minute},
		{"computed: kept 1 min", time.Minute}, {"computed: only while they run", 0},
	} {
		kept := day.Keep(policy.idle, parts)
		series := result.Series{Experiment: "density", Name: policy.name, X: "h of the day"}
		for i, n := range kept.Sandboxes {
			series.Points = append(series.Points, result.Point{
				X: float64(i+1) * 24 / parts, Values: map[string]float64{"memory_mib": float64(n) * l.Plan.Sandbox / (1 << 20)}, Rounds: 1,
			})
		}
		summary := result.Series{Experiment: "density summary", Name: policy.name, X: "functions", Points: []result.Point{{
			X: float64(l.Plan.Trace), Rounds: 1, Values: map[string]float64{
				"mean_mib": kept.Mean * l.Plan.Sandbox / (1 << 20), "cold_calls": float64(kept.Starts),
				"cold_share": float64(kept.Starts) / float64(max(len(day.Events), 1)),
			},
		}}}
		r.Series = append(r.Series, series, summary)
	}
	return nil
}

// replay makes the day's calls and looks at the server's memory meanwhile. The
// part of cold calls is that of all calls of the day from which these were taken,
// as the policies' is.
func (l *Lab) replay(ctx context.Context, s *pappus.Server, day *trace.Day, of int) ([]result.Series, error) {
	before, err := s.Metric(ctx, pappus.Loads)
	if err != nil {
		return nil, err
	}
	pace := float64(trace.Length) / float64(l.Plan.TraceTime)
	at := make([]time.Duration, len(day.Events))
	for i, e := range day.Events {
		at[i] = time.Duration(float64(e.At) / pace)
	}
	to := l.product(s.Addr, func(n int) string { return pappus.Path(pappus.Name(day.Events[n].Function)) })
	series := result.Series{Experiment: "density", Name: "measured: all of pappus", X: "h of the day"}
	var o *load.Outcome
	done := make(chan struct{})
	group, both := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		defer close(done)
		o, err = l.open(both, load.Schedule(at), l.Plan.TraceTime, to)
		return err
	})
	var sum float64
	group.Go(func() error {
		ticker := time.NewTicker(l.Plan.TraceTime / parts)
		defer ticker.Stop()
		for began := time.Now(); ; {
			m, err := usage.Memory(s.PID())
			if err != nil {
				return err
			}
			mib := float64(m) / (1 << 20)
			sum += mib
			series.Points = append(series.Points, result.Point{
				X: time.Since(began).Hours() * pace, Values: map[string]float64{"memory_mib": mib}, Rounds: 1,
			})
			select {
			case <-ticker.C:
			case <-done:
				return nil
			case <-both.Done():
				return both.Err()
			}
		}
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if o.Offered != len(at) {
		return nil, fmt.Errorf("%d of %d calls were made", o.Offered, len(at))
	}
	var all rounds
	all.add(o)
	all.note("mean_mib", sum/float64(len(series.Points)))
	after, err := s.Metric(ctx, pappus.Loads)
	if err != nil {
		return nil, err
	}
	all.note("cold_calls", after-before)
	all.note("cold_share", (after-before)/float64(max(of, 1)))
	return []result.Series{series, {Experiment: "density summary", Name: series.Name, X: "functions", Points: []result.Point{all.point(float64(l.Plan.Trace))}}}, nil
}
