package dispatcher

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/engine"
)

// Many runs at once, some of which are cancelled or fail at any moment, leave
// nothing behind.
func TestManyRuns(t *testing.T) {
	around := func(runFunc) runFunc {
		return func(ctx context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
			switch rand.IntN(400) {
			case 0:
				return engine.Result{}, &engine.Fault{Kind: engine.FaultTrap}
			case 1:
				select { // it takes a while, and ends with its caller
				case <-ctx.Done():
					return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled, Err: ctx.Err()}
				case <-time.After(time.Millisecond):
				}
			}
			held := int64(0)
			if rand.IntN(3) == 0 {
				held = 1 << 20 // outputs that stay in a context
			}
			out := []data.Set{{Name: "out0", Items: clones(in[0].Items)}}
			if held > 0 && len(out[0].Items) > 0 {
				out[0].Items[0] = data.NewItem("large", out[0].Items[0].Key(), make([]byte, detachBytes+1))
			}
			return engine.NewResult(out, engine.Usage{Fuel: 1}, held, func() {}), nil
		}
	}
	b := newRunBench(t, func(c *Config) { c.Workers, c.MemoryBudget = 4, 4<<30 }, around)
	defer b.finish(t)
	var wg sync.WaitGroup
	var ended [3]int
	var mu sync.Mutex
	for range 8 {
		wg.Go(func() {
			for i := range 40 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%4 == 0 {
					time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, cancel)
				}
				graph := chain(3, b.unary(), shard.Each, b.references)
				r := b.newRun(ctx, "default", 0, new(share))
				_, err := r.do(newBound(graph, b.callees), []data.Set{{Name: "s0", Items: some(20)}})
				outcome := 0
				switch {
				case err == nil:
					r.release()
				case errors.Is(err, &engine.Fault{Kind: engine.FaultCanceled}) || engine.KindOf(err) == engine.FaultCanceled:
					outcome = 1
				case engine.KindOf(err) == engine.FaultTrap:
					outcome = 2
				default:
					t.Error(err)
				}
				mu.Lock()
				ended[outcome]++
				mu.Unlock()
				if len(r.held) != 0 || r.active != 0 || r.workers != 0 {
					t.Errorf("%d held, %d active, %d workers", len(r.held), r.active, r.workers)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if ended[0] == 0 || ended[2] == 0 {
		t.Errorf("ended well, cancelled, failed: %v", ended)
	}
}
