package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// Dialer connects to where a policy lets it. It may be used by many goroutines.
type Dialer struct {
	policy   *Policy
	resolver *net.Resolver
	timeout  time.Duration
	proxy    *Proxy // nil: none
}

// NewDialer makes a dialer. timeout is for one connection, with looking its name
// up; resolver nil: the system's.
func NewDialer(p *Policy, timeout time.Duration, resolver *net.Resolver) *Dialer {
	return &Dialer{policy: p, resolver: resolver, timeout: timeout}
}

// DialContext connects to HOST:PORT by TCP. If no address of the host may be
// connected to, the error is a *Refusal, or wraps one.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("connect to %.80s: only tcp is spoken, not %.20s", address, network)
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("connect to %.80s: the port is no number from 1 to 65535", host)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		if host, err = CheckHost(host); err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	if err := d.policy.checkName(host, uint16(port)); err != nil {
		return nil, err
	}
	if d.proxy != nil {
		return d.dialByProxy(ctx, host, uint16(port))
	}
	// The system's calls are made on the address that is judged here, one for each
	// that the name has: there is nothing between that could change it.
	dialer := net.Dialer{
		Timeout: d.timeout, Resolver: d.resolver,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(address)
			if err != nil || network != "tcp4" && network != "tcp6" {
				return errors.New("the address to connect to can't be read")
			}
			return d.policy.check(host, a)
		},
	}
	conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(host, portText))
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		return nil, refusal // without the address, which is around it
	}
	return conn, err
}
