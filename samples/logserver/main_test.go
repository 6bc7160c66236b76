package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFilesAreHandedOut(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log"), []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	said, out := io.Pipe()
	done := make(chan error)
	go func() { done <- run(ctx, []string{dir}, out) }()
	line, err := bufio.NewReader(said).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]string{"/log": "a line\n", "/nothing": "404 page not found\n", "/../main.go": "404 page not found\n"} {
		resp, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it was read
		if err != nil || string(body) != want {
			t.Errorf("%s: %q, %v", path, body, err)
		}
	}
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, flag := range []string{"-h", "--help"} {
		var help strings.Builder
		if err := run(t.Context(), []string{flag}, &help); err != nil || !strings.HasPrefix(help.String(), "usage: ") {
			t.Errorf("%s: %q, %v", flag, help.String(), err)
		}
	}
	for _, args := range [][]string{nil, {"a", "b"}, {filepath.Join(dir, "log")}, {filepath.Join(dir, "nothing")}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
