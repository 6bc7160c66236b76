package main_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pappus/spans/spanstest"
)

// A call is traced from the caller's span to what the servers that it asks are told
// of, where the operator wants that; all of it is sent before the server ends.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var told []string
	uris, hosts := logServers(t, func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			told = append(told, r.Header.Get("Traceparent"))
			mu.Unlock()
			content.ServeHTTP(w, r)
		})
	})
	list := strings.Join(uris, "\n")
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, propagate := range []bool{false, true} {
		told = nil
		r := spanstest.New(t)
		flags := []string{"--egress-allow", strings.Join(hosts, ","), "--traces", r.URL}
		if propagate {
			flags = append(flags, "--traces-propagate")
		}
		p := serve(t, t.TempDir(), flags...)
		p.pushComposition(t, "logcount-http")
		body := `{"inputs": {"servers": [{"name": "list", "text": "` + strings.ReplaceAll(list, "\n", `\n`) + `"}], "pattern": [{"name": "p", "text": "ERROR"}]}}`
		if status, header, answer := p.do(http.MethodPost, "/v1/invoke/logcount-http", "application/json", body, "Traceparent", "00-"+trace+"-"+parent+"-01"); status != http.StatusOK || header["Pappus-Run"] != nil {
			t.Fatalf("%d %s", status, answer)
		}
		p.stop()
		var root spanstest.Span
		requests, known := map[string]bool{}, map[string]bool{parent: true}
		for _, s := range r.Spans() {
			known[s.ID] = true
			if s.Trace != trace {
				t.Errorf("%+v is of another trace", s)
			}
			switch s.Kind {
			case 2:
				root = s
			case 3:
				requests["00-"+trace+"-"+s.ID+"-01"] = true
				if target, _ := s.Attributes["url.full"].(string); !strings.Contains(list, target) || s.Attributes["http.response.status_code"] != int64(http.StatusOK) {
					t.Errorf("%+v", s)
				}
			}
		}
		for _, s := range r.Spans() {
			if !known[s.Parent] {
				t.Errorf("%s has the unknown parent %s", s.Name, s.Parent)
			}
		}
		// The request, the run, its four applications, their instances (3 of HTTP and of
		// the counting), and the three requests.
		if root.Parent != parent || len(requests) != 3 || len(r.Spans()) != 1+1+4+8+3 || root.Attributes["pappus.target"] != "logcount-http@1" {
			t.Errorf("%d spans, of which %d are requests, and %+v", len(r.Spans()), len(requests), root)
		}
		if len(told) != 3 {
			t.Errorf("the servers are told %q", told)
		}
		for _, field := range told {
			if propagate != requests[field] || !propagate && field != "" {
				t.Errorf("a server is told %q, and the spans are %v", field, requests)
			}
		}
	}
}

// A receiver that is not there changes nothing but a metric, and the log says so.
func TestNobodyTakesTraces(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	file := filepath.Join(t.TempDir(), "pappus.yaml")
	if err := os.WriteFile(file, []byte("traces: http://"+address+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serve(t, t.TempDir(), "--config", file)
	for range 3 {
		if status, _, _ := p.do(http.MethodPost, "/v1/invoke/nobody", "", "x"); status != http.StatusNotFound {
			t.Fatal(status)
		}
	}
	if p.metric("pappus_spans_waiting") != 3 {
		t.Errorf("%g spans wait", p.metric("pappus_spans_waiting"))
	}
	p.stop()
	if log := p.log.String(); strings.Count(log, "spans can't be sent") != 1 || strings.Contains(log, "level=ERROR") {
		t.Error(log)
	}
}
