package meter

import (
	"context"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"pappus/wasmengine/binary"
)

const kernelsWasm = "../../bench/kernels/kernels.wasm"

// lane is one way to run the kernels.
type lane struct {
	module      api.Module
	fuel, stack api.MutableGlobal // nil when it is not metered
	grant       *grant
}

// run runs a kernel n times and returns its checksum and how long it took.
func (l *lane) run(t testing.TB, kernel string, n uint64) (sum uint64, took time.Duration) {
	t.Helper()
	if l.fuel != nil {
		l.fuel.Set(0)
		l.stack.Set(8 << 20)
	}
	start := time.Now()
	results, err := l.module.ExportedFunction(kernel).Call(context.Background(), n)
	took = time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	return results[0], took
}

// lanesOf instantiates the kernels of bench/kernels plain, and metered with
// NaNs as they are and canonical.
func lanesOf(t testing.TB) (kernels []string, plain, kept, metered *lane) {
	t.Helper()
	code, err := os.ReadFile(kernelsWasm)
	if err != nil {
		t.Fatal(err)
	}
	m, err := binary.Decode(code, binary.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range m.Exports {
		if x.Kind == binary.ExternFunc {
			kernels = append(kernels, x.Name)
		}
	}
	l := newLab(t, wazero.NewRuntimeConfigCompiler())
	l.grant = &grant{slice: 1_000_000, limit: noLimit}
	rewritten := func(o Options) *lane {
		me, err := o.Rewrite(m)
		if err != nil {
			t.Fatal(err)
		}
		x := &lane{module: l.instantiate(t, me.Code), grant: l.grant}
		x.fuel, _ = x.module.ExportedGlobal(me.Fuel).(api.MutableGlobal)
		x.stack, _ = x.module.ExportedGlobal(me.Stack).(api.MutableGlobal)
		return x
	}
	plain = &lane{module: l.instantiate(t, code)}
	return kernels, plain, rewritten(Options{KeepNaNs: true}), rewritten(Options{})
}

// The kernels compute the same with and without metering.
func TestKernels(t *testing.T) {
	kernels, plain, kept, metered := lanesOf(t)
	if len(kernels) < 12 {
		t.Errorf("kernels %v", kernels)
	}
	for _, k := range kernels {
		want, _ := plain.run(t, k, 2)
		if got, _ := metered.run(t, k, 2); got != want {
			t.Errorf("%s: %d, plain %d", k, got, want)
		}
		if got, _ := kept.run(t, k, 2); got != want {
			t.Errorf("%s with NaNs as they are: %d, plain %d", k, got, want)
		}
	}
}

// BenchmarkKernels runs each kernel plain and metered in turns, NaNs as they
// are; its figure is the quotient of the best times. The last lines are the median and the worst
// of them.
func BenchmarkKernels(b *testing.B) {
	kernels, plain, kept, _ := lanesOf(b)
	quotients(b, kernels, plain, kept, "metered/plain")
}

// BenchmarkCanonicalNaNs does the same with kernels that are metered, with NaNs
// as they are and canonical.
func BenchmarkCanonicalNaNs(b *testing.B) {
	kernels, _, kept, metered := lanesOf(b)
	quotients(b, kernels, kept, metered, "canonical/kept")
}

// BenchmarkRewritten is both together: what functions get.
func BenchmarkRewritten(b *testing.B) {
	kernels, plain, _, metered := lanesOf(b)
	quotients(b, kernels, plain, metered, "rewritten/plain")
}

func quotients(b *testing.B, kernels []string, below, above *lane, unit string) {
	const turn = 2 * time.Millisecond // short enough to fall between disturbances
	var ratios []float64
	report := func(b *testing.B, ratio float64) {
		b.ReportMetric(ratio, unit)
		b.ReportMetric(0, "ns/op")
	}
	for _, k := range kernels {
		n := uint64(1)
		for _, took := below.run(b, k, n); took < turn; _, took = below.run(b, k, n) {
			if n *= 2; n > math.MaxInt32 {
				b.Fatalf("%s takes no time", k)
			}
		}
		ratio := 0.0
		b.Run(k, func(b *testing.B) {
			best := [2]time.Duration{math.MaxInt64, math.MaxInt64}
			for b.Loop() {
				for i, l := range []*lane{below, above} {
					_, took := l.run(b, k, n)
					best[i] = min(best[i], took)
				}
			}
			ratio = float64(best[1]) / float64(best[0])
			report(b, ratio)
		})
		if ratio > 0 { // else it was not selected
			ratios = append(ratios, ratio)
		}
	}
	if len(ratios) == len(kernels) {
		slices.Sort(ratios)
		b.Run("median", func(b *testing.B) { report(b, ratios[len(ratios)/2]) })
		b.Run("worst", func(b *testing.B) { report(b, ratios[len(ratios)-1]) })
	}
}
