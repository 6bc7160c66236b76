package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/spans"
)

// traces is where spans of invocations go, and of how many.
type traces struct {
	url       string // "": nothing is traced
	every     int
	propagate bool
}

// checkTraces accepts where spans can go, and nothing, for nowhere.
func checkTraces(text string) error {
	if text == "" {
		return nil
	}
	_, err := spans.ParseURL(text)
	return err
}

// openSpans makes the exporter of spans, or returns nil if nothing is traced.
func (s *serving) openSpans(log *slog.Logger) (*spans.Exporter, error) {
	if s.traces.url == "" {
		return nil, nil
	}
	roots, _, err := s.outside.roots()
	if err != nil {
		return nil, fail(exitFile, err, caBundleHint)
	}
	e, err := spans.New(spans.Config{URL: s.traces.url, Every: s.traces.every, Version: version, Roots: roots, Log: log})
	if err != nil {
		return nil, fmt.Errorf("make the exporter of spans: %w", err)
	}
	return e, nil
}

// countSpans makes metrics of an exporter's counts, which may be nil.
func countSpans(metrics prometheus.Registerer, e *spans.Exporter) error {
	all := []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pappus_spans_waiting", Help: "Spans that wait to be sent."},
		func() float64 { return float64(e.Counts().Waiting) })}
	counter := func(name, help string, labels prometheus.Labels, value func(spans.Counts) uint64) {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(value(e.Counts())) }))
	}
	counter("pappus_spans_exported_total", "Spans that the receiver of traces took.", nil, func(c spans.Counts) uint64 { return c.Exported })
	for reason, value := range map[string]func(spans.Counts) uint64{
		"full": func(c spans.Counts) uint64 { return c.Full }, "failed": func(c spans.Counts) uint64 { return c.Failed }, "rejected": func(c spans.Counts) uint64 { return c.Rejected },
	} {
		counter("pappus_spans_dropped_total", "Spans that were dropped: too many waited (full), the receiver could not be reached or took none of a batch (failed), or it took others of it (rejected).",
			prometheus.Labels{"reason": reason}, value)
	}
	for _, c := range all {
		if err := metrics.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// closeSpans sends what waits, for a moment at most.
func closeSpans(ctx context.Context, e *spans.Exporter) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	e.Close(bounded)
}
