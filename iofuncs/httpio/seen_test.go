package httpio_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"pappus/data"
	"pappus/iofuncs"
	"pappus/iofuncs/httpio"
)

// noted makes a call of HTTP in a trace, and says what it told of its exchanges,
// in the order of their targets.
func noted(t *testing.T, c *httpio.Client, trace iofuncs.TraceID, items ...string) (seen []iofuncs.Exchange, err error) {
	t.Helper()
	in := data.Set{Name: "requests"}
	for i, it := range items {
		in.Items = append(in.Items, data.NewItem(fmt.Sprint("r", i), uint32(i), []byte(it)))
	}
	var mu sync.Mutex
	_, err = c.Functions()[0].Call(t.Context(), iofuncs.NewRequest("default", []data.Set{in}, nil).Watched(trace, func(e iofuncs.Exchange) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, e)
	}))
	slices.SortFunc(seen, func(a, b iofuncs.Exchange) int { return strings.Compare(a.Target, b.Target) })
	return seen, err
}

// A call tells of each of its requests what it was, and nothing that is a secret.
func TestExchangesAreSeen(t *testing.T) {
	var mu sync.Mutex
	times := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		times[r.URL.Path]++
		if times[r.URL.Path] == 1 && r.URL.Path == "/again" {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("answer"))
	}))
	defer server.Close()
	cfg := config(t)
	withCache(t, &cfg)
	c := newClient(t, cfg)
	seen, err := noted(t, c, iofuncs.TraceID{},
		"PUT "+server.URL+"/again?token=secret HTTP/1.1\nAuthorization: secret\n\nbody", "GET "+server.URL+"/plain%20one HTTP/1.1\n\n")
	if err != nil || len(seen) != 2 {
		t.Fatalf("%+v %v", seen, err)
	}
	for i, want := range []iofuncs.Exchange{
		{Method: "PUT", Target: server.URL + "/again", Sent: 4, Received: 6, Status: 200, Attempts: 2},
		{Method: "GET", Target: server.URL + "/plain%20one", Received: 6, Status: 200, Attempts: 1, Cache: iofuncs.CacheMiss},
	} {
		got := seen[i]
		if got.Began.IsZero() || got.Ended.Before(got.Began) {
			t.Errorf("from %s to %s", got.Began, got.Ended)
		}
		got.Began, got.Ended = want.Began, want.Ended
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}

	if seen, err = noted(t, c, iofuncs.TraceID{}, "GET http://10.0.0.1/x HTTP/1.1\n\n"); err == nil || len(seen) != 1 ||
		seen[0].Failed != iofuncs.KindRefused || seen[0].Refused != "private" || seen[0].Status != 0 || seen[0].Attempts != 1 {
		t.Errorf("%+v %v", seen, err)
	}
}

// Servers learn of traces where that is wanted, and of the span that is told.
func TestTracesAreTold(t *testing.T) {
	var mu sync.Mutex
	var got []string
	var elsewhere string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Header.Get("Traceparent")+"|"+r.Header.Get("Tracestate"))
		if r.URL.Path == "/away" {
			http.Redirect(w, r, elsewhere, http.StatusFound)
		}
	}))
	defer server.Close()
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header["Traceparent"] != nil || r.Header["Tracestate"] != nil {
			t.Errorf("another origin is told %v", r.Header)
		}
	}))
	defer other.Close()
	elsewhere = other.URL
	item := "GET " + server.URL + "/ HTTP/1.1\ntracestate: a=b\n"
	trace := iofuncs.TraceID{1, 2, 3}
	cfg := config(t)
	cfg.Propagate = true
	told, silent := newClient(t, cfg), newClient(t, config(t))
	seen, err := noted(t, told, trace, item+"\n")
	if err != nil || len(seen) != 1 || seen[0].Span == (iofuncs.SpanID{}) {
		t.Fatalf("%+v %v", seen, err)
	}
	for _, call := range []struct {
		c     *httpio.Client
		trace iofuncs.TraceID
		item  string
	}{{told, iofuncs.TraceID{}, item + "\n"}, {silent, trace, item + "\n"}, {told, trace, item + "traceparent: own\n\n"}} {
		if other, err := noted(t, call.c, call.trace, call.item); err != nil || other[0].Span != (iofuncs.SpanID{}) {
			t.Errorf("%+v %v", other, err)
		}
	}
	if away, err := noted(t, told, trace, "GET "+server.URL+"/away HTTP/1.1\n\n"); err != nil || away[0].Status != http.StatusOK {
		t.Errorf("%+v %v", away, err)
	}
	got = got[:4]
	want := []string{iofuncs.Traceparent(trace, seen[0].Span) + "|", "|a=b", "|a=b", "own|a=b"}
	if !slices.Equal(got, want) || !strings.HasPrefix(want[0], "00-01020300000000000000000000000000-") {
		t.Errorf("%q, want %q", got, want)
	}
}
