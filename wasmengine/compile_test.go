package wasmengine

import (
	"bytes"
	"context"
	"encoding/binary"
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
	"pappus/wasmengine/meter"
)

func leb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func section(id byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return bytes.Join([][]byte{{id}, leb(len(body)), body}, nil)
}

func name(s string) []byte { return append(leb(len(s)), s...) }

// moduleOf makes a module that keeps to the binary interface, with a _start
// that exits with 0 and one more function for every body.
func moduleOf(bodies ...[]byte) []byte {
	start := []byte{0, 0x41, 0x80, 0x08, 0x41, 0, 0x36, 2, 0, 0x0b} // i32.store 1024 0
	funcs, code := leb(len(bodies)+1), leb(len(bodies)+1)
	for _, b := range append([][]byte{start}, bodies...) {
		funcs = append(funcs, 0)
		code = append(append(code, leb(len(b))...), b...)
	}
	return bytes.Join([][]byte{
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, []byte{1, 0x60, 0, 0}),
		section(3, funcs),
		section(5, []byte{1, 0, 1}),
		section(6, []byte{1, 0x7f, 0, 0x41, 0x80, 0x08, 0x0b}),
		section(7, leb(3), name("_start"), []byte{0, 0}, name("memory"), []byte{2, 0}, name(exportSystem), []byte{3, 0}),
		section(10, code),
	}, nil)
}

// body declares a number of i32 locals and has the given code.
func body(locals int, code ...[]byte) []byte {
	decl := []byte{0}
	if locals > 0 {
		decl = bytes.Join([][]byte{{1}, leb(locals), {0x7f}}, nil)
	}
	return append(append(decl, bytes.Join(code, nil)...), 0x0b)
}

var (
	loopBlock = []byte{0x03, 0x40, 0x0b}                            // loop end
	ifBlock   = []byte{0x20, 0, 0x04, 0x40, 0x20, 1, 0x21, 0, 0x0b} // if (local 0) local 0 = local 1
	callStart = []byte{0x10, 0}
)

// compileBombs are small valid modules that take a compiler minutes or
// gigabytes.
func compileBombs() map[string][]byte {
	many := func(n int, b []byte) [][]byte {
		list := make([][]byte, n)
		for i := range list {
			list[i] = b
		}
		return list
	}
	return map[string][]byte{
		"sequential loops":              moduleOf(body(0, bytes.Repeat(loopBlock, 64_000))),
		"ifs with 100 locals":           moduleOf(body(100, bytes.Repeat(ifBlock, 32_000))),
		"nested loops":                  moduleOf(body(0, bytes.Repeat([]byte{0x03, 0x40}, 30_000), bytes.Repeat([]byte{0x0b}, 30_000))),
		"functions with 5,000 locals":   moduleOf(many(190, body(5_000, ifBlock))...),
		"one function of 150,000 calls": moduleOf(body(0, bytes.Repeat(callStart, 150_000))),
		"functions at the class":        moduleOf(many(2_000, body(90, bytes.Repeat(ifBlock, 100)))...),
	}
}

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
	for name, code := range compileBombs() {
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
	e := newEngine(t, Config{})
	e.config.Compiler = nil // what is not compiled here is refused
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
			return moduleOf(body(2, bytes.Repeat(ifBlock, n)))
		case "calls":
			return moduleOf(body(0, bytes.Repeat(callStart, n)))
		case "locals":
			return moduleOf(body(n, []byte{0x01}))
		case "code of a function":
			return moduleOf(body(1, bytes.Repeat([]byte{0x20, 0, 0x1a}, n)))
		case "functions":
			bodies := make([][]byte, n)
			for i := range bodies {
				bodies[i] = body(0, bytes.Repeat([]byte{0x01}, 500))
			}
			return moduleOf(bodies...)
		default:
			bodies := make([][]byte, n)
			for i := range bodies {
				bodies[i] = body(90, bytes.Repeat(ifBlock, 100))
			}
			return moduleOf(bodies...)
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
			if metered, err := meter.Rewrite(m.decoded); err == nil && e.config.Class.admits(m.decoded, metered) {
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
	e := newEngine(t, Config{Class: Class{Code: 1}})
	prepare := func(code []byte) error {
		p, err := e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
		if err != nil {
			return err
		}
		return p.Close()
	}
	if err := prepare(hostile(t, "echo-grow")); err != nil {
		t.Errorf("a good module: %v", err)
	}
	invalid := moduleOf([]byte{0, 0x6a, 0x0b}) // i32.add of nothing
	var r *engine.RejectedError
	if err := prepare(invalid); !errors.As(err, &r) || r.Costly || !strings.Contains(r.Reason, "not valid") {
		t.Errorf("a module that does not type-check: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "pappus-compile-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	e.config.Compiler = []string{"/nonexistent/compiler"}
	if err := prepare(hostile(t, "echo-grow")); err == nil || errors.As(err, &r) && r.Costly {
		t.Errorf("without a compile process: %v", err)
	}
	e.config.Compiler = []string{"/bin/true"}
	if err := prepare(hostile(t, "echo-grow")); err == nil {
		t.Error("a compile process that leaves nothing was believed")
	}
	e.config.Compiler = []string{"/bin/sh", "-c", "exec sleep 60"}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := e.Prepare(ctx, hostile(t, "echo-grow"), enginetest.Signature(), enginetest.Limits()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request that went away: %v", err)
	}
}
