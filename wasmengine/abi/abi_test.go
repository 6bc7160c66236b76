package abi

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
)

const system = 64

var wide = engine.Limits{Items: 1000, Output: 1 << 20}

func drawSets(t *rapid.T, label string) []data.Set {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,6}`), 0, 4, rapid.ID[string]).Draw(t, label)
	sets := make([]data.Set, len(names))
	for i, n := range names {
		sets[i].Name = n
		sets[i].Items = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *data.Item {
			return data.NewItem(rapid.StringMatching(`[a-zé/]{0,9}`).Draw(t, "item"), rapid.Uint32().Draw(t, "key"),
				rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "content"))
		}), 0, 5).Draw(t, "items")
		sets[i].Order()
	}
	return sets
}

func field(mem []byte, off int) uint32 { return binary.LittleEndian.Uint32(mem[system+off:]) }

func setField(mem []byte, off int, v uint32) { binary.LittleEndian.PutUint32(mem[system+off:], v) }

// inputsAsOutputs makes a memory whose outputs are what was placed as inputs.
func inputsAsOutputs(mem []byte) {
	setField(mem, offOutputSetsLen, field(mem, offInputSetsLen))
	setField(mem, offOutputSets, field(mem, offInputSets))
	setField(mem, offOutputItems, field(mem, offInputItems))
}

func setNames(sets []data.Set) []string {
	names := make([]string, len(sets))
	for i, s := range sets {
		names[i] = s.Name
	}
	return names
}

// What is placed reads back the same, fills exactly Size bytes, and touches
// nothing outside of them and the system struct.
func TestPlaceReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawSets(t, "inputs")
		outputs := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,6}`), 0, 3, rapid.ID[string]).Draw(t, "outputs")
		base := int64(rapid.IntRange(1, 8).Draw(t, "base")) * DataAlign
		size := Size(in, outputs)
		mem := make([]byte, base+size+64)
		for i := range mem {
			mem[i] = 0xee
		}
		end := Place(mem, system, base, Heap{-1, -1}, in, outputs, nil)
		if end != base+size {
			t.Fatalf("placed up to %d, Size says %d", end, base+size)
		}
		for i, c := range mem {
			inside := i >= system && i < system+SystemSize || int64(i) >= base && int64(i) < end
			if !inside && c != 0xee {
				t.Fatalf("byte %d was written", i)
			}
		}
		if got := ExitCode(mem, system); got != ExitNever {
			t.Fatalf("exit code %d", got)
		}
		if b, e := field(mem, offHeapBegin), field(mem, offHeapEnd); int64(b) != end || int(e) != len(mem) {
			t.Fatalf("heap %d to %d", b, e)
		}
		if field(mem, offOutputItems) != 0 || int(field(mem, offOutputSetsLen)) != len(outputs) {
			t.Fatal("output fields")
		}
		fresh, err := Outputs(mem, system, outputs, wide)
		if err != nil || data.Count(fresh) != 0 || len(fresh) != len(outputs) {
			t.Fatalf("a function that writes nothing leaves %v, %v", fresh, err)
		}
		items := int(field(mem, offInputItems))
		for i := range data.Count(in) {
			p, n := binary.LittleEndian.Uint32(mem[items+i*itemSize+8:]), binary.LittleEndian.Uint32(mem[items+i*itemSize+12:])
			if n > 0 && p%DataAlign != 0 {
				t.Fatalf("data of item %d lies at %#x", i, p)
			}
		}
		inputsAsOutputs(mem)
		back, err := Outputs(mem, system, setNames(in), wide)
		if err != nil || !data.Equal(in, back) {
			t.Fatalf("placed %v, read %v (%v)", in, back, err)
		}
	})
}

func TestPlaceHeap(t *testing.T) {
	mem := make([]byte, 4096)
	Place(mem, system, 1024, Heap{256, 1024}, nil, nil, nil)
	if b, e := field(mem, offHeapBegin), field(mem, offHeapEnd); b != 256 || e != 1024 {
		t.Errorf("heap %d to %d", b, e)
	}
}

func TestOutputsOrdersByKey(t *testing.T) {
	in := []data.Set{{Name: "s", Items: []*data.Item{data.NewItem("b", 2, []byte("2")), data.NewItem("a", 1, []byte("1"))}}}
	mem := make([]byte, 1024)
	Place(mem, system, 128, Heap{-1, -1}, in, nil, nil)
	inputsAsOutputs(mem)
	got, err := Outputs(mem, system, []string{"s"}, wide)
	if err != nil || got[0].Items[0].Name() != "a" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestHostileOutputs(t *testing.T) {
	const sets, items = 128, 128 + 3*setSize
	good := func() []byte {
		mem := make([]byte, 1024)
		Place(mem, system, 128, Heap{-1, -1}, []data.Set{
			{Name: "a", Items: []*data.Item{data.NewItem("x", 0, []byte("abc"))}},
			{Name: "b", Items: []*data.Item{data.NewItem("y", 0, []byte("def"))}},
		}, nil, nil)
		// Place put the empty output array between sets and items; the arrays are found by pointer.
		inputsAsOutputs(mem)
		return mem
	}
	itemsAt := int(field(good(), offInputItems))
	put := func(at int, v uint32) func([]byte) {
		return func(mem []byte) { binary.LittleEndian.PutUint32(mem[at:], v) }
	}
	for _, c := range []struct {
		name   string
		change func([]byte)
		lim    engine.Limits
		want   engine.FaultKind
		text   string
	}{
		{"more sets than declared", put(system+offOutputSetsLen, 3), wide, engine.FaultBadOutput, "output_sets_len is 3"},
		{"sets outside", put(system+offOutputSets, 1020), wide, engine.FaultBadOutput, "output_sets points"},
		{"sets at 2^32-1", put(system+offOutputSets, math.MaxUint32), wide, engine.FaultBadOutput, "output_sets points"},
		{"items outside", put(system+offOutputItems, 1010), wide, engine.FaultBadOutput, "reach outside"},
		{"items at 2^32-1", put(system+offOutputItems, math.MaxUint32), wide, engine.FaultBadOutput, "reach outside"},
		{"offsets decrease", put(sets+setSize+8, 0xffffffff), wide, engine.FaultBadOutput, "before they begin"},
		{"offset of the first above the last", put(sets+8, 7), wide, engine.FaultBadOutput, "before they begin"},
		{"2^31 items", put(sets+2*setSize+8, 1<<31), wide, engine.FaultOutputTooLarge, "2147483648 output items"},
		{"2^31 items allowed", put(sets+2*setSize+8, 1<<31), engine.Limits{Items: math.MaxInt, Output: 1 << 20}, engine.FaultBadOutput, "reach outside"},
		{"name outside", put(itemsAt, 1024), wide, engine.FaultBadOutput, "name of item 0"},
		{"name overflows", put(itemsAt, math.MaxUint32), wide, engine.FaultBadOutput, "name of item 0"},
		{"name too long", put(itemsAt+4, data.MaxItemName+1), wide, engine.FaultBadOutput, "1025 bytes"},
		{"name of 4 GiB", put(itemsAt+4, math.MaxUint32), wide, engine.FaultBadOutput, "the most is 1024"},
		{"data outside", put(itemsAt+8, 1022), wide, engine.FaultBadOutput, "data of item 0"},
		{"data overflows", put(itemsAt+8, math.MaxUint32), wide, engine.FaultBadOutput, "data of item 0"},
		{"data of 4 GiB", put(itemsAt+12, math.MaxUint32), wide, engine.FaultBadOutput, "data of item 0"},
		{"too many items", func([]byte) {}, engine.Limits{Items: 1, Output: 1 << 20}, engine.FaultOutputTooLarge, "2 output items"},
		{"too many bytes", func([]byte) {}, engine.Limits{Items: 2, Output: 7}, engine.FaultOutputTooLarge, "more than 7"},
	} {
		mem := good()
		c.change(mem)
		_, err := Outputs(mem, system, []string{"a", "b"}, c.lim)
		if !errors.Is(err, &engine.Fault{Kind: c.want}) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	names := good()
	at := binary.LittleEndian.Uint32(names[itemsAt:])
	for _, bad := range []byte{0xff, 0x00, 0x0a, 0x7f} {
		names[at] = bad
		if _, err := Outputs(names, system, []string{"a", "b"}, wide); engine.KindOf(err) != engine.FaultBadOutput {
			t.Errorf("name with byte %#x: %v", bad, err)
		}
	}
	overlap := good()
	put(itemsAt+itemSize+8, binary.LittleEndian.Uint32(overlap[itemsAt+8:]))(overlap)
	got, err := Outputs(overlap, system, []string{"a", "b"}, wide)
	if err != nil || string(got[1].Items[0].Bytes()) != "abc" {
		t.Errorf("two items over the same bytes: %v, %v", got, err)
	}
	exact, err := Outputs(good(), system, []string{"a", "b"}, engine.Limits{Items: 2, Output: 8})
	if err != nil || data.Size(exact) != 6 {
		t.Errorf("at the limits: %v, %v", exact, err)
	}
}

func FuzzOutputs(f *testing.F) {
	mem := make([]byte, 512)
	Place(mem, system, 128, Heap{-1, -1}, []data.Set{{Name: "a", Items: []*data.Item{data.NewItem("x", 9, []byte("abc"))}}}, []string{"o"}, nil)
	f.Add(mem, 1)
	inputsAsOutputs(mem)
	f.Add(mem, 1)
	f.Fuzz(func(t *testing.T, mem []byte, n int) {
		if len(mem) < system+SystemSize || n < 0 || n > 8 {
			return
		}
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}[:n]
		sets, err := Outputs(mem, system, names, wide)
		if err != nil {
			if k := engine.KindOf(err); k != engine.FaultBadOutput && k != engine.FaultOutputTooLarge {
				t.Fatalf("error %v", err)
			}
			return
		}
		if len(sets) != n || data.Count(sets) > wide.Items || data.Size(sets) > int64(wide.Output) {
			t.Fatalf("%d sets, %d items, %d bytes", len(sets), data.Count(sets), data.Size(sets))
		}
		for _, s := range sets {
			for _, it := range s.Items {
				if err := data.CheckItemName(it.Name()); err != nil || !s.Ordered() {
					t.Fatalf("accepted %v (%v)", s, err)
				}
			}
		}
	})
}
