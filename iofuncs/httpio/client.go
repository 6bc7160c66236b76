package httpio

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"

	"pappus/iofuncs"
	"pappus/iofuncs/conns"
	"pappus/iofuncs/egress"
)

// Config is what a client is made of. Only Limits must be there.
type Config struct {
	Limits Limits
	Rules

	Resolver *net.Resolver // of names; nil: the system's

	// Propagate has requests say which trace they belong to, in fields that the items
	// don't have: servers learn ids from it.
	Propagate bool

	// Ended is told of each request. nil: nobody is.
	Ended func(iofuncs.Exchange)
}

// Rules are what can change while there are calls.
type Rules struct {
	// Policy says where the calls of a tenant may connect to; nil: what a policy
	// without rules allows.
	Policy func(tenant string) *egress.Policy

	Roots *x509.CertPool // that servers' certificates lead to; nil: the system's

	Proxy *egress.Proxy // that makes all connections; nil: none

	// Through puts a cache (package httpcache) between a tenant's connections and
	// what asks for answers. It sees each hop of a redirect, and each attempt. What
	// it asks next for ends by the client's own limits of time, so that it may
	// outlive the request that it is asked for. nil: nothing is between.
	Through func(tenant string, next http.RoundTripper) http.RoundTripper
}

// Client makes requests for I/O functions. It may be used by many goroutines.
type Client struct {
	config   Config // but for its rules
	redirect func(next *http.Request, before []*http.Request) error
	settling *httptrace.ClientTrace // of requests

	mu    sync.Mutex
	rules Rules
	ways  map[string]*way // of tenants
}

// New makes a client.
func New(config Config) (*Client, error) {
	if err := config.Limits.check(); err != nil {
		return nil, err
	}
	return &Client{config: config, redirect: config.Limits.redirect, settling: conns.Settling(), rules: config.Rules, ways: map[string]*way{}}, nil
}

// Functions are the I/O functions that make requests by this client.
func (c *Client) Functions() []iofuncs.Function {
	return []iofuncs.Function{httpFunction{c}, getFunction{c}}
}

// Reload puts other rules in force: for each hop and each attempt that begins from
// then on. No connection that was made before is used again for them; those that
// nobody uses are closed, the others when they are not used any more.
func (c *Client) Reload(rules Rules) {
	c.mu.Lock()
	c.rules = rules
	before := c.ways
	c.ways = map[string]*way{}
	c.mu.Unlock()
	for _, w := range before {
		w.leave()
	}
}

// Close closes connections that nobody uses. There must be no calls any more.
func (c *Client) Close() { c.Reload(Rules{}) }

// way is that of a tenant, which is made if there is none.
func (c *Client) way(tenant string) *way {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.ways[tenant]
	if w == nil {
		w = newWay(tenant, &c.config, &c.rules, c.settling, func(w *way) { c.drop(tenant, w) })
		c.ways[tenant] = w
	}
	return w
}

// drop forgets a way that nobody uses.
func (c *Client) drop(tenant string, w *way) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ways[tenant] == w {
		delete(c.ways, tenant)
	}
}

// tenant is for whom requests are made.
type tenant struct {
	hops   hops
	cached bool // answers may come from a cache
}

func (c *Client) tenant(name string) tenant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tenant{hops: hops{c, name}, cached: c.rules.Through != nil}
}

// do makes a request with all redirects that it leads to. The standard library's client
// prepares for them with copies of fields; as few requests lead to any, it is called when
// there is something for it to do, and begins with what the first hop came to.
func (t *tenant) do(r *http.Request) (*http.Response, error) {
	resp, err := t.hops.RoundTrip(r)
	if err == nil && resp != nil && resp.Body != nil && resp.StatusCode/100 != 3 {
		return resp, nil
	}
	client := http.Client{Transport: &begun{hops: &t.hops, resp: resp, err: err}, CheckRedirect: t.hops.client.redirect}
	return client.Do(r)
}

// begun goes on after a first hop.
type begun struct {
	hops *hops
	resp *http.Response // of the first hop
	err  error
	told bool
}

var _ http.RoundTripper = (*begun)(nil)

func (b *begun) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.told {
		return b.hops.RoundTrip(r)
	}
	b.told = true
	return b.resp, b.err
}

// hops sends each request on the way of its moment, as rules may change meanwhile.
type hops struct {
	client *Client
	tenant string
}

var _ http.RoundTripper = (*hops)(nil)

func (h *hops) RoundTrip(r *http.Request) (*http.Response, error) {
	return h.client.way(h.tenant).begin.RoundTrip(r)
}

// redirectError is why a redirect is not followed.
type redirectError struct{ reason string }

func (e *redirectError) Error() string { return e.reason }

// crossing are fields that go along to another origin. Any other may be a secret.
// Without the key of a request, making it again would not be like making it once.
var crossing = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Content-Encoding", "Content-Language", "Content-Type",
	idempotencyKey, "X-" + idempotencyKey, "Range", "User-Agent",
}

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
