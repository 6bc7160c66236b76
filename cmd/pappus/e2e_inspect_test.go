package main_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"pappus/client"
)

// What inspect says of a file is what a server says that is asked to register
// it: accepted or not, and why.
func TestInspectAgreesWithTheServer(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir())
	hostile, err := filepath.Glob("../../wasmengine/testdata/hostile/*.wasm")
	if err != nil || len(hostile) < 100 {
		t.Fatalf("%d hostile modules (%v)", len(hostile), err)
	}
	samples, err := filepath.Glob("../../samples/*/*.wasm")
	if err != nil || len(samples) < 4 {
		t.Fatalf("%d samples (%v)", len(samples), err)
	}
	refusals := 0
	for _, file := range append(hostile, samples...) {
		name := strings.TrimSuffix(filepath.Base(file), ".wasm")
		args := []string{"inspect", file, "--json"}
		if !strings.HasPrefix(name, "initialise-") {
			args = append(args, "--no-run") // those that end badly only when they are called do not differ here
		}
		r := command(t.Context(), t, "", args...)
		var shown struct {
			Accepted bool
			Refusals []struct{ Reason, Hint string }
		}
		if err := json.Unmarshal([]byte(r.stdout), &shown); err != nil {
			t.Fatalf("%s: %v in %.200q", name, err, r.stdout)
		}
		_, err := p.push(name, read(t, file), client.PutOptions{})
		var refused *client.Problem
		switch {
		case err == nil:
			if !shown.Accepted || len(shown.Refusals) > 0 || r.exit != 0 {
				t.Errorf("%s is registered, and inspect ends with %d: %v", name, r.exit, shown.Refusals)
			}
		case !errors.As(err, &refused):
			t.Fatalf("%s: %v", name, err)
		case shown.Accepted || len(shown.Refusals) == 0 || r.exit != 5:
			t.Errorf("%s is refused (%v), and inspect ends with %d", name, err, r.exit)
		default:
			refusals++
			if refused.Detail != shown.Refusals[0].Reason {
				t.Errorf("%s: the server says %q, inspect %q", name, refused.Detail, shown.Refusals[0].Reason)
			}
		}
	}
	if refusals < 30 {
		t.Errorf("only %d modules were refused", refusals)
	}
}
