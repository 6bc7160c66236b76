package dispatcher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/dispatcher/memo"
)

// However many functions there are, those have figures that remembering saved most.
func TestMemoMetricsAreBounded(t *testing.T) {
	m, err := memo.New(memo.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c := newMemoMetrics(m)
	c.stats = func() memo.Stats {
		return memo.Stats{Counts: memo.Counts{Hits: 5, DiskHits: 7, SavedTime: 1500 * time.Millisecond}, Disk: memo.DiskStats{Enabled: true, Bytes: 11}}
	}
	c.functions = func() (list []memo.FunctionStats) {
		for i := range 1000 {
			list = append(list, memo.FunctionStats{Tenant: "t", Function: fmt.Sprintf("f%d", i), Counts: memo.Counts{Hits: 2, Collapsed: 1, Misses: 4, SavedTime: time.Duration(1000-i) * time.Second}})
		}
		return list
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	byFunction := 0
	for _, f := range families {
		for _, s := range f.GetMetric() {
			name := f.GetName()
			for _, l := range s.GetLabel() {
				name += " " + l.GetValue()
			}
			series[name] = s.GetCounter().GetValue() + s.GetGauge().GetValue()
			if strings.HasPrefix(name, "pappus_memo_function_saved_seconds_total") {
				byFunction++
			}
		}
	}
	if byFunction != mostShown {
		t.Errorf("%d functions have figures", byFunction)
	}
	for name, want := range map[string]float64{
		"pappus_memo_hits_total memory": 5, "pappus_memo_hits_total disk": 7, "pappus_memo_saved_seconds_total": 1.5,
		"pappus_memo_bytes disk": 11, "pappus_memo_disk_enabled": 1,
		"pappus_memo_function_saved_seconds_total f0 t": 1000, "pappus_memo_function_saved_seconds_total f49 t": 951,
		"pappus_memo_function_calls_total f0 saved t": 3, "pappus_memo_function_calls_total f0 computed t": 4,
	} {
		if got, ok := series[name]; !ok || got != want {
			t.Errorf("%s is %g (%t), want %g", name, got, ok, want)
		}
	}
}
