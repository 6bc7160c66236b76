package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pappus/client"
)

// Answers of a server say where they come from.
const (
	fromMemory = "pappus; hit; detail=memory"
	fromDisk   = "pappus; hit; detail=disk"
	missStored = "pappus; fwd=miss; stored"
	collapsed  = "pappus; fwd=miss; collapsed"
	bypassed   = "pappus; fwd=bypass"
)

// ask calls a function, and returns its answer and where that comes from.
func (p *process) ask(ctx context.Context, ref, body, cache string) (text, from string, err error) {
	a, err := p.client.Invoke(ctx, ref, client.Invocation{Body: client.BytesBody([]byte(body), ""), Cache: cache})
	if err != nil {
		return "", "", err
	}
	all, err := io.ReadAll(a.Body)
	return string(all), a.Cache, errors.Join(err, a.Close())
}

// expect calls a function that must give a text, from somewhere.
func (p *process) expect(ref, body, text, from string) {
	p.t.Helper()
	if got, has, err := p.ask(p.t.Context(), ref, body, ""); err != nil || got != text || has != from {
		p.t.Errorf("%s: %q, %s (%v); want %q, %s", ref, got, has, err, text, from)
	}
}

// checksum is what matmul-size gives for a size.
func checksum(n uint64) string {
	var sum uint64
	for column := range n { // of the product's values, row × row: the squares of the columns' sums
		var s uint64
		for row := range n {
			s += row*n + column + 1
		}
		sum += s * s
	}
	return fmt.Sprintf("%d\n", sum)
}

// slow takes long enough that its result is kept on disk.
const slow = 400

// What took long is remembered over a restart, as long as it is as it was.
func TestMemoOverRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	size, want := strconv.Itoa(slow), checksum(slow)
	p := serve(t, dir)
	if _, err := p.push("matmul-size", sample(t, "matmul-size"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	p.expect("matmul-size", size, want, missStored)
	p.expect("matmul-size", size, want, fromMemory)
	p.stop() // which writes what waits

	p = serve(t, dir)
	p.expect("matmul-size", size, want, fromDisk)
	p.expect("matmul-size", size, want, fromMemory)
	p.stop()

	files, err := filepath.Glob(filepath.Join(dir, "memo/v2/*/*/*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("entries on disk: %v (%v)", files, err)
	}
	entry := read(t, files[0])
	entry[rand.IntN(len(entry))] ^= 1 << rand.IntN(8)
	if err := os.WriteFile(files[0], entry, 0o600); err != nil {
		t.Fatal(err)
	}
	p = serve(t, dir)
	p.expect("matmul-size", size, want, missStored)
	if n := p.counts("pappus_memo_disk_damaged_total"); n != "1" {
		t.Errorf("%s entries were damaged", n)
	}
	p.stop()

	p = serve(t, dir) // it was written again
	p.expect("matmul-size", size, want, fromDisk)
	if err := p.client.PurgeMemo(t.Context(), "matmul-size"); err != nil {
		t.Fatal(err)
	}
	p.expect("matmul-size", size, want, missStored)
	if err := p.client.PurgeMemo(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	p.kill() // what was purged stays away all the same
	p = serve(t, dir)
	p.expect("matmul-size", size, want, missStored)
	p.stop()

	p = serve(t, dir, "--memo-disk", "0")
	p.expect("matmul-size", size, want, missStored)
	p.stop()
	p = serve(t, dir, "--memo", "0")
	p.expect("matmul-size", size, want, "")
	p.expect("matmul-size", size, want, "")
}

// A thousand equal calls at once run once.
func TestEqualCallsRunOnce(t *testing.T) {
	const calls = 1000
	p := serve(t, t.TempDir())
	if _, err := p.push("f", sample(t, "matmul-size"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	size, want := strconv.Itoa(slow), checksum(slow)
	start := make(chan struct{})
	var clients sync.WaitGroup
	var mu sync.Mutex
	ways := map[string]int{}
	for range calls {
		clients.Go(func() {
			<-start
			got, from, err := p.ask(t.Context(), "f", size, "")
			mu.Lock()
			defer mu.Unlock()
			if err != nil || got != want {
				t.Errorf("%q (%v)", got, err)
			}
			ways[from]++
		})
	}
	close(start)
	clients.Wait()
	if ways[missStored] != 1 || ways[collapsed]+ways[fromMemory] != calls-1 {
		t.Errorf("they were answered in these ways: %v", ways)
	}
	if n := p.counts("pappus_memo_misses_total"); n != "1" {
		t.Errorf("%s were computed", n)
	}
}

// What HTTP says of remembered results, as clients of a server see it.
func TestMemoOverHTTP(t *testing.T) {
	p := serve(t, t.TempDir(), "--memo-verify", "1")
	f, err := p.push("f", sample(t, "wordcount"), client.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.push("off", sample(t, "wordcount"), client.PutOptions{Memo: "off"}); err != nil {
		t.Fatal(err)
	}
	const text, counts = "to be or not to be", "be 2\nto 2\nnot 1\nor 1\n"
	_, _, err = p.ask(t.Context(), "f", text, client.OnlyIfCached)
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusGatewayTimeout || !strings.HasSuffix(problem.Type, "/not-cached") {
		t.Errorf("what was never computed: %v", err)
	}
	p.expect("f", text, counts, missStored)
	if _, from, err := p.ask(t.Context(), "f", text, client.OnlyIfCached); from != fromMemory {
		t.Errorf("%s (%v)", from, err)
	}
	if _, from, err := p.ask(t.Context(), "f", text, client.NoStore); from != bypassed {
		t.Errorf("%s (%v)", from, err)
	}
	for range 2 {
		p.expect("off", text, counts, bypassed)
	}

	const path = "/v1/invoke/f?in.text=a+b"
	status, header, _ := p.do(http.MethodGet, path, "", "")
	tag := header.Get("ETag")
	if status != http.StatusOK || tag == "" {
		t.Fatalf("%d %v", status, header)
	}
	for _, c := range []struct {
		method, path, body, has string
		want                    int
	}{
		{http.MethodGet, path, "", tag, http.StatusNotModified},
		{http.MethodHead, path, "", tag, http.StatusNotModified},
		{http.MethodGet, path, "", `"other"`, http.StatusOK},
		{http.MethodGet, "/v1/invoke/f@" + f.Digest + "?in.text=a+b", "", tag, http.StatusNotModified},
		{http.MethodGet, "/v1/invoke/f?in.text=b+a", "", tag, http.StatusOK},
		{http.MethodPost, "/v1/invoke/f", text, "*", http.StatusPreconditionFailed},
		{http.MethodPost, "/v1/invoke/f", text, tag, http.StatusOK},
	} {
		if status, header, answer := p.do(c.method, c.path, "text/plain", c.body, "If-None-Match", c.has); status != c.want || status == http.StatusNotModified && (answer != "" || header.Get("ETag") != tag) {
			t.Errorf("%s %s, If-None-Match %s: %d %q %v", c.method, c.path, c.has, status, answer, header)
		}
	}
	// Every hit was to be verified, one at a time and when there is time.
	p.settle("pappus_waiting", 0)
	deadline := time.Now().Add(20 * time.Second)
	for p.metric("pappus_memo_verified_total") == 0 {
		if time.Now().After(deadline) {
			t.Fatal("nothing was verified")
		}
		p.expect("f", text, counts, fromMemory)
		time.Sleep(10 * time.Millisecond) // for a moment without a call
	}
	if n := p.metric("pappus_memo_differences_total"); n != 0 {
		t.Errorf("%g results differ", n)
	}
}

// A server that is killed at any moment while results are written to disk gives
// right answers afterwards, and finds no entry that is half there.
func TestMemoOverKills(t *testing.T) {
	rounds := 4
	if n, err := strconv.Atoi(os.Getenv("PAPPUS_KILL_ROUNDS")); err == nil {
		rounds = max(n/3, 1)
	}
	const sizes = 40
	dir := t.TempDir()
	p := serve(t, dir)
	if _, err := p.push("f", sample(t, "matmul-size"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	found := 0
	for range rounds {
		ctx, leave := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		var mu sync.Mutex
		answered := make(chan struct{})
		first := sync.OnceFunc(func() { close(answered) })
		for range 4 {
			clients.Go(func() {
				defer first()
				for {
					n := uint64(slow - rand.IntN(sizes))
					got, from, err := p.ask(ctx, "f", strconv.FormatUint(n, 10), "")
					if err != nil { // the server is gone
						return
					}
					first()
					mu.Lock()
					if got != checksum(n) {
						t.Errorf("%d: %q, %s", n, got, from)
					}
					if from == fromDisk {
						found++
					}
					mu.Unlock()
				}
			})
		}
		<-answered                                                   // a slow machine takes long for it
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond) // any moment after that will do
		p.kill()
		leave()
		clients.Wait()
		p = serve(t, dir)
		if n := p.metric("pappus_memo_disk_damaged_total"); n != 0 {
			t.Errorf("%g entries are damaged", n)
		}
	}
	for n := uint64(slow); n > slow-sizes; n-- {
		got, from, err := p.ask(t.Context(), "f", strconv.FormatUint(n, 10), "")
		if err != nil || got != checksum(n) {
			t.Errorf("%d: %q, %s (%v)", n, got, from, err)
		}
		if from == fromDisk {
			found++
		}
	}
	if found == 0 {
		t.Error("nothing was found on disk")
	}
	if n := p.metric("pappus_memo_disk_damaged_total"); n != 0 {
		t.Errorf("%g entries are damaged", n)
	}
	t.Logf("%d kills, %d results found on disk", rounds, found)
}
