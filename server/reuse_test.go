package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/server/api"
	"pappus/server/problem"
)

// remembering gives a server a memo.
func remembering(t testing.TB) func(*Config, *dispatcherConfig) {
	t.Helper()
	m, err := memo.New(memo.Options{Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close) // after the dispatcher, whose cleanup is registered later
	return func(_ *Config, d *dispatcherConfig) { d.Memo = m }
}

// composesF is a composition that is the function f.
const composesF = "function f(a) => (x); composition c(a) => (b) { f(a = all a) => (b = x); }"

const cacheStatusHeader = "Cache-Status"

func wantCache(t *testing.T, w *httptest.ResponseRecorder, want string) {
	t.Helper()
	if got := w.Header().Get(cacheStatusHeader); got != want {
		t.Errorf("%s is %q, want %q (%d %s)", cacheStatusHeader, got, want, w.Code, w.Body)
	}
}

const (
	hitMemory  = "pappus; hit; detail=memory"
	missStored = "pappus; fwd=miss; stored"
	bypass     = "pappus; fwd=bypass"
)

func TestCacheStatus(t *testing.T) {
	s := newServer(t, remembering(t))
	s.put(t, "f", "echo", echoes)
	s.put(t, "trap", "fault trap", "")
	s.put(t, "late", "fault deadline", "")
	if w := s.ask(t, http.MethodPut, "/v1/functions/off?memo=off", "application/wasm", code("give a=b", echoes)); w.Code != http.StatusCreated {
		t.Fatal(w.Body)
	}
	s.compose(t, "c", composesF)
	for _, c := range []struct {
		name, method, path, body, control string
		status                            int
		want                              string
	}{
		{"a first call", "POST", "f", "x", "", 200, missStored},
		{"a second one", "POST", "f", "x", "", 200, hitMemory},
		{"other inputs", "POST", "f", "y", "", 200, missStored},
		{"a directive without effect", "POST", "f", "x", "max-age=0, stale-if-error=\"7\"", 200, hitMemory},
		{"no-cache", "POST", "f", "x", "No-Cache", 200, "pappus; fwd=request; stored"},
		{"no-store", "POST", "f", "z", "no-store", 200, bypass},
		{"after no-store", "POST", "f", "z", "no-store, no-cache", 200, bypass},
		{"only-if-cached, and it is not", "POST", "f", "z", "only-if-cached", 504, ""},
		{"only-if-cached, and it is", "POST", "f", "y", "max-stale, only-if-cached", 200, hitMemory},
		{"what can't be", "POST", "f", "y", "only-if-cached, no-cache", 504, ""},
		{"a fault", "POST", "trap", "x", "", 422, missStored},
		{"a remembered fault", "POST", "trap", "x", "", 422, hitMemory},
		{"a fault of the moment", "POST", "late", "x", "", 504, "pappus; fwd=miss"},
		{"the same once more", "POST", "late", "x", "", 504, "pappus; fwd=miss"},
		{"a function that is not remembered", "POST", "off", "", "", 200, bypass},
		{"and never is", "POST", "off", "", "only-if-cached", 504, ""},
		{"a composition", "POST", "c", "x", "", 200, missStored},
		{"a remembered one", "POST", "c", "x", "", 200, hitMemory},
		{"one that is traced", "POST", "c?trace=1", "x", "", 200, bypass},
		{"other parallelism", "POST", "c?parallelism=3", "x", "", 200, missStored},
		{"by query", "GET", "f?in.a=q", "", "", 200, missStored},
		{"by query once more", "GET", "f?in.a=q", "", "", 200, hitMemory},
		{"only the header", "HEAD", "f?in.a=q", "", "", 200, hitMemory},
	} {
		var header []string
		if c.control != "" {
			header = []string{"Cache-Control", c.control}
		}
		w := s.ask(t, c.method, "/v1/invoke/"+c.path, "", c.body, header...)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		t.Run(c.name, func(t *testing.T) { wantCache(t, w, c.want) })
		if c.status == 504 && c.want == "" {
			wantProblem(t, w, problem.Code(engine.FaultNotCached))
		}
	}
	wantCache(t, s.ask(t, http.MethodPost, "/v1/invoke/f", "", "x", "Pragma", "no-cache"), "pappus; fwd=request; stored")
	wantCache(t, s.ask(t, http.MethodPost, "/v1/invoke/f", "", "x", "Pragma", "no-cache", "Cache-Control", "max-age=1"), hitMemory)
	wantCache(t, s.ask(t, http.MethodPost, "/v1/invoke/f", "", "x", "Cache-Control", "a", "Cache-Control", "no-store"), bypass)

	without := newServer(t)
	without.put(t, "f", "echo", echoes)
	for range 2 {
		w := without.ask(t, http.MethodPost, "/v1/invoke/f", "", "x")
		wantCache(t, w, "")
		if w.Header().Get("ETag") != "" {
			t.Errorf("an answer without a key has the ETag %s", w.Header().Get("ETag"))
		}
	}
	wantProblem(t, without.ask(t, http.MethodPost, "/v1/invoke/f", "", "x", "Cache-Control", "only-if-cached"), problem.Code(engine.FaultNotCached))
}

// Equal calls at once are one run, and each caller is told so.
func TestCollapsed(t *testing.T) {
	s := newServer(t, remembering(t))
	s.put(t, "f", "wait", echoes)
	first := make(chan *httptest.ResponseRecorder, 1)
	go func() { first <- s.ask(t, http.MethodPost, "/v1/invoke/f", "", "x") }()
	<-s.engine.started
	second := make(chan *httptest.ResponseRecorder, 1)
	go func() { second <- s.ask(t, http.MethodPost, "/v1/invoke/f", "", "x") }()
	// Whether the second has joined by now or finds the result is a matter of luck;
	// that it does not run is not.
	close(s.engine.gate)
	wantCache(t, <-first, missStored)
	if got := (<-second).Header().Get(cacheStatusHeader); got != "pappus; fwd=miss; collapsed" && got != hitMemory {
		t.Errorf("the second has %s %q", cacheStatusHeader, got)
	}
	if len(s.engine.started) != 0 {
		t.Error("the second ran as well")
	}
}

func TestETags(t *testing.T) {
	s := newServer(t, remembering(t), func(c *Config, _ *dispatcherConfig) { c.Origins = []string{"https://a.example"} })
	s.put(t, "f", "echo", echoes)
	s.put(t, "two", "give a=1,b=2", echoes)
	s.put(t, "none", "nothing", echoes)
	s.put(t, "trap", "fault trap", "")
	tags := map[string]bool{}
	for _, accept := range []string{"*/*", typeJSON, typeMultipart} {
		w := s.ask(t, http.MethodPost, "/v1/invoke/f", "", "x", "Accept", accept)
		tag := w.Header().Get("ETag")
		if tags[tag] || w.Code != http.StatusOK || w.Header().Get("Vary") != "Origin, Accept" || w.Header().Get("Cache-Control") != "" {
			t.Errorf("%s: %d, %v", accept, w.Code, w.Header())
		}
		tags[tag] = true
		again := s.ask(t, http.MethodGet, "/v1/invoke/f?in.a=x", "", "", "Accept", accept, "Cache-Control", "no-cache")
		if again.Header().Get("ETag") == tag {
			t.Errorf("%s: items of different names have one ETag", accept)
		}
		if again = s.ask(t, http.MethodPost, "/v1/invoke/f", "", "x", "Accept", accept, "Cache-Control", "no-cache"); again.Header().Get("ETag") != tag || again.Body.String() != w.Body.String() {
			t.Errorf("%s: computed again it is %q with %s", accept, again.Body, again.Header().Get("ETag"))
		}

		for _, has := range []string{tag, "W/" + tag, `"a", ` + tag, "*", `"x,y",W/"z" ,,` + tag + `, "b"`} {
			w := s.ask(t, http.MethodPost, "/v1/invoke/f", "", "x", "Accept", accept, "If-None-Match", has)
			wantProblem(t, w, problem.PreconditionFailed)
			if w.Header().Get("ETag") != tag || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("If-None-Match: %s: %v", has, w.Header())
			}
		}
		for _, has := range []string{"", `"a"`, tag[1:], tag[:len(tag)-1], strings.ToUpper(tag), `"*"`, "w/" + tag, `"` + tag + `"`, `"a` + tag} {
			if w := s.ask(t, http.MethodPost, "/v1/invoke/f", "", "x", "Accept", accept, "If-None-Match", has); w.Code != http.StatusOK {
				t.Errorf("If-None-Match: %s: %d %s", has, w.Code, w.Body)
			}
		}
	}

	for _, path := range []string{"f?in.a=x", "two", "none"} {
		get := s.ask(t, http.MethodGet, "/v1/invoke/"+path, "", "")
		tag := get.Header().Get("ETag")
		if get.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: an answer for a name has Cache-Control %q", path, get.Header().Get("Cache-Control"))
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w := s.ask(t, method, "/v1/invoke/"+path, "", "", "If-None-Match", `"a"`, "If-None-Match", tag)
			if w.Code != http.StatusNotModified || w.Body.Len() > 0 || w.Header().Get("ETag") != tag || w.Header().Get("Content-Type") != "" || w.Header().Get("Vary") != "Origin, Accept" {
				t.Errorf("%s %s: %d %v %q", method, path, w.Code, w.Header(), w.Body)
			}
		}
	}
	// A fault is not an answer that one could have.
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		w := s.ask(t, method, "/v1/invoke/trap", "", "", "If-None-Match", "*")
		wantProblem(t, w, "trap")
		if w.Header().Get("ETag") != "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("a fault has %v", w.Header())
		}
	}
	// Nor is what is not computed.
	wantProblem(t, s.ask(t, http.MethodGet, "/v1/invoke/f?in.a=new", "", "", "If-None-Match", "*", "Cache-Control", "only-if-cached"), problem.Code(engine.FaultNotCached))
}

// What names code by its digest is the same for ever.
func TestConstantAnswers(t *testing.T) {
	s := newServer(t, remembering(t))
	f := s.put(t, "f", "echo", echoes)
	trap := s.put(t, "trap", "fault trap", "")
	comp := s.compose(t, "c", composesF).Digest.String()
	const constant = "public, max-age=31536000, immutable"
	for _, c := range []struct{ method, path, query, want string }{
		{http.MethodGet, "f@" + f.Digest.String(), "?in.a=x", constant},
		{http.MethodHead, "f@" + f.Digest.String(), "?in.a=x", constant},
		{http.MethodGet, "f@" + f.Digest.String(), "", constant}, // 204
		{http.MethodPost, "f@" + f.Digest.String(), "", ""},
		{http.MethodGet, "f@1", "", "no-cache"}, // it may be deleted, and be another's after a purge of the data folder
		{http.MethodGet, "f", "", "no-cache"},
		{http.MethodGet, "c@" + comp, "?in.a=x", "no-cache"}, // its names may come to mean something else
		{http.MethodGet, "trap@" + trap.Digest.String(), "", "no-store"},
		{http.MethodGet, "f@" + f.Digest.String(), "?nonsense=1", "no-store"},
	} {
		w := s.ask(t, c.method, "/v1/invoke/"+c.path+c.query, "", "")
		if got := w.Header().Get("Cache-Control"); got != c.want {
			t.Errorf("%s %s%s: %d, Cache-Control %q, want %q", c.method, c.path, c.query, w.Code, got, c.want)
		}
		if c.want == constant && w.Header().Get("Vary") != "Accept" {
			t.Errorf("%s %s%s: Vary %q", c.method, c.path, c.query, w.Header().Get("Vary"))
		}
	}
}

func TestMemoFigures(t *testing.T) {
	s := newServer(t, remembering(t))
	for name, does := range map[string]string{"f": "echo", "g": "give a=1"} {
		s.put(t, name, does, echoes)
		for range 3 {
			s.ask(t, http.MethodPost, "/v1/invoke/"+name, "", "x")
		}
	}
	m := decodeBody[api.Memo](t, s.ask(t, http.MethodGet, "/v1/memo", "", ""))
	if !m.Enabled || m.Entries != 2 || m.Bytes <= 0 || m.Calls.Misses != 2 || m.Calls.Hits != 4 || m.Calls.Stored != 2 || m.Calls.SavedFuel != 4*42 || len(m.Functions) != 2 || m.Disk.Enabled {
		t.Errorf("%+v", m)
	}
	ask := func(method, path, want string) {
		t.Helper()
		wantCache(t, s.ask(t, method, path, "", "x"), want)
	}
	if w := s.ask(t, http.MethodDelete, "/v1/memo/f", "", ""); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	ask(http.MethodPost, "/v1/invoke/g", hitMemory)
	ask(http.MethodPost, "/v1/invoke/f", missStored)
	if w := s.ask(t, http.MethodDelete, "/v1/memo", "", ""); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	ask(http.MethodPost, "/v1/invoke/g", missStored)
	ask(http.MethodPost, "/v1/invoke/f", missStored)

	wantProblem(t, s.ask(t, http.MethodDelete, "/v1/memo/f@1", "", ""), problem.BadName)
	wantProblem(t, s.ask(t, http.MethodDelete, "/v1/memo/nobody", "", ""), problem.UnknownFunction)
	if w := s.ask(t, http.MethodDelete, "/v1/memo/", "", ""); w.Code < 400 {
		t.Errorf("no name at all is answered %d", w.Code)
	}
	ask(http.MethodPost, "/v1/invoke/g", hitMemory) // all is still there

	without := newServer(t)
	if m := decodeBody[api.Memo](t, without.ask(t, http.MethodGet, "/v1/memo", "", "")); m.Enabled || m.Functions == nil {
		t.Errorf("%+v", m)
	}
	if w := without.ask(t, http.MethodDelete, "/v1/memo", "", ""); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Lists of entity tags are anything that a client writes.
func FuzzMatches(f *testing.F) {
	for _, seed := range []string{"", "*", `"a"`, `W/"a", "b"`, `"`, `""`, `,,"a,b" x "c"`, `W/`, "\x00"} {
		f.Add(seed, "a")
	}
	f.Fuzz(func(t *testing.T, field, opaque string) {
		tag := `"` + strings.ReplaceAll(opaque, `"`, "") + `"`
		if got := matches([]string{field}, tag); got && strings.TrimSpace(field) != "*" && !strings.Contains(field, tag) {
			t.Errorf("%q has %q", field, tag)
		}
		if list := fmt.Sprintf("W/%s, %s", `"x"`, tag); !matches([]string{field, list}, tag) {
			t.Errorf("%q has no %q", list, tag)
		}
	})
}

// discarding is a client of which nothing is kept.
type discarding struct{ header http.Header }

func (d *discarding) Header() http.Header         { return d.header }
func (d *discarding) WriteHeader(int)             {}
func (d *discarding) Write(b []byte) (int, error) { return len(b), nil }

func (d *discarding) SetReadDeadline(time.Time) error  { return nil }
func (d *discarding) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkHit is what a remembered answer costs besides HTTP itself, at 1 KiB.
func BenchmarkHit(b *testing.B) {
	s := newServer(b, remembering(b))
	s.put(b, "f", "echo", echoes)
	body := strings.Repeat("x", 1<<10)
	if w := s.ask(b, http.MethodPost, "/v1/invoke/f", "", body); w.Header().Get(cacheStatusHeader) != missStored {
		b.Fatal(w.Header())
	}
	for _, c := range []struct{ name, control string }{{"hit", ""}, {"no-store", "no-store"}} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/invoke/f", http.NoBody)
			r.Host = "localhost"
			if c.control != "" {
				r.Header.Set("Cache-Control", c.control)
			}
			w := &discarding{header: http.Header{}}
			content := strings.NewReader(body)
			b.ReportAllocs()
			for b.Loop() {
				content.Reset(body)
				r.Body, r.ContentLength = io.NopCloser(content), int64(len(body))
				clear(w.header)
				s.ServeHTTP(w, r)
			}
		})
	}
}
