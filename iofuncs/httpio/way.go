package httpio

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"pappus/iofuncs/conns"
	"pappus/iofuncs/egress"
	"pappus/iofuncs/httpcache"
)

// way is how requests of one tenant get out under the rules of one moment. No other
// tenant's use its connections. It is a round tripper itself: the part of it that is
// below the cache.
type way struct {
	limits    Limits
	transport *http.Transport
	begin     http.RoundTripper // where requests begin: the cache, or the way itself
	settling  *httptrace.ClientTrace

	mu     sync.Mutex
	using  int         // requests that have connections, or wait for them
	left   bool        // there are no requests to come
	unused *time.Timer // for leaving a way that nobody uses
}

var _ http.RoundTripper = (*way)(nil)

// connectionsKept is how long connections are kept that nobody uses, and wayKept how
// long the rest of a tenant is: there are none left by then.
const (
	connectionsKept = 90 * time.Second
	wayKept         = 2 * connectionsKept
)

// newWay makes a way. unused is called when nobody has used it for long.
func newWay(tenant string, config *Config, rules *Rules, trace *httptrace.ClientTrace, unused func(*way)) *way {
	const (
		idlePerHost = 256 // as many calls as go on at once
		idle        = 1024
		ping        = 30 * time.Second
	)
	var policy *egress.Policy
	if rules.Policy != nil {
		policy = rules.Policy(tenant)
	}
	limits := config.Limits
	dialer := egress.NewDialer(policy, limits.Connect, config.Resolver).By(rules.Proxy)
	w := &way{limits: limits, settling: trace, transport: &http.Transport{
		// No Proxy: what the environment says of one is not meant for functions, and the
		// one of the rules is told addresses, by the dialer.
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: rules.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    limits.TLS,
		ResponseHeaderTimeout:  limits.Response,
		MaxResponseHeaderBytes: limits.Header,
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        connectionsKept,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: ping, PingTimeout: ping},
	}}
	conns.Guard(w.transport)
	w.begin = w
	if rules.Through != nil {
		w.begin = rules.Through(tenant, w)
	}
	w.unused = time.AfterFunc(wayKept, func() {
		if w.leaveUnused() {
			unused(w)
		}
	})
	return w
}

// leave has connections closed, those that are used when they are not any more.
func (w *way) leave() {
	w.mu.Lock()
	w.left = true
	w.unused.Stop()
	w.mu.Unlock()
	w.transport.CloseIdleConnections()
}

// leaveUnused leaves the way if nobody uses it.
func (w *way) leaveUnused() bool {
	w.mu.Lock()
	w.left = w.left || w.using == 0
	unused := w.using == 0
	w.mu.Unlock()
	if unused {
		w.transport.CloseIdleConnections()
	}
	return unused
}

// enter and exit are around each request.
func (w *way) enter() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.using == 0 {
		w.unused.Stop()
	}
	w.using++
}

func (w *way) exit() {
	w.mu.Lock()
	w.using--
	closing := w.left && w.using == 0
	if !w.left && w.using == 0 {
		w.unused.Reset(wayKept)
	}
	w.mu.Unlock()
	if closing {
		w.transport.CloseIdleConnections()
	}
}

// RoundTrip makes a request by a connection: within limits of its own if a cache has
// taken it over from who had it made, whose limits ended with them.
func (w *way) RoundTrip(r *http.Request) (*http.Response, error) {
	if httptrace.ContextClientTrace(r.Context()) != w.settling { // it is made by others
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), conns.Settling()))
	}
	if !httpcache.Detached(r.Context()) {
		w.enter()
		resp, err := w.transport.RoundTrip(r)
		if err != nil {
			w.exit()
			return nil, err
		}
		resp.Body = &used{ReadCloser: resp.Body, way: w}
		return resp, nil
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	total := time.AfterFunc(w.limits.Total, func() { cancel(errTotal) })
	w.enter()
	end := sync.OnceFunc(func() {
		total.Stop()
		cancel(nil)
		w.exit()
	})
	resp, err := w.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errTotal) {
			err = late{cause}
		}
		end()
		return nil, err
	}
	if resp.Body == nil || resp.Body == http.NoBody {
		end()
		return resp, nil
	}
	resp.Body = &timed{body: resp.Body, ctx: ctx, cancel: cancel, limit: w.limits.Idle, end: end}
	return resp, nil
}

// settled is a context for requests that may use a connection again, with a trace that
// all of them have, so that none is copied for it. A trace that is there stays, since one
// that others have is not to be joined with it.
func settled(ctx context.Context, settling *httptrace.ClientTrace) context.Context {
	if httptrace.ContextClientTrace(ctx) != nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, settling)
}

// used is a body of a connection that the way counts until it is closed.
type used struct {
	io.ReadCloser
	way  *way
	once sync.Once
}

func (b *used) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.way.exit)
	return err
}

// late tells a cache that something took too long.
type late struct{ error }

func (late) Timeout() bool   { return true }
func (l late) Unwrap() error { return l.error }

// timed is a body of which each piece has to come in time.
type timed struct {
	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // it is the body's own
	cancel context.CancelCauseFunc
	limit  time.Duration
	idle   *time.Timer // stopped while nobody reads
	end    func()
}

func (b *timed) Read(p []byte) (int, error) {
	if b.idle == nil {
		b.idle = time.AfterFunc(b.limit, func() { b.cancel(errIdle) })
	} else {
		b.idle.Reset(b.limit)
	}
	n, err := b.body.Read(p)
	b.idle.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := context.Cause(b.ctx); errors.Is(cause, errIdle) || errors.Is(cause, errTotal) {
			err = late{cause}
		}
	}
	return n, err
}

func (b *timed) Close() error {
	err := b.body.Close()
	b.end()
	return err
}
