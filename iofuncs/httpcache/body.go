package httpcache

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// errBodyClosed is what reading a body after its Close gives.
var errBodyClosed = errors.New("read of a closed body")

// body is the answer of a flight as its leader reads it. As of any body, nobody
// reads it from two goroutines at once.
type body struct {
	f      *flight
	stop   func() bool // takes the watch off the leader's context
	closed bool        // guarded by f.mu
	gone   error       // guarded by f.mu: the leader's context has ended
}

// watch ties the body to the context of who asked for it.
func (b *body) watch(ctx context.Context) {
	b.stop = context.AfterFunc(ctx, func() {
		b.f.mu.Lock()
		b.gone = ctx.Err()
		b.f.mu.Unlock()
		b.f.leaveLeader()
	})
}

// Read gives what has arrived, and waits if that is nothing.
func (b *body) Read(p []byte) (int, error) {
	f := b.f
	f.mu.Lock()
	for f.off == len(f.buf) && f.err == nil && !f.handed && b.gone == nil && !b.closed && len(p) > 0 {
		f.cond.Wait()
	}
	if b.closed {
		f.mu.Unlock()
		return 0, errBodyClosed
	}
	if b.gone != nil {
		f.mu.Unlock()
		return 0, b.gone
	}
	if n := copy(p, f.buf[f.off:]); n > 0 || len(p) == 0 {
		f.off += n
		var err error
		if f.off == len(f.buf) {
			err = f.err
		}
		f.cond.Broadcast()
		f.mu.Unlock()
		return n, err
	}
	if !f.handed {
		defer f.mu.Unlock()
		return 0, f.err
	}
	f.buf, f.off = nil, 0
	f.mu.Unlock()
	return f.src.Read(p)
}

// Close lets the flight go. If nobody else wants the rest, it ends.
func (b *body) Close() error {
	f := b.f
	f.mu.Lock()
	again, handed := b.closed, f.handed
	b.closed = true
	f.mu.Unlock()
	if again {
		return nil
	}
	if b.stop != nil {
		b.stop()
	}
	var err error
	if handed {
		err = f.src.Close()
	}
	f.leaveLeader()
	return err
}

// keptBody is the body of an entry.
type keptBody struct{ bytes.Reader }

var _ io.WriterTo = (*keptBody)(nil)

func newKeptBody(content []byte) *keptBody {
	b := new(keptBody)
	b.Reset(content)
	return b
}

// Close does nothing.
func (*keptBody) Close() error { return nil }
