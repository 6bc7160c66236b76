package server

import (
	"net/http"
	"strings"

	"pappus/dispatcher"
	"pappus/dispatcher/memo"
	"pappus/server/problem"
)

// caching is what a request says about remembered answers, and about the answers
// that its client has already.
type caching struct {
	reuse    dispatcher.Reuse
	fresh    bool     // with reuse ReuseOnly: nothing that is remembered will do, so nothing can be answered
	has      []string // If-None-Match
	unkept   bool     // nobody is to keep the answer: who made the function says so, or who calls it
	constant bool     // the same request has the same answer for ever: it names a function by its digest
}

// parseCaching reads Cache-Control, Pragma and If-None-Match. Directives that
// say nothing to this server are left alone, as HTTP wants it: results do not
// age, so that max-age does not either.
func parseCaching(r *http.Request) (c caching) {
	c.has = r.Header["If-None-Match"]
	values, noCache, noStore, only := r.Header["Cache-Control"], false, false, false
	if len(values) == 0 {
		values = r.Header["Pragma"] // whose only word means the same
	}
	for _, value := range values {
		for directive := range strings.SplitSeq(value, ",") {
			name, _, _ := strings.Cut(directive, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "no-cache":
				noCache = true
			case "no-store":
				noStore = true
			case "only-if-cached":
				only = true
			}
		}
	}
	switch {
	case only:
		c.reuse, c.fresh = dispatcher.ReuseOnly, noCache
	case noStore:
		c.reuse = dispatcher.ReuseNone
	case noCache:
		c.reuse = dispatcher.ReuseFresh
	}
	return c
}

// Values of Cache-Status (RFC 9211).
var (
	statusMemory    = []string{"pappus; hit; detail=memory"}
	statusDisk      = []string{"pappus; hit; detail=disk"}
	statusMiss      = []string{"pappus; fwd=miss"}
	statusStored    = []string{"pappus; fwd=miss; stored"}
	statusCollapsed = []string{"pappus; fwd=miss; collapsed"}
	statusFresh     = []string{"pappus; fwd=request"}
	statusRestored  = []string{"pappus; fwd=request; stored"}
	statusBypass    = []string{"pappus; fwd=bypass"}
)

// cacheStatus says where an answer comes from.
func cacheStatus(from *dispatcher.Provenance, reuse dispatcher.Reuse) []string {
	switch from.Source {
	case memo.FromMemory:
		return statusMemory
	case memo.FromDisk:
		return statusDisk
	case memo.Collapsed:
		return statusCollapsed
	case memo.Computed:
		switch {
		case reuse == dispatcher.ReuseFresh && from.Stored:
			return statusRestored
		case reuse == dispatcher.ReuseFresh:
			return statusFresh
		case from.Stored:
			return statusStored
		default:
			return statusMiss
		}
	default:
		return statusBypass
	}
}

// How long caches between here and the client may keep an answer to a GET. One
// whose request names a function by its digest is always the same. It is public
// since whoever reaches a server without keys may call everything on it; where
// there are keys it will be private for what needs one. Of a name, which may
// come to mean another version, a cache has to ask each time, with the ETag.
var (
	valueConstant   = []string{"public, max-age=31536000, immutable"}
	valueRevalidate = []string{"no-cache"}
	valueUnkept     = []string{"no-store"}
)

// What an answer of several forms varies by.
var (
	valueAccept         = []string{"Accept"}
	valueOriginOrAccept = []string{"Origin, Accept"}
)

// cacheHeader sets what caches need to know of a success in one of its forms,
// and reports whether the client has that answer already.
func (x *exchange) cacheHeader(from *dispatcher.Provenance, form form, c *caching) (has bool) {
	h := x.w.Header()
	get := x.r.Method != http.MethodPost
	switch {
	case get && c.unkept:
		h["Cache-Control"] = valueUnkept
	case get && c.constant:
		h["Cache-Control"] = valueConstant
	case get:
		h["Cache-Control"] = valueRevalidate
	case !from.Keyed:
		return false
	}
	if h["Vary"] == nil {
		h["Vary"] = valueAccept
	} else {
		h["Vary"] = valueOriginOrAccept
	}
	if !from.Keyed {
		return false
	}
	tag := etag(from.Key, form)
	x.setHeader("Etag", slotTag, tag)
	return len(c.has) > 0 && matches(c.has, tag)
}

// etag is a strong validator of an answer: it is a function of the call, whose
// key has all that it depends on, and of the form.
func etag(key memo.Key, f form) string {
	const digits = "0123456789abcdef"
	var b [2*len(key) + 4]byte
	b[0], b[len(b)-3], b[len(b)-1] = '"', '-', '"'
	for i, v := range key {
		b[1+2*i], b[2+2*i] = digits[v>>4], digits[v&15]
	}
	switch f {
	case formJSON:
		b[len(b)-2] = 'j'
	case formMultipart:
		b[len(b)-2] = 'm'
	default:
		b[len(b)-2] = 'r'
	}
	return string(b[:])
}

// matches reports whether one of the entity tags of If-None-Match is tag, in the
// weak comparison that it asks for, or a "*", which any answer matches. From where
// a field can't be read on, it has no more tags.
func matches(fields []string, tag string) bool {
	for _, field := range fields {
		if strings.TrimSpace(field) == "*" {
			return true
		}
		for {
			field = strings.TrimLeft(field, " \t,")
			field = strings.TrimPrefix(field, "W/")
			if field == "" || field[0] != '"' {
				break
			}
			end := strings.IndexByte(field[1:], '"')
			if end < 0 {
				break
			}
			if field[:end+2] == tag {
				return true
			}
			field = field[end+2:]
		}
	}
	return false
}

// writeUnchanged answers a client that has the answer already.
func (x *exchange) writeUnchanged() error {
	if x.r.Method == http.MethodPost {
		return problem.New(problem.PreconditionFailed, "the answer has an ETag that If-None-Match names")
	}
	x.writeHeader(http.StatusNotModified)
	return nil
}
