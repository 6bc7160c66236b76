package chericapengine

import (
	"encoding/binary"
	"os"
	"testing"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
)

// A call of a function that copies one short item: what an isolate takes.
func BenchmarkCall(b *testing.B) {
	p, err := newEngine(b, Config{}).Prepare(b.Context(), function(b, "echo"), enginetest.Signature(), enginetest.Limits())
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("a", 0, []byte("hello"))}}}
	lim := engine.DefaultLimits()
	b.ReportAllocs()
	for b.Loop() {
		r, err := p.Run(b.Context(), in, lim)
		if err != nil {
			b.Fatal(err)
		}
		r.Release()
	}
}

// Counting the words of a book: calls, and stores to stack and heap.
func BenchmarkWordcount(b *testing.B) {
	code, err := os.ReadFile("../samples/wordcount/wordcount.elf")
	if err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile("../samples/wordcount/cases/opticks/in/text/book-1.txt")
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, code, []data.Set{{Name: "text", Items: []*data.Item{data.NewItem("book", 0, text)}}})
}

// benchmark calls a function again and again.
func benchmark(b *testing.B, code []byte, in []data.Set) {
	b.Helper()
	e := newEngine(b, Config{})
	inspected, err := e.Inspect(code)
	if err != nil {
		b.Fatal(err)
	}
	p, err := e.Prepare(b.Context(), code, inspected.Manifest.Signature(), engine.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	fuel := int64(0)
	for b.Loop() {
		r, err := p.Run(b.Context(), in, engine.DefaultLimits())
		if err != nil {
			b.Fatal(err)
		}
		fuel = r.Usage.Fuel
		r.Release()
	}
	b.ReportMetric(float64(fuel)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Minstr/s")
}

// The product of a matrix of 128 rows and columns, as compiled C and as the same
// algorithm in Go: how fast the machine is.
func BenchmarkMatmul(b *testing.B) {
	const rows = 128
	code, err := os.ReadFile("../samples/matmul/matmul.elf")
	if err != nil {
		b.Fatal(err)
	}
	matrix := make([]uint64, rows*rows)
	item := binary.LittleEndian.AppendUint64(nil, rows)
	for i := range matrix {
		matrix[i] = uint64(i * i)
		item = binary.LittleEndian.AppendUint64(item, matrix[i])
	}
	b.Run("function", func(b *testing.B) {
		benchmark(b, code, []data.Set{{Name: "matrices", Items: []*data.Item{data.NewItem("a", 0, item)}}})
	})
	b.Run("go", func(b *testing.B) {
		out := make([]uint64, rows*rows)
		for b.Loop() {
			for i := range rows {
				for j := range rows {
					sum := uint64(0)
					for k := range rows {
						sum += matrix[i*rows+k] * matrix[j*rows+k]
					}
					out[i*rows+j] = sum
				}
			}
		}
	})
}
