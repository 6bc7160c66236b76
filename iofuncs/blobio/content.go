package blobio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"
)

var (
	errGone  = errors.New("the call has ended")
	errShort = errors.New("the content ended before the length that was said of it")
	errLong  = errors.New("the content goes on after the length that was said of it")
)

// fence is content that can be read until the call ends. It lies in memory that
// belongs to others then, and a connection may send it for longer.
type fence struct {
	mu      sync.RWMutex
	content []byte
	fallen  bool
	size    int64
}

func newFence(content []byte) *fence { return &fence{content: content, size: int64(len(content))} }

// fall ends all reading, and returns once nobody reads any more.
func (f *fence) fall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content, f.fallen = nil, true
}

// writeTo writes all of it while its context lasts, and tells watched of each piece.
func (f *fence) writeTo(ctx context.Context, w io.Writer, watched *watch) error {
	for at := int64(0); at < f.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := w.Write(f.content[at:min(at+piece, f.size)])
		if err != nil {
			return err
		}
		at += int64(n)
		watched.moved()
	}
	return nil
}

// fenced reads from the beginning. It gives nothing but copies. It is used by one
// goroutine at a time.
type fenced struct {
	fence *fence
	at    int64
	watch *watch
}

var _ io.ReadSeeker = (*fenced)(nil)

func (r *fenced) Read(p []byte) (int, error) {
	r.fence.mu.RLock()
	defer r.fence.mu.RUnlock()
	if r.fence.fallen {
		return 0, errGone
	}
	if r.at >= r.fence.size {
		return 0, io.EOF
	}
	n := copy(p, r.fence.content[r.at:])
	r.at += int64(n)
	if r.at < r.fence.size {
		r.watch.moved()
	} else {
		r.watch.still() // the other side's answer has a limit of its own
	}
	return n, nil
}

func (r *fenced) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.fence.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	r.at = offset
	return offset, nil
}

// watch ends an operation in which nothing moves for too long.
type watch struct {
	timer       *time.Timer
	idle, total time.Duration
}

// newWatch makes one that waits; end is called if nothing moves.
func newWatch(l Limits, end func()) *watch {
	return &watch{timer: time.AfterFunc(l.Total, end), idle: l.Idle, total: l.Total}
}

// moved says that content moves, and that more of it is to come.
func (w *watch) moved() { w.timer.Reset(w.idle) }

// still says that what comes next has a limit of its own.
func (w *watch) still() { w.timer.Reset(w.total) }

func (w *watch) stop() { w.timer.Stop() }

// piece is how many bytes are read and written before it is looked whether the call
// goes on.
const piece = 1 << 20

// collect reads content of a known length into memory of this size, charged before it
// is taken; what is charged is given back if it fails. Of a length that is not to be
// believed only so much is taken until as much has arrived.
func collect(ctx context.Context, r io.Reader, length, believed int64, charge func(int64) error, w *watch) ([]byte, error) {
	if length < 0 || length > math.MaxInt {
		return nil, fmt.Errorf("%d bytes are not a length", length)
	}
	first := min(length, believed)
	if err := charge(first); err != nil {
		return nil, err
	}
	charged, buf := first, make([]byte, first)
	fail := func(err error) ([]byte, error) { return nil, errors.Join(err, charge(-charged)) }
	for at := int64(0); at < length; {
		if at == int64(len(buf)) { // the rest is believed now
			if err := charge(length); err != nil {
				return fail(err)
			}
			charged += length
			buf = append(make([]byte, 0, length), buf...)[:length]
			if err := charge(-first); err != nil {
				return fail(err)
			}
			charged -= first
		}
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		n, err := r.Read(buf[at:min(at+piece, int64(len(buf)))])
		at += int64(n)
		w.moved()
		if errors.Is(err, io.EOF) {
			err = nil
			if at < length {
				err = errShort
			}
		}
		if err != nil {
			return fail(err)
		}
	}
	var probe [1]byte
	if n, err := io.ReadFull(r, probe[:]); n > 0 {
		return fail(errLong)
	} else if !errors.Is(err, io.EOF) {
		return fail(err)
	}
	return buf, nil
}
