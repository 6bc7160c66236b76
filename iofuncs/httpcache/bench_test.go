package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"pappus/iofuncs/httpcache"
)

// BenchmarkGet compares answers from memory and from disk with those that a server on
// loopback gives the bare transport, and with those that it gives through the cache.
func BenchmarkGet(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		content := make([]byte, size)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=1000")
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Etag", `"a"`)
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, _ = w.Write(content)
		}))
		defer server.Close()
		next := &http.Transport{MaxIdleConnsPerHost: 100}
		defer next.CloseIdleConnections()
		get := func(b *testing.B, rt http.RoundTripper, lines string) {
			resp, err := rt.RoundTrip(request(b, "GET", server.URL, lines))
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if err != nil || n != int64(size) || resp.Body.Close() != nil {
				b.Fatal(n, err)
			}
		}
		run := func(name string, rt http.RoundTripper, lines string) {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, name), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					get(b, rt, lines)
				}
			})
		}
		run("bare", next, "")
		s := open(b, httpcache.Options{})
		defer closing(b, s)
		rt := httpcache.New(next, s, "t")
		run("hit", rt, "")
		run("miss", rt, "Cache-Control: no-cache")
		dir := b.TempDir()
		filler := open(b, httpcache.Options{Dir: dir})
		get(b, httpcache.New(next, filler, "t"), "")
		closing(b, filler)
		b.Run(fmt.Sprintf("%dKiB/disk", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				b.StopTimer()
				s := open(b, httpcache.Options{Dir: dir})
				rt := httpcache.New(next, s, "t")
				b.StartTimer()
				get(b, rt, "")
				b.StopTimer()
				if s.Stats().DiskHits != 1 {
					b.Fatal("not from disk")
				}
				closing(b, s)
				b.StartTimer()
			}
		})
	}
}
