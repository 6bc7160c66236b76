package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"pappus/iofuncs/httpcache"
)

// cacheMetrics shows the figures of the cache of answers as they are when somebody
// asks.
type cacheMetrics struct {
	stats func() httpcache.Stats

	requests, served, bytes, entries, flights         *prometheus.Desc
	stored, abandoned, invalidated, evicted           *prometheus.Desc
	diskHits, diskDamaged, diskDropped, diskUnwritten *prometheus.Desc
}

var _ prometheus.Collector = (*cacheMetrics)(nil)

func newCacheMetrics(stats func() httpcache.Stats) *cacheMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &cacheMetrics{
		stats: stats,

		requests:    desc("pappus_io_cache_requests_total", "Requests by what the cache of answers did: each hop of each attempt is one.", "result"),
		served:      desc("pappus_io_cache_served_bytes_total", "Bytes of bodies that were served from what is kept."),
		bytes:       desc("pappus_io_cache_bytes", "Bytes that kept answers take, by tier; in memory with those that are arriving.", "tier"),
		entries:     desc("pappus_io_cache_entries", "Answers that are kept, by tier.", "tier"),
		flights:     desc("pappus_io_cache_flights", "Requests to origins for whose answer others may wait, and revalidations."),
		stored:      desc("pappus_io_cache_stored_total", "Answers that were kept, or kept anew after a revalidation."),
		abandoned:   desc("pappus_io_cache_abandoned_total", "Answers that were not kept in the end: incomplete, too large, or without room."),
		invalidated: desc("pappus_io_cache_invalidated_total", "Answers that were removed since a request may have changed what they are of."),
		evicted:     desc("pappus_io_cache_evictions_total", "Answers that were removed for others, by tier.", "tier"),
		diskHits:    desc("pappus_io_cache_disk_hits_total", "Answers that were read from disk."),
		diskDamaged: desc("pappus_io_cache_disk_damaged_total", "Answers that were removed from disk because they were not as they were written."),
		diskDropped: desc("pappus_io_cache_disk_dropped_total", "Answers that were not written to disk since too many waited for it."),
		diskUnwritten: desc("pappus_io_cache_disk_failures_total",
			"Files of answers that could not be written or removed."),
	}
}

// Describe implements prometheus.Collector.
func (c *cacheMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.requests, c.served, c.bytes, c.entries, c.flights, c.stored, c.abandoned, c.invalidated, c.evicted,
		c.diskHits, c.diskDamaged, c.diskDropped, c.diskUnwritten,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *cacheMetrics) Collect(out chan<- prometheus.Metric) {
	count := func(desc *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(desc *prometheus.Desc, value int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	s := c.stats()
	const memory, disk = "memory", "disk"
	count(c.requests, s.Hits, "hit")
	count(c.requests, s.Stale, "stale")
	count(c.requests, s.Revalidated, "revalidated")
	count(c.requests, s.Misses, "miss")
	count(c.requests, s.Collapsed, "collapsed")
	count(c.requests, s.Bypassed, "bypassed")
	count(c.requests, s.Refused, "refused")
	count(c.served, s.Served)
	gauge(c.bytes, s.Bytes, memory)
	gauge(c.bytes, s.DiskBytes, disk)
	gauge(c.entries, s.Entries, memory)
	gauge(c.entries, s.DiskEntries, disk)
	gauge(c.flights, s.Flights)
	count(c.stored, s.Stored)
	count(c.abandoned, s.Abandoned)
	count(c.invalidated, s.Invalidated)
	count(c.evicted, s.Evicted, memory)
	count(c.evicted, s.DiskEvicted, disk)
	count(c.diskHits, s.DiskHits)
	count(c.diskDamaged, s.DiskDamaged)
	count(c.diskDropped, s.DiskDropped)
	count(c.diskUnwritten, s.DiskFailures)
}
