package purify_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/sdk/purify"
	"pappus/wasmengine"
)

func asFault(err error, fault **engine.Fault) bool { return errors.As(err, fault) }

// The files of a set, as they are left when it is an output too.
func TestItemsAreFiles(t *testing.T) {
	code := purified(t, "testdata/calls.wasm", purify.Options{Manifest: []byte(`{"inputs":["script","in"],"outputs":["in","results"]}`)})
	f := prepare(t, code, wasmengine.Config{})
	for _, c := range []struct {
		name  string
		items []string
		want  outputs
	}{
		{"one", []string{"a", "1"}, outputs{"in/a": "1"}},
		{"no items", nil, outputs{}},
		{"the same name", []string{"a", "1", "a", "2", "a", "3"}, outputs{"in/a": "1", "in/a~2": "2", "in/a~3": "3"}},
		{"a name that exists is skipped", []string{"a", "1", "a", "2", "a~2", "3", "a", "4"}, outputs{"in/a": "1", "in/a~2": "3", "in/a~3": "2", "in/a~4": "4"}},
		{"no name", []string{"", "1", "", "2"}, outputs{"in/~1": "1", "in/~2": "2"}},
		{"no name, and one that is taken", []string{"~1", "1", "", "2"}, outputs{"in/~1": "1", "in/~2": "2"}},
		{"directories", []string{"d/a", "1", "d/e/b", "2", "c", "3"}, outputs{"in/d/a": "1", "in/d/e/b": "2", "in/c": "3"}},
		{"slashes that mean nothing", []string{"/a", "1", "d//b", "2", "./c/.", "3", "/", "4"}, outputs{"in/a": "1", "in/d/b": "2", "in/c": "3", "in/~1": "4"}},
		{"a file where a directory is", []string{"d/a", "1", "d", "2"}, outputs{"in/d/a": "1", "in/d~2": "2"}},
		{"a directory where a file is", []string{"d", "1", "d/a", "2", "d/b", "3"}, outputs{"in/d": "1", "in/d~2/a": "2", "in/d~2/b": "3"}},
		{"names that lead out", []string{"../a", "1", "d/../../b", "2", "..", "3", "c", "4"}, outputs{"in/c": "4"}},
		{"names that look so", []string{"..a", "1", "...", "2"}, outputs{"in/..a": "1", "in/...": "2"}},
		{"the same in a directory", []string{"d/a", "1", "d/a", "2"}, outputs{"in/d/a": "1", "in/d/a~2": "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t)
			out := s.run(f, set("in", c.items...))
			if !maps.Equal(out, c.want) {
				t.Errorf("%q, want %q", out, c.want)
			}
		})
	}
}

// Many items of one name cost no more than many of other names.
func TestManyItemsOfOneName(t *testing.T) {
	code := purified(t, "testdata/calls.wasm", purify.Options{Manifest: []byte(`{"inputs":["script","in"],"outputs":["in","results"]}`)})
	f := prepare(t, code, wasmengine.Config{})
	const n = 5000
	in := data.Set{Name: "in"}
	for i := range n {
		in.Items = append(in.Items, data.NewItem("same", 0, fmt.Append(nil, i)))
	}
	out := newScript(t).run(f, in)
	if len(out) != n || out["in/same"] != "0" || out[fmt.Sprintf("in/same~%d", n)] != fmt.Sprint(n-1) {
		t.Errorf("%d items", len(out))
	}
}

// Output items come in the order of the bytes of their names, directories and all.
func TestOutputsAreOrdered(t *testing.T) {
	s := newScript(t)
	paths := []string{"z", "a", "B", "a.b", "d/x", "d.x", "é", "d/e/f", "a~"}
	s.path("path_create_directory", "out/d")
	s.path("path_create_directory", "out/d/e")
	for _, p := range paths {
		fd, _ := s.open("out/"+p, create, rightWrite, 0)
		s.write(fd, p)
	}
	// What was emitted comes first, in the order in which it was.
	for _, name := range []string{"y", "emitted"} {
		s.call("emit", 1, s.bytes(name), len(name), s.bytes("text"), 4, 0)
	}
	f := calls(t)
	result, err := f.program.Run(t.Context(), []data.Set{s.item()}, f.limits)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	var got []string
	for _, it := range result.Outputs[1].Items {
		got = append(got, it.Name())
	}
	if want := "y emitted B a a.b a~ d.x d/e/f d/x z é"; strings.Join(got, " ") != want {
		t.Errorf("order %q, want %q", got, want)
	}
}

// Without an output set stdio nobody takes what is written there; it costs
// nothing.
func TestNobodyListens(t *testing.T) {
	code := purified(t, "testdata/calls.wasm", purify.Options{Manifest: []byte(`{"inputs":["script"],"outputs":["results"]}`)})
	s := newScript(t)
	var r *result
	for range 300 {
		_, r = s.write(1, strings.Repeat("x", 1000))
	}
	s.write(2, "error")
	at := s.room(8)
	s.call("fd_tell", 1, at)
	told := s.get(at, 8)
	out := s.run(prepare(t, code, wasmengine.Config{}))
	r.want(t, "")
	if len(out) != 0 || told.value() != 300_000 {
		t.Errorf("%d outputs, at %d", len(out), told.value())
	}
}

func TestDirectInterface(t *testing.T) {
	s := newScript(t)
	counts := []*result{s.call("input_set_count"), s.call("output_set_count"), s.call("input_buffer_count", 2), s.call("input_buffer_count", 9), s.call("get_input", 9, 0), s.call("get_input", 2, 3), s.call("input_set_ident_len", 2), s.call("output_set_ident_len", 1), s.call("input_set_ident", 3)}
	emits := []*result{
		s.call("emit", 1, s.bytes("copied"), 6, s.bytes("bytes"), 5, uint32(1<<32-1)),
		s.call("add_output", 1, s.bytes("in place"), 8, s.bytes("more"), 4, 5),
		s.call("emit", 1, s.bytes(""), 0, s.bytes(""), 0, 4),
		s.call("emit", 3, s.bytes("x"), 1, s.bytes("x"), 1, 0),
		s.call("add_output", 3, s.bytes("x"), 1, s.bytes("x"), 1, 0),
		s.call("emit", 1, s.bytes("x"), 1, s.bytes("x"), uint32(1<<31), 0),
	}
	f := calls(t)
	result, err := f.program.Run(t.Context(), append([]data.Set{s.item()}, input()...), f.limits)
	if err != nil {
		t.Fatal(err)
	}
	defer result.Release()
	b := result.Outputs[2].Items[0].Bytes()
	for i, want := range []uint32{3, 3, 3, 0, 0, 0, 2, 3, 0, 0, 0, 0, 28, 28, 51} {
		if got := binary.LittleEndian.Uint32(b[4*i:]); got != want {
			t.Errorf("call %d gives %d, want %d", i, got, want)
		}
	}
	_, _ = counts, emits
	got := ""
	for _, it := range result.Outputs[1].Items {
		got += fmt.Sprintf("%s %d %s|", it.Name(), it.Key(), it.Bytes())
	}
	if want := " 4 |in place 5 more|copied 4294967295 bytes|"; got != want {
		t.Errorf("items %q, want %q", got, want)
	}
}

// The program's memory grows from below, files from above, until they meet; then
// each is told so, and nothing is written over.
func TestMemoryRunsOut(t *testing.T) {
	const memory = 16 << 20
	code := purified(t, "testdata/calls.wasm", purify.Options{Manifest: []byte(callsManifest), Memory: memory})
	f := prepare(t, code, wasmengine.Config{})
	s := newScript(t)
	fd, _ := s.open("out/file", create, rightRead|rightWrite, 0)
	block := s.bytes(strings.Repeat("0123456789abcdef", 16<<10)) // 256 KiB
	out := s.room(4)
	iov := s.pieces(piece{block, 256 << 10})
	var writes []*result
	for range memory / (256 << 10) {
		writes = append(writes, s.call("fd_write", fd, iov, 1, out))
	}
	full := s.grow(5)
	s.call("fd_filestat_set_size", fd, 1<<20)
	small, r := s.open("out/small", create, rightWrite, 0)
	s.write(small, "still works")
	tooMany := s.grow(60000)
	got := s.run(f)
	written := 0
	for _, w := range writes {
		if w.value() == 0 {
			written++
		} else {
			w.want(t, "NOSPC")
		}
	}
	if written < 20 || written == len(writes) {
		t.Errorf("%d of %d writes", written, len(writes))
	}
	if full.value() != 1<<32-1 || tooMany.value() != 1<<32-1 {
		t.Errorf("grew to %d, %d", full.value(), tooMany.value())
	}
	r.want(t, "")
	if len(got["out/file"]) != 1<<20 || strings.Trim(got["out/file"], "0123456789abcdef") != "" || got["out/small"] != "still works" {
		t.Errorf("%d bytes, %q", len(got["out/file"]), got["out/small"])
	}

	s = newScript(t)
	grown := 0
	var sizes []*result
	for range memory / 65536 {
		sizes = append(sizes, s.grow(1))
	}
	_, r = s.open("out/file", create, rightWrite, 0)
	big, r2 := s.open("in/a.txt", 0, rightRead|rightWrite, 0)
	_, r3 := s.write(big, strings.Repeat("x", 200<<10))
	s.run(f, input()...)
	for i, size := range sizes {
		if size.value() != 1<<32-1 {
			grown++
			if i > 0 && size.value() != sizes[i-1].value()+1 {
				t.Fatalf("grew to %d, then %d", sizes[i-1].value(), size.value())
			}
		}
	}
	if grown < 100 {
		t.Errorf("grew by %d pages", grown)
	}
	r.want(t, "") // what is small has a place of its own
	r2.want(t, "")
	r3.want(t, "NOSPC")
}

// Inputs that do not fit are told before the first instruction.
func TestInputsDoNotFit(t *testing.T) {
	code := purified(t, "testdata/calls.wasm", purify.Options{Manifest: []byte(callsManifest), Memory: 8 << 20})
	f := prepare(t, code, wasmengine.Config{})
	_, err := f.run(newScript(t).item(), set("in", "large", strings.Repeat("x", 8<<20)))
	var fault *engine.Fault
	if !asFault(err, &fault) || fault.Kind != engine.FaultOutOfMemory {
		t.Fatal(err)
	}
}
