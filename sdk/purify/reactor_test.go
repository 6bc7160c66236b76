package purify_test

import (
	"maps"
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/wasmengine"
)

// What a library did while it was initialised is there in every call, whether
// each call initialises an instance or all begin from an image.
func TestInitialised(t *testing.T) {
	code := purified(t, "testdata/reactor.wasm", purify.Options{Manifest: []byte(callsManifest), Memory: 16 << 20})
	var first outputs
	for name, config := range map[string]wasmengine.Config{"image": {}, "no image": {NoImages: true}} {
		t.Run(name, func(t *testing.T) {
			f := prepare(t, code, config)
			for call := range 3 {
				s := newScript(t)
				text, _, _ := s.read(0, 8)
				at := s.room(8)
				now := s.call("clock_time_get", 0, 0, at)
				nowIs := s.get(at, 8)
				_, kept := s.write(4, "more")
				s.call("fd_seek", 4, 0, 0, at)
				file, n, _ := s.read(4, 30)
				_, gone := s.open("in/a.txt", 0, rightRead, 0)
				_, orphan := s.write(6, "still open")
				s.write(1, "called")
				count, size := s.room(4), s.room(4)
				s.call("args_sizes_get", count, size)
				args := s.get(count, 4)
				grown := s.grow(1)
				out := s.run(f, input()...)
				text.is(t, "line one")
				for _, r := range []*result{now, kept, gone, orphan} {
					r.want(t, "")
				}
				if nowIs.value() != 3000 || args.value() != 5 || grown.value() != 81+32 {
					t.Errorf("the clock is at %d, %d arguments, memory of %d pages", nowIs.value(), args.value(), grown.value())
				}
				if got := string(file.bytes[:n.value()]); got != "initialised\nmore" {
					t.Errorf("the file has %q", got)
				}
				want := outputs{"stdio/stdout": "initialised\ncalled", "stdio/stderr": "initialised\n", "out/early": "initialised\n"}
				if !maps.Equal(out, want) {
					t.Errorf("call %d: %q", call, out)
				}
				if first == nil {
					first = out
				}
				if !maps.Equal(out, first) {
					t.Errorf("call %d differs: %q and %q", call, out, first)
				}
			}
		})
	}
}

// Inputs that would lie in what the program grew to while it was initialised are
// as good as inputs that do not fit.
func TestInputsMeetWhatIsInitialised(t *testing.T) {
	const memory = 10 << 20 // of which the program has 5 MiB at first, then 2 MiB more
	code := purified(t, "testdata/reactor.wasm", purify.Options{Manifest: []byte(callsManifest), Memory: memory})
	f := prepare(t, code, wasmengine.Config{})
	for size, fits := range map[int]bool{1000: true, 2 << 20: true, 3 << 20: false, 4 << 20: false} {
		out, err := f.run(newScript(t).item(), data.Set{Name: "in", Items: []*data.Item{data.NewItem("x", 0, []byte(strings.Repeat("x", size)))}})
		var fault *engine.Fault
		switch {
		case fits && (err != nil || out["out/early"] != "initialised\n"):
			t.Errorf("%d bytes: %v", size, err)
		case !fits && (!asFault(err, &fault) || fault.Kind != engine.FaultOutOfMemory):
			t.Errorf("%d bytes: %v, want %s", size, err, engine.FaultOutOfMemory)
		}
	}
}
