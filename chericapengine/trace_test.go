package chericapengine

import (
	"encoding/binary"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"pappus/chericapengine/loader"
	"pappus/engine"
)

// Whatever a function left in its registers and its memory, its calls are found in
// bounded time, and are text.
func TestCallsOfAnything(t *testing.T) {
	image, err := loader.Load(function(t, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	s := &source{debug: image.Debug, start: image.CodeStart, end: image.CodeEnd, tracing: make(chan struct{}, 1)}
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
		calls := s.calls(registers{word.Draw(t, "pc"), word.Draw(t, "link"), word.Draw(t, "frame")}, mem)
		if len(calls) < 1 || len(calls) > maxCalls {
			t.Fatalf("%d calls", len(calls))
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
