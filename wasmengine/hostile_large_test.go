package wasmengine

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
	"pappus/wasmengine/meter"
)

// branchTable is a function that goes through a table of n branches, half of
// them to the start of a loop and half out of it, and ends with 0.
func branchTable(n int) []byte {
	s := func(n int) binarytest.S { return binarytest.S(n) }
	b := binarytest.New().Pages(1, 16)
	counter := b.Global(binary.I32, true, binary.OpI32Const, s(0))
	b.ExportAs("__dandelion_system_data", binary.ExternGlobal, b.Global(binary.I32, false, binary.OpI32Const, s(1024)))
	targets := bytes.Repeat([]byte{1, 0}, n/2) // that of an even number leaves
	b.ExportFunc("_start", b.Type(nil, nil), nil,
		binary.OpGlobalGet, counter, binary.OpI32Const, s(n-1), binary.OpI32Add, binary.OpGlobalSet, counter,
		binary.OpBlock, binarytest.Void, binary.OpLoop, binarytest.Void,
		binary.OpGlobalGet, counter, binary.OpI32Const, s(1), binary.OpI32Sub, binary.OpGlobalSet, counter,
		binary.OpGlobalGet, counter, binary.OpI32Const, s(1), binary.OpI32Or, // the loop, until it is negative
		binary.OpBrTable, n, targets, []byte{1},
		binary.OpEnd, binary.OpEnd,
		binary.OpI32Const, s(1024), binary.OpI32Const, s(0), binary.Op(0x36), 2, 0) // i32.store
	return b.Encode()
}

// A table of millions of branches is compiled where it can do no harm, or
// refused; what is compiled here goes the right ways.
func TestHugeBranchTable(t *testing.T) {
	if raceEnabled {
		t.Skip("the compile process can't be limited under the race detector, which reserves terabytes")
	}
	e := newEngine(t, Config{CompileTimeout: 3 * time.Second, CompileMemory: 2 << 30})
	before := residentBytes(t)
	for _, c := range []struct {
		targets int
		ends    []string
	}{
		{10_000, []string{"ok"}},
		{1_000_000, []string{"ok", "rejected-module"}},
		{9_000_000, []string{"rejected-module"}}, // over the cap on a body's bytes
	} {
		end, err := ending(t, e, branchTable(c.targets), 10*time.Second)
		if !slices.Contains(c.ends, end) {
			t.Errorf("%d targets ended with %s (%v), want one of %v", c.targets, end, err, c.ends)
		}
		t.Logf("%d targets: %s (%v)", c.targets, end, err)
	}
	runtime.GC()
	if grown := residentBytes(t) - before; grown > 256<<20 {
		t.Errorf("the process grew by %d MiB", grown>>20)
	}
}

// A module that metering would make larger than its bound is refused, however
// small it is itself.
func TestMeteringOverflows(t *testing.T) {
	sharesNothing(t)
	// Every br_if of two bytes gets a charge of a dozen. A call provides what
	// they test.
	const tests = 128
	body := func(n int) []byte {
		return binarytest.Code(slices.Repeat(append([]byte{0x10, 0}, bytes.Repeat([]byte{0x0d, 0}, tests)...), n))
	}
	module := func(n int) []byte {
		b := binarytest.New().Pages(1, 16)
		b.ExportAs("__dandelion_system_data", binary.ExternGlobal, b.Global(binary.I32, false, binary.OpI32Const, binarytest.S(1024)))
		many := b.Type(nil, slices.Repeat(binarytest.Types(binary.I32), tests))
		b.Func(many, nil, bytes.Repeat([]byte{0x41, 0}, tests))
		b.ExportFunc("_start", b.Type(nil, nil), nil, body(n))
		return b.Encode()
	}
	// Without compile processes nothing is compiled: what is not too large is too costly.
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	n := 8 << 20 / len(body(1)) // as many as the cap on bodies allows
	code := module(n - 1)
	_, err = e.Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
	var r *engine.RejectedError
	if !errors.As(err, &r) || r.Costly || !errors.Is(err, meter.ErrTooLarge) {
		t.Errorf("a module of %d KB: %v", len(code)>>10, err)
	}
	_, err = e.Prepare(t.Context(), module(n/8), enginetest.Signature(), enginetest.Limits())
	if !errors.As(err, &r) || !r.Costly {
		t.Errorf("an eighth of it: %v", err)
	}
}

// Many calls at once that grow their memories as far as they can all get what
// their limit says, and what they leave stays within the pool's bound.
func TestGrowStorm(t *testing.T) {
	e := newEngine(t, Config{IdleBytes: 32 << 20})
	lim := enginetest.Limits()
	lim.Memory = 64 << 20
	p, err := e.Prepare(t.Context(), hostile(t, "grow-touch"), enginetest.Signature(), lim)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 4 {
				r, err := p.Run(t.Context(), []data.Set{{Name: "in"}}, lim)
				if err != nil || r.Usage.MemoryPages != int64(lim.Memory)/engine.PageSize {
					t.Errorf("%v, %d pages at the end", err, r.Usage.MemoryPages)
				}
				r.Release()
			}
		})
	}
	wg.Wait()
	s := e.Stats()
	if resident := s.IdleBytes + s.Domain.IdleWarm; resident > 32<<20 {
		t.Errorf("%d MiB stay resident: %+v", resident>>20, s)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
