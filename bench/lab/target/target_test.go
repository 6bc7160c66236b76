package target

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/bench/lab/load"
	"pappus/bench/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCall(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil || r.Method != http.MethodPost:
			w.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/full":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/many":
			w.WriteHeader(http.StatusTooManyRequests)
		case r.URL.Path == "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = w.Write(body)
		}
	}))
	defer s.Close()
	paths := []string{"/same", "/full", "/same", "/many", "/broken", "/same"}
	target := &Target{
		Addr: strings.TrimPrefix(s.URL, "http://"), Path: func(n int) string { return paths[n] },
		Body: []byte("a"), Want: []byte("a"),
	}
	c, err := target.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// After an answer of another status the connection goes on.
	for n, want := range []error{nil, load.ErrRefused, nil, load.ErrRefused, wire.ErrWrong, nil} {
		err := c.Call(n)
		if !errors.Is(err, want) || errors.Is(err, load.ErrRefused) != errors.Is(want, load.ErrRefused) {
			t.Errorf("%s: got %v, want %v", paths[n], err, want)
		}
	}
	target.Want = []byte("b")
	if err := c.Call(0); !errors.Is(err, wire.ErrWrong) {
		t.Errorf("got %v, want %v", err, wire.ErrWrong)
	}
}

// A server that does not answer is an error and no wait without an end.
func TestHung(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hung := &Target{Addr: l.Addr().String(), Path: func(int) string { return "/" }, Patience: time.Millisecond}
	c, err := hung.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Call(0); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

// The checksum is that of the matrix, multiplied.
func TestChecksum(t *testing.T) {
	for _, rows := range []int{1, 2, 3, 17, 128} {
		m, sum := make([][]uint64, rows), uint64(0)
		next := uint64(0)
		for i := range m {
			m[i] = make([]uint64, rows)
			for j := range m[i] {
				next++
				m[i][j] = next
			}
		}
		for i := range m {
			for j := range m {
				for k := range m {
					sum += m[i][k] * m[j][k]
				}
			}
		}
		want := strings.TrimSpace(string(Checksum(rows)))
		if got := string(appendUint(sum)); got != want {
			t.Errorf("%d rows: %s by multiplication, %s by formula", rows, got, want)
		}
	}
}

func appendUint(v uint64) []byte {
	var digits []byte
	for ; v > 0 || digits == nil; v /= 10 {
		digits = append([]byte{byte('0' + v%10)}, digits...)
	}
	return digits
}

func TestMix(t *testing.T) {
	for _, test := range []struct {
		mix  Mix
		cold int // of 1,000 calls
	}{
		{Mix{1, 10, 0}, 0}, {Mix{0.97, 10, 0}, 30}, {Mix{0.95, 10, 7}, 50}, {Mix{0.9, 10, 19}, 100}, {Mix{0, 10, 5}, 1000}, {Mix{0.5, 0, 3}, 0},
	} {
		cold, last := 0, test.mix.Made
		for n := range 1000 {
			f := test.mix.Function(n)
			if f == 0 {
				continue
			}
			cold++
			if want := last%test.mix.Cold + 1; f != want {
				t.Fatalf("%+v: call %d goes to function %d, want %d", test.mix, n, f, want)
			}
			last = f
		}
		if cold != test.cold {
			t.Errorf("%+v: %d cold calls, want %d", test.mix, cold, test.cold)
		}
	}
}
