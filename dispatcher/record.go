package dispatcher

import (
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/dispatcher/memo"
	"pappus/engine"
)

// Record is what happened in one run of a composition that has ended. If it had to
// begin again, it is what happened the last time, since it first began.
type Record struct {
	ID          string
	Composition string // NAME@NUMBER
	Parallelism int
	Began       time.Time
	Ended       time.Time // zero while it runs
	Usage       engine.Usage
	Err         error // how it failed, without what the function wrote; nil if it has not

	Applications []ApplicationRecord // in the order in which one of their instances first ended
	Dropped      int                 // instances beyond MaxRecorded, or for which there was no room: nothing of them is kept
}

// ApplicationRecord is what happened in one application.
type ApplicationRecord struct {
	Name      string // path from the outermost composition: "Resize" or "Nested/Resize"; the second of a name there is "Resize#2"
	Callee    string // NAME@NUMBER
	Instances []InstanceRecord
}

// InstanceRecord is what happened in one instance. Times are since the run began.
type InstanceRecord struct {
	Number  int
	Queued  time.Duration // when it was its turn, and it began to wait for a permit and memory
	Started time.Duration // when the engine began
	Ended   time.Duration
	In, Out int64 // bytes of its inputs and outputs
	Fuel    int64
	Engine  string           // that ran it; "" if none did
	Item    string           // which items it is about, or which key, clipped; "" if it gets whole sets
	Fault   engine.FaultKind // "" if it ended well
	From    memo.Source      // where its result comes from, if it was not computed for it; else ""

	Requests *Requests // of an I/O function; nil if it told of none
}

// MaxRecorded is how many instances of a run are recorded, with those of runs that
// it called by name, and maxRoomBytes how many bytes these may take with their applications;
// maxRecords how many runs are kept, and maxRecordBytes what these may take by the estimate of
// Record.bytes: of all tenants together, beside the newest, which is always kept.
const (
	MaxRecorded    = 20_000
	maxRoomBytes   = 8 << 20
	maxRecords     = 200
	maxRecordBytes = 32 << 20
)

// What a record takes in memory: for itself with its fault, for an application
// beside its names, for an instance, and for requests of one and for each of them
// beside its names.
const (
	recordBytes      = 1 << 10
	applicationBytes = 64
	instanceBytes    = 128
	requestsBytes    = 32
	requestBytes     = 128
	belowBytes       = 64 // for finding one that a call by name led to
)

// bytes estimates what the record takes in memory.
func (r *Record) bytes() int {
	n := recordBytes + cap(r.Applications)*applicationBytes
	for _, a := range r.Applications {
		n += len(a.Name) + len(a.Callee) + cap(a.Instances)*instanceBytes
		for _, i := range a.Instances {
			n += len(i.Item) + i.Requests.bytes()
		}
	}
	if f := new(engine.Fault); errors.As(r.Err, &f) {
		n += len(f.Detail) + len(f.Application) + len(f.Item) + len(f.Stderr)
		for _, call := range f.Stack {
			n += len(call)
		}
	}
	return n
}

// recorder writes the record of one run, under the run's lock.
type recorder struct {
	record Record
	apps   map[*application]int // index of Applications; nested ones by their nodes
	names  map[string]int
	labels map[*composition.Node]string
	room   *recordRoom
	kept   int64 // instances
	bytes  int64 // that these and their applications take of room
}

// newRecorder begins the record of a run of a version, which takes of room.
func newRecorder(version string, parallelism int, room *recordRoom) *recorder {
	return &recorder{
		record: Record{ID: rand.Text(), Composition: version, Parallelism: parallelism, Began: time.Now()},
		apps:   map[*application]int{}, names: map[string]int{}, labels: map[*composition.Node]string{}, room: room,
	}
}

// now is the time since the run began.
func (rec *recorder) now() time.Duration { return time.Since(rec.record.Began) }

// instance records an instance that has ended.
func (rec *recorder) instance(app *application, i InstanceRecord) {
	rec.add(app, i, take(&rec.room.instances))
}

// add records an instance that has ended, if it has a place.
func (rec *recorder) add(app *application, i InstanceRecord, place bool) {
	if !place {
		rec.record.Dropped++
		return
	}
	bytes := int64(instanceBytes + len(i.Item))
	var begins ApplicationRecord
	index, known := rec.apps[app]
	if !known {
		begins.Name = rec.name(app)
		if index, known = rec.names[begins.Name]; !known {
			begins.Callee = versionName(app.callee().version)
			bytes += int64(applicationBytes + len(begins.Name) + len(begins.Callee))
		}
	}
	if !rec.room.fits(bytes) {
		rec.room.instances.Add(1)
		rec.record.Dropped++
		return
	}
	rec.kept++
	rec.bytes += bytes
	if !known {
		index = len(rec.record.Applications)
		rec.names[begins.Name] = index
		rec.record.Applications = append(rec.record.Applications, begins)
	}
	rec.apps[app] = index
	a := &rec.record.Applications[index]
	a.Instances = append(a.Instances, i)
}

// giveBack gives the room of instances back: the record is given up.
func (rec *recorder) giveBack() {
	rec.room.instances.Add(rec.kept)
	rec.room.bytes.Add(rec.bytes)
}

// name is the application's, so that no two have the same.
func (rec *recorder) name(app *application) string {
	name := rec.label(app)
	for parent := app.flow.parent; parent != nil; parent = parent.flow.parent {
		name = rec.label(parent) + "/" + name
	}
	return name
}

// label tells the applications of a composition apart.
func (rec *recorder) label(app *application) string {
	if rec.labels[app.node] == "" {
		count := map[string]int{}
		for i := range app.flow.graph.Nodes {
			node := &app.flow.graph.Nodes[i]
			rec.labels[node] = node.Name
			if count[node.Name]++; count[node.Name] > 1 {
				rec.labels[node] += "#" + strconv.Itoa(count[node.Name])
			}
		}
	}
	return rec.labels[app.node]
}

// executed is the record of an instance that has just ended. Unlike the others it
// needs no lock.
func (rec *recorder) executed(app *application, number int, queued time.Duration, in []data.Set, a *Answer, err error) InstanceRecord {
	i := InstanceRecord{Number: number, Queued: queued, Ended: rec.now(), In: data.Size(in), Item: app.items(in)}
	i.Started = i.Ended
	if a != nil {
		i.Engine = a.Engine
		if a.From.Source != memo.Computed {
			i.From = a.From.Source
		}
	}
	if err != nil {
		i.Fault = engine.KindOf(err)
		if f := new(engine.Fault); errors.As(err, &f) {
			i.Started, i.Fuel = max(queued, i.Ended-f.Usage.Run), f.Usage.Fuel
		}
	} else {
		i.Started = max(queued, i.Ended-a.Run)
		i.Out, i.Fuel = data.Size(a.Outputs), a.Usage.Fuel
	}
	return i
}

// recorded is what a record keeps of how a run failed: what it was and where. What
// else a fault has the caller was told.
func recorded(err error) error {
	var rejected *engine.RejectedError // more than a fault, and may have one as its cause
	var fault *engine.Fault
	if errors.As(err, &rejected) || !errors.As(err, &fault) {
		return err
	}
	return &engine.Fault{
		Kind: fault.Kind, ExitCode: fault.ExitCode, Usage: fault.Usage, Instance: fault.Instance,
		Detail: clipped(fault.Detail, maxIODetail), Application: clipped(fault.Application, maxIODetail), Item: clipped(fault.Item, maxIODetail),
	}
}

// records are those of recent runs, by tenant and id. The zero value is ready to
// use.
type records struct {
	mu    sync.Mutex
	list  []kept // oldest first
	bytes int    // that they take
}

type kept struct {
	tenant string
	record *Record // nobody writes to it
	bytes  int
	below  map[string]*Record // that calls by name led to, by their ids
}

// keep adds a record and drops as many of the oldest as there is no room for.
func (r *records) keep(tenant string, record *Record) {
	below := record.below(nil)
	bytes := record.bytes() + len(below)*belowBytes
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += bytes
	drop := 0
	for ; drop < len(r.list) && (len(r.list)-drop >= maxRecords || r.bytes > maxRecordBytes); drop++ {
		r.bytes -= r.list[drop].bytes
	}
	r.list = append(slices.Delete(r.list, 0, drop), kept{tenant, record, bytes, below})
}

// below finds the records of runs that a run led to, at any depth, by their ids.
func (r *Record) below(found map[string]*Record) map[string]*Record {
	for _, a := range r.Applications {
		for _, i := range a.Instances {
			if i.Requests == nil {
				continue
			}
			for _, request := range i.Requests.List {
				if led := request.Run; led != nil {
					if found == nil {
						found = map[string]*Record{}
					}
					found[led.ID] = led
					found = led.below(found)
				}
			}
		}
	}
	return found
}

// Run is the record of a recent run that was asked to be kept, or that one of these
// called by name; or nil.
func (d *Dispatcher) Run(tenant, id string) *Record {
	d.records.mu.Lock()
	defer d.records.mu.Unlock()
	for _, k := range d.records.list {
		if k.tenant != tenant {
			continue
		}
		if k.record.ID == id {
			return k.record
		}
		if led := k.below[id]; led != nil {
			return led
		}
	}
	return nil
}

// Runs are the records of a tenant's recent runs, the newest first.
func (d *Dispatcher) Runs(tenant string) []*Record {
	d.records.mu.Lock()
	defer d.records.mu.Unlock()
	var list []*Record
	for i := len(d.records.list) - 1; i >= 0; i-- {
		if k := d.records.list[i]; k.tenant == tenant {
			list = append(list, k.record)
		}
	}
	return list
}
