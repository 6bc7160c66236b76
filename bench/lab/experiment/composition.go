package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pappus/bench/lab/pappus"
	"pappus/bench/lab/result"
	"pappus/bench/lab/target"
	"pappus/bench/lab/worker"
	"pappus/bench/process"
)

// composition measures the count of a pattern in logs: as the logs become more,
// and as instances become many with next to nothing to do in each.
func (l *Lab) composition(ctx context.Context, r *result.Result) (err error) {
	s, err := l.serve(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := l.compose(ctx, s, "logcount", "sumoccurrence", "sum"); err != nil {
		return err
	}
	logs := func(n, bytes int) (*target.Target, error) { return logCount(s.Addr, n, bytes) }
	if err := l.shards(ctx, r, "composition", "logs", l.Plan.Logs, l.Plan.LogSize, logs); err != nil {
		return err
	}
	const line = 1 // a log of as little as there can be: one line
	if err := l.shards(ctx, r, "instances", "instances", l.Plan.Instances, line, logs); err != nil {
		return err
	}
	return l.fetched(ctx, r)
}

// fetched measures the composition of the paper's figure 2: the logs come from a
// server, which is asked for all of them at once.
func (l *Lab) fetched(ctx context.Context, r *result.Result) (err error) {
	folder, err := os.MkdirTemp(l.Setup.Scratch, "logs-")
	if err != nil {
		return err
	}
	log := logOf(l.Plan.LogSize)
	if err := os.WriteFile(filepath.Join(folder, "log"), []byte(log), 0o600); err != nil {
		return err
	}
	files, err := process.Start(ctx, l.Setup.Self, "worker", worker.Files, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.Stop()) }()
	s, err := l.serve(ctx, 0, "--egress-allow", files.Addr, "--io-cache", "0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := l.compose(ctx, s, "logcount-http", "httpmake", "sumoccurrence", "sum"); err != nil {
		return err
	}
	return l.shards(ctx, r, "fetched", "logs", l.Plan.Logs, l.Plan.LogSize, func(n, _ int) (*target.Target, error) {
		uris := strings.Repeat("http://"+files.Addr+"/log\n", n)
		return countIn(s.Addr, "logcount-http", map[string][]item{"servers": {{"servers", uris}}, "pattern": {{"pattern", "ERROR"}}}, n*strings.Count(log, "ERROR"))
	})
}

// compose registers a composition with its functions.
func (l *Lab) compose(ctx context.Context, s *pappus.Server, name string, functions ...string) error {
	for _, function := range functions {
		code, err := l.sample(function)
		if err != nil {
			return err
		}
		if err := s.Register(ctx, function, code, pappus.Fresh); err != nil {
			return err
		}
	}
	text, err := l.sample(name + ".comp")
	if err != nil {
		return err
	}
	return s.Compose(ctx, name, text)
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
			if err := l.warm(ctx, 1, to); err != nil {
				return fmt.Errorf("%d %s: %w", n, x, err)
			}
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

// an item of an input.
type item struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// logOf makes a log of at least so many bytes.
func logOf(size int) string {
	const lines = "12:00:01 INFO a request was answered\n12:00:02 ERROR nobody answers\n12:00:03 WARN it takes long\n"
	return strings.Repeat(lines, (size+len(lines)-1)/len(lines))
}

// logCount is a call that counts in n logs of at least so many bytes, which come
// with it.
func logCount(addr string, n, size int) (*target.Target, error) {
	log := logOf(size)
	logs := make([]item, n)
	for i := range logs {
		logs[i] = item{strconv.Itoa(i), log}
	}
	return countIn(addr, "logcount", map[string][]item{"logs": logs, "pattern": {{"pattern", "ERROR"}}}, n*strings.Count(log, "ERROR"))
}

// countIn is a call of a composition that answers a number.
func countIn(addr, composition string, inputs map[string][]item, want int) (*target.Target, error) {
	body, err := json.Marshal(map[string]any{"inputs": inputs})
	if err != nil {
		return nil, err
	}
	return &target.Target{
		Addr: addr, Path: func(int) string { return pappus.Path(composition) }, Kind: "application/json",
		Body: body, Want: []byte(strconv.Itoa(want) + "\n"),
	}, nil
}
