package samples_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pappus/chericapengine"
	"pappus/data"
	"pappus/engine"
	"pappus/sdk/toolchain"
	"pappus/wasmengine"
)

// BenchmarkEngines does the same work with the engine for Morello in software, with
// that for WebAssembly, and natively as C, in turn, and tells the shortest call of
// each, and how many times as long as C each takes. A call of a function that does
// next to nothing is what an isolate takes.
func BenchmarkEngines(b *testing.B) {
	native := nativeSpeed(b)
	builder := &toolchain.Builder{Cache: b.TempDir()}
	project, err := toolchain.Open("testdata/speed/busy.c")
	if err != nil {
		b.Fatal(err)
	}
	engines := make(map[string]engine.Engine)
	busy := make(map[string][]byte)
	for _, name := range []string{chericapengine.Name, wasmengine.Name} {
		r, err := builder.Build(b.Context(), project, toolchain.Options{Native: name == chericapengine.Name})
		var missing *toolchain.MissingError
		if errors.As(err, &missing) {
			b.Skipf("%v: %s", err, missing.Install())
		} else if err != nil {
			b.Fatal(err)
		}
		busy[name] = r.Module
	}
	if engines[chericapengine.Name], err = chericapengine.New(chericapengine.Config{}); err != nil {
		b.Fatal(err)
	}
	if engines[wasmengine.Name], err = wasmengine.New(wasmengine.Config{}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		for _, e := range engines {
			if err := e.Close(); err != nil {
				b.Error(err)
			}
		}
	})
	const rows, rounds = 128, 20_000_000
	square := binary.LittleEndian.AppendUint64(nil, rows)
	for i := range uint64(rows * rows) {
		square = binary.LittleEndian.AppendUint64(square, i*i)
	}
	for _, work := range []struct {
		name, set string
		input     []byte
		n         int
		code      map[string][]byte
		short     bool
	}{
		{"matmul", "matrices", square, rows, map[string][]byte{chericapengine.Name: file(b, "matmul/matmul.elf"), wasmengine.Name: file(b, "matmul/matmul.wasm")}, false},
		{"busy", "rounds", binary.LittleEndian.AppendUint64(nil, rounds), rounds, busy, false},
		{"start", "rounds", binary.LittleEndian.AppendUint64(nil, 0), 0, busy, true},
	} {
		b.Run(work.name, func(b *testing.B) {
			in := []data.Set{{Name: work.set, Items: []*data.Item{data.NewItem("a", 0, work.input)}}}
			best := make(map[string]time.Duration)
			programs := make(map[string]engine.Program)
			var fuel int64
			for name, e := range engines {
				insp, err := e.Inspect(work.code[name])
				if err != nil {
					b.Fatal(err)
				}
				if programs[name], err = e.Prepare(b.Context(), work.code[name], insp.Manifest.Signature(), engine.DefaultLimits()); err != nil {
					b.Fatal(err)
				}
				defer programs[name].Close()
			}
			tries := 7
			if work.short {
				tries = 500
			}
			var c time.Duration
			for b.Loop() {
				for range tries {
					for name, p := range programs {
						begun := time.Now()
						r, err := p.Run(b.Context(), in, engine.DefaultLimits())
						if err != nil {
							b.Fatal(err)
						}
						took := time.Since(begun)
						if name == chericapengine.Name {
							fuel = r.Usage.Fuel
						}
						r.Release()
						if was, ok := best[name]; !ok || took < was {
							best[name] = took
						}
					}
				}
				if took := native(b, work.name, work.n); !work.short && (c == 0 || took < c) {
					c = took
				}
			}
			b.ReportMetric(0, "ns/op") // it is the sum of all, and says nothing
			for name, took := range best {
				b.ReportMetric(float64(took.Nanoseconds())/1e3, name+"-µs")
				if !work.short {
					b.ReportMetric(float64(took)/float64(c), name+"/C")
				}
			}
			if !work.short {
				b.ReportMetric(float64(c.Nanoseconds())/1e3, "C-µs")
				b.ReportMetric(float64(fuel)/best[chericapengine.Name].Seconds()/1e6, "Minstr/s")
				b.ReportMetric(float64(best[chericapengine.Name])/float64(best[wasmengine.Name]), "chericap/wasm")
			}
		})
	}
}

func file(b *testing.B, name string) []byte {
	b.Helper()
	code, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	return code
}

// nativeSpeed builds the work for this machine.
func nativeSpeed(b *testing.B) func(b *testing.B, work string, n int) time.Duration {
	b.Helper()
	exe := filepath.Join(b.TempDir(), "speed")
	if _, err := exec.LookPath("gcc"); err != nil {
		b.Skip("needs gcc: apt-get install -y --no-install-recommends gcc libc6-dev")
	}
	if log, err := exec.CommandContext(b.Context(), "gcc", "-O2", "-std=c11", "-o", exe, "testdata/speed/native.c").CombinedOutput(); err != nil {
		b.Fatalf("gcc: %v\n%s", err, log)
	}
	return func(b *testing.B, work string, n int) time.Duration {
		b.Helper()
		if work == "start" {
			return 0
		}
		out, err := exec.CommandContext(b.Context(), exe, work, fmt.Sprint(n)).Output()
		if err != nil {
			b.Fatal(err)
		}
		var ns int64
		var end uint64
		if _, err := fmt.Fscan(strings.NewReader(string(out)), &ns, &end); err != nil {
			b.Fatal(err)
		}
		return time.Duration(ns)
	}
}
