package wasmengine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine/binary/binarytest"
	"pappus/wasmengine/codecache"
)

// openCache opens a code cache in a folder, for as long as the test runs.
func openCache(t testing.TB, dir string, bytes int64) *codecache.Cache {
	t.Helper()
	c, err := codecache.Open(dir, codecache.Options{Bytes: bytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// large makes a module of so many functions, of about 500 bytes each.
func large(functions int) []byte {
	bodies := make([][]byte, functions)
	for i := range bodies {
		var code []byte
		for n := range 7 {
			code = append(code, binarytest.IfBlock()...)
			for range 20 + (i+n)%7 {
				code = append(code, 0x20, 0, 0x1a) // local.get 0, drop
			}
		}
		bodies[i] = binarytest.Body(2, code)
	}
	return binarytest.Function(bodies...)
}

// BenchmarkCold is a program's first call, from code on disk to its answer,
// against one of a program that is loaded.
func BenchmarkCold(b *testing.B) {
	samples, err := filepath.Glob("../samples/*/*.wasm")
	if err != nil || len(samples) == 0 {
		b.Fatal(samples, err)
	}
	for _, file := range samples {
		code, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		cold(b, filepath.Base(file), code, engine.DefaultLimits())
	}
	cold(b, "initialises", touching(1000, 1000, 100, true), engine.DefaultLimits())
	cold(b, "64KB", large(100), engine.DefaultLimits())
	cold(b, "image3MB", touching(3<<20, 1000, 100, true), engine.DefaultLimits())
	cold(b, "code3MB", large(4700), engine.DefaultLimits())
}

func cold(b *testing.B, name string, code []byte, lim engine.Limits) {
	e := newEngine(b, Config{Cache: openCache(b, b.TempDir(), 0)})
	insp, err := e.Inspect(code)
	if err != nil {
		b.Fatal(err)
	}
	sig := insp.Manifest.Signature()
	var in []data.Set
	if !sig.Open {
		for _, p := range sig.Inputs {
			in = append(in, data.Set{Name: p.Name})
		}
	}
	if name == "matmul.wasm" {
		in[0].Items = matmulInput(1)[0].Items
	}
	once := func(p engine.Program) {
		r, err := p.Run(b.Context(), in, lim)
		if err != nil && engine.KindOf(err) == "" {
			b.Fatal(err)
		}
		r.Release()
	}
	prepare := func() engine.Program {
		p, err := e.Prepare(b.Context(), code, sig, lim)
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	p := prepare()
	b.Run(name+"/hot", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			from := time.Now()
			once(p)
			took = append(took, time.Since(from))
		}
		reportTimes(b, took)
		b.ReportMetric(float64(len(code))/1024, "KB")
		b.ReportMetric(float64(p.Size())/1024, "loaded-KB")
	})
	if err := p.Close(); err != nil {
		b.Error(err)
	}
	b.Run(name+"/cold", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			from := time.Now()
			p := prepare()
			once(p)
			took = append(took, time.Since(from))
			if err := p.Close(); err != nil {
				b.Error(err)
			}
		}
		reportTimes(b, took)
		b.ReportAllocs()
	})
	if n := e.compiled.here.Load() + e.compiled.child.Load(); n != 1 {
		b.Errorf("it was compiled %d times", n)
	}
}

// reportTimes says how long calls took.
func reportTimes(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
}
