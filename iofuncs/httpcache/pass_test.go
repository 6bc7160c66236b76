package httpcache_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"pappus/iofuncs/httpcache"
)

// answering is an answer that says how long it may be kept; "": nothing.
func answering(cacheControl string) *http.Response {
	resp := &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, ContentLength: 4, Body: io.NopCloser(strings.NewReader("body"))}
	if cacheControl != "" {
		resp.Header.Set("Cache-Control", cacheControl)
	}
	return resp
}

// Nobody waits for an answer that could not be shared a moment ago.
func TestNobodyWaitsForWhatIsNotShared(t *testing.T) {
	const many = 8
	var asked int
	var there sync.WaitGroup
	there.Add(many)
	s := open(t, httpcache.Options{})
	defer closing(t, s)
	rt := httpcache.New(origin(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("X-Meet") != "" {
			there.Done()
			there.Wait() // all of them have to be here at once
		} else {
			asked++
		}
		return answering(""), nil
	}), s, "t")
	for range 2 {
		if g, err := try(rt, request(t, "GET", url, "")); err != nil || g.body != "body" || g.said.State() != httpcache.StateMiss {
			t.Errorf("%+v, %v", g, err)
		}
	}
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			if g, err := try(rt, request(t, "GET", url, "X-Meet: 1")); err != nil || g.body != "body" {
				t.Errorf("%+v, %v", g, err)
			}
		})
	}
	all.Wait()
	if stats := s.Stats(); asked != 2 || stats.Misses != many+2 || stats.Collapsed != 0 || stats.Flights != 0 {
		t.Errorf("asked %d times: %+v", asked, stats)
	}
}

// What may be kept now, and could not a moment ago, is kept, unless the resource may
// have changed meanwhile.
func TestKeptAfterAll(t *testing.T) {
	for _, before := range []string{"", "no-store", "private, max-age=0"} {
		for _, changed := range []bool{false, true} {
			s := open(t, httpcache.Options{})
			var now string
			var meanwhile func()
			rt := httpcache.New(origin(func(r *http.Request) (*http.Response, error) {
				if f := meanwhile; f != nil && r.Method == http.MethodGet {
					meanwhile = nil
					f()
				}
				return answering(now), nil
			}), s, "t")
			now = before
			for range 2 {
				if g, err := try(rt, request(t, "GET", url, "")); err != nil || g.said.Stored {
					t.Errorf("%q: %+v, %v", before, g, err)
				}
			}
			now = "max-age=1000"
			if changed {
				meanwhile = func() {
					if _, err := try(rt, request(t, "POST", url, "")); err != nil {
						t.Error(err)
					}
				}
			}
			if g, err := try(rt, request(t, "GET", url, "")); err != nil || g.body != "body" || g.said.Stored == changed {
				t.Errorf("%q, changed %t: %+v, %v", before, changed, g, err)
			}
			if g, err := try(rt, request(t, "GET", url, "")); err != nil || g.body != "body" || g.said.Hit == changed {
				t.Errorf("%q, changed %t: %+v, %v", before, changed, g, err)
			}
			closing(t, s)
		}
	}
}

// A body that its reader leaves in the middle is not fetched to its end.
func TestLeftInTheMiddle(t *testing.T) {
	s := open(t, httpcache.Options{})
	defer closing(t, s)
	closed := make(chan struct{})
	in, out := io.Pipe()
	first := true
	rt := httpcache.New(origin(func(*http.Request) (*http.Response, error) {
		if first {
			first = false
			return answering(""), nil
		}
		resp := answering("max-age=1000")
		resp.ContentLength, resp.Body = 1000, &closer{in, sync.OnceFunc(func() { close(closed) })}
		return resp, nil
	}), s, "t")
	if _, err := try(rt, request(t, "GET", url, "")); err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(request(t, "GET", url, ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	var begin [3]byte
	if _, err := io.ReadFull(resp.Body, begin[:]); err != nil || resp.Body.Close() != nil {
		t.Error(err)
	}
	<-closed
	if _, err := out.Write([]byte("def")); err == nil {
		t.Error("somebody reads on")
	}
}

// closer tells of its end.
type closer struct {
	*io.PipeReader
	told func()
}

func (c *closer) Close() error {
	err := c.PipeReader.Close()
	c.told()
	return err
}
