package dispatcher

import (
	"github.com/prometheus/client_golang/prometheus"

	"pappus/dispatcher/memo"
)

// mostShown is how many functions have series of their own of what remembering
// saved: those that it saved most. So their number has a bound, whatever is
// registered.
const mostShown = 50

// memoMetrics shows the figures of a memo as they are when somebody asks.
type memoMetrics struct {
	stats     func() memo.Stats
	functions func() []memo.FunctionStats // those first that saved most

	hits, misses, collapsed, negative, unkeyed, stored, rejected *prometheus.Desc
	bytes, entries, evicted, damaged, dropped                    *prometheus.Desc
	disk, verified, differences, savedTime, savedFuel            *prometheus.Desc
	functionTime, functionFuel, functionCalls                    *prometheus.Desc
}

var _ prometheus.Collector = (*memoMetrics)(nil)

func newMemoMetrics(m *memo.Memo) *memoMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	const tier, tenant, function = "tier", "tenant", "function"
	return &memoMetrics{
		stats: m.Stats, functions: m.Functions,

		hits:      desc("pappus_memo_hits_total", "Calls that were answered from what is remembered, by tier.", tier),
		misses:    desc("pappus_memo_misses_total", "Calls that were looked up and computed."),
		collapsed: desc("pappus_memo_collapsed_total", "Calls that were answered by the run of an equal one that came at the same time."),
		negative:  desc("pappus_memo_negative_total", "Of the calls that were answered without a run of their own, those whose answer was a fault."),
		unkeyed:   desc("pappus_memo_unkeyed_total", "Calls that were not looked up, since that would not have paid."),
		stored:    desc("pappus_memo_stored_total", "Results that were stored."),
		rejected:  desc("pappus_memo_rejected_total", "Results that were to be stored and had no place, or were too large."),
		bytes:     desc("pappus_memo_bytes", "Bytes that remembered results take, by tier.", tier),
		entries:   desc("pappus_memo_entries", "Results that are remembered, by tier.", tier),
		evicted:   desc("pappus_memo_evictions_total", "Results that were removed for others, or for their age, by tier.", tier),
		damaged:   desc("pappus_memo_disk_damaged_total", "Results that were removed from disk because they were not as they were written."),
		dropped:   desc("pappus_memo_disk_dropped_total", "Results that were not written to disk since too many waited for it."),
		disk:      desc("pappus_memo_disk_enabled", "1 if results are kept on disk too; 0 if not, or since the disk failed."),
		verified:  desc("pappus_memo_verified_total", "Remembered results that were computed again and compared."),
		differences: desc("pappus_memo_differences_total",
			"Of these, those that differed: a defect of the platform or the machine. They are forgotten."),
		savedTime:     desc("pappus_memo_saved_seconds_total", "Time that the runs took whose results were used again."),
		savedFuel:     desc("pappus_memo_saved_fuel_total", "Fuel that these runs used."),
		functionTime:  desc("pappus_memo_function_saved_seconds_total", "Saved time, of the functions that remembering saved most.", tenant, function),
		functionFuel:  desc("pappus_memo_function_saved_fuel_total", "Saved fuel, of the functions that remembering saved most time.", tenant, function),
		functionCalls: desc("pappus_memo_function_calls_total", "Calls of these functions, by whether they were answered by a run of their own.", tenant, function, "result"),
	}
}

// Describe implements prometheus.Collector.
func (c *memoMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.hits, c.misses, c.collapsed, c.negative, c.unkeyed, c.stored, c.rejected, c.bytes, c.entries, c.evicted, c.damaged, c.dropped,
		c.disk, c.verified, c.differences, c.savedTime, c.savedFuel, c.functionTime, c.functionFuel, c.functionCalls,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *memoMetrics) Collect(out chan<- prometheus.Metric) {
	show := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	count := func(desc *prometheus.Desc, value uint64, labels ...string) {
		show(desc, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(desc *prometheus.Desc, value int64, labels ...string) {
		show(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	s := c.stats()
	const memory, disk = string(memo.FromMemory), string(memo.FromDisk)
	count(c.hits, s.Hits, memory)
	count(c.hits, s.DiskHits, disk)
	count(c.misses, s.Misses)
	count(c.collapsed, s.Collapsed)
	count(c.negative, s.Negative)
	count(c.unkeyed, s.Unkeyed)
	count(c.stored, s.Stored)
	count(c.rejected, s.Rejected)
	gauge(c.bytes, s.Bytes, memory)
	gauge(c.bytes, s.Disk.Bytes, disk)
	gauge(c.entries, s.Entries, memory)
	gauge(c.entries, s.Disk.Entries, disk)
	count(c.evicted, s.Evicted, memory)
	count(c.evicted, s.Disk.Evicted, disk)
	count(c.damaged, s.Disk.Damaged)
	count(c.dropped, s.Disk.Dropped)
	enabled := int64(0)
	if s.Disk.Enabled {
		enabled = 1
	}
	gauge(c.disk, enabled)
	count(c.verified, s.Verified)
	count(c.differences, s.Differences)
	show(c.savedTime, prometheus.CounterValue, s.SavedTime.Seconds())
	show(c.savedFuel, prometheus.CounterValue, float64(s.SavedFuel))

	functions := c.functions()
	for _, f := range functions[:min(len(functions), mostShown)] {
		show(c.functionTime, prometheus.CounterValue, f.SavedTime.Seconds(), f.Tenant, f.Function)
		show(c.functionFuel, prometheus.CounterValue, float64(f.SavedFuel), f.Tenant, f.Function)
		count(c.functionCalls, f.Hits+f.DiskHits+f.Collapsed, f.Tenant, f.Function, "saved")
		count(c.functionCalls, f.Misses+f.Unkeyed, f.Tenant, f.Function, "computed")
	}
}
