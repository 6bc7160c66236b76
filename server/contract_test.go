package server

import (
	"context"
	"errors"
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
	"pappus/dispatcher/composition"
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

// fill puts something that putBoth leaves into a path.
func (s *testServer) fill(path string) string {
	name := "f"
	if strings.HasPrefix(path, "/v1/compositions") {
		name = "c"
	}
	return strings.NewReplacer("{ref}", name, "{tag}", "t", "{code}", "trap", "{file}", "viewer.js", "{id}", s.run).Replace(path)
}

// fillUnknown puts what there is not into a path.
func fillUnknown(path string) string {
	return strings.NewReplacer("{ref}", "nobody", "{tag}", "t", "{code}", "none", "{file}", "none", "{id}", strings.Repeat("A", 26)).Replace(path)
}

// putBoth registers the function f and the composition c, and runs that.
func (s *testServer) putBoth(t testing.TB) {
	t.Helper()
	s.put(t, "f", "echo", "")
	s.compose(t, "c", "composition c(a) => (a) {}")
	s.run = s.ask(t, http.MethodPost, "/v1/invoke/c?trace=1", "", "x").Header().Get("Pappus-Run")
}

// What every operation has in common: who may call it, and what it knows.
func TestEveryRouteRefuses(t *testing.T) {
	s := newServer(t, remembering(t))
	s.putBoth(t)
	for _, o := range described.Operations() {
		path := s.fill(o.Path)
		for status, ask := range map[int]func() *httptest.ResponseRecorder{
			http.StatusForbidden: func() *httptest.ResponseRecorder {
				return s.ask(t, o.Method, path, "", "1", "Host", "evil.example")
			},
			http.StatusBadRequest: func() *httptest.ResponseRecorder { return s.ask(t, o.Method, path+"?nonsense=1", "", "1") },
			http.StatusNotFound:   func() *httptest.ResponseRecorder { return s.ask(t, o.Method, fillUnknown(o.Path), "", "1") },
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

// HEAD says what GET says, and OPTIONS which methods there are.
func TestHeadsAndOptions(t *testing.T) {
	s := newServer(t)
	s.putBoth(t)
	heads := 0
	for _, o := range described.Operations() {
		if o.Method != http.MethodHead {
			continue
		}
		heads++
		path := s.fill(o.Path)
		get, head := s.ask(t, http.MethodGet, path, "", ""), s.ask(t, http.MethodHead, path, "", "")
		if head.Code > 299 || get.Code != head.Code || get.Header().Get("Content-Type") != head.Header().Get("Content-Type") {
			t.Errorf("%s: %d %v, but GET has %d %v", o.ID, head.Code, head.Header(), get.Code, get.Header())
		}
	}
	for _, o := range described.Operations() {
		if w := s.ask(t, http.MethodOptions, s.fill(o.Path), "", ""); w.Code != http.StatusNoContent || !strings.Contains(w.Header().Get("Allow"), o.Method) {
			t.Errorf("%s: OPTIONS says %d, Allow %q", o.ID, w.Code, w.Header().Get("Allow"))
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

func (f failing) PublishComposition(context.Context, dispatcher.CompositionPublication) (*registry.Version, bool, []composition.Diagnostic, error) {
	return nil, false, nil, f.err
}

func (f failing) PurgeMemo(context.Context, string, string) error { return f.err }

func (f failing) Code(context.Context, string, data.Digest) ([]byte, error) { return nil, f.err }

func (f failing) SetTag(context.Context, string, string, string, registry.Ref, registry.Change) (*registry.Version, error) {
	return nil, f.err
}

func (f failing) RemoveTag(context.Context, string, string, string, registry.Change) error {
	return f.err
}

func (f failing) Delete(context.Context, string, registry.Ref, registry.Change) error { return f.err }

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
		{full, http.MethodPut, "/v1/compositions/c", problem.NoSpace},
		{full, http.MethodDelete, "/v1/compositions/c", problem.NoSpace},
		{full, http.MethodPut, "/v1/compositions/c/tags/t", problem.NoSpace},
		{full, http.MethodDelete, "/v1/compositions/c/tags/t", problem.NoSpace},
		{full, http.MethodDelete, "/v1/memo", problem.NoSpace},
		{full, http.MethodDelete, "/v1/memo/f", problem.NoSpace},
		{withError(errors.New("broken")), http.MethodDelete, "/v1/memo", problem.Internal},
		{withError(errors.New("broken")), http.MethodDelete, "/v1/memo/f", problem.Internal},
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
	s.compose(t, "c", "composition c(a) => (a) {}")
	run := s.ask(t, http.MethodPost, "/v1/invoke/c?trace=1", "", "1").Header().Get("Pappus-Run")
	held, err := s.dispatcher.Memory().Reserve(t.Context(), s.dispatcher.Memory().Limit())
	if err != nil {
		t.Fatal(err)
	}
	const target = "/v1/functions/f/tags/t"
	for _, c := range [][2]string{
		{http.MethodPut, "/v1/functions/f"}, {http.MethodPut, target}, {http.MethodPost, "/v1/invoke/f"},
		{http.MethodGet, "/v1/functions/f/code"}, {http.MethodHead, "/v1/functions/f/code"}, {http.MethodGet, "/v1/runs/" + run}, {http.MethodHead, "/v1/runs/" + run},
		{http.MethodPut, "/v1/compositions/c"}, {http.MethodPut, "/v1/compositions/c/tags/t"}, {http.MethodPost, "/v1/compositions/check"},
	} {
		wantProblem(t, s.ask(t, c[0], c[1], "", "1"), problem.Code(engine.FaultOverload))
	}
	held.Release()

	address, stop := s.listen(t)
	for _, c := range [][2]string{
		{http.MethodPut, "/v1/functions/f"}, {http.MethodPut, target}, {http.MethodPost, "/v1/invoke/f"},
		{http.MethodPut, "/v1/compositions/c"}, {http.MethodPut, "/v1/compositions/c/tags/t"}, {http.MethodPost, "/v1/compositions/check"},
	} {
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
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-s.engine.started; cancel() }()
		r := httptest.NewRequestWithContext(ctx, method, "/v1/invoke/block", http.NoBody)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		s.answer(t, w, r)
		wantProblem(t, w, problem.Code(engine.FaultCanceled))
	}
}

// Calls by GET fail as those by POST do.
func TestFaultsByQuery(t *testing.T) {
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.ItemLimit = 2 })
	for _, c := range []struct {
		does, query, accept string
		want                problem.Code
	}{
		{"fault trap", "", "*/*", problem.Code(engine.FaultTrap)},
		{"fault io-failed", "", "*/*", problem.Code(engine.FaultIOFailed)},
		{"fault overload", "", "*/*", problem.Code(engine.FaultOverload)},
		{"fault deadline", "", "*/*", problem.Code(engine.FaultDeadline)},
		{"error", "", "*/*", problem.Internal},
		{"echo", "", "image/png", problem.NotAcceptable},
		{"echo", "in.a=1&in.a=2&in.a=3", "*/*", problem.RequestTooLarge},
	} {
		s.put(t, "f", c.does, "")
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead} {
			if c.query != "" && method == http.MethodPost {
				continue
			}
			wantProblem(t, s.ask(t, method, "/v1/invoke/f?"+c.query, "", "", "Accept", c.accept), c.want)
		}
	}
}

// Values at the edge of what is taken: what the server takes is described.
func TestEdges(t *testing.T) {
	s := newServer(t)
	s.put(t, "f", "echo", "")
	taken := 0
	for target, values := range map[string][]string{
		"GET /v1/functions?limit=":       {"1", "1000", "0", "1001", "%2B5", "005", "1e2", "5.0", "", "%20 5", "0x5", "1_0"},
		"GET /v1/functions?cursor=":      {"", "a", "%20", "a%00", "zz-z", "%2e%2e"},
		"GET /v1/functions?":             {"", "&", "&&limit=5&", "limit=5&limit=5", "LIMIT=5", "limit", "%6cimit=5", "limit=5;x=1"},
		"GET /v1/functions/f/versions?":  {"", "limit=5", "cursor=1", "cursor=0", "cursor=%2B1", "cursor=x"},
		"PUT /v1/functions/g?fuel=":      {"1", "0", "%2B7", "007", "9223372036854775807", "9223372036854775808", "1e3", "1.0"},
		"PUT /v1/functions/g?memory=":    {"65536", "64KiB", "1MiB", "0064KiB", "65536B", "64Ki", "64 KiB", "%2B65536", "1e6", "64kib", "0"},
		"PUT /v1/functions/g?timeout=":   {"1s", "1m1s", "%2B1s", "1.5s", ".5s", "5.s", "1us", "1µs", "1μs", "1ns", "0", "0s", "-1s", "1", "1d", "1s1", "15m", "1h"},
		"PUT /v1/functions/g?memo=":      {"auto", "off", "on", "", "OFF"},
		"PUT /v1/functions/g?input=":     {"a", "a/set", "a/item", "a/", "/item", "a/b", "", "..", "%20", strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("%C3%A4", 127), "a%0a", "%C2%85", "%E2%80%A8", "a&input=a", "%ff"},
		"PUT /v1/functions/g?tag=":       {"a", "a&tag=b", "1", "1a", "", ".a", "-", strings.Repeat("x", 128), strings.Repeat("x", 129), "a&tag=a", "latest"},
		"POST /v1/invoke/f?set=":         {"input", "a", "", "..", "a/b", "%ff", "%20"},
		"POST /v1/invoke/f?item=":        {"", "a", "a/b", "..", "%0a", "%ff", strings.Repeat("x", 1024), strings.Repeat("x", 1025)},
		"PUT /v1/functions/g?force=":     {"true", "false", "", "1", "TRUE", "true&force=true"},
		"POST /v1/invoke/f?parallelism=": {"1", "1024", "0", "1025", "-1", "%2B5", "007", "", "x", "2&parallelism=2"},
		"GET /v1/invoke/f?parallelism=":  {"1", "1024", "0", "1025", "x", "2&parallelism=2", "5&in.a=x"},
		"GET /v1/compositions?":          {"", "limit=5", "limit=0", "cursor=a", "cursor=%20", "x=1"},
		"POST /v1/invoke/f?key=":         {"0", "4294967295", "4294967296", "-1", "%2B1", "007", "1.0", "1e3", ""},
		"POST /v1/invoke/":               {"f", "f@1", "f@latest", "f@01", "f@%31", "f%40latest", "f@sha256:00", "F", "%66", "f%2F", ".", "f@"},
		"PUT /v1/functions/f/tags/":      {"a", "1", "1a", "a%20", "%61", "latest", "a.b-c_d"},
		"GET /errors/":                   {"trap", "none", "TRAP", "%74rap", "trap%2F"},
	} {
		method, path, _ := strings.Cut(target, " ")
		for _, v := range values {
			for typ, body := range map[string]string{"": "1", "text/plain": "1", "application/x-www-form-urlencoded": "1", "Application/WASM; x=y": "1"} {
				if strings.HasPrefix(path, "/v1/functions/g") {
					body = code("echo", "")
				} else if method == http.MethodGet {
					typ, body = "", ""
				}
				if w := s.ask(t, method, strings.ReplaceAll(path+v, " ", "%20"), typ, body); w.Code < 300 {
					taken++
				}
			}
		}
	}
	if taken < 200 {
		t.Errorf("only %d requests are taken", taken)
	}
}
