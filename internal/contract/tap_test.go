package contract_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pappus/internal/contract"
)

// tap puts one before a server, and says at its end what it saw.
func tap(t *testing.T, server string) (address string, report func() contract.Report) {
	t.Helper()
	p, err := load(t).NewTap(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	return p.Address(), sync.OnceValue(func() contract.Report {
		r, err := p.Close()
		if err != nil {
			t.Error(err)
		}
		return r
	})
}

// dial connects to an address.
func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", c)
	}
	return tcp
}

func TestTapChecks(t *testing.T) {
	large := strings.Repeat("x", contract.MaxBody+10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.Method {
		case http.MethodPost:
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("X-Id", "1")
			w.Header().Set("Content-Type", asJSON)
			name := r.URL.Query().Get("n")
			if name == "9" {
				name = large
			}
			_, _ = fmt.Fprintf(w, `{"name": "%s"}`, name)
		}
	}))
	defer server.Close()
	address, report := tap(t, server.Listener.Addr().String())
	client := &http.Client{Transport: &http.Transport{}}
	ask := func(method, target, body string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", asJSON)
		req.Header.Set("Expect", "100-continue")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
	}
	var work sync.WaitGroup
	for range 8 { // some on connections of their own, some one after the other
		work.Go(func() {
			ask(http.MethodGet, "/things/a?n=1", "")
			ask(http.MethodHead, "/things/a", "")
			ask(http.MethodPost, "/things/a", `{"name": "a"}`)
			ask(http.MethodGet, "/things/a?n=9", "")          // too large to be looked into
			ask(http.MethodGet, "/things/a?n=1000", "")       // its name is too long
			ask(http.MethodPost, "/things/a", `{"name": 13}`) // it should not be accepted
		})
	}
	work.Wait()
	client.CloseIdleConnections()
	r := report()
	if r.Checked != 48 || len(r.Errors) != 16 {
		t.Errorf("%d are checked, %d not as described: %v", r.Checked, len(r.Errors), errors.Join(r.Errors...))
	}
}

// Bytes pass whatever they are, both ways, and so does the end of either side.
func TestTapIsTransparent(t *testing.T) {
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // gives back what it gets, after its end
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b, err := io.ReadAll(c)
			if err == nil {
				_, _ = c.Write(b)
			}
			_ = c.Close()
		}
	}()
	address, report := tap(t, ln.Addr().String())
	for _, sent := range [][]byte{nil, []byte("x"), []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), bytes.Repeat([]byte{0, 1, 2, '\n'}, 8<<20), []byte("GET / HTTP/1.1\r\nHost: a\r\n")} {
		c := dial(t, address)
		go func() {
			_, _ = c.Write(sent)
			_ = c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes come back as %d: %v", len(sent), len(got), err)
		}
		_ = c.Close()
	}
	_ = ln.Close()
	<-done
	if r := report(); r.Checked != 0 || r.Skipped != 4 {
		t.Errorf("%+v", r)
	}
}

// A side that breaks breaks the other, and a server that is gone is gone.
func TestTapBreaks(t *testing.T) {
	broken := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		broken <- context.Cause(r.Context())
		panic(http.ErrAbortHandler)
	}))
	address, report := tap(t, server.Listener.Addr().String())
	c := dial(t, address)
	if _, err := io.WriteString(c, "GET /things/a HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetLinger(0)
	_ = c.Close()
	if err := <-broken; err == nil {
		t.Error("the server does not notice")
	}
	server.Close()
	var d net.Dialer
	late, err := d.DialContext(t.Context(), "tcp", address)
	if err == nil {
		_, err = io.ReadAll(late)
		_ = late.Close()
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	// Close cuts who is still there.
	if r := report(); r.Checked != 0 || r.Skipped != 1 {
		t.Errorf("%+v", r)
	}
	if c, err := d.DialContext(t.Context(), "tcp", address); err == nil {
		_ = c.Close()
		t.Error("a closed tap listens")
	}
}

// What net/http refuses before any handler is not the API's; a handler's text is.
func TestTapKnowsOwnAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadRequest) }))
	defer server.Close()
	for request, wrong := range map[string]int{"GET /things/a HTTP/1.1\r\n\r\n": 0, "GET /things/a HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nConnection: close\r\n\r\n": 0, "GET /things/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n": 1} {
		address, report := tap(t, server.Listener.Addr().String())
		c := dial(t, address)
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
			t.Errorf("%q: %q, %v", request, answer, err)
		}
		_ = c.Close()
		if r := report(); r.Checked != wrong || len(r.Errors) != wrong {
			t.Errorf("%q: %+v", request, r)
		}
	}
}
