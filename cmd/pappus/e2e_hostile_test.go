package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pappus/client"
	"pappus/engine"
	"pappus/server/problem"
	"pappus/wasmengine/binary/binarytest"
)

// ending says how a call or a registration ended, in the words of the hostile
// modules' sources.
func ending(kind string, exitCode *int32) string {
	switch {
	case kind == "":
		return "ok"
	case kind == string(engine.FaultExit) && exitCode != nil:
		return fmt.Sprintf("exit %d", *exitCode)
	}
	return kind
}

// overHTTP registers and invokes a module.
func (p *process) overHTTP(name string, code []byte, timeout string) (string, error) {
	_, err := p.push(name, code, client.PutOptions{Timeout: timeout})
	if err == nil {
		var answer *client.Answer
		answer, err = p.client.Invoke(p.t.Context(), name, client.Invocation{Body: client.BytesBody([]byte("content"), "application/octet-stream")})
		if err == nil {
			return "ok", answer.Close()
		}
	}
	var refused *client.Problem
	if !errors.As(err, &refused) {
		return "", err
	}
	if refused.Hint == "" || refused.Title == "" || refused.Instance == "" {
		return "", fmt.Errorf("title, hint or instance is missing: %w", refused)
	}
	if e, ok := problem.Lookup(problem.Code(refused.Code())); !ok || e.Status != refused.Status {
		return "", fmt.Errorf("status %d of %s is not the catalogue's", refused.Status, refused.Code())
	}
	return ending(refused.Code(), refused.ExitCode), nil
}

// byCommand does the same with a command that takes the module and --json.
func byCommand(ctx context.Context, t testing.TB, server string, args ...string) (string, error) {
	r := command(ctx, t, server, append(args, "--json")...)
	if r.exit == 0 {
		return "ok", nil
	}
	var f struct {
		Exit     int
		Kind     string
		Hint     string
		ExitCode *int32 `json:"exit_code"`
	}
	if err := json.Unmarshal([]byte(r.stderr), &f); err != nil {
		return "", fmt.Errorf("%w: %q", err, r.stderr)
	}
	if f.Hint == "" || f.Exit != r.exit || r.exit == 1 {
		return "", fmt.Errorf("exit code %d, %q", r.exit, r.stderr)
	}
	return ending(f.Kind, f.ExitCode), nil
}

// Every module that misbehaves ends over HTTP and by the command line as its
// source says, and a good function works beside and after all of them.
func TestHostileModules(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir())
	if _, err := p.push("good", sample(t, "wordcount"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../../wasmengine/testdata/hostile/*.wat")
	if err != nil || len(sources) < 100 {
		t.Fatalf("%d hostile modules (%v)", len(sources), err)
	}
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".wat")
		t.Run(name, func(t *testing.T) {
			first, _, _ := strings.Cut(string(read(t, source)), "\n")
			want := strings.Split(strings.TrimPrefix(first, ";; expect: "), " or ")
			timeout := "20s"
			if slices.Contains(want, "deadline") {
				timeout = "50ms"
			}
			check := func(how, end string, err error) {
				if err != nil || !slices.Contains(want, end) {
					t.Errorf("%s: it ended with %q (%v), want %s", how, end, err, strings.Join(want, " or "))
				}
			}
			code := hostileModule(t, name)
			end, err := p.overHTTP(name, code, timeout)
			check("HTTP", end, err)
			file := strings.TrimSuffix(source, ".wat") + ".wasm"
			local, err := byCommand(t.Context(), t, "", "run", file, "--raw", "text:content", "--timeout", timeout)
			check("run", local, err)
			if local != end {
				t.Errorf("over HTTP it ended with %q, in run with %q", end, local)
			}
			if got, err := p.invoke("good", "to be or not to be"); got != "be 2\nto 2\nnot 1\nor 1\n" || err != nil {
				t.Errorf("the good function gives %q (%v)", got, err)
			}
		})
	}
}

// invoke calls a function with a raw body.
func (p *process) invoke(name, body string) (string, error) {
	answer, err := p.client.Invoke(p.t.Context(), name, client.Invocation{Body: client.BytesBody([]byte(body), "application/octet-stream")})
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(answer.Body)
	return b.String(), errors.Join(err, answer.Close())
}

// What is no module at all is refused, by HTTP and by every verb that takes a
// file, with the same words.
func TestNoModules(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir())
	good := sample(t, "wordcount")
	for _, c := range []struct {
		name string
		code []byte
		want string // of push, which does not say what it sends
	}{
		{"empty", nil, "unknown-code"},
		{"text", []byte("(module)"), "unknown-code"},
		{"magic only", good[:8], "rejected-module"},
		{"truncated", good[:len(good)/2], "rejected-module"},
		{"one byte short", good[:len(good)-1], "rejected-module"},
		{"64 MiB of garbage", bytes.Repeat([]byte("\x00asm\x01\x00\x00\x00\x03\xff\xff\xff\xff\x0f"), (64<<20)/14), "rejected-module"},
		{"64 MiB of zeroes", make([]byte, 64<<20), "unknown-code"},
	} {
		t.Run(c.name, func(t *testing.T) {
			end, err := p.overHTTP("bad", c.code, "1s")
			if err != nil || end != "rejected-module" {
				t.Errorf("over HTTP: %q (%v)", end, err)
			}
			file := filepath.Join(t.TempDir(), "bad.wasm")
			if err := os.WriteFile(file, c.code, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"push", file}, {"run", file}, {"inspect", file}} {
				if end, err := byCommand(t.Context(), t, p.url, args...); err != nil || end != c.want {
					t.Errorf("%s: %q (%v), want %s", args[0], end, err, c.want)
				}
			}
		})
	}
	if page, err := p.client.ListFunctions(t.Context(), "", 0); err != nil || len(page.Items) > 0 {
		t.Errorf("there are functions: %v (%v)", page.Items, err)
	}
	if status, _, body := p.do(http.MethodPut, "/v1/functions/big", "application/wasm", strings.Repeat("\x00", 64<<20+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the limit gets %d %s", status, body)
	}
}

// Large uploads that grow when they are rewritten, or make large tables when
// they are decoded, many at once, are bounded in memory too.
func TestLargeBombs(t *testing.T) {
	p := serve(t, t.TempDir(), "--memory-budget", "512MiB")
	before := p.status(t, "VmRSS")
	body := binarytest.Body(0, bytes.Repeat(binarytest.LoopBlock(), 199_000))
	loops := binarytest.Function(slices.Repeat([][]byte{body}, 20)...)
	empty := binarytest.Function(slices.Repeat([][]byte{binarytest.Body(0)}, 100_000)...)
	var wg sync.WaitGroup
	for i := range 12 {
		code, want := empty, "ok"
		if i%4 == 0 {
			code, want = loops, "rejected-module"
		}
		wg.Go(func() {
			if end, err := p.overHTTP(fmt.Sprintf("bomb%d", i), code, "100ms"); end != want || err != nil {
				t.Errorf("%d bytes ended with %q (%v), want %s", len(code), end, err, want)
			}
		})
	}
	wg.Wait()
	if peak := p.status(t, "VmHWM"); peak > before+600<<20 {
		t.Errorf("the server's memory was %d MiB and rose to %d MiB", before>>20, peak>>20)
	}
}

// Modules that are costly to compile stay within the time and memory that one
// compilation may take, by HTTP and by the command line, and others are served
// meanwhile.
func TestCompileBombs(t *testing.T) {
	p := serve(t, t.TempDir(), "--compile-timeout", "3s")
	if _, err := p.push("good", sample(t, "wordcount"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	before := p.status(t, "VmRSS")
	for i, bomb := range slices.Concat(binarytest.CompileBombs(), binarytest.Bombs(1<<20)) {
		t.Run(bomb.Name, func(t *testing.T) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				end, err := p.overHTTP("bomb", bomb.Code, "100ms")
				if i%2 == 1 { // the command line uploads and calls in the same way
					file := filepath.Join(t.TempDir(), "bomb.wasm")
					if err = os.WriteFile(file, bomb.Code, 0o600); err == nil {
						if end, err = byCommand(t.Context(), t, p.url, "push", file, "--timeout", "100ms"); end == "ok" {
							end, err = byCommand(t.Context(), t, p.url, "invoke", "bomb")
						}
					}
				}
				if err != nil || !slices.Contains([]string{"ok", "rejected-module", "compile-too-costly", "deadline", "trap", "out-of-fuel"}, end) {
					t.Errorf("it ended with %q (%v)", end, err)
				}
				t.Logf("%d bytes: %s", len(bomb.Code), end)
			}()
			slowest := time.Duration(0)
			for served := 0; ; served++ {
				select {
				case <-done:
					t.Logf("%d other calls, the slowest took %s", served, slowest)
					return
				default:
				}
				start := time.Now()
				if got, err := p.invoke("good", "a"); got != "a 1\n" || err != nil {
					t.Errorf("the good function gives %q (%v)", got, err)
				}
				slowest = max(slowest, time.Since(start))
				time.Sleep(5 * time.Millisecond) // without end they would take the processors of what is compiled
			}
		})
	}
	if peak := p.status(t, "VmHWM"); peak > before+700<<20 {
		t.Errorf("the server's memory was %d MiB and rose to %d MiB", before>>20, peak>>20)
	}
}
