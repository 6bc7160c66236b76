package wasmengine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"golang.org/x/sys/unix"

	"pappus/engine"
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
	return len(metered.Code) <= c.Code && metered.LargestBody <= c.Body && metered.MostBlocks <= c.Blocks &&
		metered.MostCalls <= c.Calls && metered.MostLocals <= c.Locals && metered.Work <= c.Work
}

// Exit statuses of the compile process.
const (
	workerOK       = 0
	workerInternal = 1
	workerInvalid  = 3 // the module is not valid; why is on stderr
)

// runtimeConfig is how modules are compiled, here and in the child: it must be
// the same in both, or what the child leaves is not found.
func runtimeConfig() wazero.RuntimeConfig { return configured(wazero.NewRuntimeConfigCompiler()) }

// configured says what modules may use, whatever runs them.
func configured(c wazero.RuntimeConfig) wazero.RuntimeConfig {
	return c.WithCoreFeatures(features).
		WithMemoryLimitPages(engine.MaxPages).
		WithDebugInfoEnabled(false)
}

// compile meters and compiles a module.
func (e *Engine) compile(ctx context.Context, m *module, sig engine.Signature) (*Program, error) {
	metered, err := meter.Options{Image: !e.config.NoImages, Globals: m.initializes()}.Rewrite(m.decoded)
	if err != nil {
		return nil, &engine.RejectedError{Reason: err.Error(), Hint: "split the function that is too large", Err: err}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.config.Interpreter || e.config.Class.admits(metered) {
		e.compiled.here.Add(1)
		return e.load(ctx, m, sig, metered, nil)
	}
	dir, err := os.MkdirTemp("", "pappus-compile-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for compiled code: %w", err)
	}
	p, err := e.compileInChild(ctx, m, sig, metered, dir)
	if rmErr := os.RemoveAll(dir); rmErr != nil && err == nil {
		err = errors.Join(fmt.Errorf("remove the folder of compiled code: %w", rmErr), p.Close())
	}
	if err != nil {
		e.compiled.refused.Add(1)
		return nil, err
	}
	e.compiled.child.Add(1)
	return p, nil
}

// compileInChild has a process compile the module into dir, and loads from there.
func (e *Engine) compileInChild(ctx context.Context, m *module, sig engine.Signature, metered *meter.Metered, dir string) (*Program, error) {
	if len(e.config.Compiler) == 0 {
		return nil, tooCostly("compiling it may take long, and no compile process is configured", nil)
	}
	bounded, cancel := context.WithTimeout(ctx, e.config.CompileTimeout)
	defer cancel()
	argv := append(append([]string{}, e.config.Compiler[1:]...), dir)
	cmd := exec.CommandContext(bounded, e.config.Compiler[0], argv...)
	var stderr bytes.Buffer
	cmd.Stdin = bytes.NewReader(metered.Code)
	cmd.Stderr = &limitedWriter{w: &stderr, left: 16 << 10}
	cmd.Env = append(os.Environ(), workerMemoryEnv+"="+strconv.FormatInt(e.config.CompileMemory, 10),
		workerSecondsEnv+"="+strconv.Itoa(int(e.config.CompileTimeout/time.Second)+1))
	cmd.WaitDelay = time.Second
	// A child must not outlive a parent that was killed.
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	// The signal of Pdeathsig comes when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == workerInvalid:
		return nil, invalid(errors.New(stderr.String()))
	case bounded.Err() != nil:
		return nil, tooCostly(fmt.Sprintf("compiling it takes more than %s", e.config.CompileTimeout), err)
	case errors.As(err, &exit):
		return nil, tooCostly("compiling it takes more memory or time than a compile process gets", err)
	default:
		return nil, fmt.Errorf("start the compile process: %w", err)
	}
	if err := holdsOneFile(dir); err != nil {
		return nil, err
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open compiled code: %w", err)
	}
	return e.load(ctx, m, sig, metered, cache)
}

// holdsOneFile makes sure that the compile process left machine code: without
// it the module would be compiled here after all.
func holdsOneFile(dir string) error {
	files := 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files++
		}
		return err
	})
	if err != nil || files != 1 {
		return fmt.Errorf("the compile process left %d files of code instead of one: %w", files, errors.Join(err, errNoCode))
	}
	return nil
}

var errNoCode = errors.New("no compiled code")

// load compiles the metered module, or finds it in cache, and makes a program.
// The program owns cache.
func (e *Engine) load(ctx context.Context, m *module, sig engine.Signature, metered *meter.Metered, cache wazero.CompilationCache) (p *Program, err error) {
	config := runtimeConfig()
	if e.config.Interpreter {
		config = configured(wazero.NewRuntimeConfigInterpreter())
	}
	if cache != nil {
		config = config.WithCompilationCache(cache)
	}
	// One runtime a program: closing it gives all of its code back.
	p = newProgram(e, m, sig, metered, wazero.NewRuntimeWithConfig(ctx, config), cache)
	defer func() {
		if r := recover(); r != nil {
			err = &engine.RejectedError{Reason: fmt.Sprintf("the compiler can't handle the module: %v", r), Hint: "build it with other options"}
		}
		if err != nil {
			_ = p.Close() // the error that matters is why it does not compile
			p = nil
		}
	}()
	_, err = p.runtime.NewHostModuleBuilder(meter.ImportModule).
		NewFunctionBuilder().
		WithGoFunction(api.GoFunc(nextSlice), []api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).
		Export(meter.ImportName).
		Instantiate(ctx)
	if err != nil {
		return p, fmt.Errorf("make the host module: %w", err)
	}
	if p.compiled, err = p.runtime.CompileModule(ctx, metered.Code); err != nil {
		return p, invalid(err)
	}
	return p, nil
}

func invalid(err error) error {
	return &engine.RejectedError{Reason: "the module is not valid: " + err.Error(), Hint: "the file is damaged or was built by a broken tool; build it again", Err: err}
}

func tooCostly(reason string, err error) error {
	return &engine.RejectedError{Reason: reason, Hint: "split large functions, or build with size optimisation (-Os)", Costly: true, Err: err}
}

// limitedWriter keeps the first bytes of what is written and drops the rest.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(b []byte) (int, error) {
	keep := b[:min(len(b), l.left)]
	l.left -= len(keep)
	if _, err := l.w.Write(keep); err != nil {
		return 0, err
	}
	return len(b), nil
}
