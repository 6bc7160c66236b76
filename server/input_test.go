package server

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"pappus/dispatcher"
	"pappus/engine"
	"pappus/server/problem"
)

// charged counts what it is charged.
type charged int64

var _ charger = (*charged)(nil)

func (c *charged) charge(n int64) error {
	*c += charged(n)
	return nil
}

// jsonItems and formItems are bodies with n items of the set a, which have names of
// that many bytes and no contents.
func jsonItems(n, name int) string {
	return `{"inputs":{"a":[` + strings.TrimSuffix(strings.Repeat(`{"name":"`+strings.Repeat("n", name)+`","text":""},`, n), ",") + `]}}`
}

func formItems(n, name int) string {
	file := `""`
	if name > 0 {
		file = strings.Repeat("n", name)
	}
	part := "--b\r\nContent-Disposition: form-data; name=a; filename=" + file + "; other=" + strings.Repeat("x", 1000) + "\r\n\r\n\r\n"
	return strings.Repeat(part, n) + "--b--\r\n"
}

// What the items of a request are charged beside its body is what they take.
func TestItemsAreCharged(t *testing.T) {
	const n = 20_000
	sig := engine.OpenSignature()
	for _, c := range []struct {
		name string
		body string
		read func([]byte, *collector) error
	}{
		{"JSON", jsonItems(n, 0), readJSON},
		{"JSON, names", jsonItems(n, 30), readJSON},
		{"JSON, long names", jsonItems(n/10, 1000), readJSON},
		{"a form", formItems(n/10, 0), func(body []byte, c *collector) error { return readMultipart(body, "b", c) }},
		{"a form, names", formItems(n/10, 30), func(body []byte, c *collector) error { return readMultipart(body, "b", c) }},
		{"a query", strings.TrimSuffix(strings.Repeat("in.a=&", n), "&"), func(body []byte, c *collector) error { _, err := readQuery(string(body), c); return err }},
	} {
		var memory charged
		into := collector{signature: &sig, limit: n, memory: &memory}
		body := []byte(c.body)
		before := liveHeap()
		err := c.read(body, &into)
		sets := into.done()
		took := liveHeap() - before
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		runtime.KeepAlive(body)
		const some = 64 << 10 // of other goroutines, and what is not counted
		if least, most := int64(memory)*3/4-some, int64(memory)+some; took < least || took > most {
			t.Errorf("%s: %d items take %d bytes, and are charged %d", c.name, len(sets[0].Items), took, memory)
		}
	}
}

// liveHeap is how many bytes of the heap are in use.
func liveHeap() int64 {
	var m runtime.MemStats
	for range 2 { // pools let go at the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Requests hold the memory of their items as long as they go on, and are refused
// when it is not there.
func TestManyItems(t *testing.T) {
	const n = 20_000
	s := newServer(t, func(_ *Config, d *dispatcher.Config) { d.MemoryBudget = 32 << 20 })
	s.put(t, "wait", "wait", echoes)
	s.put(t, "echo", "echo", echoes)
	memory := s.dispatcher.Memory()
	for _, c := range []struct{ name, method, query, contentType, body string }{
		{"JSON", http.MethodPost, "", typeJSON, jsonItems(n, 0)},
		{"a form", http.MethodPost, "", "multipart/form-data; boundary=b", formItems(n/10, 0)},
		{"a query", http.MethodGet, "?" + strings.TrimSuffix(strings.Repeat("in.a=&", n), "&"), "", ""},
	} {
		items := int64(strings.Count(c.query+c.body, "in.a=")+strings.Count(c.body, `"text"`)+strings.Count(c.body, "--b\r\n")) * itemBytes
		least := int64(len(c.body)) + items - cellBlock*itemBytes
		held, err := memory.Reserve(t.Context(), memory.Limit()-least+chargeStep)
		if err != nil {
			t.Fatal(err)
		}
		if c.body != "" {
			wantProblem(t, s.ask(t, c.method, "/v1/invoke/echo"+c.query, c.contentType, c.body), problem.Code(engine.FaultOverload))
		}
		held.Release()
		done := make(chan string, 1)
		go func() {
			w := s.ask(t, c.method, "/v1/invoke/wait"+c.query, c.contentType, c.body)
			done <- fmt.Sprint(w.Code, w.Body)
		}()
		select {
		case <-s.engine.started:
		case got := <-done:
			t.Fatalf("%s: %s", c.name, got)
		}
		if used := memory.Used(); used < least {
			t.Errorf("%s: %d bytes are charged; want at least %d", c.name, used, least)
		}
		s.engine.gate <- struct{}{}
		if got := <-done; !strings.HasPrefix(got, "20") {
			t.Errorf("%s: %s", c.name, got)
		}
		if used := memory.Used(); used != 0 {
			t.Errorf("%s: %d bytes are still charged", c.name, used)
		}
	}
}
