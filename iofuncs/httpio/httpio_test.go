package httpio_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/data"
	"pappus/iofuncs"
	"pappus/iofuncs/egress"
	"pappus/iofuncs/egress/egresstest"
	"pappus/iofuncs/httpio"
)

// Each failure says what to do about it, and who can.
func TestHints(t *testing.T) {
	conf := config(t)
	conf.Limits.Header, conf.Limits.Body, conf.Limits.Response, conf.Limits.Attempts = 1<<10, 1<<10, 50*time.Millisecond, 1
	var handler http.HandlerFunc = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 2<<10))
		case "/body":
			_, _ = w.Write(make([]byte, 1<<12)) // who asks may be gone already
		case "/slow":
			<-r.Context().Done()
		}
	}
	s := serve(t, handler)
	encrypted := httptest.NewUnstartedServer(handler)
	encrypted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of handshakes that are to fail
	encrypted.EnableHTTP2 = true
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	trusting := conf
	trusting.Roots = x509.NewCertPool()
	trusting.Roots.AddCert(encrypted.Certificate())
	for _, c := range []struct {
		config    httpio.Config
		uri, want string
	}{
		{conf, "ftp://a/", "Correct the item"},
		{conf, s.URL + "/header", "--http-limits header"},
		{conf, s.URL + "/body", "--http-limits body"},
		{conf, s.URL + "/slow", "--http-limits response"},
		{conf, "https" + strings.TrimPrefix(s.URL, "http"), "with http://"},
		{conf, encrypted.URL, "--ca-bundle"},
		{trusting, encrypted.URL + "/slow", "--http-limits response"},
	} {
		_, _, err := do(t, newClient(t, c.config), get(c.uri))
		if said := (*iofuncs.Error)(nil); !errors.As(err, &said) || !strings.Contains(said.Hint, c.want) {
			t.Errorf("%s: %v; %+v, want %q", c.uri, err, said, c.want)
		}
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config lets every tenant connect to 127.0.0.1 and [::1], and has tests wait for
// nothing that they are not about.
func config(t testing.TB) httpio.Config {
	t.Helper()
	var allow []egress.Rule
	for _, text := range []string{"127.0.0.1", "::1"} {
		r, err := egress.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		allow = append(allow, r)
	}
	policy, err := egress.NewPolicy(allow, nil)
	if err != nil {
		t.Fatal(err)
	}
	return httpio.Config{Limits: httpio.DefaultLimits(), Rules: httpio.Rules{Policy: func(string) *egress.Policy { return policy }}}
}

func newClient(t testing.TB, config httpio.Config) *httpio.Client {
	t.Helper()
	c, err := httpio.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// call makes one call of a function on items, the keys of which are their numbers.
func call(ctx context.Context, c *httpio.Client, name string, charge func(int64) error, items ...string) (sets map[string][]*data.Item, err error) {
	in := data.Set{Name: "requests"}
	for i, it := range items {
		in.Items = append(in.Items, data.NewItem(fmt.Sprint("r", i), uint32(i), []byte(it)))
	}
	for _, f := range c.Functions() {
		if f.Spec().Name != name {
			continue
		}
		out, err := f.Call(ctx, iofuncs.NewRequest("default", []data.Set{in}, charge))
		sets = map[string][]*data.Item{}
		for _, s := range out {
			sets[s.Name] = s.Items
		}
		return sets, err
	}
	return nil, errors.New("there is no such function")
}

// do makes one request by HTTP.
func do(t testing.TB, c *httpio.Client, item string) (head, body string, err error) {
	t.Helper()
	sets, err := call(t.Context(), c, "HTTP", nil, item)
	if err != nil {
		return "", "", err
	}
	if len(sets["headers"]) != 1 || len(sets["bodies"]) != 1 {
		t.Fatalf("%v", sets)
	}
	for _, s := range sets {
		if s[0].Name() != "r0" || s[0].Key() != 0 {
			t.Errorf("it has the name %q and the key %d", s[0].Name(), s[0].Key())
		}
	}
	return string(sets["headers"][0].Bytes()), string(sets["bodies"][0].Bytes()), nil
}

// wantFault fails unless an error is of that kind, about the first item, and says so.
func wantFault(t testing.TB, err error, kind iofuncs.Kind, text string) {
	t.Helper()
	var said *iofuncs.Error
	if !errors.As(err, &said) || said.Kind != kind || said.Item != `requests: "r0", key 0` || !strings.Contains(err.Error(), text) {
		t.Errorf("%v, want %s with %q", err, kind, text)
	}
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// raw is a server of bytes: each connection is handed over once a request has come,
// or the header of a long one, and closed afterwards.
func raw(t testing.TB, h func(conn net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }() // the test may have done so
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				if r.ContentLength < 1<<10 {
					_, _ = io.Copy(io.Discard, r.Body) // who asks may be gone already
				}
				h(conn)
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	return "http://" + l.Addr().String() + "/"
}

// write reports whether whoever asked still listens.
func write(w io.Writer, text string) bool {
	_, err := io.WriteString(w, text)
	return err == nil
}

func get(url string) string { return "GET " + url + " HTTP/1.1\n\n" }

func TestAnswers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Method", r.Method)
		w.Header().Set("X-Seen", fmt.Sprintf("%v %s %d %v %t", r.Header["X-A"], r.UserAgent(), r.ContentLength, r.TransferEncoding, r.Host == r.Header.Get("X-Host")))
		w.Header().Add("B", "2")
		w.Header().Add("B", "1")
		switch r.URL.Path {
		case "/404":
			w.WriteHeader(http.StatusNotFound)
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/204":
			w.WriteHeader(http.StatusNoContent)
			return
		}
		write(w, r.RequestURI+" "+string(body))
	})
	c := newClient(t, config(t))
	host := strings.TrimPrefix(s.URL, "http://")
	for item, want := range map[string][3]string{ // the beginning of the header, a part of it, the body
		"GET " + s.URL + "/a%2Fb?c HTTP/1.1\nX-A:1\nX-A:2\nX-Host:" + host + "\n\n":    {"HTTP/1.1 200 OK\nB:2\nB:1\nContent-Length:", "\nX-Method:GET\nX-Seen:[1 2] pappus 0 [] true\n", "/a%2Fb?c "},
		"POST " + s.URL + " HTTP/1.1\r\nUser-Agent: me\r\n\r\nthe body\n":              {"HTTP/1.1 200 OK\n", "X-Seen:[] me 9 []", "/ the body\n"},
		"POST " + s.URL + "/ HTTP/1.0\n\n":                                             {"HTTP/1.1 200 OK\n", "X-Seen:[] pappus 0 []", "/ "},
		"PATCH " + s.URL + "/404 HTTP/2\nHost: " + strings.ToUpper(host) + "\n\nx":     {"HTTP/1.1 404 Not Found\n", "X-Method:PATCH\n", "/404 x"},
		"DELETE " + s.URL + "/500 HTTP/1.1\n\n":                                        {"HTTP/1.1 500 Internal Server Error\n", "", "/500 "},
		"PUT " + s.URL + "/204 HTTP/1.1\n\nx":                                          {"HTTP/1.1 204 No Content\n", "X-Method:PUT\n", ""},
		"HEAD " + s.URL + "/x HTTP/1.1\n\n":                                            {"HTTP/1.1 200 OK\n", "X-Method:HEAD\n", ""},
		"OPTIONS " + s.URL + "/x HTTP/1.1\n\n":                                         {"HTTP/1.1 200 OK\n", "X-Method:OPTIONS\n", "/x "},
		"TRACE " + s.URL + "/x HTTP/1.1\n\n":                                           {"HTTP/1.1 200 OK\n", "X-Method:TRACE\n", "/x "},
		"GET " + s.URL + "/x HTTP/1.1\n\nbody of a GET":                                {"HTTP/1.1 200 OK\n", "X-Method:GET\n", "/x body of a GET"},
		"own-method " + s.URL + "/x HTTP/1.1\n\n":                                      {"HTTP/1.1 200 OK\n", "X-Method:own-method\n", "/x "},
		"GET " + strings.Replace(s.URL, "http://", "HTTP://", 1) + "/x HTTP/1.1\n\n\n": {"HTTP/1.1 200 OK\n", "", "/x \n"},
	} {
		head, body, err := do(t, c, item)
		if err != nil || !strings.HasPrefix(head, want[0]) || !strings.Contains(head, want[1]) || body != want[2] || !strings.HasSuffix(head, "\n") || strings.Contains(head, "\n\n") {
			t.Errorf("%q: %q, %q, %v", item, head, body, err)
		}
	}
	sets, err := call(t.Context(), c, "system_HTTPGet", nil, s.URL+"/1", get(s.URL+"/2"), s.URL+"/404")
	if err != nil || len(sets) != 1 || len(sets["bodies"]) != 3 {
		t.Fatalf("%v, %v", sets, err)
	}
	for i, want := range []string{"/1 ", "/2 ", "/404 "} {
		if it := sets["bodies"][i]; string(it.Bytes()) != want || it.Name() != fmt.Sprint("r", i) || it.Key() != uint32(i) {
			t.Errorf("%d: %q %q %d", i, it.Bytes(), it.Name(), it.Key())
		}
	}
	if sets, err := call(t.Context(), c, "HTTP", nil); err != nil || len(sets["headers"])+len(sets["bodies"]) != 0 {
		t.Errorf("no items: %v, %v", sets, err)
	}
	_, err = call(t.Context(), c, "HTTP", nil, get(s.URL), "GET /")
	if said := (*iofuncs.Error)(nil); !errors.As(err, &said) || said.Item != `requests: "r1", key 1` || said.Kind != iofuncs.KindFailed {
		t.Errorf("a bad item: %v", err)
	}
}

// Answers that are unusual, and right.
func TestUnusualAnswers(t *testing.T) {
	for answer, want := range map[string][2]string{
		"HTTP/1.1 200\r\n\r\nbody":                                                                              {"HTTP/1.1 200 OK\n", "body"},
		"HTTP/1.0 299 Own reason \xE4\r\nContent-Length: 0\r\n\r\n":                                             {"HTTP/1.0 299 Own reason \xE4\nContent-Length:0\n", ""},
		"HTTP/1.1 999 x\r\nA: \xE4\r\nConnection: close\r\n\r\n":                                                {"HTTP/1.1 999 x\nA:\xE4\n", ""},
		"HTTP/1.1 200 OK\r\na:b\r\nA:  c \r\n\r\n":                                                              {"HTTP/1.1 200 OK\nA:b\nA:c\n", ""},
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 99999999999\r\n\r\n":                                      {"HTTP/1.1 304 Not Modified\nContent-Length:99999999999\n", ""},
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nB: c\r\n\r\nHTTP/1.1 200 OK\r\n\r\n":          {"HTTP/1.1 200 OK\n", ""},
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2;ext=1\r\nab\r\n0\r\nX: y\r\n\r\n": {"HTTP/1.1 200 OK\n", "ab"},
	} {
		head, body, err := do(t, newClient(t, config(t)), get(raw(t, func(conn net.Conn) { write(conn, answer) })))
		if err != nil || head != want[0] || body != want[1] {
			t.Errorf("%q: %q, %q, %v", answer, head, body, err)
		}
	}
	head, body, err := do(t, newClient(t, config(t)), "HEAD "+raw(t, func(conn net.Conn) {
		write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
	})+" HTTP/1.1\n\n")
	if err != nil || head != "HTTP/1.1 200 OK\nContent-Length:99999999999\n" || body != "" {
		t.Errorf("HEAD: %q, %q, %v", head, body, err)
	}
}

// What a server can do wrong is a fault that says so.
func TestFaultyServers(t *testing.T) {
	hang := make(chan struct{})
	for name, c := range map[string]struct {
		limits func(*httpio.Limits)
		serve  func(net.Conn)
		kind   iofuncs.Kind
		want   string
	}{
		"slow header": {func(l *httpio.Limits) { l.Response = 50 * time.Millisecond }, func(net.Conn) { <-hang }, iofuncs.KindTimeout, "(http-limits response)"},
		"slow body": {func(l *httpio.Limits) { l.Idle = 50 * time.Millisecond }, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123")
			<-hang
		}, iofuncs.KindTimeout, "nothing more of the body for 50ms"},
		"drops": {func(l *httpio.Limits) { l.Total = 100 * time.Millisecond }, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\n\r\n")
			for write(conn, "x") {
				runtime.Gosched()
			}
		}, iofuncs.KindTimeout, "longer than 100ms"},
		"slow everything": {func(l *httpio.Limits) { l.Total = 100 * time.Millisecond }, func(net.Conn) { <-hang }, iofuncs.KindTimeout, "longer than 100ms"},
		"endless body": {func(l *httpio.Limits) { l.Body = 1 << 20 }, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\n\r\n")
			for write(conn, strings.Repeat("x", 1<<16)) {
				runtime.Gosched()
			}
		}, iofuncs.KindFailed, "larger than 1048576 bytes"},
		"announced too large": {nil, func(conn net.Conn) { write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n") }, iofuncs.KindFailed, "larger than"},
		"gzip bomb": {func(l *httpio.Limits) { l.Body = 10 << 20 }, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
			z := gzip.NewWriter(conn)
			for zeros := make([]byte, 1<<20); ; {
				if _, err := z.Write(zeros); err != nil {
					return
				}
			}
		}, iofuncs.KindFailed, "larger than 10485760 bytes"},
		"no gzip": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\nthis is not gzip....")
		}, iofuncs.KindFailed, "gzip"},
		"cut gzip": {func(l *httpio.Limits) { l.Attempts = 1 }, func(conn net.Conn) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(make([]byte, 1000)) // to memory
			_ = z.Close()
			write(conn, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"+b.String()[:b.Len()-9])
		}, iofuncs.KindFailed, "unexpected EOF"},
		"broken chunks": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
		}, iofuncs.KindFailed, "chunk"},
		"huge chunk": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n")
		}, iofuncs.KindFailed, "chunk"},
		"too short": {nil, func(conn net.Conn) { write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123") }, iofuncs.KindFailed, "unexpected EOF"},
		"nothing":   {nil, func(net.Conn) {}, iofuncs.KindFailed, "EOF"},
		"no header": {nil, func(conn net.Conn) { write(conn, "SSH-2.0-x\r\n") }, iofuncs.KindFailed, "malformed HTTP"},
		"no status": {nil, func(conn net.Conn) { write(conn, "HTTP/1.1 abc\r\n\r\n") }, iofuncs.KindFailed, "malformed HTTP"},
		"two lengths": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
		}, iofuncs.KindFailed, "Content-Length"},
		"bad length": {nil, func(conn net.Conn) { write(conn, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n") }, iofuncs.KindFailed, "Content-Length"},
		"endless header": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\n")
			for write(conn, "A: "+strings.Repeat("x", 1<<12)+"\r\n") {
				runtime.Gosched()
			}
		}, iofuncs.KindFailed, "headers exceeded"},
		"gigantic field": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nA: ")
			for write(conn, strings.Repeat("x", 1<<16)) {
				runtime.Gosched()
			}
		}, iofuncs.KindFailed, "headers exceeded"},
		"header in drops": {func(l *httpio.Limits) { l.Response, l.Header = 100*time.Millisecond, 1<<30 }, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\n")
			for write(conn, "A") {
				runtime.Gosched()
			}
		}, iofuncs.KindTimeout, "(http-limits response)"},
		"endless trailer": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nab\r\n0\r\nX: ")
			for write(conn, strings.Repeat("x", 1<<12)) {
				runtime.Gosched()
			}
		}, iofuncs.KindFailed, "trailer"},
		"reset in the middle": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123")
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // so that closing it is a reset
			}
		}, iofuncs.KindFailed, "reset by peer"},
		"many preliminary answers": {nil, func(conn net.Conn) {
			for write(conn, "HTTP/1.1 103 Early Hints\r\nLink: <"+strings.Repeat("x", 1<<12)+">\r\n\r\n") {
				runtime.Gosched()
			}
		}, iofuncs.KindFailed, "headers exceeded"},
		"another protocol": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
			<-hang
		}, iofuncs.KindFailed, "changed the protocol"},
		"redirected to a file": {nil, func(conn net.Conn) { write(conn, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n") }, iofuncs.KindFailed, "neither http nor https"},
		"redirected nowhere":   {nil, func(conn net.Conn) { write(conn, "HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n") }, iofuncs.KindFailed, "Location"},
		"redirected inside":    {nil, func(conn net.Conn) { write(conn, "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/x\r\n\r\n") }, iofuncs.KindRefused, "metadata 169.254.169.254/32"},
		"redirected inside in other words": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 307 Go\r\nLocation: http://[::ffff:10.0.0.1]/\r\n\r\n")
		}, iofuncs.KindRefused, "private 10.0.0.0/8"},
		"redirected to what ends like an address": {nil, func(conn net.Conn) {
			write(conn, "HTTP/1.1 302 Found\r\nLocation: http://127.1/\r\n\r\n")
		}, iofuncs.KindFailed, "ends like an address"},
	} {
		for _, between := range []string{"", ", with a cache"} {
			t.Run(name+between, func(t *testing.T) {
				config := config(t)
				if between != "" {
					withCache(t, &config)
				}
				if c.limits != nil {
					c.limits(&config.Limits)
				}
				url := raw(t, c.serve)
				if strings.HasPrefix(name, "slow") || name == "another protocol" {
					hang = make(chan struct{})
					defer func() { close(hang) }()
				}
				var held atomic.Int64
				_, err := call(t.Context(), newClient(t, config), "HTTP", func(n int64) error {
					held.Add(n)
					return nil
				}, get(url))
				wantFault(t, err, c.kind, c.want)
				if held.Load() != 0 {
					t.Errorf("%d bytes are still charged", held.Load())
				}
			})
		}
	}
}

func TestNoServer(t *testing.T) {
	config := config(t)
	config.Limits.Attempts = 1
	config.Resolver = egresstest.Resolver(func(name string) []netip.Addr {
		switch name {
		case "inside.example":
			return []netip.Addr{netip.MustParseAddr("10.0.0.1")}
		case "local.example":
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		return nil
	})
	c := newClient(t, config)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { write(w, "here") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	_ = l.Close() // so that nobody listens there
	for url, want := range map[string]struct {
		kind iofuncs.Kind
		text string
	}{
		"http://nobody.example/":    {iofuncs.KindFailed, "there is no host nobody.example"},
		"http://inside.example/a?b": {iofuncs.KindRefused, `GET http://inside.example:80: connecting to inside.example:80 is refused by the rule "private 10.0.0.0/8"`},
		"http://127.0.0.2/":         {iofuncs.KindRefused, "loopback 127.0.0.0/8"},
		"http://[::]/":              {iofuncs.KindRefused, "unspecified"},
		gone + "/?secret":           {iofuncs.KindFailed, "connection refused"},
	} {
		_, _, err := do(t, c, get(url))
		wantFault(t, err, want.kind, want.text)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v tells the query", err)
		}
	}
	t.Setenv("HTTP_PROXY", gone)
	t.Setenv("http_proxy", gone)
	if _, body, err := do(t, c, get(strings.Replace(s.URL, "127.0.0.1", "local.example", 1))); err != nil || body != "here" {
		t.Errorf("by a name, and with a proxy in the environment: %q, %v", body, err)
	}
}

// What a server sends behind its answer is not the answer to the next request, which
// is not even written to that connection, and is made by another.
func TestMoreThanAnnounced(t *testing.T) {
	for name, answer := range map[string]string{
		"an answer":             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"one that goes on":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nevil",
		"its beginning":         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTT",
		"none":                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
		"behind pieces":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"behind one of no body": "HTTP/1.1 204 ok\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
	} {
		for _, encrypted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, encrypted=%v", name, encrypted), func(t *testing.T) {
				var asked, again atomic.Int64
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					asked.Add(1)
					_, _ = io.Copy(io.Discard, r.Body) // what comes afterwards is another request
					conn, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer func() { _ = conn.Close() }() // the client has closed it
					write(conn, answer)
					if n, _ := io.Copy(io.Discard, conn); n > 0 {
						again.Add(1)
					}
				}))
				conf := config(t)
				if encrypted {
					s.StartTLS()
					conf.Roots = x509.NewCertPool()
					conf.Roots.AddCert(s.Certificate())
				} else {
					s.Start()
				}
				c := newClient(t, conf)
				for i := range 10 {
					head, body, err := do(t, c, "POST "+s.URL+" HTTP/1.1\n\nbody")
					if err != nil || !strings.Contains(head+body, "ok") || strings.Contains(body, "evil") || asked.Load() != int64(i+1) {
						t.Fatalf("%d: %q, %q, asked %d times, %v", i, head, body, asked.Load(), err)
					}
				}
				c.Close()
				s.Close()
				if again.Load() > 0 {
					t.Errorf("%d requests were written to connections by which more had come", again.Load())
				}
			})
		}
	}
}

// A name with a dot at its end is another one: credentials do not cross, and a redirect
// from one to the other that a cache keeps is not one of both.
func TestRedirectsAcrossDots(t *testing.T) {
	config := config(t)
	withCache(t, &config)
	config.Resolver = egresstest.Resolver(func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	c := newClient(t, config)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=1000")
		w.Header().Set("Vary", "X-Key")
		if name, port, _ := net.SplitHostPort(r.Host); name == "a.example." {
			http.Redirect(w, r, "http://a.example:"+port+"/", http.StatusMovedPermanently)
			return
		}
		write(w, r.Host+" is told "+r.Header.Get("X-Key"))
	})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for range 2 { // what comes second comes from the cache
		for host, want := range map[string]string{"a.example": "a secret", "a.example.": ""} {
			_, body, err := do(t, c, "GET http://"+host+":"+port+"/ HTTP/1.1\nX-Key:a secret\nCache-Control:max-age=1000\n\n")
			if want = "a.example:" + port + " is told " + want; err != nil || body != want {
				t.Errorf("%s: %q, want %q (%v)", host, body, want, err)
			}
		}
		for _, host := range []string{"a.example.", "a.example"} {
			if _, body, err := do(t, c, get("http://"+host+":"+port+"/")); err != nil || body != "a.example:"+port+" is told " {
				t.Errorf("%s: %q, %v", host, body, err)
			}
		}
	}
}

// A redirect to a name is judged by what the name means.
func TestRedirectsToNames(t *testing.T) {
	config := config(t)
	config.Resolver = egresstest.Resolver(func(name string) []netip.Addr {
		if name == "inside.example" {
			return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
		}
		return nil
	})
	c := newClient(t, config)
	for to, want := range map[string]string{
		"http://inside.example/":                "private",
		"http://user:secret@inside.example:81/": "private",
		"//inside.example/":                     "private",
		"http://[::ffff:169.254.169.254]/":      "metadata",
		"http://[fd00:ec2::254]/":               "metadata",
		"http://0.0.0.0:1/":                     "unspecified",
		"http://100.64.0.1/":                    "shared",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		_, _, err := do(t, c, "POST "+s.URL+" HTTP/1.1\n\nbody")
		wantFault(t, err, iofuncs.KindRefused, want)
		if strings.Contains(err.Error(), "10.0.0.1") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v tells what it should not", err)
		}
	}
}

// A server that goes away is a fault, and is found again when it is back, over and over.
func TestServerRestarts(t *testing.T) {
	config := config(t)
	config.Limits.Attempts = 1
	c := newClient(t, config)
	address := "127.0.0.1:0"
	for i := range 3 {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		address = l.Addr().String()
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, strconv.Itoa(i)) }))
		_ = s.Listener.Close() // it gets the other one
		s.Listener = l
		s.Start()
		url := "http://" + address + "/"
		for range 3 {
			if _, body, err := do(t, c, get(url)); err != nil || body != strconv.Itoa(i) {
				t.Errorf("%d: %q, %v", i, body, err)
			}
		}
		s.Close()
		_, _, err = do(t, c, get(url))
		wantFault(t, err, iofuncs.KindFailed, "GET http://"+address)
	}
}

// Certificates that are wrong in each way, and what is no TLS.
func TestTLSFaults(t *testing.T) {
	authority, key := certificate(t, nil, nil, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign })
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	config := config(t)
	config.Roots = roots
	config.Limits.Attempts, config.Limits.TLS = 1, 200*time.Millisecond
	c := newClient(t, config)
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"right":    {func(*x509.Certificate) {}, ""},
		"expired":  {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, "expired"},
		"not yet":  {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, "not yet valid"},
		"another":  {func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 9)} }, "127.0.0.1"},
		"no names": {func(c *x509.Certificate) { c.IPAddresses = nil }, "doesn't contain any IP SANs"},
		"client's": {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "incompatible key usage"},
	} {
		leaf, leafKey := certificate(t, authority, key, test.change)
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, "ok") }))
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey}}} //nolint:gosec // the version is the client's to demand
		s.StartTLS()
		_, body, err := do(t, c, get(s.URL))
		if test.want == "" {
			if err != nil || body != "ok" {
				t.Errorf("%s: %q, %v", name, body, err)
			}
		} else {
			wantFault(t, err, iofuncs.KindFailed, test.want)
		}
		s.Close()
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan string, 2)
	answers <- ""
	answers <- "SSH-2.0-x\r\n"
	var all sync.WaitGroup
	all.Go(func() {
		for range cap(answers) {
			conn, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			write(conn, <-answers)
			_, _ = io.Copy(io.Discard, conn) // until the client has gone
			_ = conn.Close()                 // the test has seen what it is about
		}
	})
	url := "https://" + l.Addr().String() + "/"
	_, _, err = do(t, c, get(url))
	wantFault(t, err, iofuncs.KindTimeout, "longer than 200ms (http-limits tls)")
	_, _, err = do(t, c, get(url))
	wantFault(t, err, iofuncs.KindFailed, "does not look like a TLS handshake")
	all.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// certificate makes one for 127.0.0.1, signed by an authority or, if that is nil, by
// itself.
func certificate(t testing.TB, authority *x509.Certificate, signer *ecdsa.PrivateKey, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(2 * time.Hour), BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	if authority == nil {
		authority, signer = template, key
		template.ExtKeyUsage = nil
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, authority, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestRedirects(t *testing.T) {
	var seen atomic.Value
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen.Store(fmt.Sprint(r.Method, " ", r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.Header.Get("X-Key"), r.Header.Get("Referer"), " ", r.Header.Get("Accept"), " ", r.Header.Get("Content-Type"), " ", string(body)))
		if r.URL.Path == "/back" {
			http.Redirect(w, r, r.URL.RawQuery, http.StatusTemporaryRedirect)
		}
	})
	s := serve(t, nil)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/303":
			http.Redirect(w, r, "/here", http.StatusSeeOther)
		case "/307":
			http.Redirect(w, r, "here", http.StatusTemporaryRedirect)
		case "/none":
			w.WriteHeader(http.StatusFound)
		case "/other":
			http.Redirect(w, r, strings.Replace(other.URL, "http://", "http://user:password@", 1), http.StatusPermanentRedirect)
		case "/and-back":
			http.Redirect(w, r, other.URL+"/back?"+s.URL+"/here", http.StatusTemporaryRedirect)
		case "/here":
			seen.Store(fmt.Sprint(r.Method, " ", r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.Header.Get("X-Key"), r.Header.Get("Referer"), " ", r.Header.Get("Accept"), " ", r.Header.Get("Content-Type"), " ", string(body)))
		}
	})
	c := newClient(t, config(t))
	fields := " HTTP/1.1\nAuthorization:a\nCookie:b\nX-Key:c\nAccept:d\nContent-Type:e\n\nbody"
	for path, want := range map[string]string{
		"/303": "GET abc d  ", "/307": "POST abc d e body", "/other": "POST  d e body", "/and-back": "POST  d e body",
	} {
		seen.Store("")
		if _, _, err := do(t, c, "POST "+s.URL+path+fields); err != nil || seen.Load() != want {
			t.Errorf("%s: %q, want %q (%v)", path, seen.Load(), want, err)
		}
	}
	_, _, err := do(t, c, get(s.URL+"/loop"))
	wantFault(t, err, iofuncs.KindFailed, "more than 10 times")
	if head, _, err := do(t, c, get(s.URL+"/none")); err != nil || !strings.HasPrefix(head, "HTTP/1.1 302 Found\n") {
		t.Errorf("no location: %q, %v", head, err)
	}
	answers := config(t)
	answers.Limits.Redirects = 0
	if head, _, err := do(t, newClient(t, answers), get(s.URL+"/loop")); err != nil || !strings.Contains(head, "\nLocation:/loop\n") {
		t.Errorf("not to be followed: %q, %v", head, err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
			return
		}
		write(w, r.Proto)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	_, _, err := do(t, newClient(t, config(t)), get(s.URL))
	wantFault(t, err, iofuncs.KindFailed, "ca-bundle")
	trusting := config(t)
	trusting.Roots = x509.NewCertPool()
	trusting.Roots.AddCert(s.Certificate())
	trusting.Resolver = egresstest.Resolver(func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	c := newClient(t, trusting)
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} { // what is spoken is up to client and server
		if head, body, err := do(t, c, "GET "+s.URL+" "+version+"\n\n"); err != nil || body != "HTTP/2.0" || !strings.HasPrefix(head, "HTTP/2.0 200 OK\n") {
			t.Errorf("%s: %q %q %v", version, head, body, err)
		}
	}
	_, _, err = do(t, c, get(strings.Replace(s.URL, "127.0.0.1", "other.test", 1)))
	wantFault(t, err, iofuncs.KindFailed, "not other.test")
	_, _, err = do(t, c, get(s.URL+"/down"))
	wantFault(t, err, iofuncs.KindFailed, "from https to http")
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, _, err = do(t, c, get(strings.Replace(plain.URL, "http://", "https://", 1)))
	wantFault(t, err, iofuncs.KindFailed, "HTTP response to HTTPS client")

	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // that is what the test is about
	old.StartTLS()
	defer old.Close()
	_, _, err = do(t, c, get(old.URL))
	wantFault(t, err, iofuncs.KindFailed, "protocol version")
}

func TestCompressedBodies(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Accept", r.Header.Get("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		_, _ = z.Write(bytes.Repeat([]byte("0123456789"), 100000)) // a client that leaves is told of elsewhere
	})
	config := config(t)
	config.Limits.Body = 1_000_000
	c := newClient(t, config)
	head, body, err := do(t, c, get(s.URL))
	if err != nil || len(body) != 1_000_000 || strings.Contains(head, "Content-Encoding") || strings.Contains(head, "Content-Length") {
		t.Errorf("%q, %d bytes, %v", head, len(body), err)
	}
	// Who says what it takes gets what comes.
	head, body, err = do(t, c, "GET "+s.URL+" HTTP/1.1\nAccept-Encoding: gzip\n\n")
	if err != nil || len(body) > 10000 || !strings.Contains(head, "Content-Encoding:gzip\n") {
		t.Errorf("%q, %d bytes, %v", head, len(body), err)
	}
}
