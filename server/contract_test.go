package server

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/internal/contract"
	"pappus/registry"
	"pappus/server/problem"
)

// described is what all requests of this package's tests are held to.
var described = func() *contract.Contract {
	c, err := contract.Load(openAPIDocument)
	if err != nil {
		panic(err)
	}
	return c
}()

// answer has the server answer a request, and checks both against the API
// description.
func (s *testServer) answer(t testing.TB, w *httptest.ResponseRecorder, r *http.Request) {
	t.Helper()
	if err := described.Serve(s.Server, w, r); err != nil {
		t.Error(err)
	}
}

// complainOfUnseen returns the exit code of tests that ran as a whole: every
// operation was seen with every status that it has.
func complainOfUnseen() int {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return 0
		}
	}
	code := 0
	for _, p := range described.Unseen() {
		fmt.Fprintln(os.Stderr, "no test saw", p, "of the API description")
		code = 1
	}
	return code
}

// What every operation has in common: who may call it, and what it knows.
func TestEveryRouteRefuses(t *testing.T) {
	s := newServer(t)
	fill := strings.NewReplacer("{ref}", "nobody", "{tag}", "t", "{code}", "trap")
	for _, o := range described.Operations() {
		path := fill.Replace(o.Path)
		for status, ask := range map[int]func() *httptest.ResponseRecorder{
			http.StatusForbidden: func() *httptest.ResponseRecorder {
				return s.ask(t, o.Method, path, "", "1", "Host", "evil.example")
			},
			http.StatusBadRequest: func() *httptest.ResponseRecorder { return s.ask(t, o.Method, path+"?nonsense=1", "", "1") },
			http.StatusNotFound: func() *httptest.ResponseRecorder {
				return s.ask(t, o.Method, strings.Replace(path, "trap", "none", 1), "", "1")
			},
		} {
			if !slices.Contains(o.Statuses, status) || o.Method == http.MethodPut && strings.HasSuffix(o.Path, "{ref}") && status == http.StatusNotFound {
				continue
			}
			if w := ask(); w.Code != status {
				t.Errorf("%s: %d %s, want %d", o.ID, w.Code, w.Body, status)
			}
		}
		if !slices.Contains(o.Statuses, http.StatusForbidden) {
			t.Errorf("%s does not say that a foreign page is refused", o.ID)
		}
	}
}

// HEAD says what GET says.
func TestHeads(t *testing.T) {
	s := newServer(t)
	s.put(t, "f", "echo", "")
	fill := strings.NewReplacer("{ref}", "f", "{code}", "trap")
	heads := 0
	for _, o := range described.Operations() {
		if o.Method != http.MethodHead {
			continue
		}
		heads++
		path := fill.Replace(o.Path)
		get, head := s.ask(t, http.MethodGet, path, "", ""), s.ask(t, http.MethodHead, path, "", "")
		if head.Code != http.StatusOK || get.Code != head.Code || get.Header().Get("Content-Type") != head.Header().Get("Content-Type") {
			t.Errorf("%s: %d %v, but GET has %d %v", o.ID, head.Code, head.Header(), get.Code, get.Header())
		}
	}
	if heads < 10 {
		t.Errorf("there are only %d of HEAD", heads)
	}
}

// failing is a store that fails.
type failing struct {
	Dispatcher
	Registry
	err error
}

func (f failing) Publish(context.Context, dispatcher.Publication) (*registry.Version, bool, error) {
	return nil, false, f.err
}

func (f failing) Code(context.Context, string, data.Digest) ([]byte, error) { return nil, f.err }

func (f failing) SetTag(context.Context, string, string, string, registry.Ref) (*registry.Version, error) {
	return nil, f.err
}

func (f failing) RemoveTag(context.Context, string, string, string) error { return f.err }
func (f failing) Delete(context.Context, string, registry.Ref) error      { return f.err }

// What the disk does to whom: no client can help it, and none learns more than
// that.
func TestDiskFailures(t *testing.T) {
	whole := newServer(t)
	whole.put(t, "f", "echo", "")
	withError := func(err error) *testServer {
		metrics := prometheus.NewRegistry()
		f := failing{whole.dispatcher, whole.registry, fmt.Errorf("/secret/path: %w", err)}
		s, err := New(Config{}, f, f, metrics, metrics, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return &testServer{Server: s}
	}
	full, damaged := withError(syscall.ENOSPC), withError(registry.ErrDamaged)
	for _, c := range []struct {
		s            *testServer
		method, path string
		want         problem.Code
	}{
		{full, http.MethodPut, "/v1/functions/f", problem.NoSpace},
		{full, http.MethodDelete, "/v1/functions/f", problem.NoSpace},
		{full, http.MethodPut, "/v1/functions/f/tags/t", problem.NoSpace},
		{full, http.MethodDelete, "/v1/functions/f/tags/t", problem.NoSpace},
		{damaged, http.MethodGet, "/v1/functions/f/code", problem.Damaged},
		{damaged, http.MethodHead, "/v1/functions/f/code", problem.Damaged},
		{damaged, http.MethodDelete, "/v1/functions/f", problem.Damaged},
	} {
		w := c.s.ask(t, c.method, c.path, "", "1")
		wantProblem(t, w, c.want)
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %s: %s", c.method, c.path, w.Body)
		}
	}
}

// While there is no memory, and when bodies come too slowly, all who need it
// are told so.
func TestBusyAndSlow(t *testing.T) {
	s := newServer(t, func(c *Config, d *dispatcherConfig) {
		d.MemoryBudget, d.QueueTimeout, c.Grace, c.Rate = 8<<20, 20*time.Millisecond, 20*time.Millisecond, 1<<40
	})
	s.put(t, "f", "echo", "")
	held, err := s.dispatcher.Memory().Reserve(t.Context(), s.dispatcher.Memory().Limit())
	if err != nil {
		t.Fatal(err)
	}
	const target = "/v1/functions/f/tags/t"
	for _, c := range [][2]string{
		{http.MethodPut, "/v1/functions/f"}, {http.MethodPut, target}, {http.MethodPost, "/v1/invoke/f"},
		{http.MethodGet, "/v1/functions/f/code"}, {http.MethodHead, "/v1/functions/f/code"},
	} {
		wantProblem(t, s.ask(t, c[0], c[1], "", "1"), problem.Code(engine.FaultOverload))
	}
	held.Release()

	address, stop := s.listen(t)
	for _, c := range [][2]string{{http.MethodPut, "/v1/functions/f"}, {http.MethodPut, target}, {http.MethodPost, "/v1/invoke/f"}} {
		body, more := io.Pipe() // one byte, and then nothing
		go func() { _, _ = more.Write([]byte("1")) }()
		req, err := http.NewRequestWithContext(t.Context(), c[0], address+c[1], body)
		if err != nil {
			t.Fatal(err)
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		_ = more.Close() // the end of the body, if anybody still wants it
		if err != nil {
			t.Errorf("%s %s: %v", c[0], c[1], err)
			continue
		}
		if resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s %s: %s", c[0], c[1], resp.Status)
		}
		_ = resp.Body.Close() // only its status is of interest
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A client that ended its side of the connection has canceled its call, and may
// still read that.
func TestCanceled(t *testing.T) {
	s := newServer(t)
	s.put(t, "block", "block", "")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.engine.started; cancel() }()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/invoke/block", http.NoBody)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	s.answer(t, w, r)
	wantProblem(t, w, problem.Code(engine.FaultCanceled))
}
