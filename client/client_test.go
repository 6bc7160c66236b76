package client_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pappus/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect makes a client of a server that answers by h.
func connect(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"http://127.0.0.1:8080": "http://127.0.0.1:8080", "127.0.0.1:8080": "http://127.0.0.1:8080",
		"https://pappus.example/": "https://pappus.example", "localhost": "http://localhost",
		"": "", "ftp://x": "", "http://": "", "http://x/path": "", "http://x?q": "", "http://x#f": "", "http://\x00": "",
	} {
		c, err := client.New(address, nil)
		if (err != nil) != (want == "") {
			t.Errorf("%q: %v", address, err)
		}
		if err == nil && c.Address() != want {
			t.Errorf("%q: %q, want %q", address, c.Address(), want)
		}
	}
}

// Every call asks for what the interface says.
func TestRequests(t *testing.T) {
	var got string
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = strings.TrimRight(fmt.Sprintf("%s %s %s %s %d", r.Method, r.RequestURI, r.Header.Get("Content-Type"), body, r.ContentLength), " ")
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, `{"name": "f", "version": 2, "inputs": ["a", {"name": "b", "type": "item"}], "items": [{"name": "f"}], "next": "c"}`)
	})
	ctx := t.Context()
	for _, call := range []struct {
		do   func() error
		want string
	}{
		{func() error {
			f, created, err := c.PutFunction(ctx, "f", client.BytesBody([]byte("code"), "application/wasm"), client.PutOptions{
				Inputs: []string{"a", "b/item"}, Outputs: []string{"c"}, Memory: "1MiB", Fuel: "7", Tags: []string{"x", "y"}, Memo: "off",
				Timeout: "1s", Stack: "1MiB", OutputLimit: "2MiB",
			})
			if err == nil && (created || f.Version != 2 || f.Inputs[1].Type != "item") {
				t.Errorf("%+v, %v", f, created)
			}
			return err
		}, "PUT /v1/functions/f?input=a&input=b%2Fitem&output=c&memory=1MiB&stack=1MiB&output-limit=2MiB&timeout=1s&fuel=7&memo=off&tag=x&tag=y application/wasm code 4"},
		{func() error { _, err := c.GetFunction(ctx, "f@../x"); return err }, "GET /v1/functions/f@..%2Fx   0"},
		{func() error {
			p, err := c.ListFunctions(ctx, "cur sor", 7)
			if err == nil && (len(p.Items) != 1 || p.Next != "c") {
				t.Errorf("%+v", p)
			}
			return err
		}, "GET /v1/functions?cursor=cur+sor&limit=7   0"},
		{func() error { _, err := c.Versions(ctx, "f", "", 0); return err }, "GET /v1/functions/f/versions   0"},
		{func() error { _, err := c.Run(ctx, "../x"); return err }, "GET /v1/runs/..%2Fx   0"},
		{func() error {
			p, err := c.Runs(ctx, "R", 7)
			if err == nil && (len(p.Items) != 1 || p.Next != "c") {
				t.Errorf("%+v", p)
			}
			return err
		}, "GET /v1/runs?cursor=R&limit=7   0"},
		{func() error { _, err := c.Memo(ctx); return err }, "GET /v1/memo   0"},
		{func() error { return c.PurgeMemo(ctx, "") }, "DELETE /v1/memo   0"},
		{func() error { return c.PurgeMemo(ctx, "f/x") }, "DELETE /v1/memo/f%2Fx   0"},
		{func() error {
			a, err := c.Invoke(ctx, "f", client.Invocation{Trace: true})
			return errors.Join(err, a.Close())
		}, "POST /v1/invoke/f?trace=1   0"},
		{func() error {
			a, err := c.Invoke(ctx, "f", client.Invocation{Trace: true, Query: url.Values{"set": {"a&b"}}})
			return errors.Join(err, a.Close())
		}, "POST /v1/invoke/f?set=a%26b&trace=1   0"},
		{func() error { return c.DeleteFunction(ctx, "f@3") }, "DELETE /v1/functions/f@3   0"},
		{func() error { return c.RemoveTag(ctx, "f", "t") }, "DELETE /v1/functions/f/tags/t   0"},
	} {
		if err := call.do(); err != nil {
			t.Errorf("%s: %v", call.want, err)
		}
		if got != call.want {
			t.Errorf("it asks for %s, want %s", got, call.want)
		}
	}
	if _, err := c.SetTag(ctx, "f", "t", "3"); err != nil || !strings.HasPrefix(got, "PUT /v1/functions/f/tags/t ") || !strings.Contains(got, "3") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestProblems(t *testing.T) {
	var contentType, body string
	var status int
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Retry-After", "3")
		w.Header().Set("Pappus-Run", "R")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	for _, k := range []struct {
		name, contentType, body string
		status                  int
		code, text              string
	}{
		{"a problem", "application/problem+json", `{"type": "/errors/exit", "title": "It failed", "status": 200, "exit_code": 7, "detail": "no"}`, 422, "exit", "exit with code 7: no"},
		{"a proxy's page", "text/html", "<html>", 502, "", "the server answered 502 Bad Gateway"},
		{"plain words", "text/plain", "no such\n", 404, "", "the server answered 404 Not Found: no such"},
		{"broken JSON", "application/problem+json", `{"type": `, 500, "", "the server answered 500 Internal Server Error"},
		{"wrong types", "application/problem+json", `{"type": 7}`, 400, "", "the server answered 400 Bad Request"},
		{"too much", "application/problem+json", `{"type": "` + strings.Repeat("x", 2<<20) + `"}`, 400, "", "the server answered 400 Bad Request"},
		{"nothing", "", "", 503, "", "the server answered 503 Service Unavailable"},
	} {
		contentType, body, status = k.contentType, k.body, k.status
		_, err := c.GetFunction(t.Context(), "f")
		var p *client.Problem
		if !errors.As(err, &p) {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		if p.Code() != k.code || p.Error() != k.text || p.Status != k.status || p.RetryAfter != 3*time.Second || p.RunID != "R" {
			t.Errorf("%s: %q, %q, %+v", k.name, p.Code(), p.Error(), p)
		}
	}
	contentType, body, status = "application/json", "[]", 200
	if _, err := c.GetFunction(t.Context(), "f"); err == nil {
		t.Error("an answer of another type is taken")
	}
}

func TestTransport(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	c, err := client.New(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	if _, err := c.GetFunction(t.Context(), "f"); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.GetFunction(ctx, "f"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	c = connect(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	broken := client.Body{Reader: io.MultiReader(strings.NewReader("x"), failing{}), Size: -1}
	if _, err := c.Invoke(t.Context(), "f", client.Invocation{Body: broken}); !errors.Is(err, os.ErrPermission) || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("a reader that fails: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, os.ErrPermission }

// Items arrive as they were sent, in requests and in answers of both forms.
func TestItemsRoundTrip(t *testing.T) {
	c := connect(t, echoItems)
	name := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune(`"\/.;= %äé漢`)), rapid.Rune()), 0, 20, -1).Filter(func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 })
	})
	type item struct {
		set, name string
		key       uint32
		content   string
	}
	rapid.Check(t, func(rt *rapid.T) {
		var sent []item
		var items []client.Item
		for range rapid.IntRange(1, 4).Draw(rt, "items") {
			i := item{"s" + name.Draw(rt, "set"), name.Draw(rt, "name"), rapid.Uint32().Draw(rt, "key"), string(rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(rt, "content"))}
			sent = append(sent, i)
			size := int64(len(i.content))
			if rapid.Bool().Draw(rt, "unknown size") {
				size = -1
			}
			items = append(items, client.Item{Set: i.set, Name: i.name, Key: i.key, Body: strings.NewReader(i.content), Size: size})
		}
		body, err := client.ItemsBody(items)
		if err != nil {
			rt.Fatal(err)
		}
		accept := rapid.SampledFrom([]string{client.TypeJSON, client.TypeMultipart}).Draw(rt, "accept")
		answer, err := c.Invoke(t.Context(), "f", client.Invocation{Body: body, Accept: accept})
		if err != nil {
			rt.Fatal(err)
		}
		defer answer.Close()
		n := 0
		for o, err := range answer.Items() {
			if err != nil {
				rt.Fatal(err)
			}
			content, err := io.ReadAll(o.Body)
			if err != nil {
				rt.Fatal(err)
			}
			if got := (item{o.Set, o.Name, o.Key, string(content)}); n >= len(sent) || got != sent[n] {
				rt.Fatalf("item %d is %+v, want %+v", n, got, sent)
			}
			n++
		}
		if n != len(sent) {
			rt.Fatalf("%d items of %d", n, len(sent))
		}
	})
}

// echoItems answers with the parts of a form: as the same form, or each as a
// set of JSON of its own.
func echoItems(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") == client.TypeMultipart {
		w.Header().Set("Content-Type", strings.Replace(r.Header.Get("Content-Type"), "form-data", "mixed", 1))
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil {
			panic(err)
		}
		return
	}
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		panic(err)
	}
	answer := bytes.NewBufferString(`{"before": [{}], "outputs": {`) // nothing is sent before all is read: a client may wait for that
	mr := multipart.NewReader(r.Body, params["boundary"])
	for separator := ""; ; separator = "," {
		part, err := mr.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			panic(err)
		}
		_, names, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil {
			panic(err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			panic(err)
		}
		set, _ := json.Marshal(names["name"])
		name, _ := json.Marshal(names["filename"])
		key := part.Header.Get("Pappus-Key")
		if key == "" {
			key = "0"
		}
		fmt.Fprintf(answer, `%s%s: [{"name": %s, "key": %s, "data": "%s"}]`, separator, set, name, key, base64.StdEncoding.EncodeToString(content))
	}
	answer.WriteString(`}, "usage": {}}`)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = answer.WriteTo(w)
}

func TestAnswers(t *testing.T) {
	var contentType, body string
	status := http.StatusOK
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Server-Timing", "queue;dur=0.5, prepare;desc=x;dur=1, run;dur=nonsense, odd, negative;dur=-1")
		w.Header().Set("Pappus-Fuel", "42")
		w.Header().Set("Pappus-Run", "R")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	invoke := func() (*client.Answer, error) { return c.Invoke(t.Context(), "f", client.Invocation{}) }

	contentType, body = "text/plain; charset=utf-8", "raw"
	answer, err := invoke()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(answer.Body)
	if string(content) != "raw" || err != nil || answer.Type != "text/plain" || answer.Fuel != 42 || answer.RunID != "R" ||
		answer.Timing["queue"] != 500*time.Microsecond || answer.Timing["prepare"] != time.Millisecond || len(answer.Timing) != 2 {
		t.Errorf("%q, %v, %+v", content, err, answer)
	}
	if err := answer.Close(); err != nil {
		t.Error(err)
	}

	for _, bad := range [][2]string{
		{"multipart/mixed", "x"},
		{"multipart/mixed; boundary=b", "--b\r\nContent-Disposition: ;\r\n\r\nx\r\n--b--"},
		{"multipart/mixed; boundary=b", "--b\r\nContent-Disposition: form-data; name=a\r\nPappus-Key: -1\r\n\r\nx\r\n--b--"},
		{"multipart/mixed; boundary=b", "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx"},
		{"application/json", ""},
		{"application/json", `[]`},
		{"application/json", `{"outputs": 7}`},
		{"application/json", `{"outputs": {"a": {}}}`},
		{"application/json", `{"outputs": {"a": [7]}}`},
		{"application/json", `{"outputs": {"a": [{"key": -1}]}}`},
		{"application/json", `{"outputs": {"a": [{"data": "?"}]}}`},
		{"application/json", `{"outputs": {"a": [{}`},
		{"text/plain", "x"},
	} {
		contentType, body = bad[0], bad[1]
		answer, err := invoke()
		if err != nil {
			t.Fatal(err)
		}
		var last error
		for o, err := range answer.Items() {
			if last = err; err == nil {
				_, last = io.ReadAll(o.Body)
			}
		}
		if last == nil {
			t.Errorf("%q is taken for items", bad)
		}
		_ = answer.Close() // it was read
	}
	contentType = "///"
	if _, err := invoke(); err == nil {
		t.Error("a media type that is none is taken")
	}
	contentType, body, status = "", "", http.StatusNoContent
	if answer, err = invoke(); err != nil || answer.Type != "" {
		t.Errorf("no content: %+v, %v", answer, err)
	}
	for o, err := range answer.Items() {
		t.Errorf("an item of no content: %v, %v", o, err)
	}
	_ = answer.Close() // there is nothing in it
}

func TestNamesThatCantBeSent(t *testing.T) {
	for _, name := range []string{"a\r\nb", "\x00", "\x7f"} {
		if _, err := client.ItemsBody([]client.Item{{Set: "s", Name: name, Body: strings.NewReader("")}}); err == nil {
			t.Errorf("%q is sent", name)
		}
	}
}

// What a call wants of remembered results goes to the server, and what it says of
// them comes back.
func TestCache(t *testing.T) {
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		if _, there := r.Header["Cache-Control"]; there {
			w.Header().Set("Cache-Status", "pappus; "+r.Header.Get("Cache-Control"))
		}
		w.WriteHeader(http.StatusNoContent)
	})
	for _, cache := range []string{"", client.NoCache, client.NoStore, client.OnlyIfCached} {
		want := cache
		if cache != "" {
			want = "pappus; " + cache
		}
		a, err := c.Invoke(t.Context(), "f", client.Invocation{Cache: cache})
		if err != nil || a.Cache != want {
			t.Fatalf("%q: %+v (%v)", cache, a, err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
