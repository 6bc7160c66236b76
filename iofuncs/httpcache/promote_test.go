package httpcache

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

type fixed struct{}

func (fixed) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, Header: http.Header{"Cache-Control": {"max-age=60"}},
		Body: io.NopCloser(strings.NewReader("abc")), ContentLength: 3, Request: req,
	}, nil
}

// What was read from disk before a change, and comes to memory after it, is gone.
func TestChangedWhileItIsRead(t *testing.T) {
	dir := t.TempDir()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	reopen := func() *Store {
		s, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := reopen()
	resp, err := New(fixed{}, s, "t").RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Body.Close() != nil || s.Close() != nil {
		t.Fatal(err)
	}
	s = reopen()
	resource, _ := resourceOf("t", req.URL)
	q, ok := newQuery(req, "", resource)
	if !ok {
		t.Fatal("no query")
	}
	e := s.disk.load(q)
	if e == nil {
		t.Fatal("nothing on disk")
	}
	s.invalidate(resource)
	if s.promote(q, e) != nil || s.Stats().Entries != 0 {
		t.Error("it is there again")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
