package httpcache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"pappus/iofuncs/httpcache"
)

// Entries hold no more than they count, whatever lay beside it when it came: what is
// kept of a long line is not the line.
func TestEntriesHoldWhatTheyCount(t *testing.T) {
	for name, head := range map[string]string{
		"first line":  "HTTP/1.1 200 " + strings.Repeat("x", long) + "\r\n",
		"Vary":        "HTTP/1.1 200 OK\r\nVary: " + strings.Repeat("x,", long/2) + "\r\n",
		"no-cache":    "HTTP/1.1 200 OK\r\nCache-Control: no-cache=\"" + strings.Repeat("x,", long/2) + "\"\r\n",
		"other field": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", long) + "\r\n",
		"name":        "HTTP/1.1 200 OK\r\n" + strings.Repeat("x", long) + ": x\r\n",
	} {
		t.Run(name, func(t *testing.T) { holds(t, head) })
	}
}

const long = 100 << 10 // bytes

func holds(t *testing.T, head string) {
	t.Helper()
	const entries = 16
	s := open(t, httpcache.Options{})
	defer closing(t, s)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, err = fmt.Fprintf(conn, "%sCache-Control: max-age=1000\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", head)
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	below := &http.Transport{}
	defer below.CloseIdleConnections()
	rt := httpcache.New(below, s, "t")
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := held()
	for i := range entries {
		g := send(t, rt, request(t, "GET", fmt.Sprint(server.URL, "/", i), ""))
		must(t, g.what() == "miss stored", "%d: %s", i, g.what())
	}
	if more, counted := held()-before, s.Stats().Bytes; more > counted+entries*long/4 {
		t.Errorf("%d entries count %d bytes, and hold %d", entries, counted, more)
	}
}
