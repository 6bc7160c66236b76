package wire

import (
	"errors"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving answers one connection with the given bytes and returns a client of
// it.
func serving(t *testing.T, answer string) *Client {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		if _, err := far.Read(make([]byte, 1<<10)); err != nil {
			return
		}
		// The client may have seen enough before the end.
		_, _ = io.WriteString(far, answer)
	}()
	c := NewClient(near)
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return c
}

func TestCall(t *testing.T) {
	tests := []struct {
		name   string
		answer string
		want   string
		err    error
	}{
		{"length", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nX: y\r\n\r\nabc", "abc", nil},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", nil},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", nil},
		{"status", "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nfull", "", ErrWrong},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", "", ErrMalformed},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "", ErrMalformed},
		{"too long", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "", ErrMalformed},
		{"chunk too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n", "", ErrMalformed},
		{"chunk length missing", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "", ErrMalformed},
		{"chunk longer than said", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "", ErrMalformed},
		{"cut short", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "", io.ErrUnexpectedEOF},
		{"nothing", "", "", io.EOF},
		{"another protocol", "SSH-2.0-OpenSSH\r\n", "", ErrMalformed},
		{"short line", "HTTP/1.1\r\n", "", ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := serving(t, test.answer).Call([]byte("x"))
			if !errors.Is(err, test.err) || string(got) != test.want {
				t.Errorf("got %q, %v, want %q, %v", got, err, test.want, test.err)
			}
		})
	}
}
