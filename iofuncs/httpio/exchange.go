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
	"sync/atomic"
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

// exchange makes a request until there is an answer to give, charges for it what it
// holds, and writes into seen what can be seen of it. The error is an
// *iofuncs.Error, that of the context, or of charge.
func (c *Client) exchange(ctx context.Context, t *tenant, r *request, charge func(int64) error, seen *iofuncs.Exchange) (*answer, error) {
	limits := c.config.Limits
	outer := ctx
	ctx, cancel := context.WithCancelCause(settled(ctx, c.settling))
	defer cancel(nil)
	patience := newPatience(limits, cancel)
	defer patience.stop()
	if _, said := r.header["User-Agent"]; !said {
		r.header["User-Agent"] = []string{"pappus"}
	}
	body := &fence{content: r.body}
	defer body.fall()

	most := uint(1)
	if r.repeatable() {
		most = uint(limits.Attempts)
	}
	var last *answer
	attempts := 0
	defer func() {
		seen.Attempts = attempts
		if last != nil {
			seen.Status, seen.Received, seen.Cache = last.status, int64(len(last.body)), last.cache
		}
	}()
	var refused error // by charge
	try := func() (none struct{}, err error) {
		if last != nil {
			if refused = charge(-last.charged); refused != nil {
				return none, backoff.Permanent(refused)
			}
			last = nil
		}
		attempts++
		if last, err = c.attempt(ctx, patience, t, r, body, func(n int64) error {
			err := charge(n)
			if err != nil {
				refused = err
			}
			return err
		}); err == nil {
			return none, nil
		}
		patience.whole()
		if wait := (notYet{}); errors.As(err, &wait) {
			switch {
			case wait.after < 0:
				return none, err
			case wait.after <= limits.RetryAfter:
				return none, backoff.RetryAfter(wait.after, err)
			}
			return none, nil // it is the answer
		}
		if refused != nil || !transient(err) {
			err = backoff.Permanent(err)
		}
		return none, err
	}
	_, err := try()
	if first := err; first != nil { // otherwise there is nothing to wait for
		wait := &backoff.ExponentialBackOff{InitialInterval: firstWait, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: mostWait}
		_, err = backoff.Retry(ctx, func() (none struct{}, err error) {
			if err, first = first, nil; err != nil {
				return none, err
			}
			return try()
		}, backoff.WithBackOff(wait), backoff.WithMaxTries(most), backoff.WithMaxElapsedTime(limits.Total))
	}
	switch failed := (*backoff.RetryError)(nil); {
	case refused != nil:
		return nil, refused
	case outer.Err() != nil:
		return nil, outer.Err()
	case last != nil: // it may be one that asked to try again
		return last, nil
	case errors.Is(context.Cause(ctx), errTotal):
		err = errTotal
	case errors.As(err, &failed):
		err = failed.LastErr
	}
	if refusal := (*egress.Refusal)(nil); errors.As(err, &refusal) {
		seen.Refused = refusal.Kind()
	}
	return nil, limits.describe(r, err)
}

// patience ends a request for which it waits too long: for all of it, or for the next
// piece of a body. It is one timer, as most requests need no more than one.
type patience struct {
	cancel  context.CancelCauseFunc
	idle    time.Duration
	end     time.Time
	timer   *time.Timer
	reading atomic.Bool // a body
}

func newPatience(limits Limits, cancel context.CancelCauseFunc) *patience {
	p := &patience{cancel: cancel, idle: limits.Idle, end: time.Now().Add(limits.Total)}
	p.timer = time.AfterFunc(limits.Total, p.over)
	return p
}

func (p *patience) over() {
	if p.reading.Load() && time.Now().Before(p.end) {
		p.cancel(errIdle)
		return
	}
	p.cancel(errTotal)
}

// piece begins to wait for a piece of a body.
func (p *patience) piece() {
	p.reading.Store(true)
	p.timer.Reset(min(p.idle, time.Until(p.end)))
}

// whole waits for no more pieces.
func (p *patience) whole() {
	p.reading.Store(false)
	p.timer.Reset(time.Until(p.end))
}

func (p *patience) stop() { p.timer.Stop() }

// attempt makes a request once, with the patience that ends ctx. With the error notYet there is an answer all the same. Of what it charges nothing is left with
// another error.
func (c *Client) attempt(ctx context.Context, patience *patience, t *tenant, r *request, body *fence, charge func(int64) error) (*answer, error) {
	limits := c.config.Limits
	req := (&http.Request{
		Method: r.method, URL: r.url, Host: r.url.Host, Header: r.header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if len(r.body) > 0 {
		req.ContentLength, req.GetBody = int64(len(r.body)), body.open
		req.Body, _ = body.open() // it has no error
	}
	resp, err := t.do(req)
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
	if status, ok := httpcache.StatusOf(resp.Header); ok && t.cached {
		a.cache = iofuncs.Cache(status.State())
		again = again && !status.FromCache() && status.Detail != httpcache.DetailOnlyIfCached // it would say the same
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
	if err := charge(a.charged); err != nil {
		return nil, err
	}
	patience.piece()
	in := collector{charge: charge, most: limits.Body}
	err = in.collect(resp.Body, length, patience.piece)
	a.body = in.buf
	a.charged += in.charged
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, errors.Join(err, charge(-a.charged))
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
