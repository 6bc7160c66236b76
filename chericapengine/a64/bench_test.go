package a64_test

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"testing"

	"pappus/chericapengine/a64"
	"pappus/chericapengine/capability"
)

// The kernels of testdata/kernels.c, by their place in the table.
const (
	matmul = iota
	busy
	collatz
	sieve
	byteCopy
	daxpy
	fib
)

// Where the kernels' memory is: code at the bottom, what they work on above.
const (
	contextBase = 0x40000000
	contextSize = 1 << 20
	dataAt      = 0x10000
)

func kernels(tb testing.TB, name string) *a64.Code {
	tb.Helper()
	text, err := os.ReadFile("testdata/" + name + ".bin")
	if err != nil {
		tb.Fatal(err)
	}
	code, err := a64.Decode([]a64.Segment{{Bytes: text}})
	if err != nil {
		tb.Fatal(err)
	}
	return code
}

// capabilities are those of a function: its code, and a context of n bytes.
func capabilities(code *a64.Code, entry, n uint64) (pcc, ddc capability.Capability) {
	root := capability.Root().WithAddress(contextBase)
	pcc, _ = root.SetBounds(code.End())
	pcc = pcc.ClearPerms(capability.AllPerms &^ capability.Execute).WithAddress(contextBase + entry)
	ddc, _ = root.SetBounds(n)
	return pcc, ddc.ClearPerms(capability.AllPerms &^ (capability.Load | capability.Store | capability.LoadCap))
}

// call runs a kernel until it returns to an address where no code is.
func call(tb testing.TB, m *a64.Machine, code *a64.Code, memory []byte, kernel int, args ...uint64) uint64 {
	tb.Helper()
	const nowhere = 0xff00000
	pcc, ddc := capabilities(code, uint64(kernel)*4, uint64(len(memory)))
	m.Reset(code, memory, contextBase, pcc, ddc)
	for i, a := range args {
		m.SetX(i, a)
	}
	m.SetX(30, nowhere)
	m.SetSP(uint64(len(memory)))
	err := m.Run(math.MaxUint64, 1<<20, nil)
	var fault *a64.Fault
	if !errors.As(err, &fault) || fault.PC != nowhere {
		tb.Fatalf("kernel %d ended with %v", kernel, err)
	}
	return m.X(0)
}

// What native Go takes for the multiplication that BenchmarkMatmul interprets.
func BenchmarkMatmulNative(b *testing.B) {
	const n = 128
	x, y, z := make([]int64, n*n), make([]int64, n*n), make([]int64, n*n)
	for b.Loop() {
		for i := range n {
			for j := range n {
				var s int64
				for k := range n {
					s += x[i*n+k] * y[k*n+j]
				}
				z[i*n+j] = s
			}
		}
	}
}

func report(b *testing.B, m *a64.Machine) {
	b.Helper()
	b.ReportMetric(float64(m.Retired())*float64(b.N)/b.Elapsed().Seconds()/1e6, "MIPS")
}

func BenchmarkMatmul(b *testing.B) {
	const n, size = 128, 128 * 128 * 8
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for i := range 2 * n * n {
		binary.LittleEndian.PutUint64(memory[dataAt+8*i:], uint64(i%17)-5)
	}
	for b.Loop() {
		call(b, m, code, memory, matmul, dataAt, dataAt+size, dataAt+2*size, n)
	}
	report(b, m)
}

func BenchmarkBusy(b *testing.B) {
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		call(b, m, code, memory, busy, 2_000_000)
	}
	report(b, m)
}

func BenchmarkCollatz(b *testing.B) {
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		call(b, m, code, memory, collatz, 10_000)
	}
	report(b, m)
}

func BenchmarkSieve(b *testing.B) {
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		clear(memory[dataAt:])
		call(b, m, code, memory, sieve, dataAt, 500_000)
	}
	report(b, m)
}

func BenchmarkFib(b *testing.B) {
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		call(b, m, code, memory, fib, 22)
	}
	report(b, m)
}
