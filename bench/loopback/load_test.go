package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/bench/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
		if _, err := l.apply(t.Context()); !errors.Is(err, wire.ErrWrong) {
			t.Errorf("got %v, want %v", err, wire.ErrWrong)
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
