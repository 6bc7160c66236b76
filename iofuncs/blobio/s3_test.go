package blobio_test

import (
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"pappus/data"
	"pappus/iofuncs/blobio"
)

// credentials are variables as an operator sets them.
func credentials(name string) (string, bool) {
	v, ok := map[string]string{"TEST_ID": "an-id", "TEST_SECRET": "a-secret-nobody-may-see"}[name]
	return v, ok
}

// s3Server is a server that speaks as S3 does, and has one bucket. before sees each
// request, and answers it if it returns true.
func s3Server(t testing.TB, before func(w http.ResponseWriter, r *http.Request) bool) (place string) {
	t.Helper()
	s := httptest.NewServer(s3Handler(t, before))
	t.Cleanup(s.Close)
	return placeOf(s)
}

func placeOf(s *httptest.Server) string {
	return "s3://bucket?access-key-env=TEST_ID&secret-key-env=TEST_SECRET&endpoint=" + url.QueryEscape(s.URL)
}

func s3Handler(t testing.TB, before func(w http.ResponseWriter, r *http.Request) bool) http.Handler {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(backend).Server()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			fake.ServeHTTP(w, r)
		}
	})
}

// Certificates are checked, and the operator's authorities are accepted.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(s3Handler(t, nil))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of handshakes that are to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	config := blobio.Config{Limits: blobio.DefaultLimits(), Access: func(string, string) blobio.Access { return blobio.ReadWrite }}
	config.Limits.Attempts = 1
	_, err := get(t, clientOf(t, config, map[string]string{"b": placeOf(s)}), item("r", 0, "b/a"))
	fails(t, "a stranger's certificate", err, "ca-bundle")

	config.Roots = x509.NewCertPool()
	config.Roots.AddCert(s.Certificate())
	c := clientOf(t, config, map[string]string{"b": placeOf(s)})
	mustPut(t, c, "b/a", "content")
	got, err := get(t, c, item("r", 0, "b/a"))
	same(t, "got", got, err, "r/0 content")
}

// What S3 says of a condition on a blob that is not there; and what nobody follows.
func TestAnswersOfS3(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	c := client(t, map[string]string{"b": s3Server(t, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Header.Get("If-Match") != "" && r.Method == http.MethodPut:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>") // the client may have left
		case r.Method == http.MethodPut:
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Query().Get("list-type") != "":
			w.WriteHeader(http.StatusNotFound)
		default:
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
		return true
	})}, blobio.DefaultLimits())
	got, err := put(t, c, one("r", "b/a\nIf-Match: \"0\""), one("c", "x"))
	same(t, "replacing nothing", got, err, "c/0 b/a\nOutcome:condition\n")
	_, err = put(t, c, one("r", "b/a"), one("c", "x"))
	fails(t, "no place to put", err, `(contents: "c", key 0): the bucket b: the bucket's server says that there is no such thing`)
	_, err = list(t, c, "b/")
	fails(t, "nothing to list", err, `(prefixes: "p", key 0): the bucket b: the bucket's server says that there is no such thing`)
	_, err = get(t, c, item("r", 0, "b/a"))
	fails(t, "a redirect", err, "status 307")
	if elsewhere.Load() != 0 {
		t.Error("it was followed")
	}
}

// What goes wrong between here and a server of S3.
func TestFaultyS3(t *testing.T) {
	var fail atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	release := make(chan struct{})
	place := s3Server(t, func(w http.ResponseWriter, r *http.Request) bool {
		if f := fail.Load(); f != nil {
			return (*f)(w, r)
		}
		return false
	})
	t.Cleanup(func() { close(release) })
	limits := blobio.DefaultLimits()
	limits.Size, limits.Attempts = 1<<20, 2
	buckets := map[string]string{"s": place, "refused": "s3://bucket?access-key-env=TEST_ID&secret-key-env=TEST_SECRET&endpoint=http://127.0.0.1:1", "nobucket": strings.Replace(place, "s3://bucket", "s3://other", 1)}
	c := client(t, buckets, limits)
	limits.Response, limits.Idle = 200*time.Millisecond, 200*time.Millisecond
	hurried := client(t, buckets, limits)
	mustPut(t, c, "s/a", "content")

	always := func(http.ResponseWriter, *http.Request) bool { return true }
	for name, test := range map[string]struct {
		ref  string
		fail func(w http.ResponseWriter, r *http.Request) bool
		want string
	}{
		"no such bucket": {"nobucket/a", nil, "the bucket nobucket: the bucket that its URL names is not there"},
		"no server":      {"refused/a", nil, "io-failed (refs: \"r\", key 7): the bucket refused: connection refused"},
		"forbidden": {"s/a", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			return always(w, nil)
		}, "refuses the credentials"},
		"broken": {"s/a", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}, "status 500"},
		"no answer": {"s/a", func(http.ResponseWriter, *http.Request) bool {
			<-release
			return true
		}, "io-timeout"},
		"a drip": {"s/a", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("x")) // the client may have left
			_ = http.NewResponseController(w).Flush()
			<-release
			return true
		}, "io-timeout (refs: \"r\", key 7): the bucket s: nothing moved for 200ms"},
		"too large": {"s/a", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1048577")
			return true
		}, "blob-limits size"},
		"no length": {"s/a", func(w http.ResponseWriter, _ *http.Request) bool {
			_ = http.NewResponseController(w).Flush()
			return true
		}, "does not say how long"},
		"a reset": {"s/a", func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("x")) // the client may have left
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "io-failed"},
		"no ranges": {"s/a\nRange: bytes=0-2", func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte("content")) // the client may have left
			return true
		}, "gives no ranges"},
	} {
		t.Run(name, func(t *testing.T) {
			if fail.Store(nil); test.fail != nil {
				fail.Store(&test.fail)
			}
			c := c
			if strings.Contains(test.want, "io-timeout") {
				c = hurried
			}
			_, err := get(t, c, item("r", 7, test.ref))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			for _, secret := range []string{"127.0.0.1", "an-id", "a-secret", "http://"} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("it tells %q: %v", secret, err)
				}
			}
		})
	}

	// A server that breaks once: what may be done twice is.
	var asked atomic.Int64
	once := func(w http.ResponseWriter, r *http.Request) bool {
		if asked.Add(1) > 1 {
			return false
		}
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("x")) // the client may have left
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	fail.Store(&once)
	if got, err := get(t, c, item("r", 7, "s/a")); err != nil || string(got[0].Bytes()) != "content" || asked.Load() != 2 {
		t.Errorf("%v, %v after %d requests", got, err, asked.Load())
	}
	asked.Store(0)
	if got, err := put(t, c, one("r", "s/b"), one("c", "x")); err != nil || len(got) != 1 || asked.Load() != 2 {
		t.Errorf("%v, %v after %d requests", got, err, asked.Load())
	}
	// A condition is asked once, since an answer may have been lost.
	asked.Store(0)
	if _, err := put(t, c, one("r", "s/c\nIf-None-Match: *"), one("c", "x")); err == nil || !strings.Contains(err.Error(), "status 503") || asked.Load() != 1 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

// A call of many blobs asks for some at once, and no more.
func TestAtOnce(t *testing.T) {
	const most, refs = 4, 200
	var now, peak, asked atomic.Int64
	full := make(chan struct{})
	var once sync.Once
	limits := blobio.DefaultLimits()
	limits.AtOnce = most
	c := client(t, map[string]string{"b": s3Server(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		n := now.Add(1)
		defer now.Add(-1)
		for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
		if asked.Add(1); n == most {
			once.Do(func() { close(full) })
		}
		<-full // all that may go on at once do
		return false
	})}, limits)
	mustPut(t, c, "b/a", "content")
	var items []*data.Item
	for i := range refs {
		items = append(items, item("r", uint32(i), "b/a")) //nolint:gosec // few
	}
	got, err := get(t, c, items...)
	if err != nil || len(got) != refs || peak.Load() != most || asked.Load() != refs {
		t.Errorf("%d items, %v: %d requests, %d at once", len(got), err, asked.Load(), peak.Load())
	}
	for i, it := range got {
		if it.Key() != uint32(i) || string(it.Bytes()) != "content" { //nolint:gosec // few
			t.Fatalf("item %d is %d %q", i, it.Key(), it.Bytes())
		}
	}
	// The first that fails ends the call.
	asked.Store(0)
	items[0] = item("bad", 0, "b/none")
	if _, err := get(t, c, items...); err == nil || !strings.Contains(err.Error(), `"bad", key 0`) || asked.Load() == refs {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}
