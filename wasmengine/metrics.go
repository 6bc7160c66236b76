package wasmengine

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// compileCounts are how many modules were compiled where.
type compileCounts struct {
	here, child, refused atomic.Uint64
}

var _ prometheus.Collector = (*Engine)(nil)

// descriptions of what an engine tells about itself.
type descriptions struct {
	contexts, idleBytes, instances, compiled *prometheus.Desc
}

func newDescriptions() descriptions {
	return descriptions{
		contexts: prometheus.NewDesc("pappus_wasm_contexts",
			"Regions of memory, by state: in use by calls and results, kept by a program for its next call, idle in the domain.", []string{"state"}, nil),
		idleBytes: prometheus.NewDesc("pappus_wasm_idle_bytes",
			"Bytes that idle contexts may keep resident.", nil, nil),
		instances: prometheus.NewDesc("pappus_wasm_instances_total",
			"Calls by how they came to their isolate: a new instance, or one that was reset.", []string{"from"}, nil),
		compiled: prometheus.NewDesc("pappus_wasm_compiled_total",
			"Modules compiled, by where: in this process, in a process of its own, or refused there as too costly.", []string{"where"}, nil),
	}
}

// Describe is part of prometheus.Collector.
func (e *Engine) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{e.desc.contexts, e.desc.idleBytes, e.desc.instances, e.desc.compiled} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (e *Engine) Collect(ch chan<- prometheus.Metric) {
	s := e.Stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, label string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), label)
	}
	kept := int(s.IdleInstances)
	gauge(e.desc.contexts, float64(max(0, s.Domain.Mapped-s.Domain.Idle-kept)), "used")
	gauge(e.desc.contexts, float64(kept), "kept")
	gauge(e.desc.contexts, float64(s.Domain.Idle), "idle")
	gauge(e.desc.idleBytes, float64(s.Domain.IdleWarm+s.IdleBytes))
	counter(e.desc.instances, s.Created, "new")
	counter(e.desc.instances, s.Reused, "reset")
	counter(e.desc.compiled, e.compiled.here.Load(), "process")
	counter(e.desc.compiled, e.compiled.child.Load(), "child")
	counter(e.desc.compiled, e.compiled.refused.Load(), "refused")
}
