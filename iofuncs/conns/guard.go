package conns

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// Guard has all connections of a transport be ones that Settling knows, and that close
// at once. It is called when dialling, TLS and the limit of time for handshakes are set,
// which it reads, and before the transport is used.
func Guard(t *http.Transport) {
	g := &guard{dial: t.DialContext, limit: t.TLSHandshakeTimeout}
	if g.dial == nil {
		g.dial = new(net.Dialer).DialContext
	}
	if g.config = t.TLSClientConfig.Clone(); g.config == nil {
		g.config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if g.config.NextProtos == nil && t.ForceAttemptHTTP2 {
		g.config.NextProtos = []string{"h2", "http/1.1"}
	}
	t.DialContext, t.DialTLSContext = g.dialPlain, g.dialTLS
}

// guard is how a transport connects.
type guard struct {
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	config *tls.Config
	limit  time.Duration // for a handshake; 0: none
}

// connect makes a connection without TLS.
func (g *guard) connect(ctx context.Context, network, address string) (*conn, error) {
	below, err := g.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c, err := newConn(below)
	if err != nil {
		_ = below.Close() // it is of no use
		return nil, err
	}
	return c, nil
}

func (g *guard) dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := g.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dialTLS shakes hands too. For HTTP/2 the transport wants a connection of package tls,
// below which it closes by itself if closing takes long.
func (g *guard) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	below, err := g.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := g.config.Clone()
	if config.ServerName == "" {
		if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
			_ = below.Close()
			return nil, err
		}
	}
	encrypted := tls.Client(below, config)
	if err := g.shake(ctx, encrypted); err != nil {
		_ = below.Close() // it is of no use
		return nil, err
	}
	if encrypted.ConnectionState().NegotiatedProtocol == "h2" {
		return encrypted, nil
	}
	return &secured{encrypted, below}, nil
}

func (g *guard) shake(ctx context.Context, c *tls.Conn) error {
	limited := ctx
	if g.limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, g.limit)
		defer cancel()
	}
	err := c.HandshakeContext(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return handshakeTimeout{}
	}
	return err
}

// handshakeTimeout is what the transport has for a handshake that takes too long.
type handshakeTimeout struct{}

var _ net.Error = handshakeTimeout{}

func (handshakeTimeout) Error() string   { return "TLS handshake timeout" }
func (handshakeTimeout) Timeout() bool   { return true }
func (handshakeTimeout) Temporary() bool { return true }

// secured is a connection with TLS that closes at once. By itself, one of package tls
// tells the server first, which may not read: and if it answers a server that wants other
// keys, which it does while it reads, it can't even begin to close.
type secured struct {
	*tls.Conn
	below *conn
}

func (s *secured) Close() error {
	if !s.below.end() {
		return s.below.Close()
	}
	return s.Conn.Close() //nolint:wrapcheck // it is the transport's to tell
}

// Settling is the trace of requests that are not written to a connection of one before
// until all that came by it has been taken. If there was more than answers, the transport
// finds the connection closed, and makes the request by another. It can be used for any
// number of requests, of transports that Guard has seen.
func Settling() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if !got.Reused {
			return
		}
		switch c := got.Conn.(type) {
		case *conn:
			c.settle()
		case *secured:
			c.below.settle()
		case *tls.Conn: // by a proxy of the transport's, or HTTP/2, where answers are numbered
			if below, is := c.NetConn().(*conn); is && c.ConnectionState().NegotiatedProtocol != "h2" {
				below.settle()
			}
		}
	}}
}
