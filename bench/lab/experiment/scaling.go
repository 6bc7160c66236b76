package experiment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"pappus/bench/lab/pappus"
	"pappus/bench/lab/result"
	"pappus/bench/lab/target"
	"pappus/bench/lab/usage"
)

// workers measures the most that is answered with so many functions computing
// at once.
func (l *Lab) workers(ctx context.Context, r *result.Result) (err error) {
	servers := make([]*pappus.Server, len(l.Plan.Workers))
	defer func() {
		for _, s := range servers {
			if s != nil {
				err = errors.Join(err, s.Stop())
			}
		}
	}()
	for i, n := range l.Plan.Workers {
		if servers[i], err = l.serve(ctx, 1, "--workers", strconv.Itoa(n)); err != nil {
			return err
		}
	}
	points := make([]rounds, len(servers))
	for _, s := range servers {
		if err := l.warm(ctx, l.Plan.Connections, l.product(s.Addr, hot)); err != nil {
			return err
		}
	}
	for range l.Plan.Rounds {
		for i, s := range servers {
			o, err := l.closed(ctx, l.Plan.Connections, l.product(s.Addr, hot))
			if err != nil {
				return fmt.Errorf("%d workers: %w", l.Plan.Workers[i], err)
			}
			points[i].add(o)
		}
	}
	s := result.Series{Experiment: "workers", Name: "pappus", X: "workers"}
	for i, n := range l.Plan.Workers {
		s.Points = append(s.Points, points[i].point(float64(n)))
	}
	r.Series = append(r.Series, s)
	return nil
}

// registered measures hot calls, and memory, as functions become many.
func (l *Lab) registered(ctx context.Context, r *result.Result) (err error) {
	s, err := l.serve(ctx, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	code, err := l.sample("matmul-size")
	if err != nil {
		return err
	}
	series := result.Series{Experiment: "registered", Name: "pappus", X: "functions"}
	there := 1
	for _, n := range l.Plan.Registered {
		began := time.Now()
		if err := s.RegisterVariants(ctx, code, there, n, pappus.Fresh); err != nil {
			return err
		}
		var all rounds
		if n > there {
			all.note("register_ms", float64(time.Since(began).Milliseconds())/float64(n-there))
		}
		there = max(there, n)
		few := min(there, 10)
		to := l.product(s.Addr, func(k int) string { return pappus.Path(pappus.Name(k % few)) })
		if err := l.warm(ctx, 1, to); err != nil {
			return fmt.Errorf("%d functions: %w", n, err)
		}
		for range l.Plan.Rounds {
			o, err := l.rated(ctx, 2*l.Plan.Samples, l.Plan.Seed, to)
			if err != nil {
				return fmt.Errorf("%d functions: %w", n, err)
			}
			all.add(o)
			m, err := usage.Memory(s.PID())
			if err != nil {
				return err
			}
			all.note("memory_mib", float64(m)/(1<<20))
		}
		series.Points = append(series.Points, all.point(float64(n)))
	}
	r.Series = append(r.Series, series)
	return nil
}

// inputs measures calls as their input becomes large: matmul of a single row,
// which reads each number once and answers one.
func (l *Lab) inputs(ctx context.Context, r *result.Result) (err error) {
	most := slices.Max(l.Plan.Inputs)
	s, err := l.serve(ctx, 0, "--max-body", strconv.Itoa(most+1<<20), "--memory-budget", strconv.Itoa(6*most+256<<20))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	code, err := l.sample("matmul")
	if err != nil {
		return err
	}
	if err := s.Register(ctx, "matmul", code, fmt.Sprintf("%s&timeout=1m&memory=%dMiB", pappus.Fresh, most>>20+16)); err != nil {
		return err
	}
	series := result.Series{Experiment: "inputs", Name: "pappus", X: "bytes"}
	for _, size := range l.Plan.Inputs {
		to := row(s.Addr, size/8)
		var all rounds
		if err := l.warm(ctx, 1, to); err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
		for range l.Plan.Rounds {
			o, err := l.closed(ctx, 1, to)
			if err != nil {
				return fmt.Errorf("%d bytes: %w", size, err)
			}
			all.add(o)
			all.note("mib_per_s", o.PerSecond()*float64(size)/(1<<20))
		}
		series.Points = append(series.Points, all.point(float64(size)))
	}
	r.Series = append(r.Series, series)
	return nil
}

// row is a call that multiplies a matrix of one row of so many ones by its
// transpose.
func row(addr string, columns int) *target.Target {
	body := make([]byte, 8+8*columns)
	for i := 0; i < len(body); i += 8 {
		binary.LittleEndian.PutUint64(body[i:], 1)
	}
	want := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 1), uint64(columns))
	return &target.Target{Addr: addr, Path: func(int) string { return pappus.Path("matmul") }, Body: body, Want: want}
}
