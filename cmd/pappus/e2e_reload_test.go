package main_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pappus/client"
)

// awaitLog waits until the log has a text and takes what it has by then.
func awaitLog(t *testing.T, log *output, text string) string {
	t.Helper()
	const patience = time.Minute
	for deadline := time.Now().Add(patience); ; {
		if strings.Contains(log.String(), text) {
			return log.take()
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q:\n%s", text, log)
		}
		time.Sleep(time.Millisecond)
	}
}

// hangUp writes a configuration, has the server read it again, and returns what
// that logs.
func (p *process) hangUp(t *testing.T, file, text, until string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.log.take()
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	return awaitLog(t, p.log, until)
}

func wantLines(t *testing.T, log string, want ...string) {
	t.Helper()
	if n := strings.Count(log, "\n"); n != len(want) {
		t.Errorf("%d lines instead of %d", n, len(want))
	}
	for _, line := range want {
		if !strings.Contains(log, line) {
			t.Errorf("the log does not say: %s", line)
		}
	}
	if t.Failed() {
		t.Fatalf("the log:\n%s", log)
	}
}

// A server that runs takes what can change from the file, says what can't, and
// is left as it was by a file that is bad.
func TestReload(t *testing.T) {
	const (
		readAgain = "the configuration was read again"
		unchanged = "the configuration is not changed"
		friend    = "https://friend.example"
		other     = "https://other.example"
	)
	file := filepath.Join(t.TempDir(), "pappus.yaml")
	if err := os.WriteFile(file, []byte("max-body: 1KiB\nqueue-timeout: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serve(t, t.TempDir(), "--config", file, "--queue-timeout", "9s", "--memory-budget", "1GiB")
	awaitLog(t, p.log, "msg=serving")
	if _, err := p.push("f", sample(t, "wordcount"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	want := func(size int, origin string, status int) {
		t.Helper()
		var header []string
		if origin != "" {
			header = []string{"Origin", origin}
		}
		got, answer, text := p.do(http.MethodPost, "/v1/invoke/f", "text/plain", strings.Repeat("a ", size/2), header...)
		if allowed := answer.Get("Access-Control-Allow-Origin"); got != status || got == http.StatusOK && allowed != origin {
			t.Errorf("%d bytes from %q: %d, not %d; for %q: %s", size, origin, got, status, allowed, text)
		}
	}
	want(1000, "", http.StatusOK)
	want(2000, "", http.StatusRequestEntityTooLarge)
	want(1000, friend, http.StatusForbidden)

	// better; queue-timeout is a flag's, whatever the file says
	log := p.hangUp(t, file, "max-body: 4KiB\nqueue-timeout: 2s\norigin: ["+friend+"]\n", readAgain)
	wantLines(t, log,
		`level=INFO msg="a setting is changed" setting=max-body old=1KiB new=4KiB from=`+file+":1\n",
		`level=INFO msg="a setting is changed" setting=origin old=none new=https://friend.example from=`+file+":3\n",
		`level=INFO msg="the configuration was read again" file=`+file+" changed=2 need_restart=0\n")
	want(2000, "", http.StatusOK)
	want(2000, friend, http.StatusOK)
	want(5000, "", http.StatusRequestEntityTooLarge)

	// bad: nothing changes, not even what is good in it
	log = p.hangUp(t, file, "max-body: 1MiB\norigins: ["+other+"]\nwaiting: 0\n", "waiting")
	wantLines(t, log,
		`level=ERROR msg="the configuration is not changed" file=`+file+` reason="`+file+`:2:1: origins: there is no such setting; did you mean origin?"`,
		`level=ERROR msg="the configuration is not changed" file=`+file+` reason="`+file+`:3:10: waiting: 0 is out of bounds`)
	log = p.hangUp(t, file, "max-body: 1MiB\ndefault-limits: {memory: 64MiB}\nmax-limits: {memory: 32MiB}\n", unchanged)
	wantLines(t, log, file+":2: default-limits: memory is 64MiB; the most that is allowed is 32MiB")
	log = p.hangUp(t, file, "max-body: [1MiB\n", unchanged)
	wantLines(t, log, "it is not YAML")
	want(5000, "", http.StatusRequestEntityTooLarge)
	want(2000, friend, http.StatusOK)

	// gone: the same
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	wantLines(t, awaitLog(t, p.log, unchanged), "no such file or directory")
	want(2000, friend, http.StatusOK)

	// what needs a restart is named, each time, and the rest is taken
	for range 2 {
		log = p.hangUp(t, file, "max-body: 4KiB\norigin: ["+other+"]\nworkers: 3\ncode-cache: 0\nallow-remote: true\nlisten: 0.0.0.0:1\ndefault-limits: memory=2MiB\n", readAgain)
		for _, line := range []string{
			`level=WARN msg="a setting needs a restart to change" setting=workers running="one for each processor" wanted=3 from=` + file + ":3\n",
			`setting=code-cache running=1GiB wanted=0 from=` + file + ":4\n",
			`setting=allow-remote running=false wanted=true from=` + file + ":5\n",
			` need_restart=3` + "\n",
		} {
			if !strings.Contains(log, line) {
				t.Errorf("the log does not say %s:\n%s", line, log)
			}
		}
	}
	want(2000, friend, http.StatusForbidden)
	want(2000, other, http.StatusOK)
	if status, _, _ := p.do(http.MethodGet, "/healthz", "", "", "Host", "192.0.2.1"); status != http.StatusForbidden {
		t.Errorf("another machine's address is answered with %d", status)
	}
	if r := command(t.Context(), t, p.url, "push", "../../samples/wordcount/wordcount.wasm", "--name", "g", "--json"); !strings.Contains(r.stdout, `"memory": "2MiB"`) {
		t.Errorf("a new function has other limits: %s%s", r.stdout, r.stderr)
	}

	// back to the defaults, and no log but what went wrong
	log = p.hangUp(t, file, "log-level: error\naccess-log: true\n", readAgain)
	wantLines(t, log, "setting=max-body old=4KiB new=64MiB from=default\n", "setting=origin old=https://other.example new=none", "setting=log-level old=info new=error",
		"setting=access-log old=false new=true", `setting=default-limits old="memory=2MiB" new="those of docs/limits.md"`, "changed=5 need_restart=0")
	want(5000, "", http.StatusOK)
	if text := p.log.take(); text != "" {
		t.Errorf("the log is %s", text)
	}
	log = p.hangUp(t, file, "log-level: info\naccess-log: true\n", readAgain)
	wantLines(t, log, "setting=log-level old=error new=info", "changed=1")
	want(5000, "", http.StatusOK)
	awaitLog(t, p.log, "msg=request")
}

// Requests go on while the configuration is read again and again.
func TestReloadUnderLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pappus.yaml")
	texts := []string{"max-body: 1MiB\norigin: [https://a.example]\n", "max-body: 2MiB\nwaiting: 100\nqueue-timeout: 9s\nloaded-code: 0\n"}
	if err := os.WriteFile(file, []byte(texts[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serve(t, t.TempDir(), "--config", file)
	awaitLog(t, p.log, "msg=serving")
	if _, err := p.push("f", sample(t, "wordcount"), client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, _, text := p.do(http.MethodPost, "/v1/invoke/f", "text/plain", "a b"); status != http.StatusOK {
					t.Errorf("%d %s", status, text)
					return
				}
			}
		})
	}
	for i := range 40 {
		p.hangUp(t, file, texts[(i+1)%2], "the configuration was read again")
	}
	close(stop)
	wg.Wait()
}

// Without a file there is nothing to read again.
func TestHangUpWithoutConfiguration(t *testing.T) {
	p := serve(t, t.TempDir())
	awaitLog(t, p.log, "msg=serving")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	wantLines(t, awaitLog(t, p.log, "\n"), `level=WARN msg="there is no configuration to read again: the server was started without --config"`)
	if status, _, _ := p.do(http.MethodGet, "/readyz", "", ""); status != http.StatusOK {
		t.Errorf("it answers %d", status)
	}
}

// A signal that comes while a server starts waits until it is ready. The server
// is held up where it says that it listens, by a pipe that is full.
func TestHangUpWhileStarting(t *testing.T) {
	stdout, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	filled := 0
	if err := write.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := write.Write(make([]byte, 4096))
		filled += n
		if err != nil {
			break // it is full
		}
	}
	file := filepath.Join(t.TempDir(), "pappus.yaml")
	config := []byte("memory-budget: 8MiB\n")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	log := &output{}
	cmd := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--config", file)
	cmd.Stdout, cmd.Stderr = write, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
	}()
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, log, "bodies are limited") // which a server with so little memory says before it listens
	if err := os.WriteFile(file, append(config, "max-body: 1KiB\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(stdout)
	if n, err := reader.Discard(filled); err != nil {
		t.Fatalf("%v after %d bytes", err, n)
	}
	line, err := reader.ReadString('\n')
	if !strings.HasPrefix(line, "listening on ") {
		t.Fatalf("%q, %v", line, err)
	}
	if text := awaitLog(t, log, "read again"); !strings.Contains(text, "setting=max-body old=64MiB new=1KiB") {
		t.Errorf("the log is %s", fmt.Sprint(text))
	}
}

// A server that is asked to stop says what it waits for.
func TestStoppingIsLogged(t *testing.T) {
	p := serve(t, t.TempDir(), "--shutdown", "59s")
	if _, err := p.push("loop", hostileModule(t, "loop"), client.PutOptions{Timeout: "1m"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	called := make(chan error, 1)
	go func() {
		answer, err := p.client.Invoke(ctx, "loop", client.Invocation{Body: client.BytesBody([]byte("a"), "text/plain")})
		if err == nil {
			err = answer.Close()
		}
		called <- err
	}()
	for p.metric("pappus_permits_in_use") == 0 {
		time.Sleep(time.Millisecond)
	}
	p.ended = true
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	log := awaitLog(t, p.log, "msg=\"stopping: what runs may finish\"")
	if !strings.Contains(log, " running=1 at_most=59s until=") {
		t.Errorf("the log is %s", log)
	}
	cancel()
	if err := <-called; err == nil {
		t.Error("the call went well")
	}
	p.http.CloseIdleConnections()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	awaitLog(t, p.log, "msg=stopped")
	p.closeTap()
}
