package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pappus/client"
)

// devRound is a line that "pappus dev --json" prints.
type devRound struct {
	Changed  []string
	Function string
	URL      string
	Test     *struct {
		OK, Failed int
		Cases      []struct {
			Name, Result, Why string
			Items, Stack      []string
		}
	}
	Milliseconds int64
	Error        *struct {
		Exit        int
		Error, Hint string
	}
}

// developer is somebody who works on a function, with dev running beside.
type developer struct {
	t     *testing.T
	dir   string
	env   []string
	cmd   *exec.Cmd
	lines *bufio.Reader
	alive *os.File // ends when it has, and all that it has started
	log   *output
}

func develop(t *testing.T, flags ...string) *developer {
	t.Helper()
	if !hasCompiler() {
		t.Skip("needs clang and wasm-ld: apt-get install -y --no-install-recommends clang lld")
	}
	d := &developer{t: t, dir: filepath.Join(t.TempDir(), "hello"), log: new(output)}
	if out, err := exec.CommandContext(t.Context(), program, "new", "c", d.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d.env = append(os.Environ(), "TMPDIR="+t.TempDir(), "XDG_CACHE_HOME="+t.TempDir())
	d.start(append([]string{"dev", d.dir, "--json"}, flags...)...)
	return d
}

// start starts the program.
func (d *developer) start(args ...string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute) // a change that is missed would be waited for
	d.t.Cleanup(cancel)
	d.cmd = exec.CommandContext(ctx, program, args...)
	d.cmd.Env, d.cmd.Stderr = d.env, d.log
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	d.lines = bufio.NewReader(stdout)
	alive, held, err := os.Pipe()
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = alive.Close() }) // it was only read
	d.alive, d.cmd.ExtraFiles = alive, []*os.File{held}
	if err := errors.Join(d.cmd.Start(), held.Close()); err != nil {
		d.t.Fatal(err)
	}
}

// temp is the folder of its temporary files.
func (d *developer) temp() (dir string) {
	for _, variable := range d.env {
		if value, ok := strings.CutPrefix(variable, "TMPDIR="); ok {
			dir = value
		}
	}
	return dir
}

// next is the next round.
func (d *developer) next() devRound {
	d.t.Helper()
	line, err := d.lines.ReadBytes('\n')
	var r devRound
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		d.t.Fatalf("%v\n%s\n%s", err, line, d.log)
	}
	return r
}

// edit changes a file as editors do: another file gets its name.
func (d *developer) edit(file string, change func(string) string) {
	d.t.Helper()
	path := filepath.Join(d.dir, file)
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path+".new", []byte(change(string(text))), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// stop ends it as Ctrl-C does, and looks whether it leaves anything.
func (d *developer) stop() {
	d.t.Helper()
	d.signal(syscall.SIGINT)
}

// whatTakesLong is what it may say at any time.
var whatTakesLong = regexp.MustCompile(`\A((building|registering|testing) hello.*… [0-9]+s\n)*\z`)

// signal ends it by one signal: at once, well, without a word, and with all that it
// has started and written.
func (d *developer) signal(s os.Signal) {
	d.t.Helper()
	before := d.log.String()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
	rest, err := io.ReadAll(d.lines)
	if err != nil || len(rest) > 0 {
		d.t.Errorf("it went on: %s (%v)", rest, err)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("%v\n%s", err, d.log)
	}
	if said := strings.TrimPrefix(d.log.String(), before); !whatTakesLong.MatchString(said) {
		d.t.Errorf("it says %q", said)
	}
	// What is left of it would be there for longer than this.
	if err := d.alive.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		d.t.Fatal(err)
	}
	if _, err := io.ReadAll(d.alive); err != nil {
		d.t.Errorf("something that it has started goes on: %v", err)
	}
	if left, err := os.ReadDir(d.temp()); err != nil || len(left) > 0 {
		d.t.Errorf("left over: %v (%v)", left, err)
	}
}

func TestDev(t *testing.T) {
	d := develop(t, "--listen", "127.0.0.1:0")
	first := d.next()
	if first.Function != "hello@1" || first.Test == nil || first.Test.OK != 1 || first.Error != nil || first.Changed != nil {
		t.Fatalf("%+v", first)
	}
	call := func(want string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, first.URL, strings.NewReader("to be"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if err != nil || string(body) != want {
			t.Errorf("it answers %q (%v), want %q", body, err, want)
		}
	}
	call("TO BE")

	// Another version, which does something else than the case says.
	d.edit("main.c", func(s string) string { return strings.Replace(s, "bytes[j] >= 'a'", "bytes[j] >= 'c'", 1) })
	r := d.next()
	if r.Function != "hello@2" || r.Test == nil || r.Test.Failed != 1 || !slices.Equal(r.Changed, []string{"main.c"}) || !slices.Equal(r.Test.Cases[0].Items, []string{"upper/a"}) {
		t.Fatalf("%+v\n%s", r, d.log)
	}
	call("TO bE")

	// What does not build leaves what is there.
	d.edit("main.c", func(s string) string { return strings.Replace(s, "return 0;", "return 0", 1) })
	if r = d.next(); r.Error == nil || r.Error.Exit != 5 || r.Function != "" || r.Test != nil {
		t.Fatalf("%+v\n%s", r, d.log)
	}
	call("TO bE")
	d.edit("main.c", func(s string) string { return strings.Replace(s, "return 0", "return 0;", 1) })
	if r = d.next(); r.Function != "hello@2" || r.Error != nil {
		t.Fatalf("%+v\n%s", r, d.log)
	}

	// A trap: where it is.
	d.edit("main.c", func(s string) string { return strings.Replace(s, "return 0;", "__builtin_trap();", 1) })
	if r = d.next(); r.Function != "hello@3" || r.Test == nil || r.Test.Failed != 1 || !slices.Equal(r.Test.Cases[0].Stack, []string{"_start() at main.c:26:2"}) {
		t.Fatalf("%+v\n%s", r, d.log)
	}
	d.edit("main.c", func(s string) string {
		return strings.Replace(strings.Replace(s, "__builtin_trap();", "return 0;", 1), "'c'", "'a'", 1)
	})
	if r = d.next(); r.Function != "hello@1" || r.Test == nil || r.Test.OK != 1 {
		t.Fatalf("%+v\n%s", r, d.log)
	}

	// A new case, in new folders.
	more := filepath.Join(d.dir, "cases", "more")
	for _, file := range []string{"in/text/x", "out/upper/x"} {
		path := filepath.Join(more+".new", file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("X"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(more+".new", more); err != nil {
		t.Fatal(err)
	}
	for r = d.next(); r.Test == nil || r.Test.OK != 2 || !slices.Equal(caseNames(r), []string{"hello", "more"}); r = d.next() { // it may have seen half of it first
	}
	d.edit("cases/more/out/upper/x", func(string) string { return "Y" })
	if r = d.next(); r.Test == nil || r.Test.Failed != 1 {
		t.Fatalf("%+v\n%s", r, d.log)
	}
	t.Logf("the last round took %d ms, the first %d ms", r.Milliseconds, first.Milliseconds)
	d.stop()
	if text := d.log.String(); !strings.Contains(text, "main.c:26:10: error: expected ';'") {
		t.Errorf("it said\n%s", text)
	}
}

func caseNames(r devRound) (names []string) {
	for _, c := range r.Test.Cases {
		names = append(names, c.Name)
	}
	return names
}

// With --server it registers there.
func TestDevOnAServer(t *testing.T) {
	server := serve(t, t.TempDir())
	d := develop(t, "--server", server.url)
	if r := d.next(); r.Function != "hello@1" || !strings.HasPrefix(r.URL, server.url) {
		t.Errorf("%+v", r)
	}
	d.stop()
	if _, err := server.client.GetFunction(t.Context(), "hello"); err != nil {
		t.Error(err)
	}
	server.stop()
}

// With --engine chericap it builds, tests and registers native code.
func TestDevNative(t *testing.T) {
	if _, err := exec.LookPath("aarch64-linux-gnu-gcc"); err != nil {
		t.Skip("needs aarch64-linux-gnu-gcc: apt-get install -y --no-install-recommends gcc-aarch64-linux-gnu")
	}
	server := serve(t, t.TempDir())
	for name, flags := range map[string][]string{"its own server": {"--listen", "127.0.0.1:0"}, "another": {"--server", server.url}} {
		t.Run(name, func(t *testing.T) {
			d := develop(t, append(flags, "--engine", "chericap")...)
			r := d.next()
			if r.Function != "hello@1" || r.Test == nil || r.Test.OK != 1 || r.Error != nil {
				t.Fatalf("%+v\n%s", r, d.log)
			}
			cl, err := client.New(strings.TrimSuffix(r.URL, "/v1/invoke/hello"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			if f, err := cl.GetFunction(t.Context(), "hello"); err != nil || f.Engine != "chericap" {
				t.Errorf("%+v, %v", f, err)
			}
			d.edit("main.c", func(s string) string { return strings.Replace(s, "return 0;", "__builtin_trap();", 1) })
			if r = d.next(); r.Function != "hello@2" || r.Test == nil || r.Test.Failed != 1 || !slices.ContainsFunc(r.Test.Cases[0].Stack, func(call string) bool { return strings.Contains(call, " at main.c:26") }) {
				t.Fatalf("%+v\n%s", r, d.log)
			}
			d.stop()
		})
	}
	server.stop()
}

// What it leaves when it is killed, the next one removes.
func TestDevSweeps(t *testing.T) {
	d := develop(t, "--listen", "127.0.0.1:0")
	d.next()
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait() // it was killed
	left := func() []string {
		t.Helper()
		dirs, err := filepath.Glob(filepath.Join(d.temp(), "pappus-dev-*"))
		if err != nil {
			t.Fatal(err)
		}
		return dirs
	}
	before := left()
	if len(before) != 1 {
		t.Fatalf("it left %v", before)
	}
	d.start(d.cmd.Args[1:]...)
	d.next()
	if now := left(); len(now) != 1 || now[0] == before[0] {
		t.Errorf("there is %v; before it was %v", now, before)
	}
	d.stop()
}

// The first signal ends it, whatever it does.
func TestDevEnds(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run("while it waits: "+s.String(), func(t *testing.T) {
			d := develop(t, "--listen", "127.0.0.1:0")
			d.next()
			d.signal(s)
		})
	}
	endless := func(d *developer) {
		d.edit("main.c", func(s string) string {
			return strings.Replace(s, "return 0;", "if (pappus_item(0, 0)->data_len == 7) for (volatile int i = 0;; i++); return 0;", 1)
		})
	}
	t.Run("while a call runs", func(t *testing.T) {
		d := develop(t, "--listen", "127.0.0.1:0")
		d.next()
		endless(d)
		r := d.next()
		if r.Error != nil {
			t.Fatalf("%+v", r)
		}
		cl, err := client.New(strings.TrimSuffix(r.URL, "/v1/invoke/hello"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		ended := make(chan error, 1)
		go func() {
			answer, err := cl.Invoke(t.Context(), "hello", client.Invocation{Body: client.BytesBody([]byte("endless"), "text/plain")})
			if err == nil {
				err = answer.Close()
			}
			ended <- err
		}()
		for running := false; !running; {
			select {
			case err := <-ended:
				t.Fatalf("the call has ended: %v", err)
			default:
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cl.Address()+"/metrics", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(answer.Body)
			if err := errors.Join(err, answer.Body.Close()); err != nil {
				t.Fatal(err)
			}
			running = strings.Contains(string(text), "\npappus_permits_in_use 1\n")
		}
		d.signal(syscall.SIGTERM)
		if err := <-ended; err == nil {
			t.Error("the call went well")
		}
	})
	t.Run("while it tests", func(t *testing.T) {
		d := develop(t, "--listen", "127.0.0.1:0")
		d.next()
		d.stop()
		endless(d)
		for file, text := range map[string]string{"in/text/a": "endless", "case.json": `{"limits": {"timeout": "5m"}}`} {
			path := filepath.Join(d.dir, "cases", "another", file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d.start("dev", d.dir, "--listen", "127.0.0.1:0")
		first, err := d.lines.ReadString('\n')
		if err != nil || !strings.HasSuffix(first, " start\n") {
			t.Errorf("it begins with %q (%v)", first, err)
		}
		awaitLog(t, d.log, "testing hello: ")
		d.signal(syscall.SIGINT)
	})
}

// It can be ended while it builds, and takes the compiler with it.
func TestDevEndsWhileItBuilds(t *testing.T) {
	tools := t.TempDir()
	ready := filepath.Join(tools, "ready")
	if err := syscall.Mkfifo(ready, 0o600); err != nil {
		t.Fatal(err)
	}
	compiler := filepath.Join(tools, "cc")
	if err := os.WriteFile(compiler, []byte("#!/bin/sh\n(echo >"+ready+"; exec sleep 600) & wait\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CC", compiler)
	d := develop(t, "--listen", "127.0.0.1:0")
	if _, err := os.ReadFile(ready); err != nil { // waits for it
		t.Fatal(err)
	}
	d.stop()
}
