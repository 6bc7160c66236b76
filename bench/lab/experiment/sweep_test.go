package experiment

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pappus/bench/lab/load"
	"pappus/bench/lab/pappus"
	"pappus/bench/lab/result"
	"pappus/bench/lab/target"
	"pappus/bench/process"
)

// Cold calls go through the functions in turn, over loads of all mixes.
func TestColdInTurn(t *testing.T) {
	var cold []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch name := strings.TrimPrefix(r.URL.Path, pappus.Path("")); name {
		case "/metrics":
			_, _ = w.Write([]byte(pappus.Loads + " 1\n"))
		default:
			if name != pappus.Name(0) {
				cold = append(cold, name)
			}
			_, _ = w.Write(target.Checksum(1))
		}
	}))
	defer s.Close()
	defer http.DefaultClient.CloseIdleConnections()
	l := &Lab{Plan: Smoke()}
	l.Plan.Cold, l.Plan.Rows = 7, 1
	m := &mixed{lab: l, server: &pappus.Server{Server: &process.Server{Addr: strings.TrimPrefix(s.URL, "http://")}}}
	const calls = 200
	for _, share := range []float64{1, 0, 0.97, 0.9, 0, 1, 0.95, 0.97, 0} {
		err := m.load(t.Context(), share, new(rounds), func(to *target.Target) (*load.Outcome, error) {
			c, err := to.Dial(t.Context())
			if err != nil {
				return nil, err
			}
			for n := range calls {
				if err := c.Call(n); err != nil {
					return nil, err
				}
			}
			return &load.Outcome{Offered: calls, Done: calls, Elapsed: 1, Sorted: make([]time.Duration, calls)}, c.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(cold) < 3*calls {
		t.Fatalf("%d calls were cold", len(cold))
	}
	for i, name := range cold {
		if want := pappus.Name(1 + i%l.Plan.Cold); name != want {
			t.Fatalf("cold call %d goes to %s, want %s", i, name, want)
		}
	}
}

// A peer that can't be started, or fails later, is left out with the reason, and
// the others are measured.
func TestPeerLeftOut(t *testing.T) {
	l := smoke(t)
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\necho broken >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.Setup.Others = map[string]string{"ends": bad, "wrong": os.Args[0]}
	r := &result.Result{Parameters: map[string]string{}}
	if err := l.peers(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ends", "wrong"} {
		if !slices.ContainsFunc(r.Skipped, func(s result.Skipped) bool { return s.Name == name && s.Reason != "" }) {
			t.Errorf("%s is not among what was not measured: %+v", name, r.Skipped)
		}
		if _, ok := r.Value("peers", name, 1, "most_per_s"); ok {
			t.Errorf("%s was measured", name)
		}
	}
	if _, ok := r.Value("peers", "pappus", 1, "most_per_s"); !ok {
		t.Errorf("pappus was not measured: %+v", r.Skipped)
	}
}
