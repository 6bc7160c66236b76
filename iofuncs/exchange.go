package iofuncs

import (
	"encoding/hex"
	"net/url"
	"time"
)

// Exchange is something that a call had done by another: a request over HTTP with
// all its attempts, a look at a store, a call of a function by its name. It is for
// records, metrics and spans, which people see who may not see what was said: it
// has no credentials, no contents, and of a URI neither query nor fragment.
type Exchange struct {
	Method string // what was to be done: "GET", "POST", "invoke"
	Target string // with whom, or what: TargetOf a URI, or a name

	Began    time.Time
	Ended    time.Time
	Sent     int64 // bytes of contents that were to be sent, once, however often they were
	Received int64 // bytes of contents that came and were used
	Status   int   // of the answer, as HTTP has it; 0: there is none
	Attempts int   // how often it was begun; 0 counts as 1
	Cache    Cache
	Failed   Kind   // "": it did not. A call that failed may have exchanges that did not
	Span     SpanID // that the other one was told as the parent of what it does; zero: none

	// Refused is the kind of rule that forbade it, with KindRefused: "loopback",
	// "egress-deny". It has few values.
	Refused string
}

// Cache is where an answer comes from.
type Cache string

// Where answers come from.
const (
	CacheNone        Cache = ""            // nothing is kept of such answers
	CacheHit         Cache = "hit"         // it was kept, and is fresh
	CacheRevalidated Cache = "revalidated" // it was kept, and the other one said that it still holds
	CacheStale       Cache = "stale"       // it was kept, and may be used although it is not fresh any more
	CacheMiss        Cache = "miss"        // it was not kept
)

// TraceID is the id of a trace, as W3C Trace Context has it. A zero one is none.
type TraceID [16]byte

// SpanID is the id of a span of a trace. A zero one is none.
type SpanID [8]byte

// Traceparent is the field of that name which makes a span the parent of what
// somebody else does.
func Traceparent(t TraceID, s SpanID) string {
	return "00-" + hex.EncodeToString(t[:]) + "-" + hex.EncodeToString(s[:]) + "-01"
}

// TargetOf is what of a URI may be seen: its scheme, host and path as it is written.
func TargetOf(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// Watched is a request like r of which exchanges are told to note. They belong to a
// trace that is not zero.
func (r Request) Watched(trace TraceID, note func(Exchange)) Request {
	r.trace, r.note = trace, note
	return r
}

// Note tells of an exchange that ended, well or not. What is told after Call has
// returned gets lost. It may be called from many goroutines, and costs about a
// microsecond: a call tells of all that it does. How much of it is kept is not the
// call's business.
func (r Request) Note(e Exchange) {
	if r.note != nil {
		r.note(e)
	}
}

// Trace is the trace that the call belongs to; zero: none. Others are told of it
// only where who runs the server wants that.
func (r Request) Trace() TraceID { return r.trace }
