package wasmengine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"pappus/engine"
	"pappus/wasmengine/codecache"
	"pappus/wasmengine/compiler"
	"pappus/wasmengine/meter"
)

// Class bounds what is compiled in this process, counted after metering. A
// module above any of the bounds is compiled in a child process, which can be
// stopped: the compiler can't, and takes minutes and gigabytes for small
// modules that were made for it. The numbers: docs/decisions/compile-class.md.
type Class struct {
	Code   int // bytes of the module
	Body   int // bytes of the largest function
	Blocks int // blocks of the function with most
	Calls  int // calls of the function with most
	Locals int // locals of the function with most
	Work   int // see meter.Metered
}

// DefaultClass is what compiles in well under a second and 100 MiB.
func DefaultClass() Class {
	return Class{Code: 1 << 20, Body: 64 << 10, Blocks: 500, Calls: 200, Locals: 1000, Work: 4 << 20}
}

// admits reports whether a module may be compiled in this process.
func (c Class) admits(metered *meter.Metered) bool {
	most := meter.Size{Body: metered.LargestBody, Blocks: metered.MostBlocks, Calls: metered.MostCalls, Locals: metered.MostLocals}
	return len(metered.Code) <= c.Code && metered.Work <= c.Work && c.above(most) == ""
}

// above says which bound a function is above, or "".
func (c Class) above(s meter.Size) string {
	for _, b := range [...]struct {
		what         string
		value, bound int
	}{{"bytes", s.Body, c.Body}, {"blocks", s.Blocks, c.Blocks}, {"calls", s.Calls, c.Calls}, {"locals", s.Locals, c.Locals}} {
		if b.value > b.bound {
			return fmt.Sprintf("it has %d %s once it is metered; the most is %d", b.value, b.what, b.bound)
		}
	}
	return ""
}

// fromCode makes a program from a module's code, and keeps what that took.
func (e *Engine) fromCode(ctx context.Context, key codecache.Key, code []byte, sig engine.Signature, lim engine.Limits) (*Program, error) {
	m, err := e.examine(code)
	if err != nil {
		return nil, err
	}
	if err := m.fits(lim); err != nil {
		return nil, err
	}
	metered, err := e.meter(m)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := m.runnable(metered)
	p, f, err := e.build(ctx, r, sig, lim, e.here(metered))
	defer f.remove()
	if err != nil {
		return nil, err
	}
	s, err := p.prepare(ctx, dataOf(m.decoded), lim)
	if err != nil {
		_ = p.Close() // the error that matters is why the module does not start
		return nil, err
	}
	if f != nil && f.cache != nil {
		e.keepCode(ctx, key, f, r, s)
		if r.Facts.Initializes {
			e.keepState(ctx, stateKey(key, p.most(lim), lim.Stack), s)
		}
	}
	return p, nil
}

// meter rewrites a module.
func (e *Engine) meter(m *module) (*meter.Metered, error) {
	metered, err := e.meterOptions(m).Rewrite(m.decoded)
	if err != nil {
		return nil, &engine.RejectedError{Reason: err.Error(), Hint: "split the function that is too large", Err: err}
	}
	return metered, nil
}

// meterOptions say how a module is rewritten.
func (e *Engine) meterOptions(m *module) meter.Options {
	o := meter.Options{Image: !e.config.NoImages, Globals: m.Initializes}
	if hasLines(m.decoded) {
		o.Customs = positions()
	}
	return o
}

// here reports whether a module is compiled in this process.
func (e *Engine) here(metered *meter.Metered) bool {
	return e.config.Interpreter || e.config.Class.admits(metered)
}

// runnable is the module in its metered form.
func (m *module) runnable(metered *meter.Metered) *runnable {
	return &runnable{
		Facts:  m.facts,
		Names:  exportNames{metered.Fuel, metered.Stack, metered.Reset, metered.Start, metered.Globals},
		Imaged: metered.Image,
		code:   metered.Code,
		frames: metered.Frames,
	}
}

// build compiles a metered module, here or in a child process, and checks what
// only its machine code tells. The caller removes the folder, which may be nil.
func (e *Engine) build(ctx context.Context, r *runnable, sig engine.Signature, lim engine.Limits, here bool) (*Program, *folder, error) {
	p, f, err := e.compile(ctx, r, sig, here)
	if err != nil {
		return nil, f, err
	}
	if err := r.Facts.fits(lim); err != nil { // of the stack it was not known before
		return nil, f, errors.Join(err, p.Close())
	}
	return p, f, nil
}

// compile compiles a metered module here or in a child process. The caller
// removes the folder, which may be nil.
func (e *Engine) compile(ctx context.Context, m *runnable, sig engine.Signature, here bool) (*Program, *folder, error) {
	f, err := e.newFolder(ctx, e.config.Cache)
	if err != nil {
		return nil, nil, err
	}
	p, err := e.compileInto(ctx, f, m, sig, here)
	if f != nil && f.cache != nil && errors.Is(err, compiler.ErrFolder) && ctx.Err() == nil {
		// A disk that is full must not keep anybody from compiling.
		e.notKept(ctx, err)
		f.remove()
		if f, err = e.newFolder(ctx, nil); err == nil {
			p, err = e.compileInto(ctx, f, m, sig, here)
		}
	}
	switch {
	case err == nil && here:
		e.compiled.here.Add(1)
	case err == nil:
		e.compiled.child.Add(1)
	case !here:
		e.compiled.refused.Add(1)
	}
	if err != nil {
		return nil, f, rejection(err)
	}
	return p, f, nil
}

func (e *Engine) compileInto(ctx context.Context, f *folder, m *runnable, sig engine.Signature, here bool) (*Program, error) {
	dir := ""
	if f != nil {
		dir = f.dir
	}
	if !here {
		if err := e.children.Compile(ctx, dir, m.code); err != nil {
			return nil, err
		}
	}
	p, err := e.load(ctx, m, sig, dir)
	if err != nil {
		return nil, err
	}
	if dir == "" {
		p.size += interpretedFactor * int64(len(m.code))
		return p, nil
	}
	machine, err := os.ReadFile(e.machineFile(m, dir))
	if err == nil {
		m.Facts.MaxStack, err = maxStack(machine, m.frames)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the machine code of a module: %w", err), p.Close())
	}
	p.facts = m.Facts
	p.size += int64(len(machine))
	return p, nil
}

// interpretedFactor is how much larger what the interpreter makes is than the
// module, about.
const interpretedFactor = 4

// maxStack finds the largest stack limit under which the machine's own stack is
// never used up. Calls are charged what the module says of a function, and not
// what its machine code takes, which differs between processors and compilers:
// so there must be enough of the machine's stack for every depth that the limit
// allows.
func maxStack(machine []byte, charges []int64) (engine.Bytes, error) {
	frames, err := compiler.Frames(machine)
	if err != nil {
		return 0, err
	}
	if len(frames) < len(charges) {
		return 0, fmt.Errorf("the machine code has %d functions instead of %d", len(frames), len(charges))
	}
	const entry = 64 << 10 // what enters and leaves compiled code
	largest := int64(0)
	for _, f := range frames {
		largest = max(largest, f)
	}
	most := int64(engine.MaxLimits().Stack)
	for i, charge := range charges {
		// The function that is called last may be any.
		most = min(most, max(compiler.StackBytes-entry-largest, 0)/frames[i]*charge)
	}
	return engine.Bytes(max(most>>10<<10, 1)), nil
}

// machineFile is where wazero keeps the machine code of m below the folder dir.
func (e *Engine) machineFile(m *runnable, dir string) string {
	return filepath.Join(dir, e.children.Target().File(m.code))
}

// rejection says what an error of compiling means for who uploaded the module.
func rejection(err error) error {
	var refused *compiler.RefusedError
	switch {
	case !errors.As(err, &refused):
		return err
	case refused.Costly:
		return &engine.RejectedError{Reason: refused.Reason, Hint: "split large functions, or build with size optimisation (-Os)", Costly: true, Err: err}
	case refused.Invalid:
		return &engine.RejectedError{Reason: "the module is not valid: " + refused.Reason, Hint: "the file is damaged or was built by a broken tool; build it again", Err: err}
	default:
		return &engine.RejectedError{Reason: refused.Reason, Hint: "build it with other options", Err: err}
	}
}

// folder is where a module is compiled into: private to one compilation, and
// in the code cache if what is made is to be kept.
type folder struct {
	dir   string
	cache *codecache.Cache // nil: a temporary folder
}

// newFolder makes a folder, or none if nothing needs one.
func (e *Engine) newFolder(ctx context.Context, cache *codecache.Cache) (*folder, error) {
	if cache != nil {
		dir, err := cache.Scratch()
		if err == nil {
			return &folder{dir, cache}, nil
		}
		e.notKept(ctx, err)
	}
	if e.config.Interpreter {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "pappus-compile-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for compiled code: %w", err)
	}
	return &folder{dir: dir}, nil
}

// remove removes the folder, unless it has become an entry of the cache.
func (f *folder) remove() {
	switch {
	case f == nil:
	case f.cache != nil:
		f.cache.Discard(f.dir)
	default:
		_ = os.RemoveAll(f.dir) // the system empties its folder for such
	}
}

// load makes a program of a metered module: of machine code in the folder dir
// if it is there, by compiling it otherwise. Without a folder it is "".
func (e *Engine) load(ctx context.Context, m *runnable, sig engine.Signature, dir string) (p *Program, err error) {
	config := compiler.Config()
	if e.config.Interpreter {
		config = compiler.Configured(wazero.NewRuntimeConfigInterpreter())
	}
	var cache wazero.CompilationCache
	if dir != "" {
		if cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
			return nil, fmt.Errorf("%w: %w", compiler.ErrFolder, err)
		}
		config = config.WithCompilationCache(cache)
	}
	// One runtime and one cache object for each program: closing them gives all
	// of its code back, and nobody instantiates a module that is still being
	// loaded.
	rt := wazero.NewRuntimeWithConfig(ctx, config)
	p = newProgram(e, m, sig, rt, cache)
	defer func() {
		if r := recover(); r != nil {
			err = &compiler.RefusedError{Reason: fmt.Sprintf("the compiler can't handle the module: %v", r)}
		}
		if err != nil {
			_ = p.Close() // the error that matters is why it does not compile
			p = nil
		}
	}()
	if err := p.hostModule(ctx); err != nil {
		return p, fmt.Errorf("make the host module: %w", err)
	}
	if p.compiled, err = rt.CompileModule(ctx, m.code); err != nil {
		if compiler.OfFiles(err) {
			return p, fmt.Errorf("%w: %w", compiler.ErrFolder, err)
		}
		return p, &compiler.RefusedError{Invalid: true, Reason: err.Error()}
	}
	return p, nil
}

// hostModule makes the module that metered code imports.
func (p *Program) hostModule(ctx context.Context) error {
	compiled, err := p.runtime.NewHostModuleBuilder(meter.ImportModule).
		NewFunctionBuilder().
		WithGoFunction(api.GoFunc(nextSlice), []api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).
		Export(meter.ImportName).
		Compile(ctx)
	if err == nil {
		_, err = p.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(meter.ImportModule).WithRandSource(noRandom{}))
	}
	return err
}
