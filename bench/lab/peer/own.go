package peer

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"

	"pappus/bench/lab/native"
	"pappus/bench/process"
)

// own is a worker of this program (package worker).
type own struct {
	setup       Setup
	kind, gives string
}

func (o *own) Name() string  { return o.kind }
func (o *own) Gives() string { return o.gives }

func (o *own) Start(ctx context.Context, functions int) (*Running, error) {
	ending, code := ".wasm", func(int) []byte { return nil }
	switch o.kind {
	case "echo":
	case "exec":
		program, err := o.setup.program(ctx)
		if err != nil {
			return nil, err
		}
		ending, code = ".bin", func(int) []byte { return program }
	default:
		if !native.Compiled {
			return nil, skip("built without cgo: install gcc and libc6-dev")
		}
		var err error
		if code, err = o.setup.wasm(); err != nil {
			return nil, err
		}
	}
	folder, err := o.setup.folder(o.kind, functions, ending, code)
	if err != nil {
		return nil, err
	}
	start := func() (*process.Server, error) { return process.Start(ctx, o.setup.Self, "worker", o.kind, folder) }
	p, err := start()
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(o.kind, "wasmtime") {
		// It has compiled the functions, and starts again so that nothing of that is
		// left in its memory.
		if err := p.Stop(); err != nil {
			return nil, err
		}
		if p, err = start(); err != nil {
			return nil, err
		}
	}
	r := running(p, functions, numbered)
	r.Echo = o.kind == "echo"
	return r, nil
}

// node runs the function in V8.
type node struct {
	Setup
	kind, gives string
}

func (n *node) Name() string  { return "node-" + n.kind }
func (n *node) Gives() string { return n.gives }

func (n *node) Start(ctx context.Context, functions int) (*Running, error) {
	program, err := exec.LookPath("node")
	if err != nil {
		return nil, skip("there is no node: install nodejs")
	}
	code, err := n.wasm()
	if err != nil {
		return nil, err
	}
	folder, err := n.folder(n.Name(), functions, ".wasm", code)
	if err != nil {
		return nil, err
	}
	script, err := filepath.Abs(filepath.Join(n.Root, "bench", "lab", "peer", "node", "server.mjs"))
	if err != nil {
		return nil, err
	}
	p, err := process.Start(ctx, program, script, folder, n.kind)
	if err != nil {
		return nil, err
	}
	return running(p, functions, numbered), nil
}
