package httpio_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pappus/iofuncs"
	"pappus/iofuncs/egress"
	"pappus/iofuncs/egress/egresstest"
)

// Between attempts nobody waits for a piece of a body.
func TestRetryAfterOutlastsIdle(t *testing.T) {
	var asked atomic.Int64
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			write(w, "a body")
		}
	})
	config := config(t)
	config.Limits.Idle = 100 * time.Millisecond
	if head, _, err := do(t, newClient(t, config), get(s.URL)); err != nil || asked.Load() != 2 || !strings.HasPrefix(head, "HTTP/1.1 200") {
		t.Errorf("%d requests, %q, %v", asked.Load(), head, err)
	}
}

// What is made again elsewhere has the key there too, without which that could do
// something twice.
func TestKeysCross(t *testing.T) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		var mu sync.Mutex
		var keys []string
		other := serve(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if keys = append(keys, r.Header.Get(name)); len(keys) == 1 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		})
		_, _, err := do(t, newClient(t, config(t)), "POST "+s.URL+" HTTP/1.1\n"+name+": k\n\nbody")
		if err != nil || fmt.Sprint(keys) != "[k k]" {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
	}
}

// A header is charged before its body comes.
func TestHeadersAreCharged(t *testing.T) {
	const size = 100 << 10
	charged := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range size / 100 {
			w.Header().Add("X", strings.Repeat("x", 98))
		}
		_ = http.NewResponseController(w).Flush()
		<-charged // the body waits for it
	})
	var held atomic.Int64
	var once sync.Once
	_, err := call(t.Context(), newClient(t, config(t)), "HTTP", func(n int64) error {
		if held.Add(n) >= size {
			once.Do(func() { close(charged) })
		}
		return nil
	}, get(s.URL))
	if err != nil || held.Load() < size {
		t.Errorf("%d bytes are held, %v", held.Load(), err)
	}

	refused := errors.New("there is no room")
	if _, err = call(t.Context(), newClient(t, config(t)), "HTTP", func(n int64) error {
		if n >= size {
			return refused
		}
		held.Add(n)
		return nil
	}, get(s.URL)); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
}

// Errors have no address of a name, nor of a resolver, nor what a server wrote.
func TestErrorsTellNoAddresses(t *testing.T) {
	rule, err := egress.ParseRule("allowed.example")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := egress.NewPolicy([]egress.Rule{rule}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // nobody listens there
	named := config(t)
	named.Policy = func(string) *egress.Policy { return policy }
	named.Limits.Attempts = 1
	named.Resolver = egresstest.Resolver(func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	_, _, err = do(t, newClient(t, named), get(fmt.Sprintf("http://allowed.example:%s/", port)))
	wantFault(t, err, iofuncs.KindFailed, "connecting: connect: connection refused")
	if strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v", err)
	}

	unasked := config(t)
	unasked.Limits.Attempts = 1
	unasked.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "udp", Addr: &net.UDPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 53}, Err: errors.New("refused")}
	}}
	_, _, err = do(t, newClient(t, unasked), get("http://any.example/"))
	wantFault(t, err, iofuncs.KindFailed, "looking up any.example failed")
	if strings.Contains(err.Error(), "10.1.2.3") {
		t.Errorf("%v", err)
	}

	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://user:hunter2@host:1 2/?token=hunter2")
		w.WriteHeader(http.StatusFound)
	})
	_, _, err = do(t, newClient(t, config(t)), get(s.URL))
	wantFault(t, err, iofuncs.KindFailed, "Location")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}
