package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving answers one connection with the given bytes and returns a client of
// it.
func serving(t *testing.T, answer string) *client {
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
	c := newClient(near)
	t.Cleanup(func() {
		_ = c.close()
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
		{"status", "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nfull", "", errWrong},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", "", errMalformed},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "", errMalformed},
		{"too long", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "", errMalformed},
		{"chunk too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n", "", errMalformed},
		{"chunk length missing", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "", errMalformed},
		{"chunk longer than said", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "", errMalformed},
		{"cut short", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "", io.ErrUnexpectedEOF},
		{"nothing", "", "", io.EOF},
		{"another protocol", "SSH-2.0-OpenSSH\r\n", "", errMalformed},
		{"short line", "HTTP/1.1\r\n", "", errMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := serving(t, test.answer).call([]byte("x"))
			if !errors.Is(err, test.err) || string(got) != test.want {
				t.Errorf("got %q, %v, want %q, %v", got, err, test.want, test.err)
			}
		})
	}
}

func TestApply(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/double" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = w.Write(bytes.Repeat(body, 2))
	}))
	defer s.Close()
	l := load{
		addr: strings.TrimPrefix(s.URL, "http://"), path: "/double", body: []byte("ab"), want: []byte("abab"),
		connections: 3, duration: 50 * time.Millisecond,
	}

	t.Run("as many as are answered", func(t *testing.T) {
		o, err := l.apply(t.Context())
		if err != nil || o.Calls == 0 || o.Median > o.P99 || o.P99 > o.Max {
			t.Errorf("got %+v, %v", o, err)
		}
	})
	t.Run("at a rate", func(t *testing.T) {
		l := l
		l.rate = 200
		// 200 a second for 50 ms: those due at 0, 5, … 45 ms.
		if o, err := l.apply(t.Context()); err != nil || o.Calls != 10 {
			t.Errorf("got %+v, %v, want 10 calls", o, err)
		}
	})
	t.Run("a wrong answer ends it", func(t *testing.T) {
		l := l
		l.want, l.duration = []byte("ab"), time.Hour
		if _, err := l.apply(t.Context()); !errors.Is(err, errWrong) {
			t.Errorf("got %v, want %v", err, errWrong)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		l := l
		l.duration = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := l.apply(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

func TestPercentileAndMedian(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, test := range []struct{ got, want int }{
		{percentile(hundred, 99), 99},
		{percentile(hundred, 50), 50},
		{percentile([]int{7}, 99), 7},
		{percentile([]int{1, 2, 3}, 99), 3},
		{median([]int{3, 1, 2}), 2},
		{median([]int{4, 1, 3, 2, 9, 8}), 3},
	} {
		if test.got != test.want {
			t.Errorf("got %d, want %d", test.got, test.want)
		}
	}
}
