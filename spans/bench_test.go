package spans_test

import (
	"net/http"
	"testing"

	"pappus/dispatcher"
	"pappus/spans"
)

// What tracing takes from whoever invokes: nothing where there is no exporter.
func BenchmarkNotTraced(b *testing.B) {
	var none *spans.Exporter
	parents := []string{parent}
	b.ReportAllocs()
	for b.Loop() {
		if none.Begin(parents) != nil {
			b.Fatal("something is traced")
		}
	}
}

func BenchmarkTraced(b *testing.B) {
	thousand := &dispatcher.Record{Composition: "c@1", Applications: []dispatcher.ApplicationRecord{{Name: "A", Callee: "f@1", Instances: make([]dispatcher.InstanceRecord, 1000)}}}
	for name, record := range map[string]*dispatcher.Record{"function": nil, "run=1000": thousand} {
		b.Run(name, func(b *testing.B) {
			e, err := spans.New(spans.Config{URL: "http://127.0.0.1:1"}) // where nobody listens: the queue is full soon
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close(b.Context())
			parents := []string{parent}
			b.ReportAllocs()
			for b.Loop() {
				t := e.Begin(parents)
				if record != nil {
					t.Record(record)
				}
				t.End(spans.Invocation{Method: http.MethodPost, Route: "/v1/invoke/:ref", Target: "f@1", Status: http.StatusOK, Fuel: 1})
			}
		})
	}
}
