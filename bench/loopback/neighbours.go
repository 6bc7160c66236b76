package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// loopsPerCore is how many endless loops each core has to bear.
const loopsPerCore = 2

// neighbours measures short calls alone and beside loops that never end, by
// turns: alone, beside, alone, beside.
func neighbours(ctx context.Context, s settings) (err error) {
	pappus, err := s.serve(ctx, "neighbours")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pappus.stop()) }()
	if err := pappus.upload(ctx, "matmul", s.matmul, matmulQuery); err != nil {
		return err
	}
	if err := pappus.upload(ctx, "loop", s.loop, "input=in&output=out&timeout=10s"); err != nil {
		return err
	}
	short := load{
		addr: pappus.addr, path: "/v1/invoke/matmul", body: matrix(3), want: matrix(9),
		connections: 64, duration: s.beside, rate: s.rate,
	}
	loops := loopsPerCore * runtime.NumCPU()
	fmt.Printf("\nshort calls, %d a second for 2 × %v, alone and beside %d endless loops (deadline 10 s)\n", s.rate, s.beside, loops)

	var alone, beside []outcome
	for range 2 {
		o, err := warmThenRun(ctx, short)
		if err != nil {
			return err
		}
		alone = append(alone, o)
		if o, err = besideLoops(ctx, pappus, loops, short); err != nil {
			return err
		}
		beside = append(beside, o)
	}
	// The worse turn of the two counts, for alone as well as for beside.
	a, b := worse(alone), worse(beside)
	fmt.Printf("alone   median %v  p99 %v  longest %v\n", round(a.Median), round(a.P99), round(a.Max))
	fmt.Printf("beside  median %v  p99 %v  longest %v\n", round(b.Median), round(b.P99), round(b.Max))
	fmt.Printf("p99 beside loops ÷ alone = %.2f\n", b.P99.Seconds()/a.P99.Seconds())
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

func worse(of []outcome) outcome {
	if of[0].P99 > of[1].P99 {
		return of[0]
	}
	return of[1]
}

// warmThenRun leaves a second before what is measured for what came before to
// settle.
func warmThenRun(ctx context.Context, l load) (outcome, error) {
	warm := l
	warm.duration = time.Second
	if _, err := warm.run(ctx); err != nil {
		return outcome{}, err
	}
	return l.run(ctx)
}

// besideLoops applies the load while n loops run; one that ended at its
// deadline is called again.
func besideLoops(ctx context.Context, p *server, n int, l load) (outcome, error) {
	calling, hangUp := context.WithCancel(ctx)
	defer hangUp()
	var group errgroup.Group
	for range n {
		group.Go(func() error {
			for {
				err := p.loopOnce(calling)
				if calling.Err() != nil {
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
	}
	o, err := warmThenRun(ctx, l)
	hangUp()
	return o, errors.Join(err, group.Wait())
}

// loopOnce calls the loop and waits for its deadline. Any other end is an
// error: then nothing looped.
func (s *server) loopOnce(ctx context.Context) error {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/v1/invoke/loop", strings.NewReader("x"))
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", "application/octet-stream")
	answer, err := http.DefaultClient.Do(post)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusGatewayTimeout {
		return fmt.Errorf("a loop ended before its deadline: %s: %.300s", answer.Status, body)
	}
	return nil
}
