package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"pappus/bench/lab/peer"
	"pappus/bench/lab/result"
	"pappus/bench/lab/target"
	"pappus/bench/lab/usage"
)

// contender is a peer that runs, with what was measured of it.
type contender struct {
	peer.Peer
	*peer.Running
	sizes []*size
}

// size is a size of matrix, with the figures of it.
type size struct {
	rows int
	rounds
}

// peers measures all that can be started here beside each other: the same work,
// asked for in the same way. Figures that are of the peer and not of a size stand
// with the plan's size.
func (l *Lab) peers(ctx context.Context, r *result.Result) error {
	var all []*contender
	defer func() {
		for _, c := range all {
			if err := c.Stop(); err != nil { // its figures are those of before
				l.say("%s: %v\n", c.Name(), err)
			}
		}
	}()
	// leave leaves a peer out that can't be measured, with the reason. The others go
	// on, unless the measurement itself is to end.
	leave := func(p peer.Peer, err error) error {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
		l.say("%s: %v\n", p.Name(), err)
		r.Skipped = append(r.Skipped, result.Skipped{Name: p.Name(), Reason: reason(err)})
		return nil
	}
	// each does something with all that are still in.
	each := func(do func(*contender) error) error {
		for _, c := range slices.Clone(all) {
			err := do(c)
			if err == nil {
				continue
			}
			all = slices.DeleteFunc(all, func(other *contender) bool { return other == c })
			_ = c.Stop() // it may have ended, in whatever way
			if err := leave(c, err); err != nil {
				return err
			}
		}
		return nil
	}
	for _, p := range l.Setup.All() {
		if c, err := l.begin(ctx, p); err == nil {
			all = append(all, c)
		} else if err := leave(p, err); err != nil {
			return err
		}
	}
	for round := range 1 + l.Plan.Rounds {
		err := each(func(c *contender) error {
			for _, s := range c.sizes {
				var err error
				if round == 0 { // it warms up
					_, err = l.closed(ctx, l.Plan.Connections, c.asked(s.rows))
				} else {
					err = l.turn(ctx, c, s, round)
				}
				if err != nil {
					return fmt.Errorf("%d rows: %w", s.rows, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := each(func(c *contender) error { return l.running(ctx, c) }); err != nil {
		return err
	}
	for _, c := range all {
		series := result.Series{Experiment: "peers", Name: c.Name(), X: "rows"}
		for _, s := range c.sizes {
			series.Points = append(series.Points, s.point(float64(s.rows)))
		}
		r.Series = append(r.Series, series)
		r.Parameters["a call of "+c.Name()+" gets"] = c.Gives()
	}
	return nil
}

// asked is a call of function 0.
func (c *contender) asked(rows int) *target.Target {
	return c.Asked(rows, first)
}

// first is the function that all calls are of.
func first(int) int { return 0 }

// begin starts a peer and measures what its functions cost when they are called
// first, one after another. Of a peer that has a server for each function that
// is from the server's start to its answer.
func (l *Lab) begin(ctx context.Context, p peer.Peer) (*contender, error) {
	c := &contender{Peer: p, sizes: []*size{{rows: l.Plan.Rows}, {rows: 1}}}
	main := &c.sizes[0].rounds
	began := time.Now()
	var err error
	if c.Running, err = p.Start(ctx, l.Plan.PeerFunctions); err != nil {
		return nil, err
	}
	if c.Functions == 1 && l.Plan.PeerFunctions > 1 {
		err = l.beginOne(ctx, c, began)
	} else {
		err = l.beginMany(ctx, c)
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	idle, err := usage.Memory(c.PID)
	main.note("memory_mib", float64(idle)/(1<<20))
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (l *Lab) beginMany(ctx context.Context, c *contender) error {
	main := &c.sizes[0].rounds
	own, err := c.asked(1).Dial(ctx) // the server's own first call is no function's
	if err != nil {
		return err
	}
	err = own.Call(0)
	if err := errors.Join(err, own.Close()); err != nil {
		return err
	}
	calls, err := c.Asked(l.Plan.Rows, func(n int) int { return n }).Dial(ctx)
	if err != nil {
		return err
	}
	var before int64
	grown := l.Plan.grown()
	for k := 1; k < c.Functions; k++ {
		if k == grown {
			if before, err = usage.Memory(c.PID); err != nil {
				return errors.Join(err, calls.Close())
			}
		}
		began := time.Now()
		if err := calls.Call(k); err != nil {
			return errors.Join(fmt.Errorf("first call of function %d: %w", k, err), calls.Close())
		}
		main.note("cold_us", micro(time.Since(began)))
	}
	if err := calls.Close(); err != nil {
		return err
	}
	after, err := usage.Memory(c.PID)
	if c.Functions > grown {
		main.note("idle_kib", float64(after-before)/1024/float64(c.Functions-grown))
	}
	return err
}

func (l *Lab) beginOne(ctx context.Context, c *contender, began time.Time) error {
	main := &c.sizes[0].rounds
	for turn := range l.Plan.Rounds {
		if turn > 0 {
			if err := c.Stop(); err != nil {
				return err
			}
			var err error
			began = time.Now()
			if c.Running, err = c.Start(ctx, 1); err != nil {
				return err
			}
		}
		call, err := c.asked(l.Plan.Rows).Dial(ctx)
		if err != nil {
			return err
		}
		err = errors.Join(call.Call(0), call.Close())
		if err != nil {
			return err
		}
		main.note("cold_us", micro(time.Since(began)))
	}
	idle, err := usage.Memory(c.PID)
	main.note("idle_kib", float64(idle)/1024)
	return err
}

// turn measures one round of a size: the most that is answered and what it costs
// in time of processors, then how long calls take at half of that.
func (l *Lab) turn(ctx context.Context, c *contender, s *size, round int) error {
	before, err := usage.CPU(c.PID)
	if err != nil {
		return err
	}
	o, err := l.closed(ctx, l.Plan.Connections, c.asked(s.rows))
	if err != nil {
		return err
	}
	after, err := usage.CPU(c.PID)
	if err != nil {
		return err
	}
	if o.Done == 0 {
		return errors.New("no call was answered")
	}
	s.count(o)
	s.note("most_per_s", o.PerSecond())
	s.note("cpu_s_per_1000", (after-before).Seconds()*1000/float64(o.Done))
	half, err := l.rated(ctx, o.PerSecond()/2, l.Plan.Seed+uint64(round), c.asked(s.rows))
	if err != nil {
		return err
	}
	s.add(half)
	return nil
}

// running measures how much more memory there is while as many large calls run
// as there are processors.
func (l *Lab) running(ctx context.Context, c *contender) error {
	const atOnce = 2
	before, err := usage.Memory(c.PID)
	if err != nil {
		return err
	}
	calling, stop := context.WithCancel(ctx)
	defer stop()
	group := new(errgroup.Group)
	var most int64
	group.Go(func() (err error) {
		most, err = usage.Peak(calling, c.PID, 5*time.Millisecond)
		return err
	})
	o, err := l.closed(ctx, atOnce, c.asked(l.Plan.LargeRows))
	stop()
	if err := errors.Join(err, group.Wait()); err != nil {
		return err
	}
	c.sizes[0].count(o)
	c.sizes[0].note("running_mib", float64(most-before)/(1<<20)/atOnce)
	return nil
}
