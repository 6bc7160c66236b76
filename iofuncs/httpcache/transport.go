package httpcache

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Transport answers requests of one tenant, from the store where it may and from
// the round tripper below where it must. It is safe for concurrent use.
type Transport struct {
	next   http.RoundTripper
	store  *Store
	tenant string
	rules  string
}

var _ http.RoundTripper = (*Transport)(nil)

// New makes the way of a tenant through a store to next.
//
// What next gets for a GET or HEAD may outlive the request that caused it, since
// others may wait for the same: it carries the values of its context, but ends when
// nobody wants it any more. next is to bound how long that takes; Detached tells such
// requests from others. What it says took too long (errors with a method Timeout) took
// too long for all who waited; other errors are nobody's but the first one's. If it decodes what an origin sent, it is to set Uncompressed,
// as http.Transport does.
func New(next http.RoundTripper, store *Store, tenant string) *Transport {
	return &Transport{next: next, store: store, tenant: tenant}
}

// Under is the same way under rules of connections: what was got under others is not
// used for it, but what a request changes is taken back under all of them.
func (t *Transport) Under(rules string) *Transport {
	under := *t
	under.rules = rules
	return &under
}

// RoundTrip answers a request, as http.RoundTripper says. The field Cache-Status of
// the answer says what the cache did; StatusOf reads it. An answer from the cache
// has no TLS state.
//
// Errors are those of the round tripper below, of the request's context, or
// ErrClosed.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		return t.next.RoundTrip(req)
	}
	resource, ok := resourceOf(t.tenant, req.URL)
	if !ok || req.Host != "" && !strings.EqualFold(req.Host, req.URL.Host) {
		return t.bypass(req, FwdBypass)
	}
	if !safe(req.Method) {
		return t.change(req, resource)
	}
	q, ok := newQuery(req, t.rules, resource)
	if !ok {
		return t.bypass(req, bypassReason(req))
	}
	e := t.store.lookup(q)
	if e != nil {
		if u := q.use(e); u.serve {
			if !u.revalidate || q.directives.onlyIfCached || t.revalidate(q, e) {
				return t.hit(q, e, u), nil
			}
		}
	}
	if q.directives.onlyIfCached {
		t.store.count(&t.store.stats.Refused)
		return notCached(req), nil
	}
	if e == nil && !q.head && !q.conditional {
		if seen, ok := t.store.passes(q); ok {
			return t.pass(q, seen)
		}
	}
	return t.fetch(q, e)
}

// pass asks the origin for what it did not let anybody keep a moment ago: nobody waits
// for an answer that can't be shared. If it may be kept after all, it is.
func (t *Transport) pass(q *query, seen moment) (*http.Response, error) {
	s := t.store
	resp, err := t.next.RoundTrip(q.req)
	if err != nil {
		return nil, err
	}
	s.count(&s.stats.Misses)
	status := Status{Fwd: FwdMiss}
	if d := parseDirectives(resp.Header["Cache-Control"]); sayingMore(resp.Header) && storable(resp.StatusCode, resp.Header, &d) {
		if f := s.adopt(t, q, seen, resp.Body); f != nil {
			r := f.answered(resp, status, time.Now())
			f.settle(r)
			if r.pending == nil {
				s.work.Done()
			} else {
				go func() {
					defer s.work.Done()
					defer context.AfterFunc(s.ctx, f.cancel)()
					f.record(r.pending, f.length)
				}()
			}
			return f.give(q), nil
		}
	}
	mark(resp, status)
	return resp, nil
}

func safe(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

func bypassReason(req *http.Request) string {
	if req.Method == http.MethodOptions || req.Method == http.MethodTrace {
		return FwdMethod
	}
	return FwdBypass
}

// bypass asks the origin, and keeps nothing.
func (t *Transport) bypass(req *http.Request, fwd string) (*http.Response, error) {
	t.store.count(&t.store.stats.Bypassed)
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	mark(resp, Status{Fwd: fwd})
	return resp, nil
}

// change makes a request that may change the resource, after which nothing that was
// kept of it is served. Without an answer nobody knows whether it did.
func (t *Transport) change(req *http.Request, resource digest) (*http.Response, error) {
	resp, err := t.bypass(req, FwdMethod)
	if err != nil {
		t.store.invalidate(resource)
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return resp, nil
	}
	t.store.invalidate(resource)
	here, _ := origin(req.URL)
	for _, name := range []string{"Location", "Content-Location"} {
		for _, value := range resp.Header[name] {
			u, err := url.Parse(value)
			if err != nil {
				continue
			}
			u = req.URL.ResolveReference(u)
			if at, ok := origin(u); !ok || at != here {
				continue // not this origin's to tell
			}
			if other, ok := resourceOf(t.tenant, u); ok && other != resource {
				t.store.invalidate(other)
			}
		}
	}
	return resp, nil
}

// revalidate asks the origin without anybody waiting. It is false if too many such
// requests are on their way.
func (t *Transport) revalidate(q *query, e *entry) bool {
	s := t.store
	if q.head || q.conditional {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.validated[e] {
		return true
	}
	if s.closed || len(s.validated) >= maxBackground {
		return false
	}
	s.validated[e] = true
	copied := new(query) // the caller may do with its request what it likes
	*copied = *q
	copied.req = q.req.Clone(context.WithoutCancel(q.req.Context()))
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		f, own, err := s.start(t, copied, e, true, false)
		if err == nil {
			if own {
				go f.run()
			}
			<-f.landed
			f.leave()
		}
		s.mu.Lock()
		delete(s.validated, e)
		s.mu.Unlock()
	}()
	return true
}

// fetch asks the origin, or waits for who does already.
func (t *Transport) fetch(q *query, stale *entry) (*http.Response, error) {
	s := t.store
	// A request with conditions, or one that wants no answer from before, goes alone.
	join := !q.head && !q.conditional && !q.directives.noCache && q.directives.maxAge == absent
	ctx := q.req.Context()
	f, own, err := s.start(t, q, stale, join, true)
	if err != nil {
		return nil, err
	}
	if !own {
		select {
		case <-f.landed:
		case <-ctx.Done():
			f.leave()
			return nil, ctx.Err()
		}
		f.leave()
		q.now = time.Now()
		if resp := t.share(q, f); resp != nil {
			return resp, nil
		}
		if f.late != nil { // the limits of waiting are over for all who waited
			return nil, f.late
		}
		if f, _, err = s.start(t, q, stale, false, true); err != nil {
			return nil, err
		}
	}
	go f.run()
	select {
	case <-f.headed:
	case <-ctx.Done():
		f.abandon()
		return nil, ctx.Err()
	}
	r := f.result
	switch {
	case r.err != nil:
		return nil, r.err
	case r.entry != nil:
		q.now = time.Now()
		return t.serve(q, r.entry, r.status), nil
	}
	return f.give(q), nil
}

// give is the origin's answer for its leader.
func (f *flight) give(q *query) *http.Response {
	r := f.result
	mark(r.resp, r.status)
	r.resp.Request = q.req
	if b, ok := r.resp.Body.(*body); ok {
		b.watch(q.req.Context())
	}
	return r.resp
}

// share is the answer that a flight of somebody else brought, if it may be used for
// q too.
func (t *Transport) share(q *query, f *flight) *http.Response {
	e := f.entry
	if e == nil || !q.answers(&e.head) {
		return nil
	}
	status := Status{Fwd: f.result.status.Fwd, FwdStatus: f.result.status.FwdStatus, Collapsed: true}
	if u := q.use(e); !u.serve {
		if f.result.status.Detail != DetailError || !q.despiteError(e, q.now) {
			return nil
		}
		status.Detail = DetailError
	}
	t.store.count(&t.store.stats.Collapsed)
	return t.serve(q, e, status)
}

// hit answers without the origin.
func (t *Transport) hit(q *query, e *entry, u use) *http.Response {
	if u.stale {
		t.store.count(&t.store.stats.Stale)
	} else {
		t.store.count(&t.store.stats.Hits)
	}
	return t.serve(q, e, Status{Hit: true, TTL: u.ttl.Truncate(time.Second), HasTTL: true, Detail: u.detail})
}

// serve makes an answer of an entry.
func (t *Transport) serve(q *query, e *entry, status Status) *http.Response {
	resp := &http.Response{
		StatusCode: e.Status, Proto: e.Proto, ProtoMajor: e.major, ProtoMinor: e.minor,
		Header: e.Header.Clone(), ContentLength: int64(len(e.body)), Uncompressed: e.Uncompressed, Request: q.req,
		Body: http.NoBody,
	}
	resp.Header["Age"] = []string{strconv.FormatInt(int64(e.age(q.now)/time.Second), 10)}
	switch {
	case q.conditional && e.Status == http.StatusOK && q.unmodified(e):
		resp.StatusCode, resp.ContentLength = http.StatusNotModified, 0
		for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Type"} {
			resp.Header.Del(name)
		}
	case !q.head && len(e.body) > 0:
		resp.Body = newKeptBody(e.body)
		t.store.served(len(e.body))
	}
	resp.Status = fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	mark(resp, status)
	return resp
}

// notCached is the answer to only-if-cached where nothing can be used.
func notCached(req *http.Request) *http.Response {
	resp := &http.Response{
		Status: "504 Gateway Timeout", StatusCode: http.StatusGatewayTimeout, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: http.NoBody, Request: req,
	}
	mark(resp, Status{Detail: DetailOnlyIfCached})
	return resp
}

// mark adds the cache's line to Cache-Status, the last of those on the way.
func mark(resp *http.Response, status Status) {
	if resp.Header == nil {
		resp.Header = make(http.Header)
	}
	resp.Header[StatusField] = append(resp.Header[StatusField], status.String())
}
