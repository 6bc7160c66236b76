package contract

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
)

// Serve has h answer a request into w, and checks the two. It returns after h;
// the request's body counts as seen to its end if h read it so far.
func (c *Contract) Serve(h http.Handler, w *httptest.ResponseRecorder, r *http.Request) error {
	sent := &watched{ReadCloser: r.Body, whole: r.Body == nil || r.Body == http.NoBody}
	seen := r.Clone(r.Context())
	if !sent.whole {
		r.Body = sent
	}
	h.ServeHTTP(w, r)
	result := w.Result()
	defer result.Body.Close()
	// Who knows the length need not read on to the end.
	whole := sent.whole || int64(sent.seen.Len()) == r.ContentLength
	answer := w.Body.Bytes()
	if r.Method == http.MethodHead { // net/http leaves it out
		answer = nil
	}
	return c.Check(Exchange{ //nolint:contextcheck // looking at bytes is never cancelled
		Request: seen, Sent: Body{Bytes: sent.seen.Bytes(), Whole: whole && sent.seen.Len() <= MaxBody},
		Status: result.StatusCode, Header: result.Header, Answer: Body{Bytes: answer, Whole: len(answer) <= MaxBody},
	})
}

// watched is a body that keeps what is read of it.
type watched struct {
	io.ReadCloser
	seen  bytes.Buffer
	whole bool
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.seen.Len() <= MaxBody {
		b.seen.Write(p[:n])
	}
	b.whole = b.whole || errors.Is(err, io.EOF)
	return n, err
}
