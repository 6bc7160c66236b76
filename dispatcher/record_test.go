package dispatcher

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"pappus/data"
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

// named are items with long names, each of which has more text when it is quoted.
func named(set string, n int) data.Set {
	s := data.Set{Name: set}
	for i := range n {
		s.Items = append(s.Items, data.NewItem(strings.Repeat("\U000e0001", 250)+fmt.Sprint(i), uint32(i), []byte("x")))
	}
	return s
}

// However long the names of items are, records and faults say little of them.
func TestItemsOfRecordsAreClipped(t *testing.T) {
	b := newComposer(t, nil)
	defer b.finish(t)
	v := b.compose(t, "Both", `function Upper(in) => (out); function Fail(in) => (out);
		composition Both(a) => (b) { Upper(in = each a) => (upper = out); Fail(in = each upper) => (b = out); }`)
	a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Trace: true, Inputs: []data.Set{named("a", 5)}})
	fault := new(engine.Fault)
	if !errors.As(err, &fault) {
		t.Fatal(err)
	}
	texts := []string{fault.Item}
	for _, app := range b.Run("default", a.RunID).Applications {
		for _, i := range app.Instances {
			texts = append(texts, i.Item)
		}
	}
	for _, text := range texts {
		if len(text) > maxItemText+len("…") || !utf8.ValidString(text) || !strings.HasPrefix(text, `in: "\U000e0001`) || !strings.HasSuffix(text, "…") {
			t.Errorf("%d bytes: %s", len(text), text)
		}
	}
}

// What instances and their applications take is bounded for a run with all that it
// calls by name. What there is no room for is counted, and a record that is given up
// gives its room back.
func TestRecordsHaveRoom(t *testing.T) {
	b := newComposer(t, nil)
	defer b.finish(t)
	b.compose(t, "Shout", shout)
	v := b.compose(t, "Twice", `function S = "Shout" (text) => (loud);
		composition Twice(a) => (b) { S(text = each a) => (once = loud); S(text = all once) => (b = loud); }`)
	var whole int // bytes of all
	for _, room := range []int{maxRoomBytes, 0, instanceBytes, 2*instanceBytes + applicationBytes + 100, 1000} {
		tree := newCallTree()
		tree.room.bytes.Store(int64(room))
		var rec *Record
		a, err := b.Invoke(t.Context(), Invocation{
			Tenant: "default", Target: v, Inputs: []data.Set{set("a", "x yy", "zzz")}, tree: tree, Recorded: func(r *Record) { rec = r },
		})
		if err != nil {
			t.Fatal(err)
		}
		a.Release()
		kept, bytes := 0, 0
		for _, app := range rec.Applications {
			bytes += applicationBytes + len(app.Name) + len(app.Callee)
			kept += len(app.Instances)
			for _, i := range app.Instances {
				bytes += instanceBytes + len(i.Item)
			}
		}
		if room == maxRoomBytes {
			whole = kept
		}
		if bytes > room || kept+rec.Dropped != whole || (rec.Dropped > 0) != (room < maxRoomBytes) || (kept > 0) != (room > instanceBytes) {
			t.Errorf("room for %d bytes: %d instances of %d bytes are kept, and %d are not", room, kept, bytes, rec.Dropped)
		}
		if left := tree.room.bytes.Load(); left != int64(room-bytes) || tree.room.instances.Load() != int64(MaxRecorded-kept) {
			t.Errorf("%d bytes and %d instances are left", left, tree.room.instances.Load())
		}
	}
}

// A record says how its run failed, and keeps nothing else of the fault.
func TestRecordsOfFaults(t *testing.T) {
	long := strings.Repeat("long ", 10_000)
	fault := &engine.Fault{
		Kind: engine.FaultExit, ExitCode: 7, Detail: long, Stderr: []byte(long), Stack: []string{long}, Hint: long,
		Application: long, Instance: 3, Item: long, Err: errors.New(long),
	}
	record := Record{Err: recorded(fmt.Errorf("around: %w", fault))}
	var kept *engine.Fault
	if !errors.As(record.Err, &kept) || kept.Kind != fault.Kind || kept.ExitCode != 7 || kept.Instance != 3 || kept.Err != nil || record.bytes() > recordBytes+3*(maxIODetail+len("…")) {
		t.Errorf("%d bytes: %+v", record.bytes(), record.Err)
	}
	for _, err := range []error{nil, ErrNotPure, &engine.RejectedError{Reason: "as asked", Err: fault}} {
		if got := recorded(err); !errors.Is(got, err) {
			t.Errorf("%v is %v", err, got)
		}
	}
}
