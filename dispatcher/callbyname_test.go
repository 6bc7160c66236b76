package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/iofuncs"
)

// invoking calls system_Invoke on requests, by their names.
func (b *bench) invoking(ctx context.Context, change func(*Invocation), requests ...[]byte) (*Answer, error) {
	s := data.Set{Name: "requests"}
	for i, content := range requests {
		s.Items = append(s.Items, data.NewItem(fmt.Sprint("call ", i), uint32(i), content))
	}
	inv := Invocation{Tenant: "default", Target: b.io[callByName].version, Inputs: []data.Set{s}}
	if change != nil {
		change(&inv)
	}
	return b.Invoke(ctx, inv)
}

// What can be had by the name is called, and what follows from the request and
// from what is registered is an answer.
func TestCallByName(t *testing.T) {
	b := newComposer(t, func(c *Config) {
		withIO(t, fakeIO{name: "HTTP", call: echoing})(c)
		c.Workers = 1
	})
	defer b.finish(t)
	b.compose(t, "Shout", shout)
	b.compose(t, "Ask", ask)
	b.compose(t, "Failing", `function Fail(in) => (out); composition Failing(a) => (b) { Fail(in = each a) => (b = out); }`)
	inner := request("Shout", set("text", "deep"))
	for _, c := range []struct {
		request []byte
		want    string
	}{
		{request("Split", set("in", "to be")), "OK 5\n2 2 out/to\nto\n2 2 out/be\nbe\n"},
		{request("Shout", set("text", "to be", "or")), "OK 30\n0 8 loud/joined\nTO BE OR\n"},
		{request("Ask@latest", set("text", "a bb")), "OK 15\n1 5 answers/a\nRE: A\n2 6 answers/bb\nRE: BB\n"},
		{request("HTTP", set("requests", "x")), "OK 0\n0 5 answers/\nre: x\n"},
		{request("Join"), "OK 5\n0 0 out/joined\n\n"},
		{request(callByName, data.Set{Name: "requests", Items: []*data.Item{data.NewItem("n", 9, inner)}}), "OK 15\n9 27 answers/n\nOK 15\n0 4 loud/joined\nDEEP\n\n"},
		{request(callByName), "OK 0\n"},
		{request("Fail", set("in", "x")), "FAULT trap 2\nas asked"},
		{request("Failing", set("a", "x")), "FAULT composition-failed 0\n"},
		{request("Nobody"), `FAULT unknown-function 0` + "\n" + `function "Nobody" not found`},
		{request("system_Nobody"), `FAULT unknown-function 0` + "\n" + `I/O function "system_Nobody" not found`},
		{request("HTTP@3"), `FAULT unknown-function 0` + "\n" + `I/O function "HTTP@3" not found`},
		{request("Split", set("other", "x")), "FAULT bad-request 0\ninput set \"other\" is not declared; the function declares \"in\""},
	} {
		a, err := b.invoking(t.Context(), nil, c.request)
		if err != nil {
			t.Errorf("%q: %v", c.request, err)
			continue
		}
		it := a.Outputs[0].Items[0]
		if got := string(it.Bytes()); got != c.want || it.Name() != "call 0" {
			t.Errorf("%q: %q, want %q", c.request, got, c.want)
		}
		a.Release()
	}
	a, err := b.invoking(t.Context(), nil, request("Split", set("in", "x")), request("Nobody"), request("Shout", set("text", "y")))
	if err != nil || a.Usage.Fuel != 5+15 || a.Usage.MemoryPages != 3 || len(a.Outputs[0].Items) != 3 || a.Outputs[0].Items[2].Name() != "call 2" || a.Outputs[0].Items[2].Key() != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
	a.Release()
}

// Requests that can't be read, and what depends on the machine or on the world,
// are faults of the run.
func TestCallByNameFails(t *testing.T) {
	b := newComposer(t, withIO(t, fakeIO{name: "HTTP", call: func(context.Context, iofuncs.Request) ([]data.Set, error) {
		return nil, &iofuncs.Error{Kind: iofuncs.KindRefused, Detail: "10.0.0.1 is private"}
	}}))
	defer b.finish(t)
	b.compose(t, "Ask", ask)
	run := b.engine.runOf
	b.engine.runOf = func(code []byte) runFunc {
		if strings.HasSuffix(string(code), "Slow") {
			return func(context.Context, []data.Set, engine.Limits) (engine.Result, error) {
				return engine.Result{}, &engine.Fault{Kind: engine.FaultDeadline, Detail: "it took too long", Usage: engine.Usage{Fuel: 9}}
			}
		}
		return run(code)
	}
	b.publish(t, "Slow", func(p *Publication) { p.Name = "Slow" })
	for _, c := range []struct {
		request string
		want    string
		fuel    int64
	}{
		{"INVOKE f", `io-failed: system_Invoke: the request can't be read: at byte 0: a line`, 5},
		{"INVOKE a b\n", `io-failed: system_Invoke: the request can't be read: name "a b"`, 5},
		{"INVOKE Slow\n", "deadline: in the call of Slow: it took too long", 5 + 9},
		{string(request("HTTP", set("requests", "x"))), "egress-refused: in the call of HTTP, in HTTP: HTTP: 10.0.0.1 is private", 5},
		{string(request("Ask", set("text", "x"))), "egress-refused: in the call of Ask, in HTTP: HTTP: 10.0.0.1 is private", 5 + 5},
	} {
		_, err := b.invoking(t.Context(), nil, request("Split"), []byte(c.request))
		fault := new(engine.Fault)
		if errors.As(err, &fault); strings.Contains(fault.Hint, "Correct the request") != strings.Contains(c.want, "can't be read") {
			t.Errorf("%v has the hint %q", err, fault.Hint)
		}
		if fault.Usage.Fuel != c.fuel { // that of the calls before it too
			t.Errorf("%v used %d, want %d", err, fault.Usage.Fuel, c.fuel)
		}
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) || fault.Application != callByName || fault.Item != `requests: "call 1", key 1` {
			t.Errorf("%q: %v, item %q", c.request, err, fault.Item)
		}
	}
}

// recurring calls whatever is in its input, by the composition that calls the
// composition again.
const recurring = `
function Request(in) => (out);
function system_Invoke(requests) => (answers);
composition Recurring(a) => (b) {
	Request(in = all a) => (r = out);
	system_Invoke(requests = each r) => (b = answers);
}`

// Recursion through names that are only known at run time ends where nesting does,
// however wide it is.
func TestCallByNameEnds(t *testing.T) {
	for width := 1; width <= 3; width++ {
		b := newComposer(t, func(c *Config) { c.Workers, c.Run.Nesting, c.Run.Time = 2, 7, time.Hour })
		var calls atomic.Int64
		run := b.engine.runOf
		b.engine.runOf = func(code []byte) runFunc {
			if !strings.HasSuffix(string(code), "Request") {
				return run(code)
			}
			return func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
				calls.Add(1)
				s := data.Set{Name: "out"}
				for i := range width {
					s.Items = append(s.Items, data.NewItem("", uint32(i), request("Recurring", set("a", "again"))))
				}
				return engine.NewResult([]data.Set{s}, engine.Usage{Fuel: 1}, 0, nil), nil
			}
		}
		b.publish(t, "Request", func(p *Publication) {
			p.Name, p.HasSignature = "Request", true
			p.Inputs, p.Outputs = []engine.Param{{Name: "in", Type: engine.TypeSet}}, []engine.Param{{Name: "out", Type: engine.TypeSet}}
		})
		v := b.compose(t, "Recurring", recurring)
		_, err := b.call(t.Context(), v, set("a", "x"))
		fault := new(engine.Fault)
		if !errors.As(err, &fault) || fault.Kind != engine.FaultLimitNesting || fault.Application != callByName || calls.Load() < 7 {
			t.Errorf("%d wide: %v after %d calls", width, err, calls.Load())
		}
		// The function itself counts a level each time, too.
		call := request("Split")
		for depth := 1; depth < 9; depth++ {
			call = request(callByName, data.Set{Name: "requests", Items: []*data.Item{data.NewItem("", 0, call)}})
			a, err := b.invoking(t.Context(), nil, call)
			if depth < 7 != (err == nil) || err != nil && engine.KindOf(err) != engine.FaultLimitNesting {
				t.Errorf("%d deep: %v", depth, err)
			}
			if err == nil {
				a.Release()
			}
		}
		b.finish(t)
	}
}

// A composition counts with those that it stands in, whoever called it.
func TestCallByNameNesting(t *testing.T) {
	b := newComposer(t, func(c *Config) { c.Run.Nesting = 3 })
	defer b.finish(t)
	b.compose(t, "Shout", shout)
	b.compose(t, "Deep", `function Shout(text) => (loud); composition Deep(a) => (b) { Shout(text = all a) => (b = loud); }`)
	outer := b.compose(t, "Outer", `function system_Invoke(requests) => (answers);
		composition Outer(a) => (b) { Inner(x = all a) => (b = y); }
		composition Inner(x) => (y) { system_Invoke(requests = each x) => (y = answers); }`)
	for name, good := range map[string]bool{"Split": true, "Shout": true, "Deep": false} {
		a, err := b.call(t.Context(), outer, data.Set{Name: "a", Items: []*data.Item{data.NewItem("", 0, request(name))}})
		if good != (err == nil) || err != nil && engine.KindOf(err) != engine.FaultLimitNesting {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			a.Release()
		}
	}
}

// Calls by name need no slots, so that calls in calls that call the world end,
// with one slot and one permit; and a wide tree of them keeps to its bound.
func TestCallByNameGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		b := newComposer(t, func(c *Config) {
			withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
				<-answer
				return echoing(ctx, r)
			}})(c)
			c.Workers, c.IO = 1, IOLimits{Calls: 1, TenantCalls: 1}
		})
		defer b.finish(t)
		each := b.compose(t, "Each", `function system_Invoke(requests) => (answers); composition Each(a) => (b) { system_Invoke(requests = each a) => (b = answers); }`)
		wide := func(call []byte) data.Set {
			return data.Set{Name: "a", Items: slices.Repeat([]*data.Item{data.NewItem("", 0, call)}, 12)}
		}
		leaf := request("HTTP", set("requests", "x"))
		branch := request("Each", wide(request("Each", wide(leaf))))
		tree := new(callTree)
		done := make(chan error)
		go func() {
			inv := Invocation{Tenant: "default", Target: each, Inputs: []data.Set{wide(branch)}, tree: tree}
			a, err := b.Invoke(t.Context(), inv)
			if err == nil {
				a.Release()
			}
			done <- err
		}()
		synctest.Wait()
		// As many as there may be, and one for each run that has none then.
		if n := tree.going.Load(); n < mostCallsByName || n > 3*mostCallsByName {
			t.Errorf("%d calls by name go on", n)
		}
		if going := b.io["HTTP"].going.Load(); going != 1 {
			t.Errorf("%d calls of the world go on", going)
		}
		close(answer)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := tree.going.Load(); n != 0 {
			t.Errorf("%d calls are left", n)
		}
	})
}

// What is called waits for a permit as the run that calls would.
func TestCallByNameWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newComposer(t, func(c *Config) { c.Workers, c.QueueTimeout = 1, time.Second })
		defer b.finish(t)
		end := make(chan struct{})
		run := b.engine.runOf
		b.engine.runOf = func(code []byte) runFunc {
			if !strings.HasSuffix(string(code), "Long") {
				return run(code)
			}
			return func(context.Context, []data.Set, engine.Limits) (engine.Result, error) {
				<-end
				return engine.NewResult(nil, engine.Usage{}, 0, nil), nil
			}
		}
		long := b.publish(t, "Long", func(p *Publication) { p.Name = "Long" })
		done := make(chan struct{})
		go func() {
			defer close(done)
			if a, err := b.call(t.Context(), long); err != nil {
				t.Error(err)
			} else {
				a.Release()
			}
		}()
		synctest.Wait()
		began := time.Now()
		if _, err := b.invoking(t.Context(), nil, request("Split")); engine.KindOf(err) != engine.FaultOverload || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		close(end)
		<-done
	})
}
