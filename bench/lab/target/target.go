package target

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"pappus/bench/lab/load"
	"pappus/bench/wire"
)

// A Target is a server and what is asked of it.
type Target struct {
	Addr string             // host:port
	Path func(n int) string // of call n
	Kind string             // media type of the body; empty: bytes
	Body []byte
	// BodyOf is the body of call n, where it depends on the path; nil: Body.
	BodyOf func(n int) []byte
	Want   []byte // the answer; nil: any
	// Check tells whether an answer is right, besides Want; nil: it is not asked.
	Check func(answer []byte) error
	// Patience is how long a call may take, after which the server counts as hung; 0:
	// the constant.
	Patience time.Duration
}

// Patience with a call, if a target says nothing else.
const Patience = 30 * time.Second

// Dial makes a connection whose calls are those of the target. It is a
// load.Dialer.
func (t *Target) Dial(ctx context.Context) (load.Caller, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	return &caller{target: t, conn: conn, client: wire.NewClient(conn), requests: map[string][]byte{}}, nil
}

// caller makes calls over one connection.
type caller struct {
	target   *Target
	conn     net.Conn // the client's
	client   *wire.Client
	requests map[string][]byte // by path
}

var _ load.Caller = (*caller)(nil)

func (c *caller) Call(n int) error {
	path := c.target.Path(n)
	request := c.requests[path]
	if request == nil {
		kind, body := cmp.Or(c.target.Kind, "application/octet-stream"), c.target.Body
		if c.target.BodyOf != nil {
			body = c.target.BodyOf(n)
		}
		request = wire.RequestOf(c.target.Addr, path, kind, body)
		c.requests[path] = request
	}
	if err := c.conn.SetDeadline(time.Now().Add(cmp.Or(c.target.Patience, Patience))); err != nil {
		return err
	}
	answer, err := c.client.Call(request)
	if status := (*wire.StatusError)(nil); errors.As(err, &status) && (status.Status == http.StatusServiceUnavailable || status.Status == http.StatusTooManyRequests) {
		return fmt.Errorf("%w: %w", load.ErrRefused, err)
	}
	if err != nil {
		return err
	}
	if c.target.Want != nil && !bytes.Equal(answer, c.target.Want) {
		return fmt.Errorf("%s: %w: %.100q, want %.100q", path, wire.ErrWrong, answer, c.target.Want)
	}
	if c.target.Check != nil {
		if err := c.target.Check(answer); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func (c *caller) Close() error { return c.client.Close() }

// Size is what matmul-size is asked: for a matrix of that many rows.
func Size(rows int) []byte { return strconv.AppendInt(nil, int64(rows), 10) }

// Checksum is what it answers: the sum of all values of M·Mᵀ, where M counts 1,
// 2, 3 … row by row. That is the sum of the squares of M's column sums, modulo
// 2^64.
func Checksum(rows int) []byte {
	n, sum := uint64(rows), uint64(0)
	for k := uint64(1); k <= n; k++ {
		column := n*(n*(n-1)/2) + n*k
		sum += column * column
	}
	return append(strconv.AppendUint(nil, sum, 10), '\n')
}

// A Mix says which function each call goes to: the part Hot of the calls to the
// function 0, and the others to the functions 1 … Cold, in turn, so that each is
// called again only after all others were. Hot calls and others alternate as
// evenly as they can, the same in each run.
type Mix struct {
	Hot  float64 // from 0 to 1
	Cold int     // how many functions there are for the others
	Made int     // how many others were made before call 0, of this mix or another
}

// Function of call n.
func (m Mix) Function(n int) int {
	before, after := m.Others(n), m.Others(n+1)
	if before == after || m.Cold == 0 {
		return 0
	}
	return 1 + (m.Made+before)%m.Cold
}

// Others is how many of the first n calls are not hot. In thousandths, it is
// exact.
func (m Mix) Others(n int) int { return n * int(1000-1000*m.Hot+0.5) / 1000 }
