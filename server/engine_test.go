package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"pappus/data"
	"pappus/engine"
)

const magic = "\x00asm"

// code makes code for scripted: what it does, and what its manifest says.
func code(does, manifest string) string { return magic + does + "\n" + manifest }

// scripted is an engine whose code says in words what it does:
//
//	echo          each input set becomes the output set at the same place
//	fault KIND    fails
//	exit N        fails with an exit code
//	block         runs until it is cancelled
//	wait          runs until the engine's gate is closed, or it is cancelled
//	panic         has the engine panic
//	give TEXT     leaves items in the first output set: NAME=CONTENT,…
type scripted struct {
	gate    chan struct{}
	started chan struct{}
}

var _ engine.Engine = (*scripted)(nil)

func (e *scripted) Name() string                { return "wasm" }
func (e *scripted) Recognizes(code []byte) bool { return bytes.HasPrefix(code, []byte(magic)) }
func (e *scripted) Semantics() string           { return "1" }
func (e *scripted) Close() error                { return nil }

func (e *scripted) Inspect(code []byte) (engine.Inspection, error) {
	does, manifest, ok := strings.Cut(string(code), "\n")
	if !ok || !e.Recognizes(code) {
		return engine.Inspection{}, &engine.RejectedError{Reason: "it is no script", Hint: "write one"}
	}
	if list, ok := strings.CutPrefix(does, magic+"import "); ok {
		return engine.Inspection{}, &engine.RejectedError{Reason: "it has imports", Imports: strings.Fields(list)}
	}
	insp := engine.Inspection{Layout: "grow", Memory: engine.PageSize}
	if manifest != "" {
		var err error
		if insp.Manifest, err = engine.ParseManifest([]byte(manifest)); err != nil {
			return insp, &engine.RejectedError{Reason: err.Error()}
		}
	}
	return insp, nil
}

func (e *scripted) Prepare(_ context.Context, code []byte, sig engine.Signature, _ engine.Limits) (engine.Program, error) {
	does, _, _ := strings.Cut(strings.TrimPrefix(string(code), magic), "\n")
	if does == "costly" {
		return nil, &engine.RejectedError{Reason: "it takes too long to compile", Costly: true}
	}
	return &script{engine: e, does: does, sig: sig}, nil
}

type script struct {
	engine *scripted
	does   string
	sig    engine.Signature
}

func (p *script) Stack(engine.Limits) int64 { return 0 }
func (p *script) Size() int64               { return 1000 }
func (p *script) Close() error              { return nil }

func (p *script) Run(ctx context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
	verb, rest, _ := strings.Cut(p.does, " ")
	out := make([]data.Set, len(p.sig.Outputs))
	for i, o := range p.sig.Outputs {
		out[i].Name = o.Name
	}
	usage := engine.Usage{Fuel: 42, MemoryPages: 3}
	switch verb {
	case "echo":
		for i := range min(len(in), len(out)) {
			for _, it := range in[i].Items {
				out[i].Items = append(out[i].Items, data.NewItem(it.Name(), it.Key(), bytes.Clone(it.Bytes())))
			}
		}
	case "give":
		for part := range strings.SplitSeq(rest, ",") {
			name, content, _ := strings.Cut(part, "=")
			out[0].Items = append(out[0].Items, data.NewItem(name, 0, []byte(content)))
		}
	case "fault":
		return engine.Result{}, &engine.Fault{Kind: engine.FaultKind(rest), Detail: "as asked", Usage: usage, Stack: []string{"f()"}}
	case "exit":
		n, err := strconv.ParseInt(rest, 10, 32)
		if err != nil {
			return engine.Result{}, err
		}
		return engine.Result{}, &engine.Fault{Kind: engine.FaultExit, ExitCode: int32(n), Usage: usage, Stderr: []byte("no \xff")}
	case "block":
		p.engine.started <- struct{}{}
		<-ctx.Done()
		return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled, Err: context.Cause(ctx)}
	case "wait":
		p.engine.started <- struct{}{}
		select {
		case <-p.engine.gate:
		case <-ctx.Done():
			return engine.Result{}, &engine.Fault{Kind: engine.FaultCanceled, Err: context.Cause(ctx)}
		}
	case "error":
		return engine.Result{}, errors.New("the engine's secret")
	case "panic":
		panic("as asked")
	default:
		return engine.Result{}, fmt.Errorf("there is no %s", verb)
	}
	return engine.NewResult(out, usage, 0, nil), nil
}
