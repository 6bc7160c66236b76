package dispatcher

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pappus/data"
	"pappus/dispatcher/shard"
)

func TestHistogram(t *testing.T) {
	for _, c := range []struct {
		took   time.Duration
		bucket int
	}{
		{0, 0},
		{shortestPhase, 0},
		{shortestPhase + 1, 1},
		{4 * shortestPhase, 1},
		{4*shortestPhase + 1, 2},
		{10 * time.Second, phaseBuckets - 1},
		{11 * time.Second, phaseBuckets},
		{time.Hour, phaseBuckets},
	} {
		var h histogram
		h.add(c.took)
		if h.counts[c.bucket] != 1 || h.sum != c.took {
			t.Errorf("%s: %+v; want it in bucket %d", c.took, h, c.bucket)
		}
	}
}

// Calls and the instances of runs are all counted, each in every phase.
func TestPhasesAreCounted(t *testing.T) {
	b := newRunBench(t, nil, nil)
	defer b.finish(t)
	for range 2 {
		a, err := b.call(t.Context(), b.callees[b.unary()].version)
		if err != nil {
			t.Fatal(err)
		}
		a.Release()
	}
	const instances = 1500 // more than are added up before they are counted
	r := b.newRun(t.Context(), "default", 0, new(share))
	if _, err := r.do(newBound(chain(1, b.unary(), shard.Each, b.references), b.callees), []data.Set{{Name: "s0", Items: some(instances)}}); err != nil {
		t.Fatal(err)
	}
	r.release()
	if n := testutil.CollectAndCount(b.Dispatcher.metrics.phases); n != 3 {
		t.Errorf("%d phases", n)
	}
	families, err := b.bench.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "pappus_invocation_phase_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			h := m.GetHistogram()
			if h.GetSampleCount() != instances+2 || len(h.GetBucket()) != phaseBuckets {
				t.Errorf("%v", m)
			}
		}
		return
	}
	t.Error("there is no metric of phases")
}
