package experiment

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pappus/bench/lab/load"
	"pappus/bench/lab/pappus"
	"pappus/bench/lab/peer"
	"pappus/bench/lab/result"
	"pappus/bench/lab/target"
)

// mixed makes calls of which a part is hot. It goes on through the cold functions
// where the load before stopped, since those that this one began with again
// might be loaded still.
type mixed struct {
	lab    *Lab
	server *pappus.Server
	cold   int // cold calls so far, of all loads
}

// load applies a load of a mix, and notes what part of the calls was cold.
func (m *mixed) load(ctx context.Context, share float64, r *rounds, run func(*target.Target) (*load.Outcome, error)) error {
	mix := target.Mix{Hot: share, Cold: m.lab.Plan.Cold, Made: m.cold}
	to := m.lab.product(m.server.Addr, func(n int) string { return pappus.Path(pappus.Name(mix.Function(n))) })
	before, err := m.server.Metric(ctx, pappus.Loads)
	if err != nil {
		return err
	}
	o, err := run(to)
	if err != nil {
		return err
	}
	after, err := m.server.Metric(ctx, pappus.Loads)
	if err != nil {
		return err
	}
	m.cold += mix.Others(o.Offered)
	r.add(o)
	if made := o.Done + o.Refused; made > 0 {
		r.note("cold_share", (after-before)/float64(made))
	}
	return nil
}

func percent(share float64) string { return fmt.Sprintf("%g %% hot", 100*share) }

// sweep starts a server for mixed calls.
func (l *Lab) sweep(ctx context.Context) (*mixed, error) {
	s, err := l.serve(ctx, l.Plan.Cold+1, "--loaded-code", l.Plan.Loaded)
	if err != nil {
		return nil, err
	}
	return &mixed{lab: l, server: s}, nil
}

// latency is measured against the load that is offered, at each part of hot
// calls.
func (l *Lab) latency(ctx context.Context, r *result.Result) (err error) {
	m, err := l.sweep(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.server.Stop()) }()
	// What is the most decides which loads are offered; the first turn warms up.
	var most rounds
	for turn := range 1 + l.Plan.Rounds {
		if turn == 1 {
			most = rounds{}
		}
		if err := m.load(ctx, 1, &most, func(t *target.Target) (*load.Outcome, error) { return l.closed(ctx, l.Plan.Connections, t) }); err != nil {
			return err
		}
	}
	peak := most.median("calls_per_s")
	points := make([][]rounds, len(l.Plan.Hot))
	for i := range points {
		points[i] = make([]rounds, len(l.Plan.Loads))
	}
	for round := range l.Plan.Rounds {
		for j, part := range l.Plan.Loads {
			for i, share := range l.Plan.Hot {
				seed := l.Plan.Seed + uint64(round) // all meet the same times
				err := m.load(ctx, share, &points[i][j], func(t *target.Target) (*load.Outcome, error) {
					return l.rated(ctx, part*peak, seed, t)
				})
				if err != nil {
					return fmt.Errorf("%s, %.0f calls/s: %w", percent(share), part*peak, err)
				}
			}
		}
	}
	for i, share := range l.Plan.Hot {
		s := result.Series{Experiment: "latency", Name: percent(share), X: "calls/s offered"}
		for j, part := range l.Plan.Loads {
			s.Points = append(s.Points, points[i][j].point(part*peak))
		}
		r.Series = append(r.Series, s)
	}
	return nil
}

// throughput is the most that is answered, at each part of hot calls, beside a
// process for each call, of which every one is as cold as the other.
func (l *Lab) throughput(ctx context.Context, r *result.Result) (err error) {
	m, err := l.sweep(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.server.Stop()) }()
	fork, skipped, err := l.start(ctx, "exec", 1)
	if err != nil {
		return err
	}
	if fork != nil {
		defer func() { err = errors.Join(err, fork.Stop()) }()
	} else {
		r.Skipped = append(r.Skipped, result.Skipped{Name: "a process for each call", Reason: skipped})
	}
	closed := func(t *target.Target) (*load.Outcome, error) { return l.closed(ctx, l.Plan.Connections, t) }
	points := make([]rounds, len(l.Plan.Hot))
	var forked rounds
	if err := m.load(ctx, 1, new(rounds), closed); err != nil { // it warms up
		return err
	}
	if fork != nil {
		if err := l.warm(ctx, l.Plan.Connections, fork.Asked(l.Plan.Rows, first)); err != nil {
			return fmt.Errorf("a process for each call: %w", err)
		}
	}
	for range l.Plan.Rounds {
		for i, share := range l.Plan.Hot {
			if err := m.load(ctx, share, &points[i], closed); err != nil {
				return fmt.Errorf("%s: %w", percent(share), err)
			}
		}
		if fork != nil {
			o, err := closed(fork.Asked(l.Plan.Rows, first))
			if err != nil {
				return fmt.Errorf("a process for each call: %w", err)
			}
			forked.add(o)
		}
	}
	ours := result.Series{Experiment: "throughput", Name: "pappus", X: "% hot"}
	theirs := result.Series{Experiment: "throughput", Name: "a process for each call", X: "% hot"}
	for i, share := range l.Plan.Hot {
		ours.Points = append(ours.Points, points[i].point(100*share))
		if fork != nil {
			theirs.Points = append(theirs.Points, forked.point(100*share))
		}
	}
	r.Series = append(r.Series, ours)
	if fork != nil {
		r.Series = append(r.Series, theirs)
	}
	return nil
}

// start starts a peer by name; if it can't be on this machine, it says why.
func (l *Lab) start(ctx context.Context, name string, functions int) (running *peer.Running, skipped string, err error) {
	for _, p := range l.Setup.All() {
		if p.Name() != name {
			continue
		}
		running, err := p.Start(ctx, functions)
		if errors.Is(err, peer.ErrSkipped) {
			return nil, reason(err), nil
		}
		return running, "", err
	}
	return nil, "", fmt.Errorf("there is no peer %q", name)
}

// reason is why a peer was skipped.
func reason(err error) string { return strings.TrimPrefix(err.Error(), peer.ErrSkipped.Error()+": ") }
