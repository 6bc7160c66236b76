package spectest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/meter"
)

// features and maxPages are those of the engine.
const (
	features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst
	maxPages = 65_535
)

// way is one way of running modules.
type way struct {
	name    string
	config  wazero.RuntimeConfig
	pass    func(code []byte) (*module, error)
	control bool  // modules are as they were
	slice   int64 // fuel between two calls of the host; 0: not metered
	stack   int64 // bytes, if metered
}

// ways are what every script runs on. Those that are metered must all use the
// same fuel.
func ways() []way {
	compiler, interpreter := wazero.NewRuntimeConfigCompiler(), wazero.NewRuntimeConfigInterpreter()
	engines := meter.Options{Image: true, Globals: true} // what the engine asks for
	const stack = 8 << 20
	const shallow = 100_000 // wazero's interpreter ends at 2,000 frames, whatever their size
	list := []way{
		{name: "plain", config: compiler, pass: plain, control: true},
		{name: "plain, interpreted", config: interpreter, pass: plain, control: true},
		{name: "decoded and encoded", config: compiler, pass: encoded},
		{name: "metered", config: compiler, pass: metered(engines), slice: 1_000_000, stack: stack},
		{name: "metered, slices of 1", config: compiler, pass: metered(meter.Options{}), slice: 1, stack: stack},
		{name: "metered, interpreted", config: interpreter, pass: metered(engines), slice: 1_000, stack: shallow},
	}
	if os.Getenv("PAPPUS_SPEC") == "all" {
		for _, slice := range []int64{1, 7, 1_000, 1_000_000} {
			list = append(list,
				way{name: fmt.Sprintf("slices of %d, compiled", slice), config: compiler, pass: metered(engines), slice: slice, stack: stack},
				way{name: fmt.Sprintf("slices of %d, interpreted", slice), config: interpreter, pass: metered(meter.Options{}), slice: slice, stack: shallow})
		}
	}
	return list
}

// module is what a way makes of a module, to be compiled.
type module struct {
	code    []byte
	data    []binary.Data // left to the host to write, as with images
	metered *meter.Metered
}

func plain(code []byte) (*module, error) { return &module{code: code}, nil }

// A brokenError is an error that no module may cause.
type brokenError struct{ err error }

func (e brokenError) Error() string { return e.err.Error() }
func (e brokenError) Unwrap() error { return e.err }

func decode(code []byte) (*binary.Module, error) { return binary.Decode(code, binary.DefaultCaps()) }

func encoded(code []byte) (*module, error) {
	m, err := decode(code)
	if err != nil {
		return nil, err
	}
	once := binary.Encode(m)
	if m, err = decode(once); err != nil {
		return nil, brokenError{fmt.Errorf("what was encoded is refused: %w", err)}
	}
	if !bytes.Equal(once, binary.Encode(m)) {
		return nil, brokenError{errors.New("encoding again gives other bytes")}
	}
	return &module{code: once}, nil
}

func metered(options meter.Options) func(code []byte) (*module, error) {
	return func(code []byte) (*module, error) {
		m, err := decode(code)
		if err != nil {
			return nil, err
		}
		me, err := options.Rewrite(withoutImports(m))
		if err != nil {
			return nil, brokenError{fmt.Errorf("metering: %w", err)}
		}
		linked, err := withImports(me.Code, m)
		if err != nil {
			return nil, brokenError{fmt.Errorf("what was metered is refused: %w", err)}
		}
		out := &module{code: linked, metered: me}
		if me.Image {
			out.data = m.Data
		}
		return out, nil
	}
}

// world is where a script's modules live.
type world struct {
	way
	runtime    wazero.Runtime
	instances  []*instance
	registered map[string]api.Module
	granted    int64 // fuel of the call that is under way
}

// instance is one instantiated module.
type instance struct {
	api.Module
	fuel, stack api.MutableGlobal
}

func newWorld(ctx context.Context, w way) (*world, error) {
	config := w.config.WithCoreFeatures(features).WithMemoryLimitPages(maxPages).WithDebugInfoEnabled(false)
	world := &world{way: w, runtime: wazero.NewRuntimeWithConfig(ctx, config), registered: map[string]api.Module{}}
	slice := api.GoFunc(func(_ context.Context, stack []uint64) {
		world.granted += w.slice - int64(stack[0])
		stack[0] = uint64(w.slice)
	})
	i64 := []api.ValueType{api.ValueTypeI64}
	_, err := world.runtime.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoFunction(slice, i64, i64).Export(meter.ImportName).Instantiate(ctx)
	return world, err
}

// errTrap is a trap; its text is wazero's.
type errTrap string

func (e errTrap) Error() string { return string(e) }

const outOfBounds errTrap = "out of bounds memory access"

// trapOf finds the trap in an error of wazero, or gives the error back.
func trapOf(err error) error {
	if err == nil {
		return nil
	}
	s := err.Error()
	if _, after, ok := strings.Cut(s, "wasm error: "); ok {
		s, _, _ = strings.Cut(after, "\n")
		s, _, _ = strings.Cut(s, " (recovered")
		return errTrap(s)
	}
	if strings.HasPrefix(s, "stack overflow") { // the interpreter's
		return errTrap("stack overflow")
	}
	if strings.HasPrefix(s, "data[") && strings.HasSuffix(s, string(outOfBounds)) {
		return outOfBounds
	}
	return err
}

// compile passes and compiles a module.
func (w *world) compile(ctx context.Context, code []byte) (*module, wazero.CompiledModule, error) {
	m, err := w.pass(code)
	if err != nil {
		return nil, nil, err
	}
	compiled, err := w.runtime.CompileModule(ctx, m.code)
	return m, compiled, err
}

// instantiate makes an instance of a compiled module and starts it.
func (w *world) instantiate(ctx context.Context, m *module, compiled wazero.CompiledModule) (*instance, error) {
	ctx = experimental.WithImportResolver(ctx, func(name string) api.Module { return w.registered[name] })
	mod, err := w.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, trapOf(err)
	}
	i := &instance{Module: mod}
	if w.slice == 0 {
		return i, nil
	}
	var okFuel, okStack bool
	i.fuel, okFuel = mod.ExportedGlobal(m.metered.Fuel).(api.MutableGlobal)
	i.stack, okStack = mod.ExportedGlobal(m.metered.Stack).(api.MutableGlobal)
	if !okFuel || !okStack {
		return nil, errors.New("the counters are not exported")
	}
	w.instances = append(w.instances, i)
	for _, d := range m.data {
		if d.Mode == binary.Active && !mod.Memory().Write(d.Offset, d.Bytes) {
			return nil, outOfBounds
		}
	}
	if m.metered.Start == "" {
		return i, nil
	}
	_, _, err = w.call(ctx, mod.ExportedFunction(m.metered.Start))
	return i, err
}

// call calls a function and tells the fuel that all instances used.
func (w *world) call(ctx context.Context, f api.Function, args ...uint64) (results []uint64, fuel int64, err error) {
	w.granted = 0
	for _, i := range w.instances {
		i.fuel.Set(uint64(w.slice))
		i.stack.Set(uint64(w.stack))
		w.granted += w.slice
	}
	results, err = f.Call(ctx, args...)
	fuel = w.granted
	for _, i := range w.instances {
		fuel -= int64(i.fuel.Get())
		if left := int64(i.stack.Get()); err == nil && (left < 0 || left > w.stack) {
			return nil, 0, fmt.Errorf("%d bytes of stack left of %d", left, w.stack)
		}
	}
	return results, fuel, trapOf(err)
}

// exhausted tells whether the last call used up the stack that it was given.
func (w *world) exhausted() bool {
	for _, i := range w.instances {
		if int64(i.stack.Get()) < 0 {
			return true
		}
	}
	return false
}
