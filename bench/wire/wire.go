package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// A Client has one connection and at most one request on it. It does only what
// a measurement needs, so that the processor is left to the server: the
// request is bytes made beforehand, and of an answer it looks at the status and
// the length.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte // of the last answer; grows to the largest
}

var (
	// ErrMalformed is of an answer that is not HTTP as this client knows it.
	ErrMalformed = errors.New("malformed answer")
	// ErrWrong is of an answer that says something else than it should.
	ErrWrong = errors.New("wrong answer")
)

// A StatusError is an answer of another status than 200. It is an ErrWrong.
type StatusError struct {
	Status int
	Body   string // its beginning
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%v: status %d: %s", ErrWrong, e.Status, e.Body)
}

// Unwrap makes it an ErrWrong.
func (e *StatusError) Unwrap() error { return ErrWrong }

// largest is the most bytes that an answer may have.
const largest = 64 << 20

// Request makes the bytes of a POST.
func Request(host, path string, body []byte) []byte {
	return RequestOf(host, path, "application/octet-stream", body)
}

// RequestOf makes the bytes of a POST of a media type.
func RequestOf(host, path, kind string, body []byte) []byte {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		path, host, kind, len(body))
	return append([]byte(head), body...)
}

// Dial connects to host:port. The caller closes the client.
func Dial(ctx context.Context, addr string) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return NewClient(conn), nil
}

// NewClient makes a client of a connection, which it closes.
func NewClient(conn net.Conn) *Client {
	return &Client{conn: conn, in: bufio.NewReader(conn)}
}

// Call sends the request and reads the answer, whose body is valid until the
// next call. An answer other than 200 is a *StatusError, after which the next
// call may be made; after any other error none may.
func (c *Client) Call(request []byte) ([]byte, error) {
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	status, length, chunked, err := c.head()
	if err != nil {
		return nil, err
	}
	c.body = c.body[:0]
	if chunked {
		err = c.chunks()
	} else {
		err = c.take(length)
	}
	if err != nil {
		return nil, err
	}
	if status != 200 {
		return nil, &StatusError{Status: status, Body: string(c.body[:min(len(c.body), 300)])}
	}
	return c.body, nil
}

// head reads the status line and the headers.
func (c *Client) head() (status, length int, chunked bool, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, false, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, 0, false, fmt.Errorf("%w: status line %q", ErrMalformed, line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, false, fmt.Errorf("%w: status line %q", ErrMalformed, line)
	}
	length = -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil || length < 0 {
				return 0, 0, false, fmt.Errorf("%w: header %q", ErrMalformed, line)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked"))
		}
	}
	if length < 0 && !chunked {
		return 0, 0, false, fmt.Errorf("%w: neither a length nor chunks", ErrMalformed)
	}
	return status, length, chunked, nil
}

// take reads n bytes more of the body.
func (c *Client) take(n int) error {
	old := len(c.body)
	if n > largest-old {
		return fmt.Errorf("%w: more than %d bytes", ErrMalformed, largest)
	}
	if cap(c.body) < old+n {
		c.body = append(make([]byte, 0, 2*(old+n)), c.body...)
	}
	c.body = c.body[:old+n]
	_, err := io.ReadFull(c.in, c.body[old:])
	return err
}

// chunks reads a chunked body without trailers.
func (c *Client) chunks() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil {
			return fmt.Errorf("%w: chunk length %q", ErrMalformed, line)
		}
		if err := c.take(int(n)); err != nil {
			return err
		}
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) != 0 {
			return fmt.Errorf("%w: %q after a chunk", ErrMalformed, line)
		}
		if n == 0 {
			return nil
		}
	}
}

// Close closes the connection; a call that waits for its answer fails.
func (c *Client) Close() error { return c.conn.Close() }
