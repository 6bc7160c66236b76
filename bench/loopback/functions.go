package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"pappus/bench/wire"
)

// few is how many functions are called hot.
const few = 10

// functionsVerb registers many functions and measures what they cost: memory,
// the calls of a few of them before and after there were the others, and calls
// whose function must be loaded from disk first.
func functionsVerb(ctx context.Context, args []string, out io.Writer) (err error) {
	var s settings
	var n, calls int
	flags := flag.NewFlagSet("loopback functions", flag.ContinueOnError)
	flags.StringVar(&s.pappus, "pappus", "bin/pappus", "the program to measure")
	flags.StringVar(&s.matmul, "matmul", "samples/matmul/matmul.wasm", "the function, each time with another custom section")
	flags.IntVar(&n, "n", 10_000, "functions")
	flags.IntVar(&calls, "calls", 10_000, "calls of each kind")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if n < few {
		return fmt.Errorf("-n %d: at least %d", n, few)
	}
	code, err := os.ReadFile(s.matmul)
	if err != nil {
		return err
	}
	if s.scratch, err = os.MkdirTemp("", "loopback-"); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.scratch)) }()
	pappus, err := s.serve(ctx, "functions")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pappus.Stop()) }()
	m := &many{server: pappus, code: code, file: filepath.Join(s.scratch, "code"), out: out}
	return m.measure(ctx, n, calls)
}

// many is a server with many functions, f0, f1 and so on.
type many struct {
	server *server
	code   []byte
	file   string
	out    io.Writer
}

func (m *many) measure(ctx context.Context, n, calls int) error {
	if err := m.register(ctx, 0, few); err != nil {
		return err
	}
	hot := func(k int) int { return k % few }
	if err := m.report(ctx, "warm-up", min(calls, 1000), hot); err != nil {
		return err
	}
	if err := m.report(ctx, fmt.Sprintf("hot, %d functions registered", few), calls, hot); err != nil {
		return err
	}
	from := time.Now()
	if err := m.register(ctx, few, n); err != nil {
		return err
	}
	m.say("registered %d functions of %d bytes in %v\n", n, len(m.code), time.Since(from).Round(time.Second))
	// In this order each is called when it was not for longest.
	if err := m.report(ctx, "each once", n, func(k int) int { return k }); err != nil {
		return err
	}
	if err := m.report(ctx, "cold, one after another", calls, func(k int) int { return k % n }); err != nil {
		return err
	}
	if err := m.report(ctx, fmt.Sprintf("hot, %d functions registered", n), calls, hot); err != nil {
		return err
	}
	return nil
}

func (m *many) say(format string, args ...any) {
	_, _ = fmt.Fprintf(m.out, format, args...) // figures that can't be shown are nobody's
}

// register uploads the functions from first to the one before end.
func (m *many) register(ctx context.Context, first, end int) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	next.Store(int64(first))
	for w := range 4 {
		group.Go(func() error {
			file := m.file + strconv.Itoa(w)
			for k := next.Add(1) - 1; k < int64(end); k = next.Add(1) - 1 {
				if err := os.WriteFile(file, distinct(m.code, uint64(k)), 0o600); err != nil {
					return err
				}
				if err := m.server.upload(ctx, "f"+strconv.FormatInt(k, 10), file, matmulQuery); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// distinct is the same function as another module: with a custom section.
func distinct(code []byte, k uint64) []byte {
	return append(append(bytes.Clone(code), 0, 10, 1, 'n'), binary.BigEndian.AppendUint64(nil, k)...)
}

// report makes calls one after another, and prints how long they took and what
// is resident after them.
func (m *many) report(ctx context.Context, what string, calls int, function func(k int) int) (err error) {
	// A connection of its own: the server closes those over which nothing comes.
	c, err := wire.Dial(ctx, m.server.Addr)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer func() {
		if stop() {
			err = errors.Join(err, c.Close())
		}
	}()
	took := make([]time.Duration, 0, calls)
	begin := time.Now()
	for k := range calls {
		post := wire.Request(m.server.Addr, "/v1/invoke/f"+strconv.Itoa(function(k)), matrix(3))
		from := time.Now()
		answer, err := c.Call(post)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took = append(took, time.Since(from))
		if !bytes.Equal(answer, matrix(9)) {
			return fmt.Errorf("%s: %w: %q", what, wire.ErrWrong, answer)
		}
	}
	o, err := summarise(took, time.Since(begin))
	if err != nil {
		return err
	}
	resident, err := m.server.resident()
	if err != nil {
		return err
	}
	m.say("%-36s median %8v  p99 %8v  longest %8v  resident %d MiB\n", what, round(o.Median), round(o.P99), round(o.Max), resident>>20)
	return nil
}

// resident is how much of the server's memory is resident, in bytes.
func (s *server) resident() (int64, error) {
	path := fmt.Sprintf("/proc/%d/statm", s.PID())
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, fmt.Errorf("%s: %w", path, wire.ErrMalformed)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 48)
	return pages * int64(os.Getpagesize()), err
}
