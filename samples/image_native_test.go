package samples_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/wasmengine"
)

// native is a sample built for this machine, whose every access to memory is
// checked (testdata/native/pappus.h).
type native struct {
	in      io.WriteCloser
	out     *bufio.Reader
	reports bytes.Buffer
}

// sanitized builds and starts a sample with the sanitizers for addresses and
// undefined behaviour, which end it at the first mistake. It is nil where there
// is no compiler that has them.
func sanitized(t *testing.T, sample string) *native {
	t.Helper()
	flags := []string{"-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}
	exe := filepath.Join(t.TempDir(), sample)
	compile := func(args ...string) error {
		cmd := exec.CommandContext(t.Context(), "gcc", append(flags, args...)...)
		log, err := cmd.CombinedOutput()
		if err != nil {
			err = errors.Join(err, errors.New(string(log)))
		}
		return err
	}
	probe := exec.CommandContext(t.Context(), "gcc", append(flags, "-o", exe, "-x", "c", "-")...)
	probe.Stdin = strings.NewReader("int main(void) { return 0; }")
	if err := probe.Run(); err != nil {
		t.Logf("not built natively, which needs gcc with its sanitizers (apt-get install -y --no-install-recommends gcc libc6-dev): %v", err)
		return nil
	}
	if err := compile("-Itestdata/native", "-I../sdk/c/include", "-o", exe, sample+"/"+sample+".c"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context())) // a test's own ends before its cleanup
	cmd := exec.CommandContext(ctx, exe)
	n := &native{}
	cmd.Stderr = &n.reports
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	n.in, n.out = in, bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer stop()
		if t.Failed() {
			stop() // it may wait for its answer to be read
		}
		if err := errors.Join(n.in.Close(), cmd.Wait()); err != nil {
			t.Errorf("%v\n%s", err, n.reports.String())
		}
	})
	return n
}

// call makes one call, whose result must be that of the function in the engine.
func (n *native) call(t *testing.T, sets ...data.Set) ended {
	t.Helper()
	number := binary.LittleEndian.AppendUint32
	var request []byte
	request = number(request, uint32(len(sets)))
	for _, s := range sets {
		request = number(request, uint32(len(s.Items)))
		for _, it := range s.Items {
			request = append(number(request, uint32(len(it.Name()))), it.Name()...)
			request = number(request, it.Key())
			request = append(number(request, uint32(len(it.Bytes()))), it.Bytes()...)
		}
	}
	if _, err := n.in.Write(request); err != nil {
		t.Fatalf("%v\n%s", err, n.reports.String())
	}
	read := func() uint32 {
		var b [4]byte
		if _, err := io.ReadFull(n.out, b[:]); err != nil {
			t.Fatalf("it stopped: %v", err)
		}
		return binary.LittleEndian.Uint32(b[:])
	}
	content := func() []byte {
		b := make([]byte, read())
		if _, err := io.ReadFull(n.out, b); err != nil {
			t.Fatalf("it stopped: %v", err)
		}
		return b
	}
	e := ended{code: int32(read())}
	for range read() {
		of := read()
		content() // its name
		read()    // its key
		if b := content(); of == 0 && e.code == 0 {
			e.items = append(e.items, b)
		} else if of != 0 {
			e.why = string(b)
		}
	}
	return e
}

// alike fails unless the function does the same here and in the engine.
func (n *native) alike(t *testing.T, p *prepared, sets ...data.Set) {
	t.Helper()
	got, want := n.call(t, sets...), p.call(t, sets...)
	if got.code != want.code || got.why != want.why || len(got.items) != len(want.items) {
		t.Fatalf("exit code %d %q, in the engine %d %q", got.code, got.why, want.code, want.why)
	}
	for i := range got.items {
		if !bytes.Equal(got.items[i], want.items[i]) {
			t.Fatalf("item %d is another", i)
		}
	}
}

// On right and damaged images the functions touch no memory but their own, and
// do what they do in the engine, though sizes have twice the bits here.
func TestImagesNatively(t *testing.T) {
	e := newEngine(t, wasmengine.Config{})
	built := func(t *testing.T, sample string) (*native, *prepared) {
		n := sanitized(t, sample)
		if n == nil {
			t.Skip("needs a native build")
		}
		return n, prepare(t, e, sample, engine.Limits{})
	}
	t.Run("image-decode", func(t *testing.T) {
		n, p := built(t, "image-decode")
		for file := range damagedFiles {
			n.alike(t, p, set("images", file))
		}
		r := rand.New(rand.NewPCG(8, 8))
		for i := range 300 {
			n.alike(t, p, set("images", randomQOI(r, i)))
		}
		for i := range 300 {
			kind := pngKinds[i%len(pngKinds)]
			f := pngForm{width: 1 + r.IntN(40), height: 1 + r.IntN(40), colour: kind.colour, depth: kind.depth, interlaced: r.IntN(2) == 0, filter: r.IntN(6), transparency: kind.colour < greyAlpha && r.IntN(2) == 0, level: r.IntN(12) - 2, chunk: r.IntN(300), noise: r.IntN(257), seed: r.Uint64()}
			n.alike(t, p, set("images", f.file()))
		}
		noise := make([]byte, 60)
		for range 1000 {
			fill(r, noise)
			n.alike(t, p, set("images", append([]byte(pngSignature), noise[:r.IntN(60)]...)))
			idat := append([]byte{0x78, 0x9C, noise[0]&^6 | byte(2+2*r.IntN(2))}, noise[1:]...)
			file := pngChunk([]byte(pngSignature), "IHDR", pngHeader(30, 30, 8, grey, 0))
			n.alike(t, p, set("images", pngChunk(pngChunk(file, "IDAT", idat), "IEND", nil)))
		}
	})
	bad := func(r *rand.Rand, p picture) []byte {
		b := p.pixels()
		switch r.IntN(8) {
		case 0:
			b[r.IntN(8)] ^= 1 << r.IntN(8)
		case 1:
			b = b[:r.IntN(len(b))]
		}
		return b
	}
	for _, sample := range []string{"image-thumbnail", "image-encode", "image-sheet"} {
		t.Run(sample, func(t *testing.T) {
			n, p := built(t, sample)
			r := rand.New(rand.NewPCG(9, 9))
			for range 400 {
				items := make([][]byte, r.IntN(6))
				for i := range items {
					items[i] = bad(r, photo(r.Uint64(), 1+r.IntN(40), 1+r.IntN(40)))
				}
				sets := []data.Set{set("pixels", items...)}
				if sample == "image-thumbnail" {
					sizes := []string{"1", "4096", "7x3", "13", "40x1", "x", "", "5000", "12x"}
					sets = append(sets, set("size", []byte(sizes[r.IntN(len(sizes))])))
				}
				n.alike(t, p, sets...)
			}
		})
	}
}
