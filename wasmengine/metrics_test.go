package wasmengine

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pappus/data"
	"pappus/engine/enginetest"
)

func TestMetrics(t *testing.T) {
	e := newEngine(t, Config{})
	p, err := e.Prepare(t.Context(), hostile(t, "echo-grow"), enginetest.Signature(), enginetest.Limits())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	for range 2 {
		r, err := p.Run(t.Context(), []data.Set{{Name: "in"}}, enginetest.Limits())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Release()
	}
	const want = `
# HELP pappus_wasm_contexts Regions of memory, by state: in use by calls and results, kept by a program for its next call, idle in the domain.
# TYPE pappus_wasm_contexts gauge
pappus_wasm_contexts{state="idle"} 0
pappus_wasm_contexts{state="kept"} 0
pappus_wasm_contexts{state="used"} 2
# HELP pappus_wasm_instances_total Calls by how they came to their isolate: a new instance, or one that was reset.
# TYPE pappus_wasm_instances_total counter
pappus_wasm_instances_total{from="new"} 3
pappus_wasm_instances_total{from="reset"} 0
# HELP pappus_wasm_compiled_total Modules compiled, by where: in this process, in a process of its own, or refused there as too costly.
# TYPE pappus_wasm_compiled_total counter
pappus_wasm_compiled_total{where="child"} 0
pappus_wasm_compiled_total{where="process"} 1
pappus_wasm_compiled_total{where="refused"} 0
`
	if err := testutil.CollectAndCompare(e, strings.NewReader(want), "pappus_wasm_contexts", "pappus_wasm_instances_total", "pappus_wasm_compiled_total"); err != nil {
		t.Error(err)
	}
}
