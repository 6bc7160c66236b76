package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// coldRounds is how often the server is started again for first calls.
const coldRounds = 3

// coldRate is how many first calls are made a second.
const coldRate = 100

// coldStarts measures the first calls of functions after the server was started:
// their code comes from the disk. The second calls of the same functions are
// what they are compared with.
func coldStarts(ctx context.Context, s settings) error {
	if err := s.registerMany(ctx, "cold", s.cold); err != nil {
		return err
	}
	var cold, hot contender
	for range coldRounds {
		c, h, err := s.firstAndSecond(ctx)
		if err != nil {
			return err
		}
		cold.turns, hot.turns = append(cold.turns, c), append(hot.turns, h)
	}
	fmt.Printf("\nfirst calls of %d functions since the server started, %d a second, median of %d starts\n", s.cold, coldRate, coldRounds)
	fmt.Printf("first   median %v  p99 %v\n", round(cold.p50()), round(cold.p99()))
	fmt.Printf("second  median %v  p99 %v\n", round(hot.p50()), round(hot.p99()))
	fmt.Printf("p99 of first ÷ second calls = %.2f\n", cold.p99().Seconds()/hot.p99().Seconds())
	return nil
}

// registerMany registers n functions, f0, f1 and so on, with code of their own.
func (s settings) registerMany(ctx context.Context, data string, n int) (err error) {
	code, err := os.ReadFile(s.matmul)
	if err != nil {
		return err
	}
	pappus, err := s.serve(ctx, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pappus.Stop()) }()
	for i := range n {
		if err := pappus.register(ctx, "f"+strconv.Itoa(i), variant(code, i), matmulQuery); err != nil {
			return err
		}
	}
	return nil
}

// variant is the module with a custom section that no other one has.
func variant(code []byte, i int) []byte {
	section := fmt.Sprintf("\x07variant%08d", i)
	return append(append(code[:len(code):len(code)], 0, byte(len(section))), section...)
}

// firstAndSecond starts the server and calls each function twice.
func (s settings) firstAndSecond(ctx context.Context) (first, second outcome, err error) {
	pappus, err := s.serve(ctx, "cold")
	if err != nil {
		return first, second, err
	}
	defer func() { err = errors.Join(err, pappus.Stop()) }()
	l := load{
		addr: pappus.Addr, path: "/v1/invoke/f", functions: s.cold, body: matrix(3), want: matrix(9),
		connections: 4, rate: coldRate, duration: time.Duration(s.cold) * time.Second / coldRate,
	}
	if first, err = l.run(ctx); err != nil {
		return first, second, err
	}
	second, err = l.run(ctx)
	return first, second, err
}
