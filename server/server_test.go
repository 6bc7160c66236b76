package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"pappus/dispatcher"
	"pappus/engine"
	"pappus/registry"
	"pappus/server/api"
	"pappus/server/problem"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if code == 0 {
			code = complainOfUnseen()
		}
		os.Exit(code)
	}))
}

// dispatcherConfig is named here for tests that change nothing of it.
type dispatcherConfig = dispatcher.Config

// testServer is a server with a registry and a dispatcher of its own, and what
// a test looks at.
type testServer struct {
	*Server
	engine     *scripted
	dispatcher *dispatcher.Dispatcher
	log        *logBuffer
	run        string // one whose record is kept
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func newServer(t testing.TB, change ...func(*Config, *dispatcher.Config)) *testServer {
	t.Helper()
	var c Config
	d := dispatcher.Config{Workers: 4, MemoryBudget: 1 << 30}
	for _, f := range change {
		f(&c, &d)
	}
	s := &testServer{engine: &scripted{gate: make(chan struct{}), started: make(chan struct{}, 100)}, log: &logBuffer{}}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	reg, err := registry.Open(t.TempDir(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	metrics := prometheus.NewRegistry()
	if s.dispatcher, err = dispatcher.New(d, reg, []engine.Engine{s.engine}, metrics, log); err != nil {
		t.Fatal(err)
	}
	if s.Server, err = New(c, s.dispatcher, reg, metrics, metrics, log); err != nil {
		t.Fatal(err)
	}
	s.log.reset() // what was said of the configuration
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.dispatcher.Close(ctx); err != nil && err != dispatcher.ErrClosed { //nolint:errorlint // it is not wrapped
			t.Error(err)
		}
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends a request, with more of its header as names and values.
func (s *testServer) ask(t testing.TB, method, path, contentType, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Host = "localhost"
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Add(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.answer(t, w, r)
	if w.Header().Get("X-Request-Id") == "" {
		t.Errorf("%s %s: the answer has no X-Request-Id", method, path)
	}
	return w
}

// put registers code that must be accepted.
func (s *testServer) put(t testing.TB, name, does, manifest string) api.Function {
	t.Helper()
	w := s.ask(t, http.MethodPut, "/v1/functions/"+name, "application/wasm", code(does, manifest))
	if w.Code != http.StatusCreated && w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", name, w.Code, w.Body)
	}
	return decodeBody[api.Function](t, w)
}

func decodeBody[T any](t testing.TB, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return v
}

// wantProblem checks that an answer is a whole problem document of a code.
func wantProblem(t testing.TB, w *httptest.ResponseRecorder, want problem.Code) problem.Problem {
	t.Helper()
	e, ok := problem.Lookup(want)
	if !ok {
		t.Fatalf("there is no problem %s", want)
	}
	p := decodeBody[problem.Problem](t, w)
	if w.Code != e.Status || p.Type != problem.TypePrefix+string(want) || p.Status != e.Status || p.Title != e.Title || p.Hint == "" {
		t.Errorf("got %d %s, want %s", w.Code, w.Body, want)
	}
	h := w.Header()
	if p.Instance == "" || p.Instance != h.Get("X-Request-Id") || h.Get("Content-Type") != problem.ContentType ||
		h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") != "sandbox" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: header %v, instance %q", want, h, p.Instance)
	}
	return p
}

func TestPages(t *testing.T) {
	s := newServer(t)
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/healthz": "text/plain; charset=utf-8", "/readyz": "text/plain; charset=utf-8",
		"/errors/trap": "text/html; charset=utf-8", "/v1/functions": "application/json",
	} {
		w := s.ask(t, http.MethodGet, path, "", "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want || w.Body.Len() == 0 ||
			w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Security-Policy") != "sandbox" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		if head := s.ask(t, http.MethodHead, path, "", ""); head.Code != http.StatusOK || head.Header().Get("Content-Type") != want {
			t.Errorf("HEAD %s: %d %v", path, head.Code, head.Header())
		}
	}
	for path, want := range map[string]problem.Code{
		"/nothing": problem.NotFound, "/errors/none": problem.NotFound, "/v1": problem.NotFound, "/v1/functions/": problem.NotFound,
		"/v1/functions/f/nothing": problem.NotFound, "/v1/invoke": problem.NotFound, "/docs/page.html": problem.NotFound, "/%00": problem.NotFound,
	} {
		wantProblem(t, s.ask(t, http.MethodGet, path, "", ""), want)
	}
	w := s.ask(t, http.MethodPatch, "/v1/functions/f", "", "")
	wantProblem(t, w, problem.MethodNotAllowed)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		if !strings.Contains(w.Header().Get("Allow"), method) {
			t.Errorf("Allow is %q, without %s", w.Header().Get("Allow"), method)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	s := newServer(t)
	first := s.ask(t, http.MethodGet, "/healthz", "", "").Header().Get("X-Request-Id")
	if second := s.ask(t, http.MethodGet, "/healthz", "", "").Header().Get("X-Request-Id"); second == first {
		t.Errorf("two requests have the id %q", first)
	}
	for given, taken := range map[string]bool{
		"abc-123": true, "a:b=c/d+e.f_g": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a\"b": false, "ä": false,
	} {
		got := s.ask(t, http.MethodGet, "/healthz", "", "", "X-Request-Id", given).Header().Get("X-Request-Id")
		if (got == given) != taken {
			t.Errorf("%q becomes %q", given, got)
		}
	}
}

// A life of a function: versions, tags, back to an older one, gone.
func TestFunctions(t *testing.T) {
	s := newServer(t)
	const manifest = `{"inputs": ["a"], "outputs": ["b"], "description": "It echoes."}`
	w := s.ask(t, http.MethodPut, "/v1/functions/f", "application/wasm", code("echo", manifest))
	if w.Code != http.StatusCreated || w.Header().Get("Location") != "/v1/functions/f@1" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	one := decodeBody[api.Function](t, w)
	if one.Version != 1 || one.Name != "f" || one.Engine != "wasm" || one.Description != "It echoes." || one.Tags["latest"] != 1 ||
		one.Size != int64(len(code("echo", manifest))) || len(one.Inputs) != 1 || one.Open || one.Memo != "auto" {
		t.Errorf("%+v", one)
	}
	if w := s.ask(t, http.MethodPut, "/v1/functions/f", "", code("echo", manifest)); w.Code != http.StatusOK || w.Header().Get("Location") != "" {
		t.Errorf("the same again: %d %v", w.Code, w.Header())
	}
	w = s.ask(t, http.MethodPut, "/v1/functions/f?input=x&input=y/item&output=z&memory=2MiB&timeout=3s&fuel=9&stack=1MiB&output-limit=4096&memo=off&tag=t1&tag=t2",
		"application/octet-stream", code("echo", manifest))
	two := decodeBody[api.Function](t, w)
	if w.Code != http.StatusCreated || two.Version != 2 || two.Digest == one.Digest || two.CodeDigest != one.CodeDigest ||
		len(two.Inputs) != 2 || two.Inputs[1].Type != "item" || two.Outputs[0].Name != "z" || two.Memo != "off" ||
		two.Limits.Memory != 2<<20 || two.Limits.Fuel != 9 || two.Limits.Output != 4096 || two.Limits.Stack != 1<<20 ||
		time.Duration(two.Limits.Timeout) != 3*time.Second || two.Tags["latest"] != 1 || two.Tags["t1"] != 2 || two.Tags["t2"] != 2 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for ref, want := range map[string]int64{
		"f": 1, "f@1": 1, "f@2": 2, "f@latest": 1, "f@t1": 2, "f@" + one.Digest.String(): 1, "f@" + two.Digest.String(): 2, "f%40t2": 2,
	} {
		if got := decodeBody[api.Function](t, s.ask(t, http.MethodGet, "/v1/functions/"+ref, "", "")); got.Version != want {
			t.Errorf("%s is version %d, want %d", ref, got.Version, want)
		}
	}
	for i, body := range []string{"2", "2\n", `"2"`, `{"version": 2}`, `{"digest": "` + two.Digest.String() + `"}`, two.Digest.String()} {
		w := s.ask(t, http.MethodPut, fmt.Sprintf("/v1/functions/f/tags/m%d", i), "", body)
		if got := decodeBody[api.Function](t, w); w.Code != http.StatusOK || got.Version != 2 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	for _, body := range []string{"", "0", "-1", "latest", "{}", `{"version": 2, "digest": "x"}`, `{"version": 2} 3`, `{"version": "x"}`, `{"number": 2}`, `{"version":2}}`, `{"version":2,"version":2}`, `{"VERSION":2}`, `{"version":"2"}`, `{"digest":2}`, `["2"]`, "sha256:00", "2 3", `"`} {
		wantProblem(t, s.ask(t, http.MethodPut, "/v1/functions/f/tags/bad", "", body), problem.BadRequest)
	}
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/functions/f/tags/t9", "", "9"), problem.UnknownVersion)
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/functions/f/tags/t9", "", "2", "Content-Encoding", "gzip"), problem.ContentEncoding)
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/functions/g/tags/t9", "", "9"), problem.UnknownFunction)
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/functions/f/tags/12", "", "2"), problem.BadName)
	wantProblem(t, s.ask(t, http.MethodPut, "/v1/functions/f/tags/t", "", strings.Repeat(" ", 5000)+"2"), problem.RequestTooLarge)

	if w := s.ask(t, http.MethodDelete, "/v1/functions/f/tags/m0", "", ""); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions/f@m0", "", ""), problem.UnknownTag)
	wantProblem(t, s.ask(t, http.MethodDelete, "/v1/functions/f/tags/m0", "", ""), problem.UnknownTag)
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions/f@7", "", ""), problem.UnknownVersion)
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions/f@sha256:"+strings.Repeat("ab", 32), "", ""), problem.UnknownVersion)
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions/g", "", ""), problem.UnknownFunction)

	w = s.ask(t, http.MethodGet, "/v1/functions/f@1/code", "", "")
	if w.Code != http.StatusOK || w.Body.String() != code("echo", manifest) || w.Header().Get("Content-Type") != "application/wasm" ||
		w.Header().Get("Etag") != `"`+one.CodeDigest.String()+`"` || w.Header().Get("Content-Disposition") != `attachment; filename="f.wasm"` {
		t.Errorf("%d %v", w.Code, w.Header())
	}

	if same := s.ask(t, http.MethodGet, "/v1/functions/f@1/code?engine=wasm", "", ""); same.Code != http.StatusOK || same.Body.String() != w.Body.String() {
		t.Errorf("of the engine that it is for: %d %v", same.Code, same.Header())
	}
	for _, query := range []string{"engine=chericap", "engine=wasm&engine=wasm"} {
		wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions/f@1/code?"+query, "", ""), problem.BadParameter)
	}
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions/f@1/code?machine=wasm", "", ""), problem.UnknownParameter)

	if w := s.ask(t, http.MethodDelete, "/v1/functions/f@1", "", ""); w.Code != http.StatusNoContent && w.Code != http.StatusConflict {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := s.ask(t, http.MethodDelete, "/v1/functions/f", "", ""); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, s.ask(t, http.MethodDelete, "/v1/functions/f", "", ""), problem.UnknownFunction)
	if f := s.put(t, "f", "echo", manifest); f.Version != 3 {
		t.Errorf("the number %d is used again", f.Version)
	}
}

// A name has a most of tags, and lists, which show all of each, are charged.
func TestManyTags(t *testing.T) {
	s := newServer(t, func(_ *Config, d *dispatcherConfig) { d.MemoryBudget, d.QueueTimeout = 8<<20, 20*time.Millisecond })
	s.put(t, "f", "echo", echoes)
	s.compose(t, "c", composesF)
	var query strings.Builder
	for i := range registry.MaxTags {
		fmt.Fprintf(&query, "&tag=t%d", i)
	}
	if w := s.ask(t, http.MethodPut, "/v1/functions/g?"+query.String()[1:], "application/wasm", code("echo", "")); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/v1/functions/g", "/v1/functions/g?tag=more", "/v1/functions/g/tags/more"} {
		body := "1"
		if !strings.Contains(path, "/tags/") {
			body = code("echo", "")
		}
		if p := wantProblem(t, s.ask(t, http.MethodPut, path, "application/wasm", body), problem.BadRequest); !strings.Contains(p.Detail, "1000") || !strings.HasPrefix(p.Hint, "Remove a tag") {
			t.Errorf("%s: %q, %q", path, p.Detail, p.Hint)
		}
	}
	held, err := s.dispatcher.Memory().Reserve(t.Context(), s.dispatcher.Memory().Limit())
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string]string{"/v1/functions": `"t999":1`, "/v1/functions/g/versions": `"t999":1`, "/v1/compositions": `"c"`, "/v1/compositions/c/versions": `"c"`}
	for path := range lists {
		wantProblem(t, s.ask(t, http.MethodGet, path, "", ""), problem.Code("overload"))
		if w := s.ask(t, http.MethodHead, path, "", ""); w.Code != http.StatusServiceUnavailable {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
	held.Release()
	for path, want := range lists {
		if w := s.ask(t, http.MethodGet, path, "", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if used := s.dispatcher.Memory().Used(); used != 0 {
		t.Errorf("%d bytes are not given back", used)
	}
}

func TestLists(t *testing.T) {
	s := newServer(t)
	for i := range 7 {
		s.put(t, fmt.Sprintf("f%d", i), "echo", "")
		s.put(t, "many", fmt.Sprintf("echo %d", i), "")
	}
	walk := func(path string, limit int) (list []string) {
		cursor := ""
		for {
			page := decodeBody[api.Page](t, s.ask(t, http.MethodGet, fmt.Sprintf("%s?limit=%d&cursor=%s", path, limit, cursor), "", ""))
			if len(page.Items) > limit {
				t.Errorf("%d items on a page of %d", len(page.Items), limit)
			}
			for _, f := range page.Items {
				list = append(list, fmt.Sprintf("%s@%d", f.Name, f.Version))
			}
			if cursor = page.Next; cursor == "" {
				return list
			}
		}
	}
	for _, limit := range []int{1, 3, 1000} {
		if got := strings.Join(walk("/v1/functions", limit), " "); got != "f0@1 f1@1 f2@1 f3@1 f4@1 f5@1 f6@1 many@7" {
			t.Errorf("functions, %d a page: %s", limit, got)
		}
		if got := strings.Join(walk("/v1/functions/many/versions", limit), " "); got != "many@7 many@6 many@5 many@4 many@3 many@2 many@1" {
			t.Errorf("versions, %d a page: %s", limit, got)
		}
	}
	for query, want := range map[string]problem.Code{
		"limit=0": problem.BadParameter, "limit=1001": problem.BadParameter, "limit=x": problem.BadParameter, "limit=1&limit=2": problem.BadParameter,
		"cursor=../x": problem.BadParameter, "page=2": problem.UnknownParameter, "a=%zz": problem.BadParameter, "a;b": problem.BadParameter,
	} {
		wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions?"+query, "", ""), want)
		wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions/many/versions?"+query, "", ""), want)
	}
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions/none/versions", "", ""), problem.UnknownFunction)
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/functions/many@1/versions", "", ""), problem.BadName)
}

func TestRefusedRegistrations(t *testing.T) {
	s := newServer(t, func(c *Config, d *dispatcher.Config) { c.CodeLimit, d.MaxCode = 10_000, 10_000 })
	good := code("echo", "")
	form := func(parts ...string) string { return "--x\r\n" + strings.Join(parts, "\r\n--x\r\n") + "\r\n--x--\r\n" }
	part := func(name, content string) string {
		return "Content-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + content
	}
	const multi = "multipart/form-data; boundary=x"
	for _, c := range []struct {
		path, contentType, body string
		want                    problem.Code
	}{
		{"f", "application/wasm", "", problem.RejectedModule},
		{"f", "application/wasm", "garbage", problem.RejectedModule},
		{"f", "application/wasm", magic, problem.RejectedModule},
		{"f", "application/wasm", magic + "import a.b c.d\n", problem.RejectedModule},
		{"f", "application/wasm", magic + "costly\n", problem.CompileTooCostly},
		{"f", "application/wasm", code("echo", `{"colour": 99}`), problem.RejectedModule},
		{"f", "", "garbage", problem.UnknownCode},
		{"f", "text/plain", "garbage", problem.UnknownCode},
		{"f", "application/x-elf", "\x7fELF", problem.UnknownCode},
		{"f", "application/wasm", strings.Repeat("x", 10_001), problem.RequestTooLarge},
		{"f", multi, form(part("wasm", good), part("wasm", good)), problem.BadBody},
		{"f", multi, form(part("chericap", good)), problem.UnknownCode},
		{"f", multi, form(), problem.BadBody},
		{"f", multi, form(part("wasm", good))[:30], problem.BadBody},
		{"f", multi, form("Content-Disposition: inline\r\n\r\n" + good), problem.BadBody},
		{"f", "multipart/form-data", form(part("wasm", good)), problem.BadRequest},
		{"f?memory=0", "", good, problem.BadParameter},
		{"f?memory=1", "", good, problem.BadLimit},
		{"f?memory=9999GiB", "", good, problem.BadLimit},
		{"f?timeout=-1s", "", good, problem.BadParameter},
		{"f?timeout=16m", "", good, problem.BadLimit},
		{"f?fuel=x", "", good, problem.BadParameter},
		{"f?fuel=1&fuel=2", "", good, problem.BadParameter},
		{"f?memo=maybe", "", good, problem.BadParameter},
		{"f?input=a/b", "", good, problem.BadParameter},
		{"f?input=a&input=a", "", good, problem.BadParameter},
		{"f?input=%2F", "", good, problem.BadParameter},
		{"f?tag=1", "", good, problem.BadName},
		{"f?tag=", "", good, problem.BadName},
		{"f?colour=red", "", good, problem.UnknownParameter},
		{"HTTP", "", good, problem.ReservedName},
		{"system_x", "", good, problem.ReservedName},
		{"f@1", "", good, problem.BadName},
		{"-f", "", good, problem.BadName},
		{"..", "", good, problem.BadName},
		{"%2e%2e", "", good, problem.BadName},
		{"%2e%2e%2fx", "", good, problem.BadName},
		{"..%2f..%2fx", "", good, problem.BadName},
		{"%00", "", good, problem.BadName},
		{"%ff", "", good, problem.BadName},
		{strings.Repeat("n", 129), "", good, problem.BadName},
	} {
		w := s.ask(t, http.MethodPut, "/v1/functions/"+c.path, c.contentType, c.body)
		p := wantProblem(t, w, c.want)
		if strings.Contains(c.body, "import ") && len(p.Imports) != 2 {
			t.Errorf("imports %q", p.Imports)
		}
		if c.want == problem.UnknownParameter && len(p.Declared) == 0 {
			t.Errorf("%s: what is declared is not said", c.path)
		}
	}
	if w := s.ask(t, http.MethodPut, "/v1/functions/f", "", good, "Content-Encoding", "gzip"); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("an encoded body: %d %s", w.Code, w.Body)
	}
	if page := decodeBody[api.Page](t, s.ask(t, http.MethodGet, "/v1/functions", "", "")); len(page.Items) != 0 {
		t.Errorf("there are %d functions", len(page.Items))
	}
	if w := s.ask(t, http.MethodPut, "/v1/functions/f", multi, form(part("wasm", good))); w.Code != http.StatusCreated {
		t.Errorf("a form: %d %s", w.Code, w.Body)
	}
}
