package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"pappus/engine"
	"pappus/server/problem"
)

// smallBody is the size up to which a body's buffer is reserved in one piece
// and kept for the next request.
const smallBody = 64 << 10

// heapBody is the size beyond which a body is read into a region of its own. Up
// to there a mapping would cost more than it saves.
const heapBody = 1 << 20

// bodyStep is by how many bytes such a body's memory is charged ahead at most.
const bodyStep = 8 << 20

// readBody reads the request's body into memory that is charged as it
// arrives, under a limit in bytes and the rate floor. The memory belongs to
// the exchange unless keep says that the caller keeps it.
func (x *exchange) readBody(limit int64, keep bool) ([]byte, error) {
	length := x.r.ContentLength
	if length > limit {
		return nil, tooLarge(limit)
	}
	if length == 0 {
		return nil, nil
	}
	size := int64(smallBody)
	if length > 0 && length < size {
		size = length
	}
	var err error
	if x.memory, err = x.server.memory.Reserve(x.r.Context(), size); err != nil {
		return nil, err
	}
	buf := x.body
	if keep || int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	n, buf, err := x.fill(buf, length, limit)
	x.server.metrics.bodyBytes.Add(float64(n))
	if !keep && cap(buf) <= smallBody {
		x.body = buf
	}
	if err != nil {
		return nil, err
	}
	x.unhurried()
	if keep && x.region.mapped != nil {
		return x.region.leave(buf[:n]), nil
	}
	return buf[:n], nil
}

// fill reads the body, of that length or -1, into buf, which it replaces by
// larger ones as bytes arrive.
func (x *exchange) fill(buf []byte, length, limit int64) (int, []byte, error) {
	var start time.Time
	n := 0
	for {
		if n == len(buf) {
			if int64(n) == length {
				return n, buf, nil
			}
			larger, err := x.enlarge(buf, length, limit)
			if err != nil {
				return n, buf, err
			}
			buf = larger
		}
		// The first read is under the deadline that net/http set when the
		// request began, so a body that is there already costs no timer.
		if n > 0 {
			if start.IsZero() {
				start = time.Now()
			}
			x.readDeadline(start.Add(x.policy.allowed(int64(n))))
		}
		m, err := x.r.Body.Read(buf[n:])
		n += m
		if int64(n) > limit {
			return n, buf, tooLarge(limit)
		}
		if err == io.EOF {
			return n, buf, nil
		}
		if err != nil {
			return n, buf, x.bodyError(err)
		}
	}
}

// enlarge returns a larger buffer with the same content: of twice the size, or
// of what is known or allowed to come if that is less.
func (x *exchange) enlarge(buf []byte, length, limit int64) ([]byte, error) {
	most := limit + 1 // one more byte shows that it is too much
	if length >= 0 {
		most = length
	}
	size := min(2*int64(len(buf)), most)
	if size > heapBody {
		return x.extend(buf, most)
	}
	if !x.memory.Grow(size) {
		return nil, noMemory()
	}
	larger := make([]byte, size)
	copy(larger, buf)
	x.memory.Shrink(size)
	return larger, nil
}

// extend lets a body grow where it is, after it has moved to a region with room
// for the most that may come.
func (x *exchange) extend(buf []byte, most int64) ([]byte, error) {
	n := int64(len(buf))
	size := min(n+min(n, bodyStep), most)
	if !x.memory.Grow(size - n) {
		return nil, noMemory()
	}
	if x.region.mapped == nil {
		if err := x.region.open(most); err != nil {
			e := noMemory()
			e.Err = err
			return nil, e
		}
		copy(x.region.mapped, buf)
	}
	return x.region.mapped[:size], nil
}

// charge charges the request n bytes more besides its body. One that holds nothing
// waits for them.
func (x *exchange) charge(n int64) (err error) {
	if x.memory.Size() == 0 {
		x.memory, err = x.server.memory.Reserve(x.r.Context(), n)
		return err
	}
	if !x.memory.Grow(n) {
		return noMemory()
	}
	return nil
}

func noMemory() *engine.Fault {
	return &engine.Fault{Kind: engine.FaultOverload, Detail: "there is no memory for the body at the moment"}
}

func tooLarge(limit int64) error {
	return problem.New(problem.RequestTooLarge, fmt.Sprintf("the body has more than %s", engine.Bytes(limit)))
}

func (x *exchange) bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c := x.policy
		return problem.New(problem.TooSlow, fmt.Sprintf("after %s the body must arrive at %s a second on average", c.Grace, engine.Bytes(c.Rate)))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.New(problem.BadRequest, "the body ended before the length that was announced, or within a chunk")
	}
	if err := context.Cause(x.r.Context()); err != nil {
		return &engine.Fault{Kind: engine.FaultCanceled, Detail: "the client went away", Err: err}
	}
	e := problem.New(problem.BadRequest, "the body could not be read to its end")
	e.Cause = err
	return e
}

// allowed is the time that a transfer of n bytes may have taken.
func (c *Config) allowed(n int64) time.Duration {
	return c.Grace + time.Duration(n/c.Rate)*time.Second + time.Duration(n%c.Rate)*time.Second/time.Duration(c.Rate)
}

// unhurried takes the deadline off the connection's reads when the body is
// there: net/http goes on reading, to see the client go away, and would take a
// deadline for that. Where the body did not come the deadline stays, since
// net/http reads on for the rest of it.
func (x *exchange) unhurried() { x.readDeadline(time.Time{}) }

// Errors of deadlines are left alone: writers that know none belong to tests.

func (x *exchange) readDeadline(t time.Time) {
	_ = http.NewResponseController(x.w).SetReadDeadline(t)
}

func (x *exchange) writeDeadline(t time.Time) {
	_ = http.NewResponseController(x.w).SetWriteDeadline(t)
}
