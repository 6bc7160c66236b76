package spans

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Config says where spans go.
type Config struct {
	URL     string         // that takes spans by OTLP over HTTP: what ParseURL accepts
	Every   int            // one of so many invocations is traced; 0 counts as 1
	Version string         // of the program
	Roots   *x509.CertPool // that the receiver's certificate leads to; nil: the system's
	Log     *slog.Logger
}

// defaultPath is where receivers of OTLP take spans unless they are told otherwise.
const defaultPath = "/v1/traces"

// ParseURL reads where spans are to go: a URL with http or https; without a path,
// that is the one of the standard.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL, like http://127.0.0.1:4318")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Opaque != "":
		return nil, errors.New("it does not begin with http:// or https:// and a host")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("it has credentials or a fragment, which are not sent")
	case u.Path == "" || u.Path == "/":
		u.Path = defaultPath
	}
	return u, nil
}

// Bounds of what waits, of a batch and of trying.
const (
	maxWaiting = 10_000 // spans
	maxBatch   = 500    // spans
	batchWait  = time.Second
	tries      = 4
	firstWait  = time.Second // before the second; then twice that, and so on
	mostWait   = 30 * time.Second
	sendWait   = 10 * time.Second // for one request
	maxAnswer  = 64 << 10         // bytes
)

// Exporter sends spans to a receiver, from a goroutine of its own. Nobody waits for
// it: what it has no room for is dropped and counted. A nil one traces nothing. It
// may be used by many goroutines.
type Exporter struct {
	config   Config
	url      string
	receiver string // what of the URL is no secret: path and query may have keys
	client   *http.Client
	first    time.Duration // before a second try

	ctx    context.Context // ends when nothing is to be sent any more
	cancel context.CancelFunc
	done   chan struct{}
	wake   chan struct{} // holds a value when there is a batch to send
	closed chan struct{} // once no more comes

	mu      sync.Mutex
	ended   bool
	waiting []span
	sending int
	counts  Counts
}

// New makes an exporter, which must be closed.
func New(config Config) (*Exporter, error) {
	u, err := ParseURL(config.URL)
	if err != nil {
		return nil, fmt.Errorf("where spans go: %w", err) // the URL may have secrets
	}
	e := &Exporter{
		config: config, url: u.String(), receiver: u.Scheme + "://" + u.Host, first: firstWait,
		done: make(chan struct{}), wake: make(chan struct{}, 1), closed: make(chan struct{}),
		client: &http.Client{
			Timeout: sendWait,
			// No Proxy: what the environment says of one is meant for others.
			Transport: &http.Transport{
				DialContext:       (&net.Dialer{Timeout: sendWait}).DialContext,
				TLSClientConfig:   &tls.Config{RootCAs: config.Roots, MinVersion: tls.VersionTLS12},
				MaxIdleConns:      1,
				IdleConnTimeout:   time.Minute,
				ForceAttemptHTTP2: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	go e.work()
	return e, nil
}

// push hands over spans of one invocation, or drops them all.
func (e *Exporter) push(spans []span) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || len(e.waiting)+e.sending+len(spans) > maxWaiting {
		e.counts.Full += uint64(len(spans))
		return
	}
	e.waiting = append(e.waiting, spans...)
	e.wakeUp()
}

// wakeUp has the goroutine look for something to send. It never waits.
func (e *Exporter) wakeUp() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Close sends what waits, as long as ctx goes on, and ends the exporter. What comes
// later is dropped.
func (e *Exporter) Close(ctx context.Context) {
	if e == nil {
		return
	}
	e.mu.Lock()
	ended := e.ended
	e.ended = true
	e.mu.Unlock()
	if !ended {
		close(e.closed)
	}
	select {
	case <-e.done:
	case <-ctx.Done():
	}
	e.cancel()
	<-e.done
	e.client.CloseIdleConnections()
}

// work sends batches until the exporter is closed and nothing waits.
func (e *Exporter) work() {
	defer close(e.done)
	working := true // the receiver did at last
	for {
		if e.count() == 0 {
			select {
			case <-e.wake:
			case <-e.closed:
				if e.count() == 0 {
					return
				}
			}
		}
		e.gather()
		batch := e.take()
		if len(batch) == 0 {
			continue
		}
		refused, err := e.deliver(batch)
		e.sent(len(batch), refused, err)
		if works := err == nil; works != working {
			working = works
			e.tell(err)
		}
	}
}

// gather waits a little for more spans, unless there are enough or no more come.
func (e *Exporter) gather() {
	timer := time.NewTimer(batchWait)
	defer timer.Stop()
	for e.count() < maxBatch {
		select {
		case <-e.wake:
		case <-timer.C:
			return
		case <-e.closed:
			return
		}
	}
}

func (e *Exporter) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.waiting)
}

// take takes a batch out of what waits.
func (e *Exporter) take() []span {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(len(e.waiting), maxBatch)
	batch := append([]span(nil), e.waiting[:n]...)
	rest := copy(e.waiting, e.waiting[n:])
	clear(e.waiting[rest:])
	e.waiting = e.waiting[:rest]
	e.sending = n
	return batch
}

// sent counts a batch of n spans, of which the receiver refused some.
func (e *Exporter) sent(n, refused int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sending = 0
	if err != nil {
		e.counts.Failed += uint64(n)
		return
	}
	e.counts.Exported += uint64(n - refused)
	e.counts.Rejected += uint64(refused)
}

func (e *Exporter) tell(err error) {
	if e.config.Log == nil {
		return
	}
	if err == nil {
		e.config.Log.Info("spans are taken again", slog.String("traces", e.receiver))
		return
	}
	e.config.Log.Warn("spans can't be sent, and are dropped until they can", slog.String("traces", e.receiver), slog.Any("error", err))
}

// deliver sends a batch, more than once if that may help. It says how many spans the
// receiver refused of those that it took.
func (e *Exporter) deliver(batch []span) (refused int, err error) {
	body, err := e.config.encode(batch)
	if err != nil {
		return 0, fmt.Errorf("encode spans: %w", err)
	}
	wait := e.first
	for try := 1; ; try++ {
		refused, err = e.send(body, len(batch))
		var later *laterError
		if err == nil || try == tries || !errors.As(err, &later) || e.ctx.Err() != nil {
			return refused, err
		}
		timer := time.NewTimer(min(max(wait, later.after), mostWait))
		select {
		case <-timer.C:
		case <-e.closed: // once more at once, and that is it
			try = tries - 1
		case <-e.ctx.Done():
		}
		timer.Stop()
		wait *= 2
	}
}

// laterError is that a batch may be taken later.
type laterError struct {
	after time.Duration // 0: the receiver does not say when
	err   error
}

func (l *laterError) Error() string { return l.err.Error() }
func (l *laterError) Unwrap() error { return l.err }

// send makes one request.
func (e *Exporter) send(body []byte, spans int) (refused int, err error) {
	req, err := http.NewRequestWithContext(e.ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("make a request of spans: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "pappus")
	resp, err := e.client.Do(req)
	if err != nil {
		if told := (*url.Error)(nil); errors.As(err, &told) {
			err = told.Err // without the URL
		}
		return 0, &laterError{err: err}
	}
	defer func() { _ = resp.Body.Close() }() // it was read as far as it matters
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		if err != nil {
			return 0, nil //nolint:nilerr // it has them, whatever else it wanted to say
		}
		return rejected(answer, spans), nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16) // a date counts as nothing
		return 0, &laterError{after: time.Duration(seconds) * time.Second, err: fmt.Errorf("the receiver answers %s", resp.Status)}
	}
	return 0, fmt.Errorf("the receiver answers %s", resp.Status)
}

// Counts say what became of spans, and how many wait. The former only grow.
type Counts struct {
	Exported uint64 // that the receiver took
	Full     uint64 // dropped since too many waited
	Failed   uint64 // dropped since the receiver could not be reached, or took none of a batch
	Rejected uint64 // that the receiver did not take, although it took others of the same batch
	Waiting  int
}

// Counts are those of this moment.
func (e *Exporter) Counts() Counts {
	if e == nil {
		return Counts{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	counts := e.counts
	counts.Waiting = len(e.waiting) + e.sending
	return counts
}
