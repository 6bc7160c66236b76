package dispatcher

import (
	"sync"
	"sync/atomic"
	"time"

	"pappus/engine"
	"pappus/iofuncs"
)

// Requests are what a call of an I/O function had others do, in the order in which
// these ended.
type Requests struct {
	List    []RequestRecord
	Dropped int // of which nothing is kept
}

// RequestRecord is one of them: iofuncs.Exchange says what each of its fields means.
// Times are since the run began.
type RequestRecord struct {
	Method, Target string
	Started, Ended time.Duration
	Sent, Received int64
	Status         int
	Attempts       int
	Cache          iofuncs.Cache
	Fault          engine.FaultKind // "" if it did not fail; of a call by name also a code that its answer has
	Span           iofuncs.SpanID
	Run            *Record // that a call by name led to, of a composition or an I/O function
}

// What is kept of requests: so many of one call, so many of a run with all the runs
// that calls by name lead to from there, calls by name besides, and so many bytes of
// what one was sent to.
const (
	maxCallRequests = 100
	maxRunRequests  = 5_000
	maxRunNamed     = 1_000
	maxTarget       = 300
	maxMethod       = 40
)

// recordRoom is what the records of a run may still take, together with those of
// all runs that its calls by name lead to.
type recordRoom struct{ instances, bytes, requests, named atomic.Int64 }

func (r *recordRoom) open() {
	r.instances.Store(MaxRecorded)
	r.bytes.Store(maxRoomBytes)
	r.requests.Store(maxRunRequests)
	r.named.Store(maxRunNamed)
}

// fits takes n bytes for instances and applications if they are there.
func (r *recordRoom) fits(n int64) bool { return takes(&r.bytes, n) }

// take takes a place if there is one.
func take(places *atomic.Int64) bool { return takes(places, 1) }

// takes takes n of what is left if that is there.
func takes(left *atomic.Int64, n int64) bool {
	if left.Add(-n) >= 0 {
		return true
	}
	left.Add(n)
	return false
}

// watch sees what one call of an I/O function has others do.
type watch struct {
	io    *ioFunction
	rec   *recorder // of the run; nil: nobody wants to see
	began time.Time

	mu       sync.Mutex
	ended    bool
	requests Requests
}

// note counts an exchange, and keeps it if there is room. It may be called by many
// goroutines, and later than it should be.
func (w *watch) note(e iofuncs.Exchange) { w.see(e, nil, w.room) }

func (w *watch) room() bool { return take(&w.rec.room.requests) }

// place takes room for a call by name that is about to begin, if there is some: the
// runs that it leads to take theirs from the same.
func (w *watch) place() bool {
	if w.rec == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.requests.List) < maxCallRequests && take(&w.rec.room.named)
}

// see notes an exchange that led to a run, or to none, and is kept if it has a
// place.
func (w *watch) see(e iofuncs.Exchange, led *Record, place func() bool) {
	w.io.sent.Add(float64(max(e.Sent, 0)))
	w.io.received.Add(float64(max(e.Received, 0)))
	if e.Refused != "" {
		w.io.refusals.WithLabelValues(w.io.version.Name, clipped(e.Refused, maxMethod)).Inc()
	}
	if w.rec == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.requests.List
	switch {
	case w.ended:
		return
	case len(list) < maxCallRequests && place():
		list = append(list, RequestRecord{})
	case e.Failed != "" && len(list) > 0 && list[len(list)-1].Fault == "":
		w.requests.Dropped++ // what failed says more than the one before it
	default:
		w.requests.Dropped++
		return
	}
	began := w.rec.record.Began
	list[len(list)-1] = RequestRecord{
		Method: clipped(e.Method, maxMethod), Target: clipped(e.Target, maxTarget),
		Started: max(e.Began.Sub(began), 0), Ended: max(e.Ended.Sub(began), 0), Sent: e.Sent, Received: e.Received,
		Status: e.Status, Attempts: max(e.Attempts, 1), Cache: e.Cache, Fault: engine.FaultKind(e.Failed), Span: e.Span, Run: led,
	}
	w.requests.List = list
}

// end gives what is kept; nil if there was nothing.
func (w *watch) end() *Requests {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.requests.List == nil && w.requests.Dropped == 0 {
		return nil
	}
	requests := w.requests // alone: who tells too late has the watch
	return &requests
}

// bytes estimates what requests take in memory.
func (r *Requests) bytes() int {
	if r == nil {
		return 0
	}
	n := requestsBytes + cap(r.List)*requestBytes
	for i := range r.List {
		n += len(r.List[i].Method) + len(r.List[i].Target)
		if led := r.List[i].Run; led != nil {
			n += led.bytes()
		}
	}
	return n
}
