package httpio_test

import (
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pappus/data"
	"pappus/iofuncs"
	"pappus/iofuncs/egress"
	"pappus/iofuncs/egress/egresstest"
	"pappus/iofuncs/httpcache"
	"pappus/iofuncs/httpio"
)

// withCache puts a cache between, which is closed after the client that is made.
func withCache(t testing.TB, config *httpio.Config) *httpcache.Store {
	t.Helper()
	store, err := httpcache.Open(httpcache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	config.Through = func(tenant string, next http.RoundTripper) http.RoundTripper {
		return httpcache.New(next, store, tenant)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// Answers are used again as their servers and the items say, and it is told where
// each came from.
func TestCache(t *testing.T) {
	var asked atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		w.Header().Set("Cache-Control", "max-age=1000")
		switch r.URL.Path {
		case "/tag":
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Etag", `"a"`)
			if r.Header.Get("If-None-Match") == `"a"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		case "/away":
			w.Header().Set("Cache-Control", "max-age=0, stale-if-error=1000")
			if n > 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/language":
			w.Header().Set("Vary", "Accept-Language")
			write(w, r.Header.Get("Accept-Language"))
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			write(z, strings.Repeat("body", 10000))
			_ = z.Close() // the client sees what is missing
			return
		case "/to":
			http.Redirect(w, r, "/target", http.StatusMovedPermanently)
			return
		case "/private":
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusMovedPermanently)
			return
		}
		write(w, "body")
	})
	type step struct {
		method, fields, want string // want: the state, times asked by then, attempts and the status
	}
	for path, steps := range map[string][]step{
		"/plain": {
			{"GET", "", "miss 1 1 200"}, {"GET", "", "hit 1 1 200"}, {"HEAD", "", "hit 1 1 200"},
			{"GET", "Cache-Control: no-store\n", " 2 1 200"}, {"GET", "Cache-Control: no-cache\n", "miss 3 1 200"},
			{"GET", "Cache-Control: only-if-cached\n", "hit 3 1 200"}, {"GET", "Authorization: a\n", "miss 4 1 200"},
			{"POST", "", " 5 1 200"}, {"GET", "", "miss 6 1 200"}, {"GET", "Range: bytes=0-1\n", " 7 1 200"},
		},
		"/not":      {{"GET", "Cache-Control: only-if-cached\n", "miss 0 1 504"}},
		"/tag":      {{"GET", "", "miss 1 1 200"}, {"GET", "", "revalidated 2 1 200"}},
		"/away":     {{"GET", "", "miss 1 1 200"}, {"GET", "", "stale 2 1 200"}},
		"/busy":     {{"GET", "", "hit 1 2 503"}, {"GET", "", "hit 1 1 503"}}, // to ask what is kept again is of no use
		"/language": {{"GET", "Accept-Language: de\n", "miss 1 1 200"}, {"GET", "Accept-Language: fr\n", "miss 2 1 200"}, {"GET", "Accept-Language: de\n", "hit 2 1 200"}},
		"/gzip":     {{"GET", "", "miss 1 1 200"}, {"GET", "", "hit 1 1 200"}},
		"/to":       {{"GET", "", "miss 2 1 200"}, {"GET", "", "hit 2 1 200"}},
		"/private":  {{"GET", "", " 1 1 0"}, {"GET", "", " 1 1 0"}},
	} {
		t.Run(path, func(t *testing.T) {
			config := config(t)
			withCache(t, &config)
			var seen iofuncs.Exchange
			config.Ended = func(e iofuncs.Exchange) { seen = e }
			c := newClient(t, config)
			asked.Store(0)
			for i, step := range steps {
				head, body, err := do(t, c, step.method+" "+s.URL+path+" HTTP/1.1\n"+step.fields+"\n")
				if path == "/private" { // the hop that is kept is judged again
					wantFault(t, err, iofuncs.KindRefused, "loopback")
				} else if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(seen.Cache, " ", asked.Load(), seen.Attempts, seen.Status); got != step.want {
					t.Errorf("%d: %q, want %q: %s", i, got, step.want, head)
				}
				if path == "/gzip" && (len(body) != 40000 || strings.Contains(head, "Content-Encoding")) {
					t.Errorf("%d: %d bytes: %s", i, len(body), head)
				}
				if seen.Received != int64(len(body)) {
					t.Errorf("%d: %d bytes are told of, there are %d", i, seen.Received, len(body))
				}
			}
		})
	}
}

// What a server says of a cache is nothing that counts where there is none.
func TestNoCache(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Status", "pappus; hit")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	config := config(t)
	var seen iofuncs.Exchange
	config.Ended = func(e iofuncs.Exchange) { seen = e }
	if _, _, err := do(t, newClient(t, config), get(s.URL)); err != nil || seen.Cache != iofuncs.CacheNone || seen.Attempts != 3 {
		t.Errorf("%+v, %v", seen, err)
	}
}

// One answer is for all who ask at once, also if the one who caused the request goes
// away; and it has to come in time all the same.
func TestOneAnswerForMany(t *testing.T) {
	const many = 20
	var asked atomic.Int64
	release, began := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(began) })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		begin()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.Header().Set("Cache-Control", "max-age=1000")
		write(w, "body")
	})
	config := config(t)
	store := withCache(t, &config)
	c := newClient(t, config)
	first, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := call(first, c, "HTTP", nil, get(s.URL)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	<-began
	for range many {
		all.Go(func() {
			if _, body, err := do(t, c, get(s.URL)); err != nil || body != "body" {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
	cancel() // if nobody waits yet, the request ends with it, and another one is made
	close(release)
	all.Wait()
	if stats := store.Stats(); asked.Load() > 2 || stats.Hits+stats.Collapsed < many-1 {
		t.Errorf("asked %d times: %+v", asked.Load(), stats)
	}
}

// Who waited for another's answer that did not come in time does not wait as long again.
func TestOneWaitForMany(t *testing.T) {
	for name, beginning := range map[string]string{
		"no answer": "", "a body that stops": "HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\nContent-Length: 99\r\n\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			const many = 20
			var asked atomic.Int64
			release := make(chan struct{})
			url := raw(t, func(conn net.Conn) {
				asked.Add(1)
				write(conn, beginning)
				<-release
			})
			config := config(t)
			config.Limits.Response, config.Limits.Idle = time.Second, time.Second
			config.Limits.AtOnce = many
			withCache(t, &config)
			c := newClient(t, config)
			var all sync.WaitGroup
			for range many {
				all.Go(func() {
					_, _, err := do(t, c, get(url))
					wantFault(t, err, iofuncs.KindTimeout, "")
				})
			}
			all.Wait()
			close(release)
			if asked.Load() > many/2 { // one, unless some began only when others had ended
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
}

// Who asks for codings gets what is sent, and nobody else does.
func TestCodingsAndTheCache(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=1000")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		_, _ = z.Write([]byte("plain")) // a client that leaves is told of elsewhere
	})
	config := config(t)
	store := withCache(t, &config)
	c := newClient(t, config)
	for range 2 {
		if _, body, err := do(t, c, "GET "+s.URL+" HTTP/1.1\nAccept-Encoding: gzip\n\n"); err != nil || !strings.HasPrefix(body, "\x1f\x8b") {
			t.Errorf("%q, %v", body, err)
		}
		if _, body, err := do(t, c, get(s.URL)); err != nil || body != "plain" {
			t.Errorf("%q, %v", body, err)
		}
	}
	if stats := store.Stats(); stats.Hits != 2 {
		t.Errorf("%+v", stats)
	}
}

// What is fetched for nobody in particular has to come in time too.
func TestRevalidationsEnd(t *testing.T) {
	var asked atomic.Int64
	url := raw(t, func(conn net.Conn) {
		if asked.Add(1) == 1 {
			write(conn, "HTTP/1.1 200 OK\r\nCache-Control: max-age=0, stale-while-revalidate=1000\r\nContent-Length: 4\r\n\r\nbody")
			return
		}
		write(conn, "HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\nContent-Length: 99999\r\n\r\n")
		for write(conn, "x") { // it gets there in a day
			runtime.Gosched()
		}
	})
	config := config(t)
	config.Limits.Total = 200 * time.Millisecond
	store := withCache(t, &config)
	c := newClient(t, config)
	for i := range 2 {
		if _, body, err := do(t, c, get(url)); err != nil || body != "body" {
			t.Fatalf("%d: %q, %v", i, body, err)
		}
	}
	for stats := store.Stats(); stats.Flights > 0 || stats.Stored+stats.Abandoned < 2; stats = store.Stats() {
		runtime.Gosched()
	}
}

// states are those of a server's connections.
type states struct {
	mu   sync.Mutex
	cond sync.Cond
	all  map[net.Conn]http.ConnState
}

func (s *states) set(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[conn] = state
	s.cond.Broadcast()
}

// await waits until so many are in a state.
func (s *states) await(state http.ConnState, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		n := 0
		for _, is := range s.all {
			if is == state {
				n++
			}
		}
		if n == count {
			return
		}
		s.cond.Wait()
	}
}

// watched is a server whose connections can be waited for.
func watched(t testing.TB, h http.HandlerFunc) (*httptest.Server, *states) {
	t.Helper()
	s := &states{all: map[net.Conn]http.ConnState{}}
	s.cond.L = &s.mu
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnState = s.set
	server.Start()
	t.Cleanup(server.Close)
	return server, s
}

// Rules that change hold from then on, and connections that were made before are
// used by nobody.
func TestReload(t *testing.T) {
	release, began := make(chan struct{}), make(chan struct{})
	s, states := watched(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			<-release
		}
		write(w, "body")
	})
	open := config(t)
	c := newClient(t, open)
	if _, _, err := do(t, c, get(s.URL)); err != nil {
		t.Fatal(err)
	}
	states.await(http.StateIdle, 1)
	c.Reload(httpio.Rules{})
	states.await(http.StateClosed, 1)
	_, _, err := do(t, c, get(s.URL))
	wantFault(t, err, iofuncs.KindRefused, "loopback")
	c.Reload(open.Rules)
	var all sync.WaitGroup
	all.Go(func() {
		if _, body, err := do(t, c, get(s.URL+"/slow")); err != nil || body != "body" {
			t.Errorf("%q, %v", body, err)
		}
	})
	<-began
	c.Reload(httpio.Rules{}) // what has begun goes on, and its connection is not used again
	close(release)
	all.Wait()
	states.await(http.StateClosed, 2)
}

// Each hop of a redirect, and each attempt, is judged by the rules of its moment.
func TestReloadMeanwhile(t *testing.T) {
	var c *httpio.Client
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c.Reload(httpio.Rules{})
		if r.URL.Path == "/hop" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for _, path := range []string{"/hop", "/attempt"} {
		c = newClient(t, config(t))
		_, _, err := do(t, c, get(s.URL+path))
		wantFault(t, err, iofuncs.KindRefused, "loopback")
	}
}

// A tenant that asks for nothing any more keeps nothing.
func TestUnusedTenants(t *testing.T) {
	release, began := make(chan struct{}), make(chan struct{})
	s, states := watched(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			<-release
		}
		write(w, "body")
	})
	c := newClient(t, config(t))
	ask := func(tenant, url string) error {
		in := data.Set{Name: "requests", Items: []*data.Item{data.NewItem("r0", 0, []byte(url))}}
		_, err := c.Functions()[1].Call(t.Context(), iofuncs.NewRequest(tenant, []data.Set{in}, nil))
		return err
	}
	const tenants = 100
	for i := range tenants {
		if err := ask(fmt.Sprint("t", i), s.URL); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := ask("busy", s.URL+"/slow"); err != nil {
			t.Error(err)
		}
	})
	<-began
	states.await(http.StateIdle, tenants)
	if n := httpio.Ways(c); n != tenants+1 {
		t.Errorf("%d tenants", n)
	}
	httpio.Unused(c)
	states.await(http.StateClosed, tenants)
	for httpio.Ways(c) > 1 { // one request goes on
		runtime.Gosched()
	}
	close(release)
	all.Wait()
	if err := ask("busy", s.URL); err != nil || httpio.Ways(c) != 1 {
		t.Errorf("%d tenants, %v", httpio.Ways(c), err)
	}
	if err := ask("t1", s.URL); err != nil {
		t.Error(err)
	}
}

// Policies are each tenant's own.
func TestPolicyOfTenant(t *testing.T) {
	config := config(t)
	open := config.Policy
	config.Policy = func(tenant string) *egress.Policy {
		if tenant == "default" {
			return open(tenant)
		}
		return nil
	}
	store := withCache(t, &config)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=1000")
		write(w, "body")
	})
	c := newClient(t, config)
	in := data.Set{Name: "requests", Items: []*data.Item{data.NewItem("r0", 0, []byte(s.URL))}}
	for range 2 {
		if _, err := c.Functions()[1].Call(t.Context(), iofuncs.NewRequest("default", []data.Set{in}, nil)); err != nil {
			t.Error(err)
		}
		_, err := c.Functions()[1].Call(t.Context(), iofuncs.NewRequest("other", []data.Set{in}, nil))
		wantFault(t, err, iofuncs.KindRefused, "loopback")
	}
	if stats := store.Stats(); stats.Hits != 1 {
		t.Errorf("%+v", stats)
	}
}

// Requests of both kinds go by a proxy that is told addresses, and connections by one
// that has gone are not used any more.
func TestProxy(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) { write(w, r.Host+" "+r.URL.String()) }
	plain := serve(t, answer)
	secure := httptest.NewTLSServer(http.HandlerFunc(answer))
	t.Cleanup(secure.Close)
	config := config(t)
	config.Roots = x509.NewCertPool()
	config.Roots.AddCert(secure.Certificate())
	config.Resolver = egresstest.Resolver(func(name string) []netip.Addr {
		if name == "example.com" { // which is in the certificate
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	})
	proxy := egresstest.NewProxy(t, nil)
	var err error
	if config.Proxy, err = egress.NewProxy(proxy.URL, "user:secret"); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, config)
	for _, url := range []string{plain.URL, secure.URL} {
		url = strings.Replace(url, "127.0.0.1", "example.com", 1)
		_, host, _ := strings.Cut(url, "://")
		for range 2 { // the second one by the same connection
			if _, body, err := do(t, c, get(url+"/x?y")); err != nil || body != host+" /x?y" {
				t.Errorf("%s: %q, %v", url, body, err)
			}
		}
	}
	const credentials = " Basic dXNlcjpzZWNyZXQ="
	if asked := proxy.Asked(); len(asked) != 2 || asked[0] != plain.Listener.Addr().String()+credentials || asked[1] != secure.Listener.Addr().String()+credentials {
		t.Errorf("the proxy is asked for %q", asked)
	}
	_, _, err = do(t, c, get("http://inside.example/"))
	wantFault(t, err, iofuncs.KindRefused, "private")
	before := config.Rules
	config.Proxy = nil
	c.Reload(config.Rules)
	if _, _, err := do(t, c, get(plain.URL)); err != nil || len(proxy.Asked()) != 2 {
		t.Errorf("the proxy is asked for %q, %v", proxy.Asked(), err)
	}
	c.Reload(before)
	if _, _, err := do(t, c, get(plain.URL)); err != nil || len(proxy.Asked()) != 3 {
		t.Errorf("the proxy is asked for %q, %v", proxy.Asked(), err)
	}

	forbidding := egresstest.NewProxy(t, func(conn net.Conn, _ string) bool { return write(conn, "HTTP/1.1 403 No\r\n\r\n") })
	if config.Proxy, err = egress.NewProxy(forbidding.URL, "user:secret"); err != nil {
		t.Fatal(err)
	}
	c.Reload(config.Rules)
	_, _, err = do(t, c, get(plain.URL))
	wantFault(t, err, iofuncs.KindFailed, `the proxy that this server is set to use does not connect: it answers "403 No"`)

	asking := egresstest.NewProxy(t, func(conn net.Conn, _ string) bool {
		return write(conn, "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
	})
	if config.Proxy, err = egress.NewProxy(asking.URL, ""); err != nil {
		t.Fatal(err)
	}
	c.Reload(config.Rules)
	_, _, err = do(t, c, get(plain.URL))
	if said := (*iofuncs.Error)(nil); !errors.As(err, &said) || !strings.Contains(said.Hint, "--proxy-credentials") {
		t.Errorf("%v", err)
	}
}

// BenchmarkCacheHit is a call of one request that is answered from memory.
func BenchmarkCacheHit(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			content := make([]byte, size)
			s := serve(b, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", "max-age=1000")
				_, _ = w.Write(content) // the benchmark sees what is missing
			})
			config := config(b)
			store := withCache(b, &config)
			c := newClient(b, config)
			item := get(s.URL)
			if _, err := call(b.Context(), c, "HTTP", nil, item); err != nil {
				b.Fatal(err)
			}
			before := store.Stats().Hits
			b.ReportAllocs()
			n := uint64(0)
			for b.Loop() {
				n++
				if _, err := call(b.Context(), c, "HTTP", nil, item); err != nil {
					b.Fatal(err)
				}
			}
			if hits := store.Stats().Hits - before; hits != n {
				b.Errorf("%d hits of %d", hits, n)
			}
		})
	}
}
