package server

import (
	"encoding/base64"
	"strconv"
	"time"
)

// sink writes an answer: it gathers small pieces, passes large ones on as they
// are, and moves the connection's deadline along with what the client takes.
// While it counts, it only adds up lengths. After the first error it does
// nothing.
type sink struct {
	x        *exchange
	counting bool
	n        int64 // bytes counted or written
	buf      []byte
	start    time.Time
	err      error
}

const (
	sinkBuffer = 16 << 10
	sinkWrite  = 256 << 10 // most bytes under one deadline
)

func (s *sink) begin(x *exchange, counting bool) {
	*s = sink{x: x, counting: counting, buf: s.buf[:0]}
}

func (s *sink) end() { *s = sink{buf: s.buf[:0]} }

// text appends strings.
func (s *sink) text(parts ...string) {
	for _, p := range parts {
		if s.counting {
			s.n += int64(len(p))
			continue
		}
		if len(s.buf)+len(p) > sinkBuffer {
			s.flush()
		}
		if len(p) > sinkBuffer {
			s.write([]byte(p))
			continue
		}
		s.buf = append(s.buf, p...)
	}
}

// number appends a number in decimal.
func (s *sink) number(n int64) {
	var b [20]byte
	s.text(string(strconv.AppendInt(b[:0], n, 10)))
}

// quoted appends a name as a quoted string, which looks the same in JSON and
// in headers: names have no control characters.
func (s *sink) quoted(name string) {
	s.text(`"`)
	from := 0
	for i := range len(name) {
		if c := name[i]; c == '"' || c == '\\' {
			s.text(name[from:i], `\`)
			from = i
		}
	}
	s.text(name[from:], `"`)
}

// bytes appends content.
func (s *sink) bytes(b []byte) {
	switch {
	case s.counting:
		s.n += int64(len(b))
	case len(s.buf)+len(b) <= sinkBuffer:
		s.buf = append(s.buf, b...)
	default:
		s.flush()
		s.write(b)
	}
}

// base64 appends content in base64.
func (s *sink) base64(b []byte) {
	if s.counting {
		s.n += int64(base64.StdEncoding.EncodedLen(len(b)))
		return
	}
	const block = sinkBuffer / 4 / 2 * 3 // becomes half a buffer
	for len(b) > 0 && s.err == nil {
		part := b[:min(block, len(b))]
		b = b[len(part):]
		if len(s.buf)+base64.StdEncoding.EncodedLen(len(part)) > sinkBuffer {
			s.flush()
		}
		s.buf = base64.StdEncoding.AppendEncode(s.buf, part)
	}
}

// flush writes what was gathered.
func (s *sink) flush() {
	s.write(s.buf)
	s.buf = s.buf[:0]
}

// write passes b on, a piece at a time so that each has a deadline that the
// rate floor gives.
func (s *sink) write(b []byte) {
	for len(b) > 0 && s.err == nil {
		part := b[:min(sinkWrite, len(b))]
		b = b[len(part):]
		if s.start.IsZero() {
			s.start = time.Now()
		}
		s.n += int64(len(part))
		s.x.writeDeadline(s.start.Add(s.x.policy.allowed(s.n)))
		_, s.err = s.x.Response().Write(part)
	}
}
