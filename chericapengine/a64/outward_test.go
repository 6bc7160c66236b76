package a64_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"pappus/chericapengine/a64"
)

// Branches whose target is no instruction fault there if they are taken, whatever their
// kind, and do nothing if they are not.
func TestBranchesOut(t *testing.T) {
	const (
		lowest  = 1<<32 | 2 // W1 is 2
		highest = 1 << 63
		equal   = 0x40000000 // Z
	)
	tests := []struct {
		name  string
		word  uint32
		x1    uint64
		flags uint32
		taken bool
	}{
		{"b", 0x14000040, 0, 0, true},
		{"bl", 0x94000040, 0, 0, true},
		{"b.eq", 0x54000800, 0, equal, true},
		{"b.eq, not equal", 0x54000800, 0, 0, false},
		{"b.ne", 0x54000801, 0, 0, true},
		{"b.ne, equal", 0x54000801, 0, equal, false},
		{"b.al", 0x5400080e, 0, 0, true},
		{"cbz", 0xb4000801, 0, 0, true},
		{"cbz of a number", 0xb4000801, 1 << 32, 0, false},
		{"cbz w", 0x34000801, 1 << 32, 0, true},
		{"cbz w of a number", 0x34000801, lowest, 0, false},
		{"cbnz", 0xb5000801, 1 << 32, 0, true},
		{"cbnz of zero", 0xb5000801, 0, 0, false},
		{"cbnz w", 0x35000801, lowest, 0, true},
		{"cbnz w of zero", 0x35000801, 1 << 32, 0, false},
		{"tbz", 0xb6f80801, 1, 0, true},
		{"tbz of a bit that is set", 0xb6f80801, highest, 0, false},
		{"tbnz", 0xb7f80801, highest, 0, true},
		{"tbnz of a bit that is not", 0xb7f80801, 1, 0, false},
	}
	for _, tt := range tests {
		// The whole of it and each instruction alone, as at the end of fuel: the same.
		for _, fuel := range []uint64{1_000, 1} {
			m, _, _ := function(t, decoded(t, tt.word, 0xd4200000), codeAt)
			m.SetX(1, tt.x1)
			m.SetX(30, 7)
			m.SetNZCV(tt.flags)
			err := m.Run(fuel, fuel, nil)
			for errors.Is(err, a64.ErrFuel) {
				err = m.Run(fuel, fuel, nil)
			}
			var f *a64.Fault
			if !errors.As(err, &f) {
				t.Fatalf("%s: %v", tt.name, err)
			}
			kind, at, lr := a64.FaultBRK, uint64(codeAt+4), uint64(7)
			if tt.taken {
				kind, at = a64.FaultBounds, codeAt+0x100
			}
			if tt.name == "bl" {
				lr = codeAt + 4
			}
			if f.Kind != kind || f.PC != at || m.PC() != at || m.Retired() != 1 || m.X(30) != lr {
				t.Errorf("%s: %v at %#x, %d retired, X30 %#x", tt.name, f, f.PC, m.Retired(), m.X(30))
			}
		}
	}
}

// Whatever is in it, code takes no more than a few times its size.
func TestSizeOfCode(t *testing.T) {
	const n = 1 << 18
	text := make([]byte, 0, 4*n)
	for i := range uint32(n) {
		text = binary.LittleEndian.AppendUint32(text, 0x14000000|(n+i)&0x3ffffff) // each to another place behind
	}
	for _, text := range [][]byte{text, make([]byte, 4*n)} {
		code, err := a64.Decode([]a64.Segment{{Bytes: text}})
		if err != nil {
			t.Fatal(err)
		}
		if size := code.Size(); size > 10*int64(len(text)) {
			t.Errorf("%d bytes of code take %d", len(text), size)
		}
	}
	allocated := func() uint64 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.TotalAlloc
	}
	before := allocated()
	if _, err := a64.Decode([]a64.Segment{{Bytes: text}}); err != nil {
		t.Fatal(err)
	}
	if got := allocated() - before; got > 6*uint64(len(text)) {
		t.Errorf("to decode %d bytes took %d", len(text), got)
	}
}
