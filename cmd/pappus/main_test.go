package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pappus/client"
	"pappus/internal/contract"
)

// A program that was built with the race detector waits for a second when it
// ends, unless this variable says otherwise.
const (
	raceVariable = "GORACE"
	raceOptions  = "atexit_sleep_ms=10"
)

// program is the path of the command under test: the real one, built once.
var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if err := os.Setenv(raceVariable, raceOptions); err != nil {
		return complain(err)
	}
	dir, err := os.MkdirTemp("", "pappus")
	if err != nil {
		return complain(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system empties its folder for such
	program = filepath.Join(dir, "pappus")
	build := exec.Command("go", append([]string{"build", "-o", program}, append(raceFlag(), ".")...)...)
	if out, err := build.CombinedOutput(); err != nil {
		return complain(fmt.Errorf("%w\n%s", err, out))
	}
	if err := moreAtATime(); err != nil {
		return complain(err)
	}
	code := m.Run()
	if wholeRun() && code == 0 && checked.Load() == 0 {
		return complain(errors.New("no request was held to the API description"))
	}
	if err := goleak.Find(); err != nil && code == 0 {
		return complain(err)
	}
	return code
}

// moreAtATime lets twice as many tests run in parallel as there are processors,
// unless the command line says how many: they wait for processes.
func moreAtATime() error {
	flag.Parse()
	const parallel = "test.parallel"
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == parallel })
	if said {
		return nil
	}
	return flag.Set(parallel, strconv.Itoa(2*runtime.GOMAXPROCS(0)))
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// described is what all requests and answers between clients and servers are
// held to, those of the command line included; checked counts them.
var (
	described = func() *contract.Contract {
		document, err := os.ReadFile("../../server/openapi.yaml")
		if err != nil {
			panic(err)
		}
		c, err := contract.Load(document)
		if err != nil {
			panic(err)
		}
		return c
	}()
	checked atomic.Int64
)

// wholeRun reports whether all tests of the package run.
func wholeRun() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

// process is a running server.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	dir    string // of its data
	url    string // where clients call it: at the tap
	direct string // its own address, HOST:PORT, for tests of its connections' buffers
	tap    *contract.Tap
	client *client.Client
	http   *http.Client
	log    *output
	ended  bool
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// take is what was written since the last call, of which String does not tell
// any more.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	return o.text.String()
}

// serve starts a server on a free port. It is stopped when the test ends, and
// must then end well.
func serve(t testing.TB, dir string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, log: &output{}}
	p.cmd = exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", dir}, flags...)...)
	p.cmd.Stderr = p.log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	var ok bool
	if p.url, ok = strings.CutPrefix(strings.TrimSuffix(line, "\n"), "listening on "); !ok || err != nil {
		t.Fatalf("the server says %q (%v)\n%s", line, err, p.log)
	}
	var scheme string
	scheme, p.direct, _ = strings.Cut(p.url, "://")
	if p.tap, err = described.NewTap(t.Context(), p.direct); err != nil {
		t.Fatal(err)
	}
	p.url = scheme + "://" + p.tap.Address()
	p.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(p.http.CloseIdleConnections)
	if p.client, err = client.New(p.url, p.http); err != nil {
		t.Fatal(err)
	}
	return p
}

// stop ends the server as an operator does.
func (p *process) stop() {
	if p.ended {
		return
	}
	p.ended = true
	p.http.CloseIdleConnections()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
	killer := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	defer killer.Stop()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the server ended with %v", err)
	}
	p.closeTap()
	if log := p.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "DATA RACE") || strings.Contains(log, "level=ERROR") {
		p.t.Errorf("the server's log:\n%s", log)
	}
}

// kill ends the server as a power failure does.
func (p *process) kill() {
	p.ended = true
	p.http.CloseIdleConnections()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	_ = p.cmd.Wait() // it was killed
	p.closeTap()
}

// closeTap says what was not as the API description has it.
func (p *process) closeTap() {
	if p.tap == nil { // it never listened
		return
	}
	report, err := p.tap.Close()
	if err != nil {
		p.t.Error(err)
	}
	for _, err := range report.Errors {
		p.t.Error(err)
	}
	checked.Add(int64(report.Checked))
	p.t.Logf("%d exchanges are as described; %d connections were not looked at to their end", report.Checked-len(report.Errors), report.Skipped)
}

// push registers code, or returns what the server says against it.
func (p *process) push(name string, code []byte, opts client.PutOptions) (*client.Function, error) {
	f, _, err := p.client.PutFunction(p.t.Context(), name, client.BytesBody(code, "application/wasm"), opts)
	return f, err
}

// do sends a request and returns the answer.
func (p *process) do(method, path, contentType, body string, header ...string) (status int, answer http.Header, content string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// result is what a command left.
type result struct {
	exit           int
	stdout, stderr string
}

// command runs a verb against the server, or without one if p has none.
func command(ctx context.Context, t testing.TB, server string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "PAPPUS_SERVER="+server)
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	return read(t, filepath.Join("../../samples", name, name+".wasm"))
}

func hostileModule(t testing.TB, name string) []byte {
	t.Helper()
	return read(t, filepath.Join("../../wasmengine/testdata/hostile", name+".wasm"))
}
