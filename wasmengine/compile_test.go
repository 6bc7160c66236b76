package wasmengine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/wasmengine/binary/binarytest"
	"pappus/wasmengine/compiler"
	"pappus/wasmengine/meter"
)

// Whatever a module does to the compiler, this process stays small and serves
// others, and the module is accepted or refused in bounded time.
func TestCompileBombs(t *testing.T) {
	if raceEnabled {
		t.Skip("the compile process can't be limited under the race detector, which reserves terabytes")
	}
	e := newEngine(t, Config{CompileTimeout: 2 * time.Second, CompileMemory: 2 << 30})
	echo, err := e.Prepare(t.Context(), hostile(t, "echo-grow"), enginetest.Signature(), enginetest.Limits())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = echo.Close() }()

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	calls := 0
	wg.Go(func() {
		for ctx.Err() == nil {
			r, err := echo.Run(context.WithoutCancel(ctx), []data.Set{{Name: "in"}}, enginetest.Limits())
			if err != nil {
				t.Errorf("a call beside the bombs: %v", err)
				return
			}
			r.Release()
			calls++
			runtime.Gosched()
		}
	})
	before := residentBytes(t)
	for _, bomb := range binarytest.CompileBombs() {
		name, code := bomb.Name, bomb.Code
		start := time.Now()
		p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
		var r *engine.RejectedError
		switch {
		case err == nil:
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		case !errors.As(err, &r):
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %d KB, %s, %v", name, len(code)>>10, time.Since(start).Round(time.Millisecond), err)
	}
	stop()
	wg.Wait()
	if calls < 100 {
		t.Errorf("%d calls were served beside the bombs", calls)
	}
	runtime.GC()
	if grown := residentBytes(t) - before; grown > 256<<20 {
		t.Errorf("the process grew by %d MiB", grown>>20)
	}
}

// residentBytes is how much memory of this process is resident.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var pages int64
	for _, c := range strings.Fields(string(b))[1] {
		pages = pages*10 + int64(c-'0')
	}
	return pages * int64(os.Getpagesize())
}

// At each bound of the class a module is compiled here, one past it is not.
func TestClass(t *testing.T) {
	sharesNothing(t)
	e, err := New(Config{}) // what is not compiled here is refused
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	try := func(code []byte) error {
		p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
		if err == nil {
			err = p.Close()
		}
		return err
	}
	costly := func(err error) bool {
		var r *engine.RejectedError
		return errors.As(err, &r) && r.Costly
	}
	make1 := func(kind string, n int) []byte {
		switch kind {
		case "blocks":
			return binarytest.Function(binarytest.Body(2, bytes.Repeat(binarytest.IfBlock(), n)))
		case "calls":
			return binarytest.Function(binarytest.Body(0, bytes.Repeat(binarytest.CallStart(), n)))
		case "locals":
			return binarytest.Function(binarytest.Body(n, []byte{0x01}))
		case "code of a function":
			return binarytest.Function(binarytest.Body(1, bytes.Repeat([]byte{0x20, 0, 0x1a}, n)))
		case "functions":
			bodies := make([][]byte, n)
			for i := range bodies {
				bodies[i] = binarytest.Body(0, bytes.Repeat([]byte{0x01}, 500))
			}
			return binarytest.Function(bodies...)
		default:
			bodies := make([][]byte, n)
			for i := range bodies {
				bodies[i] = binarytest.Body(90, bytes.Repeat(binarytest.IfBlock(), 100))
			}
			return binarytest.Function(bodies...)
		}
	}
	for _, kind := range []string{"blocks", "calls", "locals", "code of a function", "functions", "work"} {
		// Metering adds to what is counted, so the bound is searched for.
		low, high := 1, 1<<17
		for high-low > 1 {
			mid := (low + high) / 2
			m, err := e.examine(make1(kind, mid))
			if err != nil {
				high = mid
				continue
			}
			if metered, err := meter.Rewrite(m.decoded); err == nil && e.config.Class.admits(metered) {
				low = mid
			} else {
				high = mid
			}
		}
		start := time.Now()
		if err := try(make1(kind, low)); err != nil {
			t.Errorf("%s: %d, at the bound: %v", kind, low, err)
		}
		t.Logf("%s: %d, %d KB of wasm, compiled in %s", kind, low, len(make1(kind, low))>>10, time.Since(start).Round(time.Millisecond))
		if err := try(make1(kind, high)); !costly(err) {
			t.Errorf("%s: %d, one past the bound: %v", kind, high, err)
		}
	}
}

func TestCompileProcess(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // other packages' tests compile in processes, too
	prepare := func(e *Engine, code []byte) error {
		p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
		if err != nil {
			return err
		}
		return p.Close()
	}
	e := newEngine(t, Config{Class: Class{Code: 1}})
	if err := prepare(e, hostile(t, "echo-grow")); err != nil {
		t.Errorf("a good module: %v", err)
	}
	invalid := binarytest.Function([]byte{0, 0x6a, 0x0b}) // i32.add of nothing
	var r *engine.RejectedError
	if err := prepare(e, invalid); !errors.As(err, &r) || r.Costly || !strings.Contains(r.Reason, "not valid") {
		t.Errorf("a module that does not type-check: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "pappus-compile-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if n := e.children.Started(); n != 1 {
		t.Errorf("%d processes were started for two modules", n)
	}
	for _, broken := range []string{"/nonexistent/compiler", "/bin/true"} {
		e, err := New(Config{Class: Class{Code: 1}, Compiler: []string{broken}})
		if err != nil {
			t.Fatal(err)
		}
		if err := prepare(e, hostile(t, "echo-grow")); !errors.Is(err, compiler.ErrProcess) || errors.As(err, &r) {
			t.Errorf("with %s for a compile process: %v", broken, err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
