package blobio

import (
	"errors"
	"time"
)

// Limits bound what is done with blobs.
type Limits struct {
	AtOnce   int // blobs of one call that are got or put at once
	Attempts int // how often a request to S3 is made at most
	List     int // blobs that one item of BlobList may give

	Size   int64 // bytes of one blob, got or put
	Memory int64 // bytes that each bucket in memory may hold

	Connect  time.Duration // to connect to S3
	TLS      time.Duration // for the handshake
	Response time.Duration // from the end of a request to the answer's header
	Idle     time.Duration // between pieces of a blob
	Total    time.Duration // for a blob, or a list, with all attempts
}

// DefaultLimits are those where nobody says otherwise.
func DefaultLimits() Limits {
	return Limits{
		AtOnce: 16, Attempts: 3, List: 10_000, Size: 64 << 20, Memory: 64 << 20,
		Connect: 10 * time.Second, TLS: 10 * time.Second, Response: 30 * time.Second, Idle: 30 * time.Second, Total: 5 * time.Minute,
	}
}

func (l Limits) check() error {
	good := l.AtOnce > 0 && l.Attempts > 0 && l.List > 0 && l.Size > 0 && l.Memory > 0
	for _, d := range []time.Duration{l.Connect, l.TLS, l.Response, l.Idle, l.Total} {
		good = good && d > 0
	}
	if !good {
		return errors.New("blobio: a limit is not above 0")
	}
	return nil
}
