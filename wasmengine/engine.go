package wasmengine

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"pappus/engine"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/domain"
)

// Name is the engine's name in registrations, metrics and placement.
const Name = "wasm"

// Limits of a module's initialisation, which sees no inputs and is not part of
// an invocation's usage.
const (
	initFuel    = 1_000_000_000
	initTimeout = 10 * time.Second
)

// features are the parts of WebAssembly that modules may use: what package
// binary decodes.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

// Semantics is the version of what makes a module's results, fuel included: of
// the rewriting, of the fuel model and of what the platform shows a function.
// Whatever changes a result or the rewritten code raises it.
const Semantics = 1

// Config is what an engine can be told. The zero value is safe: modules that
// may be costly to compile are refused, since there is no process to do it in.
type Config struct {
	// Compiler is the command, with arguments, that compiles one module in a
	// process of its own by calling CompileWorker. The engine appends one
	// argument.
	Compiler []string

	CompileTimeout time.Duration // of such a process; 0: 30 s
	CompileMemory  int64         // bytes of address space that it gets; 0: 3 GiB

	Caps  binary.Caps // of modules; zero value: binary.DefaultCaps()
	Class Class       // what is compiled in process; zero value: DefaultClass()

	NoImages bool // run a module's initialisation for every call and not once

	// Interpreter runs modules in wazero's interpreter and not as compiled code:
	// a second pair of eyes, which must see the same outputs, fuel and faults. It
	// is slow, compiles everything in this process whatever Class says, and stops
	// where calls nest 2,000 deep: Run then fails with ErrTooDeep.
	Interpreter bool

	Slice int64 // fuel between two looks at deadline and scheduler; 0: 1,000,000

	Regions   int   // contexts in use and idle at once; 0: 4,096
	IdleBytes int64 // bytes that idle contexts may keep resident; 0: 256 MiB
	Idle      int   // idle contexts of one program; 0: twice the processors; below: none, every call gets a new one
}

// Engine runs WebAssembly. It is safe for concurrent use.
type Engine struct {
	config Config
	pool   *domain.Pool
	desc   descriptions

	idleInstances atomic.Int64 // instances that wait in programs
	idleBytes     atomic.Int64 // bytes that those keep resident
	created       atomic.Uint64
	reused        atomic.Uint64
	compiled      compileCounts
}

var _ engine.Engine = (*Engine)(nil)

// New makes an engine.
func New(config Config) (*Engine, error) {
	if config.CompileTimeout == 0 {
		config.CompileTimeout = 30 * time.Second
	}
	if config.CompileMemory == 0 {
		config.CompileMemory = 3 << 30
	}
	if config.Caps == (binary.Caps{}) {
		config.Caps = binary.DefaultCaps()
	}
	if config.Class == (Class{}) {
		config.Class = DefaultClass()
	}
	if config.Slice == 0 {
		config.Slice = 1_000_000
	}
	if config.IdleBytes == 0 {
		config.IdleBytes = 256 << 20
	}
	if config.Idle == 0 {
		config.Idle = 2 * runtime.GOMAXPROCS(0)
	}
	if config.Slice < 0 {
		return nil, fmt.Errorf("wasm engine: slice %d can't be negative", config.Slice)
	}
	// The first runtime of a process sets wazero's own version without a lock:
	// that must be over before runtimes are made by several goroutines.
	if err := wazero.NewRuntimeWithConfig(context.Background(), runtimeConfig()).Close(context.Background()); err != nil {
		return nil, fmt.Errorf("wasm engine: start wazero: %w", err)
	}
	pool, err := domain.NewPool(domain.Config{Regions: config.Regions, IdleWarm: config.IdleBytes})
	if err != nil {
		return nil, err
	}
	return &Engine{config: config, pool: pool, desc: newDescriptions()}, nil
}

// Name is "wasm".
func (e *Engine) Name() string { return Name }

// Recognizes reports whether code begins like a WebAssembly module.
func (e *Engine) Recognizes(code []byte) bool { return bytes.HasPrefix(code, []byte("\x00asm")) }

// Inspect decodes and examines a module without compiling it.
func (e *Engine) Inspect(code []byte) (engine.Inspection, error) {
	m, err := e.examine(code)
	if err != nil {
		return engine.Inspection{}, err
	}
	exports := make([]string, len(m.decoded.Exports))
	for i, x := range m.decoded.Exports {
		exports[i] = x.Name
	}
	return engine.Inspection{
		Manifest: m.manifest,
		Layout:   m.layout,
		Memory:   int64(m.decoded.Memory.Min) * engine.PageSize,
		Exports:  exports,
	}, nil
}

// Prepare makes code ready to run.
func (e *Engine) Prepare(ctx context.Context, code []byte, sig engine.Signature, lim engine.Limits) (engine.Program, error) {
	m, err := e.examine(code)
	if err != nil {
		return nil, err
	}
	if need := int64(m.decoded.Memory.Min) * engine.PageSize; need > int64(lim.Memory) {
		return nil, &engine.RejectedError{
			Reason: fmt.Sprintf("the module's initial memory of %s is above its memory limit of %s", engine.Bytes(need), lim.Memory),
			Hint:   "raise the memory limit or build the module with less initial memory",
		}
	}
	if m.layout == layoutDandelion && m.hasHeap && int64(m.heapBase) >= int64(lim.Memory) {
		return nil, reject(fmt.Sprintf("%s is %#x, at or above the memory limit of %s", exportHeapBase, m.heapBase, lim.Memory), "raise the memory limit, or export the linker's value")
	}
	p, err := e.compile(ctx, m, sig)
	if err != nil {
		return nil, err
	}
	if err := p.prepare(ctx, m.decoded, lim); err != nil {
		_ = p.Close() // the error that matters is why the module does not start
		return nil, err
	}
	return p, nil
}

// Stats are counts of one moment.
type Stats struct {
	Domain        domain.Stats
	IdleInstances int64  // instances that wait for a call
	IdleBytes     int64  // bytes that those keep resident, at most
	Created       uint64 // instances made so far
	Reused        uint64 // calls that found an instance ready
}

// Stats returns the counts of this moment.
func (e *Engine) Stats() Stats {
	return Stats{
		Domain:        e.pool.Stats(),
		IdleInstances: e.idleInstances.Load(),
		IdleBytes:     e.idleBytes.Load(),
		Created:       e.created.Load(),
		Reused:        e.reused.Load(),
	}
}

// Close gives the memory domain back.
func (e *Engine) Close() error { return e.pool.Close() }
