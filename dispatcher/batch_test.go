package dispatcher

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/engine"
)

// numbered are items with small contents that tell them apart, in order.
func numbered(n int) []*data.Item {
	items := make([]*data.Item, n)
	for i := range items {
		items[i] = data.NewItem("", uint32(i), binary.LittleEndian.AppendUint32(nil, uint32(i)))
	}
	return items
}

func numberOf(in []data.Set) int { return int(binary.LittleEndian.Uint32(in[0].Items[0].Bytes())) }

// sliced spends time as an engine does: it comes to the end of a slice again and
// again.
func sliced(ctx context.Context, d time.Duration) error {
	const slice = 150 * time.Microsecond
	for end := time.Now().Add(d); time.Now().Before(end); {
		pass(slice)
		if _, err := engine.SchedulerOf(ctx).Yield(ctx, end.Add(time.Hour)); err != nil {
			return &engine.Fault{Kind: engine.FaultCanceled, Err: err}
		}
	}
	return nil
}

// turns is how often an instance, or a batch of them, has waited for its permit.
func (b *bench) turns() uint64 {
	b.permits.mu.Lock()
	defer b.permits.mu.Unlock()
	return b.permits.ages
}

// Whatever an instance in a batch spends its time on, what was taken
// with it goes on elsewhere, and what was done before it is there at once.
func TestBatchIsNotHeldUp(t *testing.T) {
	const items, long, others = 400, 100 * time.Millisecond, 2 * time.Millisecond
	for name, wait := range map[string]func(ctx context.Context) error{
		"computing": func(ctx context.Context) error { return sliced(ctx, long) },
		"placing large inputs": func(ctx context.Context) error {
			_, err := engine.SchedulerOf(ctx).Grow(ctx, longCopy+1, time.Time{})
			pass(long)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for at := range 64 { // wherever in a batch it is
				synctest.Test(t, func(t *testing.T) {
					from := time.Now()
					var lock sync.Mutex
					first := make(map[int]time.Duration) // when the second stage got which
					b := newRunBench(t, func(c *Config) { c.Workers, c.Strict = 2, false }, func(runFunc) runFunc {
						give := copying(nil)
						return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
							n, second := numberOf(in), in[0].Items[0].Name() == "second"
							switch {
							case second:
								lock.Lock()
								first[n] = time.Since(from)
								lock.Unlock()
							case n == 100+at:
								if err := wait(ctx); err != nil {
									return engine.Result{}, err
								}
							}
							r, err := give(ctx, in, lim)
							r.Usage.MemoryPages = 64 // so that placing them asks for no more
							if !second {
								it := r.Outputs[0].Items[0]
								it.Init("second", it.Key(), it.Bytes())
							}
							return r, err
						}
					})
					turns := b.turns()
					r := b.newRun(t.Context(), "default", 0, new(share))
					if _, err := r.do(newBound(chain(2, b.unary(), shard.Each, b.references), b.callees), []data.Set{{Name: "s0", Items: numbered(items)}}); err != nil {
						t.Fatal(err)
					}
					r.release()
					if turns = b.turns() - turns; turns > items {
						t.Errorf("%d instances had %d turns; they were not taken together", 2*items, turns)
					}
					for n, after := range first {
						if n != 100+at && after > others {
							t.Errorf("the item after %d came to the second stage after %s", n, after)
						}
					}
					b.finish(t)
				})
			}
		})
	}
}

// Batches change nothing of what runs give and tell.
func TestBatchesTellTheSame(t *testing.T) {
	t.Run("as long as they take", func(t *testing.T) { batchesTellTheSame(t) })
	synctest.Test(t, func(t *testing.T) { // in which instances take no time
		if turns := batchesTellTheSame(t); turns > 500 {
			t.Errorf("1000 instances had %d turns; they were not taken together", turns)
		}
	})
}

func batchesTellTheSame(t *testing.T) (turns uint64) {
	const items = 500
	b := newRunBench(t, nil, func(runFunc) runFunc {
		give := copying(nil)
		return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
			r, err := give(ctx, in, lim)
			n := numberOf(in)
			r.Usage = engine.Usage{Fuel: int64(n), MemoryPages: int64(n)}
			return r, err
		}
	})
	defer b.finish(t)
	before := b.turns()
	r := b.newRun(t.Context(), "default", 0, new(share))
	version := *b.callees[b.unary()].version
	r.record = newRecorder(versionName(&version), 1, &r.calling.tree.room)
	in := numbered(items)
	out, err := r.do(newBound(chain(2, b.unary(), shard.Each, b.references), b.callees), []data.Set{{Name: "s0", Items: in}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(out[0].Items, in, (*data.Item).Equal) {
		t.Error("the outputs are others")
	}
	if want := int64(2 * items * (items - 1) / 2); r.usage.Fuel != want || r.usage.MemoryPages != items-1 {
		t.Errorf("usage %+v", r.usage)
	}
	if held := r.share.held.Load(); held != 4*items {
		t.Errorf("its outputs are %d bytes, and it holds %d", 4*items, held)
	}
	if c := b.permits.counts(); c.memory != 4*items || c.inUse != 0 {
		t.Errorf("the run has ended, and is charged %+v", c)
	}
	turns = b.turns() - before
	if got := len(r.record.record.Applications); got != 2 {
		t.Fatalf("%d applications are recorded", got)
	}
	for _, a := range r.record.record.Applications {
		seen := make([]bool, items)
		for _, i := range a.Instances {
			if i.In != 4 || i.Out != 4 || i.Queued > i.Started || i.Started > i.Ended || seen[i.Number] {
				t.Errorf("%s: %+v", a.Name, i)
			}
			seen[i.Number] = true
		}
		if slices.Contains(seen, false) {
			t.Errorf("%s: %d instances are recorded", a.Name, len(a.Instances))
		}
	}
	r.release()
	return turns
}

// One worker sees failures in order, and so does a batch: nothing after the first
// one runs.
func TestBatchFails(t *testing.T) {
	for _, bad := range []int{1, 2, 17, 18, 60, 299} {
		last := 0
		b := newRunBench(t, func(c *Config) { c.Workers = 1 }, func(runFunc) runFunc {
			give := copying(nil)
			return func(ctx context.Context, in []data.Set, lim engine.Limits) (engine.Result, error) {
				if last = numberOf(in); last >= bad {
					return engine.Result{}, &engine.Fault{Kind: engine.FaultTrap}
				}
				return give(ctx, in, lim)
			}
		})
		r := b.newRun(t.Context(), "default", 0, new(share))
		_, err := r.do(newBound(chain(1, b.unary(), shard.Each, b.references), b.callees), []data.Set{{Name: "s0", Items: numbered(300)}})
		var fault *engine.Fault
		if !errors.As(err, &fault) || fault.Kind != engine.FaultTrap || fault.Instance != bad || last != bad {
			t.Errorf("item %d: %+v, and the last was %d", bad, err, last)
		}
		b.finish(t)
	}
}

// What a run may hold is not exceeded because instances are taken together: two
// stages go on in as little as one at a time.
func TestBatchesHoldLittle(t *testing.T) {
	const limit = 6 << 10 // of items of 1 KiB
	b := newRunBench(t, func(c *Config) { c.Run.Bytes = limit }, copying)
	defer b.finish(t)
	g := chain(2, b.unary(), shard.Each, b.references)
	g.Compositions[0].Nodes[1].Kept, g.Compositions[0].Outputs = nil, nil
	r := b.newRun(t.Context(), "default", 0, new(share))
	if _, err := r.do(newBound(g, b.callees), []data.Set{{Name: "s0", Items: some(500)}}); err != nil {
		t.Error(err)
	} else {
		r.release()
	}
}
