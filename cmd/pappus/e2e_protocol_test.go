package main_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pappus/client"
)

// overHTTP2 is a client that speaks nothing but HTTP/2.
func overHTTP2(t testing.TB, roots *x509.CertPool) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{RootCAs: roots}}
	transport.Protocols.SetHTTP2(roots != nil)
	transport.Protocols.SetUnencryptedHTTP2(roots == nil)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// What a server does over HTTP/1.1 it does over HTTP/2, on one connection for
// all, without and with encryption.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	chain, key, roots := certify(t, t.TempDir(), "localhost")
	for name, c := range map[string]struct {
		flags []string
		roots *x509.CertPool
	}{
		"without encryption": {},
		"encrypted":          {[]string{"--tls-cert", chain, "--tls-key", key}, roots},
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, t.TempDir(), c.flags...)
			hc := overHTTP2(t, c.roots)
			p.url, p.http = strings.Replace(p.url, "127.0.0.1", "localhost", 1), hc
			cl, err := client.New(p.url, hc)
			if err != nil {
				t.Fatal(err)
			}
			code := hostileModule(t, "echo-grow")
			f, _, err := cl.PutFunction(t.Context(), "echo", client.BytesBody(code, "application/wasm"), client.PutOptions{Inputs: []string{"in"}, Outputs: []string{"out"}})
			if err != nil || f.Version != 1 {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					content := bytes.Repeat([]byte{byte(i)}, i*10_000)
					a, err := cl.Invoke(t.Context(), "echo", client.Invocation{Body: client.BytesBody(content, "application/octet-stream")})
					if err != nil {
						t.Error(err)
						return
					}
					defer a.Close()
					if got, err := io.ReadAll(a.Body); err != nil || !bytes.Equal(got, content) {
						t.Errorf("call %d: %d bytes of %d, %v", i, len(got), len(content), err)
					}
				})
			}
			wg.Wait()
			var missing *client.Problem
			if _, err := cl.Invoke(t.Context(), "none", client.Invocation{Body: client.BytesBody(make([]byte, 2<<20), "")}); !errors.As(err, &missing) || missing.Code() != "unknown-function" {
				t.Errorf("a function that does not exist: %v", err)
			}
			// A caller that goes away ends what it called.
			loop := client.BytesBody(hostileModule(t, "loop"), "application/wasm")
			if _, _, err := cl.PutFunction(t.Context(), "spin", loop, client.PutOptions{Inputs: []string{"in"}, Outputs: []string{"out"}, Timeout: "1m"}); err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			ended := make(chan error, 1)
			go func() {
				_, err := cl.Invoke(ctx, "spin", client.Invocation{})
				ended <- err
			}()
			for p.metric("pappus_permits_in_use") == 0 && len(ended) == 0 {
				time.Sleep(5 * time.Millisecond) // there is nothing to wait for but the figure
			}
			leave()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("it went away: %v", err)
			}
			p.settle("pappus_permits_in_use", 0)
		})
	}
}

// With a certificate every connection is encrypted, by either protocol, and
// only names that the server was told are answered.
func TestEncrypted(t *testing.T) {
	chain, key, roots := certify(t, t.TempDir(), "localhost", "pappus.example")
	p := serve(t, t.TempDir(), "--tls-cert", chain, "--tls-key", key)
	if !strings.HasPrefix(p.url, "https://") {
		t.Fatalf("it listens on %s", p.url)
	}
	address := strings.TrimPrefix(p.url, "https://")
	ask := func(url, host string) (*http.Response, error) { // the answer's body has been read
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		req.Host = host
		hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}, ForceAttemptHTTP2: false, DisableKeepAlives: true}}
		resp, err := hc.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			err = errors.Join(err, resp.Body.Close())
		}
		return resp, err
	}
	for host, status := range map[string]int{"localhost": 200, "pappus.example": 403} {
		if resp, err := ask("https://"+address+"/healthz", host); err != nil || resp.StatusCode != status || //nolint:bodyclose // ask closes it
			resp.ProtoMajor != 1 || resp.TLS.Version < tls.VersionTLS12 {
			t.Errorf("%s: %v %v", host, resp, err)
		}
	}
	if old, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Errorf("it speaks TLS of version %x", old.ConnectionState().Version)
		_ = old.Close()
	}
	//nolint:bodyclose // ask closes it
	if resp, err := ask("http://"+address+"/healthz", "localhost"); err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("without encryption: %v %v", resp, err)
	}
	// Files that are replaced are taken with SIGHUP, if they are good.
	now := func() *big.Int {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber
	}
	first := now()
	awaitLog(t, p.log, "msg=serving")
	p.hangUp(t, key, "no key", "the configuration is not changed")
	if now().Cmp(first) != 0 {
		t.Error("a bad file changed the certificate")
	}
	p.log.take()
	_, _, roots = certify(t, filepath.Dir(chain), "localhost")
	log := p.hangUp(t, filepath.Join(t.TempDir(), "nothing"), "", "the configuration was read again")
	if !strings.Contains(log, `level=INFO msg="the certificate is replaced" file=`+chain+" names=localhost,127.0.0.1 expires=") {
		t.Errorf("the log does not say that the certificate is another:\n%s", log)
	}
	if log = p.hangUp(t, filepath.Join(t.TempDir(), "nothing"), "", "the configuration was read again"); strings.Contains(log, "certificate") {
		t.Errorf("the same certificate is told of:\n%s", log)
	}
	if now().Cmp(first) == 0 {
		t.Error("the certificate is the old one")
	}
	for _, flags := range [][]string{{"--tls-cert", chain}, {"--tls-key", key}, {"--tls-cert", chain, "--tls-key", chain}, {"--tls-cert", "/nothing", "--tls-key", key}} {
		r := command(t.Context(), t, "", append([]string{"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, flags...)...)
		if r.exit == 0 || !strings.Contains(r.stderr, "tls-cert") {
			t.Errorf("%v: %d %s", flags, r.exit, r.stderr)
		}
	}
}

// certify makes a certificate that signs itself, for names and 127.0.0.1.
func certify(t testing.TB, dir string, names ...string) (chain, key string, roots *x509.CertPool) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	chain, key = filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := errors.Join(os.WriteFile(chain, text, 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)); err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return chain, key, roots
}

// A client that asks before it sends a body hears 100 when the body is wanted,
// and else why it is not, without having sent it.
func TestContinue(t *testing.T) {
	p := serve(t, t.TempDir(), "--max-body", "1MiB")
	if _, err := p.push("echo", hostileModule(t, "echo-grow"), client.PutOptions{Inputs: []string{"in"}, Outputs: []string{"out"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		head string
		want string // first line of what is heard
	}{
		"wanted":         {"POST /v1/invoke/echo HTTP/1.1\r\nContent-Length: 5\r\n", "HTTP/1.1 100 Continue"},
		"too large":      {"POST /v1/invoke/echo HTTP/1.1\r\nContent-Length: 2000000\r\n", "HTTP/1.1 413 Request Entity Too Large"},
		"unknown":        {"POST /v1/invoke/none HTTP/1.1\r\nContent-Length: 5\r\n", "HTTP/1.1 404 Not Found"},
		"compressed":     {"POST /v1/invoke/echo HTTP/1.1\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n", "HTTP/1.1 415 Unsupported Media Type"},
		"bad query":      {"POST /v1/invoke/echo?keys=1 HTTP/1.1\r\nContent-Length: 5\r\n", "HTTP/1.1 400 Bad Request"},
		"reserved name":  {"PUT /v1/functions/HTTP HTTP/1.1\r\nContent-Length: 5\r\n", "HTTP/1.1 409 Conflict"},
		"a foreign page": {"POST /v1/invoke/echo HTTP/1.1\r\nContent-Length: 5\r\nOrigin: https://evil.example\r\n", "HTTP/1.1 403 Forbidden"},
		"something else": {"POST /v1/invoke/echo HTTP/1.1\r\nContent-Length: 5\r\nExpect: 200-ok\r\n", "HTTP/1.1 417 Expectation Failed"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(c.head, "Expect") {
				c.head += "Expect: 100-continue\r\n"
			}
			if _, err := io.WriteString(conn, c.head+"Host: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			answer := bufio.NewReader(conn)
			line, err := answer.ReadString('\n')
			if err != nil || strings.TrimSpace(line) != c.want {
				t.Fatalf("%q %v", line, err)
			}
			if name != "wanted" {
				return
			}
			if _, err := answer.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "hello"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(answer, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if content, err := io.ReadAll(resp.Body); err != nil || string(content) != "hello" {
				t.Errorf("%q %v", content, err)
			}
		})
	}
}

// pattern is content of any size that takes little memory, and by which a part
// that is in the wrong place is found: a block that no power of two divides, over
// and over.
type pattern struct{ at, size int64 }

var block = func() []byte {
	b := make([]byte, 1<<20+7)
	_, _ = rand.Read(b) // it never fails
	return b
}()

// next is what comes next, at most n bytes of it.
func (p *pattern) next(n int) []byte {
	at := p.at % int64(len(block))
	b := block[at:min(int64(len(block)), at+min(int64(n), p.size-p.at))]
	p.at += int64(len(b))
	return b
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	return copy(b, p.next(len(b))), nil
}

// Write compares what comes with the pattern.
func (p *pattern) Write(b []byte) (int, error) {
	for n := 0; n < len(b); {
		at := p.at
		want := p.next(len(b) - n)
		if len(want) == 0 || !bytes.Equal(b[n:n+len(want)], want) {
			return n, fmt.Errorf("what comes is not what was sent, somewhere from byte %d on", at)
		}
		n += len(want)
	}
	return len(b), nil
}

// A gigabyte goes in and out, and is in the server's memory once: where the
// function sees it.
func TestLargeBodies(t *testing.T) {
	size := int64(256 << 20)
	if os.Getenv("PAPPUS_BODIES") == "all" {
		size = 1 << 30
	}
	p := serve(t, t.TempDir(), "--max-body", "1100MiB", "--max-limits", "memory=2GiB,output=2GiB", "--memory-budget", "6GiB")
	options := client.PutOptions{Inputs: []string{"in"}, Outputs: []string{"out"}, Memory: "2GiB", OutputLimit: "2GiB", Timeout: "1m"}
	if _, err := p.push("echo", hostileModule(t, "echo-in-place"), options); err != nil {
		t.Fatal(err)
	}
	form, err := client.ItemsBody([]client.Item{
		{Set: "in", Name: "a", Body: &pattern{size: size / 2}, Size: size / 2},
		{Set: "in", Name: "b", Key: 1, Body: &pattern{size: size / 2}, Size: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		body client.Body
	}{
		{"raw", client.Body{Reader: &pattern{size: size}, Size: size}},
		{"chunked", client.Body{Reader: &pattern{size: size}, Size: -1}},
		{"form", form},
	} {
		answer, err := p.client.Invoke(t.Context(), "echo", client.Invocation{Body: c.body})
		if err != nil {
			t.Fatal(c.name, err)
		}
		if answer.Type == client.TypeMultipart {
			n := 0
			for o, err := range answer.Items() {
				want := &pattern{size: size / 2}
				if err == nil {
					_, err = io.Copy(want, o.Body)
				}
				if err != nil || want.at != want.size {
					t.Errorf("%s %s: %d bytes, %v", c.name, o.Name, want.at, err)
				}
				n++
			}
			if n != 2 {
				t.Errorf("%s: %d items", c.name, n)
			}
		} else {
			want := &pattern{size: size}
			if _, err := io.Copy(want, answer.Body); err != nil || want.at != want.size {
				t.Errorf("%s: %d bytes, %v", c.name, want.at, err)
			}
		}
		if err := answer.Close(); err != nil {
			t.Error(err)
		}
	}
	peak := p.status(t, "VmHWM")
	t.Logf("the server had %d MiB at most", peak>>20)
	if most := size + 128<<20; peak > most && len(raceFlag()) == 0 {
		t.Errorf("the server had %d bytes at most, more than %d", peak, most)
	}
}

// A body that ends early is a mistake of the request, and OPTIONS of everything is
// a request like others.
func TestOddRequests(t *testing.T) {
	p := serve(t, t.TempDir())
	for request, want := range map[string]string{
		"PUT /v1/functions/f/tags/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nab": "HTTP/1.1 400 Bad Request",
		"PUT /v1/functions/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nab":        "HTTP/1.1 400 Bad Request",
		"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n":                                       "HTTP/1.1 403 Forbidden",
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if tcp, ok := conn.(*net.TCPConn); ok && strings.HasPrefix(request, "PUT") {
			if err := tcp.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
			t.Errorf("%q: %q %v", request, line, err)
		}
		_ = conn.Close()
	}
}

// A signal ends a command also while it reads standard input.
func TestInterruptedWhileReading(t *testing.T) {
	p := serve(t, t.TempDir())
	if _, err := p.push("echo", hostileModule(t, "echo-grow"), client.PutOptions{Inputs: []string{"in"}, Outputs: []string{"out"}}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "invoke", "echo", "--raw", "-", "--server", p.url)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, strings.Repeat("x", 200<<10)); err != nil {
		t.Fatal(err)
	}
	// A pipe holds less, so that it reads by now.
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its exit code says how it ended
	if cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("%v: %s", cmd.ProcessState, stderr.String())
	}
}
