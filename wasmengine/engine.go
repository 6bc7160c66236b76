package wasmengine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"pappus/engine"
	"pappus/engine/domain"
	"pappus/engine/lines"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/codecache"
	"pappus/wasmengine/compiler"
)

// Name is the engine's name in registrations, metrics and placement.
const Name = "wasm"

// Limits of a module's initialisation, which sees no inputs and is not part of
// an invocation's usage.
const (
	initFuel    = 1_000_000_000
	initTimeout = 10 * time.Second
)

// Semantics is the version of what makes a module's results, fuel included: of
// the rewriting, of the fuel model and of what the platform shows a function.
// Whatever changes a result or the rewritten code raises it.
const Semantics = 1

// Config is what an engine can be told. The zero value is safe: modules that
// may be costly to compile are refused, since there is no process to do it in.
type Config struct {
	// Compiler is the command, with arguments, that compiles modules in a
	// process of its own by calling CompileWorker.
	Compiler []string

	CompileProcesses int           // at once; 0: 2
	CompileTimeout   time.Duration // for one module there; 0: 30 s
	CompileMemory    int64         // bytes of address space that it gets; 0: 3 GiB

	// Cache keeps what was made of modules; nil: nothing is kept. It outlives
	// the engine, and is closed by who opened it.
	Cache *codecache.Cache

	Log *slog.Logger // told what went wrong and was made good; nil: nobody is

	Caps  binary.Caps // of modules; zero value: binary.DefaultCaps()
	Class Class       // what is compiled in process; zero value: DefaultClass()

	NoImages bool // run a module's initialisation for every call and not once

	// Interpreter runs modules in wazero's interpreter and not as compiled code:
	// a second pair of eyes, which must see the same outputs, fuel and faults. It
	// is slow, compiles everything in this process whatever Class says, and stops
	// where calls nest 2,000 deep: Run then fails with ErrTooDeep.
	Interpreter bool

	Slice int64 // most fuel between two looks at deadline and scheduler; 0: 250,000

	Regions   int   // contexts in use and idle at once; 0: 4,096
	IdleBytes int64 // bytes that idle contexts may keep resident; 0: 256 MiB
	Idle      int   // idle contexts of one program; 0: twice the processors; below: none, every call gets a new one
}

// Engine runs WebAssembly. It is safe for concurrent use.
type Engine struct {
	config   Config
	pool     *domain.Pool
	children *compiler.Pool
	desc     descriptions

	idleInstances atomic.Int64 // instances that wait in programs
	idleBytes     atomic.Int64 // bytes that those keep resident
	idlers        idlers
	evicted       atomic.Uint64
	created       atomic.Uint64
	reused        atomic.Uint64
	compiled      compileCounts

	readers *lines.Readers
}

var _ engine.Engine = (*Engine)(nil)

// New makes an engine.
func New(config Config) (*Engine, error) {
	if config.Caps == (binary.Caps{}) {
		config.Caps = binary.DefaultCaps()
	}
	if config.Class == (Class{}) {
		config.Class = DefaultClass()
	}
	if config.Slice == 0 {
		config.Slice = 250_000
	}
	if config.Regions == 0 {
		config.Regions = 4096
	}
	if config.IdleBytes == 0 {
		config.IdleBytes = 256 << 20
	}
	if config.Idle == 0 {
		config.Idle = 2 * runtime.GOMAXPROCS(0)
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Slice < 0 {
		return nil, fmt.Errorf("wasm engine: slice %d can't be negative", config.Slice)
	}
	if config.Interpreter {
		config.Cache = nil // it makes no machine code
	}
	pool, err := domain.NewPool(domain.Config{Regions: config.Regions, IdleWarm: config.IdleBytes})
	if err != nil {
		return nil, err
	}
	children, err := compiler.NewPool(compiler.Options{
		Command: config.Compiler, Processes: config.CompileProcesses, Timeout: config.CompileTimeout, Memory: config.CompileMemory,
	})
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &Engine{config: config, pool: pool, children: children, desc: newDescriptions(), readers: lines.NewReaders()}, nil
}

// Name is "wasm".
func (e *Engine) Name() string { return Name }

// Semantics is the same on all machines: floating point is canonical.
func (e *Engine) Semantics() string { return strconv.Itoa(Semantics) }

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
		Layout:   m.Layout,
		Memory:   int64(m.MinPages) * engine.PageSize,
		Exports:  exports,
	}, nil
}

// Prepare makes code ready to run: from the code cache if it is there, by
// compiling it otherwise.
func (e *Engine) Prepare(ctx context.Context, code []byte, sig engine.Signature, lim engine.Limits) (engine.Program, error) {
	key := e.codeKey(engine.TenantOf(ctx), code)
	p, err := e.fromCache(ctx, key, code, sig, lim)
	if p == nil && err == nil {
		p, err = e.fromCode(ctx, key, code, sig, lim)
	}
	if err != nil {
		return nil, err
	}
	p.sources = e.sourcesOf(code)
	p.size += p.sources.size()
	return p, nil
}

// Stats are counts of one moment.
type Stats struct {
	Domain        domain.Stats
	IdleInstances int64  // instances that wait for a call
	IdleBytes     int64  // bytes that those keep resident, at most
	Created       uint64 // instances made so far
	Reused        uint64 // calls that found an instance ready
	Evicted       uint64 // idle instances that made room for others
}

// Stats returns the counts of this moment.
func (e *Engine) Stats() Stats {
	return Stats{
		Domain:        e.pool.Stats(),
		IdleInstances: e.idleInstances.Load(),
		IdleBytes:     e.idleBytes.Load(),
		Created:       e.created.Load(),
		Reused:        e.reused.Load(),
		Evicted:       e.evicted.Load(),
	}
}

// Close ends the compile processes and gives the memory domain back.
func (e *Engine) Close() error {
	e.children.Close()
	return e.pool.Close()
}
