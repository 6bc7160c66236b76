package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/iofuncs"
	"pappus/server/api"
	"pappus/server/problem"
	"pappus/spans"
	"pappus/spans/spanstest"
)

// getRunRecord asks for the record of a run that must be there.
func (s *testServer) getRunRecord(t testing.TB, id string) api.Run {
	t.Helper()
	w := s.ask(t, http.MethodGet, "/v1/runs/"+id, "", "")
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", id, w.Code, w.Body)
	}
	return decodeBody[api.Run](t, w)
}

// A traced run answers as one that is not, and its record says what happened.
func TestTrace(t *testing.T) {
	s := newServer(t)
	s.put(t, "echo", "echo", echoes)
	s.compose(t, "chain", chain)
	const body = `{"inputs": {"in": [{"name": "a", "text": "one"}, {"name": "b", "key": 1, "text": "two"}]}}`
	for _, accept := range []string{typeJSON, typeMultipart} {
		with := s.ask(t, http.MethodPost, "/v1/invoke/chain?trace=1&parallelism=3", typeJSON, body, "Accept", accept)
		without := s.ask(t, http.MethodPost, "/v1/invoke/chain?parallelism=3", typeJSON, body, "Accept", accept)
		if with.Code != http.StatusOK || with.Body.String() != without.Body.String() || with.Header().Get("Content-Type") != without.Header().Get("Content-Type") {
			t.Errorf("traced: %d %s, not traced: %d %s", with.Code, with.Body, without.Code, without.Body)
		}
		if id := without.Header().Get("Pappus-Run"); id != "" {
			t.Errorf("an answer that was not traced names the run %s", id)
		}
		id := with.Header().Get("Pappus-Run")
		run := s.getRunRecord(t, id)
		if run.ID != id || run.Composition != "chain@1" || run.Parallelism != 3 || run.Fault != "" || run.Usage != (api.Usage{Fuel: 126, MemoryPages: 3}) ||
			run.Began.IsZero() || run.Ended.Before(run.Began) || run.Dropped != 0 || len(run.Applications) != 2 {
			t.Fatalf("%+v", run)
		}
		for i, want := range []struct {
			name      string
			instances int
			bytes     int64
		}{{"echo", 1, 6}, {"echo#2", 2, 3}} {
			a := run.Applications[i]
			if a.Callee != "echo@1" || a.Name != want.name || len(a.Instances) != want.instances {
				t.Fatalf("%+v", a)
			}
			for _, in := range a.Instances {
				if in.QueuedMs < 0 || in.StartedMs < in.QueuedMs || in.EndedMs < in.StartedMs || in.InBytes != want.bytes || in.OutBytes != want.bytes || in.Fuel != 42 || in.Fault != "" {
					t.Errorf("%s: %+v", a.Name, in)
				}
			}
		}
	}
	if w := s.ask(t, http.MethodGet, "/v1/invoke/chain?in.in=x&trace=1", "", ""); w.Code != http.StatusOK || w.Body.String() != "x" || !isRunID(w.Header().Get("Pappus-Run")) {
		t.Errorf("GET: %d %s %v", w.Code, w.Body, w.Header())
	}
	// Without items no application runs, which is a record too.
	w := s.ask(t, http.MethodPost, "/v1/invoke/chain?trace=1", typeJSON, `{"inputs": {}}`)
	if got := s.ask(t, http.MethodGet, "/v1/runs/"+w.Header().Get("Pappus-Run"), "", ""); w.Code != http.StatusNoContent || !strings.Contains(got.Body.String(), `"applications":[]`) {
		t.Errorf("%d, record %s", w.Code, got.Body)
	}
	// Functions have no applications.
	w = s.ask(t, http.MethodPost, "/v1/invoke/echo?trace=1", "", "x")
	if w.Code != http.StatusOK || w.Body.String() != "x" || w.Header()["Pappus-Run"] != nil {
		t.Errorf("a function: %d %s %v", w.Code, w.Body, w.Header())
	}
	for _, query := range []string{"trace=0", "trace=", "trace=true", "trace=1&trace=1"} {
		for _, name := range []string{"chain", "echo"} {
			wantProblem(t, s.ask(t, http.MethodPost, "/v1/invoke/"+name+"?"+query, "", "x"), problem.BadParameter)
			wantProblem(t, s.ask(t, http.MethodGet, "/v1/invoke/"+name+"?"+query, "", ""), problem.BadParameter)
		}
	}
}

// The record of a run that failed is kept, and the problem names it, also to a
// web page.
func TestTraceOfFailure(t *testing.T) {
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.Origins = []string{"https://page.example"} })
	s.put(t, "echo", "echo", echoes)
	s.put(t, "bad", "exit 7", echoes)
	s.compose(t, "c", `function echo(a) => (x);
function bad(a) => (x);
composition c(in) => (out) {
	echo(a = each in) => (middle = x);
	bad(a = each middle) => (out = x);
}`)
	w := s.ask(t, http.MethodPost, "/v1/invoke/c?trace=1", "", "x", "Origin", "https://page.example")
	wantProblem(t, w, problem.Code(engine.FaultExit))
	if !strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "Pappus-Run") {
		t.Errorf("a page can't see the run: %v", w.Header())
	}
	run := s.getRunRecord(t, w.Header().Get("Pappus-Run"))
	if run.Fault != "exit" || len(run.Applications) != 2 || run.Applications[1].Name != "bad" || run.Applications[1].Instances[0].Fault != "exit" || run.Applications[0].Instances[0].Fault != "" {
		t.Errorf("%+v", run)
	}
	w = s.ask(t, http.MethodPost, "/v1/invoke/c", "", "x")
	if w.Header()["Pappus-Run"] != nil {
		t.Errorf("a failure that was not traced: %v", w.Header())
	}
}

// The list has the newest runs first, on pages, and no more than there is room for.
func TestListRuns(t *testing.T) {
	const most = 200 // records are kept
	s := newServer(t)
	s.compose(t, "c", "composition c(a) => (a) {}")
	list := func(query string) api.RunPage {
		t.Helper()
		w := s.ask(t, http.MethodGet, "/v1/runs"+query, "", "")
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", query, w.Code, w.Body)
		}
		return decodeBody[api.RunPage](t, w)
	}
	if p := list(""); p.Items == nil || len(p.Items) != 0 || p.Next != "" {
		t.Errorf("no runs: %+v", p)
	}
	var ids []string
	for range most + 5 {
		ids = append(ids, s.ask(t, http.MethodPost, "/v1/invoke/c?trace=1", "", "x").Header().Get("Pappus-Run"))
	}
	slices.Reverse(ids)
	var got []string
	for cursor := ""; ; {
		p := list("?limit=70" + cursor)
		for _, r := range p.Items {
			got = append(got, r.ID)
			if r.Applications != nil || r.Composition != "c@1" {
				t.Errorf("%+v", r)
			}
		}
		if p.Next == "" {
			break
		}
		cursor = "&cursor=" + p.Next
	}
	if !slices.Equal(got, ids[:most]) {
		t.Errorf("%d runs of %d: %v", len(got), len(ids), got)
	}
	if p := list("?limit=200"); len(p.Items) != most || p.Next != "" {
		t.Errorf("%d on a page, then %q", len(p.Items), p.Next)
	}
	if p := list("?cursor=" + ids[most]); len(p.Items) != 0 || p.Next != "" {
		t.Errorf("after one that is gone: %+v", p)
	}
	for _, id := range []string{ids[most], strings.Repeat("A", 26), strings.ToLower(ids[0]), "x", "a%2Fb"} {
		wantProblem(t, s.ask(t, http.MethodGet, "/v1/runs/"+id, "", ""), problem.UnknownRun)
	}
	for _, query := range []string{"?cursor=c", "?limit=0", "?limit=1001"} {
		wantProblem(t, s.ask(t, http.MethodGet, "/v1/runs"+query, "", ""), problem.BadParameter)
	}
}

// teller is an I/O function that tells of one exchange, and has no answer.
type teller struct{}

var _ iofuncs.Function = teller{}

func (teller) Spec() iofuncs.Spec {
	return iofuncs.Spec{Name: "HTTP", Inputs: []iofuncs.Param{{Name: "requests"}}, Outputs: []iofuncs.Param{{Name: "bodies"}}}
}

func (teller) Call(_ context.Context, r iofuncs.Request) ([]data.Set, error) {
	now := time.Now()
	r.Note(iofuncs.Exchange{
		Method: "GET", Target: "http://a.example/\x1b", Began: now, Ended: now.Add(time.Second), Sent: 1, Received: 2, Status: 304, Attempts: 2,
		Cache: iofuncs.CacheRevalidated, Failed: iofuncs.KindFailed,
	})
	return nil, nil
}

func withTeller(t testing.TB) func(*Config, *dispatcher.Config) {
	return func(_ *Config, d *dispatcher.Config) {
		var err error
		if d.IOFunctions, err = iofuncs.NewRegistry(teller{}); err != nil {
			t.Fatal(err)
		}
	}
}

// Invocations are traced from the request to what I/O functions had others do, and
// answer as they do otherwise.
func TestSpans(t *testing.T) {
	r := spanstest.New(t)
	exporter, err := spans.New(spans.Config{URL: r.URL})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, withTeller(t), func(c *Config, _ *dispatcher.Config) { c.Spans = exporter })
	s.put(t, "echo", "echo", echoes)
	s.compose(t, "chain", chain)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/invoke/echo", "x"}, {http.MethodPost, "/v1/invoke/chain", "x"}, {http.MethodGet, "/v1/invoke/echo@latest?in.in=x", ""},
		{http.MethodPost, "/v1/invoke/HTTP", "x"}, {http.MethodPost, "/v1/invoke/nobody", "x"}, {http.MethodPost, "/v1/invoke/system_Invoke", "x"}, {http.MethodGet, "/v1/functions", ""},
	} {
		if w := s.ask(t, c.method, c.path, "", c.body, "Traceparent", parent); w.Header()["Pappus-Run"] != nil {
			t.Errorf("%s names a run", c.path)
		}
	}
	exporter.Close(t.Context())
	by := map[string]spanstest.Span{}
	for _, span := range r.Spans() {
		by[span.ID] = span
	}
	var got []string
	for _, span := range r.Spans() {
		line := span.Name
		for parent := span.Parent; ; parent = by[parent].Parent {
			if by[parent].Name == "" {
				line += " < " + parent
				break
			}
			line += " < " + by[parent].Name
		}
		if span.Trace != "0af7651916cd43dd8448eb211c80319c" || span.Attributes["pappus.run"] == "" {
			t.Errorf("%+v", span)
		}
		for _, key := range []string{"pappus.target", "http.response.status_code", "error.type"} {
			if v := span.Attributes[key]; v != nil && span.Kind != 1 {
				line += fmt.Sprintf(" %v", v)
			}
		}
		got = append(got, line)
	}
	slices.Sort(got)
	const post, get = "POST /v1/invoke/:ref", "GET /v1/invoke/:ref"
	want := []string{
		get + " < b7ad6b7169203331 echo@1 400 unknown-set",
		post + " < b7ad6b7169203331 HTTP 204", post + " < b7ad6b7169203331 chain@1 200", post + " < b7ad6b7169203331 echo@1 200",
		post + " < b7ad6b7169203331 404 unknown-function", post + " < b7ad6b7169203331 system_Invoke 502 io-failed",
		"run chain@1 < " + post + " < b7ad6b7169203331", "echo < run chain@1 < " + post + " < b7ad6b7169203331", "echo#2 < run chain@1 < " + post + " < b7ad6b7169203331",
		"echo@1 < echo < run chain@1 < " + post + " < b7ad6b7169203331", "echo@1 < echo#2 < run chain@1 < " + post + " < b7ad6b7169203331",
		"run HTTP < " + post + " < b7ad6b7169203331", "HTTP < run HTTP < " + post + " < b7ad6b7169203331", "HTTP < HTTP < run HTTP < " + post + " < b7ad6b7169203331",
		"GET < HTTP < HTTP < run HTTP < " + post + " < b7ad6b7169203331 304 io-failed",
		"run system_Invoke < " + post + " < b7ad6b7169203331", "system_Invoke < run system_Invoke < " + post + " < b7ad6b7169203331",
		"system_Invoke < system_Invoke < run system_Invoke < " + post + " < b7ad6b7169203331",
		"invoke < system_Invoke < system_Invoke < run system_Invoke < " + post + " < b7ad6b7169203331 io-failed",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, span := range r.Spans() {
		if above, ok := by[span.Parent]; ok && (span.Began.Before(above.Began) || span.Ended.After(above.Ended) && above.Name != "HTTP") {
			t.Errorf("%s is from %s to %s, and %s from %s to %s", span.Name, span.Began, span.Ended, above.Name, above.Began, above.Ended)
		}
	}
}

// A record has what I/O functions had others do, and leads to the runs of calls by
// name.
func TestRequestsOfRuns(t *testing.T) {
	s := newServer(t, withTeller(t))
	w := s.ask(t, http.MethodPost, "/v1/invoke/system_Invoke?trace=1", "", "INVOKE HTTP\n0 1 requests/\nx\n")
	outer := s.getRunRecord(t, w.Header().Get("Pappus-Run"))
	if w.Code != http.StatusOK || len(outer.Applications) != 1 || len(outer.Applications[0].Instances[0].Requests) != 1 {
		t.Fatalf("%d %s %+v", w.Code, w.Body, outer)
	}
	call := outer.Applications[0].Instances[0].Requests[0]
	if call.Method != "invoke" || call.Target != "HTTP" || call.Attempts != 1 || call.SentBytes == 0 || call.Run == "" || call.Status != 0 || call.Cache != "" || call.Fault != "" {
		t.Errorf("%+v", call)
	}
	inner := s.getRunRecord(t, call.Run)
	got := inner.Applications[0].Instances[0].Requests[0]
	if took := got.EndedMs - got.StartedMs; took < 999.9 || took > 1000.1 {
		t.Errorf("it took %f ms", took)
	}
	got.StartedMs, got.EndedMs = 0, 0
	want := api.RunRequest{
		Method: "GET", Target: "http://a.example/\x1b", SentBytes: 1, ReceivedBytes: 2, Status: 304, Attempts: 2, Cache: "revalidated", Fault: "io-failed",
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What an answer with a record is charged while it is made is not below what its
// JSON and what that is made of take.
func TestBytesOfRunAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune("<>&\"\\\x1b\u2028é\U0001f600")), rapid.Rune()))
		const far = 1<<63 - 1
		r := &dispatcher.Record{ID: strings.Repeat("A", 26), Composition: text.Draw(t, "composition"), Began: time.Now(), Ended: time.Now()}
		for range rapid.IntRange(0, 3).Draw(t, "applications") {
			a := dispatcher.ApplicationRecord{Name: text.Draw(t, "name"), Callee: text.Draw(t, "callee")}
			for range rapid.IntRange(0, 5).Draw(t, "instances") {
				in := dispatcher.InstanceRecord{
					Number: far, Queued: far, Started: far, Ended: far, In: far, Out: far, Fuel: far, Engine: "chericapengine", Fault: engine.FaultLimitApplications,
					Item: text.Draw(t, "item"), Requests: &dispatcher.Requests{Dropped: far},
				}
				for range rapid.IntRange(0, 3).Draw(t, "requests") {
					in.Requests.List = append(in.Requests.List, dispatcher.RequestRecord{
						Method: text.Draw(t, "method"), Target: text.Draw(t, "target"), Started: far, Ended: far, Sent: far, Received: far, Status: far,
						Attempts: far, Cache: iofuncs.CacheRevalidated, Fault: engine.FaultLimitApplications, Run: r,
					})
				}
				a.Instances = append(a.Instances, in)
			}
			r.Applications = append(r.Applications, a)
		}
		if in, err := json.Marshal(r.Composition); err != nil || len(in)-len(`""`) > escapedLength(r.Composition) {
			t.Errorf("%s takes %d bytes, and not %d: %v", in, len(in), escapedLength(r.Composition), err)
		}
		run := runDocument(r)
		body, err := json.Marshal(run)
		if err != nil {
			t.Fatal(err)
		}
		took := jsonCopies * len(body)
		for _, a := range run.Applications {
			took += int(unsafe.Sizeof(a))
			for _, in := range a.Instances {
				took += int(unsafe.Sizeof(in)) + len(in.Requests)*int(unsafe.Sizeof(api.RunRequest{}))
			}
		}
		if n := answerBytes(r); int64(took) > n {
			t.Errorf("%d bytes of JSON, so %d in all, and %d are charged", len(body), took, n)
		}
	})
}
