package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pappus/iofuncs/egress/egresstest"
)

// A proxy is told addresses that were judged, never names.
func TestProxy(t *testing.T) {
	port := listen(t)
	p := egresstest.NewProxy(t, nil)
	proxy, err := NewProxy(p.URL, "user:pass:word")
	if err != nil {
		t.Fatal(err)
	}
	resolver := egresstest.Resolver(func(name string) []netip.Addr {
		switch name {
		case "here.example":
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		case "both.example": // one is refused, the other is not
			return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1")}
		case "inside.example":
			return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
		}
		return nil
	})
	d := NewDialer(policy(t, []string{"127.0.0.1:" + port}, []string{"denied.example"}), 5*time.Second, resolver).By(proxy)
	for host, want := range map[string]string{
		"127.0.0.1": "", "here.example": "", "both.example": "", "here.example.": "",
		"inside.example": "private", "denied.example": "egress-deny", "10.0.0.1": "private", "169.254.169.254": "metadata", "::1": "loopback", "nobody.example": "no such host",
	} {
		before := len(p.Asked())
		conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		after := p.Asked()[before:]
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) || len(after) > 0 {
				t.Errorf("%s: %v, and the proxy is asked for %q", host, err, after)
			}
			continue
		}
		if err != nil || len(after) != 1 || after[0] != "127.0.0.1:"+port+" Basic dXNlcjpwYXNzOndvcmQ=" {
			t.Errorf("%s: %v, and the proxy is asked for %q", host, err, after)
			continue
		}
		_ = conn.Close() // it was open
	}
	if _, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:1"); err == nil { // the port is not allowed
		t.Error("another port is reached")
	}
}

// What a proxy does wrong is an error that tells nothing of it.
func TestFaultyProxies(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	say := func(text string) func(net.Conn, string) bool {
		return func(conn net.Conn, _ string) bool {
			_, _ = io.WriteString(conn, text) // the client may have gone
			return true
		}
	}
	for name, c := range map[string]struct {
		answer func(net.Conn, string) bool
		want   string
	}{
		"forbids":         {say("HTTP/1.1 403 Not to there\r\n\r\n"), `"403 Not to there"`},
		"wants to know":   {say("HTTP/1.1 407 Who\r\nContent-Length: 99999999\r\n\r\n"), `"407 Who"`},
		"garbage":         {say("SSH-2.0-x\r\n\r\n"), "no answer that can be read"},
		"nothing":         {say(""), "no answer that can be read"},
		"speaks too soon": {say("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "before it is asked"},
		"endless": {func(conn net.Conn, _ string) bool {
			for _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n"); err == nil; {
				_, err = io.WriteString(conn, "A: "+strings.Repeat("x", 1<<12)+"\r\n")
			}
			return true
		}, "no answer that can be read"},
		"hangs": {func(net.Conn, string) bool { <-hang; return true }, "takes too long"},
	} {
		p := egresstest.NewProxy(t, c.answer)
		proxy, err := NewProxy(p.URL, "user:secret")
		if err != nil {
			t.Fatal(err)
		}
		timeout := 5 * time.Second
		if name == "hangs" {
			timeout = 50 * time.Millisecond
		}
		d := NewDialer(policy(t, []string{"127.0.0.1"}, nil), timeout, nil).By(proxy)
		conn, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:80")
		if err == nil {
			_ = conn.Close() // it is an error anyway
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), strings.TrimPrefix(p.URL, "http://")) {
			t.Errorf("%s: %v", name, err)
		}
		var late interface{ Timeout() bool }
		if is := errors.As(err, &late) && late.Timeout(); is != (name == "hangs") {
			t.Errorf("%s: a timeout: %t", name, is)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone, err := NewProxy("http://"+l.Addr().String(), "")
	if err != nil || l.Close() != nil {
		t.Fatal(err)
	}
	d := NewDialer(policy(t, []string{"127.0.0.1"}, nil), time.Second, nil).By(gone)
	if _, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:80"); err == nil || !strings.Contains(err.Error(), "can't be reached: connection refused") || strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("gone: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	p := egresstest.NewProxy(t, func(net.Conn, string) bool { cancel(); <-hang; return true })
	proxy, err := NewProxy(p.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.By(proxy).DialContext(canceled, "tcp", "127.0.0.1:80"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestNewProxy(t *testing.T) {
	for _, text := range []string{"http://proxy", "http://proxy:3128", "http://proxy:3128/", "http://10.0.0.1:3128", "http://[::1]:3128"} {
		if _, err := NewProxy(text, ""); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "proxy", "proxy:3128", "https://proxy", "socks5://proxy", "http://", "http://user:secret@proxy", "http://proxy/x", "http://proxy?x", "http://proxy#x",
		"http://proxy:0", "http://proxy:99999", "http://pro xy", "http://[fe80::1%25a]:1", "http://127.1", "http:proxy", "http://user:secret@pro xy",
	} {
		if p, err := NewProxy(text, ""); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, credentials := range []string{"secret", ":secret", "a:secret\nb", strings.Repeat("secret:", 1000)} {
		if _, err := NewProxy("http://proxy", credentials); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.20q: %v", credentials, err)
		}
	}
}
