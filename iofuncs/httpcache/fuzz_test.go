package httpcache

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever the fields of an answer hold: times are within their bounds, what is
// added to a field makes it no less strict, and no-store is heard.
func FuzzFields(f *testing.F) {
	f.Add("max-age=60", "Accept", "Thu, 18 Aug 2050 02:01:18 GMT", "60")
	f.Fuzz(func(t *testing.T, control, vary, date, age string) {
		d := parseDirectives([]string{control})
		for _, n := range []time.Duration{d.maxAge, d.minFresh, d.maxStale, d.staleIfError, d.staleWhileRevalidate} {
			if n != absent && (n < 0 || n > longest) {
				t.Errorf("%q: a time of %v", control, n)
			}
		}
		for _, name := range d.noCacheFields {
			if !isToken(name) || decisive(name) {
				t.Errorf("%q: no-cache of %q", control, name)
			}
		}
		for _, lines := range [][]string{{control, "no-store"}, {"no-store", control}, {"no-store," + control}, {control + ",no-store"}} {
			if !parseDirectives(lines).noStore {
				t.Errorf("%q: no-store is not heard", lines)
			}
		}
		before := parseDirectives([]string{"max-age=100, stale-if-error=100"})
		after := parseDirectives([]string{"max-age=100, stale-if-error=100", control})
		if after.maxAge > before.maxAge || after.staleIfError > before.staleIfError || after.maxAge < 0 {
			t.Errorf("%q: %v and %v have become %v and %v", control, before.maxAge, before.staleIfError, after.maxAge, after.staleIfError)
		}
		if names, ok := parseVary([]string{vary}); ok {
			again, ok := parseVary([]string{strings.Join(names, ", ")})
			if !ok || !slices.Equal(names, again) || slices.Contains(names, "*") || len(names) > maxVary || len(strings.Join(names, "")) > maxVaryBytes {
				t.Errorf("%q: varies by %q, then %q", vary, names, again)
			}
		}
		if a := parseAge([]string{age}); a < 0 || a > longest {
			t.Errorf("%q: an age of %v", age, a)
		}
		now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		h := http.Header{"Cache-Control": {control}, "Date": {date}, "Expires": {date}, "Last-Modified": {date}, "Age": {age}, "Vary": {vary}}
		e := newEntry(head{Status: 200, Proto: "HTTP/1.1", Header: kept(h), Requested: now, Received: now}, nil, 1)
		for _, later := range []time.Duration{-time.Hour, 0, time.Hour, longest, 1<<63 - 1} {
			if a := e.age(now.Add(later)); a < e.initialAge || a > longest {
				t.Errorf("%v: an age of %v after %v", h, a, later)
			}
		}
		if e.initialAge < 0 || e.lifetime < 0 || e.lifetime > longest {
			t.Errorf("%v: fresh for %v from the age of %v", h, e.lifetime, e.initialAge)
		}
		req := &http.Request{Header: http.Header{"Cache-Control": {control}, "If-None-Match": {vary}, "If-Modified-Since": {date}}}
		q := &query{req: req, now: now, directives: requestDirectives(req.Header)}
		if u := q.use(e); u.serve && e.directives.noCache {
			t.Errorf("%v: served in spite of no-cache", h)
		}
		if e.Header.Get("Etag") == "" && q.unmodified(e) && strings.Trim(vary, " \t") != "*" {
			t.Errorf("%q matches nothing", vary)
		}
	})
}
