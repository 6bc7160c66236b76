package purify

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pappus/wasmengine/binary"
)

// TestJoinData joins random segments: memory must be the same, and what may be
// referred to must stay.
func TestJoinData(t *testing.T) {
	const size = 1 << 12
	filled := func(segments []binary.Data) []byte {
		memory := make([]byte, size)
		for _, d := range segments {
			copy(memory[d.Offset:], d.Bytes)
		}
		return memory
	}
	rapid.Check(t, func(t *rapid.T) {
		var p binary.Module
		at, inOrder := uint32(0), true
		for range rapid.IntRange(0, 20).Draw(t, "segments") {
			switch rapid.IntRange(0, 9).Draw(t, "place") {
			case 0:
				at, inOrder = rapid.Uint32Range(0, size/2).Draw(t, "at"), false
			default:
				at += rapid.Uint32Range(0, 2*maxGap).Draw(t, "gap")
			}
			content := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "bytes")
			p.Data = append(p.Data, binary.Data{Mode: binary.Active, Offset: at, Known: true, Bytes: slices.Clip(content)})
			at += uint32(len(content))
		}
		before, memory := slices.Clone(p.Data), filled(p.Data)
		kept := make([][]byte, len(before))
		for i, d := range before {
			kept[i] = bytes.Clone(d.Bytes)
		}
		joinData(&p, 0)
		if !bytes.Equal(filled(p.Data), memory) {
			t.Fatal("memory is another")
		}
		for i, d := range before {
			if !bytes.Equal(d.Bytes, kept[i]) {
				t.Fatalf("segment %d of the program was changed", i)
			}
		}
		for i := 1; inOrder && i < len(p.Data); i++ {
			if uint64(p.Data[i].Offset)-endOf(&p.Data[i-1]) <= maxGap {
				t.Fatalf("segments %d and %d were not joined", i-1, i)
			}
		}
	})
	few := binary.Module{Data: []binary.Data{{Known: true}, {Known: true}}}
	if joinData(&few, 2); len(few.Data) != 2 {
		t.Error("few segments were joined")
	}
	for name, p := range map[string]binary.Module{
		"counted": {HasCount: true, Data: []binary.Data{{Known: true, Bytes: []byte("a")}, {Known: true, Offset: 1, Bytes: []byte("b")}}},
		"passive": {Data: []binary.Data{{Known: true}, {Known: true}, {Mode: binary.Passive}}},
		"unknown": {Data: []binary.Data{{Known: true}, {Known: true}, {}}},
	} {
		n := len(p.Data)
		if joinData(&p, 0); len(p.Data) != n {
			t.Errorf("%s: %d segments of %d", name, len(p.Data), n)
		}
	}
}
