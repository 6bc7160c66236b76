package compiler

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pappus/wasmengine/binary/binarytest"
)

// compiledFile compiles a module here and reads what wazero left.
func compiledFile(t testing.TB, code []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	if v, text := compile(t.Context(), dir, code); v != compiled {
		t.Fatalf("verdict %d: %s", v, text)
	}
	file, err := os.ReadFile(filepath.Join(dir, ThisTarget().File(code)))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// chain is a function that calls the first one n times and adds up numbers that
// it makes before each call and uses after all of them.
func chain(n int) []byte {
	code := []byte{0x41, 0} // i32.const 0, where the sum goes
	for i := range n {
		code = append(code, 0x20, 0, 0x41, byte(i%64), 0x6a, 0x10, 0) // local.get 0; i32.const; i32.add; call 0
	}
	for range n - 1 {
		code = append(code, 0x6a)
	}
	return append(code, 0x36, 2, 0) // i32.store
}

// Every function of every module that compiles has a frame, one that holds what
// lives across its calls.
func TestStackFrames(t *testing.T) {
	for _, n := range []int{1, 10, 100, 1000, 5000} {
		code := binarytest.Function(binarytest.Body(1, chain(n)))
		frames, err := Frames(compiledFile(t, code))
		if err != nil {
			t.Fatal(err)
		}
		if len(frames) != 2 || frames[1] < int64(4*(n-20)) || frames[1] > int64(8*n+400) || frames[0] > 200 {
			t.Errorf("%d values: frames %v", n, frames)
		}
	}
	kernels, err := os.ReadFile("../../bench/kernels/kernels.wasm")
	if err != nil {
		t.Fatal(err)
	}
	frames, err := Frames(compiledFile(t, kernels))
	if err != nil {
		t.Fatal(err)
	}
	if len(frames) < 13 {
		t.Errorf("kernels have the frames %v", frames)
	}
}

// What wazero did not make is refused and nothing worse.
func TestStackFramesOfGarbage(t *testing.T) {
	good := compiledFile(t, binarytest.Function(binarytest.Body(0)))
	for n := range min(len(good), 200) {
		if _, err := Frames(good[:n]); !errors.Is(err, errFrames) {
			t.Errorf("%d bytes: %v", n, err)
		}
		bad := bytes.Clone(good)
		bad[n] ^= 0xff
		_, _ = Frames(bad) // it must only end
	}
}
