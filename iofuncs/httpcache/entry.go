package httpcache

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// digest is SHA-256: of names that strangers choose, so that none can be made to
// collide with another.
type digest [sha256.Size]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// entry is an answer that is kept. It never changes, but for what the store notes
// of its place.
type entry struct {
	head
	body []byte

	directives directives
	major      int // of Proto
	minor      int
	lifetime   time.Duration // how long it is fresh, from age 0
	initialAge time.Duration // its age when it was received
	seq        uint64        // when it was asked for: that of a later request is larger

	place *list.Element // guarded by Store.mu; nil: not in memory
	noted time.Time     // guarded by Store.mu: the last use that the disk knows
	file  *file         // where it was read from; nil: it was not
}

// head is an answer without its body, as it lies on disk.
type head struct {
	Resource     digest
	Vary         []string // canonical, sorted
	Selecting    digest   // of the request's fields that are named there, its credentials, codings and rules
	Status       int
	Proto        string
	Header       http.Header // without fields of the connection
	Uncompressed bool        // as in http.Response
	Requested    time.Time
	Received     time.Time
}

// variant is what tells answers of one resource apart.
type variant struct {
	vary      []string
	selecting digest
}

func (h *head) variant() variant { return variant{h.Vary, h.Selecting} }

func (v variant) is(o variant) bool {
	return v.selecting == o.selecting && slices.Equal(v.vary, o.vary)
}

// overhead is what an entry takes besides header and body.
const overhead = 1 << 10

// size is what an entry counts in memory.
func (e *entry) size() int64 { return int64(cap(e.body)) + headerBytes(e.Header) + overhead }

func headerBytes(h http.Header) (n int64) {
	for name, values := range h {
		n += int64(len(name)) + 64
		for _, v := range values {
			n += int64(len(v)) + 16
		}
	}
	return n
}

// newEntry makes an entry of an answer to q, whose header it keeps. The caller has
// asked storable.
func newEntry(h head, body []byte, seq uint64) *entry {
	e := &entry{head: h, body: body, seq: seq}
	e.derive()
	return e
}

// derive computes what follows from the head.
func (e *entry) derive() {
	e.directives = parseDirectives(e.Header["Cache-Control"])
	e.directives.noCacheFields = nil // they are gone from the header
	date, ok := parseDate(e.Header["Date"])
	if !ok {
		date = e.Received
	}
	apparent := max(0, e.Received.Round(0).Sub(date))
	corrected := parseAge(e.Header["Age"]) + min(longest, elapsed(e.Requested, e.Received))
	e.initialAge = min(longest, max(apparent, corrected))
	e.lifetime = lifetime(e.Status, e.Header, &e.directives, date)
	e.major, e.minor, ok = http.ParseHTTPVersion(e.Proto)
	if !ok {
		e.Proto, e.major, e.minor = "HTTP/1.1", 1, 1
	}
	e.Proto = strings.Clone(e.Proto) // it may be the beginning of a long line, and would hold all of it
}

// elapsed is how long ago then was. The monotonic clock stands still while the
// machine sleeps, and the other one can be set: it is what the slower one missed.
// If then seems to lie in the future, nobody knows, and it is the longest time.
func elapsed(then, now time.Time) time.Duration {
	d := max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
	if d < 0 {
		return longest
	}
	return min(d, longest)
}

// age is how old the answer is, since the origin made it.
func (e *entry) age(now time.Time) time.Duration {
	return min(longest, e.initialAge+elapsed(e.Received, now))
}

const (
	// Without a time from the origin, an answer is fresh for a tenth of the time
	// for which it had not been changed.
	heuristicShare = 10
	heuristicMost  = 24 * time.Hour
)

// lifetime is how long an answer is fresh after its date.
func lifetime(status int, h http.Header, d *directives, date time.Time) time.Duration {
	if d.maxAge != absent {
		return d.maxAge
	}
	if lines := h["Expires"]; len(lines) > 0 {
		expires, ok := parseDate(lines)
		if !ok {
			return 0 // "0" is common for "already expired"
		}
		return min(longest, max(0, expires.Sub(date)))
	}
	if !heuristic(status) && !d.public {
		return 0
	}
	modified, ok := parseDate(h["Last-Modified"])
	if !ok {
		return 0
	}
	return min(heuristicMost, max(0, date.Sub(modified))/heuristicShare)
}

// heuristic reports whether answers with this status may be kept if nothing in
// them says so.
func heuristic(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusMultipleChoices,
		http.StatusMovedPermanently, http.StatusPermanentRedirect, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusGone, http.StatusRequestURITooLong, http.StatusNotImplemented:
		return true
	}
	return false
}

// storable reports whether an answer to a GET, whose header is h, may be kept by a
// private cache.
func storable(status int, h http.Header, d *directives) bool {
	switch {
	case status < 200 || status == http.StatusPartialContent || status == http.StatusNotModified:
		return false
	case d.noStore:
		return false
	case d.mustUnderstand && http.StatusText(status) == "":
		return false
	case d.public || d.private || d.maxAge != absent || len(h["Expires"]) > 0:
		return true
	}
	return heuristic(status)
}

// sayingMore reports whether a header has any field without which no answer is useful.
func sayingMore(h http.Header) bool {
	return len(h["Etag"]) > 0 || len(h["Last-Modified"]) > 0 || len(h["Expires"]) > 0 || len(h["Cache-Control"]) > 0
}

// useful reports whether an entry that was just received could answer anything: it
// is fresh, or can be validated, or may be served stale.
func (e *entry) useful() bool {
	d := &e.directives
	if e.validators() {
		return true
	}
	if d.noCache {
		return false
	}
	return e.lifetime > e.initialAge || !d.mustRevalidate && (d.staleIfError > 0 || d.staleWhileRevalidate > 0)
}

func (e *entry) validators() bool {
	return e.Header.Get("Etag") != "" || e.Header.Get("Last-Modified") != ""
}

// connection are the fields that are about one connection, and those that are the
// cache's own to make.
var connection = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// kept returns a copy of a header without what is not kept.
func kept(h http.Header) http.Header {
	out := h.Clone()
	for _, line := range h["Connection"] {
		names, _ := fieldNames(line)
		for _, name := range names {
			delete(out, name)
		}
	}
	for _, name := range connection {
		delete(out, name)
	}
	d := parseDirectives(h["Cache-Control"])
	for _, name := range d.noCacheFields {
		delete(out, name)
	}
	return out
}

// bodyFields describe the body that is kept, which a 304 does not bring.
var bodyFields = []string{"Content-Length", "Content-Encoding", "Content-Range", "Etag"}

// freshen returns the header of the entry as an answer without a body, to a
// request for what has not changed, updates it.
func (e *entry) freshen(update http.Header) http.Header {
	out := e.Header.Clone()
	delete(out, "Age") // it was that of the answer before
	delete(out, "Date")
	delete(out, StatusField)
	for name, values := range kept(update) {
		if !slices.Contains(bodyFields, name) {
			out[name] = values
		}
	}
	return kept(out)
}

// confirmedBy reports whether a 304 with the header h is about this entry.
func (e *entry) confirmedBy(h http.Header) bool {
	if tag := h.Get("Etag"); tag != "" {
		return sameTag(tag, e.Header.Get("Etag"))
	}
	if modified := h.Get("Last-Modified"); modified != "" && e.Header.Get("Etag") == "" {
		return modified == e.Header.Get("Last-Modified")
	}
	return true
}

// unchangedBy reports whether an answer to HEAD with the header h describes the
// same representation.
func (e *entry) unchangedBy(h http.Header) bool {
	for _, name := range []string{"Etag", "Last-Modified", "Content-Length"} {
		if value := h.Get(name); value != "" && e.Header.Get(name) != "" && value != e.Header.Get(name) {
			return false
		}
	}
	return true
}

// sameTag compares entity tags weakly: what both may stand for is the same to a
// reader, if not byte for byte.
func sameTag(a, b string) bool {
	return strings.TrimPrefix(a, "W/") == strings.TrimPrefix(b, "W/")
}
