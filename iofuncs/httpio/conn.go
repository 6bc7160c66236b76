package httpio

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync"
)

// conn is a connection that tells whether all that came by it has been taken. The
// transport puts a connection back before it looks whether the server sent more than
// an answer; a request that gets the connection in between would be given the rest as
// its answer.
type conn struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond
	reading bool // its reader waits for more: it has nothing left of before
	closed  bool
}

func newConn(c net.Conn) *conn {
	w := &conn{Conn: c}
	w.changed.L = &w.mu
	return w
}

func (c *conn) Read(p []byte) (int, error) {
	c.set(&c.reading, true)
	n, err := c.Conn.Read(p)
	c.set(&c.reading, false)
	return n, err
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.set(&c.closed, true)
	return err
}

func (c *conn) set(what *bool, to bool) {
	c.mu.Lock()
	*what = to
	c.mu.Unlock()
	if to {
		c.changed.Broadcast()
	}
}

// settle waits until the connection's reader has nothing left, or has closed it
// because of what was left. It does one or the other at once: it is not used.
func (c *conn) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.reading && !c.closed {
		c.changed.Wait()
	}
}

// settling is the trace of requests that are not written to a connection of one before
// until all that came by it has been taken. If there was more than answers, the transport
// finds the connection closed, and makes the request by another.
func settling() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if !got.Reused {
			return
		}
		below := got.Conn
		if encrypted, is := below.(*tls.Conn); is {
			if encrypted.ConnectionState().NegotiatedProtocol == "h2" {
				return // its answers are numbered
			}
			below = encrypted.NetConn()
		}
		if c, is := below.(*conn); is {
			c.settle()
		}
	}}
}

// settled is a context for requests with a trace that settling made, so that none of
// them is copied for it. A trace that is there stays, since one that others have is not
// to be joined with it.
func settled(ctx context.Context, trace *httptrace.ClientTrace) context.Context {
	if httptrace.ContextClientTrace(ctx) != nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, trace)
}
