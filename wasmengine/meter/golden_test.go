package meter

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"pgregory.net/rapid"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

var update = flag.Bool("update", false, "draw the modules of testdata/golden anew and write golden.txt instead of comparing with it")

const goldenModules = 24

// goldenCall is how the last function of a golden module is called.
func goldenCall(t tb, code []byte) call {
	t.Helper()
	m, err := binary.Decode(code, binary.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	return call{fn: "f" + strconv.Itoa(len(m.Bodies)-1), args: []uint64{5, 1 << 40}, limit: bounded, stack: shallow}
}

// goldenLine says all that a run may depend on.
func goldenLine(name string, c call, o outcome) string {
	return fmt.Sprintf("%s %s%x: %x %q fuel %d stack %d memory %x\n", name, c.fn, c.args, o.results, o.trap, o.fuel, o.stack, o.memory[:8])
}

// drawGolden writes modules whose results would depend on the processor if
// NaNs were left as they are.
func drawGolden(t *testing.T, l *lab) {
	gen := rapid.Custom(binarytest.RandomFloats)
	for seed, n := 0, 0; n < goldenModules; seed++ {
		code := gen.Example(seed)
		m, err := binary.Decode(code, binary.DefaultCaps())
		if err != nil {
			t.Fatal(err)
		}
		kept, err := Options{KeepNaNs: true}.Rewrite(m)
		if err != nil {
			t.Fatal(err)
		}
		c := goldenCall(t, code)
		o := l.metered(t, rewrite(t, code), c)
		if o.trap != "" || l.metered(t, kept, c).same(o) {
			continue
		}
		if err := os.WriteFile(filepath.Join("testdata", "golden", fmt.Sprintf("random-%02d.wasm", n)), code, 0o644); err != nil {
			t.Fatal(err)
		}
		n++
	}
}

// Results, traps, fuel and what is left of the stack are those of the file,
// whatever processor and engine the test runs on. make arm64 runs it on
// another one.
func TestGolden(t *testing.T) {
	const file = "testdata/golden.txt"
	compiler := newLab(t, wazero.NewRuntimeConfigCompiler())
	interpreter := newLab(t, wazero.NewRuntimeConfigInterpreter())
	if *update {
		drawGolden(t, compiler)
	}
	var got bytes.Buffer
	fmt.Fprintf(&got, "fuel model %d\n", FuelModel)
	names, err := filepath.Glob("testdata/golden/*.wasm")
	if err != nil || len(names) != goldenModules {
		t.Fatalf("%d modules of %d: %v", len(names), goldenModules, err)
	}
	for _, name := range names {
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c, me := goldenCall(t, code), rewrite(t, code)
		o, i := compiler.metered(t, me, c), interpreter.metered(t, me, c)
		if !o.same(i) || o.fuel != i.fuel || o.stack != i.stack {
			t.Errorf("%s: the engines disagree", name)
		}
		got.WriteString(goldenLine(filepath.Base(name), c, o))
	}
	code, err := os.ReadFile("../../bench/kernels/kernels.wasm")
	if err != nil {
		t.Fatal(err)
	}
	me := rewrite(t, code)
	m, err := binary.Decode(code, binary.DefaultCaps())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range m.Exports {
		if x.Kind == binary.ExternFunc {
			c := call{fn: x.Name, args: []uint64{2}, slice: 1_000_000}
			got.WriteString(goldenLine("kernels.wasm", c, compiler.metered(t, me, c)))
		}
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines, wanted := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	if slices.Equal(lines, wanted) {
		return
	}
	for i := range max(len(lines), len(wanted)) {
		var a, b string
		if i < len(lines) {
			a = lines[i]
		}
		if i < len(wanted) {
			b = wanted[i]
		}
		if a != b {
			t.Errorf("on %s:\n%s\nwant:\n%s", runtime.GOARCH, a, b)
		}
	}
}
