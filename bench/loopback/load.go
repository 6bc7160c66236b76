package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"pappus/bench/wire"
)

// A load says which calls to make.
type load struct {
	addr        string
	path        string
	functions   int // the calls go to path followed by 0, 1, … below this, in turn; 0: all go to path
	body        []byte
	want        []byte // the answer
	connections int
	duration    time.Duration
	rate        int // calls a second over all connections; 0: each as soon as the last was answered
}

// An outcome is what a load found.
type outcome struct {
	Calls   int
	Seconds float64
	Median  time.Duration
	P99     time.Duration
	Max     time.Duration
}

func (o outcome) perSecond() float64 { return float64(o.Calls) / o.Seconds }

// run applies the load in a process of its own.
func (l load) run(ctx context.Context) (outcome, error) {
	self, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	cmd := exec.CommandContext(ctx, self, "load",
		"-addr", l.addr, "-path", l.path, "-functions", strconv.Itoa(l.functions),
		"-body", base64.StdEncoding.EncodeToString(l.body), "-want", base64.StdEncoding.EncodeToString(l.want),
		"-connections", strconv.Itoa(l.connections), "-duration", l.duration.String(), "-rate", strconv.Itoa(l.rate))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return outcome{}, fmt.Errorf("load on %s: %w", l.addr, err)
	}
	var o outcome
	if err := json.Unmarshal(out, &o); err != nil {
		return outcome{}, fmt.Errorf("load on %s: %w", l.addr, err)
	}
	return o, nil
}

// loadVerb is the other side of run.
func loadVerb(ctx context.Context, args []string, out io.Writer) error {
	var l load
	flags := flag.NewFlagSet("loopback load", flag.ContinueOnError)
	flags.StringVar(&l.addr, "addr", "", "the server, as host:port")
	flags.StringVar(&l.path, "path", "/", "the path to post to")
	flags.IntVar(&l.functions, "functions", 0, "how many paths there are, which end in numbers; 0: one")
	flags.IntVar(&l.connections, "connections", 1, "how many connections")
	flags.DurationVar(&l.duration, "duration", time.Second, "how long")
	flags.IntVar(&l.rate, "rate", 0, "calls a second; 0: as many as are answered")
	body := flags.String("body", "", "the body, in base64")
	want := flags.String("want", "", "the answer, in base64")
	err := flags.Parse(args)
	if err != nil {
		return err
	}
	if l.body, err = base64.StdEncoding.DecodeString(*body); err != nil {
		return fmt.Errorf("-body: %w", err)
	}
	if l.want, err = base64.StdEncoding.DecodeString(*want); err != nil {
		return fmt.Errorf("-want: %w", err)
	}
	// One core makes more calls than any server here answers; the others are
	// for the server.
	runtime.GOMAXPROCS(1)
	o, err := l.apply(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(o)
}

// apply makes the calls in this process.
func (l load) apply(ctx context.Context) (outcome, error) {
	var clients []*wire.Client
	defer func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}()
	for range l.connections {
		c, err := wire.Dial(ctx, l.addr)
		if err != nil {
			return outcome{}, err
		}
		clients = append(clients, c)
	}
	group, ctx := errgroup.WithContext(ctx)
	latencies := make([][]time.Duration, l.connections)
	begin := time.Now()
	for i, c := range clients {
		group.Go(func() error {
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer stop()
			var err error
			latencies[i], err = l.calls(ctx, c, begin, i)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return outcome{}, err
	}
	return summarise(slices.Concat(latencies...), time.Since(begin))
}

// calls makes those of connection i and returns how long each took.
func (l load) calls(ctx context.Context, c *wire.Client, begin time.Time, i int) ([]time.Duration, error) {
	var took []time.Duration
	post := wire.Request(l.addr, l.path, l.body)
	for n := i; ; n += l.connections {
		from, more, err := l.next(ctx, begin, n)
		if err != nil || !more {
			return took, err
		}
		if l.functions > 0 {
			post = wire.Request(l.addr, l.path+strconv.Itoa(n%l.functions), l.body)
		}
		body, err := c.Call(post)
		if err != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		if !bytes.Equal(body, l.want) {
			return nil, fmt.Errorf("%w: %q, want %q", wire.ErrWrong, body, l.want)
		}
		took = append(took, time.Since(from))
	}
}

// next waits until call n is due and returns the time from which it counts, or
// false when the load is over. A call that had to wait for the one before it
// counts from when it was due, so that it is not taken for a quick one; a timer
// that was late is no fault of the server.
func (l load) next(ctx context.Context, begin time.Time, n int) (from time.Time, more bool, err error) {
	now := time.Now()
	if l.rate == 0 {
		return now, now.Sub(begin) < l.duration, nil
	}
	due := begin.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
	if due.Sub(begin) >= l.duration {
		return due, false, nil
	}
	if now.After(due) {
		return due, true, nil
	}
	err = wait(ctx, due)
	return time.Now(), true, err
}

// wait returns at the given time, or when ctx ends.
func wait(ctx context.Context, until time.Time) error {
	left := time.Until(until)
	if left <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func summarise(took []time.Duration, whole time.Duration) (outcome, error) {
	if len(took) == 0 {
		return outcome{}, errors.New("no call was made")
	}
	slices.Sort(took)
	return outcome{
		Calls:   len(took),
		Seconds: whole.Seconds(),
		Median:  percentile(took, 50),
		P99:     percentile(took, 99),
		Max:     took[len(took)-1],
	}, nil
}

// percentile of sorted values, by nearest rank: the smallest that at least p
// of a hundred do not exceed.
func percentile[T any](sorted []T, p int) T {
	return sorted[max((len(sorted)*p+99)/100-1, 0)]
}

// median of values, which it sorts.
func median[T int | float64 | time.Duration](values []T) T {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
