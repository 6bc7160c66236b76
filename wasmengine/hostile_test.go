package wasmengine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
)

// hostileCase is a module of testdata/hostile with the ends that its source
// says it may have.
type hostileCase struct {
	name   string
	code   []byte
	expect []string
}

func (c hostileCase) allows(end string) bool { return slices.Contains(c.expect, end) }

func hostileCases(t testing.TB) []hostileCase {
	t.Helper()
	sources, err := filepath.Glob("testdata/hostile/*.wat")
	if err != nil || len(sources) < 100 {
		t.Fatalf("%d hostile modules (%v)", len(sources), err)
	}
	cases := make([]hostileCase, len(sources))
	for i, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		ends, ok := strings.CutPrefix(first, ";; expect: ")
		if !ok {
			t.Fatalf("%s does not say what to expect", source)
		}
		name := strings.TrimSuffix(filepath.Base(source), ".wat")
		cases[i] = hostileCase{name, hostile(t, name), strings.Split(ends, " or ")}
	}
	return cases
}

// ending runs a module with one small input and says how that ended, in the
// words of the sources.
func ending(t *testing.T, e *Engine, code []byte, timeout time.Duration) (string, error) {
	t.Helper()
	lim := enginetest.Limits()
	lim.Memory = 128 << 20
	lim.Timeout = engine.Duration(timeout)
	p, err := e.Prepare(t.Context(), code, enginetest.Signature(), lim)
	if err != nil {
		var r *engine.RejectedError
		if !errors.As(err, &r) || r.Hint == "" {
			t.Errorf("Prepare failed with %v", err)
		}
		return "rejected-module", err
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	end := ""
	for range 3 {
		r, err2 := p.Run(t.Context(), []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("item", 0, []byte("content"))}}}, lim)
		err = err2
		now := "ok"
		var f *engine.Fault
		switch {
		case errors.As(err, &f) && f.Kind == engine.FaultExit:
			now = fmt.Sprintf("exit %d", f.ExitCode)
		case errors.As(err, &f):
			now = string(f.Kind)
		case err != nil:
			t.Errorf("Run failed with what is not a fault: %v", err)
		}
		r.Release()
		if end != "" && end != now {
			t.Errorf("it ended with %s, then with %s", end, now)
		}
		end = now
	}
	return end, err
}

func TestHostileModules(t *testing.T) {
	e := newEngine(t, Config{})
	for _, c := range hostileCases(t) {
		t.Run(c.name, func(t *testing.T) {
			timeout := 10 * time.Second
			if c.allows("deadline") {
				timeout = 50 * time.Millisecond
			}
			if end, err := ending(t, e, c.code, timeout); !c.allows(end) {
				t.Errorf("it ended with %s (%v), want %s", end, err, strings.Join(c.expect, " or "))
			}
		})
	}
}

// Nothing else runs well after a hostile module than before it.
func TestGarbage(t *testing.T) {
	e := newEngine(t, Config{})
	garbage := bytes.Repeat([]byte("\x00asm\x01\x00\x00\x00\x03\xff\xff\xff\xff\x0f"), (64<<20)/14)
	for name, code := range map[string][]byte{
		"64 MiB of garbage":    garbage,
		"64 MiB of zeroes":     make([]byte, 64<<20),
		"more than 64 MiB":     make([]byte, 64<<20+1),
		"nothing":              nil,
		"a truncated function": hostile(t, "echo-grow")[:300],
	} {
		start := time.Now()
		var r *engine.RejectedError
		if _, err := e.Inspect(code); !errors.As(err, &r) {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: refused in %s", name, time.Since(start))
	}
	if end, err := ending(t, e, hostile(t, "echo-grow"), time.Second); end != "ok" {
		t.Errorf("a good module afterwards: %s (%v)", end, err)
	}
}

func echoRoundTrip(t *testing.T, e *Engine, code []byte) {
	t.Helper()
	p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	for n := range 40 {
		items := make([]*data.Item, n%5)
		for i := range items {
			items[i] = data.NewItem(fmt.Sprint(i), uint32(i), bytes.Repeat([]byte{byte(n)}, n*n*13))
		}
		r, err := p.Run(t.Context(), []data.Set{{Name: "in", Items: items}}, enginetest.Limits())
		if err != nil {
			t.Fatal(err)
		}
		if !data.Equal(r.Outputs, []data.Set{{Name: "out", Items: items}}) {
			t.Fatalf("call %d: wrong outputs", n)
		}
		r.Release()
	}
}

func TestEchoInEveryLayout(t *testing.T) {
	for _, name := range []string{"echo-dandelion", "echo-grow", "echo-fixed", "echo-no-heap-base"} {
		t.Run(name, func(t *testing.T) { echoRoundTrip(t, newEngine(t, Config{}), hostile(t, name)) })
	}
}
