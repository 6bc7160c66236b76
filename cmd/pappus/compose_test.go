package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pappus/client"
)

// A server that nobody named can be missing; one that somebody named can't.
func TestReachable(t *testing.T) {
	if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(defaultServer, "http://")); err == nil {
		_ = conn.Close()
		t.Skip("something listens at the usual address")
	}
	nothing := func(string) (string, bool) { return "", false }
	c := &commandLine{lookupEnv: nothing, configDir: func() (string, error) { return t.TempDir(), nil }}
	var b bytes.Buffer
	if cl, err := c.reachable(t.Context(), &b); cl != nil || err != nil || !strings.Contains(b.String(), "--offline") {
		t.Errorf("%v, %v, %q", cl, err, b.String())
	}
	c.global.server = "http://127.0.0.1:1"
	if cl, err := c.reachable(t.Context(), &b); cl != nil || !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("%v, %v", cl, err)
	}
}

// A file that is rewritten keeps its mode and stays where a link leads; one that
// can't be leaves nothing behind.
func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "a.comp"), filepath.Join(dir, "b.comp")
	if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if err := rewrite(filepath.Join(dir, "c.comp"), nil); err == nil {
		t.Error("a file that is not there was written")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}
