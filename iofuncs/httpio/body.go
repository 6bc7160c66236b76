package httpio

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
)

var (
	errGone  = errors.New("the call has ended")
	errLarge = errors.New("the body is too large")
)

// fence is content that can be read until the call ends. It lies in memory that
// belongs to others then, and a connection may send it for longer: a server can
// answer, or go away, before it has read everything.
type fence struct {
	mu      sync.RWMutex
	content []byte
	fallen  bool
}

// fall ends all reading, and returns once nobody reads any more.
func (f *fence) fall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content, f.fallen = nil, true
}

func (f *fence) open() (io.ReadCloser, error) { return &fenced{fence: f}, nil }

// fenced reads from the beginning. It gives nothing but copies.
type fenced struct {
	fence *fence
	at    int
}

func (r *fenced) Read(p []byte) (int, error) {
	r.fence.mu.RLock()
	defer r.fence.mu.RUnlock()
	if r.fence.fallen {
		return 0, errGone
	}
	n := copy(p, r.fence.content[r.at:])
	if r.at += n; n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *fenced) Close() error { return nil }

// meter is told of a body that comes.
type meter interface {
	// charge is asked before n bytes more are taken, or fewer if n is negative.
	charge(n int64) error

	// piece is told after each read.
	piece()
}

// collector takes in a body, and has all memory charged before it takes it.
type collector struct {
	meter   meter
	most    int64 // bytes
	buf     []byte
	charged int64
	probe   [1]byte // for looking whether there is more
}

// Sizes of the first piece of a body of which the length is not known, and up to
// which a length is believed before anything has come.
const (
	firstPiece = 16 << 10
	believed   = 1 << 20
)

// collect reads all of a body, of which length is what the server said; -1: nothing.
func (c *collector) collect(body io.Reader, length int64) error {
	if length > c.most {
		return errLarge
	}
	first := min(firstPiece, c.most)
	if length >= 0 {
		first = min(length, believed)
	}
	if err := c.resize(first); err != nil {
		return err
	}
	for {
		room := c.buf[len(c.buf):cap(c.buf)]
		if len(room) == 0 { // perhaps it is the end
			room = c.probe[:]
		}
		n, err := body.Read(room)
		c.meter.piece()
		switch {
		case n == 0:
		case len(c.buf) < cap(c.buf):
			c.buf = c.buf[:len(c.buf)+n]
		default:
			if int64(len(c.buf)) == c.most {
				return errLarge
			}
			size := min(c.most, max(firstPiece, 2*int64(len(c.buf))))
			if length > int64(len(c.buf)) {
				size = min(size, length)
			}
			if err := c.resize(size); err != nil {
				return err
			}
			c.buf = append(c.buf, c.probe[0])
		}
		if errors.Is(err, io.EOF) {
			return c.trim()
		}
		if err != nil {
			return err
		}
	}
}

// resize moves the body into memory of another size.
func (c *collector) resize(size int64) error {
	if size < int64(len(c.buf)) || size > math.MaxInt {
		return fmt.Errorf("%d bytes are not a size for a body of %d", size, len(c.buf))
	}
	// What is copied is gone in a moment: with it a body of half an output's limit would
	// be too large.
	more := size - int64(cap(c.buf))
	if err := c.meter.charge(more); err != nil {
		return err
	}
	c.buf = append(make([]byte, 0, size), c.buf...)
	c.charged += more
	return nil
}

// trim gives back memory that the body did not need, if it is worth the copy.
func (c *collector) trim() error {
	if spare := cap(c.buf) - len(c.buf); spare > len(c.buf)/8 {
		return c.resize(int64(len(c.buf)))
	}
	return nil
}
