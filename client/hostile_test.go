package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pappus/client"
)

// speak answers every request with bytes, whatever they are, and hangs up.
func speak(t *testing.T, answer string) *client.Client {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(conn, answer) // the client may have hung up before
			}
			_ = conn.Close() // nobody is listening any more
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	c, err := client.New(ln.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A server that is broken, or none of ours, is an error of every call: none
// hangs, and none takes half an answer for a whole one.
func TestHostileServers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: "
	for name, answer := range map[string]string{
		"nothing":               "",
		"no HTTP":               "SSH-2.0-OpenSSH_9.2\r\n",
		"half a status":         "HTTP/1.1 2",
		"half a header":         ok,
		"a header without end":  ok + "application/json\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 2000),
		"one huge header":       ok + "application/json\r\nA: " + strings.Repeat("b", 3<<20) + "\r\n\r\n{}",
		"a negative length":     ok + "application/json\r\nContent-Length: -1\r\n\r\n{}",
		"two lengths":           ok + "application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"less than its length":  ok + "application/json\r\nContent-Length: 100\r\n\r\n{\"outputs\": {\"a\": [{\"name\": \"x\", \"data\": \"",
		"a cut chunk":           ok + "application/json\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"outputs\"",
		"a wrong chunk":         ok + "application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
		"chunks without end":    ok + "multipart/mixed; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n--\r\n",
		"a list":                ok + "application/json\r\n\r\n[]",
		"a deep list":           ok + "application/json\r\n\r\n{\"outputs\": {\"a\": " + strings.Repeat("[", 1<<20),
		"the wrong members":     ok + "application/json\r\n\r\n{\"outputs\": [], \"version\": \"one\", \"items\": 7}",
		"too large a number":    ok + "application/json\r\n\r\n{\"outputs\": {\"a\": [{\"key\": 4294967296}]}, \"version\": 1e99, \"items\": {}}",
		"half a part":           ok + "multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx",
		"no part":               ok + "multipart/mixed; boundary=b\r\n\r\n",
		"text before no part":   ok + "multipart/mixed; boundary=b\r\n\r\ntext\r\n",
		"an open boundary":      ok + "multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b",
		"a boundary and no end": ok + "multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b\r\n",
		"half a part's head":    ok + "multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=a\r\n",
		"a part's endless head": ok + "multipart/mixed; boundary=b\r\n\r\n--b\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 20_000),
		"informing for ever":    strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 100_000),
		"a problem that is cut": "HTTP/1.1 500 No\r\nContent-Type: application/problem+json\r\nContent-Length: 100\r\n\r\n{\"type\": \"/errors/exit\"",
		"going round":           "HTTP/1.1 307 There\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := speak(t, answer)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for call, f := range map[string]func() error{
				"PutFunction": func() error {
					_, _, err := c.PutFunction(ctx, "f", client.BytesBody([]byte("x"), ""), client.PutOptions{})
					return err
				},
				"GetFunction":   func() error { _, err := c.GetFunction(ctx, "f"); return err },
				"ListFunctions": func() error { _, err := c.ListFunctions(ctx, "", 0); return err },
				"Invoke":        func() error { return readAll(ctx, c) },
			} {
				err := f()
				if err == nil {
					t.Errorf("%s takes it", call)
				}
				if errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s hangs", call)
				}
			}
		})
	}
}

// An answer that is cut says that it is the server who is not there any more.
func TestCutAnswers(t *testing.T) {
	const ok, part = "HTTP/1.1 200 OK\r\nContent-Type: ", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx"
	for name, answer := range map[string]string{
		"JSON":                 ok + "application/json\r\n\r\n{\"outputs\": {\"a\": [",
		"an item in JSON":      ok + "application/json\r\n\r\n{\"outputs\": {\"a\": [{\"name\": \"x",
		"no JSON":              ok + "application/json\r\n\r\n",
		"less than its length": ok + "application/json\r\nContent-Length: 100\r\n\r\n{\"outputs\": {",
		"a part":               ok + "multipart/mixed; boundary=b\r\n\r\n" + part,
		"after a part":         ok + "multipart/mixed; boundary=b\r\n\r\n" + part + "\r\n--b\r\n",
		"a part of a chunk":    ok + "multipart/mixed; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + part,
		"after a part's chunk": ok + "multipart/mixed; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(part), part),
	} {
		if err := readAll(t.Context(), speak(t, answer)); !errors.Is(err, client.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that the caller has no more use for does not.
	ctx, cancel := context.WithCancelCause(t.Context())
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", client.TypeJSON)
		_ = http.NewResponseController(w).Flush() // the client says what came of it
		<-r.Context().Done()
	})
	answer, err := c.Invoke(ctx, "f", client.Invocation{})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	enough := errors.New("enough")
	cancel(enough)
	if _, err := io.ReadAll(answer.Body); !errors.Is(err, enough) || errors.Is(err, client.ErrUnreachable) {
		t.Error(err)
	}
}

// readAll calls a function and reads the items of its answer to their ends.
func readAll(ctx context.Context, c *client.Client) error {
	answer, err := c.Invoke(ctx, "f", client.Invocation{Body: client.BytesBody([]byte("x"), "text/plain")})
	if err != nil {
		return err
	}
	defer answer.Close()
	for o, err := range answer.Items() {
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, o.Body); err != nil {
			return err
		}
	}
	return nil
}

// Whatever an answer is, reading its items ends, and not with more than there
// was.
func FuzzItems(f *testing.F) {
	for _, body := range []string{
		`{"outputs": {"a": [{"name": "n", "key": 7, "data": "eA=="}], "b": []}, "usage": {"fuel": 1}}`, `{"outputs": {"a": [{}`, `{"outputs"`, "",
	} {
		f.Add(client.TypeJSON, body)
	}
	for _, body := range []string{
		"--b\r\nContent-Disposition: attachment; name=\"a\"; filename=\"n\"\r\nPappus-Key: 7\r\n\r\nx\r\n--b--\r\n", "--b--", "--b\r\n\r\n--b", "--b\r\nPappus-Key: -1\r\n\r\n\r\n--b--",
	} {
		f.Add(client.TypeMultipart+"; boundary=b", body)
	}
	f.Fuzz(func(t *testing.T, contentType, body string) {
		hc := &http.Client{Transport: roundTrip(func(*http.Request) *http.Response {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))}
		})}
		c, err := client.New("localhost", hc)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.Invoke(t.Context(), "f", client.Invocation{})
		if err != nil {
			return
		}
		var total int64
		for o, err := range answer.Items() {
			if err != nil {
				break
			}
			n, err := io.Copy(io.Discard, o.Body)
			if total += n; err != nil {
				break
			}
		}
		if total > int64(len(body)) {
			t.Errorf("%d bytes of content in %d", total, len(body))
		}
		if err := answer.Close(); err != nil {
			t.Error(err)
		}
	})
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// A redirect is no success, whatever it leads to, and nothing is sent there.
func TestRedirectsAreNotFollowed(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"name": "f"}`))
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, status)
		}))
		c, err := client.New(front.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, put := c.PutFunction(t.Context(), "f", client.BytesBody([]byte("code"), ""), client.PutOptions{})
		_, get := c.GetFunction(t.Context(), "f")
		_, invoke := c.Invoke(t.Context(), "f", client.Invocation{Body: client.BytesBody([]byte("x"), "")})
		for what, err := range map[string]error{"put": put, "get": get, "delete": c.DeleteFunction(t.Context(), "f"), "invoke": invoke} {
			var p *client.Problem
			if !errors.As(err, &p) || p.Status != status || !strings.Contains(err.Error(), elsewhere.URL) {
				t.Errorf("%s, %d: %v", what, status, err)
			}
		}
		c.Close()
		front.Close()
	}
	if asked > 0 {
		t.Errorf("the other server was asked %d times", asked)
	}
}

// Answers that no server of this API gives are errors that say so.
func TestAnswersOfOthers(t *testing.T) {
	for name, answer := range map[string][2]string{"a page": {"text/html", "<html>"}, "no type": {"", "{}"}, "another document": {"application/json", "{}"}, "text": {"text/plain; charset=utf-8", "hello"}} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{answer[0]}
			_, _ = w.Write([]byte(answer[1]))
		}))
		c, err := client.New(s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, get := c.GetFunction(t.Context(), "f")
		_, _, put := c.PutComposition(t.Context(), "f", "source", client.CompositionOptions{})
		_, invoke := c.Invoke(t.Context(), "f", client.Invocation{Accept: client.TypeMultipart})
		for what, err := range map[string]error{
			"get": get, "put a composition": put, "invoke": invoke,
			"delete": c.DeleteFunction(t.Context(), "f"), "remove a tag": c.RemoveTag(t.Context(), "f", "t"),
			"delete a composition": c.DeleteComposition(t.Context(), "f"), "remove a composition's tag": c.RemoveCompositionTag(t.Context(), "f", "t"),
			"forget": c.PurgeMemo(t.Context(), ""), "forget one": c.PurgeMemo(t.Context(), "f"),
		} {
			var p *client.Problem
			if !errors.As(err, &p) || p.Status != 200 {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		c.Close()
		s.Close()
	}
}
