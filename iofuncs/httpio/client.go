package httpio

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"pappus/iofuncs"
	"pappus/iofuncs/egress"
)

// Config is what a client is made of. Only Limits must be there.
type Config struct {
	Limits Limits

	// Policy says where the calls of a tenant may connect to; nil: what a policy
	// without rules allows. It is asked once for each tenant.
	Policy func(tenant string) *egress.Policy

	Roots    *x509.CertPool // that servers' certificates lead to; nil: the system's
	Resolver *net.Resolver  // of names; nil: the system's

	// Through puts something between a tenant's connections and what asks for
	// answers, as a cache. It sees each hop of a redirect, and each attempt. It is
	// called once for each tenant; nil: nothing is between.
	Through func(tenant string, next http.RoundTripper) http.RoundTripper

	// Cache reads from an answer's header what the one of Through did; nil: nothing is
	// kept of answers.
	Cache func(http.Header) iofuncs.Cache

	// Propagate has requests say which trace they belong to, in fields that the items
	// don't have: servers learn ids from it.
	Propagate bool

	// Ended is told of each request: the status of its answer, 0 if there is none,
	// and how often it was made. nil: nobody is.
	Ended func(status, attempts int)
}

// Client makes requests for I/O functions. It may be used by many goroutines.
type Client struct {
	config Config

	mu      sync.Mutex
	tenants map[string]*tenant
}

// tenant is what the requests of one tenant share. No other's use its connections.
type tenant struct {
	transport *http.Transport
	client    *http.Client
}

// New makes a client.
func New(config Config) (*Client, error) {
	if err := config.Limits.check(); err != nil {
		return nil, err
	}
	return &Client{config: config, tenants: map[string]*tenant{}}, nil
}

// Functions are the I/O functions that make requests by this client.
func (c *Client) Functions() []iofuncs.Function {
	return []iofuncs.Function{httpFunction{c}, getFunction{c}}
}

// Close closes connections that nobody uses. There must be no calls any more.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tenants {
		t.transport.CloseIdleConnections()
	}
}

func (c *Client) tenant(name string) *tenant {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.tenants[name]; t != nil {
		return t
	}
	var policy *egress.Policy
	if c.config.Policy != nil {
		policy = c.config.Policy(name)
	}
	const (
		idlePerHost = 256 // as many calls as go on at once
		idle        = 1024
		keptFor     = 90 * time.Second
		ping        = 30 * time.Second
	)
	limits := c.config.Limits
	t := &tenant{transport: &http.Transport{
		// No Proxy: what the environment says of one is not meant for functions.
		DialContext:            egress.NewDialer(policy, limits.Connect, c.config.Resolver).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: c.config.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    limits.TLS,
		ResponseHeaderTimeout:  limits.Response,
		MaxResponseHeaderBytes: limits.Header,
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        keptFor,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: ping, PingTimeout: ping},
	}}
	next := http.RoundTripper(t.transport)
	if c.config.Through != nil {
		next = c.config.Through(name, next)
	}
	t.client = &http.Client{Transport: next, CheckRedirect: limits.redirect}
	c.tenants[name] = t
	return t
}

// redirectError is why a redirect is not followed.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

// crossing are fields that go along to another origin. Any other may be a secret.
var crossing = []string{"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Content-Encoding", "Content-Language", "Content-Type", "Range", "User-Agent"}

// redirect judges a redirect that is about to be followed, and takes from the request
// what is not for the place where it leads. Connections are judged where they are made.
func (l Limits) redirect(next *http.Request, before []*http.Request) error {
	if l.Redirects == 0 {
		return http.ErrUseLastResponse
	}
	if len(before) > l.Redirects {
		return &redirectError{fmt.Sprintf("it was redirected more than %d times (http-limits redirects)", l.Redirects)}
	}
	last := before[len(before)-1]
	switch {
	case next.URL.Scheme != schemeHTTP && next.URL.Scheme != schemeHTTPS:
		return &redirectError{fmt.Sprintf("it was redirected to %.20q, which is neither http nor https", next.URL.Scheme+":")}
	case last.URL.Scheme == schemeHTTPS && next.URL.Scheme == schemeHTTP:
		return &redirectError{"it was redirected from https to http, where others can read it"}
	}
	next.URL.User = nil // a server has no credentials to give
	first := before[0]
	// The copy that a redirect is made of is one of the first request's fields: what
	// once left its origin is not for the origin either, which was told by another.
	left := slices.ContainsFunc(append(before[1:len(before):len(before)], next), func(r *http.Request) bool { return origin(r.URL) != origin(first.URL) })
	for name := range next.Header {
		if left && !slices.Contains(crossing, name) || name == "Referer" && first.Header.Get(name) == "" {
			delete(next.Header, name)
		}
	}
	if next.Method != first.Method { // it has no body any more
		for _, name := range []string{"Content-Encoding", "Content-Language", "Content-Location", "Content-Type"} {
			next.Header.Del(name)
		}
	}
	return nil
}
