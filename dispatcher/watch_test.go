package dispatcher

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pappus/data"
	"pappus/engine"
	"pappus/iofuncs"
	"pappus/registry"
)

// telling is an I/O function that tells of n exchanges for each of its items, from
// several goroutines, and of one that failed at last.
func telling(n int) func(context.Context, iofuncs.Request) ([]data.Set, error) {
	return func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
		var all sync.WaitGroup
		for g := range 4 {
			all.Go(func() {
				for i := g; i < n; i += 4 {
					now := time.Now()
					r.Note(iofuncs.Exchange{
						Method: "LOOK", Target: "http://a.example/" + strings.Repeat("x", i), Began: now, Ended: now.Add(time.Millisecond),
						Sent: 1, Received: 2, Status: 200, Attempts: 1, Cache: iofuncs.CacheMiss,
					})
				}
			})
		}
		all.Wait()
		r.Note(iofuncs.Exchange{Method: "LOOK", Failed: iofuncs.KindRefused, Refused: "loopback"})
		return echoing(ctx, r)
	}
}

// A run's record has what its calls had others do, up to its bounds, and what failed
// in each call.
func TestRequestsAreRecorded(t *testing.T) {
	b := newComposer(t, withIO(t, fakeIO{name: "HTTP", call: telling(149)}))
	defer b.finish(t)
	v := b.compose(t, "Ask", ask)
	const calls = 60
	a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Trace: true, Inputs: []data.Set{set("text", strings.Repeat("word ", calls))}})
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
	rec := b.Run("default", a.RunID)
	total, dropped := 0, 0
	for _, app := range rec.Applications {
		for _, i := range app.Instances {
			if app.Callee != "HTTP" {
				if i.Requests != nil {
					t.Errorf("%s has requests", app.Callee)
				}
				continue
			}
			list := i.Requests.List
			total += len(list)
			dropped += i.Requests.Dropped
			if len(list)+i.Requests.Dropped != 150 || len(list) > maxCallRequests {
				t.Errorf("%d are kept, and %d not", len(list), i.Requests.Dropped)
			}
			for n, r := range list {
				failed := n == len(list)-1
				if failed != (r.Fault == engine.FaultEgressRefused) || !failed && (r.Method != "LOOK" || r.Status != 200 || r.Sent != 1 || r.Received != 2 ||
					r.Attempts != 1 || r.Cache != iofuncs.CacheMiss || len(r.Target) > maxTarget+3 || r.Started < i.Started || r.Ended-r.Started != time.Millisecond) {
					t.Errorf("%+v", r)
				}
			}
		}
	}
	if total != maxRunRequests || total+dropped != calls*150 {
		t.Errorf("%d are kept, and %d not", total, dropped)
	}
	io := b.io["HTTP"]
	if testutil.ToFloat64(io.sent) != calls*149 || testutil.ToFloat64(io.received) != 2*calls*149 || testutil.ToFloat64(io.refusals.WithLabelValues("HTTP", "loopback")) != calls {
		t.Error("the metrics are not those of the calls")
	}
	families, err := b.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	waited := uint64(0)
	for _, f := range families {
		if f.GetName() != "pappus_io_wait_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			waited += m.GetHistogram().GetSampleCount()
		}
	}
	if waited != calls {
		t.Errorf("%d calls are said to have waited", waited)
	}
}

// What a call tells after it has ended is counted and not kept.
func TestRequestsToldTooLate(t *testing.T) {
	late := make(chan iofuncs.Request, 1)
	b := newComposer(t, withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
		r.Note(iofuncs.Exchange{Method: "LOOK", Sent: 1})
		late <- r
		return echoing(ctx, r)
	}}))
	defer b.finish(t)
	target, _ := b.Resolve(t.Context(), "default", registry.Ref{Name: "HTTP"})
	a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: target, Trace: true, Inputs: []data.Set{set("requests", "x")}})
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
	(<-late).Note(iofuncs.Exchange{Method: "STORE", Sent: 1})
	if r := b.Run("default", a.RunID).Applications[0].Instances[0].Requests; len(r.List) != 1 || r.List[0].Method != "LOOK" || testutil.ToFloat64(b.io["HTTP"].sent) != 2 {
		t.Errorf("%+v", r)
	}
}

// Runs that a call by name led to are in the record of the run that made it, and can
// be found; what they hold is bounded with it.
func TestRunsOfCallsByName(t *testing.T) {
	b := newComposer(t, withIO(t, fakeIO{name: "HTTP", call: telling(9)}))
	defer b.finish(t)
	b.compose(t, "Ask", ask)
	inner := request("Ask", set("text", "a b"))
	nested := request(callByName, data.Set{Name: "requests", Items: []*data.Item{data.NewItem("n", 9, inner)}})
	a, err := b.invoking(t.Context(), func(inv *Invocation) { inv.Trace = true }, inner, request("Split", set("in", "to be")), request("Nobody"), nested)
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
	rec := b.Run("default", a.RunID)
	list := rec.Applications[0].Instances[0].Requests.List
	if len(list) != 4 {
		t.Fatalf("%+v", list)
	}
	for i, want := range []struct {
		target, fault, composition string
	}{{"Ask", "", "Ask"}, {"Split", "", ""}, {"Nobody", "unknown-function", ""}, {callByName, "", callByName}} {
		r := list[i]
		if r.Method != "invoke" || strings.Split(r.Target, "@")[0] != want.target || string(r.Fault) != want.fault || r.Started > r.Ended || r.Sent == 0 || r.Received == 0 {
			t.Errorf("%+v, want %+v", r, want)
		}
		if (r.Run != nil) != (want.composition != "") {
			t.Errorf("%s led to %+v", r.Target, r.Run)
			continue
		}
		if r.Run != nil && (strings.Split(r.Run.Composition, "@")[0] != want.composition || r.Run.Ended.IsZero() || b.Run("default", r.Run.ID) != r.Run || b.Run("other", r.Run.ID) != nil) {
			t.Errorf("%s: %+v", r.Target, r.Run)
		}
	}
	deep := list[3].Run.Applications[0].Instances[0].Requests.List[0].Run
	if deep == nil || b.Run("default", deep.ID) != deep || len(deep.Applications) != 3 {
		t.Errorf("%+v", deep)
	}
	if kept := b.Runs("default"); len(kept) != 1 || kept[0] != rec {
		t.Errorf("%d records are listed", len(kept))
	}

	many := make([][]byte, 8)
	for i := range many {
		many[i] = request("Ask", set("text", strings.Repeat("word ", MaxRecorded/10)))
	}
	if a, err = b.invoking(t.Context(), func(inv *Invocation) { inv.Trace = true }, many...); err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	if answers := texts(a.Outputs[0]); strings.Count(answers, "OK") != len(many) {
		t.Fatalf("%.500s", answers)
	}
	instances, requests, dropped := 1, 0, 0
	for id, r := range b.Run("default", a.RunID).below(nil) {
		dropped += r.Dropped
		for _, app := range r.Applications {
			instances += len(app.Instances)
			for _, i := range app.Instances {
				if i.Requests != nil {
					requests += len(i.Requests.List)
				}
			}
		}
		if r.ID != id {
			t.Errorf("%s is found as %s", r.ID, id)
		}
	}
	if requests != maxRunRequests || instances > MaxRecorded || instances+dropped != 1+len(many)*(1+2*MaxRecorded/10) {
		t.Errorf("%d instances and %d requests are kept, and %d instances are not", instances, requests, dropped)
	}
}

// Who wants a record to itself gets it, and it is not kept; I/O functions know the
// trace.
func TestRecordsForOthers(t *testing.T) {
	trace := iofuncs.TraceID{1, 2}
	b := newComposer(t, withIO(t, fakeIO{name: "HTTP", call: func(ctx context.Context, r iofuncs.Request) ([]data.Set, error) {
		if r.Trace() != trace {
			return nil, fmt.Errorf("the trace is %x", r.Trace())
		}
		return echoing(ctx, r)
	}}))
	defer b.finish(t)
	b.compose(t, "Ask", ask)
	var got []*Record
	a, err := b.invoking(t.Context(), func(inv *Invocation) {
		inv.TraceID, inv.Recorded = trace, func(r *Record) { got = append(got, r) }
	}, request("Ask", set("text", "a b")))
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
	if len(got) != 1 || got[0].ID == "" || got[0].Ended.IsZero() || a.RunID != "" || len(b.Runs("default")) != 0 {
		t.Fatalf("%+v, %q", got, a.RunID)
	}
	if led := got[0].Applications[0].Instances[0].Requests.List[0].Run; led == nil || len(led.Applications) != 3 || b.Run("default", led.ID) != nil {
		t.Errorf("%+v", led)
	}
}
