package dispatcher

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/engine"
)

// However large they are, the records that are kept take no more than they may,
// but for the newest, and there are no more of them than there may be. They are
// the newest ones.
func TestRecordsAreBounded(t *testing.T) {
	if raceEnabled {
		t.Skip("it shares nothing, and takes ten times as long under the race detector")
	}
	shared := make([]InstanceRecord, maxRecordBytes/instanceBytes+1) // for one that is more than there may be
	rapid.Check(t, func(t *rapid.T) {
		d := new(Dispatcher)
		var all []*Record
		sizes := []int{1, 10, 1000, MaxRecorded, len(shared)}[:rapid.IntRange(1, 5).Draw(t, "sizes")]
		size := make(map[*Record]int) // once for each: they are walked to be known
		for i := range rapid.SampledFrom([]int{3, 50, maxRecords + 50}).Draw(t, "runs") {
			n := rapid.SampledFrom(sizes).Draw(t, "instances")
			r := &Record{ID: fmt.Sprint(i), Applications: []ApplicationRecord{{Name: "app", Instances: shared[:n:n]}}}
			all = append(all, r)
			size[r] = r.bytes()
			d.records.keep("default", r)

			keeps := d.Runs("default")
			bytes := 0
			for _, r := range keeps {
				bytes += size[r]
			}
			if len(keeps) > maxRecords || bytes > maxRecordBytes && len(keeps) > 1 || bytes != d.records.bytes {
				t.Fatalf("%d records of %d bytes are kept, and %d counted", len(keeps), bytes, d.records.bytes)
			}
			for k, r := range keeps {
				if r != all[len(all)-1-k] {
					t.Fatalf("record %s is kept; want %s", r.ID, all[len(all)-1-k].ID)
				}
			}
			if dropped := len(all) - len(keeps); dropped > 0 && len(keeps) < maxRecords && bytes+size[all[dropped-1]] <= maxRecordBytes {
				t.Fatalf("there is room for record %d, which was dropped", dropped-1)
			}
		}
	})
}

// The estimate of a record is not below what it takes.
func TestRecordBytes(t *testing.T) {
	for typ, bound := range map[reflect.Type]int{
		reflect.TypeFor[Record]():            recordBytes - int(reflect.TypeFor[engine.Fault]().Size()),
		reflect.TypeFor[ApplicationRecord](): applicationBytes,
		reflect.TypeFor[InstanceRecord]():    instanceBytes,
		reflect.TypeFor[Requests]():          requestsBytes,
		reflect.TypeFor[RequestRecord]():     requestBytes,
	} {
		if int(typ.Size()) > bound {
			t.Errorf("%s has %d bytes; the estimate allows %d", typ, typ.Size(), bound)
		}
	}
	var before, after runtime.MemStats
	for _, r := range []struct{ applications, instances, requests int }{{1, MaxRecorded, 0}, {10_000, MaxRecorded, 0}, {100, 100, 0}, {1, 50, maxCallRequests}, {1, 1000, 1}} {
		runtime.GC()
		runtime.ReadMemStats(&before)
		record := &Record{Applications: make([]ApplicationRecord, r.applications)}
		for i := range record.Applications {
			record.Applications[i] = ApplicationRecord{Name: strings.Repeat("n", 20), Instances: make([]InstanceRecord, r.instances/r.applications)}
			for k := range record.Applications[i].Instances {
				if r.requests > 0 {
					list := make([]RequestRecord, r.requests)
					for l := range list {
						list[l].Target = strings.Repeat("t", 20)
					}
					record.Applications[i].Instances[k].Requests = &Requests{List: list}
				}
			}
		}
		runtime.ReadMemStats(&after)
		took := int(after.TotalAlloc - before.TotalAlloc)
		if n := record.bytes(); n < took*3/4 || n > took*3/2+recordBytes {
			t.Errorf("%+v: an estimate of %d bytes, and it took %d", r, n, took)
		}
	}
}
