package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"pappus/bench/process"
)

// A server is a process that is measured.
type server struct{ *process.Server }

func start(ctx context.Context, program string, args ...string) (*server, error) {
	p, err := process.Start(ctx, program, args...)
	if err != nil {
		return nil, err
	}
	return &server{p}, nil
}

// serve starts the program with an empty data folder of that name.
func (s settings) serve(ctx context.Context, name string) (*server, error) {
	return start(ctx, s.pappus, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(s.scratch, name))
}

// upload registers a function from a file, with query as its settings.
func (s *server) upload(ctx context.Context, name, file, query string) error {
	code, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return s.register(ctx, name, code, query)
}

// register registers a function.
func (s *server) register(ctx context.Context, name string, code []byte, query string) error {
	url := fmt.Sprintf("http://%s/v1/functions/%s?%s", s.Addr, name, query)
	put, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(code))
	if err != nil {
		return err
	}
	put.Header.Set("Content-Type", "application/wasm")
	answer, err := http.DefaultClient.Do(put)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		body, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return errors.Join(fmt.Errorf("register %s: %s: %s", name, answer.Status, body), err)
	}
	_, err = io.Copy(io.Discard, answer.Body) // so that the connection serves the next one
	return err
}

// matrix is a square one as matmul reads and writes it: the number of rows,
// then the values, here one.
func matrix(value uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 1), value)
}

// Nothing may be remembered: what is measured is the call.
const matmulQuery = "memo=off"

// sides starts a bare handler, and a server that has matmul under the query's
// settings.
func (s settings) sides(ctx context.Context, name, query string) (bare, pappus *server, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	if bare, err = start(ctx, self, "echo"); err != nil {
		return nil, nil, nil, err
	}
	if pappus, err = s.serve(ctx, name); err != nil {
		return nil, nil, nil, errors.Join(err, bare.Stop())
	}
	stop = func() error { return errors.Join(pappus.Stop(), bare.Stop()) }
	if err := pappus.upload(ctx, "matmul", s.matmul, query); err != nil {
		return nil, nil, nil, errors.Join(err, stop())
	}
	return bare, pappus, stop, nil
}

// throughput compares Pappus with a bare handler.
func throughput(ctx context.Context, s settings) (err error) {
	bare, pappus, stop, err := s.sides(ctx, "throughput", matmulQuery)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	toBare := load{addr: bare.Addr, path: "/v1/invoke/matmul", body: matrix(3), want: matrix(3)}
	toPappus := load{addr: pappus.Addr, path: "/v1/invoke/matmul", body: matrix(3), want: matrix(9)}
	fmt.Printf("\nhot 1×1 matmul, calls/s, median of %d turns of %v (each turn in brackets)\n", s.rounds, s.turn)
	for _, connections := range []int{16, 128} {
		toBare.connections, toPappus.connections = connections, connections
		perSecond, err := compare(ctx, s, toBare, toPappus)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			name string
			load
		}{{"echo  ", toBare}, {"pappus", toPappus}} {
			if err := atHalfLoad(ctx, s, c.name, c.load, perSecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// atHalfLoad prints how long calls take that come at half the rate that Pappus
// can bear. What the echo handler takes is what the machine and the client cost.
func atHalfLoad(ctx context.Context, s settings, name string, l load, perSecond float64) error {
	l.rate, l.duration = int(perSecond/2), s.turn
	var all []outcome
	for range s.rounds {
		o, err := l.run(ctx)
		if err != nil {
			return err
		}
		all = append(all, o)
	}
	half := contender{load: l, turns: all}
	fmt.Printf("                  %s at half of that: median %v  p99 %v  p99 ÷ median = %.2f\n",
		name, round(half.p50()), round(half.p99()), half.p99().Seconds()/half.p50().Seconds())
	return nil
}

// compare runs two loads by turns and prints their figures. It returns how many
// calls a second Pappus answers.
func compare(ctx context.Context, s settings, toBare, toPappus load) (float64, error) {
	bare, pappus := &contender{load: toBare}, &contender{load: toPappus}
	for round := range s.rounds + 1 {
		for _, c := range []*contender{bare, pappus} {
			c.duration = s.turn
			if round == 0 {
				c.duration = s.turn / 2 // it warms up and does not count
			}
			o, err := c.run(ctx)
			if err != nil {
				return 0, err
			}
			if round > 0 {
				c.turns = append(c.turns, o)
			}
		}
	}
	fmt.Printf("%4d connections  echo   %s\n", bare.connections, bare)
	fmt.Printf("                  pappus %s\n", pappus)
	fmt.Printf("                  pappus ÷ echo = %.3f\n", pappus.callsPerSecond()/bare.callsPerSecond())
	return pappus.callsPerSecond(), nil
}

// A contender is a server under load, with what its turns brought.
type contender struct {
	load
	turns []outcome
}

func (c *contender) callsPerSecond() float64 {
	var all []float64
	for _, o := range c.turns {
		all = append(all, o.perSecond())
	}
	return median(all)
}

func (c *contender) p50() time.Duration {
	return c.each(func(o outcome) time.Duration { return o.Median })
}
func (c *contender) p99() time.Duration {
	return c.each(func(o outcome) time.Duration { return o.P99 })
}

// each is the median over the turns of one of their figures.
func (c *contender) each(figure func(outcome) time.Duration) time.Duration {
	var all []time.Duration
	for _, o := range c.turns {
		all = append(all, figure(o))
	}
	return median(all)
}

func (c *contender) String() string {
	var each []string
	for _, o := range c.turns {
		each = append(each, strconv.FormatFloat(o.perSecond(), 'f', 0, 64))
	}
	return fmt.Sprintf("%7.0f  p99 %v  [%s]", c.callsPerSecond(), round(c.p99()), strings.Join(each, " "))
}
