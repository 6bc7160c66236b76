package meter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"pappus/wasmengine/binary"
)

const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

var errOutOfFuel = errors.New("out of fuel")

const noLimit = math.MaxInt64

// lab runs modules, plain and metered, on one of wazero's engines.
type lab struct {
	runtime wazero.Runtime
	grant   *grant // of the run that is under way
}

// grant hands out fuel as a host does.
type grant struct {
	slice, limit, granted int64
	slices                int
}

func (g *grant) next(counter int64) int64 {
	g.slices++
	used := g.granted - counter
	if used > g.limit {
		panic(errOutOfFuel)
	}
	n := min(g.slice, g.limit-used)
	g.granted = used + n
	return n
}

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newLab(t testing.TB, cfg wazero.RuntimeConfig) *lab {
	t.Helper()
	ctx := context.Background()
	l := &lab{runtime: wazero.NewRuntimeWithConfig(ctx, cfg.WithCoreFeatures(features).WithMemoryLimitPages(1<<15))}
	t.Cleanup(func() { _ = l.runtime.Close(ctx) })
	slice := api.GoFunc(func(_ context.Context, stack []uint64) {
		stack[0] = uint64(l.grant.next(int64(stack[0])))
	})
	i64 := []api.ValueType{api.ValueTypeI64}
	_, err := l.runtime.NewHostModuleBuilder(ImportModule).NewFunctionBuilder().
		WithGoFunction(slice, i64, i64).Export(ImportName).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// call is what is run and under which limits.
type call struct {
	fn           string
	args         []uint64
	slice, limit int64 // 0: 1000 and no limit
	stack        int64 // 0: 8 MiB
}

// outcome is what a run leaves.
type outcome struct {
	results []uint64
	trap    string // first line of the error, or ""
	memory  [32]byte
	fuel    int64
	stack   int64 // what is left of it
	slices  int
}

// same tells whether two runs did the same, whatever they used.
func (o outcome) same(p outcome) bool {
	return slices.Equal(o.results, p.results) && o.trap == p.trap && o.memory == p.memory
}

func trapOf(err error) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, errOutOfFuel) {
		return errOutOfFuel.Error()
	}
	s, _, _ := strings.Cut(err.Error(), " (recovered")
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func memoryOf(m api.Module) [32]byte {
	mem := m.Memory()
	if mem == nil {
		return [32]byte{}
	}
	b, _ := mem.Read(0, mem.Size())
	return sha256.Sum256(b)
}

func (l *lab) instantiate(t tb, code []byte) api.Module {
	t.Helper()
	ctx := context.Background()
	compiled, err := l.runtime.CompileModule(ctx, code)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	m, err := l.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	return m
}

// plain runs a module as it is.
func (l *lab) plain(t tb, code []byte, c call) outcome {
	t.Helper()
	m := l.instantiate(t, code)
	defer func() { _ = m.Close(context.Background()) }() // it has no resources to lose
	var o outcome
	var err error
	o.results, err = m.ExportedFunction(c.fn).Call(context.Background(), c.args...)
	o.results = slices.Clone(o.results)
	o.trap, o.memory = trapOf(err), memoryOf(m)
	return o
}

// rewrite decodes and meters a module.
func rewrite(t tb, code []byte) *Metered {
	t.Helper()
	m, err := binary.Decode(code, binary.DefaultCaps())
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	before := bytes.Clone(code)
	me, err := Rewrite(m)
	if err != nil {
		t.Fatalf("rewrite: %v", err)
	}
	if !bytes.Equal(before, code) {
		t.Fatal("rewriting changed the original")
	}
	return me
}

// metered runs a rewritten module in a new instance.
func (l *lab) metered(t tb, me *Metered, c call) outcome {
	t.Helper()
	m := l.instantiate(t, me.Code)
	defer func() { _ = m.Close(context.Background()) }() // it has no resources to lose
	return l.run(t, m, me, c)
}

// run runs a rewritten module in an instance.
func (l *lab) run(t tb, m api.Module, me *Metered, c call) outcome {
	t.Helper()
	if c.slice == 0 {
		c.slice = 1000
	}
	if c.limit == 0 {
		c.limit = noLimit
	}
	if c.stack == 0 {
		c.stack = 8 << 20
	}
	fuel := m.ExportedGlobal(me.Fuel).(api.MutableGlobal)   //nolint:errcheck // the test fails
	stack := m.ExportedGlobal(me.Stack).(api.MutableGlobal) //nolint:errcheck // the test fails
	g := &grant{slice: c.slice, limit: c.limit, granted: min(c.slice, c.limit)}
	l.grant = g
	fuel.Set(uint64(g.granted))
	stack.Set(uint64(c.stack))
	f := m.ExportedFunction(c.fn)
	if f == nil {
		t.Fatalf("no function %q", c.fn)
	}
	var o outcome
	var err error
	o.results, err = f.Call(context.Background(), c.args...)
	o.results = slices.Clone(o.results)
	o.trap, o.memory = trapOf(err), memoryOf(m)
	o.fuel = g.granted - int64(fuel.Get())
	o.stack = int64(stack.Get())
	o.slices = g.slices
	if err == nil && o.fuel > c.limit {
		o.trap = errOutOfFuel.Error()
	}
	return o
}

// bounded is how much fuel a module may use before it is taken for one that
// does not end, and is never run without a meter.
const bounded = 300_000

// shallow is a stack limit that recursion reaches before the interpreter's own
// bound of 2,000 frames.
const shallow = 64 << 10

// check runs a module metered with slices of several sizes, and plain if it
// ends: results, traps and memories must be equal, and so must fuel.
func (l *lab) check(t tb, code []byte, c call) outcome {
	t.Helper()
	return l.checkAgainst(t, code, code, c)
}

// checkAgainst does the same with another module to be run plain.
func (l *lab) checkAgainst(t tb, code, reference []byte, c call) outcome {
	t.Helper()
	me := rewrite(t, code)
	c.limit = bounded
	c.stack = shallow
	c.slice = 1
	first := l.metered(t, me, c)
	for _, slice := range []int64{7, 1_000, 1_000_000} {
		c.slice = slice
		if got := l.metered(t, me, c); !got.same(first) || got.fuel != first.fuel {
			t.Fatalf("%s%v, slices of %d: %v %q, fuel %d; slices of 1: %v %q, fuel %d (memory equal: %v)", c.fn, c.args,
				slice, got.results, got.trap, got.fuel, first.results, first.trap, first.fuel, got.memory == first.memory)
		}
	}
	if first.trap == errOutOfFuel.Error() || first.stack < 0 {
		return first
	}
	if want := l.plain(t, reference, c); !first.same(want) {
		t.Fatalf("%s%v: got %v %q, want %v %q (memory equal: %v)",
			c.fn, c.args, first.results, first.trap, want.results, want.trap, first.memory == want.memory)
	}
	if first.trap == "" && (first.stack < 0 || first.stack > shallow) {
		t.Fatalf("%s%v: a counter of %d, at the beginning %d bytes", c.fn, c.args, first.stack, shallow)
	}
	return first
}
