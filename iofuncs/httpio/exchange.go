package httpio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v7"

	"pappus/iofuncs"
	"pappus/iofuncs/egress"
	"pappus/iofuncs/httpcache"
)

// Why a request was given up.
var (
	errTotal = errors.New("the request took too long")
	errIdle  = errors.New("the server stopped sending")
)

// notYet is that an answer says to try again.
type notYet struct{ after time.Duration } // -1: it does not say when

func (notYet) Error() string { return "the server asks to try again" }

// Waiting between attempts: the first time about as long as a server takes that
// drops a connection when it starts anew.
const (
	firstWait = 100 * time.Millisecond
	mostWait  = 5 * time.Second
)

// exchange is a request that is made until there is an answer to give. It is all that
// is needed for it, in one piece of memory.
type exchange struct {
	*batch
	request  *request
	body     fence
	patience patience
	in       collector // of the last attempt

	last    *answer          // of attempts
	refused error            // by who charges
	seen    iofuncs.Exchange // what can be seen of it
}

// do makes the request, and charges for the answer what it holds. The error is an
// *iofuncs.Error, that of the context, or of who charges.
func (x *exchange) do(ctx context.Context) (*answer, error) {
	limits, r := &x.client.config.Limits, x.request
	outer := ctx
	ctx, cancel := context.WithCancelCause(settled(ctx, x.client.settling))
	defer cancel(nil)
	x.patience.begin(limits, cancel)
	defer x.patience.stop()
	if _, said := r.header["User-Agent"]; !said {
		r.header["User-Agent"] = []string{"pappus"}
	}
	if len(r.body) > 0 {
		x.body.content = r.body
		defer x.body.fall()
	}

	err := x.try(ctx)
	if err != nil { // otherwise there is nothing to wait for
		err = x.tryAgain(ctx, err)
	}
	if x.last != nil {
		x.seen.Status, x.seen.Received, x.seen.Cache = x.last.status, int64(len(x.last.body)), x.last.cache
	}
	switch {
	case x.refused != nil:
		return nil, x.refused
	case outer.Err() != nil:
		return nil, outer.Err()
	case x.last != nil: // it may be one that asked to try again
		return x.last, nil
	}
	if errors.Is(context.Cause(ctx), errTotal) {
		err = errTotal
	} else if failed, is := errors.AsType[*backoff.RetryError](err); is {
		err = failed.LastErr
	}
	if refusal, is := errors.AsType[*egress.Refusal](err); is {
		x.seen.Refused = refusal.Kind()
	}
	return nil, limits.describe(r, err)
}

// tryAgain goes on after a first attempt that came to an error.
func (x *exchange) tryAgain(ctx context.Context, first error) error {
	limits := &x.client.config.Limits
	most := uint(1)
	if x.request.repeatable() {
		most = uint(limits.Attempts)
	}
	wait := &backoff.ExponentialBackOff{InitialInterval: firstWait, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: mostWait}
	_, err := backoff.Retry(ctx, func() (none struct{}, err error) {
		if err, first = first, nil; err != nil {
			return none, err
		}
		return none, x.try(ctx)
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(most), backoff.WithMaxElapsedTime(limits.Total))
	return err
}

// try makes an attempt, and says in the words of package backoff what is to be done.
func (x *exchange) try(ctx context.Context) (err error) {
	if x.last != nil {
		if err := x.charge(-x.last.charged); err != nil {
			return backoff.Permanent(err)
		}
		x.last = nil
	}
	x.seen.Attempts++
	if x.last, err = x.attempt(ctx); err == nil {
		return nil
	}
	x.patience.whole()
	if wait := (notYet{}); errors.As(err, &wait) {
		switch {
		case wait.after < 0:
			return err
		case wait.after <= x.client.config.Limits.RetryAfter:
			return backoff.RetryAfter(wait.after, err)
		}
		return nil // it is the answer
	}
	if x.refused != nil || !transient(err) {
		err = backoff.Permanent(err)
	}
	return err
}

// charge remembers who got no memory.
func (x *exchange) charge(n int64) error {
	err := x.call.Charge(n)
	if err != nil {
		x.refused = err
	}
	return err
}

func (x *exchange) piece() { x.patience.piece() }

// patience ends a request for which it waits too long: for all of it, or for the next
// piece of a body. Its one timer is not set for each piece: it wakes up at least as often
// as the next could be late, and looks.
type patience struct {
	cancel context.CancelCauseFunc
	idle   time.Duration
	end    time.Time // when all of it is due

	mu      sync.Mutex
	next    time.Time // when the next piece of a body is due; zero: none is waited for
	timer   *time.Timer
	stopped bool
}

func (p *patience) begin(limits *Limits, cancel context.CancelCauseFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel, p.idle, p.end = cancel, limits.Idle, time.Now().Add(limits.Total)
	p.timer = time.AfterFunc(min(limits.Idle, limits.Total), p.look)
}

func (p *patience) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	due, late := p.end, errTotal
	if !p.next.IsZero() && p.next.Before(p.end) {
		due, late = p.next, errIdle
	}
	if left := time.Until(due); left > 0 {
		p.timer.Reset(min(left, p.idle))
		return
	}
	p.cancel(late)
}

// piece begins to wait for a piece of a body.
func (p *patience) piece() { p.await(time.Now().Add(p.idle)) }

// whole waits for no more pieces.
func (p *patience) whole() { p.await(time.Time{}) }

func (p *patience) await(next time.Time) {
	p.mu.Lock()
	p.next = next
	p.mu.Unlock()
}

func (p *patience) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.timer.Stop()
}

// attempt makes the request once. With the error notYet there is an answer all the same.
// Of what it charges nothing is left with another error.
func (x *exchange) attempt(ctx context.Context) (*answer, error) {
	r := x.request
	req := (&http.Request{
		Method: r.method, URL: r.url, Host: r.url.Host, Header: r.header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if len(r.body) > 0 {
		req.ContentLength, req.GetBody = int64(len(r.body)), x.body.open
		req.Body, _ = x.body.open() // it has no error
	}
	resp, err := x.tenant.do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is given up
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, errors.New("the server changed the protocol, which nobody asked for")
	}

	// All that is wanted of the header is taken from it before the body: it takes many
	// times the bytes that it came as, and a body may take long.
	a := &answer{status: resp.StatusCode, head: header(resp)}
	again := retryable(resp.StatusCode)
	var wait notYet
	if x.tenant.cached {
		if status, ok := httpcache.StatusOf(resp.Header); ok {
			a.cache = iofuncs.Cache(status.State())
			again = again && !status.FromCache() && status.Detail != httpcache.DetailOnlyIfCached // it would say the same
		}
	}
	if again {
		wait.after = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	length := resp.ContentLength
	if r.method == http.MethodHead || resp.StatusCode == http.StatusNotModified {
		length = 0 // what it says is the length of a body that is not sent
	}
	resp.Header = nil
	a.charged = int64(len(a.head))
	if err := x.charge(a.charged); err != nil {
		return nil, err
	}
	x.piece()
	x.in = collector{meter: x, most: x.client.config.Limits.Body}
	err = x.in.collect(resp.Body, length)
	a.body, x.in.buf = x.in.buf, nil // or it would outlast what it is charged
	a.charged += x.in.charged
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, errors.Join(err, x.charge(-a.charged))
	}
	if again {
		return a, wait
	}
	return a, nil
}

// retryAfter is how long a server asks to wait; -1: it does not.
func retryAfter(text string, now time.Time) time.Duration {
	const most = 1 << 30 // seconds
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(n, most)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return -1
}

// transient reports whether what failed may succeed a moment later: connections that
// break or are not there. What took too long once is not waited for again.
func transient(err error) bool {
	for _, e := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsTemporary && !dns.IsTimeout
}

// describe says what became of a request that has no answer.
func (l Limits) describe(r *request, err error) error {
	var (
		refusal     *egress.Refusal
		redirect    *redirectError
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		timeout     interface{ Timeout() bool }
		around      *url.Error
	)
	if errors.As(err, &around) { // whose text has all of the URI, secrets too
		err = around.Err
	}
	said := &iofuncs.Error{Kind: iofuncs.KindFailed}
	switch {
	case errors.As(err, &refusal):
		said.Kind, said.Detail = iofuncs.KindRefused, refusal.Error()
	case errors.Is(err, errTotal):
		said.Kind, said.Detail = iofuncs.KindTimeout, fmt.Sprintf("it took longer than %s (http-limits total)", l.Total)
	case errors.Is(err, errIdle):
		said.Kind, said.Detail = iofuncs.KindTimeout, fmt.Sprintf("the server sent nothing more of the body for %s (http-limits idle)", l.Idle)
	case errors.Is(err, errLarge):
		said.Detail = fmt.Sprintf("the body of the answer is larger than %d bytes (http-limits body)", l.Body)
	case errors.As(err, &redirect):
		said.Detail = redirect.reason
	case errors.As(err, &dns) && dns.IsNotFound:
		said.Detail = fmt.Sprintf("there is no host %.80s", dns.Name)
	case errors.As(err, &dns) && dns.IsTimeout:
		said.Kind, said.Detail = iofuncs.KindTimeout, fmt.Sprintf("looking up %.80s took too long (http-limits connect)", dns.Name)
	case errors.As(err, &dns): // which says where the resolver is
		said.Detail = fmt.Sprintf("looking up %.80s failed: the resolver gave no answer", dns.Name)
	case errors.As(err, &certificate):
		said.Detail = certificate.Error() + "; authorities of your own are named by ca-bundle"
	case errors.As(err, &timeout) && timeout.Timeout():
		said.Kind, said.Detail = iofuncs.KindTimeout, l.late(err)
	default:
		said.Detail = plain(err)
	}
	said.Hint = hint(err)
	said.Detail = r.method + " " + origin(r.url) + ": " + said.Detail
	return said
}

// plain is the text of an error without what is not for functions: addresses of names,
// and what a server wrote where a URI should be.
func plain(err error) string {
	var op *net.OpError
	switch {
	case errors.As(err, &op):
		doing := map[string]string{"dial": "connecting", "read": "reading the answer", "write": "sending the request"}[op.Op]
		if doing == "" {
			doing = op.Op
		}
		return doing + ": " + op.Err.Error()
	case strings.HasPrefix(err.Error(), "failed to parse Location header"):
		return "it was redirected by a Location that is not a URI"
	}
	return err.Error()
}
