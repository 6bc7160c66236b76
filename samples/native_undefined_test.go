package samples_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/sdk/toolchain"
	"pappus/wasmengine"
)

// arithmetic does what C leaves open for some numbers: the first byte of its input says
// what, two numbers follow, and its output is the result.
const arithmetic = `#include <pappus.h>
PAPPUS_MANIFEST({"inputs": [{"name": "in", "type": "item"}], "outputs": ["out"], "layout": "grow"});

struct in { int64_t what, a, b; double x; };

static int run(void)
{
	struct in in = *(const struct in *)pappus_item(0, 0)->data;
	static int64_t out;
	int32_t a = (int32_t)in.a, b = (int32_t)in.b;
	switch (in.what) {
	case 0: out = a / b; break;
	case 1: out = a % b; break;
	case 2: out = (uint32_t)a / (uint32_t)b; break;
	case 3: out = (uint32_t)a % (uint32_t)b; break;
	case 4: out = in.a / in.b; break;
	case 5: out = in.a % in.b; break;
	case 6: out = (int32_t)in.x; break;
	case 7: out = (int64_t)in.x; break;
	case 8: out = (int64_t)(uint32_t)in.x; break;
	case 9: out = (int64_t)(uint64_t)in.x; break;
	case 10: out = (int8_t)in.x; break;
	case 11: out = (int32_t)(float)in.x; break;
	case 12: out = a + b; break;
	case 13: out = a * b; break;
	case 14: out = in.a - in.b; break;
	case 15: out = a << (b & 31); break;
	}
	pappus_put(0, (IoBuffer){"", 0, &out, sizeof out, 0});
	return 0;
}
PAPPUS_FUNCTION(run)
`

// How many kinds there are, and which of them make integers of floating-point numbers.
const (
	arithmetics     = 16
	firstConversion = 6
	lastConversion  = 11
)

// The same C, built for both engines: what divides by zero traps in both, and where both
// come to a result it is the same, also for numbers for which C says nothing.
func TestArithmeticOfBoth(t *testing.T) {
	if _, err := exec.LookPath("aarch64-linux-gnu-gcc"); err != nil {
		t.Skip("needs aarch64-linux-gnu-gcc: clang has the smallest number divided by -1 give a number")
	}
	t.Setenv("CFLAGS", "")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.c"), []byte(arithmetic), 0o600); err != nil {
		t.Fatal(err)
	}
	project, err := toolchain.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	builder := &toolchain.Builder{Cache: t.TempDir()}
	var missing *toolchain.MissingError
	var programs []*prepared
	for _, options := range []toolchain.Options{{}, {Native: true}} {
		built, err := builder.Build(t.Context(), project, options)
		if errors.As(err, &missing) {
			t.Skipf("needs compilers: %s", missing.Install())
		}
		if err != nil {
			t.Fatal(err)
		}
		e := newEngine(t, wasmengine.Config{})
		if options.Native {
			e = newNative(t, 0)
		}
		programs = append(programs, prepareCode(t, e, built.Module, engine.Limits{}))
	}
	numbers := []int64{0, 1, -1, 7, math.MinInt32, math.MaxInt32, math.MinInt64, math.MaxInt64, 1 << 32}
	floats := []float64{0, -0.5, -1, 127, 128, 2147483647, 2147483648, -2147483649, 4294967296, 9.3e18, -9.3e18, 1.9e19, math.NaN(), math.Inf(1), math.Inf(-1)}
	for what := range int64(arithmetics) {
		if what >= firstConversion && what <= lastConversion {
			for _, x := range floats {
				agreeOn(t, programs, what, 0, 0, x)
			}
			continue
		}
		for _, a := range numbers {
			for _, b := range numbers {
				agreeOn(t, programs, what, a, b, 0)
			}
		}
	}
}

// agreeOn holds both programs to what is promised of one input.
func agreeOn(t *testing.T, programs []*prepared, what, a, b int64, x float64) {
	t.Helper()
	in := fmt.Sprintf("%d of %d, %d and %g", what, a, b, x)
	wasm, wasmErr := computed(t, programs[0], what, a, b, x)
	native, nativeErr := computed(t, programs[1], what, a, b, x)
	switch {
	case wasmErr == nil && nativeErr == nil && wasm != native:
		t.Errorf("%s: %x and %x", in, wasm, native)
	case wasmErr != nil && nativeErr == nil:
		t.Errorf("%s: WebAssembly ends with %v, and native code gives %x", in, wasmErr, native)
	case nativeErr != nil && !strings.Contains(nativeErr.Error(), "BRK"):
		t.Errorf("%s: %v", in, nativeErr)
	case wasmErr == nil && nativeErr != nil && what > lastConversion:
		t.Errorf("%s: native code ends with %v, and WebAssembly gives %x", in, nativeErr, wasm)
	}
}

// computed is what a program of arithmetic makes of its input.
func computed(t *testing.T, p *prepared, what, a, b int64, x float64) (string, error) {
	t.Helper()
	var in []byte
	for _, v := range []uint64{uint64(what), uint64(a), uint64(b), math.Float64bits(x)} {
		for i := range 8 {
			in = append(in, byte(v>>(8*i)))
		}
	}
	r, err := p.program.Run(t.Context(), []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("", 0, in)}}}, p.limits)
	if err != nil {
		if engine.KindOf(err) != engine.FaultTrap {
			t.Fatal(err)
		}
		return "", err
	}
	defer r.Release()
	return string(r.Outputs[0].Items[0].Bytes()), nil
}
