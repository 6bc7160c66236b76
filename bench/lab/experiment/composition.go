package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"pappus/bench/lab/pappus"
	"pappus/bench/lab/result"
	"pappus/bench/lab/target"
)

// composition measures the count of a pattern in logs: as the logs become more,
// and as instances become many with next to nothing to do in each.
func (l *Lab) composition(ctx context.Context, r *result.Result) (err error) {
	s, err := l.serve(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	for _, name := range []string{"sumoccurrence", "sum"} {
		code, err := l.sample(name)
		if err != nil {
			return err
		}
		if err := s.Register(ctx, name, code, pappus.Fresh); err != nil {
			return err
		}
	}
	text, err := l.sample("logcount.comp")
	if err != nil {
		return err
	}
	if err := s.Compose(ctx, "logcount", text); err != nil {
		return err
	}
	logs := func(n, bytes int) (*target.Target, error) { return logCount(s.Addr, n, bytes) }
	if err := l.shards(ctx, r, "composition", "logs", l.Plan.Logs, l.Plan.LogSize, logs); err != nil {
		return err
	}
	const line = 1 // a log of as little as there can be: one line
	return l.shards(ctx, r, "instances", "instances", l.Plan.Instances, line, logs)
}

// shards measures compositions of so many instances, one at a time and as many
// as are answered.
func (l *Lab) shards(ctx context.Context, r *result.Result, experiment, x string, counts []int, size int, call func(n, size int) (*target.Target, error)) error {
	alone := result.Series{Experiment: experiment, Name: "one at a time", X: x}
	many := result.Series{Experiment: experiment, Name: fmt.Sprintf("%d at a time", l.Plan.Connections), X: x}
	for _, n := range counts {
		to, err := call(n, size)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			series      *result.Series
			connections int
		}{{&alone, 1}, {&many, l.Plan.Connections}} {
			var all rounds
			for range l.Plan.Rounds {
				o, err := l.closed(ctx, c.connections, to)
				if err != nil {
					return fmt.Errorf("%d %s: %w", n, x, err)
				}
				all.add(o)
				all.note("instances_per_s", o.PerSecond()*float64(n))
			}
			c.series.Points = append(c.series.Points, all.point(float64(n)))
		}
	}
	r.Series = append(r.Series, alone, many)
	return nil
}

// logCount is a call that counts in n logs of at least so many bytes.
func logCount(addr string, n, size int) (*target.Target, error) {
	type item struct {
		Name string `json:"name"`
		Text string `json:"text"`
	}
	const lines = "12:00:01 INFO a request was answered\n12:00:02 ERROR nobody answers\n12:00:03 WARN it takes long\n"
	log := strings.Repeat(lines, (size+len(lines)-1)/len(lines))
	logs := make([]item, n)
	for i := range logs {
		logs[i] = item{strconv.Itoa(i), log}
	}
	body, err := json.Marshal(map[string]any{"inputs": map[string][]item{"logs": logs, "pattern": {{"pattern", "ERROR"}}}})
	if err != nil {
		return nil, err
	}
	return &target.Target{
		Addr: addr, Path: func(int) string { return pappus.Path("logcount") }, Kind: "application/json",
		Body: body, Want: []byte(strconv.Itoa(n*strings.Count(log, "ERROR")) + "\n"),
	}, nil
}
