package dispatcher

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Durations of phases are counted by buckets: up to the shortest, up to so many
// times that, and so on; and those that are longer than all.
const (
	shortestPhase = 10 * time.Microsecond
	phaseGrowth   = 4
	phaseBuckets  = 11
)

// phases are how long successful invocations spent in each. They are plain
// numbers: what many instances of a run took is added up under its lock, and
// counted for all at once.
type phases struct {
	n                   int // invocations
	queue, prepare, run histogram
}

// histogram is of durations.
type histogram struct {
	counts [phaseBuckets + 1]uint64
	sum    time.Duration
}

func (h *histogram) add(d time.Duration) {
	bucket := 0
	for bound := shortestPhase; bucket < phaseBuckets && d > bound; bound *= phaseGrowth {
		bucket++
	}
	h.counts[bucket]++
	h.sum += d
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.sum += other.sum
}

// add counts an invocation.
func (p *phases) add(a *Answer) {
	p.n++
	p.queue.add(a.Queue)
	p.prepare.add(a.Prepare)
	p.run.add(a.Run)
}

// due reports whether it is time to count them for all: they are many, or came
// slowly.
func (p *phases) due(a *Answer) bool { return p.n >= 1000 || a.Run > time.Millisecond }

// phaseMetric gives the phases of all invocations to Prometheus.
type phaseMetric struct {
	desc *prometheus.Desc

	mu  sync.Mutex
	all phases
}

var _ prometheus.Collector = (*phaseMetric)(nil)

func newPhaseMetric() *phaseMetric {
	return &phaseMetric{desc: prometheus.NewDesc("pappus_invocation_phase_seconds",
		"Time that successful calls and instances of runs spent in each phase: waiting for a permit and memory, for the program, in the engine.",
		[]string{"phase"}, nil)}
}

// add counts an invocation.
func (m *phaseMetric) add(a *Answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all.add(a)
}

// take counts invocations that were added up elsewhere, and empties that.
func (m *phaseMetric) take(p *phases) {
	if p.n == 0 {
		return
	}
	m.mu.Lock()
	m.all.n += p.n
	m.all.queue.merge(&p.queue)
	m.all.prepare.merge(&p.prepare)
	m.all.run.merge(&p.run)
	m.mu.Unlock()
	*p = phases{}
}

// Describe says what is collected.
func (m *phaseMetric) Describe(descs chan<- *prometheus.Desc) { descs <- m.desc }

// Collect gives a histogram for each phase.
func (m *phaseMetric) Collect(metrics chan<- prometheus.Metric) {
	m.mu.Lock()
	all := m.all
	m.mu.Unlock()
	for name, h := range map[string]*histogram{"queue": &all.queue, "prepare": &all.prepare, "run": &all.run} {
		buckets, upTo := make(map[float64]uint64, phaseBuckets), uint64(0)
		for i, bound := range prometheus.ExponentialBuckets(shortestPhase.Seconds(), phaseGrowth, phaseBuckets) {
			upTo += h.counts[i]
			buckets[bound] = upTo
		}
		metrics <- prometheus.MustNewConstHistogram(m.desc, uint64(all.n), h.sum.Seconds(), buckets, name)
	}
}
