package server

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/registry"
	"pappus/server/problem"
	"pappus/spans"
)

// exchange is one request and its answer. It is an echo.Context, which is how
// handlers get it from the router, and holds what an invocation with a small
// body needs, so that a request takes few allocations. Exchanges are pooled:
// nothing of one may be used after ServeHTTP returned.
type exchange struct {
	echo.Context
	server *Server
	policy *policy // what held when the request came
	w      http.ResponseWriter
	r      *http.Request
	route  *routeMetrics
	id     string    // of the request
	began  time.Time // for the access log, if there is one

	values [headerSlots][1]string // of header fields, which net/http copies when the header is written

	body   []byte // for small bodies, kept
	region region // for large ones
	memory dispatcher.Reservation

	// The input of a raw body.
	item  data.Item
	items [1]*data.Item
	sets  [1]data.Set

	sink sink

	trace *spans.Trace     // of the invocation that it is, or nil
	seen  spans.Invocation // what that is to say; nothing without a trace
}

// Fields of the header whose values are made for each answer.
const (
	slotID = iota
	slotType
	slotTiming
	slotFuel
	slotRun
	slotLength
	slotTag
	headerSlots
)

func (x *exchange) begin(w http.ResponseWriter, r *http.Request) {
	x.Reset(r, w)
	x.w, x.r = w, r
	x.policy = x.server.policy.Load()
	if x.policy.AccessLog {
		x.began = time.Now()
	}
	x.route = x.server.metrics.unrouted
	x.id = x.server.ids.of(r)
	x.setHeader("X-Request-Id", slotID, x.id)
	// No answer may become a page that runs in a browser.
	h := w.Header()
	h["X-Content-Type-Options"] = valueNosniff
	h["Content-Security-Policy"] = valueSandbox
}

// end drops what must not outlive the request.
func (x *exchange) end() {
	x.region.close()
	x.memory.Release()
	x.memory = dispatcher.Reservation{}
	x.item.Init("", 0, nil)
	x.sets[0] = data.Set{}
	x.sink.end()
	x.trace, x.seen = nil, spans.Invocation{}
	x.w, x.r, x.route = nil, nil, nil
}

// setHeader sets a field by its canonical name.
func (x *exchange) setHeader(name string, slot int, value string) {
	v := &x.values[slot]
	v[0] = value
	x.w.Header()[name] = v[:]
}

// param is a parameter of the path, decoded.
func (x *exchange) param(name string) string {
	v := x.Param(name)
	if x.r.URL.RawPath != "" && strings.IndexByte(v, '%') >= 0 {
		// echo routes by the path as it came if that has escapes.
		if d, err := url.PathUnescape(v); err == nil {
			return d
		}
	}
	return v
}

// ref is the reference to a version in the path.
func (x *exchange) ref() (registry.Ref, error) {
	text := x.param("ref")
	if strings.IndexByte(text, '/') >= 0 && x.r.URL.RawPath == "" {
		return registry.Ref{}, problem.New(problem.NotFound, "there is nothing at "+quote(x.r.URL.Path))
	}
	ref, err := registry.ParseRef(text)
	if err != nil {
		return ref, problem.New(problem.BadName, err.Error())
	}
	return ref, nil
}

// name is the name of a function in the path, where no version can be said.
func (x *exchange) name() (string, error) {
	ref, err := x.ref()
	if err != nil {
		return "", err
	}
	if ref.Tag != "" || ref.Number != 0 || !ref.Digest.IsZero() {
		return "", problem.New(problem.BadName, quote(x.param("ref"))+" names a version; a bare name is needed here")
	}
	return ref.Name, nil
}

// requestIDs makes ids that differ between processes and requests.
type requestIDs struct {
	prefix string
	count  atomic.Uint64
}

func newRequestIDs() *requestIDs {
	var b [6]byte
	_, _ = rand.Read(b[:]) // it never fails
	return &requestIDs{prefix: hex.EncodeToString(b[:]) + "-"}
}

// of is the id that the client gave, if it can be put into headers and logs as
// it is, or a new one.
func (ids *requestIDs) of(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && saneID(given[0]) {
		return given[0]
	}
	var buf [40]byte
	b := append(buf[:0], ids.prefix...)
	return string(strconv.AppendUint(b, ids.count.Add(1), 36))
}

// maxID is the longest request id taken from a client.
const maxID = 128

func saneID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("-_.:=+/", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxID
}
