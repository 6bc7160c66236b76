package experiment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"pappus/bench/lab/load"
	"pappus/bench/lab/pappus"
	"pappus/bench/lab/peer"
	"pappus/bench/lab/result"
	"pappus/bench/lab/target"
)

// A Lab measures by a plan.
type Lab struct {
	Setup peer.Setup
	Plan  Plan
	Log   io.Writer // says what is being measured
}

// An Experiment adds what it finds to a result.
type Experiment struct {
	Name string
	run  func(*Lab, context.Context, *result.Result) error
}

// Platform has the experiments with Pappus alone, in the order of the paper.
func Platform() []Experiment {
	return []Experiment{
		{"latency", (*Lab).latency}, {"throughput", (*Lab).throughput}, {"cold", (*Lab).cold},
		{"composition", (*Lab).composition}, {"workers", (*Lab).workers}, {"inputs", (*Lab).inputs},
		{"density", (*Lab).density}, {"registered", (*Lab).registered},
	}
}

// Peers has that which measures all peers beside each other.
func Peers() []Experiment { return []Experiment{{"peers", (*Lab).peers}} }

// Run runs experiments one after another.
func (l *Lab) Run(ctx context.Context, experiments []Experiment, r *result.Result) error {
	for _, e := range experiments {
		began := time.Now()
		l.say("%s …\n", e.Name)
		if err := e.run(l, ctx, r); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		l.say("%s took %v\n", e.Name, time.Since(began).Round(100*time.Millisecond))
	}
	return nil
}

func (l *Lab) say(format string, args ...any) {
	_, _ = fmt.Fprintf(l.Log, format, args...) // whoever does not hear it has the result
}

// late is from when on a call counts as late. Most that are, waited for a
// connection.
const late = time.Millisecond

// open loads a target at a rate for a turn.
func (l *Lab) open(ctx context.Context, gaps load.Gaps, duration time.Duration, to *target.Target) (*load.Outcome, error) {
	o := load.Open{
		Gaps: gaps, Duration: duration, Connections: l.Plan.OpenAtOnce, Waiting: l.Plan.OpenWaiting, Late: late, Sleep: load.Precise,
	}
	return o.Run(ctx, to.Dial)
}

// rated loads a target at a rate for a turn, or for as long as it takes until
// there are enough calls for a 99th percentile that is none of the longest few, four
// turns at most.
func (l *Lab) rated(ctx context.Context, perSecond float64, seed uint64, to *target.Target) (*load.Outcome, error) {
	length := l.length(perSecond)
	return l.open(ctx, load.Poisson(perSecond, length, seed), length, to)
}

func (l *Lab) length(perSecond float64) time.Duration {
	enough := time.Duration(enoughCalls / perSecond * float64(time.Second))
	return min(max(l.Plan.Turn, enough), 4*l.Plan.Turn)
}

// enoughCalls of a turn at a rate have three that are longer than their 99th
// percentile.
const enoughCalls = 300

// warm makes what is measured next ready: what is loaded and compiled, how large
// heaps are, is that of a server which has been called.
func (l *Lab) warm(ctx context.Context, connections int, to *target.Target) error {
	_, err := load.Closed{Connections: connections, Duration: l.Plan.Turn / 4}.Run(ctx, to.Dial)
	return err
}

// closed loads a target with as much as it answers for a turn.
func (l *Lab) closed(ctx context.Context, connections int, to *target.Target) (*load.Outcome, error) {
	return load.Closed{Connections: connections, Duration: l.Plan.Turn}.Run(ctx, to.Dial)
}

// sample is the file of a sample.
func (l *Lab) sample(name string) ([]byte, error) {
	file := name
	if filepath.Ext(name) == "" {
		file += ".wasm"
	}
	dir := file[:len(file)-len(filepath.Ext(file))]
	return os.ReadFile(filepath.Join(l.Setup.Root, "samples", dir, file))
}

// serve starts Pappus with an empty data folder and so many variants of
// matmul-size.
func (l *Lab) serve(ctx context.Context, functions int, flags ...string) (*pappus.Server, error) {
	data, err := os.MkdirTemp(l.Setup.Scratch, "data-")
	if err != nil {
		return nil, err
	}
	return l.serveAt(ctx, data, functions, flags...)
}

// serveAgain is serve, started again afterwards, so that nothing is loaded.
func (l *Lab) serveAgain(ctx context.Context, functions int, flags ...string) (*pappus.Server, error) {
	data, err := os.MkdirTemp(l.Setup.Scratch, "data-")
	if err != nil {
		return nil, err
	}
	s, err := l.serveAt(ctx, data, functions, flags...)
	if err != nil {
		return nil, err
	}
	if err := s.Stop(); err != nil {
		return nil, err
	}
	return pappus.Start(ctx, l.Setup.Pappus, data, flags...)
}

func (l *Lab) serveAt(ctx context.Context, data string, functions int, flags ...string) (*pappus.Server, error) {
	s, err := pappus.Start(ctx, l.Setup.Pappus, data, flags...)
	if err != nil {
		return nil, err
	}
	code, err := l.sample("matmul-size")
	if err == nil {
		err = s.RegisterVariants(ctx, code, 0, functions, pappus.Fresh)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// product is the call of a server's function k that multiplies the plan's
// matrix.
func (l *Lab) product(addr string, path func(n int) string) *target.Target {
	return &target.Target{Addr: addr, Path: path, Body: target.Size(l.Plan.Rows), Want: target.Checksum(l.Plan.Rows)}
}

// hot is the path of function 0.
func hot(int) string { return pappus.Path(pappus.Name(0)) }
