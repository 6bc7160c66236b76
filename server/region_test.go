package server

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What has been copied is given back once, and no longer charged.
func TestRegionGivesBack(t *testing.T) {
	const size = 8 << 20
	s := newServer(t)
	memory, err := s.dispatcher.Memory().Reserve(context.Background(), size)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Release()
	var r region
	if err := r.open(size); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	content := r.mapped
	for i := range content {
		content[i] = byte(i)
	}
	const piece = 300_000 // of no whole number of pages
	for at := 0; at < size; at += piece {
		r.done(content[at:min(at+piece, size)], &memory)
		if given, most := size-memory.Size(), int64(min(at+piece, size)); given > most || given < most-backStep-piece {
			t.Fatalf("of %d bytes that were copied %d are given back", most, given)
		}
	}
	r.done([]byte("something else"), &memory) // which is not in the region
}

// Mappings of bodies are gone with their requests, also those that are refused.
func TestRegionsAreClosed(t *testing.T) {
	if raceEnabled {
		t.Skip("it shares nothing, and takes ten times as long under the race detector")
	}
	s := newServer(t)
	s.put(t, "echo", "echo", `{"inputs": ["a"], "outputs": ["x"]}`)
	large := strings.Repeat("x", 16<<20)
	s.ask(t, http.MethodPost, "/v1/invoke/echo", "", large)
	before := virtualSize(t)
	for range 20 {
		s.ask(t, http.MethodPost, "/v1/invoke/echo", "", large)
		s.ask(t, http.MethodPost, "/v1/invoke/echo", "application/json", large)
		s.ask(t, http.MethodPut, "/v1/functions/f", "application/wasm", large)
	}
	if grown := virtualSize(t) - before; grown > 500<<20 { // 60 bodies are 960 MiB, and what the heap takes
		t.Errorf("the process has grown by %d MiB", grown>>20)
	}
	if used := s.dispatcher.Memory().Used(); used != 0 {
		t.Errorf("%d bytes are charged", used)
	}
}

func virtualSize(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// A function may run for longer than a body may take to arrive.
func TestLongCallAfterABody(t *testing.T) {
	const most = 10 * time.Second
	for grace := 100 * time.Millisecond; !longCallAfterABody(t, grace); grace *= 2 { // a busy machine took too long to send it
		if grace > most {
			t.Fatalf("a body does not arrive within %s", grace)
		}
	}
}

// longCallAfterABody reports whether the body arrived in time.
func longCallAfterABody(t *testing.T, grace time.Duration) (arrived bool) {
	t.Helper()
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.Grace = grace })
	s.put(t, "wait", "wait", "")
	url, stop := s.listen(t)
	answers := make(chan int, 1)
	go func() {
		status, _, err := post(context.Background(), url+"/v1/invoke/wait", "a body")
		if err != nil {
			status = -1
		}
		answers <- status
	}()
	select {
	case <-s.engine.started:
		arrived = true
		<-time.After(3 * grace)
		close(s.engine.gate)
		if status := <-answers; status != http.StatusNoContent {
			t.Errorf("it was answered with %d", status)
		}
	case status := <-answers:
		t.Logf("within %s it was answered with %d", grace, status)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	return arrived
}

// HTTP/2 without encryption is for this machine.
func TestProtocols(t *testing.T) {
	local, remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(192, 168, 0, 1)}
	for _, c := range []struct {
		addr              net.Addr
		secure            bool
		http2, cleartext2 bool
	}{{local, false, false, true}, {remote, false, false, false}, {local, true, true, false}, {remote, true, true, false}} {
		if p := protocols(c.addr, c.secure); !p.HTTP1() || p.HTTP2() != c.http2 || p.UnencryptedHTTP2() != c.cleartext2 {
			t.Errorf("%v, encrypted %v: %v", c.addr, c.secure, p)
		}
	}
}

// A header that is too large is refused as such.
func TestLargeHeader(t *testing.T) {
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.MaxHeaderBytes = 8 << 10 })
	url, stop := s.listen(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", resp.StatusCode)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
