package multiparts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
)

// ErrCut is matched by the errors of what ends before its closing boundary, as
// io.ErrUnexpectedEOF is.
var ErrCut = fmt.Errorf("it is not whole, its closing boundary is missing: %w", io.ErrUnexpectedEOF)

// Reader reads the parts of a body one after the other. It is for one goroutine.
type Reader struct {
	parts *multipart.Reader
	body  *body
	last  *multipart.Part // nil before the first
}

// NewReader reads a body whose Content-Type names that boundary.
func NewReader(r io.Reader, boundary string) *Reader {
	b := &body{r: r, closing: []byte("--" + boundary + "--")}
	return &Reader{parts: multipart.NewReader(b, boundary), body: b}
}

// Next is NextRawPart of mime/multipart, but that io.EOF, as it is, says that the
// closing boundary was met and nothing else: of itself, mime/multipart passes the
// end of the body on too.
func (r *Reader) Next() (*multipart.Part, error) {
	if r.last != nil {
		if _, err := io.Copy(io.Discard, r.last); err != nil { // which NextRawPart would not say
			return nil, err
		}
	}
	part, err := r.parts.NextRawPart()
	// In headers the end of the body comes as it is, and between parts in another
	// error. Only there a closing boundary without a line end is one.
	if err != ErrCut && errors.Is(err, ErrCut) && r.body.closed() { //nolint:errorlint // see above
		return nil, io.EOF
	}
	r.last = part
	return part, err
}

// body is what is read, with an end that is ErrCut.
type body struct {
	r       io.Reader
	closing []byte
	line    []byte // the last one as far as it is known, but no more than longest
}

// longest is more than mime/multipart takes for a line of a boundary, in bytes.
const longest = 8 << 10

func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	rest := p[:n]
	if i := bytes.LastIndexByte(rest, '\n'); i >= 0 {
		b.line, rest = b.line[:0], rest[i+1:]
	}
	b.line = append(b.line, rest[:min(len(rest), longest-len(b.line))]...)
	if err == io.EOF { // one that is wrapped is a failure
		err = ErrCut
	}
	return n, err
}

// closed reports whether the last line is the closing boundary.
func (b *body) closed() bool {
	rest, ok := bytes.CutPrefix(b.line, b.closing)
	return ok && len(bytes.TrimLeft(rest, " \t")) == 0
}
