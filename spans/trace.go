package spans

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"pappus/dispatcher"
	"pappus/engine"
	"pappus/iofuncs"
)

// kind is what a span is about, as OTLP counts them.
type kind int

const (
	internal kind = 1
	server   kind = 2
	client   kind = 3
)

// span is something that happened, in a trace.
type span struct {
	trace        iofuncs.TraceID
	id, parent   iofuncs.SpanID
	name         string
	kind         kind
	began, ended time.Time
	attributes   []attribute
	fault        string // "": it ended well
}

// attribute is a text or a number that is known of a span.
type attribute struct {
	key    string
	text   string
	number int64
	isText bool
}

func text(key, value string) attribute { return attribute{key: key, text: value, isText: true} }

func number(key string, value int64) attribute { return attribute{key: key, number: value} }

// some are the attributes that say anything: no empty texts, and no zeros.
func some(all ...attribute) []attribute {
	kept := all[:0]
	for _, a := range all {
		if a.text != "" || a.number != 0 {
			if a.isText {
				a.text = clipped(a.text)
			}
			kept = append(kept, a)
		}
	}
	return kept
}

// Bounds of what is made of one invocation, of the instances of one application that
// compute, and of texts in bytes.
const (
	maxSpans     = 1000
	maxInstances = 50
	maxText      = 300
)

func clipped(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

func newSpanID() (id iofuncs.SpanID) {
	for id == (iofuncs.SpanID{}) {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

func newTraceID() (id iofuncs.TraceID) {
	for id == (iofuncs.TraceID{}) {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

// Trace is an invocation that is traced. A nil one is not. Its methods may be called
// by several goroutines.
type Trace struct {
	exporter   *Exporter
	id         iofuncs.TraceID
	root, from iofuncs.SpanID // of the invocation, and of who made it
	began      time.Time
}

// Begin decides whether an invocation that begins now is traced, given the values of
// its field traceparent; nil: it is not.
func (e *Exporter) Begin(traceparent []string) *Trace {
	if e == nil || e.config.Every > 1 && rand.N(e.config.Every) != 0 { //nolint:gosec // nobody gains from guessing it
		return nil
	}
	t := &Trace{exporter: e, root: newSpanID(), began: time.Now()}
	var ok bool
	if t.id, t.from, ok = parseParent(traceparent); !ok {
		t.id = newTraceID()
	}
	return t
}

// ID is what the trace is called.
func (t *Trace) ID() iofuncs.TraceID { return t.id }

// Invocation is what is known of an invocation that has ended.
type Invocation struct {
	Method, Route  string // of the request: "POST", "/v1/invoke/:ref"
	Request        string // its id
	Target         string // what was invoked: NAME@NUMBER; "": nothing that there is
	Status         int    // of the answer
	Fault          string // code of the problem that it is; "": it is none
	From           string // where the result comes from, if it was not computed for it
	Fuel           int64
	Queue, Prepare time.Duration
	Run            time.Duration
}

// End makes the span of the invocation.
func (t *Trace) End(i Invocation) {
	s := span{trace: t.id, id: t.root, parent: t.from, name: i.Method + " " + i.Route, kind: server, began: t.began, ended: time.Now(), fault: i.Fault}
	if s.fault != "" && i.Status < 500 {
		s.fault = "" // as the conventions have it: the one who asked is wrong
	}
	s.attributes = some(
		text("http.request.method", i.Method), text("http.route", i.Route), number("http.response.status_code", int64(i.Status)), text("error.type", i.Fault),
		text("pappus.request", i.Request), text("pappus.target", i.Target), text("pappus.remembered", i.From), number("pappus.fuel", i.Fuel),
		number("pappus.queue_us", i.Queue.Microseconds()), number("pappus.prepare_us", i.Prepare.Microseconds()), number("pappus.run_us", i.Run.Microseconds()),
	)
	t.exporter.push([]span{s})
}

// Record makes the spans of a run that the invocation led to.
func (t *Trace) Record(r *dispatcher.Record) {
	b := builder{trace: t.id, left: maxSpans}
	b.run(r, t.root)
	t.exporter.push(b.spans)
}

// builder makes spans of records, as many as there may be.
type builder struct {
	trace iofuncs.TraceID
	spans []span
	left  int
}

// add adds a span if there may be one more, and gives its place.
func (b *builder) add(s span) (index int, ok bool) {
	if b.left == 0 {
		return 0, false
	}
	b.left--
	s.trace = b.trace
	if s.id == (iofuncs.SpanID{}) {
		s.id = newSpanID()
	}
	s.name = clipped(s.name)
	b.spans = append(b.spans, s)
	return len(b.spans) - 1, true
}

// run makes spans of a run and of all that is in it, the applications first.
func (b *builder) run(r *dispatcher.Record, parent iofuncs.SpanID) {
	fault := string(engine.KindOf(r.Err))
	if r.Err != nil && fault == "" {
		fault = "internal"
	}
	at, ok := b.add(span{parent: parent, name: "run " + r.Composition, kind: internal, began: r.Began, ended: r.Ended, fault: fault, attributes: some(
		text("pappus.run", r.ID), text("pappus.target", r.Composition), text("error.type", fault),
		number("pappus.fuel", r.Usage.Fuel), number("pappus.parallelism", int64(r.Parallelism)), number("pappus.instances_not_recorded", int64(r.Dropped)),
	)})
	if !ok {
		return
	}
	id := b.spans[at].id
	indices := make([]int, 0, len(r.Applications))
	for i := range r.Applications {
		at, ok := b.application(r, &r.Applications[i], id)
		if !ok {
			break
		}
		indices = append(indices, at)
	}
	for i, at := range indices {
		b.instances(r, &r.Applications[i], at)
	}
}

// application makes the span of an application, over those of its instances.
func (b *builder) application(r *dispatcher.Record, a *dispatcher.ApplicationRecord, parent iofuncs.SpanID) (int, bool) {
	if len(a.Instances) == 0 {
		return 0, false
	}
	first, last, fuel, fault, faults := a.Instances[0].Queued, a.Instances[0].Ended, int64(0), "", int64(0)
	for i := range a.Instances {
		in := &a.Instances[i]
		first, last = min(first, in.Queued), max(last, in.Ended)
		fuel += in.Fuel
		if in.Fault != "" {
			faults++
			if fault == "" {
				fault = string(in.Fault)
			}
		}
	}
	return b.add(span{parent: parent, name: a.Name, kind: internal, began: r.Began.Add(first), ended: r.Began.Add(last), fault: fault, attributes: some(
		text("pappus.application", a.Name), text("pappus.target", a.Callee), text("error.type", fault), number("pappus.fuel", fuel),
		number("pappus.instances", int64(len(a.Instances))), number("pappus.faults", faults),
	)})
}

// instances makes spans of an application's instances, and of what those had others
// do. The application's has the number of those that have none.
func (b *builder) instances(r *dispatcher.Record, a *dispatcher.ApplicationRecord, app int) {
	shown, without := 0, int64(0)
	parent := b.spans[app].id
	for i := range a.Instances {
		in := &a.Instances[i]
		at, ok := 0, false
		if in.Requests != nil || in.Fault != "" || shown < maxInstances {
			at, ok = b.add(span{
				parent: parent, name: a.Callee, kind: internal, began: r.Began.Add(in.Queued), ended: r.Began.Add(in.Ended), fault: string(in.Fault), attributes: some(
					text("pappus.application", a.Name), text("pappus.target", a.Callee), text("error.type", string(in.Fault)), text("pappus.item", in.Item),
					text("pappus.remembered", string(in.From)), number("pappus.instance", int64(in.Number)), number("pappus.fuel", in.Fuel),
					number("pappus.queue_us", (in.Started-in.Queued).Microseconds()), number("pappus.in_bytes", in.In), number("pappus.out_bytes", in.Out),
				),
			})
		}
		if !ok {
			without++
			continue
		}
		shown++
		if in.Requests != nil {
			id := b.spans[at].id
			left := int64(in.Requests.Dropped)
			for k := range in.Requests.List {
				if !b.request(r, &in.Requests.List[k], id) {
					left++
				}
			}
			b.spans[at].attributes = append(b.spans[at].attributes, some(number("pappus.requests_left_out", left))...)
		}
	}
	b.spans[app].attributes = append(b.spans[app].attributes, some(number("pappus.instances_left_out", without))...)
}

// request makes the span of what an I/O function had another do, and of the run that
// it led to.
func (b *builder) request(r *dispatcher.Record, e *dispatcher.RequestRecord, parent iofuncs.SpanID) bool {
	fault := string(e.Fault)
	if fault == "" && e.Status >= 400 {
		fault = strconv.Itoa(e.Status) // an answer to the function, and to the conventions an error
	}
	s := span{id: e.Span, parent: parent, name: e.Method, kind: client, began: r.Began.Add(e.Started), ended: r.Began.Add(e.Ended), fault: fault}
	sizes := []attribute{
		number("pappus.sent_bytes", e.Sent), number("pappus.received_bytes", e.Received),
		text("pappus.cache", string(e.Cache)), text("error.type", fault), number("http.response.status_code", int64(e.Status)),
	}
	if e.Attempts > 1 {
		sizes = append(sizes, number("http.request.resend_count", int64(e.Attempts)-1))
	}
	scheme, rest, isURL := strings.Cut(e.Target, "://")
	switch {
	case isURL && (scheme == "http" || scheme == "https"):
		address, _, _ := strings.Cut(rest, "/")
		port := 0
		if host, digits, err := net.SplitHostPort(address); err == nil {
			address = host
			port, _ = strconv.Atoi(digits) // 0 where it is none
		}
		sizes = append(sizes, text("http.request.method", e.Method), text("url.full", e.Target), text("server.address", address), number("server.port", int64(port)))
	default:
		s.name = strings.TrimSuffix(s.name+" "+e.Target, " ")
		sizes = append(sizes, text("pappus.target", e.Target))
	}
	if e.Run != nil {
		s.kind = internal
	}
	s.attributes = some(sizes...)
	at, ok := b.add(s)
	if ok && e.Run != nil {
		b.run(e.Run, b.spans[at].id)
	}
	return ok
}
