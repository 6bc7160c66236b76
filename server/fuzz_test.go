package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/server/problem"
)

// collect reads a body by read, for a function that takes any sets.
func collect(t *testing.T, read func(*collector) error) ([]data.Set, bool) {
	t.Helper()
	sig := engine.OpenSignature()
	c := collector{signature: &sig, limit: 1000, memory: new(charged)}
	if err := read(&c); err != nil {
		var p *problem.Problem
		if !errors.As(err, &p) || p.Status/100 != 4 {
			t.Fatalf("%v", err)
		}
		return nil, false
	}
	return c.done(), true
}

// What is taken as JSON is what encoding/json takes it for.
func FuzzJSONInputs(f *testing.F) {
	for _, s := range []string{
		`{"inputs": {}}`, `{"inputs": {"a": [{"text": "x"}]}}`, `{"inputs": {"a": [{"name": "n", "key": 7, "data": "eA=="}, {"text": "\ud83d\ude00\n"}], "b": []}}`,
		`{"inputs": {"a": [{"data": "e A="}]}}`, `{"inputs": {"a": [{"text": "\u0000", "key": -0}]}}`, `{"inputs":{"a":[]}}x`, "{\"inputs\":{\"\xff\":[]}}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		original := append([]byte(nil), body...)
		sets, ok := collect(t, func(c *collector) error { return readJSON(body, c) })
		if !ok {
			return
		}
		type item struct {
			Name string
			Key  uint32
			Data *[]byte
			Text *string
		}
		var same struct{ Inputs map[string][]item }
		if err := json.Unmarshal(original, &same); err != nil {
			t.Fatalf("%q is taken: %v", original, err)
		}
		if len(same.Inputs) != len(sets) {
			t.Fatalf("%q: %d sets, want %d", original, len(sets), len(same.Inputs))
		}
		for _, s := range sets {
			want := data.Set{Name: s.Name}
			for _, it := range same.Inputs[s.Name] {
				content := it.Data
				if content == nil {
					text := []byte(*it.Text)
					content = &text
				}
				want.Items = append(want.Items, data.NewItem(it.Name, it.Key, *content))
			}
			want.Order()
			if !data.Equal([]data.Set{s}, []data.Set{want}) {
				t.Fatalf("%q: set %q is read wrongly", original, s.Name)
			}
		}
	})
}

func FuzzMultipart(f *testing.F) {
	for _, s := range []string{
		"--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"n\"\r\nPappus-Key: 3\r\n\r\ncontent\r\n--b--\r\n",
		"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\n--b-\r\n--b--",
		"--b--", "--b\n\n\n--b--", "--b\r\nContent-Disposition: form-data; name*=utf-8''%e2%82%ac\r\n\r\nx\r\n--b--",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		size := len(body)
		sets, ok := collect(t, func(c *collector) error { return readMultipart(body, "b", c) })
		if !ok {
			return
		}
		total := 0
		for _, s := range sets {
			if data.CheckSetName(s.Name) != nil {
				t.Fatalf("set %q", s.Name)
			}
			for _, it := range s.Items {
				if data.CheckItemName(it.Name()) != nil {
					t.Fatalf("item %q", it.Name())
				}
				total += it.Len()
			}
		}
		if total > size {
			t.Fatalf("%d bytes of content in %d", total, size)
		}
	})
}

// Whatever a request's target and header are, the answer is one that the API
// has, and the server lives.
func FuzzRequest(f *testing.F) {
	for _, s := range [][5]string{
		{"POST", "/v1/invoke/f", "set=a&item=b&key=1", "Accept", "*/*;q=0.5, a/b"},
		{"PUT", "/v1/functions/g@sha256:00", "input=a/item&memory=1MiB&tag=x", "Content-Type", "multipart/form-data; boundary=x"},
		{"GET", "/v1/functions/%2e%2e/versions", "cursor=&limit=1", "Origin", "http://localhost"},
		{"PUT", "/v1/compositions/c", "tag=x&force=true", "Accept", "text/plain"}, {"POST", "/v1/compositions/check", "name=c", "Content-Type", "text/plain"},
		{"HEAD", "/errors/%00", "%zz", "Sec-Fetch-Site", "cross-site"}, {"DELETE", "/v1/functions/f@1/tags/x", "", "X-Request-Id", "a b"},
		{"OPTIONS", "//", ";", "Access-Control-Request-Method", "PUT"},
	} {
		f.Add(s[0], s[1], s[2], s[3], s[4], []byte("body"))
	}
	s := newServer(f)
	s.put(f, "f", "echo", "")
	f.Fuzz(func(t *testing.T, method, path, query, name, value string, body []byte) {
		u := &url.URL{Path: path, RawQuery: query}
		if decoded, err := url.PathUnescape(path); err == nil {
			u.Path, u.RawPath = decoded, path
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL, r.Host = method, u, "localhost"
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		r.ContentLength = int64(len(body))
		r.Body = readCloser(body)
		w := httptest.NewRecorder()
		s.answer(t, w, r)
		if w.Code == http.StatusInternalServerError {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code >= 400 && method != http.MethodHead {
			var p problem.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code {
				t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
		}
	})
}

func readCloser(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
