package egress

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Proxy is an HTTP proxy that makes connections for a dialer. Nobody changes it once
// it is made.
type Proxy struct {
	address string // HOST:PORT
	field   string // Proxy-Authorization, as it is sent; "": none
}

// NewProxy makes a proxy of its URL, http://HOST:PORT, and credentials, USER:PASSWORD
// or "" for none. Errors do not tell these.
func NewProxy(text, credentials string) (*Proxy, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "": // whose text may have a password
		return nil, errors.New("it is not the URL of a proxy, like http://proxy.example.org:3128")
	case u.User != nil:
		return nil, errors.New("it has credentials, which do not belong in a URL that everybody sees")
	case u.Scheme != "http":
		return nil, fmt.Errorf("%.20q is not how a proxy is spoken to; http:// is", u.Scheme+"://")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it has more than http://HOST:PORT")
	}
	host, port := u.Hostname(), u.Port()
	if a, err := netip.ParseAddr(host); err != nil {
		if host, err = CheckHost(host); err != nil {
			return nil, err
		}
	} else if a.Zone() != "" {
		return nil, errors.New("an address with a zone means something on one machine only")
	}
	if port == "" {
		port = "80"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("%.20q is not a port: a number from 1 to 65535", port)
	}
	p := &Proxy{address: net.JoinHostPort(host, port)}
	if credentials == "" {
		return p, nil
	}
	const most = 4 << 10
	user, _, ok := strings.Cut(credentials, ":")
	if !ok || user == "" || len(credentials) > most || strings.ContainsFunc(credentials, unicode.IsControl) {
		return nil, errors.New("the credentials of a proxy are USER:PASSWORD, on one line")
	}
	p.field = "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(credentials)) + "\r\n"
	return p, nil
}

// By is a dialer that has all connections made by a proxy; nil: by none. The names of
// hosts are looked up and judged here, and the proxy is told an address that the policy
// allows, never a name, which might mean another address to it. It is not judged itself.
func (d *Dialer) By(p *Proxy) *Dialer {
	by := *d
	by.proxy = p
	return &by
}

// mostAddresses of a host are tried by a proxy.
const mostAddresses = 4

// dialByProxy connects to a host that checkName has let pass.
func (d *Dialer) dialByProxy(ctx context.Context, host string, port uint16) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	targets, err := d.targets(ctx, host, port)
	if err != nil {
		return nil, err
	}
	var first error
	for _, target := range targets[:min(len(targets), mostAddresses)] {
		conn, err := d.tunnel(ctx, target)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if broken := (*proxyError)(nil); !errors.As(err, &broken) || !broken.refused {
			break // another address would not help
		}
	}
	return nil, first
}

// targets are the addresses of a host that the policy allows, of which there is one.
func (d *Dialer) targets(ctx context.Context, host string, port uint16) (allowed []netip.AddrPort, err error) {
	var all []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		all = []netip.Addr{a}
	} else {
		resolver := d.resolver
		if resolver == nil {
			resolver = net.DefaultResolver
		}
		if all, err = resolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	var refused error
	for _, a := range all {
		target := netip.AddrPortFrom(a.Unmap(), port)
		if err := d.policy.check(host, target); err == nil {
			allowed = append(allowed, target)
		} else if refused == nil {
			refused = err
		}
	}
	if len(allowed) == 0 {
		if refused == nil {
			refused = &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return nil, refused
	}
	return slices.Compact(allowed), nil
}

// proxyError is that a proxy gives no connection. Where it is is not for functions to
// know.
type proxyError struct {
	what    string
	refused bool          // it answers that it does not connect
	asks    bool          // for credentials, or for others
	timeout bool          // it took too long
	errno   syscall.Errno // 0: none
}

func (e *proxyError) Error() string { return "the proxy that this server is set to use " + e.what }

// ProxyWantsCredentials reports whether an error is that a proxy asks for credentials,
// or for others than it was given.
func ProxyWantsCredentials(err error) bool {
	var e *proxyError
	return errors.As(err, &e) && e.asks
}

// Timeout reports whether it took too long.
func (e *proxyError) Timeout() bool { return e.timeout }

func (e *proxyError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// brokenProxy is the error of a proxy where err is that of the system.
func brokenProxy(what string, err error) error {
	e := &proxyError{what: what}
	if !errors.As(err, &e.errno) {
		e.errno = 0
	} else {
		e.what += ": " + e.errno.Error()
	}
	return e
}

// tunnel has the proxy connect to an address.
func (d *Dialer) tunnel(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", d.proxy.address)
	if err != nil {
		return nil, inTime(ctx, brokenProxy("can't be reached", err))
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // it ends reading and writing
	err = d.ask(conn, target)
	if !stop() && err == nil { // the deadline is set, or will be
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close() // it is of no use
		return nil, inTime(ctx, err)
	}
	return conn, nil
}

// inTime is err, unless time was over.
func inTime(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &proxyError{what: "takes too long", timeout: true}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// ask asks a proxy for a connection, which conn is then.
func (d *Dialer) ask(conn net.Conn, target netip.AddrPort) error {
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, target, d.proxy.field); err != nil {
		return brokenProxy("breaks the connection", err)
	}
	const mostHeader = 64 << 10
	in := bufio.NewReader(io.LimitReader(conn, mostHeader))
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // there is none, or nobody reads it
	switch {
	case err != nil:
		return brokenProxy("gives no answer that can be read", err)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return &proxyError{what: fmt.Sprintf("does not connect: it answers %.80q", resp.Status), refused: true, asks: resp.StatusCode == http.StatusProxyAuthRequired}
	case in.Buffered() > 0:
		return brokenProxy("sends something before it is asked", nil)
	}
	return nil
}
