package main_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"pappus/client"
	"pappus/iofuncs/egress/egresstest"
	"pappus/samples"
)

// logServers hands out the logs of a case, each by a server of its own, and
// returns where.
func logServers(t *testing.T, handler func(content http.Handler) http.Handler) (uris, hosts []string) {
	t.Helper()
	logs, err := fs.Sub(samples.Files(), "logcount/cases/errors/in/logs")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web-01.log", "web-02.log", "db-01/today.log"} {
		s := httptest.NewServer(handler(http.FileServerFS(logs)))
		t.Cleanup(s.Close)
		uris = append(uris, s.URL+"/"+name)
		hosts = append(hosts, strings.TrimPrefix(s.URL, "http://"))
	}
	return uris, hosts
}

func plain(content http.Handler) http.Handler { return content }

// The paper's example: servers and a pattern in, a number out.
func TestLogsOfServers(t *testing.T) {
	uris, hosts := logServers(t, plain)
	p := serve(t, t.TempDir(), "--egress-allow", hosts[0]+","+hosts[1], "--egress-allow", hosts[2])
	p.pushComposition(t, "logcount-http")
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte(strings.Join(uris, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	want := read(t, "../../samples/logcount/cases/errors/out/total/total")
	r := command(t.Context(), t, p.url, "invoke", "logcount-http", "--in", "servers="+list, "--in", "pattern=text:ERROR")
	if r.exit != 0 || r.stdout != string(want) {
		t.Errorf("exit code %d: %q, want %q\n%s", r.exit, r.stdout, want, r.stderr)
	}

	// The same, as the paper's script has it.
	p.compose(t, "script", `input set serverList
input item eventPattern
output item totalSum
ephemeral set requestSet, logSet, partialSums
requestSet = httpmake(serverList)
logSet = for each getRequest in requestSet : system_HTTPGet(getRequest)
partialSums = for each log in logSet : sumoccurrence(log, eventPattern)
totalSum = sum(partialSums)
`)
	r = command(t.Context(), t, p.url, "invoke", "script", "--in", "serverList="+list, "--in", "eventPattern=text:ERROR")
	if r.exit != 0 || r.stdout != string(want) {
		t.Errorf("script: exit code %d: %q, want %q\n%s", r.exit, r.stdout, want, r.stderr)
	}

	// One of them leads where nobody may go.
	if err := os.WriteFile(list, []byte(uris[0]+"\nhttp://169.254.169.254/latest/meta-data/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = command(t.Context(), t, p.url, "invoke", "logcount-http", "--in", "servers="+list, "--in", "pattern=text:ERROR")
	for _, part := range []string{"egress-refused", "metadata 169.254.169.254/32", "list-2"} {
		if r.exit == 0 || !strings.Contains(r.stderr, part) {
			t.Errorf("exit code %d, without %q:\n%s", r.exit, part, r.stderr)
		}
	}
}

// How requests fail that a running server makes.
func TestHTTPFaults(t *testing.T) {
	release := make(chan struct{})
	_, hosts := logServers(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				<-release
			case "/inside":
				http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
			case "/large":
				_, _ = w.Write(make([]byte, 2<<20)) // the client may have left
			}
		})
	})
	defer close(release)
	p := serve(t, t.TempDir(), "--egress-allow", hosts[0], "--http-limits", "response=100ms,body=1MiB,attempts=1", "--io-limits", "calls=4,tenant-calls=2")
	at := "http://" + hosts[0]
	for request, want := range map[string][2]string{
		at + "/slow":          {"io-timeout", "(http-limits response)"},
		at + "/inside":        {"egress-refused", "loopback 127.0.0.0/8"},
		at + "/large":         {"io-failed", "larger than 1048576 bytes"},
		"http://" + hosts[1]:  {"egress-refused", "egress-allow " + hosts[1]},
		"ftp://" + hosts[0]:   {"io-failed", "does not begin with http"},
		"http://127.0.0.1:1/": {"egress-refused", "loopback"},
	} {
		for _, name := range []string{"HTTP", "system_HTTPGet"} {
			item := request
			if name == "HTTP" {
				item = "GET " + request + " HTTP/1.1\n\n"
			}
			status, _, body := p.do("POST", "/v1/invoke/"+name+"?set=requests", "", item)
			if status < 400 || !strings.Contains(body, `/`+want[0]+`"`) || !strings.Contains(body, want[1]) {
				t.Errorf("%s %s: %d %s, want %q", name, request, status, body, want)
			}
		}
	}
	if status, _, _ := p.do("GET", "/v1/invoke/HTTP?in.requests=x", "", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET of what is not pure: %d", status)
	}
}

// Whoever answers requests writes nothing into the log.
func TestAnswersAreNotLogged(t *testing.T) {
	_, hosts := logServers(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()                                                                                     // the client has closed it
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX: it-is-secret\r\n\r\n") // it is seen below
			_, _ = io.Copy(io.Discard, conn)
		})
	})
	p := serve(t, t.TempDir(), "--egress-allow", hosts[0], "--log-level", "debug")
	if status, _, body := p.do("POST", "/v1/invoke/HTTP?set=requests", "", "GET http://"+hosts[0]+"/ HTTP/1.1\n\n"); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	log := awaitLog(t, p.log, "Unsolicited response")
	if !strings.Contains(log, "level=DEBUG msg=\"a library has something to say\" what=\"Unsolicited") || strings.Contains(log, "secret") {
		t.Error(log)
	}
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("%q is no line of the log", line)
		}
	}
}

// A request is made also if nobody wants to know what came of it.
func TestUnusedAnswers(t *testing.T) {
	var asked atomic.Int64
	_, hosts := logServers(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				asked.Add(1)
			}
		})
	})
	p := serve(t, t.TempDir(), "--egress-allow", hosts[0])
	p.pushComposition(t, "logcount")
	p.compose(t, "notify", `function HTTP (requests) => (headers, bodies);
function Sum = "sum" (numbers) => (total);
composition notify(requests, numbers) => (total) {
	HTTP(requests = each requests) => ();
	Sum(numbers = all numbers) => (total = total);
}`)
	request := []byte("POST http://" + hosts[0] + "/ HTTP/1.1\n\nx")
	got, end := p.call(t, "notify", client.Invocation{
		Body: multipartBody(t, map[string][]byte{"requests/a": request, "requests/b": request, "numbers/a": []byte("1 2")}), Accept: client.TypeMultipart,
	})
	if end != "ok" || !bytes.Equal(got["total/total"], []byte("3\n")) || asked.Load() != 2 {
		t.Errorf("%s: %q, asked %d times", end, got, asked.Load())
	}
}

// Answers are used again, by a server that is started again too if they lie on
// disk, and never where the rules of the moment would refuse to ask.
func TestAnswersAreKept(t *testing.T) {
	var asked atomic.Int64
	_, hosts := logServers(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=1000")
			_, _ = fmt.Fprint(w, asked.Add(1)) // the test sees what is missing
		})
	})
	host := hosts[0]
	file, dir := filepath.Join(t.TempDir(), "pappus.yaml"), t.TempDir()
	allowed, denied := "egress-allow: ['"+host+"']\n", "egress-deny: ['"+host+"']\n"
	if err := os.WriteFile(file, []byte(allowed), 0o600); err != nil {
		t.Fatal(err)
	}
	var p *process
	get := func(want string) {
		t.Helper()
		status, _, body := p.do("POST", "/v1/invoke/system_HTTPGet?set=requests", "", "http://"+host)
		if want != "" && (status != http.StatusOK || body != want) || want == "" && !strings.Contains(body, "/egress-refused") {
			t.Errorf("%d %s, want %q", status, body, want)
		}
	}
	p = serve(t, dir, "--config", file, "--io-cache-disk", "1MiB")
	get("1")
	get("1")
	if hits, bytes := p.counts(`pappus_io_cache_requests_total{result="hit"}`), p.counts("pappus_io_cache_served_bytes_total"); hits != "1" || bytes != "1" {
		t.Errorf("%v hits, %v bytes", hits, bytes)
	}
	const readAgain = "the configuration was read again"
	log := p.hangUp(t, file, allowed+denied, readAgain)
	if want := `setting=egress-deny old=none new=` + host; !strings.Contains(log, want) {
		t.Errorf("the log does not say %q:\n%s", want, log)
	}
	get("")
	for _, text := range []string{"ca-bundle: /nowhere/ca.pem", "proxy: http://a\nproxy-credentials: /nowhere/proxy", "proxy-credentials: /nowhere", "proxy: http://user:secret@a"} {
		log = p.hangUp(t, file, allowed+text+"\n", "the configuration is not changed")
		if strings.Contains(log, "secret") || !strings.Contains(log, "/nowhere") && !strings.Contains(log, "proxy") {
			t.Errorf("the log is\n%s", log)
		}
		get("")
	}
	p.hangUp(t, file, "egress-allow: ['other@"+host+"']\n", readAgain)
	get("")
	p.hangUp(t, file, allowed, readAgain)
	get("1") // under the rules by which it was fetched
	p.hangUp(t, file, allowed+"egress-deny: [198.51.100.1]\n", readAgain)
	get("2")
	p.stop()

	p = serve(t, dir, "--config", file, "--io-cache-disk", "1MiB")
	get("2")
	p.stop()
	p = serve(t, dir, "--config", file, "--io-cache", "0")
	get("3")
	get("4")
	p.stop()
	if _, err := os.Stat(filepath.Join(dir, "io-cache")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was kept is still there: %v", err)
	}
	p = serve(t, dir, "--config", file)
	get("5")
	get("5")
}

// A server has the connections of its functions made by a proxy, with credentials that
// it reads again.
func TestConnectionsByProxy(t *testing.T) {
	var asked atomic.Int64
	_, hosts := logServers(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, asked.Add(1)) })
	})
	proxy := egresstest.NewProxy(t, nil)
	credentials := filepath.Join(t.TempDir(), "credentials")
	say := func(text string) {
		t.Helper()
		if err := os.WriteFile(credentials, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("user:first\n")
	p := serve(t, t.TempDir(), "--egress-allow", hosts[0], "--proxy", proxy.URL, "--proxy-credentials", credentials)
	get := func() {
		t.Helper()
		if status, _, body := p.do("POST", "/v1/invoke/system_HTTPGet?set=requests", "", "http://"+hosts[0]); status != http.StatusOK {
			t.Errorf("%d %s", status, body)
		}
	}
	get()
	get()
	say("user:second")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	log := awaitLog(t, p.log, "the configuration was read again")
	get()
	want := []string{hosts[0] + " Basic " + base64.StdEncoding.EncodeToString([]byte("user:first")), hosts[0] + " Basic " + base64.StdEncoding.EncodeToString([]byte("user:second"))}
	if got := proxy.Asked(); !slices.Equal(got, want) {
		t.Errorf("the proxy is asked for %q, want %q", got, want)
	}
	p.stop()
	if log += p.log.take(); strings.Contains(log, "first") || strings.Contains(log, "second") {
		t.Errorf("the log tells credentials:\n%s", log)
	}
}
