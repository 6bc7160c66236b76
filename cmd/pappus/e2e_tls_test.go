package main_test

import (
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// certificateFile is the certificate of httptest's TLS servers as a file.
func certificateFile(t *testing.T) []byte {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// An https server is trusted if the file that is named says so, and what keeps
// it from that is said with what to do.
func TestPrivateCertificates(t *testing.T) {
	list := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/v1/functions" {
			_, _ = w.Write([]byte(`{"items": []}`))
			return
		}
		_, _ = w.Write([]byte(`{"items": [{"name": "f", "version": 3, "digest": "sha256:00", "inputs": [], "outputs": [], "limits": {}}]}`))
	})
	secure := httptest.NewUnstartedServer(list)
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of clients that refuse it
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(list)
	defer plain.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, certificateFile(t), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CONFIG_HOME", dir)
	port := secure.URL[strings.LastIndex(secure.URL, ":"):]
	for _, c := range []struct {
		args []string
		says string // "" for success
	}{
		{[]string{"--server", secure.URL, "--ca", ca}, ""},
		{[]string{"--server", secure.URL}, "hint: if you trust the server, name the file of the certificate that signed its own with --ca; the address comes from --server"},
		{[]string{"--server", "https://localhost" + port, "--ca", ca}, "hint: call the server by a name that its certificate has"},
		{[]string{"--server", "http://127.0.0.1" + port}, "hint: check that the address is that of a Pappus server, and whether it wants http:// or https://; the address comes from --server"},
		{[]string{"--server", strings.Replace(plain.URL, "http:", "https:", 1), "--ca", ca}, "hint: the server speaks plain HTTP: write its address with http://"},
		{[]string{"--server", secure.URL, "--ca", filepath.Join(dir, "none.pem")}, "none.pem: no such file"},
		{[]string{"--server", secure.URL, "--ca", program}, "has none in PEM"},
	} {
		r := command(t.Context(), t, "", append([]string{"ls", "-q"}, c.args...)...)
		if c.says == "" && (r.exit != 0 || r.stdout != "f\n") || c.says != "" && (r.exit == 0 || !strings.Contains(r.stderr, c.says)) {
			t.Errorf("%q: exit %d, %q, %s; want %q", c.args, r.exit, r.stdout, r.stderr, c.says)
		}
	}
	if r := command(t.Context(), t, "", "context", "add", "secure", secure.URL, "--ca", ca, "--use"); r.exit != 0 {
		t.Fatal(r.stderr)
	}
	if r := command(t.Context(), t, "", "ls", "-q"); r.exit != 0 || r.stdout != "f\n" {
		t.Errorf("by the context: exit %d, %q, %s", r.exit, r.stdout, r.stderr)
	}
}
