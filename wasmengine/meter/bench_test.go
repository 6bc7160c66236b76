package meter

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// kernels are small functions f(i32), each a loop that does one kind of work n
// times: an empty one, arithmetic, memory, calls, and a loop within a loop.
func kernels() map[string][]byte {
	s := func(n int) binarytest.S { return binarytest.S(n) }
	const (
		i32Mul, i32Xor, i32And = binary.Op(0x6c), binary.Op(0x73), binary.Op(0x71)
		load, store            = byte(0x28), byte(0x36)
	)
	loop := func(local int, body ...any) []any {
		head := []any{binary.OpLoop, binarytest.Void}
		tail := []any{binary.OpLocalGet, local, i32Const, s(1), i32Sub, binary.OpLocalTee, local, binary.OpBrIf, 0, binary.OpEnd}
		return append(append(head, body...), tail...)
	}
	kernel := func(locals int, code ...any) []byte {
		b := binarytest.New().Pages(1, 1)
		list := binary.ValueTypes{}
		for range locals {
			list = append(list, byte(binary.I32))
		}
		leaf := b.Func(b.Type(binarytest.Types(binary.I32), binarytest.Types(binary.I32)), nil, binary.OpLocalGet, 0, i32Const, s(3), i32Mul)
		if leaf != 0 {
			panic("the leaf is function 0")
		}
		b.ExportFunc("f", b.Type(binarytest.Types(binary.I32), nil), list, code...)
		return b.Encode()
	}
	mix := []any{}
	for range 8 {
		mix = append(mix, binary.OpLocalGet, 1, binary.OpLocalGet, 0, i32Mul, binary.OpLocalGet, 2, i32Xor, binary.OpLocalTee, 2, i32Const, s(7), i32Add, binary.OpLocalSet, 1)
	}
	return map[string][]byte{
		"empty loop": kernel(0, loop(0)...),
		"arithmetic": kernel(2, loop(0, mix...)...),
		"memory": kernel(1, loop(0,
			binary.OpLocalGet, 0, i32Const, s(0xfffc), i32And,
			binary.OpLocalGet, 0, i32Const, s(0xfff8), i32And, []byte{load, 2, 0}, i32Const, s(1), i32Add,
			[]byte{store, 2, 0})...),
		"calls":       kernel(1, loop(0, binary.OpLocalGet, 1, binary.OpCall, 0, binary.OpLocalSet, 1)...),
		"nested loop": kernel(1, loop(0, append([]any{i32Const, s(50), binary.OpLocalSet, 1}, loop(1, binary.OpNop)...)...)...),
	}
}

// BenchmarkMetering runs each kernel plain and metered in turns; ratio is the
// quotient of the best times.
func BenchmarkMetering(b *testing.B) {
	for name, code := range kernels() {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			l := newLab(b, wazero.NewRuntimeConfigCompiler())
			me := rewrite(b, code)
			plain, metered := l.instantiate(b, code), l.instantiate(b, me.Code)
			fuel, _ := metered.ExportedGlobal(me.Fuel).(api.MutableGlobal)
			stack, _ := metered.ExportedGlobal(me.Stack).(api.MutableGlobal)
			stack.Set(8 << 20)
			const slice, rounds = 1_000_000, 200_000
			l.grant = &grant{slice: slice, limit: noLimit}
			fuel.Set(0)
			best := [2]time.Duration{math.MaxInt64, math.MaxInt64}
			run := func(i int, f api.Function) {
				start := time.Now()
				if _, err := f.Call(ctx, rounds); err != nil {
					b.Fatal(err)
				}
				best[i] = min(best[i], time.Since(start))
			}
			for b.Loop() {
				run(0, plain.ExportedFunction("f"))
				run(1, metered.ExportedFunction("f"))
			}
			b.ReportMetric(float64(best[1])/float64(best[0]), "metered/plain")
			b.ReportMetric(0, "ns/op")
		})
	}
}
