package chericapengine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"pappus/chericapengine/loader"
	"pappus/engine"
	"pappus/engine/domain"
	"pappus/engine/lines"
)

// Name is the engine's name in registrations, metrics and placement.
const Name = "chericap"

// Semantics is the version of what makes a function's results, fuel included: of
// the instructions, of where things lie in a context and of what the platform
// shows a function. Whatever changes a result raises it.
const Semantics = 1

// Config is what an engine can be told. The zero value is good.
type Config struct {
	Slice   int64 // most instructions between two looks at deadline and scheduler; 0: 100,000
	Regions int   // contexts in use and idle at once; 0: 4,096

	// Native lets the processor run functions that have no limit of fuel, on Morello
	// under Linux. It has never run there: see doc.go. New fails elsewhere.
	Native bool
}

// Engine runs functions of Morello. It is safe for concurrent use.
type Engine struct {
	config Config
	pool   *domain.Pool
	driver driver
	native driver // nil: there is none

	readers *lines.Readers
}

var _ engine.Engine = (*Engine)(nil)

// New makes an engine that runs code in software, and if it is asked to natively.
func New(config Config) (*Engine, error) {
	if config.Slice == 0 {
		config.Slice = 100_000
	}
	if config.Slice < 0 {
		return nil, fmt.Errorf("chericap engine: slice %d can't be negative", config.Slice)
	}
	// Idle contexts keep nothing resident: a context is touched at its stack and at
	// its data, far from one another.
	pool, err := domain.NewPool(domain.Config{Regions: config.Regions, IdleWarm: 1})
	if err != nil {
		return nil, err
	}
	e := &Engine{config: config, pool: pool, driver: newSoftware(), readers: lines.NewReaders()}
	if config.Native {
		if e.native, err = newNative(); err != nil {
			return nil, errors.Join(fmt.Errorf("chericap engine: %w", err), pool.Close())
		}
	}
	return e, nil
}

// errNotMorello says that native code needs another machine.
var errNotMorello = errors.New("this machine is no Morello board with Linux: turn the native driver off, and functions run in software")

// Name is "chericap".
func (e *Engine) Name() string { return Name }

// Semantics is the same on all machines: floating point is canonical. The native
// driver counts no fuel, and makes NaNs and capabilities as the machine does.
func (e *Engine) Semantics() string {
	if e.native != nil {
		return strconv.Itoa(Semantics) + "-native"
	}
	return strconv.Itoa(Semantics)
}

// Recognizes reports whether code begins like an ELF file.
func (e *Engine) Recognizes(code []byte) bool { return loader.Recognizes(code) }

// Inspect reads a function without preparing it.
func (e *Engine) Inspect(code []byte) (engine.Inspection, error) {
	image, err := loader.Load(code)
	if err != nil {
		return engine.Inspection{}, err
	}
	return engine.Inspection{
		Manifest: image.Manifest,
		Memory:   smallest(image),
		Exports:  []string{loader.ReturnSymbol, loader.SystemSymbol},
	}, nil
}

// Prepare reads a function and decodes its instructions.
func (e *Engine) Prepare(ctx context.Context, code []byte, sig engine.Signature, _ engine.Limits) (engine.Program, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	image, err := loader.Load(code)
	if err != nil {
		return nil, err
	}
	held := int64(programOverhead)
	for i := range image.Segments {
		s := &image.Segments[i]
		s.Data = bytes.Clone(s.Data) // code is the caller's
		if !s.Executable {           // what is, the driver counts
			held += int64(len(s.Data))
		}
	}
	prepared, err := e.driver.prepare(image)
	if err != nil {
		return nil, &engine.RejectedError{Reason: err.Error(), Hint: "build it with a compiler for aarch64", Err: err}
	}
	from := &source{debug: image.Debug.Clone(), start: image.CodeStart, end: image.CodeEnd, made: e.readers.Once()}
	image.Debug = loader.Debug{}
	p := &Program{engine: e, image: image, code: prepared, source: from, sig: sig, size: prepared.size() + from.size() + held}
	if e.native != nil {
		if p.native, err = e.native.prepare(image); err != nil {
			return nil, err
		}
	}
	for _, o := range sig.Outputs {
		p.outputs = append(p.outputs, o.Name)
	}
	return p, nil
}

// Stats returns the counts of contexts of this moment.
func (e *Engine) Stats() domain.Stats { return e.pool.Stats() }

// Close gives the memory domain back.
func (e *Engine) Close() error { return e.pool.Close() }

// programOverhead is about what a program holds besides its code and data, in bytes.
const programOverhead = 4 << 10

// errClosed is returned by Run after Close.
var errClosed = errors.New("the program is closed")
