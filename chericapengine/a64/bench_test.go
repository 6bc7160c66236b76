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
	nowhere     = 0xff00000
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
	pcc, ddc := capabilities(code, uint64(kernel)*4, uint64(len(memory)))
	m.Reset(code, memory, contextBase, pcc, ddc)
	for i, a := range args {
		m.SetX(i, a)
	}
	m.SetX(30, nowhere)
	m.SetSP(uint64(len(memory)))
	finish(tb, m)
	return m.X(0)
}

// finish runs until the code returns to nowhere.
func finish(tb testing.TB, m *a64.Machine) {
	tb.Helper()
	err := m.Run(math.MaxUint64, 1<<20, nil)
	var fault *a64.Fault
	if !errors.As(err, &fault) || fault.PC != nowhere {
		tb.Fatalf("it ended with %v", err)
	}
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
		call(b, m, code, memory, busy, 200_000)
	}
	report(b, m)
}

func BenchmarkCollatz(b *testing.B) {
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		call(b, m, code, memory, collatz, 2_000)
	}
	report(b, m)
}

func BenchmarkSieve(b *testing.B) {
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		clear(memory[dataAt:])
		call(b, m, code, memory, sieve, dataAt, 50_000)
	}
	report(b, m)
}

func BenchmarkFib(b *testing.B) {
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		call(b, m, code, memory, fib, 18)
	}
	report(b, m)
}

func BenchmarkDaxpy(b *testing.B) {
	const n = 10_000
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for i := range 2 * n {
		binary.LittleEndian.PutUint64(memory[dataAt+8*i:], math.Float64bits(float64(i)/3))
	}
	pcc, ddc := capabilities(code, daxpy*4, contextSize)
	for b.Loop() {
		m.Reset(code, memory, contextBase, pcc, ddc)
		for i, v := range []uint64{dataAt, dataAt + 8*n, n} {
			m.SetX(i, v)
		}
		m.SetV(0, math.Float64bits(1e-9), 0)
		m.SetX(30, nowhere)
		finish(b, m)
	}
	report(b, m)
}

func BenchmarkByteCopy(b *testing.B) {
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		call(b, m, code, memory, byteCopy, dataAt, dataAt+400_000, 300_000)
	}
	report(b, m)
}

// The same with what gcc makes of it for vectors.
func BenchmarkByteCopyVectorised(b *testing.B) {
	code, m, memory := kernels(b, "vectorised"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		call(b, m, code, memory, byteCopy, dataAt, dataAt+400_000, 300_000)
	}
	report(b, m)
}

// What it takes to begin: a machine that is used again.
func BenchmarkStart(b *testing.B) {
	code, m, memory := kernels(b, "kernels"), a64.NewMachine(), make([]byte, contextSize)
	for b.Loop() {
		call(b, m, code, memory, busy, 0)
	}
}

func BenchmarkDecode(b *testing.B) {
	text, err := os.ReadFile("testdata/kernels.bin")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := a64.Decode([]a64.Segment{{Bytes: text}}); err != nil {
			b.Fatal(err)
		}
	}
}
