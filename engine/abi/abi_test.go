package abi

import (
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

var words = []Word{Wasm32, Native64}

// field reads a field of the system struct.
func field(w Word, mem []byte, field uint64) uint64 {
	r := reader{mem: mem, word: uint64(w)}
	return r.field(system, field)
}

// set writes a field of the structure at a place.
func set(w Word, mem []byte, at, field int, v uint64) {
	(&placer{mem: mem, word: int64(w)}).put(int64(at), int64(field), int64(v))
}

// inputsAsOutputs makes a memory whose outputs are what was placed as inputs.
func inputsAsOutputs(w Word, mem []byte) {
	set(w, mem, system, fieldOutputSetsLen, field(w, mem, fieldInputSetsLen))
	set(w, mem, system, fieldOutputSets, field(w, mem, fieldInputSets))
	set(w, mem, system, fieldOutputItems, field(w, mem, fieldInputItems))
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
		w := rapid.SampledFrom(words).Draw(t, "word")
		in := drawSets(t, "inputs")
		outputs := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,6}`), 0, 3, rapid.ID[string]).Draw(t, "outputs")
		base := int64(rapid.IntRange(1, 8).Draw(t, "base")) * DataAlign
		size := w.Size(in, outputs)
		mem := make([]byte, base+size+64)
		for i := range mem {
			mem[i] = 0xee
		}
		end := w.Place(mem, system, base, Heap{-1, -1}, in, outputs, nil)
		if end != base+size {
			t.Fatalf("placed up to %d, Size says %d", end, base+size)
		}
		for i, c := range mem {
			inside := i >= system && i < system+int(w.SystemSize()) || int64(i) >= base && int64(i) < end
			if !inside && c != 0xee {
				t.Fatalf("byte %d was written", i)
			}
		}
		if got := ExitCode(mem, system); got != ExitNever {
			t.Fatalf("exit code %d", got)
		}
		if b, e := field(w, mem, fieldHeapBegin), field(w, mem, fieldHeapEnd); int64(b) != end || int(e) != len(mem) {
			t.Fatalf("heap %d to %d", b, e)
		}
		if field(w, mem, fieldOutputItems) != 0 || int(field(w, mem, fieldOutputSetsLen)) != len(outputs) {
			t.Fatal("output fields")
		}
		fresh, err := w.Outputs(mem, system, outputs, wide)
		if err != nil || data.Count(fresh) != 0 || len(fresh) != len(outputs) {
			t.Fatalf("a function that writes nothing leaves %v, %v", fresh, err)
		}
		items := field(w, mem, fieldInputItems)
		r := reader{mem: mem, word: uint64(w)}
		for i := range data.Count(in) {
			at := items + uint64(i)*uint64(w.itemSize())
			p, n := r.field(at, fieldData), r.field(at, fieldDataLen)
			if n > 0 && p%DataAlign != 0 {
				t.Fatalf("data of item %d lies at %#x", i, p)
			}
		}
		inputsAsOutputs(w, mem)
		back, last, err := w.OutputsEnd(mem, system, setNames(in), wide)
		if err != nil || !data.Equal(in, back) {
			t.Fatalf("placed %v, read %v (%v)", in, back, err)
		}
		want := end // data comes last
		if data.Size(in) == 0 {
			want = 0
		}
		if last != want {
			t.Fatalf("data ends at %d, and is said to end at %d", want, last)
		}
	})
}

func TestPlaceHeap(t *testing.T) {
	for _, w := range words {
		mem := make([]byte, 4096)
		w.Place(mem, system, 1024, Heap{256, 1024}, nil, nil, nil)
		if b, e := field(w, mem, fieldHeapBegin), field(w, mem, fieldHeapEnd); b != 256 || e != 1024 {
			t.Errorf("words of %d: heap %d to %d", w, b, e)
		}
	}
}

// The struct lies where the interface says, on both machines.
func TestSystemStruct(t *testing.T) {
	in := []data.Set{{Name: "s", Items: []*data.Item{data.NewItem("n", 7, []byte("x"))}}}
	for _, c := range []struct {
		w    Word
		want []uint64 // words of system struct, input sets, output sets and items
	}{
		{Wasm32, []uint64{0xffffffff, 257, 4096, 1, 128, 0, 152, 164, 0}},
		{Native64, []uint64{0xffffffff, 257, 4096, 1, 128, 0, 176, 200, 0}},
	} {
		mem := make([]byte, 4096)
		c.w.Place(mem, system, 128, Heap{-1, -1}, in, nil, nil)
		for i, want := range c.want {
			if got := field(c.w, mem, uint64(i)); got != want {
				t.Errorf("words of %d: field %d is %d, want %d", c.w, i, got, want)
			}
		}
		if c.w.SystemSize() != int64(len(c.want))*int64(c.w) || ExitCode(mem, system) != ExitNever {
			t.Errorf("words of %d: size %d, exit code %d", c.w, c.w.SystemSize(), ExitCode(mem, system))
		}
	}
}

func TestOutputsOrdersByKey(t *testing.T) {
	in := []data.Set{{Name: "s", Items: []*data.Item{data.NewItem("b", 2, []byte("2")), data.NewItem("a", 1, []byte("1"))}}}
	for _, w := range words {
		mem := make([]byte, 1024)
		w.Place(mem, system, 128, Heap{-1, -1}, in, nil, nil)
		inputsAsOutputs(w, mem)
		got, err := w.Outputs(mem, system, []string{"s"}, wide)
		if err != nil || got[0].Items[0].Name() != "a" {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestHostileOutputs(t *testing.T) {
	t.Run("wasm32", func(t *testing.T) { testHostileOutputs(t, Wasm32, math.MaxUint32) })
	t.Run("native64", func(t *testing.T) { testHostileOutputs(t, Native64, math.MaxUint64) })
}

// testHostileOutputs spoils one field after the other; most is the largest
// number that one holds.
func testHostileOutputs(t *testing.T, w Word, most uint64) {
	const sets = 128
	good := func() []byte {
		mem := make([]byte, 1024)
		w.Place(mem, system, 128, Heap{-1, -1}, []data.Set{
			{Name: "a", Items: []*data.Item{data.NewItem("x", 0, []byte("abc"))}},
			{Name: "b", Items: []*data.Item{data.NewItem("y", 0, []byte("def"))}},
		}, nil, nil)
		// Place put the empty output array between sets and items; the arrays are found by pointer.
		inputsAsOutputs(w, mem)
		return mem
	}
	itemsAt := int(field(w, good(), fieldInputItems))
	put := func(at, field int, v uint64) func([]byte) {
		return func(mem []byte) { set(w, mem, at, field, v) }
	}
	setSize, itemSize := int(w.setSize()), int(w.itemSize())
	many := engine.Limits{Items: math.MaxInt, Output: 1 << 20}
	type hostile struct {
		name   string
		change func([]byte)
		lim    engine.Limits
		want   engine.FaultKind
		text   string
	}
	cases := []hostile{
		{"more sets than declared", put(system, fieldOutputSetsLen, 3), wide, engine.FaultBadOutput, "output_sets_len is 3"},
		{"sets outside", put(system, fieldOutputSets, 1020), wide, engine.FaultBadOutput, "output_sets points"},
		{"sets at the last address", put(system, fieldOutputSets, most), wide, engine.FaultBadOutput, "output_sets points"},
		{"items outside", put(system, fieldOutputItems, 1010), wide, engine.FaultBadOutput, "reach outside"},
		{"items at the last address", put(system, fieldOutputItems, most), wide, engine.FaultBadOutput, "reach outside"},
		{"offsets decrease", put(sets+setSize, fieldFirst, most), wide, engine.FaultBadOutput, "before they begin"},
		{"offset of the first above the last", put(sets, fieldFirst, 7), wide, engine.FaultBadOutput, "before they begin"},
		{"2^31 items", put(sets+2*setSize, fieldFirst, 1<<31), wide, engine.FaultOutputTooLarge, "2147483648 output items"},
		{"2^31 items allowed", put(sets+2*setSize, fieldFirst, 1<<31), many, engine.FaultBadOutput, "reach outside"},
		{"name outside", put(itemsAt, 0, 1024), wide, engine.FaultBadOutput, "name of item 0"},
		{"name overflows", put(itemsAt, 0, most), wide, engine.FaultBadOutput, "name of item 0"},
		{"name too long", put(itemsAt, 1, data.MaxItemName+1), wide, engine.FaultBadOutput, "1025 bytes"},
		{"name as long as can be", put(itemsAt, 1, most), wide, engine.FaultBadOutput, "the most is 1024"},
		{"data outside", put(itemsAt, fieldData, 1022), wide, engine.FaultBadOutput, "data of item 0"},
		{"data overflows", put(itemsAt, fieldData, most), wide, engine.FaultBadOutput, "data of item 0"},
		{"data as long as can be", put(itemsAt, fieldDataLen, most), wide, engine.FaultBadOutput, "data of item 0"},
		{"too many items", func([]byte) {}, engine.Limits{Items: 1, Output: 1 << 20}, engine.FaultOutputTooLarge, "2 output items"},
		{"too many bytes", func([]byte) {}, engine.Limits{Items: 2, Output: 7}, engine.FaultOutputTooLarge, "more than 7"},
	}
	if w == Native64 {
		each := func(changes ...func([]byte)) func([]byte) {
			return func(mem []byte) {
				for _, change := range changes {
					change(mem)
				}
			}
		}
		// 40 bytes times this is 0 in 64 bits, and the last times so many is small.
		const wraps = 1 << 61
		cases = append(cases,
			hostile{"2^63 items allowed", put(sets+2*setSize, fieldFirst, 1<<63), many, engine.FaultOutputTooLarge, "output items"},
			hostile{"items that wrap around", put(sets+2*setSize, fieldFirst, wraps), many, engine.FaultBadOutput, "reach outside"},
			hostile{"a first item that wraps around", each(put(sets, fieldFirst, wraps), put(sets+setSize, fieldFirst, wraps+1), put(sets+2*setSize, fieldFirst, wraps+2)), many, engine.FaultBadOutput, "reach outside"},
			hostile{"a first item that wraps with its array", each(put(system, fieldOutputItems, -uint64(itemSize)), put(sets, fieldFirst, 1), put(sets+setSize, fieldFirst, 2), put(sets+2*setSize, fieldFirst, 3)), wide, engine.FaultBadOutput, "reach outside"},
			hostile{"a key of 33 bits", put(itemsAt, fieldKey, 1<<32), wide, engine.FaultBadOutput, "a key has 32 bits"},
		)
	}
	for _, c := range cases {
		mem := good()
		c.change(mem)
		_, err := w.Outputs(mem, system, []string{"a", "b"}, c.lim)
		if !errors.Is(err, &engine.Fault{Kind: c.want}) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	r := reader{mem: good(), word: uint64(w)}
	names := good()
	for _, bad := range []byte{0xff, 0x00, 0x0a, 0x7f} {
		names[r.field(uint64(itemsAt), 0)] = bad
		if _, err := w.Outputs(names, system, []string{"a", "b"}, wide); engine.KindOf(err) != engine.FaultBadOutput {
			t.Errorf("name with byte %#x: %v", bad, err)
		}
	}
	overlap := good()
	set(w, overlap, itemsAt+itemSize, fieldData, r.field(uint64(itemsAt), fieldData))
	got, err := w.Outputs(overlap, system, []string{"a", "b"}, wide)
	if err != nil || string(got[1].Items[0].Bytes()) != "abc" {
		t.Errorf("two items over the same bytes: %v, %v", got, err)
	}
	exact, err := w.Outputs(good(), system, []string{"a", "b"}, engine.Limits{Items: 2, Output: 8})
	if err != nil || data.Size(exact) != 6 {
		t.Errorf("at the limits: %v, %v", exact, err)
	}
}

func FuzzOutputs(f *testing.F) {
	for _, w := range words {
		mem := make([]byte, 512)
		w.Place(mem, system, 128, Heap{-1, -1}, []data.Set{{Name: "a", Items: []*data.Item{data.NewItem("x", 9, []byte("abc"))}}}, []string{"o"}, nil)
		f.Add(mem, 1, w == Native64)
		inputsAsOutputs(w, mem)
		f.Add(mem, 1, w == Native64)
	}
	f.Fuzz(func(t *testing.T, mem []byte, n int, native bool) {
		w := Wasm32
		if native {
			w = Native64
		}
		if len(mem) < system+int(w.SystemSize()) || n < 0 || n > 8 {
			return
		}
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}[:n]
		sets, end, err := w.OutputsEnd(mem, system, names, wide)
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
				if n := it.Len(); n > 0 && (int64(n) > end || end > int64(len(mem))) {
					t.Fatalf("an item of %d bytes, and all end at %d of %d", n, end, len(mem))
				}
			}
		}
	})
}
