package httpcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// flight is one request to an origin. It belongs to the store: whoever wants its
// answer is one of its parties, and when none is left it is cancelled. The first
// one, the leader, gets the answer as it arrives; the others wait for what is
// stored, and meanwhile keep it coming however slowly the leader reads.
type flight struct {
	t         *Transport
	q         *query
	key       digest
	joined    bool   // it stands under key in Store.flights
	stale     *entry // what is kept, and had to be validated; nil: nothing is
	seq       uint64
	requested time.Time
	ctx       context.Context
	cancel    context.CancelFunc
	outdated  bool // guarded by Store.mu: the resource may have changed since

	headed chan struct{} // closed when result is there
	result result
	length int64         // of the body, as it was announced; -1: it was not
	landed chan struct{} // closed when entry is there, or never will be
	entry  *entry
	late   error // set before landed is closed: what was waited for did not come in time

	mu      sync.Mutex
	cond    sync.Cond // anything below has changed
	leader  bool
	waiters int
	buf     []byte // the body so far
	off     int    // how much of it the leader has
	err     error  // why nothing follows; io.EOF: the body is complete
	src     io.ReadCloser
	handed  bool  // the leader reads src itself, after what is in buf
	taken   int64 // bytes reserved for buf
}

// result is what a flight found. One of resp, entry and err is set.
type result struct {
	resp    *http.Response
	pending *entry // what resp will be kept as, once its body is complete; nil: it won't
	entry   *entry // what was kept, and may be used
	status  Status
	err     error
}

// readAhead is how much of a body is read before the leader asks for it.
const readAhead = 64 << 10

// start makes a flight for q, which the caller sets off by run. With join, others may
// join it, or the caller joins another, which is not its own. Who does not lead its own
// waits for it like the others.
func (s *Store) start(t *Transport, q *query, stale *entry, join, leads bool) (f *flight, own bool, err error) {
	var key digest
	if join {
		key = q.flight()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, ErrClosed
	}
	if other := s.flights[key]; join && other != nil && other.enter() {
		return other, false, nil
	}
	s.seq++
	f = newFlight(t, stale, s.seq)
	f.key, f.joined, f.leader = key, join, leads
	if !leads {
		f.waiters = 1
	}
	// Whoever asked first may go and do with the request what it likes, while others
	// still want the answer.
	f.ctx, f.cancel = context.WithCancel(detached{context.WithoutCancel(q.req.Context())})
	copied := *q
	copied.req = q.req.Clone(f.ctx)
	f.q = &copied
	if join {
		s.flights[key] = f
	}
	s.register(f)
	return f, true, nil
}

func newFlight(t *Transport, stale *entry, seq uint64) *flight {
	f := &flight{t: t, stale: stale, seq: seq, headed: make(chan struct{}), landed: make(chan struct{})}
	f.cond.L = &f.mu
	return f
}

// register notes a flight that begins. The caller holds mu.
func (s *Store) register(f *flight) {
	if s.fetching[f.q.resource] == nil {
		s.fetching[f.q.resource] = make(map[*flight]struct{})
	}
	s.fetching[f.q.resource][f] = struct{}{}
	s.stats.Flights++
	s.work.Add(1)
}

// adopt makes a flight of a request that was made without one at the moment seen, and
// has this answer; nil: something may have changed since then.
func (s *Store) adopt(t *Transport, q *query, seen moment, answer io.Closer) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.changes != seen.changes {
		return nil
	}
	f := newFlight(t, nil, seen.seq)
	f.q, f.leader, f.requested = q, true, q.now
	f.cancel = sync.OnceFunc(func() { // the context is the leader's, who may go on with something else
		go func() { _ = answer.Close() }() // it may wait, and locks are held
	})
	s.register(f)
	delete(s.passing, passed{q.resource, q.bare})
	return f
}

// detached is the context of requests for all who want the answer.
type detached struct{ context.Context } //nolint:containedctx // it is that, and a mark

type detachedKey struct{}

func (d detached) Value(key any) any {
	if key == (detachedKey{}) {
		return true
	}
	return d.Context.Value(key)
}

// Detached reports whether a request with this context is made for all who want its
// answer: it goes on when the one who asked first does not, and is not bounded in time
// by any of them.
func Detached(ctx context.Context) bool { return ctx.Value(detachedKey{}) != nil }

// enter makes the caller one who waits. It is false if nobody wants the answer any
// more.
func (f *flight) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.leader && f.waiters == 0 {
		return false
	}
	f.waiters++
	f.cond.Broadcast()
	return true
}

// leave is what one who waited calls.
func (f *flight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiters--
	f.left()
}

// leaveLeader is the leader's. Calling it again does nothing.
func (f *flight) leaveLeader() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leader = false
	f.left()
}

func (f *flight) left() {
	if !f.leader && f.waiters == 0 {
		f.cancel()
	}
	f.cond.Broadcast()
}

// run makes the request and stores what comes.
func (f *flight) run() {
	s := f.t.store
	defer s.work.Done()
	stop := context.AfterFunc(s.ctx, f.cancel)
	defer stop()
	f.settle(f.ask())
	if f.result.pending != nil {
		f.record(f.result.pending, f.length)
	}
}

// settle has those who wait see what was found.
func (f *flight) settle(r result) {
	f.result = r
	if r.pending == nil {
		f.late = late(r.err)
		f.land(r.entry)
	}
	if r.resp != nil {
		f.length = r.resp.ContentLength
		f.mu.Lock()
		f.src = r.resp.Body
		f.handed = r.pending == nil
		r.resp.Body = &body{f: f}
		f.mu.Unlock()
	}
	close(f.headed)
	// From here on what is in r.resp belongs to the leader.
	f.mu.Lock()
	abandoned := f.handed && !f.leader // by one who has not seen that there is something
	f.mu.Unlock()
	switch {
	case r.resp == nil:
		f.cancel()
	case abandoned:
		_ = f.src.Close() // nobody is there to hear of it
	}
}

// abandon is for a leader that never looks at the result.
func (f *flight) abandon() {
	f.leaveLeader()
	select {
	case <-f.headed:
		if f.result.resp != nil {
			_ = f.result.resp.Body.Close() // nobody is there to hear of it
		}
	default: // whoever brings it sees that nobody is there
	}
}

// late is err if it says that something took too long.
func late(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return nil
}

// land ends the flight as far as others are concerned.
func (f *flight) land(e *entry) {
	s := f.t.store
	s.mu.Lock()
	if f.joined && s.flights[f.key] == f {
		delete(s.flights, f.key)
	}
	delete(s.fetching[f.q.resource], f)
	if len(s.fetching[f.q.resource]) == 0 {
		delete(s.fetching, f.q.resource)
	}
	s.stats.Flights--
	s.mu.Unlock()
	f.entry = e
	close(f.landed)
}

// ask makes the request, with conditions if something is kept, and judges the
// answer.
func (f *flight) ask() result {
	s := f.t.store
	f.requested = time.Now()
	req := f.q.req
	validating := f.stale != nil && f.stale.validators() && !f.q.conditional && !f.q.head
	if validating {
		req = req.Clone(f.ctx)
		if req.Header == nil {
			req.Header = make(http.Header)
		}
		if tag := f.stale.Header.Get("Etag"); tag != "" {
			req.Header.Set("If-None-Match", tag)
		}
		if modified := f.stale.Header.Get("Last-Modified"); modified != "" {
			req.Header.Set("If-Modified-Since", modified)
		}
	}
	resp, err := f.roundTrip(req)
	now := time.Now()
	status := Status{Fwd: FwdMiss}
	if f.stale != nil {
		status.Fwd = f.q.use(f.stale).fwd
	}
	if err != nil || failing(resp.StatusCode) {
		if f.stale != nil && !f.q.conditional && f.q.despiteError(f.stale, now) {
			if err == nil {
				status.FwdStatus = resp.StatusCode
				_ = resp.Body.Close() // it is not wanted
			}
			status.Detail = DetailError
			s.count(&s.stats.Stale)
			return result{entry: f.stale, status: status}
		}
	}
	if err != nil {
		return result{err: err}
	}
	if resp.StatusCode == http.StatusNotModified && f.stale != nil && (validating || f.q.conditional) {
		if f.stale.confirmedBy(resp.Header) && (validating || f.q.unmodified(f.stale)) {
			return f.confirmed(resp, status, now)
		}
		s.drop(f.stale)
		f.stale = nil
		if validating { // it is about something that is not here: ask without conditions
			_ = resp.Body.Close()
			return f.ask()
		}
	}
	s.count(&s.stats.Misses)
	return f.answered(resp, status, now)
}

// roundTrip asks the round tripper below. Whoever made the request would stand a
// panic there; the flight's goroutine has nobody above it.
func (f *flight) roundTrip(req *http.Request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, fmt.Errorf("the round tripper below the HTTP cache panicked: %v", p)
		}
	}()
	resp, err = f.t.next.RoundTrip(req)
	if err == nil && resp.Body == nil {
		resp.Body = http.NoBody
	}
	return resp, err
}

// failing reports whether a status says that the origin can't answer now.
func failing(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// headOf makes the head of an entry for the flight's query. It is false if no other
// request can be known to get the same.
func (f *flight) headOf(status int, proto string, h http.Header, now time.Time) (head, bool) {
	vary, ok := parseVary(h["Vary"])
	if !ok {
		return head{}, false
	}
	if len(h["Date"]) == 0 {
		h["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	}
	return head{
		Resource: f.q.resource, Vary: vary, Selecting: f.q.selecting(vary),
		Status: status, Proto: proto, Header: h, Requested: f.requested, Received: now,
	}, true
}

// freshened is what is kept, with the fields that an answer without a body brought
// for it. It is stored in place of what was, or that is dropped if it may not be.
func (f *flight) freshened(update http.Header, now time.Time) (e *entry, stored bool) {
	s := f.t.store
	old := f.stale
	h, ok := f.headOf(old.Status, old.Proto, old.freshen(update), now)
	if !ok {
		s.drop(old)
		return old, false
	}
	h.Uncompressed = old.Uncompressed
	e = newEntry(h, old.body, f.seq)
	if !storable(e.Status, e.Header, &e.directives) || !e.useful() {
		s.drop(old)
		return e, false
	}
	return e, s.put(f, e)
}

// confirmed is what comes of a 304 that is about what is kept.
func (f *flight) confirmed(resp *http.Response, status Status, now time.Time) result {
	s := f.t.store
	s.count(&s.stats.Revalidated)
	var e *entry
	e, status.Stored = f.freshened(resp.Header, now)
	if f.q.conditional { // it is the answer that was asked for
		return result{resp: resp, status: status}
	}
	status.FwdStatus = resp.StatusCode
	_ = resp.Body.Close() // a 304 has none
	return result{entry: e, status: status}
}

// answered is what comes of an answer of the origin's own.
func (f *flight) answered(resp *http.Response, status Status, now time.Time) result {
	s := f.t.store
	if f.stale != nil && f.q.head {
		f.compareHead(resp, now)
	}
	if f.q.head {
		return result{resp: resp, status: status}
	}
	d := parseDirectives(resp.Header["Cache-Control"])
	h, ok := f.headOf(resp.StatusCode, resp.Proto, kept(resp.Header), now)
	if ok && storable(resp.StatusCode, resp.Header, &d) && f.bounded(resp) {
		h.Uncompressed = resp.Uncompressed
		if e := newEntry(h, nil, f.seq); e.useful() {
			status.Stored = true
			return result{resp: resp, pending: e, status: status}
		}
	}
	if f.stale != nil && resp.StatusCode < 500 {
		s.drop(f.stale)
	}
	if !f.q.conditional && resp.StatusCode < 500 {
		s.pass(f.q)
	}
	return result{resp: resp, status: status}
}

// bounded reports whether the end of an answer's body can be told, and it may fit.
// A body that ends with its connection may have lost its end.
func (f *flight) bounded(resp *http.Response) bool {
	largest := f.t.store.largest
	if headerBytes(resp.Header) > largest {
		return false
	}
	if resp.ContentLength >= 0 {
		return resp.ContentLength <= largest
	}
	return resp.ProtoMajor != 1 || resp.Uncompressed || len(resp.TransferEncoding) > 0
}

// compareHead uses an answer to HEAD for what is kept of the resource.
func (f *flight) compareHead(resp *http.Response, now time.Time) {
	switch {
	case failing(resp.StatusCode) || resp.StatusCode == http.StatusNotModified:
	case resp.StatusCode != f.stale.Status || !f.stale.unchangedBy(resp.Header):
		f.t.store.drop(f.stale)
	default:
		f.freshened(resp.Header, now)
	}
}

// record reads the body as fast as somebody wants it, and stores it as that of e
// when it is complete. length is what was announced, or -1.
func (f *flight) record(e *entry, length int64) {
	s := f.t.store
	var err error
	for err == nil {
		dst, room := f.want(length)
		if !room {
			f.hand()
			return
		}
		var n int
		n, err = f.src.Read(dst)
		err = f.took(n, err, length)
	}
	closing := f.src.Close()
	if ended(err) && closing == nil {
		// The leader reads the end only when the answer is there for others.
		complete := newEntry(e.head, f.trim(), e.seq)
		f.release()
		s.put(f, complete)
		f.land(complete)
	} else {
		f.release()
		s.count(&s.stats.Abandoned)
		f.late = late(err)
		f.land(nil)
	}
	f.mu.Lock()
	f.err = err
	f.cond.Broadcast()
	f.mu.Unlock()
	f.cancel()
}

// took notes that n bytes came into what want returned, and with them err. It
// returns why nothing follows.
func (f *flight) took(n int, err error, length int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	have := int64(len(f.buf) + n)
	if length >= 0 && have > length {
		return fmt.Errorf("the origin sent more than the %d bytes that it announced", length)
	}
	f.buf = f.buf[:have]
	f.cond.Broadcast()
	if ended(err) && have < length {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ended reports whether err is the end of a body, and not one that is wrapped in
// something that went wrong.
func ended(err error) bool {
	return err == io.EOF //nolint:errorlint // see above
}

// trim gives the body without what was reserved beyond it.
func (f *flight) trim() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if spare := cap(f.buf) - len(f.buf); spare > len(f.buf)/8 {
		f.buf = append(make([]byte, 0, len(f.buf)), f.buf...)
	}
	return f.buf[:len(f.buf):cap(f.buf)]
}

// release gives back what was reserved for the body.
func (f *flight) release() {
	f.mu.Lock()
	taken := f.taken
	f.taken = 0
	f.mu.Unlock()
	f.t.store.reserve(-taken)
}

// want waits until somebody wants more of the body, and returns where to put it. It
// is false if there is no room.
func (f *flight) want(length int64) (dst []byte, ok bool) {
	s := f.t.store
	f.mu.Lock()
	for f.waiters == 0 && f.leader && len(f.buf)-f.off >= readAhead {
		f.cond.Wait()
	}
	full := len(f.buf) == cap(f.buf)
	have := len(f.buf)
	f.mu.Unlock()
	if !full {
		return f.buf[have:cap(f.buf)], true // nobody else writes to buf
	}
	if length >= 0 && int64(have) >= length {
		return make([]byte, 1), true
	}
	more := max(4<<10, int64(have)) // doubling
	switch rest := length - int64(have); {
	case length >= 0 && have == 0: // what is announced is believed when there is something
		more = min(readAhead, rest)
	case length >= 0:
		more = rest
	}
	if more = min(more, s.largest+1-int64(have)); more <= 0 || !s.reserve(more) {
		return nil, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken += more
	f.buf = append(make([]byte, 0, int64(have)+more), f.buf...)
	return f.buf[have:cap(f.buf)], true
}

// hand gives the rest of the body to the leader.
func (f *flight) hand() {
	s := f.t.store
	s.count(&s.stats.Abandoned)
	f.release()
	f.land(nil)
	f.mu.Lock()
	f.handed = true
	abandoned := !f.leader
	f.cond.Broadcast()
	f.mu.Unlock()
	if abandoned {
		_ = f.src.Close() // nobody is there to hear of it
		f.cancel()
	}
}
