package chericapengine

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"pappus/chericapengine/loader"
	"pappus/engine"
	"pappus/engine/lines"
)

// Whatever a function left in its registers and its memory, its calls are found in
// bounded time, and are text.
func TestCallsOfAnything(t *testing.T) {
	image, err := loader.Load(function(t, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	s := &source{debug: image.Debug, start: image.CodeStart, end: image.CodeEnd, made: lines.NewReaders().Once()}
	rapid.Check(t, func(t *rapid.T) {
		mem := make([]byte, 8*rapid.IntRange(0, 64).Draw(t, "words"))
		word := rapid.OneOf(
			rapid.Uint64(),
			rapid.Uint64Range(0, uint64(len(mem))+16),
			rapid.Map(rapid.Uint64Range(0, 60), func(n uint64) uint64 { return 8 * n }),
			rapid.Uint64Range(image.CodeStart-8, image.CodeEnd+8),
		)
		for at := 0; at < len(mem); at += 8 {
			binary.LittleEndian.PutUint64(mem[at:], word.Draw(t, "word"))
		}
		calls, err := s.calls(context.Background(), registers{word.Draw(t, "pc"), word.Draw(t, "link"), word.Draw(t, "frame")}, mem)
		if err != nil || len(calls) < 1 || len(calls) > maxCalls {
			t.Fatalf("%d calls, %v", len(calls), err)
		}
		for _, call := range calls {
			if call == "" || !utf8.ValidString(call) {
				t.Fatalf("call %q", call)
			}
		}
	})
}

// What is kept for traces is charged in whole, as is a program whose table is nothing but
// rows: each takes one byte of the file and 16 of memory.
func TestSourcesAreCharged(t *testing.T) {
	e, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	code := function(t, "calls")
	image, err := loader.Load(code)
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := e.Prepare(t.Context(), code, engine.Signature{Inputs: []engine.Param{{Name: "a"}}, Outputs: []engine.Param{{Name: "b"}}}, engine.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	least := image.Debug.Cost()
	if rows := image.Debug.Cost() - image.Debug.Size(); rows < 16*100 || prepared.Size() < least {
		t.Errorf("%d bytes are charged for a program with %d for traces, %d of them for what is made of its sections", prepared.Size(), least, rows)
	}
	if err := prepared.Close(); err != nil {
		t.Error(err)
	}
}

// A leaving caller goes away as soon as something waits for it.
type leaving struct {
	context.Context
	leave context.CancelFunc
}

func (l leaving) Done() <-chan struct{} {
	l.leave()
	return l.Context.Done()
}

// A call that has failed waits for nobody's lines longer than its caller does. The next
// one has its calls.
func TestCallsAreNotWaitedForInVain(t *testing.T) {
	e := newEngine(t, Config{})
	var group sync.WaitGroup
	reading, let := make(chan struct{}), make(chan struct{})
	for range lines.MaxReaders {
		group.Go(func() {
			if err := e.readers.Once().Do(t.Context(), func() { reading <- struct{}{}; <-let }); err != nil {
				t.Error(err)
			}
		})
		<-reading
	}
	p, err := e.Prepare(t.Context(), function(t, "trap"), engine.Signature{}, engine.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	call := func(ctx context.Context) (f *engine.Fault) {
		t.Helper()
		if _, err := p.Run(ctx, nil, engine.DefaultLimits()); !errors.As(err, &f) {
			t.Fatalf("it does not fail: %v", err)
		}
		return f
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	if f := call(leaving{ctx, leave}); f.Kind != engine.FaultCanceled || !errors.Is(f, context.Canceled) || f.Usage.Fuel == 0 {
		t.Errorf("%v with %+v", f, f.Usage)
	}
	close(let)
	group.Wait()
	if f := call(t.Context()); f.Kind != engine.FaultTrap || len(f.Stack) == 0 {
		t.Errorf("%v with stack %q", f, f.Stack)
	}
}
