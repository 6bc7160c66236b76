package peer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"pappus/bench/lab/native"
	"pappus/bench/lab/pappus"
	"pappus/bench/lab/target"
	"pappus/bench/process"
)

// A Peer can be started.
type Peer interface {
	Name() string
	// Gives says in a few words what a call gets.
	Gives() string
	// Start starts it with that many functions, numbered from 0, of which none is
	// loaded. A peer that has one function for each server starts with that. It is
	// an ErrSkipped if it can't be on this machine.
	Start(ctx context.Context, functions int) (*Running, error)
}

// ErrSkipped is of a peer that can't be started here; the error says why.
var ErrSkipped = errors.New("skipped")

func skip(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrSkipped}, args...)...)
}

// Running is a peer that was started.
type Running struct {
	Addr      string             // host:port
	Path      func(k int) string // at which function k is called
	PID       int                // of the server
	Functions int                // how many there are
	Work      *Work              // nil: that of samples/matmul-size
	Echo      bool               // it answers what it is sent
	Stop      func() error
}

// Work is what a call is, where it is not that of samples/matmul-size: the same
// product, asked for in another form.
type Work struct {
	Body func(k, rows int) []byte // of a call of function k for a matrix of so many rows
	// Check tells whether an answer is right.
	Check func(rows int) func(answer []byte) error
}

// Asked is a call for the product of a matrix of so many rows; call n is that of
// the function of that number.
func (r *Running) Asked(rows int, function func(n int) int) *target.Target {
	t := &target.Target{Addr: r.Addr, Path: func(n int) string { return r.Path(function(n)) }}
	switch {
	case r.Work != nil:
		t.BodyOf = func(n int) []byte { return r.Work.Body(function(n), rows) }
		t.Check = r.Work.Check(rows)
	case r.Echo:
		t.Body, t.Want = target.Size(rows), target.Size(rows)
	default:
		t.Body, t.Want = target.Size(rows), target.Checksum(rows)
	}
	return t
}

// Setup is what peers are made of.
type Setup struct {
	Root     string // folder of the repository
	Self     string // this program, which serves as workers
	Pappus   string // Pappus's program
	Watchdog string // of-watchdog's program; empty: the one in the search path
	// WatchdogLog is a file with what was said when of-watchdog could not be built;
	// empty: nobody tried.
	WatchdogLog string
	Others      map[string]string // programs of other peers by their names (type other)
	// Dandelion is the source folder of the paper's prototype; empty: it is not among
	// the peers.
	Dandelion string
	Scratch   string // an empty folder
}

// All peers, the one that does nothing first.
func (s Setup) All() []Peer {
	all := []Peer{
		&own{setup: s, kind: "echo", gives: "nothing: it answers what it was sent"},
		&own{setup: s, kind: "native", gives: "a call in the server's process: no isolate"},
		&platform{Setup: s},
		&own{setup: s, kind: "wasmtime", gives: "a new store and instance"},
		&own{setup: s, kind: "wasmtime-pooled", gives: "a new store and instance, in memory from a pool"},
		&own{setup: s, kind: "wasmtime-reused", gives: "an instance that earlier calls used: their data is there"},
		&node{s, "isolate", "a new V8 isolate in a thread"},
		&node{s, "context", "a new context in a V8 isolate that earlier calls used"},
		&own{setup: s, kind: "exec", gives: "a new process"},
		&watchdog{s},
	}
	if s.Dandelion != "" {
		all = append(all, &platform{s, true}, &dandelion{s})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Others)) {
		all = append(all, &other{s, name, s.Others[name]})
	}
	return all
}

// folder makes an empty folder for a peer's functions, each in a file of its own
// with an ending.
func (s Setup) folder(kind string, functions int, ending string, code func(k int) []byte) (string, error) {
	folder, err := os.MkdirTemp(s.Scratch, kind+"-")
	if err != nil {
		return "", err
	}
	for k := range functions {
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(k)+ending), code(k), 0o700); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// wasm is the function as a module; its variants are different ones.
func (s Setup) wasm() (func(k int) []byte, error) {
	code, err := os.ReadFile(filepath.Join(s.Root, "samples", "matmul-size", "matmul-size.wasm"))
	return func(k int) []byte { return pappus.Variant(code, k) }, err
}

// program is the function as a native program.
func (s Setup) program(ctx context.Context) ([]byte, error) {
	name := filepath.Join(s.Scratch, "program")
	b, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if err := native.Build(ctx, s.Root, name); errors.Is(err, native.ErrNoCompiler) {
		return nil, skip("there is no gcc: install gcc and libc6-dev")
	} else if err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

func running(p *process.Server, functions int, path func(int) string) *Running {
	return &Running{Addr: p.Addr, Path: path, PID: p.PID(), Functions: functions, Stop: p.Stop}
}

func numbered(k int) string { return "/" + pappus.Name(k) }

// platform is Pappus itself. With matrices, requests carry the matrix and answers
// the product (samples/matmul).
type platform struct {
	Setup
	matrices bool
}

func (p *platform) Name() string {
	if p.matrices {
		return "pappus-matrices"
	}
	return "pappus"
}

func (p *platform) Gives() string {
	if p.matrices {
		return "a new isolate, metered and limited; request and answer carry the matrices"
	}
	return "a new isolate, metered and limited"
}

func (p *platform) Start(ctx context.Context, functions int) (_ *Running, err error) {
	sample, work := "matmul-size", (*Work)(nil)
	if p.matrices {
		sample, work = "matmul", carried()
	}
	code, err := os.ReadFile(filepath.Join(p.Root, "samples", sample, sample+".wasm"))
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(p.Scratch, "pappus-")
	if err != nil {
		return nil, err
	}
	s, err := pappus.Start(ctx, p.Pappus, folder)
	if err != nil {
		return nil, err
	}
	err = s.RegisterVariants(ctx, code, 0, functions, pappus.Fresh)
	// It starts again, so that nothing is loaded.
	if err := errors.Join(err, s.Stop()); err != nil {
		return nil, err
	}
	if s, err = pappus.Start(ctx, p.Pappus, folder); err != nil {
		return nil, err
	}
	r := running(s.Server, functions, func(k int) string { return pappus.Path(pappus.Name(k)) })
	r.Work = work
	return r, nil
}
