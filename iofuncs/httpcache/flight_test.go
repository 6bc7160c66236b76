package httpcache_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pappus/iofuncs/httpcache"
)

const url = "http://example.com/"

// paced is an origin whose bodies arrive when the test says so.
type paced struct {
	reply  string
	length int64         // announced; -1: none is
	head   chan struct{} // closed: heads are answered at once
	parts  chan []byte
	asked  atomic.Int64
	ended  atomic.Int64 // requests whose context has ended
	proto  int
}

func newPaced(reply string, length int64) *paced {
	return &paced{reply: reply, length: length, head: make(chan struct{}), parts: make(chan []byte, 100), proto: 2}
}

func (p *paced) RoundTrip(req *http.Request) (*http.Response, error) {
	p.asked.Add(1)
	context.AfterFunc(req.Context(), func() { p.ended.Add(1) })
	select {
	case <-p.head:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	resp := answer(req, 0, p.reply, "")
	resp.Header.Del("Content-Length")
	resp.ProtoMajor, resp.ContentLength = p.proto, p.length
	resp.Body = &slow{parts: p.parts, ctx: req.Context(), length: p.length}
	return resp, nil
}

// bubble runs a test with a store and an origin.
func bubble(t *testing.T, o httpcache.Options, p *paced, test func(t *testing.T, s *httpcache.Store, rt http.RoundTripper)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p.head, p.parts = make(chan struct{}), make(chan []byte, 100) // the bubble's
		s := open(t, o)
		test(t, s, httpcache.New(p, s, "t"))
		closing(t, s)
		st := s.Stats()
		if st.Flights != 0 {
			t.Errorf("%d flights are left", st.Flights)
		}
	})
}

// ask makes a request in a goroutine.
func ask(t *testing.T, rt http.RoundTripper, req *http.Request) func() (got, error) {
	t.Helper()
	type outcome struct {
		got
		err error
	}
	c := make(chan outcome, 1)
	go func() {
		g, err := try(rt, req)
		c <- outcome{g, err}
	}()
	synctest.Wait()
	return func() (got, error) {
		o := <-c
		return o.got, o.err
	}
}

const keep = "Cache-Control: max-age=60"

func TestBodiesAreStreamed(t *testing.T) {
	bubble(t, httpcache.Options{}, newPaced(keep, 5), func(t *testing.T, s *httpcache.Store, rt http.RoundTripper) {
		p := httpcacheOrigin(rt, t)
		close(p.head)
		resp, err := rt.RoundTrip(request(t, "GET", url, ""))
		if err != nil {
			t.Fatal(err)
		}
		p.parts <- []byte("abc")
		buf := make([]byte, 10)
		n, err := resp.Body.Read(buf)
		must(t, string(buf[:n]) == "abc" && err == nil, "the beginning: %q %v", buf[:n], err)
		must(t, s.Stats().Entries == 0, "it is kept before it is complete")
		p.parts <- []byte("de")
		// Two bytes and not the end: who knows how many there are may stop here.
		n, err = io.ReadFull(resp.Body, buf[:2])
		must(t, string(buf[:n]) == "de" && err == nil, "the rest: %q %v", buf[:n], err)
		close(p.parts)
		synctest.Wait()
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = resp.Body.Read(buf)
		must(t, err != nil, "a closed body can be read")
		g := send(t, rt, request(t, "GET", url, ""))
		must(t, g.what() == "hit" && g.body == "abcde", "%s %q", g.what(), g.body)
	})
}

func TestLeaderThatGoes(t *testing.T) {
	for _, at := range []string{"head", "body", "closed"} {
		t.Run(at, func(t *testing.T) {
			bubble(t, httpcache.Options{}, newPaced(keep, 3), func(t *testing.T, s *httpcache.Store, rt http.RoundTripper) {
				p := httpcacheOrigin(rt, t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if at != "head" {
					close(p.head)
				}
				var first func() (got, error)
				if at == "closed" {
					resp, err := rt.RoundTrip(request(t, "GET", url, "").WithContext(ctx))
					if err != nil {
						t.Fatal(err)
					}
					if err := resp.Body.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					first = ask(t, rt, request(t, "GET", url, "").WithContext(ctx))
				}
				cancel()
				if first != nil {
					_, err := first()
					must(t, errors.Is(err, context.Canceled), "the first one got %v", err)
				}
				synctest.Wait()
				must(t, p.ended.Load() == 1, "the request goes on")
				must(t, s.Stats().Entries == 0, "half an answer is kept")
			})
		})
	}
}

func TestOthersStay(t *testing.T) {
	for _, at := range []string{"head", "body"} {
		t.Run(at, func(t *testing.T) {
			bubble(t, httpcache.Options{}, newPaced(keep, 3), func(t *testing.T, s *httpcache.Store, rt http.RoundTripper) {
				p := httpcacheOrigin(rt, t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				first := ask(t, rt, request(t, "GET", url, "").WithContext(ctx))
				second := ask(t, rt, request(t, "GET", url, "Traceparent: x"))
				gone, goes := context.WithCancel(t.Context())
				third := ask(t, rt, request(t, "GET", url, "").WithContext(gone))
				goes()
				_, err := third()
				must(t, errors.Is(err, context.Canceled), "the third one got %v", err)
				if at == "body" {
					close(p.head)
					synctest.Wait()
				}
				cancel()
				_, err = first()
				must(t, errors.Is(err, context.Canceled), "the first one got %v", err)
				if at == "head" {
					close(p.head)
				}
				p.parts <- []byte("abc")
				close(p.parts)
				g, err := second()
				must(t, err == nil && g.body == "abc" && g.what() == "miss collapsed", "the second one got %q, %s, %v", g.body, g.what(), err)
				must(t, p.asked.Load() == 1, "the origin was asked %d times", p.asked.Load())
			})
		})
	}
}

// Someone who waits must not need the first one to read.
func TestSlowLeaderHoldsNobodyUp(t *testing.T) {
	bubble(t, httpcache.Options{}, newPaced(keep, -1), func(t *testing.T, s *httpcache.Store, rt http.RoundTripper) {
		p := httpcacheOrigin(rt, t)
		close(p.head)
		resp, err := rt.RoundTrip(request(t, "GET", url, ""))
		if err != nil {
			t.Fatal(err)
		}
		second := ask(t, rt, request(t, "GET", url, ""))
		large := bytes.Repeat([]byte("x"), 1<<20)
		p.parts <- large
		close(p.parts)
		g, err := second()
		must(t, err == nil && g.body == string(large) && g.what() == "miss collapsed", "the second one got %d bytes, %s, %v", len(g.body), g.what(), err)
		body, err := io.ReadAll(resp.Body)
		must(t, err == nil && bytes.Equal(body, large), "the first one got %d bytes, %v", len(body), err)
		must(t, resp.Body.Close() == nil, "it can't be closed")
	})
}

// What nobody asks for is not read.
func TestUnreadBodiesStop(t *testing.T) {
	bubble(t, httpcache.Options{}, newPaced(keep, -1), func(t *testing.T, s *httpcache.Store, rt http.RoundTripper) {
		p := httpcacheOrigin(rt, t)
		close(p.head)
		resp, err := rt.RoundTrip(request(t, "GET", url, ""))
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			p.parts <- make([]byte, 16<<10)
		}
		synctest.Wait()
		must(t, len(p.parts) >= 40, "%d of 50 parts are left", len(p.parts))
		must(t, resp.Body.Close() == nil, "it can't be closed")
		synctest.Wait()
		must(t, s.Stats().Bytes == 0 && s.Stats().Abandoned == 1, "%+v", s.Stats())
	})
}

func TestCollapsing(t *testing.T) {
	tests := []struct {
		name   string
		reply  string
		second string // lines of the other requests
		asked  int64
	}{
		{"equal", keep, "", 1},
		{"spans differ", keep, "Traceparent: 1", 1},
		{"others", keep, "Accept: x", 10},
		{"not to be kept", "Cache-Control: no-store", "", 10},
		{"to be validated at once", "Cache-Control: no-cache\nEtag: \"a\"", "", 10},
		{"stale at once", "Cache-Control: max-age=0\nEtag: \"a\"", "", 10},
		{"no answer from before", keep, "Cache-Control: no-cache", 10},
		{"a HEAD", keep, "HEAD", 10},
		{"with conditions", keep, "If-None-Match: \"a\"", 10},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p := newPaced(c.reply, 3)
			bubble(t, httpcache.Options{}, p, func(t *testing.T, s *httpcache.Store, rt http.RoundTripper) {
				waiting := []func() (got, error){ask(t, rt, request(t, "GET", url, ""))}
				for i := range 9 {
					method, lines := "GET", c.second
					if lines == "HEAD" {
						method, lines = "HEAD", ""
					}
					if strings.HasSuffix(lines, ": x") {
						lines += fmt.Sprint(i)
					}
					waiting = append(waiting, ask(t, rt, request(t, method, url, lines)))
				}
				close(p.head)
				go func() {
					for range 10 {
						p.parts <- []byte("abc")
					}
				}()
				collapsed := 0
				for i, w := range waiting {
					g, err := w()
					must(t, err == nil && (g.body == "abc"), "request %d: %q %v", i, g.body, err)
					if g.said.Collapsed {
						collapsed++
					}
				}
				must(t, p.asked.Load() == c.asked, "the origin was asked %d times, want %d", p.asked.Load(), c.asked)
				must(t, int64(collapsed) == 10-c.asked && s.Stats().Collapsed == uint64(collapsed), "%d collapsed; %+v", collapsed, s.Stats())
			})
		})
	}
}

func TestErrorsAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, httpcache.Options{})
		defer closing(t, s)
		var asked atomic.Int64
		rt := httpcache.New(origin(func(*http.Request) (*http.Response, error) {
			n := asked.Add(1)
			wait(time.Second)
			return nil, fmt.Errorf("error %d", n)
		}), s, "t")
		var texts sync.Map
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() {
				_, err := try(rt, request(t, "GET", url, ""))
				texts.Store(fmt.Sprint(err), true)
			})
		}
		group.Wait()
		n := 0
		texts.Range(func(any, any) bool { n++; return true })
		must(t, n == 5 && asked.Load() == 5, "%d errors of %d requests", n, asked.Load())
	})
}

func TestTooLarge(t *testing.T) {
	const largest = 50_000
	for _, c := range []struct{ length, announced int }{{100_000, -1}, {100_000, 100_000}, {largest + 1, -1}, {largest, -1}, {largest, largest}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, httpcache.Options{Memory: 1 << 20, Largest: largest})
				defer closing(t, s)
				var asked atomic.Int64
				rt := httpcache.New(origin(func(req *http.Request) (*http.Response, error) {
					asked.Add(1)
					wait(time.Second)
					resp := answer(req, 0, keep, strings.Repeat("x", c.length))
					resp.ContentLength, resp.ProtoMajor = int64(c.announced), 2
					return resp, nil
				}), s, "t")
				first := ask(t, rt, request(t, "GET", url, ""))
				second := ask(t, rt, request(t, "GET", url, ""))
				for _, w := range []func() (got, error){first, second} {
					g, err := w()
					must(t, err == nil && len(g.body) == c.length, "%d bytes, %v", len(g.body), err)
				}
				st := s.Stats()
				if c.length > largest {
					must(t, asked.Load() == 2 && st.Entries == 0 && st.Bytes == 0, "asked %d times, %+v", asked.Load(), st)
				} else {
					must(t, asked.Load() == 1 && st.Entries == 1, "asked %d times, %+v", asked.Load(), st)
				}
			})
		})
	}
}

func TestNoRoomWhileItArrives(t *testing.T) {
	p := newPaced(keep, -1)
	bubble(t, httpcache.Options{Memory: 100_000, Largest: 50_000}, p, func(t *testing.T, s *httpcache.Store, rt http.RoundTripper) {
		close(p.head)
		var bodies []io.Closer
		for i := range 20 {
			resp, err := rt.RoundTrip(request(t, "GET", fmt.Sprint(url, i), "")) //nolint:bodyclose // all at once, below
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, resp.Body)
			p.parts <- make([]byte, 9_000)
			synctest.Wait()
			must(t, s.Stats().Bytes <= 100_000, "%d bytes are held", s.Stats().Bytes)
		}
		for _, b := range bodies {
			must(t, b.Close() == nil, "it can't be closed")
		}
		synctest.Wait()
		must(t, s.Stats().Bytes == 0 && s.Stats().Abandoned == 20, "%+v", s.Stats())
	})
}

// What the round tripper below does wrong is an error of the request's, or nothing.
func TestRoundTripperThatFails(t *testing.T) {
	s := open(t, httpcache.Options{})
	defer closing(t, s)
	rt := httpcache.New(origin(func(*http.Request) (*http.Response, error) { panic("oops") }), s, "t")
	_, err := try(rt, request(t, "GET", url, ""))
	must(t, err != nil && strings.Contains(err.Error(), "oops"), "%v", err)
	rt = httpcache.New(origin(func(req *http.Request) (*http.Response, error) {
		resp := answer(req, http.StatusNoContent, keep, "")
		resp.Body = nil
		return resp, nil
	}), s, "t")
	for _, want := range []string{"miss stored", "hit"} {
		g := send(t, rt, request(t, "GET", url, ""))
		must(t, g.what() == want && g.body == "", "%s %q", g.what(), g.body)
	}
}

func TestLargeHeader(t *testing.T) {
	s := open(t, httpcache.Options{Memory: 100_000, Largest: 10_000})
	defer closing(t, s)
	rt := httpcache.New(origin(func(req *http.Request) (*http.Response, error) {
		lines := keep
		if req.URL.Path == "/large" {
			lines += "\nFoo: " + strings.Repeat("x", 200_000)
		}
		return answer(req, 0, lines, "abc"), nil
	}), s, "t")
	for path, want := range map[string]string{"a": "miss stored", "large": "miss"} {
		g := send(t, rt, request(t, "GET", url+path, ""))
		must(t, g.what() == want, "%s: %s", path, g.what())
	}
	must(t, s.Stats().Entries == 1 && s.Stats().Evicted == 0, "%+v", s.Stats())
}

func TestInvalidatedWhileItArrives(t *testing.T) {
	p := newPaced(keep, 3)
	bubble(t, httpcache.Options{}, p, func(t *testing.T, s *httpcache.Store, rt http.RoundTripper) {
		first := ask(t, rt, request(t, "GET", url, ""))
		second := ask(t, rt, request(t, "GET", url, ""))
		close(p.head)
		synctest.Wait() // the body of the first one is to come
		resp, err := rt.RoundTrip(request(t, "DELETE", url, ""))
		if err != nil {
			t.Fatal(err)
		}
		must(t, resp.Body.Close() == nil, "it can't be closed")
		third := ask(t, rt, request(t, "GET", url, "")) // it must not join those before
		p.parts <- []byte("old")
		synctest.Wait()
		must(t, s.Stats().Entries == 0, "something from before is kept")
		p.parts <- []byte("new")
		for i, w := range []func() (got, error){first, second, third} {
			g, err := w()
			must(t, err == nil && (g.body == "old") == (i < 2), "request %d: %q, %v", i+1, g.body, err)
		}
		must(t, p.asked.Load() == 3, "asked %d times", p.asked.Load())
		g := send(t, rt, request(t, "GET", url, ""))
		must(t, g.body == "new" && g.what() == "hit", "%q is kept: %s", g.body, g.what())
	})
}

func TestClose(t *testing.T) {
	p := newPaced(keep, 3)
	bubble(t, httpcache.Options{}, p, func(t *testing.T, s *httpcache.Store, rt http.RoundTripper) {
		first := ask(t, rt, request(t, "GET", url, ""))
		closing(t, s)
		_, err := first()
		must(t, err != nil, "there is an answer after Close")
		_, err = try(rt, request(t, "GET", url, ""))
		must(t, errors.Is(err, httpcache.ErrClosed), "%v", err)
		must(t, s.Close() == nil, "it can't be closed again")
	})
}

// httpcacheOrigin is the origin of the bubble's transport.
func httpcacheOrigin(rt http.RoundTripper, t *testing.T) *paced {
	t.Helper()
	tr, ok := rt.(*httpcache.Transport)
	if !ok {
		t.Fatal("another transport")
	}
	p, ok := httpcache.NextOf(tr).(*paced)
	if !ok {
		t.Fatal("another origin")
	}
	return p
}

func TestMoreThanAnnounced(t *testing.T) {
	s := open(t, httpcache.Options{})
	defer closing(t, s)
	rt := httpcache.New(origin(func(req *http.Request) (*http.Response, error) {
		resp := answer(req, 0, keep, "abc")
		resp.ContentLength = 2
		return resp, nil
	}), s, "t")
	g, err := try(rt, request(t, "GET", url, ""))
	must(t, err != nil && g.body == "ab", "%q, %v", g.body, err)
	must(t, s.Stats().Entries == 0, "it is kept")
}

// Answers of real servers that are not what they seem.
func TestIncomplete(t *testing.T) {
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(c, text)
			if tcp, ok := c.(*net.TCPConn); ok && strings.Contains(text, "reset") {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(bytes.Repeat([]byte("text "), 1000))
	_ = z.Close()
	head := "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
	tests := []struct {
		name    string
		handler http.HandlerFunc
		kept    bool
		fails   bool
	}{
		{"whole", raw(head + "Content-Length: 3\r\n\r\nabc"), true, false},
		{"shorter than announced", raw(head + "Content-Length: 4\r\n\r\nabc"), false, true},
		{"chunks", raw(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), true, false},
		{"chunks that end early", raw(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), false, true},
		{"a chunk that ends early", raw(head + "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"), false, true},
		{"ends with the connection", raw(head + "\r\nabc"), false, false},
		{"HTTP/1.0", raw(strings.Replace(head, "1.1", "1.0", 1) + "\r\nabc"), false, false},
		{"reset", raw(head + "Content-Length: 10\r\n\r\nreset"), false, true},
		{"empty", raw(head + "Content-Length: 0\r\n\r\n"), true, false},
		{"no content", raw("HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\n\r\n"), true, false},
		{"gzip", raw(head + "Content-Encoding: gzip\r\nContent-Length: " + fmt.Sprint(zipped.Len()) + "\r\n\r\n" + zipped.String()), true, false},
		{"gzip that ends early", raw(head + "Content-Encoding: gzip\r\nContent-Length: 30\r\n\r\n" + zipped.String()[:30]), false, true},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			next := &http.Transport{}
			defer next.CloseIdleConnections()
			s := open(t, httpcache.Options{})
			defer closing(t, s)
			rt := httpcache.New(next, s, "t")
			first, err := try(rt, request(t, "GET", server.URL, ""))
			must(t, (err != nil) == c.fails, "error %v", err)
			must(t, s.Stats().Entries == 1 == c.kept, "%d entries", s.Stats().Entries)
			if c.kept {
				g := send(t, rt, request(t, "GET", server.URL, ""))
				must(t, g.what() == "hit" && g.body == first.body && g.StatusCode == first.StatusCode && g.Uncompressed == first.Uncompressed, "%s: %q after %q", g.what(), g.body, first.body)
			}
		})
	}
}
