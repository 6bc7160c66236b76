package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pappus/server/problem"
)

func TestGuard(t *testing.T) {
	closed := newServer(t, func(c *Config, _ *dispatcherConfig) {
		c.Hosts, c.Origins = []string{"Pappus.Example"}, []string{"https://friend.example"}
	})
	open := newServer(t, func(c *Config, _ *dispatcherConfig) { c.AllowRemote = true })
	for _, c := range []struct {
		name   string
		s      *testServer
		header []string
		want   problem.Code // "": it is answered
	}{
		{"localhost", closed, []string{"Host", "localhost:8080"}, ""},
		{"LOCALHOST.", closed, []string{"Host", "LOCALHOST."}, ""},
		{"a name below localhost", closed, []string{"Host", "a.localhost"}, ""},
		{"127.0.0.1", closed, []string{"Host", "127.0.0.1"}, ""},
		{"127.8.9.1", closed, []string{"Host", "127.8.9.1:1"}, ""},
		{"::1", closed, []string{"Host", "[::1]:80"}, ""},
		{"IPv4 in IPv6", closed, []string{"Host", "[::ffff:127.0.0.1]"}, ""},
		{"a name that it was told", closed, []string{"Host", "pappus.example:443"}, ""},
		{"no host", closed, []string{"Host", ""}, problem.ForeignHost},
		{"another host", closed, []string{"Host", "evil.example"}, problem.ForeignHost},
		{"one that ends like it", closed, []string{"Host", "evillocalhost"}, problem.ForeignHost},
		{"one that begins like it", closed, []string{"Host", "localhost.evil.example"}, problem.ForeignHost},
		{"another address", closed, []string{"Host", "192.168.0.1"}, problem.ForeignHost},
		{"any address", closed, []string{"Host", "0.0.0.0"}, problem.ForeignHost},
		{"a zone", closed, []string{"Host", "[::1%25eth0]"}, problem.ForeignHost},
		{"no port", closed, []string{"Host", "localhost:evil"}, problem.ForeignHost},
		{"half a bracket", closed, []string{"Host", "[::1"}, problem.ForeignHost},
		{"its own page", closed, []string{"Host", "localhost:8080", "Origin", "http://localhost:8080"}, ""},
		{"a page of another port", closed, []string{"Host", "localhost:8080", "Origin", "http://localhost:8081"}, problem.ForeignOrigin},
		{"another scheme", closed, []string{"Origin", "https://localhost"}, problem.ForeignOrigin},
		{"a foreign page", closed, []string{"Origin", "https://evil.example"}, problem.ForeignOrigin},
		{"no origin at all", closed, []string{"Origin", "null"}, problem.ForeignOrigin},
		{"two origins", closed, []string{"Origin", "http://localhost", "Origin", "http://localhost"}, problem.ForeignOrigin},
		{"a friend in other letters", closed, []string{"Origin", "https://Friend.example"}, problem.ForeignOrigin},
		{"a friend", closed, []string{"Origin", "https://friend.example"}, ""},
		{"cross-site", closed, []string{"Sec-Fetch-Site", "cross-site"}, problem.ForeignOrigin},
		{"same-site", closed, []string{"Sec-Fetch-Site", "same-site"}, ""},
		{"none", closed, []string{"Sec-Fetch-Site", "none"}, ""},
		{"remote: another address", open, []string{"Host", "192.168.0.1"}, ""},
		{"remote: another name", open, []string{"Host", "evil.example"}, problem.ForeignHost},
		{"remote: a foreign page", open, []string{"Origin", "https://evil.example"}, problem.ForeignOrigin},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.s.ask(t, http.MethodGet, "/v1/functions", "", "", c.header...)
			if c.want != "" {
				wantProblem(t, w, c.want)
			} else if w.Code != http.StatusOK {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if allowed := w.Header().Get("Access-Control-Allow-Origin"); (allowed != "") != (c.name == "a friend") {
				t.Errorf("allowed is %q", allowed)
			}
		})
	}
	w := closed.ask(t, http.MethodOptions, "/v1/functions/f", "", "", "Origin", "https://friend.example", "Access-Control-Request-Method", "PUT")
	if h := w.Header(); w.Code != http.StatusNoContent || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "PUT") || h.Get("Vary") != "Origin" {
		t.Errorf("a friend's question: %d %v", w.Code, w.Header())
	}
	const private = "Access-Control-Allow-Private-Network"
	if w.Header().Get(private) != "" || w.Header().Get("Access-Control-Max-Age") != corsMaxAge {
		t.Errorf("a friend's question: %v", w.Header())
	}
	w = closed.ask(t, http.MethodOptions, "/v1/functions/f", "", "", "Origin", "https://friend.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Private-Network", "true")
	if w.Header().Get(private) != "true" {
		t.Errorf("a friend from outside: %v", w.Header())
	}
	wantProblem(t, closed.ask(t, http.MethodOptions, "/v1/functions/f", "", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "PUT"), problem.ForeignOrigin)
	w = closed.ask(t, http.MethodOptions, "/v1/functions/f", "", "")
	if allow := w.Header().Get("Allow"); w.Code != http.StatusNoContent || !strings.Contains(allow, "PUT") {
		t.Errorf("what is there: %d, Allow %q", w.Code, allow)
	}
}

// listen serves on a port of its own until stop is called, which returns what
// Serve returned.
func (s *testServer) listen(t *testing.T) (url string, stop func() error) {
	t.Helper()
	address, stopServer := s.listenUnseen(t)
	tap, err := described.NewTap(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + tap.Address(), func() error {
		err := stopServer()
		report, closed := tap.Close()
		for _, e := range append(report.Errors, closed) {
			if e != nil {
				t.Error(e)
			}
		}
		return err
	}
}

// listenUnseen is listen without a proxy before the server.
func (s *testServer) listenUnseen(t *testing.T) (address string, stop func() error) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	return ln.Addr().String(), func() error {
		cancel()
		return <-served
	}
}

// post sends a request on a connection of its own.
func post(ctx context.Context, url, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// What runs when the server is told to stop is finished and answered.
func TestShutdownFinishes(t *testing.T) {
	s := newServer(t)
	s.put(t, "wait", "wait", "")
	url, stop := s.listen(t)
	answers := make(chan int, 1)
	go func() {
		status, _, err := post(context.Background(), url+"/v1/invoke/wait", "")
		if err != nil {
			status = -1
		}
		answers <- status
	}()
	<-s.engine.started
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case err := <-stopped:
		t.Fatalf("it stopped (%v) while a call ran", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(s.engine.gate)
	if status := <-answers; status != http.StatusNoContent {
		t.Errorf("the call was answered with %d", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// What never ends is given up when the time for stopping is over.
func TestShutdownGivesUp(t *testing.T) {
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.Shutdown = 50 * time.Millisecond })
	s.put(t, "block", "block", "")
	url, stop := s.listen(t)
	ended := make(chan error, 1)
	go func() {
		_, _, err := post(context.Background(), url+"/v1/invoke/block", "")
		ended <- err
	}()
	<-s.engine.started
	if err := stop(); !errors.Is(err, ErrUnfinished) {
		t.Errorf("Serve returned %v", err)
	}
	<-ended //nolint:errcheck // with an answer or without one: it is not left hanging
}

// A client that goes away ends its call, and all memory is given back.
func TestClientGoesAway(t *testing.T) {
	s := newServer(t)
	s.put(t, "block", "block", "")
	url, stop := s.listen(t)
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, _, err := post(ctx, url+"/v1/invoke/block", strings.Repeat("x", 100_000))
		gone <- err
	}()
	<-s.engine.started
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := stop(); err != nil { // waits for the handler
		t.Error(err)
	}
	if used := s.dispatcher.Memory().Used(); used != 0 {
		t.Errorf("%d bytes are not given back", used)
	}
}

// The rate floor holds for each stream of a connection over HTTP/2: a body that
// does not come and an answer that is not taken are given up, and the others go
// on, also those that only take longer.
func TestSlowStreams(t *testing.T) {
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.Grace, c.Rate = 1500*time.Millisecond, 1<<30 })
	s.put(t, "echo", "echo", `{"inputs": ["a"], "outputs": ["x"]}`)
	s.put(t, "wait", "wait", "")
	url, stop := s.listen(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	hc := &http.Client{Transport: transport}
	send := func(body io.Reader) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/invoke/echo", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	unread := send(bytes.NewReader(make([]byte, 12<<20)))
	for tries := 0; unread.StatusCode == http.StatusRequestTimeout && tries < 20; tries++ { // a busy machine took too long to send it
		if err := unread.Body.Close(); err != nil {
			t.Error(err)
		}
		unread = send(bytes.NewReader(make([]byte, 12<<20)))
	}
	long := make(chan string, 2)
	for _, client := range []*http.Client{hc, {Transport: &http.Transport{DisableKeepAlives: true}}} {
		go func() {
			resp, err := client.Post(url+"/v1/invoke/wait", typeBytes, http.NoBody)
			if err != nil {
				long <- err.Error()
				return
			}
			long <- resp.Status
			_ = resp.Body.Close() // it is empty
		}()
		<-s.engine.started
	}
	never, end := io.Pipe()
	slow := send(never)
	if slow.StatusCode != http.StatusRequestTimeout || slow.ProtoMajor != 2 {
		t.Errorf("a body that does not come: %d over %s", slow.StatusCode, slow.Proto)
	}
	close(s.engine.gate)
	for range cap(long) { // by now they took longer than what is slow may
		if status := <-long; status != "204 No Content" {
			t.Errorf("a call that only takes long: %s", status)
		}
	}
	// The time of unread is over by now, or soon.
	waitFor(t, func() bool { return s.dispatcher.Memory().Used() == 0 }, "no memory is held for an answer that nobody takes")
	if n, err := io.Copy(io.Discard, unread.Body); err == nil {
		t.Errorf("an answer that was not taken in time has all of its %d bytes", n)
	}
	if resp := send(strings.NewReader("hello")); resp.StatusCode != http.StatusOK {
		t.Errorf("another stream: %d", resp.StatusCode)
	} else if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(slow.Body.Close(), unread.Body.Close(), end.Close()); err != nil {
		t.Error(err)
	}
	transport.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A client that takes nothing from its connection, whatever flow control allows
// it to be sent, holds neither memory nor the server's stop.
func TestStalledConnections(t *testing.T) {
	s := newServer(t, func(c *Config, _ *dispatcherConfig) {
		c.Grace, c.Rate, c.AccessLog = 500*time.Millisecond, 1<<30, true
	})
	big := code("echo "+strings.Repeat("x", 16<<20), "") // more than the system takes for the client
	if w := s.ask(t, http.MethodPut, "/v1/functions/big", "application/wasm", big); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	const path = "/v1/functions/big/code"
	for name, request := range map[string]string{
		"HTTP/1": "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
			"\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x04\x7f\xff\xff\xff" + // SETTINGS: the largest window of a stream
			"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + "\x7f\xff\x00\x00" + // WINDOW_UPDATE of the connection
			frameHeaders(":method", "GET", ":scheme", "http", ":authority", "localhost", ":path", path),
	} {
		t.Run(name, func(t *testing.T) {
			address, stop := s.listenUnseen(t)
			s.log.reset()
			c := dialStalled(t, address)
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			waitFor(t, func() bool { return strings.Contains(s.log.String(), "path="+path) }, "the request ends")
			if log := s.log.String(); !strings.Contains(log, "status=200") || strings.Contains(log, "bytes="+strconv.Itoa(len(big))) {
				t.Errorf("the log has %s", log)
			}
			if err := stop(); err != nil { // while the client is there
				t.Error(err)
			}
			waitFor(t, func() bool { return s.dispatcher.Memory().Used() == 0 }, "all memory is given back")
		})
	}
}

// Nor does one that asks for one answer after the other and reads none, also where
// answers have no body.
func TestStalledPipelines(t *testing.T) {
	s := newServer(t, remembering(t), func(c *Config, _ *dispatcherConfig) {
		c.Grace, c.Origins = 100*time.Millisecond, []string{"https://friend.example"}
	})
	s.put(t, "nothing", "nothing", "")
	s.put(t, "echo", "echo", `{"inputs": ["a"], "outputs": ["x"]}`)
	address, stop := s.listenUnseen(t)
	for name, request := range map[string]string{
		"options":   "OPTIONS /healthz HTTP/1.1\r\n",
		"preflight": "OPTIONS /healthz HTTP/1.1\r\nOrigin: https://friend.example\r\nAccess-Control-Request-Method: PUT\r\n",
		"nothing":   "POST /v1/invoke/nothing HTTP/1.1\r\nContent-Length: 0\r\n",
		"unchanged": "GET /v1/invoke/echo?in.a=x HTTP/1.1\r\nIf-None-Match: *\r\n",
		"empty":     "GET /v1/invoke/echo?in.a= HTTP/1.1\r\nAccept: application/octet-stream\r\n",
		"head":      "HEAD /healthz HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dialStalled(t, address)
			if err := c.SetWriteDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			many := strings.Repeat(request+"Host: localhost\r\n\r\n", 100)
			var err error
			for err == nil {
				_, err = io.WriteString(c, many)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is never cut")
			}
		})
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// frameHeaders is a HEADERS frame that is the whole first request of a connection:
// fields that are not indexed, with names and values below 128 bytes.
func frameHeaders(fields ...string) string {
	var block strings.Builder
	for i := 0; i < len(fields); i += 2 {
		block.WriteString("\x00" + string(rune(len(fields[i]))) + fields[i] + string(rune(len(fields[i+1]))) + fields[i+1])
	}
	return "\x00\x00" + string(rune(block.Len())) + "\x01\x05\x00\x00\x00\x01" + block.String()
}

// dialStalled connects without ever reading, with little room for what comes.
func dialStalled(t *testing.T, address string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
				t.Error(err)
			}
		})
	}}
	c, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the server may have cut it
	return c
}

// waitFor waits until something holds.
func waitFor(t *testing.T, holds func() bool, what string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("it never comes that %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// While memory for bodies is short, a request waits, and is told to come again.
func TestNoMemoryForBodies(t *testing.T) {
	s := newServer(t, func(c *Config, d *dispatcherConfig) { d.MemoryBudget, c.MemoryWait = 8<<20, 20*time.Millisecond })
	s.put(t, "echo", "echo", "")
	held, err := s.dispatcher.Memory().Reserve(t.Context(), 2<<20)
	if err != nil {
		t.Fatal(err)
	}
	w := s.ask(t, http.MethodPost, "/v1/invoke/echo", "", strings.Repeat("x", 1<<20))
	wantProblem(t, w, problem.Code("overload"))
	if w.Header().Get("Retry-After") == "" {
		t.Errorf("header %v", w.Header())
	}
	held.Release()
	if w := s.ask(t, http.MethodPost, "/v1/invoke/echo", "", strings.Repeat("x", 1<<20)); w.Code != http.StatusOK && w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestReadiness(t *testing.T) {
	s := newServer(t)
	if w := s.ask(t, http.MethodGet, "/readyz", "", ""); w.Code != http.StatusOK {
		t.Errorf("%d", w.Code)
	}
	if err := s.dispatcher.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := s.ask(t, http.MethodGet, "/readyz", "", "")
	wantProblem(t, w, problem.NotReady)
	if head := s.ask(t, http.MethodHead, "/readyz", "", ""); head.Code != w.Code {
		t.Errorf("HEAD: %d", head.Code)
	}
	if w := s.ask(t, http.MethodGet, "/healthz", "", ""); w.Code != http.StatusOK {
		t.Errorf("%d", w.Code)
	}
}

// The access log is off unless asked for, and holds no line breaks of clients.
func TestAccessLog(t *testing.T) {
	quiet := newServer(t)
	quiet.ask(t, http.MethodGet, "/nothing", "", "")
	if log := quiet.log.String(); log != "" {
		t.Errorf("the log has %s", log)
	}
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.AccessLog = true })
	s.ask(t, http.MethodGet, "/no%0awhere", "", "", "X-Request-Id", "id-1")
	if log := s.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "request=id-1") || !strings.Contains(log, "status=404") ||
		!regexp.MustCompile(` duration_ms=\d+(\.\d{1,3})? `).MatchString(log) {
		t.Errorf("the log has %s", log)
	}
}

// The first page has commands that can be pasted: with the address that the
// client used, unless that would do something in a shell.
func TestHomeHasTheAddress(t *testing.T) {
	s := newServer(t, func(c *Config, _ *dispatcherConfig) { c.Hosts = []string{"pappus.example"} })
	for host, want := range map[string]string{
		"localhost:8080":            "http://localhost:8080",
		"[::1]:80":                  "http://[::1]:80",
		"pappus.example":            "http://pappus.example",
		"$(reboot).localhost":       "http://localhost",
		"<b>.localhost":             "http://localhost",
		"a&lt;';reboot;'.localhost": "http://localhost",
	} {
		w := s.ask(t, http.MethodGet, "/", "", "", "Host", host)
		if body := w.Body.String(); strings.Count(body, want+"/v1/") != 3 || strings.Contains(body, "reboot") || strings.Contains(body, "<b>") {
			t.Errorf("%s: %d %s", host, w.Code, body)
		}
	}
}

// Metrics have as many series whatever is asked for.
func TestMetricsAreBounded(t *testing.T) {
	s := newServer(t)
	s.put(t, "f", "echo", "")
	count := func() int {
		w := s.ask(t, http.MethodGet, "/metrics", "", "")
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return strings.Count(w.Body.String(), "\n")
	}
	before := count()
	for _, path := range []string{"/a", "/b", "/v1/functions/x", "/v1/functions/y", "/v1/invoke/f", "/v1/invoke/z", "/errors/q"} {
		for _, method := range []string{"GET", "POST", "ODD", "PUT"} {
			s.ask(t, method, path, "", "")
		}
	}
	if after := count(); after != before {
		t.Errorf("%d lines became %d", before, after)
	}
}

func TestListenAddresses(t *testing.T) {
	for address, ok := range map[string]bool{"127.0.0.1": true, "::1": true, "0.0.0.0": false, "192.168.0.1": false, "::": false} {
		addr := &net.TCPAddr{IP: net.ParseIP(address), Port: 80}
		if err := (Config{}).CheckListen(addr); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
		if err := (Config{AllowRemote: true}).CheckListen(addr); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := (Config{}).CheckListen(&net.UnixAddr{Name: "x"}); err != nil {
		t.Error(err)
	}
}

func TestBadConfig(t *testing.T) {
	s := newServer(t)
	if _, err := New(Config{BodyLimit: -1}, s.dispatcher, nil, nil, nil, nil); err == nil {
		t.Error("a negative limit is taken")
	}
}
