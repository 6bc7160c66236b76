package httpcache

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// query is a request as the cache sees it.
type query struct {
	req         *http.Request
	rules       string // under which connections are made
	resource    digest
	bare        digest // what selects among answers that vary by nothing
	directives  directives
	head        bool
	conditional bool // it has conditions of its own
	now         time.Time
}

// origin names scheme, host and port of a URL, in one of their spellings: an address,
// a name and a port can be written in several. A name with a dot at its end is another
// one, for which a server may have another answer. It is false for one that the cache
// can't tell.
func origin(u *url.URL) (string, bool) {
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	if host == "" || u.Opaque != "" {
		return "", false
	}
	switch {
	case scheme == "http" && port == "":
		port = "80"
	case scheme == "https" && port == "":
		port = "443"
	case scheme != "http" && scheme != "https":
		return "", false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		host = a.String()
	}
	return scheme + "://" + net.JoinHostPort(host, strings.TrimLeft(port, "0")), true
}

// resourceOf names what a URL means to a tenant.
func resourceOf(tenant string, u *url.URL) (digest, bool) {
	at, ok := origin(u)
	if !ok {
		return digest{}, false
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	d := make(digested, 0, shortest)
	d.write(tenant)
	d.write(at)
	d.write(path)
	return d.sum(), true
}

// newQuery is false for a request that is not for the cache to answer.
func newQuery(req *http.Request, rules string, resource digest) (*query, bool) {
	q := &query{req: req, rules: rules, resource: resource, now: time.Now(), head: req.Method == http.MethodHead}
	if req.Method != http.MethodGet && req.Method != "" && !q.head {
		return nil, false
	}
	if req.Body != nil && req.Body != http.NoBody || req.ContentLength > 0 {
		return nil, false
	}
	for _, name := range []string{"Range", "If-Range", "If-Match", "If-Unmodified-Since", "Upgrade"} {
		if len(req.Header[name]) > 0 {
			return nil, false
		}
	}
	if q.directives = requestDirectives(req.Header); q.directives.noStore {
		return nil, false
	}
	q.conditional = len(req.Header["If-None-Match"]) > 0 || len(req.Header["If-Modified-Since"]) > 0
	q.bare = q.selectBy(nil)
	return q, true
}

// selecting is the digest of what an answer that varies by the fields of vary was
// selected by. Whoever asks, and under which rules, is always part of it; so is which
// codings were asked for, since what is below decodes if none were.
func (q *query) selecting(vary []string) digest {
	if len(vary) == 0 {
		return q.bare
	}
	return q.selectBy(vary)
}

func (q *query) selectBy(vary []string) digest {
	d := make(digested, 0, shortest)
	d.write(q.rules)
	for _, name := range []string{"Authorization", "Cookie", "Accept-Encoding"} {
		d.writeField(name, q.req.Header[name])
	}
	d.write(q.req.URL.User.String())
	for _, name := range vary {
		d.writeField(name, q.req.Header[name])
	}
	return d.sum()
}

// untold are fields in which requests may differ that are equal all the same: they
// tell observers who asked.
var untold = []string{"Traceparent", "Tracestate", "Baggage"}

// flight names all requests that are equal to this one.
func (q *query) flight() digest {
	d := make(digested, 0, shortest)
	d = append(d, q.resource[:]...)
	d = append(d, q.bare[:]...)
	for _, name := range slices.Sorted(maps.Keys(q.req.Header)) {
		if !slices.Contains(untold, name) {
			d.writeField(name, q.req.Header[name])
		}
	}
	return d.sum()
}

// answers reports whether the answer e was to a request like this one.
func (q *query) answers(h *head) bool {
	return h.Resource == q.resource && h.Selecting == q.selecting(h.Vary)
}

// digested is what a digest is of: texts with their lengths before them. It is made
// whole first, since most are short.
type digested []byte

// shortest is enough for most.
const shortest = 256

func (d *digested) write(s string) {
	*d = binary.BigEndian.AppendUint64(*d, uint64(len(s)))
	*d = append(*d, s...)
}

// writeField writes a field as if its lines were one. That it is missing differs
// from its being empty.
func (d *digested) writeField(name string, lines []string) {
	d.write(name)
	if len(lines) == 0 {
		*d = append(*d, 0)
		return
	}
	*d = append(*d, 1)
	if len(lines) == 1 {
		d.write(strings.Trim(lines[0], " \t"))
		return
	}
	trimmed := make([]string, len(lines))
	for i, line := range lines {
		trimmed[i] = strings.Trim(line, " \t")
	}
	d.write(strings.Join(trimmed, ", "))
}

func (d *digested) sum() digest { return sha256.Sum256(*d) }

// use is what may be done with an entry for a query.
type use struct {
	serve      bool // as it is
	revalidate bool // and meanwhile the origin is asked
	stale      bool
	ttl        time.Duration
	age        time.Duration
	detail     string
	fwd        string // if it may not be served: why
}

// use decides.
func (q *query) use(e *entry) use {
	age := e.age(q.now)
	d, asked := &e.directives, &q.directives
	u := use{age: age, ttl: e.lifetime - age}
	u.stale = u.ttl <= 0
	u.fwd = FwdRequest
	if u.stale || d.noCache {
		u.fwd = FwdStale
	}
	switch {
	case asked.noCache, d.noCache:
	case asked.maxAge != absent && age > asked.maxAge:
		u.fwd = FwdRequest
	case asked.minFresh != absent && u.ttl < asked.minFresh:
	case !u.stale:
		u.serve = true
	case d.mustRevalidate:
	case asked.maxStale != absent && -u.ttl <= asked.maxStale:
		u.serve, u.detail = true, DetailMaxStale
	case d.staleWhileRevalidate != absent && -u.ttl <= d.staleWhileRevalidate:
		u.serve, u.revalidate, u.detail = true, true, DetailRevalidating
	}
	return u
}

// despiteError reports whether a stale entry may be served since the origin
// failed.
func (q *query) despiteError(e *entry, now time.Time) bool {
	d, asked := &e.directives, &q.directives
	if d.noCache || d.mustRevalidate || asked.noCache || asked.minFresh != absent {
		return false
	}
	age := e.age(now)
	if asked.maxAge != absent && age > asked.maxAge {
		return false
	}
	allowed := max(d.staleIfError, asked.staleIfError)
	return allowed != absent && age-e.lifetime <= allowed
}

// unmodified reports whether the conditions of a query are such that the entry is
// what its sender has already.
func (q *query) unmodified(e *entry) bool {
	if lines := q.req.Header["If-None-Match"]; len(lines) > 0 {
		tag := e.Header.Get("Etag")
		for _, line := range lines {
			if strings.Trim(line, " \t") == "*" || tag != "" && hasTag(line, tag) {
				return true
			}
		}
		return false
	}
	since, ok := parseDate(q.req.Header["If-Modified-Since"])
	if !ok {
		return false
	}
	modified, ok := parseDate(e.Header["Last-Modified"])
	return ok && !modified.After(since)
}

// hasTag reports whether a list of entity tags has tag, compared weakly. Tags may
// hold commas.
func hasTag(list, tag string) bool {
	for list != "" {
		list = strings.TrimLeft(list, " \t,")
		end := len(list)
		if open := strings.IndexByte(list, '"'); open == 0 || open == 2 && strings.HasPrefix(list, "W/") {
			if length := strings.IndexByte(list[open+1:], '"'); length >= 0 {
				end = open + 1 + length + 1
			}
		} else if comma := strings.IndexByte(list, ','); comma >= 0 {
			end = comma
		}
		if sameTag(strings.Trim(list[:end], " \t"), tag) {
			return true
		}
		list = list[end:]
	}
	return false
}
