package spans_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/dispatcher"
	"pappus/engine"
	"pappus/iofuncs"
	"pappus/spans"
	"pappus/spans/spanstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// What is no traceparent is as none.
func TestTraceparent(t *testing.T) {
	for text, want := range map[string]bool{
		parent: true, strings.Replace(parent, "-01", "-00", 1): true, "cc" + parent[2:]: true, "cc" + parent[2:] + "-what the future has": true,
		"": false, parent[1:]: false, parent + "-x": false, "ff" + parent[2:]: false, "cc" + parent[2:] + "x": false, strings.ToUpper(parent): false,
		strings.Replace(parent, "0af7651916cd43dd8448eb211c80319c", strings.Repeat("0", 32), 1): false,
		strings.Replace(parent, "b7ad6b7169203331", strings.Repeat("0", 16), 1):                 false,
		strings.Replace(parent, "-", "a", 1):                                                    false, strings.Replace(parent, "a", "-", 1): false, "g" + parent[1:]: false, parent[:54] + "g": false, strings.Repeat("é", 55): false,
	} {
		trace, span, ok := spans.ParseParent(text)
		if ok != want || ok && (hex.EncodeToString(trace[:]) != "0af7651916cd43dd8448eb211c80319c" || hex.EncodeToString(span[:]) != "b7ad6b7169203331") {
			t.Errorf("%q: %x %x %t", text, trace, span, ok)
		}
	}
	if _, _, ok := spans.ParseParent(parent, parent); ok {
		t.Error("two are one")
	}
	if _, _, ok := spans.ParseParent(); ok {
		t.Error("none is one")
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add(parent)
	f.Add("01" + parent[2:] + "-more")
	f.Add(strings.Repeat("-", 55))
	f.Fuzz(func(t *testing.T, text string) {
		trace, span, ok := spans.ParseParent(text)
		if zero := trace == (iofuncs.TraceID{}) || span == (iofuncs.SpanID{}); zero == ok {
			t.Fatalf("%q: %x %x %t", text, trace, span, ok)
		}
		if ok && !strings.HasPrefix(text[2:], iofuncs.Traceparent(trace, span)[2:53]) {
			t.Errorf("%q is not what is read from it", text)
		}
	})
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://127.0.0.1:4318": "http://127.0.0.1:4318/v1/traces", "https://a.example/": "https://a.example/v1/traces", "http://a/b?c=d": "http://a/b?c=d",
		"": "", "127.0.0.1:4318": "", "http:": "", "grpc://a": "", "http://u:p@a": "", "http://a/#f": "", "http:a": "", "http://a\n": "", "http://[::1": "",
	} {
		u, err := spans.ParseURL(text)
		if (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("%q: %v %v", text, u, err)
		}
	}
	if _, err := spans.New(spans.Config{URL: "x"}); err == nil {
		t.Error("there is an exporter to nowhere")
	}
}

// What a URL has besides its host may be a key, and is neither logged nor told.
func TestSecretsAreNotTold(t *testing.T) {
	for _, url := range []string{"http://u:secret@a.example/", "http://a.example/#secret", "x://a.example/secret", "secret", "http://a.example/secret\n"} {
		if _, err := spans.New(spans.Config{URL: url}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	const tries = 4
	var tried atomic.Int32
	given := make(chan struct{}) // up: the first span
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/secret" || r.URL.RawQuery != "key=secret" {
			t.Errorf("spans are sent to %s", r.URL)
		}
		switch n := tried.Add(1); {
		case n == tries:
			close(given)
			fallthrough
		case n < tries:
			panic(http.ErrAbortHandler) // the connection breaks
		}
	}))
	defer s.Close()
	var log bytes.Buffer
	e, err := spans.New(spans.Config{URL: s.URL + "/secret?key=secret", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	e.Impatient()
	e.Begin(nil).End(spans.Invocation{Method: "M", Route: "/"})
	<-given
	e.Begin(nil).End(spans.Invocation{Method: "M", Route: "/"})
	e.Close(t.Context())
	if said := log.String(); strings.Contains(said, "secret") || strings.Count(said, "traces="+s.URL) != 2 {
		t.Errorf("%s", said)
	}
}

func exporter(t *testing.T, url string) *spans.Exporter {
	t.Helper()
	e, err := spans.New(spans.Config{URL: url, Version: "1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e.Impatient()
	t.Cleanup(func() { e.Close(t.Context()) })
	return e
}

// aRun is a run with a call of HTTP, one by name, and a fault.
func aRun() *dispatcher.Record {
	began := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	inner := &dispatcher.Record{ID: "INNER", Composition: "inner@2", Began: began.Add(ms(50)), Ended: began.Add(ms(60)), Err: &engine.Fault{Kind: engine.FaultTrap}}
	return &dispatcher.Record{
		ID: "OUTER", Composition: "outer@1", Parallelism: 4, Began: began, Ended: began.Add(ms(100)), Usage: engine.Usage{Fuel: 7}, Dropped: 2,
		Err: &engine.Fault{Kind: engine.FaultIOFailed},
		Applications: []dispatcher.ApplicationRecord{
			{Name: "Fetch", Callee: "HTTP", Instances: []dispatcher.InstanceRecord{{
				Queued: ms(1), Started: ms(3), Ended: ms(20), In: 10, Out: 20, Item: `requests: "a", key 1`,
				Requests: &dispatcher.Requests{Dropped: 3, List: []dispatcher.RequestRecord{{
					Method: http.MethodPut, Target: "http://a.example:8080/x", Started: ms(4), Ended: ms(19), Sent: 5, Received: 6, Status: 503, Attempts: 3,
					Cache: iofuncs.CacheMiss, Fault: engine.FaultIOFailed, Span: iofuncs.SpanID{1, 2, 3, 4, 5, 6, 7, 8},
				}}},
			}}},
			{Name: "Call", Callee: "system_Invoke", Instances: []dispatcher.InstanceRecord{{
				Queued: ms(45), Started: ms(46), Ended: ms(65), Fault: engine.FaultIOFailed,
				Requests: &dispatcher.Requests{List: []dispatcher.RequestRecord{{Method: "invoke", Target: "inner@2", Started: ms(49), Ended: ms(61), Fault: engine.FaultTrap, Run: inner}}},
			}}},
		},
	}
}

// A record becomes spans that hang together, with the times and faults that it has.
func TestSpansOfARun(t *testing.T) {
	r := spanstest.New(t)
	e := exporter(t, r.URL)
	trace := e.Begin([]string{parent})
	trace.Record(aRun())
	trace.End(spans.Invocation{Method: http.MethodPost, Route: "/v1/invoke/:ref", Target: "outer@1", Request: "id", Status: 502, Fault: "io-failed", Fuel: 7, Queue: time.Millisecond})
	e.Close(t.Context())
	by, names := map[string]spanstest.Span{}, map[string]string{}
	for _, s := range r.Spans() {
		if s.Trace != "0af7651916cd43dd8448eb211c80319c" || by[s.ID].ID != "" {
			t.Errorf("%+v", s)
		}
		by[s.ID] = s
	}
	var lines []string
	for _, s := range r.Spans() {
		names[s.Name] = s.ID
		above := by[s.Parent].Name
		if above == "" {
			above = s.Parent
		}
		lines = append(lines, fmt.Sprintf("%s < %s: %d %t %s", s.Name, above, s.Kind, s.Failed, s.Message))
	}
	got := strings.Join(lines, "\n")
	const want = `run outer@1 < POST /v1/invoke/:ref: 1 true io-failed
Fetch < run outer@1: 1 false 
Call < run outer@1: 1 true io-failed
HTTP < Fetch: 1 false 
PUT < HTTP: 3 true io-failed
system_Invoke < Call: 1 true io-failed
invoke inner@2 < system_Invoke: 1 true trap
run inner@2 < invoke inner@2: 1 true trap
POST /v1/invoke/:ref < b7ad6b7169203331: 2 true io-failed`
	if got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	put := by["0102030405060708"]
	began := aRun().Began
	if !put.Began.Equal(began.Add(4*time.Millisecond)) || !put.Ended.Equal(began.Add(19*time.Millisecond)) {
		t.Errorf("%+v", put)
	}
	for _, c := range []struct {
		span string
		want map[string]any
	}{
		{put.ID, map[string]any{
			"http.request.method": http.MethodPut, "url.full": "http://a.example:8080/x", "server.address": "a.example", "server.port": int64(8080), "http.response.status_code": int64(503),
			"http.request.resend_count": int64(2), "error.type": "io-failed", "pappus.cache": "miss", "pappus.sent_bytes": int64(5), "pappus.received_bytes": int64(6),
		}},
		{names["HTTP"], map[string]any{
			"pappus.application": "Fetch", "pappus.target": "HTTP", "pappus.item": `requests: "a", key 1`, "pappus.queue_us": int64(2000),
			"pappus.in_bytes": int64(10), "pappus.out_bytes": int64(20), "pappus.requests_left_out": int64(3),
		}},
		{names["run outer@1"], map[string]any{
			"pappus.run": "OUTER", "pappus.target": "outer@1", "error.type": "io-failed", "pappus.fuel": int64(7), "pappus.parallelism": int64(4), "pappus.instances_not_recorded": int64(2),
		}},
		{names["POST /v1/invoke/:ref"], map[string]any{
			"http.request.method": http.MethodPost, "http.route": "/v1/invoke/:ref", "http.response.status_code": int64(502), "error.type": "io-failed",
			"pappus.request": "id", "pappus.target": "outer@1", "pappus.fuel": int64(7), "pappus.queue_us": int64(1000),
		}},
	} {
		if got := by[c.span].Attributes; fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s has\n%v\nwant\n%v", by[c.span].Name, got, c.want)
		}
	}
	if got := e.Counts(); got != (spans.Counts{Exported: 9}) {
		t.Errorf("%+v", got)
	}
}

// However large a run was, its spans are bounded, and say what they leave out.
func TestSpansAreBounded(t *testing.T) {
	r := spanstest.New(t)
	e := exporter(t, r.URL)
	large := aRun()
	failing := make([]dispatcher.InstanceRecord, 3000)
	for i := range failing {
		failing[i] = dispatcher.InstanceRecord{Number: i, Fault: engine.FaultTrap}
	}
	large.Applications = []dispatcher.ApplicationRecord{{Name: "Fine", Callee: "f@1", Instances: make([]dispatcher.InstanceRecord, 3000)}, {Name: strings.Repeat("é", 1000), Callee: "g@1", Instances: failing}}
	e.Begin(nil).Record(large)
	e.Close(t.Context())
	all := r.Spans()
	if len(all) != spans.MaxSpans || all[1].Attributes["pappus.instances_left_out"] != int64(2950) || all[2].Attributes["pappus.instances_left_out"] != int64(3000-spans.MaxSpans+3+50) || len(all[2].Name) > 305 {
		t.Errorf("%d spans, %v, %v", len(all), all[1], all[2].Attributes)
	}
}

// A receiver that is down for a moment gets everything; for one that is not there
// nobody waits, and what has no room is counted.
func TestReceiverDown(t *testing.T) {
	r := spanstest.New(t)
	e := exporter(t, r.URL)
	times, again := 0, make(chan struct{})
	r.Answer(func(w http.ResponseWriter) bool {
		if times++; times > 2 {
			close(again)
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	e.Begin(nil).End(spans.Invocation{Method: "M", Route: "/"})
	<-again
	e.Close(t.Context())
	if got := e.Counts(); got != (spans.Counts{Exported: 1}) {
		t.Errorf("%+v", got)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	if e, err = spans.New(spans.Config{URL: "http://" + address}); err != nil { // one that waits between tries, while it fills
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				e.Begin(nil).End(spans.Invocation{Method: "M", Route: "/"})
			}
		})
	}
	all.Wait()
	e.Close(t.Context())
	e.Begin(nil).End(spans.Invocation{Method: "M", Route: "/"})
	if got := e.Counts(); got.Full+got.Failed != 8*2000+1 || got.Full <= 1 || got.Failed < 500 || got.Exported+got.Rejected != 0 || got.Waiting != 0 {
		t.Errorf("%+v", got)
	}
}

// A receiver that never answers keeps nobody from ending.
func TestReceiverHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	e := exporter(t, "http://"+listener.Addr().String())
	e.Begin(nil).End(spans.Invocation{Method: "M", Route: "/"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e.Close(ctx)
	e.Close(ctx) // once more does no harm
	if got := e.Counts(); got != (spans.Counts{Failed: 1}) {
		t.Errorf("%+v", got)
	}
}

// What a receiver does not take is not sent again, and counted.
func TestReceiverRefuses(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   spans.Counts
	}{
		{http.StatusBadRequest, "", spans.Counts{Failed: 2}},
		{http.StatusTemporaryRedirect, "", spans.Counts{Failed: 2}},
		{http.StatusOK, `{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "x"}}`, spans.Counts{Rejected: 1, Exported: 1}},
		{http.StatusOK, `{"partialSuccess": {"rejectedSpans": 7}}`, spans.Counts{Rejected: 2}},
		{http.StatusOK, `{"partialSuccess": {"rejectedSpans": -7}}`, spans.Counts{Exported: 2}},
		{http.StatusOK, `{"partialSuccess": {"rejectedSpans": []}}`, spans.Counts{Exported: 2}},
		{http.StatusOK, strings.Repeat("x", 1<<20), spans.Counts{Exported: 2}},
	} {
		r := spanstest.New(t)
		requests := 0
		r.Answer(func(w http.ResponseWriter) bool {
			requests++
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
			return true
		})
		e := exporter(t, r.URL)
		trace := e.Begin(nil)
		trace.End(spans.Invocation{Method: "M", Route: "/"})
		trace.Record(&dispatcher.Record{Err: errors.New("a defect")})
		e.Close(t.Context())
		if got := e.Counts(); got != c.want || requests != 1 {
			t.Errorf("%d %.50s: %+v after %d requests, want %+v", c.status, c.body, got, requests, c.want)
		}
	}
}

// One of so many is traced; none without an exporter.
func TestSampling(t *testing.T) {
	r := spanstest.New(t)
	e, err := spans.New(spans.Config{URL: r.URL, Every: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(t.Context())
	n := 0
	ids := map[iofuncs.TraceID]bool{}
	for range 4000 {
		if trace := e.Begin(nil); trace != nil {
			n++
			ids[trace.ID()] = true
		}
	}
	if n < 700 || n > 1300 || len(ids) != n {
		t.Errorf("%d of 4000 are traced, with %d ids", n, len(ids))
	}
	var none *spans.Exporter
	none.Close(t.Context())
	if allocated := testing.AllocsPerRun(100, func() {
		if none.Begin([]string{parent}) != nil {
			t.Error("without an exporter something is traced")
		}
	}); allocated != 0 {
		t.Errorf("it takes %g allocations to trace nothing", allocated)
	}
	if n := none.Counts(); n != (spans.Counts{}) {
		t.Errorf("it counts %+v", n)
	}
}
