package httpcache_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/iofuncs/httpcache"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// origin is a round tripper that is nowhere.
type origin func(*http.Request) (*http.Response, error)

func (o origin) RoundTrip(req *http.Request) (*http.Response, error) { return o(req) }

// answer makes an answer of lines "Name: value", as a server's that sends how long
// the body is, and the date.
func answer(req *http.Request, status int, lines, body string) *http.Response {
	if status == 0 {
		status = http.StatusOK
	}
	h := headerOf(lines)
	if _, ok := h["Date"]; !ok {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	if h.Get("Date") == "none" {
		h.Del("Date")
	}
	if status == http.StatusNotModified || req.Method == http.MethodHead {
		if status != http.StatusNotModified && h.Get("Content-Length") == "" {
			h.Set("Content-Length", strconv.Itoa(len(body)))
		}
		body = ""
	} else {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status, " ", http.StatusText(status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}

// headerOf reads lines "Name: value". A value "@60" is the date in a minute.
func headerOf(lines string) http.Header {
	h := make(http.Header)
	for line := range strings.Lines(lines) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if !ok {
			panic("no header: " + line)
		}
		value = strings.TrimPrefix(value, " ")
		if seconds, ok := strings.CutPrefix(value, "@"); ok {
			n, err := strconv.Atoi(seconds)
			if err != nil {
				panic(err)
			}
			value = time.Now().Add(time.Duration(n) * time.Second).UTC().Format(http.TimeFormat)
		}
		h.Add(name, value)
	}
	return h
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func open(t fataler, o httpcache.Options) *httpcache.Store {
	t.Helper()
	s, err := httpcache.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closing(t fataler, s *httpcache.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func request(t fataler, method, url, lines string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headerOf(lines)
	return req
}

// got is an answer that was read to its end.
type got struct {
	*http.Response
	body string
	said httpcache.Status
}

func send(t fataler, rt http.RoundTripper, req *http.Request) got {
	t.Helper()
	g, err := try(rt, req)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func try(rt http.RoundTripper, req *http.Request) (got, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return got{}, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		return got{}, err
	}
	said, ok := httpcache.StatusOf(resp.Header)
	if !ok {
		return got{}, fmt.Errorf("no status in %v", resp.Header)
	}
	return got{resp, string(body), said}, err
}

// what says in short what the cache did.
func (g got) what() string {
	s := g.said
	var b strings.Builder
	if s.Hit {
		b.WriteString("hit")
	}
	b.WriteString(s.Fwd)
	if s.FwdStatus != 0 {
		fmt.Fprintf(&b, " %d", s.FwdStatus)
	}
	if s.Stored {
		b.WriteString(" stored")
	}
	if s.Collapsed {
		b.WriteString(" collapsed")
	}
	if s.Detail != "" {
		b.WriteString(" " + s.Detail)
	}
	return strings.TrimPrefix(b.String(), " ")
}

// slow is a body of which parts arrive when they are sent.
type slow struct {
	parts  chan []byte
	ctx    context.Context
	length int64 // its end; below zero: when parts is closed
	rest   bytes.Buffer
}

func (s *slow) Read(p []byte) (int, error) {
	if s.rest.Len() == 0 {
		if s.length == 0 {
			return 0, io.EOF
		}
		select {
		case part, ok := <-s.parts:
			if !ok {
				return 0, io.EOF
			}
			s.rest.Write(part)
			s.length -= int64(len(part))
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
	}
	return s.rest.Read(p)
}

func (*slow) Close() error { return nil }

// wait is for tests in a bubble of synctest, where it takes no time.
func wait(d time.Duration) { <-time.After(d) }

func must(t *testing.T, ok bool, format string, args ...any) {
	t.Helper()
	if !ok {
		t.Errorf(format, args...)
	}
}
