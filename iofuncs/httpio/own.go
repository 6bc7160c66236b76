package httpio

import (
	"context"
	"net"
	"net/http"

	"pappus/iofuncs/egress"
)

// Dial connects to HOST:PORT for a tenant, under the rules of the moment, by a proxy if
// they name one, and within the limit connect: for I/O functions of other packages. A
// connection that is kept for later was judged by rules that may not be in force any
// more. If the rules forbid it, the error is an *egress.Refusal, or wraps one. It may be
// called from many goroutines.
func (c *Client) Dial(ctx context.Context, tenant, network, address string) (net.Conn, error) {
	c.mu.Lock()
	rules := c.rules
	c.mu.Unlock()
	var policy *egress.Policy
	if rules.Policy != nil {
		policy = rules.Policy(tenant)
	}
	return egress.NewDialer(policy, c.config.Limits.Connect, c.config.Resolver).By(rules.Proxy).DialContext(ctx, network, address)
}

// Transport makes requests by HTTP for a tenant, each under the rules of its moment, as
// those of HTTP are: for I/O functions of other packages. They bound the time and what
// they read, and tell of it. It may be used by many goroutines.
func (c *Client) Transport(tenant string) http.RoundTripper { return &hops{c, tenant} }
