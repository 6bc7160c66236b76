package dispatcher

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/engine"
	"pappus/registry"
)

// Outcomes of invocations besides the kinds of faults.
const (
	outcomeOK       = "ok"
	outcomeInput    = "bad-input"
	outcomeRejected = "rejected"
	outcomeInternal = "internal"
)

// metrics are the dispatcher's. Everything with a label is resolved when they
// are made, so that counting is an addition.
type metrics struct {
	outcomes map[string]prometheus.Counter
	phases   *phaseMetric
	compiles map[string]prometheus.Observer
	ran      map[string]prometheus.Counter
}

func newMetrics(engines []engine.Engine) (*metrics, []prometheus.Collector) {
	invocations := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pappus_invocations_total",
		Help: "Invocations that ended, by outcome: ok, a kind of fault, or what kept them from running.",
	}, []string{"outcome"})
	compiles := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "pappus_compile_seconds",
		Help:    "Time to prepare a program, by result.",
		Buckets: prometheus.ExponentialBuckets(1e-3, 2, 16),
	}, []string{"result"})

	ran := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pappus_instances_total",
		Help: "Instances that ended well, by the engine that ran them.",
	}, []string{"engine"})

	m := &metrics{
		outcomes: make(map[string]prometheus.Counter),
		phases:   newPhaseMetric(),
		compiles: make(map[string]prometheus.Observer),
		ran:      make(map[string]prometheus.Counter),
	}
	for _, e := range engines {
		m.ran[e.Name()] = ran.WithLabelValues(e.Name())
	}
	for _, o := range []string{outcomeOK, outcomeInput, outcomeRejected, outcomeInternal} {
		m.outcomes[o] = invocations.WithLabelValues(o)
	}
	for _, k := range engine.FaultKinds() {
		m.outcomes[string(k)] = invocations.WithLabelValues(string(k))
	}
	for _, r := range []string{outcomeOK, outcomeRejected, outcomeInternal} {
		m.compiles[r] = compiles.WithLabelValues(r)
	}
	return m, []prometheus.Collector{invocations, m.phases, compiles, ran}
}

// outcome is the label of an invocation that ended so.
func outcome(err error) string {
	if err == nil {
		return outcomeOK
	}
	if k := engine.KindOf(err); k != "" {
		return string(k)
	}
	var input *InputError
	var rejected *engine.RejectedError
	var broken *registry.UsesError
	switch {
	case errors.As(err, &input), errors.Is(err, ErrNotPure):
		return outcomeInput
	case errors.As(err, &rejected), errors.As(err, &broken):
		return outcomeRejected
	default:
		return outcomeInternal
	}
}

func (m *metrics) ended(err error) {
	c, ok := m.outcomes[outcome(err)]
	if !ok { // a kind that engine.FaultKinds does not list
		c = m.outcomes[outcomeInternal]
	}
	c.Inc()
}

func (m *metrics) compiled(took time.Duration, err error) {
	result := outcome(err)
	if result != outcomeOK && result != outcomeRejected {
		result = outcomeInternal
	}
	m.compiles[result].Observe(took.Seconds())
}

// register registers collectors, and gauges of what d's parts count.
func register(registerer prometheus.Registerer, collectors []prometheus.Collector, d *Dispatcher) error {
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	gauge("pappus_permits", "Permits to run an instance.", nil, func() float64 { return float64(d.permits.total) })
	gauge("pappus_permits_in_use", "Permits that instances hold.", nil, func() float64 { return float64(d.permits.counts().inUse) })
	const waitingHelp = "Instances that wait: new ones, ones that are parked after their quantum, and ones that need more memory."
	for c, name := range map[class]string{classNew: "new", classParked: "parked"} {
		gauge("pappus_waiting", waitingHelp,
			prometheus.Labels{"class": name}, func() float64 { return float64(d.permits.counts().waiting[c]) })
	}
	gauge("pappus_waiting", waitingHelp,
		prometheus.Labels{"class": "growing"}, func() float64 { return float64(d.permits.counts().growing) })
	gauge("pappus_runs_held_bytes", "Bytes of outputs that runs of compositions hold because they are not used up or not read yet.", nil,
		func() float64 { return float64(d.permits.heldBytes()) })
	contexts, bodies := prometheus.Labels{"purpose": "contexts"}, prometheus.Labels{"purpose": "bodies"}
	const used, usedHelp = "pappus_memory_used_bytes", "Bytes charged to the memory budget: for contexts with their unread answers, and for bodies in flight."
	const limit, limitHelp = "pappus_memory_limit_bytes", "Bytes of the memory budget."
	gauge(used, usedHelp, contexts, func() float64 { return float64(d.permits.counts().memory) })
	gauge(used, usedHelp, bodies, func() float64 { return float64(d.bodies.Used()) })
	gauge("pappus_memory_peak_bytes", "The most bytes that were charged at once for contexts with their unread answers.", nil, func() float64 { return float64(d.permits.counts().peak) })
	gauge(limit, limitHelp, contexts, func() float64 { return float64(d.permits.memory) })
	gauge(limit, limitHelp, bodies, func() float64 { return float64(d.bodies.Limit()) })
	gauge("pappus_runs", "Runs of compositions that are going on.", nil, func() float64 { return float64(d.running.Load()) })
	gauge("pappus_compiling", "Programs that are being prepared.", nil, func() float64 { n, _ := d.programs.pool.counts(); return float64(n) })
	gauge("pappus_compile_waiting", "Programs that wait to be prepared.", nil, func() float64 { _, n := d.programs.pool.counts(); return float64(n) })
	gauge("pappus_programs", "Programs that are loaded.", nil, func() float64 { n, _, _ := d.programs.counts(); return float64(n) })
	gauge("pappus_programs_bytes", "Bytes that loaded programs hold.", nil, func() float64 { _, n, _ := d.programs.counts(); return float64(n) })
	counter := func(name, help string, value func() float64) {
		collectors = append(collectors, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	counter("pappus_program_evictions_total", "Idle programs that were closed to make room.", func() float64 { _, _, n := d.programs.counts(); return float64(n) })
	counter("pappus_instances_dropped_total", "Instances that were ended for want of memory, to run again with all that their limit allows.",
		func() float64 { return float64(d.permits.counts().dropped) })
	counter("pappus_runs_dropped_total", "Runs of compositions that were ended because others needed the memory that they held, to begin again.",
		func() float64 { return float64(d.permits.counts().droppedRuns) })

	for _, c := range collectors {
		if err := registerer.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}
