package blobio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"

	"pappus/iofuncs/conns"
)

// What a server of S3 may say that is not a blob.
const (
	mostHeader = 256 << 10 // bytes of a header
	mostSaid   = 64 << 10  // bytes of what is neither a blob nor a list
	mostPage   = 8 << 20   // bytes of a page of a list: a thousand keys with everything escaped take less
	pageKeys   = 1000      // keys of a page, as S3 has it

	// objectSize is more than libraries need for an object of a page besides its texts.
	objectSize = 1 << 10
)

// finalError is one for which asking again is of no use. The AWS library looks for the
// method.
type finalError struct{ error }

func (finalError) RetryableError() bool { return false }
func (e finalError) Unwrap() error      { return e.error }

// hold is memory that is charged before it is taken.
type hold struct {
	charge func(int64) error
	bytes  int64
}

func (h *hold) take(n int64) error {
	if err := h.charge(n); err != nil {
		return err
	}
	h.bytes += n
	return nil
}

// give gives some of it back.
func (h *hold) give(n int64) error { return h.take(-n) }

// giveAll gives back what is left.
func (h *hold) giveAll() error { return h.give(h.bytes) }

// waiting is what a context has for those who read answers: the watch of the operation,
// and where the pages of a list are charged.
type waiting struct {
	watch *watch
	page  *hold // nil: it is no list
}

type waitingKey struct{}

func withWatch(ctx context.Context, w *watch) context.Context {
	return context.WithValue(ctx, waitingKey{}, waiting{watch: w})
}

// withPage makes the context of requests for pages of a list.
func withPage(ctx context.Context, page *hold) context.Context {
	w, _ := ctx.Value(waitingKey{}).(waiting)
	w.page = page
	return context.WithValue(ctx, waitingKey{}, w)
}

// bounded makes requests by connections that have nothing left of one before. It reads what a server of S3 says, unless it is a blob, before libraries do,
// which take as much of it as comes.
type bounded struct{ next http.RoundTripper }

var _ http.RoundTripper = bounded{}

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), conns.Settling())))
	if err != nil {
		return nil, err
	}
	w, ok := r.Context().Value(waitingKey{}).(waiting)
	good := resp.StatusCode >= http.StatusOK && resp.StatusCode < http.StatusMultipleChoices
	if !ok || good && w.page == nil && r.Method == http.MethodGet {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is given up
	w.watch.moved()
	defer w.watch.still()
	in := watched{resp.Body, w.watch}
	var content []byte
	if good && w.page != nil {
		if content, err = readPage(in, w.page); err != nil {
			return nil, err
		}
	} else if content, err = io.ReadAll(io.LimitReader(in, mostSaid)); err != nil && r.Context().Err() != nil {
		return nil, r.Context().Err() // otherwise its status says enough
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	return resp, nil
}

// watched is a body that moves.
type watched struct {
	body  io.Reader
	watch *watch
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	w.watch.moved()
	return n, err
}

// readPage reads a page of a list, and takes memory for it and for what becomes of it.
func readPage(in io.Reader, page *hold) ([]byte, error) {
	const first = 16 << 10
	var buf []byte
	for {
		if len(buf) == cap(buf) {
			if len(buf) > mostPage {
				return nil, finalError{plain("the bucket's server gives more than %d bytes for a page of a list", mostPage)}
			}
			before, size := int64(cap(buf)), min(max(first, 2*cap(buf)), mostPage+1)
			if err := page.take(int64(size)); err != nil {
				return nil, finalError{err}
			}
			buf = append(make([]byte, 0, size), buf...)
			if err := page.give(before); err != nil {
				return nil, finalError{err}
			}
		}
		n, err := in.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	objects := int64(countObjects(buf))
	if objects > 2*pageKeys { // keys, and what groups them
		return nil, finalError{plain("the bucket's server gives more than %d keys in a page of a list", pageKeys)}
	}
	if err := page.take(int64(len(buf)) + objects*objectSize); err != nil {
		return nil, finalError{err}
	}
	return buf, nil
}

// countObjects is how many objects there can be in a page, however it is written.
func countObjects(page []byte) (n int) {
	for {
		_, rest, found := bytes.Cut(page, []byte{'<'})
		if !found {
			return n
		}
		const longest = 256 // of names with what is before a colon; longer ones count
		name := rest[:min(len(rest), longest)]
		if end := bytes.IndexAny(name, " \t\r\n/>"); end >= 0 {
			name = name[:end]
			name = name[bytes.LastIndexByte(name, ':')+1:]
			if strings.EqualFold(string(name), "Contents") || strings.EqualFold(string(name), "CommonPrefixes") {
				n++
			}
		} else {
			n++
		}
		page = rest
	}
}
