package conns_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/iofuncs/conns"
	"pappus/iofuncs/conns/connstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guarded is a transport that trusts some authorities.
func guarded(t testing.TB, roots *x509.CertPool) *http.Transport {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	conns.Guard(tr)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// serve has connections served until the test ends, and waits for all of them.
func serve(t testing.TB, l net.Listener, h func(ctx context.Context, conn net.Conn)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				h(ctx, conn)
				_ = conn.Close() // it may be closed already
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
}

// listen listens on loopback, with TLS where there are to be roots that lead to it.
func listen(t testing.TB, encrypted bool) (l net.Listener, roots *x509.CertPool) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if !encrypted {
		return l, nil
	}
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	defer lender.Close()
	roots = x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	return tls.NewListener(l, &tls.Config{Certificates: lender.TLS.Certificates, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}), roots
}

// arrived waits until all that was written to a connection has come to the other side.
func arrived(t testing.TB, conn net.Conn) {
	if encrypted, is := conn.(*tls.Conn); is {
		conn = encrypted.NetConn()
	}
	sys, is := conn.(syscall.Conn)
	if !is {
		t.Errorf("it is a %T", conn)
		return
	}
	raw, err := sys.SyscallConn()
	for left := 1; left > 0 && err == nil; runtime.Gosched() {
		var failed error
		err = raw.Control(func(fd uintptr) { left, failed = unsent(fd) })
		err = errors.Join(err, failed)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// What has come before a request is written is not its answer: neither what came with
// the answer to the one before, nor what came after it.
func TestSettling(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		requests := 2000
		if encrypted { // each of which shakes hands
			requests = 50
		}
		for _, apart := range []bool{false, true} {
			t.Run(fmt.Sprintf("encrypted=%v, apart=%v", encrypted, apart), func(t *testing.T) {
				l, roots := listen(t, encrypted)
				said := make(chan struct{}, 1)
				serve(t, l, func(_ context.Context, conn net.Conn) {
					in := bufio.NewReader(conn)
					for {
						r, err := http.ReadRequest(in)
						if err != nil {
							return
						}
						answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(r.URL.Path), r.URL.Path)
						more := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
						if apart {
							_, _ = io.WriteString(conn, answer) // the client may have closed it
							answer = ""
						}
						_, _ = io.WriteString(conn, answer+more)
						arrived(t, conn)
						said <- struct{}{}
					}
				})
				tr := guarded(t, roots)
				scheme := "http://"
				if encrypted {
					scheme = "https://"
				}
				ctx := httptrace.WithClientTrace(t.Context(), conns.Settling())
				for i := range requests {
					path := fmt.Sprint("/", i)
					if body := ask(ctx, t, tr, scheme+l.Addr().String()+path); body != path {
						t.Fatalf("%s is answered by %q", path, body)
					}
					<-said
				}
			})
		}
	}
}

func ask(ctx context.Context, t testing.TB, tr *http.Transport, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// Connections are used again if there is nothing left in them, with whatever is spoken.
func TestUsedAgain(t *testing.T) {
	for _, kind := range []string{"HTTP/1.1", "HTTP/1.1 with TLS", "HTTP/2.0"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Proto+" "+r.RemoteAddr) // the client reads it
		}))
		var roots *x509.CertPool
		if kind == "HTTP/1.1" {
			s.Start()
		} else {
			s.EnableHTTP2 = kind == "HTTP/2.0"
			s.StartTLS()
			roots = x509.NewCertPool()
			roots.AddCert(s.Certificate())
		}
		t.Cleanup(s.Close)
		tr := guarded(t, roots)
		ctx := httptrace.WithClientTrace(t.Context(), conns.Settling())
		before, again := "", 0
		for range 100 { // now and then the transport does not wait for what has been written
			by := ask(ctx, t, tr, s.URL)
			if !strings.HasPrefix(by, strings.TrimSuffix(kind, " with TLS")) {
				t.Fatalf("%s: by %q", kind, by)
			}
			if by == before {
				again++
			}
			before = by
		}
		if again == 0 {
			t.Errorf("%s: no connection was used again", kind)
		}
	}
}

// A connection whose server has keys changed and reads nothing closes, and is not
// waited for.
func TestServersThatChangeKeys(t *testing.T) {
	for name, leave := range map[string]func(c net.Conn){
		"closing": func(c net.Conn) { _ = c.Close() }, // the server could not be told
		"another request": func(c net.Conn) {
			conns.Settling().GotConn(httptrace.GotConnInfo{Conn: c, Reused: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait
			s := connstest.NewRekeying(t)
			c, err := guarded(t, s.Roots).DialTLSContext(t.Context(), "tcp", s.Address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, c)
				ended <- err
			}()
			<-s.Stuck
			leave(c)
			_ = c.Close() // it is, unless it was only slow
			if err := <-ended; err == nil {
				t.Error("all of the answer was read")
			}
		})
	}
}

// Closing does not wait for a server that reads nothing.
func TestClosingWithoutRoom(t *testing.T) {
	l, roots := listen(t, true)
	serve(t, l, func(ctx context.Context, conn net.Conn) {
		if encrypted, is := conn.(*tls.Conn); is {
			_ = encrypted.HandshakeContext(ctx) // the client sees how it went
			<-ctx.Done()
		}
	})
	c, err := guarded(t, roots).DialTLSContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	over, is := c.(interface{ NetConn() net.Conn })
	if !is {
		t.Fatalf("it is a %T", c)
	}
	below := over.NetConn()
	// There may be room for a little where there is none for much, and a moment later.
	for size, full := 64<<10, 0; full < 4; {
		const still = 200 * time.Millisecond
		if err := below.SetWriteDeadline(time.Now().Add(still)); err != nil {
			t.Fatal(err)
		}
		switch n, err := below.Write(make([]byte, size)); {
		case err == nil || n > 0:
			full = 0
		case errors.Is(err, os.ErrDeadlineExceeded):
			size, full = 1, full+1
		default:
			t.Fatal(err)
		}
	}
	if err := c.Close(); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("closing: %v", err)
	}
	if _, err := below.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading afterwards: %v", err)
	}
}

// What becomes of reading is what the standard library says.
func TestReading(t *testing.T) {
	l, _ := listen(t, false)
	serve(t, l, func(_ context.Context, conn net.Conn) {
		ask := make([]byte, 1)
		if _, err := conn.Read(ask); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(conn, "content") // the client reads it
		if ask[0] == 'r' {
			if plain, is := conn.(*net.TCPConn); !is || plain.SetLinger(0) != nil {
				t.Errorf("a %T does not end by a reset", conn)
			}
			_, _ = conn.Read(ask)
		}
	})
	tr := guarded(t, nil)
	for _, c := range []struct {
		say  string
		want error
	}{{"e", nil}, {"r", syscall.ECONNRESET}} {
		conn, err := tr.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, c.say); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(nil); n != 0 || err != nil {
			t.Errorf("nothing: %d, %v", n, err)
		}
		got := make([]byte, len("content"))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "content" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := io.WriteString(conn, "!"); err != nil {
			t.Error(err)
		}
		_, err = io.Copy(io.Discard, conn)
		if op := (*net.OpError)(nil); !errors.Is(err, c.want) || err != nil && (!errors.As(err, &op) || op.Op != "read" || op.Addr == nil) {
			t.Errorf("%s: %v", c.say, err)
		}
		_ = conn.Close() // nothing is left to write
	}
}

// What can't tell what has come is not used; nor is a server that is not shaken hands
// with in time, or by a name that it has not.
func TestDialling(t *testing.T) {
	one, other := net.Pipe()
	defer func() { _ = other.Close() }()
	pipes := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return one, nil }}
	conns.Guard(pipes)
	for _, dial := range []func(context.Context, string, string) (net.Conn, error){pipes.DialContext, pipes.DialTLSContext} {
		if c, err := dial(t.Context(), "tcp", "a:1"); err == nil || c != nil {
			t.Errorf("a pipe: %v, %v", c, err)
		}
	}
	if _, err := one.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the pipe is not closed: %v", err)
	}

	silent, _ := listen(t, false)
	serve(t, silent, func(_ context.Context, conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn) // until the client leaves
	})
	short := &http.Transport{TLSHandshakeTimeout: 50 * time.Millisecond}
	conns.Guard(short)
	var late net.Error
	if _, err := short.DialTLSContext(t.Context(), "tcp", silent.Addr().String()); !errors.As(err, &late) || !late.Timeout() || !strings.Contains(err.Error(), "TLS handshake timeout") {
		t.Errorf("a server that says nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := short.DialTLSContext(ctx, "tcp", silent.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody wants it: %v", err)
	}

	l, roots := listen(t, true)
	serve(t, l, func(_ context.Context, conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn)
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var certificate *tls.CertificateVerificationError
	if _, err := guarded(t, roots).DialTLSContext(t.Context(), "tcp", "localhost:"+port); !errors.As(err, &certificate) {
		t.Errorf("by another name: %v", err)
	}
}
