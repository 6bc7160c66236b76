package wasmengine

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/wasmengine/codecache"
)

// compileCounts are how many modules were compiled where.
type compileCounts struct {
	here, child, refused atomic.Uint64
}

var _ prometheus.Collector = (*Engine)(nil)

// descriptions of what an engine tells about itself.
type descriptions struct {
	contexts, idleBytes, instances, evicted, compiled, processes *prometheus.Desc

	// of the code cache
	lookups, removed, entries, bytes *prometheus.Desc
}

func newDescriptions() descriptions {
	return descriptions{
		contexts: prometheus.NewDesc("pappus_wasm_contexts",
			"Regions of memory, by state: in use by calls and results, kept by a program for its next call, idle in the domain.", []string{"state"}, nil),
		idleBytes: prometheus.NewDesc("pappus_wasm_idle_bytes",
			"Bytes that idle contexts may keep resident.", nil, nil),
		instances: prometheus.NewDesc("pappus_wasm_instances_total",
			"Calls by how they came to their isolate: a new instance, or one that was reset.", []string{"from"}, nil),
		evicted: prometheus.NewDesc("pappus_wasm_evicted_total",
			"Idle contexts that made room for those of other programs.", nil, nil),
		compiled: prometheus.NewDesc("pappus_wasm_compiled_total",
			"Modules compiled, by where: in this process, in a process of its own, or refused there as too costly.", []string{"where"}, nil),
		processes: prometheus.NewDesc("pappus_wasm_compile_processes_total",
			"Compile processes started. Each compiles many modules.", nil, nil),
		lookups: prometheus.NewDesc("pappus_wasm_code_cache_lookups_total",
			"Look-ups of compiled code on disk, by result: hit or miss.", []string{"result"}, nil),
		removed: prometheus.NewDesc("pappus_wasm_code_cache_removed_total",
			"Entries of compiled code removed from disk, by reason: evicted to make room, or damaged.", []string{"reason"}, nil),
		entries: prometheus.NewDesc("pappus_wasm_code_cache_entries",
			"Entries of compiled code on disk.", nil, nil),
		bytes: prometheus.NewDesc("pappus_wasm_code_cache_bytes",
			"Bytes of compiled code on disk.", nil, nil),
	}
}

// Describe is part of prometheus.Collector.
func (e *Engine) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{e.desc.contexts, e.desc.idleBytes, e.desc.instances, e.desc.evicted, e.desc.compiled, e.desc.processes, e.desc.lookups, e.desc.removed, e.desc.entries, e.desc.bytes} {
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
	ch <- prometheus.MustNewConstMetric(e.desc.evicted, prometheus.CounterValue, float64(s.Evicted))
	counter(e.desc.compiled, e.compiled.here.Load(), "process")
	counter(e.desc.compiled, e.compiled.child.Load(), "child")
	counter(e.desc.compiled, e.compiled.refused.Load(), "refused")
	ch <- prometheus.MustNewConstMetric(e.desc.processes, prometheus.CounterValue, float64(e.children.Started()))
	var c codecache.Stats
	if e.config.Cache != nil {
		c = e.config.Cache.Stats()
	}
	counter(e.desc.lookups, c.Hits, "hit")
	counter(e.desc.lookups, c.Misses, "miss")
	counter(e.desc.removed, c.Evicted, "evicted")
	counter(e.desc.removed, c.Damaged, "damaged")
	gauge(e.desc.entries, float64(c.Entries))
	gauge(e.desc.bytes, float64(c.Bytes))
}
