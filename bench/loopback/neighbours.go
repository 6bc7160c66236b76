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
	defer func() { err = errors.Join(err, pappus.Stop()) }()
	if err := pappus.upload(ctx, "matmul", s.matmul, matmulQuery); err != nil {
		return err
	}
	if err := pappus.upload(ctx, "loop", s.loop, "input=in&output=out&timeout=10s"); err != nil {
		return err
	}
	short := load{
		addr: pappus.Addr, path: "/v1/invoke/matmul", body: matrix(3), want: matrix(9),
		connections: 64, duration: s.beside, rate: s.rate,
	}
	loops := loopsPerCore * runtime.NumCPU()
	fmt.Printf("\nshort calls, %d a second for 2 × %v, alone and beside %d endless loops (deadline 10 s)\n", s.rate, s.beside, loops)

	var alone []outcome
	var beside []besides
	for range 2 {
		o, err := warmThenRun(ctx, short)
		if err != nil {
			return err
		}
		alone = append(alone, o)
		b, err := besideLoops(ctx, pappus, loops, short)
		if err != nil {
			return err
		}
		beside = append(beside, b)
	}
	// The worse turn of the two counts, for alone as well as for beside.
	a, b := worse(alone[0], alone[1]), worse(beside[0].outcome, beside[1].outcome)
	fmt.Printf("alone   median %v  p99 %v  longest %v\n", round(a.Median), round(a.P99), round(a.Max))
	fmt.Printf("beside  median %v  p99 %v  longest %v\n", round(b.Median), round(b.P99), round(b.Max))
	fmt.Printf("p99 beside loops ÷ alone = %.2f\n", b.P99.Seconds()/a.P99.Seconds())
	for _, o := range beside {
		fmt.Printf("pages beside loops  median %v  p99 %v  longest %v\n", round(o.pages.Median), round(o.pages.P99), round(o.pages.Max))
	}
	return nil
}

// pages are what the server answers itself.
var pages = [...]string{"/healthz", "/readyz", "/metrics", "/v1/functions", "/v1/functions/matmul"}

// visitPages asks for the pages in turn, one every 20 ms, until ctx ends.
func (s *server) visitPages(ctx context.Context) (outcome, error) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var took []time.Duration
	begin := time.Now()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return summarise(took, time.Since(begin))
		case <-ticker.C:
		}
		from := time.Now()
		get, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr+pages[n%len(pages)], http.NoBody)
		if err != nil {
			return outcome{}, err
		}
		answer, err := http.DefaultClient.Do(get)
		if err != nil {
			if ctx.Err() != nil {
				continue
			}
			return outcome{}, err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		err = errors.Join(err, answer.Body.Close())
		if ctx.Err() != nil {
			continue
		}
		if err != nil || answer.StatusCode != http.StatusOK {
			return outcome{}, fmt.Errorf("%s: %s: %w", get.URL, answer.Status, err)
		}
		took = append(took, time.Since(from))
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

func worse(a, b outcome) outcome {
	if a.P99 > b.P99 {
		return a
	}
	return b
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

// besides is what was found beside loops.
type besides struct {
	outcome
	pages outcome
}

// besideLoops applies the load, and visits pages, while n loops run; one that
// ended at its deadline is called again.
func besideLoops(ctx context.Context, p *server, n int, l load) (b besides, err error) {
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
	group.Go(func() error {
		var err error
		b.pages, err = p.visitPages(calling)
		return err
	})
	b.outcome, err = warmThenRun(ctx, l)
	hangUp()
	return b, errors.Join(err, group.Wait())
}

// loopOnce calls the loop and waits for its deadline. Any other end is an
// error: then nothing looped.
func (s *server) loopOnce(ctx context.Context) error {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Addr+"/v1/invoke/loop", strings.NewReader("x"))
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
