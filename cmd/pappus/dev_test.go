package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fsnotify/fsnotify"

	"pappus/client"
	"pappus/engine"
	"pappus/sdk/toolchain"
	"pappus/wasmengine"
)

// heard is what was written, for those who wait until it says something.
type heard struct {
	mu     sync.Mutex
	text   bytes.Buffer
	change chan struct{} // closed and replaced when there is more
}

func newHeard() *heard { return &heard{change: make(chan struct{})} }

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.change)
	h.change = make(chan struct{})
	return h.text.Write(p)
}

// wait waits until the text has a part, and reports whether it has.
func (h *heard) wait(ctx context.Context, part string) bool {
	for {
		h.mu.Lock()
		has, change := bytes.Contains(h.text.Bytes(), []byte(part)), h.change
		h.mu.Unlock()
		if has {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-change:
		}
	}
}

// patientEngine prepares code when it was told that it does.
type patientEngine struct {
	engine.Engine
	heard *heard
	told  bool
}

func (e *patientEngine) Prepare(ctx context.Context, code []byte, sig engine.Signature, lim engine.Limits) (engine.Program, error) {
	e.told = e.heard.wait(ctx, "testing sum: compiling, for the first case… ")
	return e.Engine.Prepare(ctx, code, sig, lim)
}

// What building leaves beside the sources is no change to them.
func TestDevIgnoresModules(t *testing.T) {
	dir := t.TempDir()
	w := &watcher{project: &toolchain.Project{Dir: dir}, cases: filepath.Join(dir, "cases")}
	for name, want := range map[string]bool{"main.c": true, "hello.wasm": false, "hello.elf": false, "cases/x/in/code/a.wasm": true, "cases/x/in/code/a.elf": true} {
		if _, got := w.concerns(fsnotify.Event{Name: filepath.Join(dir, name), Op: fsnotify.Write}); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Whatever takes long in a round, somebody who watches is told what it is.
func TestDevSaysWhatItDoes(t *testing.T) {
	stderr := newHeard()
	told := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = stderr.wait(r.Context(), "registering sum… ")
		http.Error(w, "enough", http.StatusTeapot)
	}))
	defer server.Close() // again, for those who end early
	eng, err := wasmengine.New(wasmConfig())
	if err != nil {
		t.Fatal(err)
	}
	patient := &patientEngine{Engine: eng, heard: stderr}
	dir, err := filepath.Abs("../../samples/sum")
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(filepath.Join(dir, "sum.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	cl, err := client.New(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	d := &development{
		command: &commandLine{stderr: stderr, lookupEnv: func(string) (string, bool) { return "", false }},
		project: &toolchain.Project{Dir: dir, Name: "sum"}, cases: filepath.Join(dir, casesFolder),
		engine: patient, client: cl, stderr: stderr, module: module,
	}
	r := d.round(t.Context(), []string{"cases/a/in/b/c"})
	server.Close() // which waits for what it does
	if r.Test == nil || r.Test.OK < 2 || r.Error == nil {
		t.Errorf("%+v", r)
	}
	if !patient.told || !told {
		t.Errorf("it was told of testing: %v, of registering: %v", patient.told, told)
	}
	if err := eng.Close(); err != nil {
		t.Error(err)
	}
}
