package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pappus/client"
)

// status reads a size from what the system knows of the server, in bytes.
func (p *process) status(t testing.TB, field string) int64 {
	t.Helper()
	for line := range strings.Lines(string(read(t, fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)))) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("the system says nothing of %s", field)
	return 0
}

// metric reads a metric without labels, or the sum over its labels.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	_, _, text := p.do(http.MethodGet, "/metrics", "", "")
	sum, found := 0.0, false
	for line := range strings.Lines(text) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(series, "{"); !ok || base != name {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		sum, found = sum+v, true
	}
	if !found {
		p.t.Fatalf("there is no metric %s", name)
	}
	return sum
}

// settle waits until a metric is at most limit.
func (p *process) settle(name string, limit float64) {
	p.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		v := p.metric(name)
		if v <= limit {
			return
		}
		if time.Now().After(deadline) {
			p.t.Errorf("%s is %g and does not come down to %g", name, v, limit)
			return
		}
		time.Sleep(50 * time.Millisecond) // there is nothing to wait for but the figure
	}
}

// Clients that do all that a client can do wrong, at once and for a while,
// leave nothing behind: no goroutines, no connections, no memory.
func TestNothingIsLeft(t *testing.T) {
	p := serve(t, t.TempDir(), "--memory-budget", "1GiB")
	for name, f := range map[string]struct {
		code    []byte
		timeout string
	}{
		"good":  {sample(t, "wordcount"), "5s"},
		"loop":  {hostileModule(t, "loop"), "100ms"},
		"grow":  {hostileModule(t, "grow-touch"), "1s"},
		"trap":  {hostileModule(t, "unreachable"), "1s"},
		"exit":  {hostileModule(t, "exit-7-return"), "1s"},
		"echo":  {hostileModule(t, "echo-grow"), "1s"},
		"stack": {hostileModule(t, "recursion"), "1s"},
	} {
		if _, err := p.push(name, f.code, client.PutOptions{Timeout: f.timeout}); err != nil {
			t.Fatal(name, err)
		}
	}
	round := func() {
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for range 25 {
					p.misbehave(t.Context())
				}
			})
		}
		clients.Wait()
		p.http.CloseIdleConnections()
	}
	round()
	p.settle("pappus_permits_in_use", 0)
	goroutines, resident := p.metric("go_goroutines"), p.status(t, "VmRSS")
	for range 3 {
		round()
	}
	if got, err := p.invoke("good", "to be or not to be"); got != "be 2\nto 2\nnot 1\nor 1\n" || err != nil {
		t.Errorf("the good function gives %q (%v)", got, err)
	}
	p.settle("pappus_memory_used_bytes", 0)
	p.settle("go_goroutines", goroutines+10)
	if now := p.status(t, "VmRSS"); now > resident+128<<20 {
		t.Errorf("%d MiB are resident, %d MiB were", now>>20, resident>>20)
	}
}

// misbehave is one client that does something, right or wrong, chosen at
// random. Whether it gets an answer is not looked at: what matters is what is
// left of it.
func (p *process) misbehave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	names := []string{"good", "loop", "grow", "trap", "exit", "echo", "stack", "nobody"}
	name := names[rand.IntN(len(names))]
	body := strings.Repeat("word and ", 1+rand.IntN(20_000))
	request := "POST /v1/invoke/" + name + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	switch rand.IntN(6) {
	case 0: // goes away in the middle of its headers, its body, or of waiting
		all := request + body
		p.raw(ctx, all[:rand.IntN(len(all)+1)], 0)
	case 1: // goes away in the middle of the answer
		p.raw(ctx, request+body, 1+rand.IntN(100))
	case 2: // gives up
		short, giveUp := context.WithTimeout(ctx, time.Duration(rand.IntN(20))*time.Millisecond)
		defer giveUp()
		p.post(short, name, "application/octet-stream", body)
	case 3:
		p.post(ctx, name, "application/json", `{"inputs": {"text": [{"name": "a", "text": "b"}]`)
	case 4:
		p.post(ctx, name, "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"text\"; filename=\"a\"\r\n\r\n"+body)
	default:
		p.post(ctx, name, "application/octet-stream", body)
	}
}

// raw writes bytes on a connection of its own, reads some and closes it.
func (p *process) raw(ctx context.Context, text string, answer int) {
	conn, err := p.dial(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err == nil && answer > 0 {
		_, _ = io.CopyN(io.Discard, conn, int64(answer)) // it may give less
	}
}

func (p *process) dial(ctx context.Context) (net.Conn, error) {
	u, err := url.Parse(p.url)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", u.Host)
}

func (p *process) post(ctx context.Context, name, contentType, body string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/v1/invoke/"+name, strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", contentType)
	if resp, err := p.http.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // as far as it comes
		_ = resp.Body.Close()
	}
}

// An endless function ends when its client goes away, long before its timeout.
func TestClientGoesAway(t *testing.T) {
	p := serve(t, t.TempDir())
	if _, err := p.push("loop", hostileModule(t, "loop"), client.PutOptions{Timeout: "5m"}); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 6 {
		clients.Go(func() { p.post(ctx, "loop", "application/octet-stream", "x") })
	}
	for p.metric("pappus_permits_in_use") == 0 {
		time.Sleep(5 * time.Millisecond) // there is nothing to wait for but the figure
	}
	leave()
	clients.Wait()
	p.settle("pappus_permits_in_use", 0)
	p.settle("pappus_waiting", 0)
}

// Clients that are slow beyond patience hold a connection, and nothing that
// others need; the server lets go of them.
func TestSlowClients(t *testing.T) {
	if testing.Short() {
		t.Skip("patience takes 10 seconds")
	}
	t.Parallel()
	p := serve(t, t.TempDir())
	if _, err := p.push("echo", hostileModule(t, "echo-grow"), client.PutOptions{Memory: "256MiB"}); err != nil {
		t.Fatal(err)
	}
	// They are at it all at once, and wait: they take no turns of parallel tests.
	var clients sync.WaitGroup
	defer clients.Wait()
	for name, c := range map[string]slowClient{
		"headers for ever":                       {begin: "GET / HTTP/1.1\r\nHost: localhost\r\n", drip: "x-a: b\r\n"},
		"a body for ever":                        {begin: "POST /v1/invoke/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", drip: "x"},
		"a small body for ever":                  {begin: "POST /v1/invoke/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n", drip: "x"},
		"a small body never":                     {begin: "POST /v1/invoke/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"},
		"a body that net/http would read on for": {begin: "POST /v1/invoke/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 262144\r\n\r\n", drip: "x"},
		"a small upload never":                   {begin: "PUT /v1/functions/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n\x00"},
		"chunks over the limit":                  {begin: "PUT /v1/functions/echo/tags/t HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + strings.Repeat("x", 5000)},
		"JSON for ever":                          {begin: "POST /v1/invoke/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n", drip: "{"},
		"a body of a question":                   {begin: "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n", drip: "x"},
		"nothing at all":                         {},
		"an upload for ever":                     {begin: "PUT /v1/functions/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", drip: "\x00"},
		"half a request line":                    {begin: "POST /v1/inv"},
	} {
		clients.Go(func() {
			took, err := c.run(t.Context(), p)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			t.Logf("%s: let go after %s", name, took.Round(time.Second/10))
		})
	}
	clients.Go(func() {
		for range 100 {
			if got, err := p.invoke("echo", "quick"); got != "quick" || err != nil {
				t.Errorf("another client: %q, %v", got, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	p.readByBytes(t)
}

// slowClient is one that writes slowly.
type slowClient struct {
	begin string
	drip  string // sent once every 100 ms
}

// run returns when the server has let go of the client, and how long that took.
func (c slowClient) run(ctx context.Context, p *process) (time.Duration, error) {
	conn, err := p.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, c.begin); err != nil {
		return 0, err
	}
	start := time.Now()
	for {
		if took := time.Since(start); took > 40*time.Second {
			return took, errors.New("it is still connected after 40 s")
		}
		time.Sleep(100 * time.Millisecond) // this is what being slow is
		if _, err = io.WriteString(conn, c.drip); err == nil {
			err = closed(conn)
		}
		if err != nil {
			return time.Since(start), nil // as it should be
		}
	}
}

// readByBytes is a client that reads a byte at a time. The system takes the
// first megabytes off the server's hands; the rest of the answer is what it
// keeps memory for.
func (p *process) readByBytes(t *testing.T) {
	// Not through the tap: its buffers would take megabytes more, at 16 KiB a second.
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", p.direct)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	big := strings.Repeat("x", 32<<20)
	if _, err := fmt.Fprintf(conn, "POST /v1/invoke/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(big), big); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for p.metric("pappus_memory_used_bytes") > 0 && time.Since(start) < time.Minute {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // this is what being slow is
	}
	t.Logf("a reader of a byte: let go after %s", time.Since(start).Round(time.Second/10))
	p.settle("pappus_memory_used_bytes", 0)
	p.settle("pappus_http_requests_in_flight", 1) // the one that asks
}

// closed returns an error if the server has closed the connection. What it
// said before is read.
func closed(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	if os.IsTimeout(err) {
		return nil
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

// A page of another site can neither read nor do anything.
func TestForeignPages(t *testing.T) {
	p := serve(t, t.TempDir(), "--origin", "https://friend.example")
	if _, err := p.push("good", sample(t, "wordcount"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		header []string
		want   int
	}{
		{"no page", nil, 200},
		{"foreign origin", []string{"Origin", "https://evil.example"}, 403},
		{"null origin", []string{"Origin", "null"}, 403},
		{"cross-site", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another name for this machine", []string{"Host", "evil.example"}, 403},
		{"an origin that is allowed", []string{"Origin", "https://friend.example", "Sec-Fetch-Site", "cross-site"}, 200},
		{"localhost by another port", []string{"Host", "localhost:1"}, 200},
	} {
		status, header, body := p.do(http.MethodPost, "/v1/invoke/good", "text/plain", "a", c.header...)
		if status != c.want {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
		if c.want == 403 && (header.Get("Content-Type") != "application/problem+json" || header.Get("Access-Control-Allow-Origin") != "") {
			t.Errorf("%s: %v", c.name, header)
		}
	}
}
