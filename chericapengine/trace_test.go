package chericapengine

import (
	"encoding/binary"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"pappus/chericapengine/loader"
)

// Whatever a function left in its registers and its memory, its calls are found in
// bounded time, and are text.
func TestCallsOfAnything(t *testing.T) {
	image, err := loader.Load(function(t, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	s := &source{debug: image.Debug, start: image.CodeStart, end: image.CodeEnd, tracing: new(sync.Mutex)}
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
