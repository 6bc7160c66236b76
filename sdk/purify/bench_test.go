package purify_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pappus/data"
	"pappus/sdk/purify"
	"pappus/wasmengine"
)

func BenchmarkPurify(b *testing.B) {
	for _, name := range []string{"testdata/calls.wasm", "go"} {
		b.Run(filepath.Base(name), func(b *testing.B) {
			var code []byte
			if name == "go" {
				code = goProgram(b, "gofiles")
			} else {
				code = read(b, name)
			}
			b.SetBytes(int64(len(code)))
			for b.Loop() {
				if _, err := purify.Purify(code, purify.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStart is a whole call of a program that says hello, isolate
// included: from an image of the initialised library, with every call
// initialising its own, and as a program, which does that in main.
func BenchmarkStart(b *testing.B) {
	for _, c := range []struct {
		name   string
		flags  []string
		config wasmengine.Config
	}{
		{"go-library-image", []string{"-buildmode=c-shared"}, wasmengine.Config{}},
		{"go-library-no-image", []string{"-buildmode=c-shared"}, wasmengine.Config{NoImages: true}},
		{"go-program", nil, wasmengine.Config{}},
		{"c", nil, wasmengine.Config{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := set("stdio", "stdin", "hello")
			var program []byte
			if c.name == "c" {
				program = read(b, "testdata/upper.wasm")
			} else {
				program = goProgram(b, "gohello", c.flags...)
			}
			code, err := purify.Purify(program, purify.Options{})
			if err != nil {
				b.Fatal(err)
			}
			f := prepare(b, code, c.config)
			for b.Loop() {
				out, err := f.run(in)
				if err != nil || !strings.EqualFold(strings.TrimSpace(out["stdio/stdout"]), "hello") {
					b.Fatal(out, err)
				}
			}
			b.ReportMetric(float64(len(code)), "bytes")
		})
	}
}

// BenchmarkRead reads the same 128 MiB of a file with every call, in pieces,
// against copying as much within the program's memory.
func BenchmarkRead(b *testing.B) {
	const total, file = 128 << 20, 256 << 10
	f := calls(b)
	for _, size := range []int{4 << 10, 64 << 10, 256 << 10} {
		for _, name := range []string{"read", "copy"} {
			b.Run(fmt.Sprintf("%s-%dKiB", name, size>>10), func(b *testing.B) {
				s := newScript(b)
				fd, _ := s.open("in/file", 0, rightRead, 0)
				to, from, out := s.room(file), s.room(file), s.room(4)
				pieces := s.pieces(piece{to, size})
				for n := 0; n < total; n += size {
					if name == "read" {
						s.call("fd_pread", fd, pieces, 1, n%file, out)
					} else {
						s.copy(to, from, size)
					}
				}
				in := []data.Set{s.item(), set("in", "file", strings.Repeat("x", file))}
				b.SetBytes(total)
				for b.Loop() {
					if _, err := f.run(in...); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
