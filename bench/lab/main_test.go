package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRefuses(t *testing.T) {
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "usage"}, {"walk", "usage"}, {"worker", "usage"},
		{"run -set all", "pappus, peers, k6 or languages"}, {"run -only latency,nothing", "no such experiment"},
		{"run peers -smoke", "no argument \"peers\""}, {"run -pappus true -peer pappus=true", "already"}, {"run -peer a=true -peer a=true", "already"},
		{"run -pappus true -out main.go", "-out: "}, {"run -functions 0", "must be one"}, {"run -pappus /no/such/program", "make build"}, {"worker nothing /tmp", "no such kind"},
		{"readme -root /no/such/folder", "measure first"},
	} {
		if err := run(t.Context(), strings.Fields(test.args)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("lab %s: got %v, want %q", test.args, err, test.want)
		}
	}
	if err := run(t.Context(), []string{"run", "-no-such-flag"}); err == nil || errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
}

func TestNewest(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"2026-01-02-pappus", "2026-01-03-pappus", "2026-01-03-pappus-2", "2026-01-03-peers", "2026-01-04-pappus-smoke", "2026-01-04-pappus-part", "2026-01-05-pappus.tmp"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for set, want := range map[string]string{"pappus": "2026-01-03-pappus-2", "peers": "2026-01-03-peers"} {
		if got, err := newest(folder, set); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", set, got, err, want)
		}
	}
	if got, err := newest(folder, "languages"); got != "" || err != nil {
		t.Errorf("of languages: got %q, %v", got, err)
	}
}
