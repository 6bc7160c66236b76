package egresstest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Proxy is an HTTP proxy on loopback that notes what it is asked for.
type Proxy struct {
	URL string

	answer func(conn net.Conn, target string) (done bool)

	mu    sync.Mutex
	asked []string // targets, with the credentials
}

// NewProxy makes a proxy that ends with the test. answer may answer a request itself;
// what it is not done with, or if it is nil, is connected.
func NewProxy(t testing.TB, answer func(conn net.Conn, target string) (done bool)) *Proxy {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "http://" + l.Addr().String(), answer: answer}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				p.serve(conn)
				_ = conn.Close() // the client may have done so
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // it was open
		all.Wait()
	})
	return p
}

func (p *Proxy) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	r, err := http.ReadRequest(in)
	if err != nil || r.Method != http.MethodConnect {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, strings.TrimSpace(r.RequestURI+" "+r.Header.Get("Proxy-Authorization")))
	p.mu.Unlock()
	if p.answer != nil && p.answer(conn, r.RequestURI) {
		return
	}
	there, err := new(net.Dialer).DialContext(context.Background(), "tcp", r.RequestURI)
	if err != nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") // the client may have gone
		return
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n") // the same
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(there, in); _ = there.Close() })
	both.Go(func() { _, _ = io.Copy(conn, there); _ = conn.Close() })
	both.Wait()
}

// Asked is what it was asked for so far, HOST:PORT each, with a space and the
// credentials behind it if there are any.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}
