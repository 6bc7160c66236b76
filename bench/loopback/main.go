package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "loopback:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "echo":
			return serveEcho(ctx, os.Stdout)
		case "load":
			return loadVerb(ctx, args[1:], os.Stdout)
		case "functions":
			return functionsVerb(ctx, args[1:], os.Stdout)
		}
	}
	return measure(ctx, args)
}

// settings of a measurement.
type settings struct {
	pappus  string        // the program
	matmul  string        // the short function's file
	loop    string        // the endless function's file
	rounds  int           // each of echo and Pappus has this many turns
	turn    time.Duration // how long one is
	rate    int           // short calls a second, beside loops and alone
	beside  time.Duration // how long they come
	parts   string        // what is measured
	cold    int           // functions that are called for the first time
	scratch string        // folder for the server's data
}

func measure(ctx context.Context, args []string) (err error) {
	var s settings
	flags := flag.NewFlagSet("loopback", flag.ContinueOnError)
	flags.StringVar(&s.pappus, "pappus", "bin/pappus", "the program to measure")
	flags.StringVar(&s.matmul, "matmul", "samples/matmul/matmul.wasm", "the function that multiplies")
	flags.StringVar(&s.loop, "loop", "wasmengine/testdata/hostile/loop.wasm", "the function that never ends")
	flags.IntVar(&s.rounds, "rounds", 7, "turns of each server")
	flags.DurationVar(&s.turn, "turn", 2*time.Second, "how long a turn is")
	flags.IntVar(&s.rate, "rate", 200, "short calls a second, alone and beside loops")
	flags.DurationVar(&s.beside, "beside", 8*time.Second, "how long they come in one turn")
	flags.StringVar(&s.parts, "parts", "throughput,remembered,cold,neighbours,commands", "what is measured")
	flags.IntVar(&s.cold, "cold", 500, "functions that are called for the first time since the server started")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.scratch, err = os.MkdirTemp("", "loopback-"); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.scratch)) }()

	fmt.Printf("%s/%s, %d cores, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	for _, part := range []struct {
		name string
		run  func(context.Context, settings) error
	}{{"throughput", throughput}, {"remembered", remembered}, {"cold", coldStarts}, {"neighbours", neighbours}, {"commands", commands}} {
		if !slices.Contains(strings.Split(s.parts, ","), part.name) {
			continue
		}
		if err := part.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
