package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pappus/data"
	"pappus/engine"
)

// Other limits hold for what comes, and what is there keeps its own.
func TestReload(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MemoryBudget = 64 << 20 })
	before := b.publish(t, "before", nil)
	next := Config{
		Workers: 99, MemoryBudget: 1, // not looked at
		Defaults: engine.Limits{Memory: 1 << 20, Timeout: engine.Duration(time.Second)},
		Maximum:  engine.Limits{Memory: 2 << 20, Output: 1 << 20},
		MaxCode:  16, ProgramBytes: 1,
	}
	if err := b.Reload(next); err != nil {
		t.Fatal(err)
	}
	if n := b.engine.open.Load(); n != 0 {
		t.Errorf("%d programs are loaded, which is more than the one byte that may be", n)
	}
	after := b.publish(t, "after", nil)
	if l := after.Limits; l.Memory != 1<<20 || l.Timeout != engine.Duration(time.Second) || l.Output != 1<<20 || l.Stack != engine.DefaultLimits().Stack {
		t.Errorf("a new version has %+v", l)
	}
	if before.Limits.Memory == after.Limits.Memory {
		t.Errorf("the old version has %+v", before.Limits)
	}
	a, err := b.call(t.Context(), before, set("in", "x"))
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
	var input *InputError
	pub := Publication{Tenant: "default", Name: "f", Code: []byte("\x00asm"), Limits: engine.Limits{Memory: 3 << 20}}
	if _, _, err := b.Publish(t.Context(), pub); !errors.As(err, &input) || !strings.Contains(err.Error(), "2MiB") {
		t.Errorf("more than may be asked for: %v", err)
	}
	var large *TooLargeError
	pub.Code = make([]byte, 17)
	if _, _, err := b.Publish(t.Context(), pub); !errors.As(err, &large) || large.Limit != 16 {
		t.Errorf("more code than there may be: %v", err)
	}
	if c := b.config.Load(); c.Workers != 2 || c.MemoryBudget != 64<<20 {
		t.Errorf("workers %d, budget %d", c.Workers, c.MemoryBudget)
	}
	b.finish(t)
}

func TestReloadRefuses(t *testing.T) {
	b := newBench(t, nil)
	was := *b.config.Load()
	for name, c := range map[string]Config{
		"negative":                     {Waiting: -1},
		"a default above the maximum":  {Defaults: engine.Limits{Memory: 4 << 20}, Maximum: engine.Limits{Memory: 2 << 20}},
		"a maximum beyond the engines": {Maximum: engine.Limits{Stack: 1 << 40}},
	} {
		if err := b.Reload(c); err == nil {
			t.Errorf("%s: it was taken", name)
		}
		c.MemoryBudget = 2 << 30
		if err := c.Check(); err == nil {
			t.Errorf("%s: a check finds nothing", name)
		}
	}
	if is := *b.config.Load(); !reflect.DeepEqual(is, was) {
		t.Errorf("%+v", is)
	}
	if err := (Config{MemoryBudget: 2 << 30}).Check(); err != nil {
		t.Error(err)
	}
	b.finish(t)
}

// How long one waits, and how many may, is what it was when one began to.
func TestReloadOfWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.Workers, c.QueueTimeout, c.Waiting = 1, 10*time.Second, 2 })
		v := b.publish(t, "", nil)
		release := make(chan struct{})
		b.engine.run = func(context.Context, []data.Set, engine.Limits) (engine.Result, error) {
			<-release
			return engine.NewResult(nil, engine.Usage{}, 0, nil), nil
		}
		var wg sync.WaitGroup
		call := func(want time.Duration) {
			wg.Go(func() {
				from := time.Now()
				a, err := b.call(t.Context(), v)
				var fault *engine.Fault
				switch took := time.Since(from); {
				case err == nil:
					a.Release()
				case !errors.As(err, &fault) || fault.Kind != engine.FaultOverload || took != want:
					t.Errorf("after %s instead of %s: %v", took, want, err)
				}
			})
			synctest.Wait()
		}
		call(0) // it runs
		call(10 * time.Second)
		if err := b.Reload(Config{QueueTimeout: time.Second, Waiting: 3}); err != nil {
			t.Fatal(err)
		}
		call(time.Second)
		call(time.Second)
		call(0) // one more than may wait
		pass(time.Minute)
		close(release)
		wg.Wait()
		b.finish(t)
	})
}

// Calls and reloads at once: every version has the limits of one configuration.
func TestReloadWhileCalled(t *testing.T) {
	b := newBench(t, nil)
	configs := []Config{
		{Defaults: engine.Limits{Memory: 1 << 20, Items: 1}, ProgramBytes: 1},
		{Defaults: engine.Limits{Memory: 2 << 20, Items: 2}, Waiting: 50, QueueTimeout: time.Minute},
	}
	if err := b.Reload(configs[0]); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var reloads sync.WaitGroup
	reloads.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			if err := b.Reload(configs[i%2]); err != nil {
				t.Error(err)
			}
		}
	})
	var calls sync.WaitGroup
	for g := range 4 {
		calls.Go(func() {
			for i := range 100 {
				v := b.publish(t, fmt.Sprintf("%d-%d", g, i), nil)
				if l := v.Limits; l.Memory != engine.Bytes(l.Items)<<20 {
					t.Errorf("mixed limits: %+v", l)
				}
				a, err := b.call(t.Context(), v, set("in", "x"))
				if err != nil {
					t.Error(err)
					return
				}
				a.Release()
			}
		})
	}
	calls.Wait()
	stop()
	reloads.Wait()
	b.finish(t)
}
