package sdk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/sdk/toolchain"
	"pappus/wasmengine"
)

// BenchmarkLanguages is a call of what "pappus new" makes in each language,
// built without debug information: a new isolate, five words in, five words out.
// With an image it starts from what the function's initialisation left, without
// one it is initialised in every call. "module" is the function's size.
//
//	go test ./sdk -run '^$' -bench Languages -benchtime 100x
func BenchmarkLanguages(b *testing.B) {
	b.Setenv(workerEnv, "1")
	builder := &toolchain.Builder{Cache: b.TempDir()}
	for _, l := range toolchain.Languages() {
		dir := filepath.Join(b.TempDir(), "hello")
		if _, err := toolchain.Create(l, dir, "hello"); err != nil {
			b.Fatal(err)
		}
		if l.Name == "assemblyscript" {
			modules, err := filepath.Abs("../.cache/assemblyscript/node_modules")
			if err != nil {
				b.Fatal(err)
			}
			if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
				b.Fatal(err)
			}
		}
		project, err := toolchain.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		built, err := builder.Build(b.Context(), project, toolchain.Options{Strip: true})
		var missing *toolchain.MissingError
		if errors.As(err, &missing) {
			b.Logf("%v; %s", err, missing.Install())
			continue
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Run(l.Name+"/image", func(b *testing.B) { call(b, built.Module, wasmengine.Config{}) })
		if testing.Short() && len(built.Module) > 1<<20 {
			continue // compiling it once more takes seconds
		}
		b.Run(l.Name+"/no-image", func(b *testing.B) { call(b, built.Module, wasmengine.Config{NoImages: true}) })
	}
}

func call(b *testing.B, code []byte, config wasmengine.Config) {
	config.Compiler = []string{"/proc/self/exe"}
	e, err := wasmengine.New(config)
	if err != nil {
		b.Fatal(err)
	}
	insp, err := e.Inspect(code)
	if err != nil {
		b.Fatal(err)
	}
	sig, limits := insp.Manifest.Signature(), insp.Manifest.Limits.Or(engine.DefaultLimits())
	program, err := e.Prepare(b.Context(), code, sig, limits)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := errors.Join(program.Close(), e.Close()); err != nil {
			b.Error(err)
		}
	}()
	name := "body"
	if sig.Inputs[0].Name == "stdio" {
		name = "stdin"
	}
	in := []data.Set{{Name: sig.Inputs[0].Name, Items: []*data.Item{data.NewItem(name, 0, []byte("to be or not to be"))}}}
	for b.Loop() {
		r, err := program.Run(b.Context(), in, limits)
		if err != nil {
			b.Fatal(err)
		}
		r.Release()
	}
	b.ReportMetric(float64(len(code)), "module")
}
