package wasmengine

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/engine/enginetest"
	"pappus/wasmengine/binary"
	"pappus/wasmengine/binary/binarytest"
)

// touching makes a function with size bytes of data from address 64 KiB on,
// whose initialisation writes a byte and whose calls write one byte in every
// step of the first span bytes of the data, and leave all of their memory.
func touching(size, span, step int, initializes bool) []byte {
	const first = 64 << 10
	b := binarytest.New().Pages(uint32(first+size)>>16+2, 65535)
	pattern := make([]byte, size)
	for i := range pattern {
		pattern[i] = byte(i>>8) | 1
	}
	b.Data = append(b.Data, binary.Data{Mode: binary.Active, OffsetExpr: binarytest.Const(first), Bytes: pattern})
	g := b.Global(binary.I32, true, binary.OpI32Const, binarytest.S(7))
	if initializes {
		init := i32Store(first+size+8, binary.OpGlobalGet, g)
		b.ExportFunc(exportInitialize, b.Type(nil, nil), nil, append(init, binarytest.Code(binary.OpI32Const, binarytest.S(9), binary.OpGlobalSet, g)...))
	}
	var code []byte
	for at := 0; at < span; at += step {
		code = append(code, i32Store(first+at, binary.OpGlobalGet, g)...)
	}
	code = append(code, binarytest.Code(binary.OpGlobalGet, g, binary.OpI32Const, binarytest.S(1), binary.OpI32Add, binary.OpGlobalSet, g)...)
	return tell(b, code)
}

// An image, copied or mapped, is what initialising for every call leaves.
func TestImages(t *testing.T) {
	for _, size := range []int{1000, mapFrom / 2, mapFrom, 3 << 20} {
		for _, initializes := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, initialises %t", size, initializes), func(t *testing.T) {
				code := touching(size, min(size, 256<<10), 1000, initializes)
				var programs []*Program
				for _, config := range []Config{{}, {Idle: -1}, {NoImages: true}} {
					p, err := newEngine(t, config).Prepare(t.Context(), code, enginetest.Signature(), enginetest.Limits())
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = p.Close() }()
					programs = append(programs, p.(*Program)) //nolint:errcheck // of this engine
				}
				if p := programs[0]; p.image == nil || (p.image.file != nil) != (size >= mapFrom) || p.size < int64(size) {
					t.Errorf("image %+v", p.image)
				}
				for call := range 5 {
					in := []data.Set{{Name: "in", Items: []*data.Item{data.NewItem("i", 0, bytes.Repeat([]byte{1}, call*30_000))}}}
					first := ""
					for i, p := range programs {
						r, err := p.Run(t.Context(), in, enginetest.Limits())
						if err != nil {
							t.Fatal(err)
						}
						now := fmt.Sprint(r.Outputs[0].Items[0].Digest(), r.Usage.Fuel, r.Usage.MemoryPages)
						if first == "" {
							first = now
						}
						if now != first {
							t.Errorf("call %d, program %d: %s, not %s", call, i, now, first)
						}
						r.Release()
					}
				}
				if programs[0].engine.Stats().Reused == 0 {
					t.Error("no instance was used again")
				}
			})
		}
	}
}

// Modules that initialise end alike with images and without.
func TestHostileImages(t *testing.T) {
	sharesNothing(t)
	e := newEngine(t, Config{NoImages: true})
	for _, c := range hostileCases(t) {
		if !strings.HasPrefix(c.name, "initialise") && !strings.HasPrefix(c.name, "leak") && !strings.HasPrefix(c.name, "data") {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if end, err := ending(t, e, c.code, 10*time.Second); !c.allows(end) {
				t.Errorf("it ended with %s (%v), want %s", end, err, strings.Join(c.expect, " or "))
			}
		})
	}
}

// A program under a lower memory limit than its image needs tells so.
func TestImageAboveTheLimit(t *testing.T) {
	p, err := newEngine(t, Config{}).Prepare(t.Context(), touching(3<<20, 1, 1, true), enginetest.Signature(), enginetest.Limits())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	lim := enginetest.Limits()
	lim.Memory = 1 << 20
	if _, err := p.Run(t.Context(), nil, lim); engine.KindOf(err) != engine.FaultOutOfMemory {
		t.Errorf("it ended with %v", err)
	}
}

// BenchmarkImage is a call of a function with 3 MB of initial memory, of which
// it writes to 100 pages.
func BenchmarkImage(b *testing.B) {
	code := touching(3<<20, 3<<20, (3<<20)/100, true)
	for _, c := range []struct {
		name   string
		config Config
	}{{"reset", Config{}}, {"new", Config{Idle: -1}}, {"initialised", Config{NoImages: true}}} {
		b.Run(c.name, func(b *testing.B) {
			p, err := newEngine(b, c.config).Prepare(b.Context(), code, enginetest.Signature(), enginetest.Limits())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = p.Close() }()
			b.ReportAllocs()
			for b.Loop() {
				call(b, p, nil, enginetest.Limits())
			}
		})
	}
}

// BenchmarkDense is a call of a function that fills 32 MiB.
func BenchmarkDense(b *testing.B) {
	m := binarytest.New().Pages(514, 1024)
	code := tell(m, binarytest.Code(binary.OpI32Const, binarytest.S(64<<10), binary.OpI32Const, binarytest.S(1), binary.OpI32Const, binarytest.S(32<<20), binary.OpMemoryFill, byte(0)))
	lim := enginetest.Limits()
	lim.Memory, lim.Output = 64<<20, 64<<20
	p, err := newEngine(b, Config{}).Prepare(b.Context(), code, enginetest.Signature(), lim)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	for b.Loop() {
		call(b, p, nil, lim)
	}
}

// Data that are copied for every call are few.
func TestCopiedDataAreBounded(t *testing.T) {
	e := newEngine(t, Config{})
	for _, c := range []struct {
		size    int
		dropped bool
		ok      bool
	}{{maxCopied, true, true}, {maxCopied + 1, true, false}, {maxCopied + 1, false, true}} {
		b := binarytest.New().Pages(100, 100)
		b.Bytes(2048, make([]byte, c.size))
		if c.dropped {
			b.PassiveBytes([]byte("x"))
			b.HasCount = true
		}
		start := []any{binary.OpI32Const, binarytest.S(1024), binary.OpI32Const, binarytest.S(0), byte(0x36), 2, 0}
		if c.dropped {
			start = append(start, binary.OpDataDrop, 1)
		}
		g := b.Global(binary.I32, false, binary.OpI32Const, binarytest.S(1024))
		b.ExportAs("__dandelion_system_data", binary.ExternGlobal, g)
		b.ExportAs("_start", binary.ExternFunc, b.Func(b.Type(nil, nil), nil, start...))
		p, err := e.Prepare(t.Context(), b.Encode(), enginetest.Signature(), enginetest.Limits())
		if (err == nil) != c.ok {
			t.Errorf("%d bytes, dropped %v: %v", c.size, c.dropped, err)
		}
		if err == nil {
			_ = p.Close()
		}
	}
}
