package httpio

import (
	"errors"
	"time"
)

// Limits bound requests.
type Limits struct {
	AtOnce    int // requests of one call that go on at once
	Attempts  int // how often a request is made at most
	Redirects int // that are followed; 0: none is, they are answers

	Body   int64 // bytes of a body, after it is decoded
	Header int64 // bytes of an answer's header

	Connect    time.Duration // to look a name up, and connect
	TLS        time.Duration // for the handshake
	Response   time.Duration // from the end of the request to the answer's header
	Idle       time.Duration // between pieces of a body
	RetryAfter time.Duration // the longest that a server may ask to wait for
	Total      time.Duration // for a request with all that it leads to
}

// DefaultLimits are those where nobody says otherwise.
func DefaultLimits() Limits {
	return Limits{
		AtOnce: 16, Attempts: 3, Redirects: 10, Body: 64 << 20, Header: 256 << 10,
		Connect: 10 * time.Second, TLS: 10 * time.Second, Response: 30 * time.Second, Idle: 30 * time.Second,
		RetryAfter: 30 * time.Second, Total: 5 * time.Minute,
	}
}

// errLimits is what is wrong with limits of which one is missing.
var errLimits = errors.New("httpio: a limit is not above 0")

func (l Limits) check() error {
	if l.AtOnce < 1 || l.Attempts < 1 || l.Redirects < 0 || l.Body < 1 || l.Header < 1 {
		return errLimits
	}
	for _, d := range []time.Duration{l.Connect, l.TLS, l.Response, l.Idle, l.RetryAfter, l.Total} {
		if d <= 0 {
			return errLimits
		}
	}
	return nil
}
