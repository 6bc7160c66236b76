package a64_test

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"sync"
	"testing"

	"pappus/chericapengine/a64"
)

// What gcc makes of C, plain and with vectors, computes what C says.
func TestKernels(t *testing.T) {
	le := binary.LittleEndian
	for _, name := range []string{"kernels", "vectorised"} {
		t.Run(name, func(t *testing.T) {
			code, m, memory := kernels(t, name), a64.NewMachine(), make([]byte, contextSize)

			const n = 13
			a, b, c := uint64(dataAt), uint64(dataAt+8*n*n), uint64(dataAt+16*n*n)
			for i := range uint64(2 * n * n) {
				le.PutUint64(memory[a+8*i:], i*i%101-50)
			}
			call(t, m, code, memory, matmul, a, b, c, n)
			for i := range uint64(n) {
				for j := range uint64(n) {
					var want uint64
					for k := range uint64(n) {
						want += le.Uint64(memory[a+8*(i*n+k):]) * le.Uint64(memory[b+8*(k*n+j):])
					}
					if got := le.Uint64(memory[c+8*(i*n+j):]); got != want {
						t.Fatalf("product %d,%d is %d, want %d", i, j, int64(got), int64(want))
					}
				}
			}

			x := uint64(0x123456789abcdef)
			for range 1000 {
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
			}
			steps := uint64(0)
			for i := uint64(1); i < 300; i++ {
				for v := i; v != 1; steps++ {
					if v&1 != 0 {
						v = 3*v + 1
					} else {
						v /= 2
					}
				}
			}
			for _, k := range []struct {
				kernel int
				args   []uint64
				want   uint64
			}{{busy, []uint64{1000}, x}, {collatz, []uint64{300}, steps}, {sieve, []uint64{0x60000, 10_000}, 1229}, {fib, []uint64{20}, 6765}} {
				if got := call(t, m, code, memory, k.kernel, k.args...); got != k.want {
					t.Errorf("kernel %d gives %d, want %d", k.kernel, got, k.want)
				}
			}

			for i := range 300 {
				memory[0x30000+i] = byte(i * 31)
			}
			call(t, m, code, memory, byteCopy, 0x40001, 0x30003, 277)
			for i := range 277 {
				if want := byte((i+3)*31) ^ 0x5a; memory[0x40001+i] != want {
					t.Fatalf("byte %d is %#x, want %#x", i, memory[0x40001+i], want)
				}
			}

			want := make([]float64, 77)
			for i := range want {
				x, y := float64(i)/7, float64(bits.Reverse8(uint8(i)))/3
				le.PutUint64(memory[0x20000+8*i:], math.Float64bits(x))
				le.PutUint64(memory[0x28000+8*i:], math.Float64bits(y))
				want[i] = math.FMA(1.1, x, y)
			}
			pcc, ddc := capabilities(code, daxpy*4, contextSize)
			m.Reset(code, memory, contextBase, pcc, ddc)
			for i, v := range []uint64{0x28000, 0x20000, 77} {
				m.SetX(i, v)
			}
			m.SetV(0, math.Float64bits(1.1), 0)
			m.SetX(30, nowhere)
			finish(t, m)
			for i, w := range want {
				if got := math.Float64frombits(le.Uint64(memory[0x28000+8*i:])); got != w {
					t.Errorf("element %d is %g, want %g", i, got, w)
				}
			}
		})
	}
}

// Any number of machines run the same code at the same time.
func TestSharedCode(t *testing.T) {
	code := kernels(t, "kernels")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			m, memory := a64.NewMachine(), make([]byte, contextSize)
			pcc, ddc := capabilities(code, fib*4, contextSize)
			m.Reset(code, memory, contextBase, pcc, ddc)
			m.SetX(0, 10)
			m.SetX(30, nowhere)
			m.SetSP(contextSize)
			var err error
			for err = a64.ErrFuel; errors.Is(err, a64.ErrFuel); {
				err = m.Run(40, 7, nil) // less than the longest straight line: plain slots, made by whoever is first
			}
			if m.X(0) != 55 {
				t.Errorf("it ended with %v and %d, want 55", err, m.X(0))
			}
		})
	}
	all.Wait()
}
