package spanstest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Span is a span that was received.
type Span struct {
	Trace, ID, Parent string // hexadecimal
	Name              string
	Kind              int // 1: internal, 2: server, 3: client
	Began, Ended      time.Time
	Attributes        map[string]any // texts, and numbers as int64
	Failed            bool
	Message           string
}

// Receiver takes spans. It may be used by many goroutines.
type Receiver struct {
	URL string // to export to

	server *httptest.Server
	mu     sync.Mutex
	spans  []Span
	bodies [][]byte
	broken []error
	answer func(http.ResponseWriter) bool
}

// New starts a receiver, which ends with the test. What it could not read fails it.
func New(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{}
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	r.URL = r.server.URL
	t.Cleanup(func() {
		r.server.Close()
		for _, err := range r.broken {
			t.Error(err)
		}
	})
	return r
}

// Answer has requests answered by a function, as long as it reports that it did.
func (r *Receiver) Answer(f func(http.ResponseWriter) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// Spans are those that were taken.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Span(nil), r.spans...)
}

// Bodies are the requests that were taken, as they came.
func (r *Receiver) Bodies() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.bodies...)
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	var raw json.RawMessage
	err := json.NewDecoder(req.Body).Decode(&raw)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answer != nil && r.answer(w) {
		return
	}
	if req.Method != http.MethodPost || req.URL.Path != "/v1/traces" || req.Header.Get("Content-Type") != "application/json" {
		err = fmt.Errorf("%s %s of %q", req.Method, req.URL.Path, req.Header.Get("Content-Type"))
	}
	var spans []Span
	if err == nil {
		spans, err = read(raw)
	}
	if err != nil {
		r.broken = append(r.broken, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.spans, r.bodies = append(r.spans, spans...), append(r.bodies, raw)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}"))
}

type attribute struct {
	Key   string `json:"key"`
	Value struct {
		Text   *string `json:"stringValue"`
		Number *string `json:"intValue"`
	} `json:"value"`
}

// read reads a request, in which nothing may be that the form does not have.
func read(body []byte) ([]Span, error) {
	var message struct {
		ResourceSpans []struct {
			Resource struct {
				Attributes []attribute `json:"attributes"`
			} `json:"resource"`
			ScopeSpans []struct {
				Scope struct {
					Name    string `json:"name"`
					Version string `json:"version"`
				} `json:"scope"`
				Spans []struct {
					TraceID           string      `json:"traceId"`
					SpanID            string      `json:"spanId"`
					ParentSpanID      string      `json:"parentSpanId"`
					Name              string      `json:"name"`
					Kind              int         `json:"kind"`
					StartTimeUnixNano string      `json:"startTimeUnixNano"`
					EndTimeUnixNano   string      `json:"endTimeUnixNano"`
					Attributes        []attribute `json:"attributes"`
					Status            struct {
						Message string `json:"message"`
						Code    int    `json:"code"`
					} `json:"status"`
				} `json:"spans"`
			} `json:"scopeSpans"`
		} `json:"resourceSpans"`
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&message); err != nil {
		return nil, fmt.Errorf("read spans: %w", err)
	}
	var spans []Span
	for _, resource := range message.ResourceSpans {
		if about, err := values(resource.Resource.Attributes); err != nil || about["service.name"] != "pappus" {
			return nil, fmt.Errorf("the resource is %v (%w)", about, err)
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				span := Span{Trace: s.TraceID, ID: s.SpanID, Parent: s.ParentSpanID, Name: s.Name, Kind: s.Kind, Failed: s.Status.Code == 2, Message: s.Status.Message}
				var err error
				if span.Attributes, err = values(s.Attributes); err != nil {
					return nil, err
				}
				for _, id := range []struct {
					text  string
					bytes int
				}{{s.TraceID, 16}, {s.SpanID, 8}, {s.ParentSpanID, 8}} {
					if b, err := hex.DecodeString(id.text); err != nil || len(b) != id.bytes && (len(b) > 0 || id.text != s.ParentSpanID) {
						return nil, fmt.Errorf("the span %q has the id %q", s.Name, id.text)
					}
				}
				for to, text := range map[*time.Time]string{&span.Began: s.StartTimeUnixNano, &span.Ended: s.EndTimeUnixNano} {
					n, err := strconv.ParseInt(text, 10, 64)
					if err != nil {
						return nil, fmt.Errorf("the span %q: %w", s.Name, err)
					}
					*to = time.Unix(0, n)
				}
				if s.Name == "" || s.Kind < 1 || s.Kind > 5 || span.Ended.Before(span.Began) || s.Status.Code != 0 && s.Status.Code != 2 {
					return nil, fmt.Errorf("the span %+v makes no sense", s)
				}
				spans = append(spans, span)
			}
		}
	}
	return spans, nil
}

func values(attributes []attribute) (map[string]any, error) {
	all := map[string]any{}
	for _, a := range attributes {
		if _, twice := all[a.Key]; twice || a.Key == "" || (a.Value.Text == nil) == (a.Value.Number == nil) {
			return nil, fmt.Errorf("the attribute %q is there twice, or has no value", a.Key)
		}
		if a.Value.Text != nil {
			all[a.Key] = *a.Value.Text
			continue
		}
		n, err := strconv.ParseInt(*a.Value.Number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the attribute %q: %w", a.Key, err)
		}
		all[a.Key] = n
	}
	return all, nil
}
