package httpio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pappus/data"
	"pappus/iofuncs"
	"pappus/iofuncs/egress"
	"pappus/iofuncs/httpio"
)

func TestTryingAgain(t *testing.T) {
	for name, c := range map[string]struct {
		item   string // with URL for the server's
		answer string // of the first attempts; the later ones are 200
		times  int    // how often that is the answer
		want   string // the beginning of the header, or a part of the error
		asked  int64
	}{
		"get, reset":                    {"GET URL HTTP/1.1\n\n", "", 2, "HTTP/1.1 200", 3},
		"get, reset for good":           {"GET URL HTTP/1.1\n\n", "", 9, "EOF", 3},
		"get, reset within":             {"GET URL HTTP/1.1\n\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123", 1, "HTTP/1.1 200", 2},
		"put with its body":             {"PUT URL HTTP/1.1\n\nbody", "", 1, "HTTP/1.1 200", 2},
		"delete":                        {"DELETE URL HTTP/1.1\n\n", "", 1, "HTTP/1.1 200", 2},
		"post":                          {"POST URL HTTP/1.1\n\nbody", "", 1, "EOF", 1},
		"patch":                         {"PATCH URL HTTP/1.1\n\nbody", "", 1, "EOF", 1},
		"post that has a key":           {"POST URL HTTP/1.1\nIdempotency-Key: \"a\"\n\nbody", "", 1, "HTTP/1.1 200", 2},
		"post that asks for a key":      {"POST URL HTTP/1.1\nIdempotency-Key:\n\nbody", "", 1, "HTTP/1.1 200", 2},
		"503":                           {"GET URL HTTP/1.1\n\n", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 1, "HTTP/1.1 200", 2},
		"503 for good is an answer":     {"GET URL HTTP/1.1\n\n", "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 9, "HTTP/1.1 503 Busy", 3},
		"503 to a post":                 {"POST URL HTTP/1.1\n\n", "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", 9, "HTTP/1.1 503 Busy", 1},
		"429, now":                      {"GET URL HTTP/1.1\n\n", "HTTP/1.1 429 Many\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n", 2, "HTTP/1.1 200", 3},
		"429, since long":               {"GET URL HTTP/1.1\n\n", "HTTP/1.1 429 Many\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n", 1, "HTTP/1.1 200", 2},
		"429, much later":               {"GET URL HTTP/1.1\n\n", "HTTP/1.1 429 Many\r\nRetry-After: 99999999999999999\r\nContent-Length: 0\r\n\r\n", 1, "HTTP/1.1 429 Many", 1},
		"503, after all time is over":   {"GET URL HTTP/1.1\n\n", "HTTP/1.1 503 Busy\r\nRetry-After: 29\r\nContent-Length: 0\r\n\r\n", 1, "HTTP/1.1 503 Busy", 1},
		"500 is an answer":              {"GET URL HTTP/1.1\n\n", "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 9, "HTTP/1.1 500 No", 1},
		"what can't be read, once only": {"GET URL HTTP/1.1\n\n", "what?\r\n\r\n", 9, "malformed", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked, held atomic.Int64
			url := raw(t, func(conn net.Conn) {
				answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
				if asked.Add(1) <= int64(c.times) {
					answer = c.answer
				}
				write(conn, answer)
			})
			config := config(t)
			config.Limits.Total = 20 * time.Second
			var status, attempts int
			config.Ended = func(e iofuncs.Exchange) { status, attempts = e.Status, e.Attempts }
			sets, err := call(t.Context(), newClient(t, config), "HTTP", func(n int64) error {
				held.Add(n)
				return nil
			}, strings.Replace(c.item, "URL", url, 1))
			got := fmt.Sprint(err)
			if err == nil {
				got = string(sets["headers"][0].Bytes())
				if size := data.Size([]data.Set{{Items: sets["headers"]}, {Items: sets["bodies"]}}); held.Load() < size || held.Load() > size+size/8 {
					t.Errorf("%d bytes are charged for %d", held.Load(), size)
				}
			}
			if asked.Load() != c.asked || !strings.HasPrefix(got, c.want) && (err == nil || !strings.Contains(got, c.want)) {
				t.Errorf("asked %d times, want %d: %s", asked.Load(), c.asked, got)
			}
			if want := strings.HasPrefix(got, "HTTP/1.1 "+strconv.Itoa(status)); int64(attempts) != c.asked || want != (err == nil) {
				t.Errorf("%d attempts for the status %d are told of: %s", attempts, status, got)
			}
		})
	}
}

// between sees what goes through the seam for caches.
type between struct {
	next http.RoundTripper
	see  func(n int64, r *http.Request)
	n    atomic.Int64
}

func (b *between) RoundTrip(r *http.Request) (*http.Response, error) {
	b.see(b.n.Add(1), r)
	return b.next.RoundTrip(r)
}

// A server that is gone for a moment is asked again, with the same key.
func TestServerComesBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // it is gone
	var keys []string
	var back *http.Server
	config := config(t)
	config.Through = func(tenant string, next http.RoundTripper) http.RoundTripper {
		if tenant != "default" {
			t.Errorf("it is made for %q", tenant)
		}
		return &between{next: next, see: func(n int64, r *http.Request) {
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			if n != 2 {
				return
			}
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			back = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, "back") })} //nolint:gosec // it lives for a request
			go func() { _ = back.Serve(l) }()                                                                                 // it is closed
		}}
	}
	_, body, err := do(t, newClient(t, config), "POST http://"+address+"/ HTTP/1.1\nIdempotency-Key:\n\nx")
	if err != nil || body != "back" || len(keys) != 2 || keys[0] == "" || keys[0] != keys[1] {
		t.Errorf("%q, %q, %v", body, keys, err)
	}
	if back != nil {
		_ = back.Close() // nothing depends on it
	}
}

// Ten thousand requests of one call go on a few at a time, by as many connections and
// as many goroutines, and hold nothing but their answers.
func TestManyRequests(t *testing.T) {
	t.Run("plain", func(t *testing.T) { manyRequests(t, config(t)) })
	t.Run("cache", func(t *testing.T) {
		config := config(t)
		withCache(t, &config)
		manyRequests(t, config)
	})
}

func manyRequests(t *testing.T, config httpio.Config) {
	const count = 10_000
	var going, most, connections atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := going.Add(1)
		defer going.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		write(w, r.URL.RawQuery)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	items := make([]string, count)
	for i := range items {
		items[i] = s.URL + "/?" + strconv.Itoa(i)
	}
	var held, mostHeld, goroutines atomic.Int64
	c := newClient(t, config)
	sets, err := call(t.Context(), c, "system_HTTPGet", func(n int64) error {
		mostHeld.Store(max(mostHeld.Load(), held.Add(n)))
		goroutines.Store(max(goroutines.Load(), int64(runtime.NumGoroutine())))
		return nil
	}, items...)
	if err != nil || len(sets["bodies"]) != count {
		t.Fatalf("%d answers: %v", len(sets["bodies"]), err)
	}
	for i, it := range sets["bodies"] {
		if string(it.Bytes()) != strconv.Itoa(i) || it.Key() != uint32(i) {
			t.Fatalf("%d: %q", i, it.Bytes())
		}
	}
	limit := int64(httpio.DefaultLimits().AtOnce)
	if most.Load() > limit || connections.Load() > 2*limit || mostHeld.Load() > count*300 || goroutines.Load() > 20*limit {
		t.Errorf("%d at once, %d connections, %d goroutines, %d bytes", most.Load(), connections.Load(), goroutines.Load(), mostHeld.Load())
	}

	// One that fails ends the others.
	items[5] = "http://127.0.0.2/"
	_, err = call(t.Context(), c, "system_HTTPGet", nil, items...)
	if said := (*iofuncs.Error)(nil); !errors.As(err, &said) || said.Item != `requests: "r5", key 5` || said.Kind != iofuncs.KindRefused {
		t.Errorf("%v", err)
	}
}

// Memory is charged before it is taken; who gets no more gives up with that error.
func TestCharges(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < 1<<20 && write(w, strings.Repeat("x", 1<<16)); i++ {
		}
	})
	full := errors.New("full")
	var held, most int64
	_, err := call(t.Context(), newClient(t, config(t)), "HTTP", func(n int64) error {
		if held+n > 1<<20 {
			return full
		}
		held += n
		most = max(most, held)
		return nil
	}, get(s.URL))
	if !errors.Is(err, full) || most < 1<<19 {
		t.Errorf("%d bytes, %v", most, err)
	}
}

// A body may take all that outputs may hold; if it is larger than bodies are, that is
// what is said.
func TestBodyAsLargeAsOutputs(t *testing.T) {
	const most = 1 << 20
	size := most
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush() // so that nobody says how long it is
		write(w, strings.Repeat("x", size))
	})
	conf := config(t)
	conf.Limits.Body = most
	var held int64
	full := errors.New("full")
	charge := func(n int64) error {
		if held+n > most+1<<10 {
			return full
		}
		held += n
		return nil
	}
	sets, err := call(t.Context(), newClient(t, conf), "HTTP", charge, get(s.URL))
	if err != nil || sets["bodies"][0].Len() != most {
		t.Fatalf("%v", err)
	}
	size, held = 4*most, 0
	_, err = call(t.Context(), newClient(t, conf), "HTTP", charge, get(s.URL))
	wantFault(t, err, iofuncs.KindFailed, "larger than 1048576 bytes (http-limits body)")
	held = most / 2
	_, err = call(t.Context(), newClient(t, conf), "HTTP", charge, get(s.URL))
	if said := (*iofuncs.Error)(nil); !errors.Is(err, full) || !errors.As(err, &said) || said.Item != `requests: "r0", key 0` || said.Detail != "GET "+s.URL {
		t.Errorf("%v", err)
	}
}

// What other I/O functions connect to is judged by the rules of the moment, too.
func TestOwnFunctions(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { write(w, "here") })
	conf := config(t)
	allowed := conf.Rules
	c := newClient(t, conf)
	use := func(what string, allowed bool) {
		t.Helper()
		conn, err := c.Dial(t.Context(), "default", "tcp", s.Listener.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
		resp, failed := c.Transport("default").RoundTrip(req)
		if failed == nil {
			_ = resp.Body.Close()
		}
		for _, err := range []error{err, failed} {
			if refusal := (*egress.Refusal)(nil); (err == nil) != allowed || errors.As(err, &refusal) == allowed {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	use("allowed", true)
	c.Reload(httpio.Rules{})
	use("not any more", false)
	c.Reload(allowed)
	use("again", true)
}

// A call returns when its context ends, wherever it is.
func TestContextEnds(t *testing.T) {
	for name, before := range map[string]string{"before the header": "", "within the body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123", "between attempts": "HTTP/1.1 503 Busy\r\nRetry-After: 20\r\nContent-Length: 0\r\n\r\n"} {
		ctx, cancel := context.WithCancel(t.Context())
		url := raw(t, func(conn net.Conn) {
			write(conn, before)
			cancel()
			_, _ = conn.Read(make([]byte, 1)) // until the client has gone
		})
		if _, err := call(ctx, newClient(t, config(t)), "HTTP", nil, get(url), get(url)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// roundTrip is a function that answers.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What the items lie in is the caller's again when the call returns, also if who
// sends them has not noticed that there is an answer.
func TestInputsAreNotReadLater(t *testing.T) {
	var late io.Reader
	config := config(t)
	config.Through = func(string, http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			late = r.Body
			begin := make([]byte, 3)
			if _, err := io.ReadFull(late, begin); err != nil || string(begin) != "bod" {
				t.Errorf("%q, %v", begin, err)
			}
			return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", Body: io.NopCloser(strings.NewReader("ok"))}, nil
		})
	}
	if _, body, err := do(t, newClient(t, config), "POST http://a/ HTTP/1.1\n\nbody"); err != nil || body != "ok" {
		t.Errorf("%q, %v", body, err)
	}
	if n, err := late.Read(make([]byte, 9)); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%d bytes of the item were read later: %v", n, err)
	}
}

// No tenant's request goes over a connection that another's policy let be made.
func TestTenantsAreApart(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { write(w, "ok") })
	config := config(t)
	open := config.Policy
	config.Policy = func(tenant string) *egress.Policy {
		if tenant == "default" {
			return open(tenant)
		}
		return nil
	}
	c := newClient(t, config)
	in := data.Set{Name: "requests", Items: []*data.Item{data.NewItem("r0", 0, []byte(s.URL))}}
	var all sync.WaitGroup
	for _, tenant := range []string{"default", "other", "default", "other"} {
		all.Go(func() {
			_, err := c.Functions()[1].Call(t.Context(), iofuncs.NewRequest(tenant, []data.Set{in}, nil))
			if tenant == "default" && err != nil {
				t.Error(err)
			} else if tenant != "default" {
				wantFault(t, err, iofuncs.KindRefused, "loopback")
			}
		})
	}
	all.Wait()
}

func TestLimitsAreThere(t *testing.T) {
	if _, err := httpio.New(httpio.Config{}); err == nil {
		t.Error("a client without limits is made")
	}
}

// BenchmarkHTTP compares a call for each request with a bare client that makes the
// same, 64 at once: plain, and with a cache that finds nothing to keep. They take
// turns, and of each the best turn counts, so that whatever else the machine does
// meets all of them alike. Processor time counts too: server and client share it.
func BenchmarkHTTP(b *testing.B) {
	const atOnce, each = 64, 2000
	s := serve(b, func(w http.ResponseWriter, _ *http.Request) { write(w, "a small answer") })
	transport := &http.Transport{MaxIdleConnsPerHost: atOnce}
	defer transport.CloseIdleConnections()
	bare := &http.Client{Transport: transport}
	cached := config(b)
	withCache(b, &cached)
	plain, through := newClient(b, config(b)), newClient(b, cached)
	request := iofuncs.NewRequest("default", []data.Set{{Name: "requests", Items: []*data.Item{data.NewItem("r0", 0, []byte(get(s.URL)))}}}, nil)
	ways := []struct {
		name      string
		ask       func() error
		best, cpu time.Duration
	}{
		{name: "bare", ask: func() error {
			resp, err := bare.Get(s.URL)
			if err != nil {
				return err
			}
			_, err = io.ReadAll(resp.Body)
			return errors.Join(err, resp.Body.Close())
		}},
		{name: "plain", ask: func() error { _, err := plain.Functions()[0].Call(b.Context(), request); return err }},
		{name: "cache", ask: func() error { _, err := through.Functions()[0].Call(b.Context(), request); return err }},
	}
	turn := func(ask func() error) time.Duration {
		var left atomic.Int64
		left.Store(each)
		var all sync.WaitGroup
		began := time.Now()
		for range atOnce {
			all.Go(func() {
				for left.Add(-1) >= 0 {
					if err := ask(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return time.Since(began)
	}
	for b.Loop() {
		for i := range ways {
			w := &ways[i]
			before := processorTime(b)
			if took := turn(w.ask); w.best == 0 || took < w.best {
				w.best = took
			}
			if used := processorTime(b) - before; w.cpu == 0 || used < w.cpu {
				w.cpu = used
			}
		}
	}
	for _, w := range ways {
		b.ReportMetric(float64(w.best.Microseconds())/each, w.name+"-µs/request")
		if w.name != "bare" {
			b.ReportMetric(float64(ways[0].best)/float64(w.best), w.name+"/bare")
			b.ReportMetric(float64(ways[0].cpu)/float64(w.cpu), w.name+"/bare-cpu")
		}
	}
	b.ReportMetric(0, "ns/op") // a round of all of them says nothing
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
