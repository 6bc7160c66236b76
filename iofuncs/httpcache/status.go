package httpcache

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// StatusField is the field in which every answer says what the cache did
// (RFC 9211).
const StatusField = "Cache-Status"

// cacheName is what the cache calls itself there.
const cacheName = "pappus"

// Why the origin was asked: parameter fwd of RFC 9211.
const (
	FwdMiss    = "miss"    // nothing kept could answer the request
	FwdStale   = "stale"   // what was kept had to be validated first
	FwdRequest = "request" // the request wanted it
	FwdMethod  = "method"  // nothing is kept for its method
	FwdBypass  = "bypass"  // such requests are not the cache's to answer: they have a body, a range, an upgrade
)

// Details of a status.
const (
	DetailOnlyIfCached = "ONLY-IF-CACHED"         // 504: nothing was kept, and the request did not want the origin to be asked
	DetailRevalidating = "STALE-WHILE-REVALIDATE" // stale, and is being validated meanwhile
	DetailError        = "STALE-IF-ERROR"         // stale, since the origin failed
	DetailMaxStale     = "MAX-STALE"              // stale, as the request allows
)

// Status says what the cache did for one answer.
type Status struct {
	Hit       bool   // the origin was not asked
	Fwd       string // why it was; empty with Hit
	FwdStatus int    // its status where the answer has another one; 0: it has not, or there was none
	TTL       time.Duration
	HasTTL    bool // TTL is known: for how long the answer is fresh, in seconds; negative: for how long it has been stale
	Stored    bool // the origin's answer is kept, once it is complete
	Collapsed bool // one answer of the origin for several requests; this one was not sent
	Detail    string
}

// FromCache reports whether the body of the answer came from the cache.
func (s Status) FromCache() bool {
	return s.Hit || s.FwdStatus != 0 || s.Collapsed || s.Detail == DetailError
}

// State is a status in a word, of which there are few.
type State string

// The states of answers.
const (
	StateNone        State = ""            // such requests are not the cache's to answer
	StateMiss        State = "miss"        // the origin gave it, or would have had to
	StateHit         State = "hit"         // it was kept and fresh, or came for several requests at once
	StateRevalidated State = "revalidated" // it was kept, and the origin said that it still holds
	StateStale       State = "stale"       // it was kept, and served although it was not fresh any more
)

// State is the word for the status.
func (s Status) State() State {
	switch {
	case s.Detail == DetailError, s.Hit && s.Detail != "":
		return StateStale
	case s.Hit, s.Collapsed:
		return StateHit
	case s.FwdStatus == http.StatusNotModified:
		return StateRevalidated
	case s.Fwd == FwdMethod, s.Fwd == FwdBypass:
		return StateNone
	}
	return StateMiss
}

// String is the status as RFC 9211 writes it.
func (s Status) String() string {
	var b strings.Builder
	b.WriteString(cacheName)
	if s.Hit {
		b.WriteString("; hit")
	}
	if s.Fwd != "" {
		b.WriteString("; fwd=" + s.Fwd)
	}
	if s.FwdStatus != 0 {
		fmt.Fprintf(&b, "; fwd-status=%d", s.FwdStatus)
	}
	if s.HasTTL {
		fmt.Fprintf(&b, "; ttl=%d", s.TTL/time.Second)
	}
	if s.Stored {
		b.WriteString("; stored")
	}
	if s.Collapsed {
		b.WriteString("; collapsed")
	}
	if s.Detail != "" {
		b.WriteString("; detail=" + s.Detail)
	}
	return b.String()
}

// StatusOf reads the status from an answer that the cache gave. What an origin, or
// a cache on the way to it, says in the same field does not deceive it.
func StatusOf(h http.Header) (s Status, ok bool) {
	lines := h[StatusField]
	if len(lines) == 0 {
		return s, false
	}
	name, parameters, _ := strings.Cut(lines[len(lines)-1], ";")
	if name != cacheName {
		return s, false
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(strings.TrimLeft(parameter, " "), "=")
		number, _ := strconv.Atoi(value)
		switch key {
		case "hit":
			s.Hit = true
		case "fwd":
			s.Fwd = value
		case "fwd-status":
			s.FwdStatus = number
		case "ttl":
			s.TTL, s.HasTTL = time.Duration(number)*time.Second, true
		case "stored":
			s.Stored = true
		case "collapsed":
			s.Collapsed = true
		case "detail":
			s.Detail = value
		}
	}
	return s, true
}

// Stats are counts of one moment. The first group goes up and down, all others
// only grow.
type Stats struct {
	Entries     int64 // in memory
	Bytes       int64 // of these, with what is being fetched
	DiskEntries int64
	DiskBytes   int64 // rounded up to blocks of 4 KiB
	Flights     int64 // requests to origins that others may wait for, and revalidations

	Served       uint64 // bytes of bodies that came from what is kept, and not from an origin
	Hits         uint64 // answered without the origin, fresh
	Stale        uint64 // answered with something stale that was allowed
	Revalidated  uint64 // the origin said that what is kept is still right
	Misses       uint64 // asked the origin, and took its answer
	Collapsed    uint64 // waited for the answer to an equal request, and shared it
	Bypassed     uint64 // no business of the cache: method, body, range, no-store
	Refused      uint64 // only-if-cached, and nothing was
	Stored       uint64 // answers that were kept, or kept anew after a revalidation
	Invalidated  uint64 // answers removed since a request may have changed the resource
	Abandoned    uint64 // answers not kept in the end: incomplete, too large, no room while they arrived
	Evicted      uint64 // answers removed from memory to keep the bound
	DiskHits     uint64 // answers read from disk
	DiskWritten  uint64
	DiskEvicted  uint64
	DiskDropped  uint64 // not written, since too much waited to be
	DiskDamaged  uint64 // files that were not as they were written
	DiskFailures uint64 // files that could not be written or removed
}
