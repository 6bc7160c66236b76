package blobio

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"pappus/iofuncs"
)

// Access is what a tenant may do with a bucket.
type Access int

// The kinds of access, each of which has those before.
const (
	None Access = iota
	ReadOnly
	ReadWrite
)

// Config is what a client is made of. Limits must be there.
type Config struct {
	Limits  Limits
	Buckets map[string]Place // by the names that functions know them by

	// Access says what a tenant may do with a bucket; nil: nobody may do anything.
	Access func(tenant, bucket string) Access

	Roots *x509.CertPool // that the certificates of servers lead to; nil: the system's

	// LookupEnv finds the variables with credentials that places name; nil: there are
	// none.
	LookupEnv func(string) (string, bool)

	// Ended is told of each operation; nil: nobody is. It may be called from many
	// goroutines.
	Ended func(Operation)
}

// Outcome is what became of an operation.
type Outcome string

// The outcomes.
const (
	Done      Outcome = "ok"
	Missing   Outcome = "missing"   // there was no such blob
	Condition Outcome = "condition" // a condition did not hold
	Failed    Outcome = "failed"
	TimedOut  Outcome = "timeout"
	GivenUp   Outcome = "canceled" // the call ended, or something of its run did
)

// Outcomes are all outcomes.
func Outcomes() []Outcome { return []Outcome{Done, Missing, Condition, Failed, TimedOut, GivenUp} }

// Verb is what an operation does: get, put or list.
type Verb string

// The verbs.
const (
	Get  Verb = "get"
	Put  Verb = "put"
	List Verb = "list"
)

// Verbs are all verbs.
func Verbs() []Verb { return []Verb{Get, Put, List} }

// Operation is one thing that was done with a bucket.
type Operation struct {
	Verb    Verb
	Bucket  string
	Kind    string // of the bucket: file, mem or s3
	Key     string // or the prefix of a list
	Outcome Outcome
	Bytes   int64 // of the content that was got or put
	Began   time.Time
	Took    time.Duration
}

// exchange is what records have of an operation. The words for what buckets say are
// HTTP's.
func (op Operation) exchange() iofuncs.Exchange {
	e := iofuncs.Exchange{Method: string(op.Verb), Target: op.Bucket + "/" + op.Key, Began: op.Began, Ended: op.Began.Add(op.Took)}
	switch op.Outcome {
	case Done:
		e.Status = http.StatusOK
	case Missing:
		e.Status = http.StatusNotFound
	case Condition:
		e.Status = http.StatusPreconditionFailed
	case TimedOut:
		e.Failed = iofuncs.KindTimeout
	case GivenUp:
		e.Failed = iofuncs.KindCanceled
	case Failed:
		e.Failed = iofuncs.KindFailed
	}
	if op.Verb == Put {
		e.Sent = op.Bytes
	} else {
		e.Received = op.Bytes
	}
	return e
}

// bucket is a bucket that is open.
type bucket struct {
	name  string
	place Place
	store store
}

// whole is a key with what the bucket has before it, and so as it is kept.
func (b *bucket) whole(key string) string { return b.place.prefix + key }

// fits finds out whether a key is too long with what the bucket has before it.
func (b *bucket) fits(key string) error {
	if most := maxKey - len(b.place.prefix); len(key) > most {
		return fmt.Errorf("%.80q has %d bytes; the most in the bucket %s is %d", key, len(key), b.name, most)
	}
	return nil
}

// Client does what I/O functions ask of buckets. It may be used by many goroutines.
type Client struct {
	config  Config
	buckets map[string]*bucket
}

// New opens the buckets. It makes no connections. Errors name the bucket.
func New(ctx context.Context, config Config) (*Client, error) {
	if err := config.Limits.check(); err != nil {
		return nil, err
	}
	if config.LookupEnv == nil {
		config.LookupEnv = func(string) (string, bool) { return "", false }
	}
	c := &Client{config: config, buckets: map[string]*bucket{}}
	turns := newTurns()
	for _, name := range slices.Sorted(maps.Keys(config.Buckets)) {
		place := config.Buckets[name]
		var (
			s   store
			err error
		)
		switch {
		case !LegalBucket(name):
			err = errors.New("that is no name for a bucket")
		case place.kind == kindS3:
			s, err = openRemote(ctx, place, config.Limits, config.Roots, config.LookupEnv)
		default:
			s, err = openLocal(place, config.Limits, turns)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open the bucket %q: %w", name, err), c.Close())
		}
		c.buckets[name] = &bucket{name: name, place: place, store: s}
	}
	return c, nil
}

// Close closes the buckets. There must be no calls any more.
func (c *Client) Close() error {
	var errs []error
	for _, b := range c.buckets {
		errs = append(errs, b.store.close())
	}
	return errors.Join(errs...)
}

// Functions are the I/O functions that use this client.
func (c *Client) Functions() []iofuncs.Function {
	return []iofuncs.Function{getFunction{c}, putFunction{c}, listFunction{c}}
}

// find finds a bucket for a tenant. One that a tenant may not use is like one that is
// not there.
func (c *Client) find(tenant, name string, needed Access) (*bucket, error) {
	b := c.buckets[name]
	access := None
	if b != nil && c.config.Access != nil {
		access = c.config.Access(tenant, name)
	}
	switch {
	case access == None:
		return nil, &iofuncs.Error{
			Kind: iofuncs.KindFailed, Detail: fmt.Sprintf("there is no bucket %s for this tenant", name),
			Hint: "Have the operator name the bucket with --buckets, and grant it to the tenant with --bucket-grants.",
		}
	case access < needed:
		return nil, &iofuncs.Error{
			Kind: iofuncs.KindFailed, Detail: fmt.Sprintf("the bucket %s is for reading only", name),
			Hint: "Have the operator grant writing with --bucket-grants TENANT:BUCKET:rw.",
		}
	}
	return b, nil
}

// Why an operation was given up.
var (
	errTotal = errors.New("the operation took too long")
	errIdle  = errors.New("nothing moved for too long")
)

// operate does one thing with a bucket, within its time, and tells of it. do gives
// the bytes of content.
func (c *Client) operate(ctx context.Context, r iofuncs.Request, b *bucket, verb Verb, key string, do func(context.Context, *watch) (int64, error)) error {
	limits := c.config.Limits
	began := time.Now()
	inner, stop := context.WithTimeoutCause(ctx, limits.Total, errTotal)
	defer stop()
	inner, cancel := context.WithCancelCause(inner)
	defer cancel(nil)
	w := newWatch(limits, func() { cancel(errIdle) })
	defer w.stop()
	bytes, err := do(withWatch(inner, w), w)

	op := Operation{Verb: verb, Bucket: b.name, Kind: b.place.kind, Key: key, Bytes: bytes, Began: began}
	op.Outcome, err = c.judge(ctx, inner, b, err)
	op.Took = time.Since(began)
	c.ended(r, op)
	return err
}

// ended is where each operation of a call ends.
func (c *Client) ended(r iofuncs.Request, op Operation) {
	r.Note(op.exchange())
	if c.config.Ended != nil {
		c.config.Ended(op)
	}
}

// chargeError is that what holds memory refused it. It is not for this package to
// judge.
type chargeError struct{ err error }

func (e *chargeError) Error() string { return e.err.Error() }
func (e *chargeError) Unwrap() error { return e.err }

// charger is Request.Charge whose errors are known.
func charger(r iofuncs.Request) func(int64) error {
	return func(n int64) error {
		if err := r.Charge(n); err != nil {
			return &chargeError{err}
		}
		return nil
	}
}

// judge says what became of an operation. The error is errMissing, errCondition, an
// *iofuncs.Error, the outer context's, or that of a charge.
func (c *Client) judge(outer, inner context.Context, b *bucket, err error) (Outcome, error) {
	var (
		refused *chargeError
		timeout interface{ Timeout() bool }
		limits  = c.config.Limits
		said    = &iofuncs.Error{Kind: iofuncs.KindFailed}
		outcome = Failed
	)
	switch cause := context.Cause(inner); {
	case err == nil:
		return Done, nil
	case errors.As(err, &refused):
		return GivenUp, refused.err
	case outer.Err() != nil:
		return GivenUp, outer.Err()
	case errors.Is(err, errMissing):
		return Missing, errMissing
	case errors.Is(err, errCondition):
		return Condition, errCondition
	case errors.Is(err, errSpan):
		said.Detail, said.Hint = errSpan.Error(), "Ask for bytes that the blob has."
	case errors.Is(cause, errTotal):
		outcome, said.Detail = TimedOut, fmt.Sprintf("it took longer than %s (blob-limits total)", limits.Total)
		said.Hint = "Try again later, or have the operator raise --blob-limits total."
	case errors.Is(cause, errIdle):
		outcome, said.Detail = TimedOut, fmt.Sprintf("nothing moved for %s (blob-limits idle)", limits.Idle)
		said.Hint = "Try again later, or have the operator raise --blob-limits idle."
	case errors.As(err, &timeout) && timeout.Timeout():
		outcome, said.Detail = TimedOut, "the bucket's server took too long (blob-limits connect, tls and response)"
	default:
		said.Detail, said.Hint = reason(err), hint(err)
	}
	if outcome == TimedOut {
		said.Kind = iofuncs.KindTimeout
	}
	said.Detail = "the bucket " + b.name + ": " + said.Detail
	return outcome, said
}
