package httpcache_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pappus/iofuncs/httpcache"
)

// What a request changes is taken back under all rules of connections, in memory and on
// disk, and whatever is on its way; what was got under others is not used.
func TestRulesThatComeBack(t *testing.T) {
	dir := t.TempDir()
	var version atomic.Int64
	next := origin(func(req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPost {
			version.Add(1)
		}
		return answer(req, 0, "Cache-Control: max-age=1000", fmt.Sprint(version.Load())), nil
	})
	s := open(t, httpcache.Options{Dir: dir})
	under := func(rules string) http.RoundTripper { return httpcache.New(next, s, "t").Under(rules) }
	see := func(rules, what, body string) {
		t.Helper()
		g := send(t, under(rules), request(t, "GET", url, ""))
		must(t, g.what() == what && g.body == body, "under %s: %s %q, want %s %q", rules, g.what(), g.body, what, body)
	}
	see("A", "miss stored", "0")
	see("B", "miss stored", "0")
	see("A", "hit", "0")
	closing(t, s)
	s = open(t, httpcache.Options{Dir: dir})
	see("A", "hit", "0")
	send(t, under("B"), request(t, "POST", url, ""))
	see("A", "miss stored", "1")
	closing(t, s)
	s = open(t, httpcache.Options{Dir: dir})
	defer closing(t, s)
	see("A", "hit", "1")
	see("B", "miss stored", "1")
}

// A resource is one however its origin is written.
func TestSpellingsOfOrigins(t *testing.T) {
	for _, same := range [][]string{
		{"http://127.0.0.1:7001/a", "http://127.0.0.1:07001/a", "HTTP://127.0.0.1:007001/a"},
		{"http://example.com/a", "http://EXAMPLE.com:80/a", "http://Example.com:080/a", "http://example.com:/a"},
		{"http://example.com./a", "http://EXAMPLE.com.:080/a"},
		{"https://[::1]/a", "https://[0:0::1]/a", "https://[::0001]:0443/a"},
	} {
		for _, one := range same {
			s := open(t, httpcache.Options{})
			rt := httpcache.New(origin(func(req *http.Request) (*http.Response, error) {
				return answer(req, 0, "Cache-Control: max-age=1000", ""), nil
			}), s, "t")
			for _, other := range same {
				send(t, rt, request(t, "GET", one, ""))
				g := send(t, rt, request(t, "GET", other, ""))
				must(t, g.what() == "hit", "%s after %s: %s", other, one, g.what())
				send(t, rt, request(t, "DELETE", other, ""))
				g = send(t, rt, request(t, "GET", one, ""))
				must(t, g.what() == "miss stored", "%s after a change of %s: %s", one, other, g.what())
			}
			closing(t, s)
		}
	}
}

// A name with a dot at its end is another name, and what is kept of one says nothing of
// the other.
func TestDotsAfterNames(t *testing.T) {
	s := open(t, httpcache.Options{})
	defer closing(t, s)
	rt := httpcache.New(origin(func(req *http.Request) (*http.Response, error) {
		return answer(req, 0, "Cache-Control: max-age=1000", req.URL.Host), nil
	}), s, "t")
	for _, what := range []string{"miss stored", "hit"} {
		for _, host := range []string{"example.com", "example.com."} {
			g := send(t, rt, request(t, "GET", "http://"+host+"/a", ""))
			must(t, g.what() == what && g.body == host, "%s: %s, %q", host, g.what(), g.body)
		}
	}
}

// Who asks for codings by itself gets answers of its own, also if the origin does not
// say that it looks at them.
func TestCodingsThatWereAskedFor(t *testing.T) {
	s := open(t, httpcache.Options{})
	defer closing(t, s)
	rt := httpcache.New(origin(func(req *http.Request) (*http.Response, error) {
		return answer(req, 0, "Cache-Control: max-age=1000", "for "+req.Header.Get("Accept-Encoding")), nil
	}), s, "t")
	for range 2 {
		for _, codings := range []string{"gzip", "", "identity", "gzip, br"} {
			lines := ""
			if codings != "" {
				lines = "Accept-Encoding: " + codings + "\n"
			}
			g := send(t, rt, request(t, "GET", url, lines))
			must(t, g.body == "for "+codings, "%q: %q", codings, g.body)
		}
	}
	must(t, s.Stats().Hits == 4, "%+v", s.Stats())
}

// tooLate is an error of a limit of time.
type tooLate struct{ n int64 }

func (e tooLate) Error() string { return fmt.Sprint("too late ", e.n) }
func (tooLate) Timeout() bool   { return true }

// Who has waited for what did not come in time does not begin to wait anew.
func TestOneWaitForAll(t *testing.T) {
	for name, body := range map[string]bool{"no answer": false, "a body that stops": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, httpcache.Options{})
				defer closing(t, s)
				var asked atomic.Int64
				rt := httpcache.New(origin(func(req *http.Request) (*http.Response, error) {
					n := asked.Add(1)
					if !body {
						wait(time.Minute)
						return nil, fmt.Errorf("wrapped: %w", tooLate{n})
					}
					resp := answer(req, 0, keep, "abc")
					resp.Body = &stopping{after: time.Minute, err: tooLate{n}}
					return resp, nil
				}), s, "t")
				var group sync.WaitGroup
				began := time.Now()
				for range 5 {
					group.Go(func() {
						_, err := try(rt, request(t, "GET", url, ""))
						must(t, errors.Is(err, tooLate{1}), "%v", err)
						must(t, time.Since(began) == time.Minute, "after %s", time.Since(began))
					})
				}
				group.Wait()
				must(t, asked.Load() == 1, "asked %d times", asked.Load())
			})
		})
	}
}

// stopping is a body that fails after some time.
type stopping struct {
	after time.Duration
	err   error
}

func (s *stopping) Read([]byte) (int, error) {
	wait(s.after)
	return 0, s.err
}

func (*stopping) Close() error { return nil }
