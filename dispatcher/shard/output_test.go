package shard_test

import (
	"cmp"
	"slices"
	"testing"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/dispatcher/shard/shardtest"

	"pgregory.net/rapid"
)

// Outputs come together in the order of instances and then of keys, whenever
// they arrive; an instance may give its own in parts, and unordered.
func TestOutputIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outputs := make([][]*data.Item, rapid.IntRange(0, 12).Draw(t, "instances"))
		for i := range outputs {
			outputs[i] = set(rapid.SliceOfN(rapid.Uint32Range(0, 9), 0, 8).Draw(t, "keys")...)
			if rapid.Bool().Draw(t, "ordered") {
				outputs[i] = shardtest.Ordered(outputs[i])
			}
		}
		var o shard.Output
		var arrived []*data.Item
		rest := slices.Clone(outputs)
		for ready := indices(len(outputs)); len(ready) > 0; {
			at := rapid.IntRange(0, len(ready)-1).Draw(t, "ends")
			i := ready[at]
			n := rapid.IntRange(0, len(rest[i])).Draw(t, "part")
			if first := o.Add(i, rest[i][:n]); first != len(arrived) {
				t.Fatalf("items from number %d, want %d", first, len(arrived))
			}
			arrived = append(arrived, rest[i][:n]...)
			rest[i] = rest[i][n:]
			if len(rest[i]) == 0 {
				ready = slices.Delete(ready, at, at+1)
			}
		}
		if o.Count() != len(arrived) {
			t.Fatalf("%d items, want %d", o.Count(), len(arrived))
		}
		var order []int
		inOrder := outputs
		if rapid.Bool().Draw(t, "another order") {
			order = rapid.Permutation(indices(len(outputs))).Draw(t, "order")
			inOrder = nil
			for _, i := range order {
				inOrder = append(inOrder, outputs[i])
			}
		}
		for range 2 { // settling changes nothing
			items, arrivals := o.Settle(order)
			if want := shardtest.Gather(inOrder); !slices.Equal(items, want) {
				t.Fatalf("the set is %s, want %s", show([][]*data.Item{items}), show([][]*data.Item{want}))
			}
			if arrivals == nil {
				arrivals = indices(len(items))
			}
			if len(arrivals) != len(items) {
				t.Fatalf("%d arrivals of %d items", len(arrivals), len(items))
			}
			for i, a := range arrivals {
				if arrived[a] != items[i] {
					t.Fatalf("item %d did not arrive as number %d", i, a)
				}
			}
		}
	})
}

// Sets that are too long to be put in order by comparisons are as stable, whatever
// bytes of their keys differ.
func TestLongOutput(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) uint32 {
		return rapid.Uint32Range(0, 2).Draw(t, "digit") << rapid.SampledFrom([]int{0, 8, 16, 24, 30}).Draw(t, "shift")
	})
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.OneOf(rapid.SliceOfN(key, 60, 200), rapid.SliceOfN(rapid.Uint32(), 60, 200)).Draw(t, "keys")
		items := set(keys...)
		var o shard.Output
		o.Add(0, items)
		got, arrivals := o.Settle(nil)
		slices.SortStableFunc(items, func(a, b *data.Item) int { return cmp.Compare(a.Key(), b.Key()) })
		if !slices.Equal(got, items) {
			t.Fatalf("the set is %s, want %s", show([][]*data.Item{got}), show([][]*data.Item{items}))
		}
		if arrivals == nil && !slices.IsSorted(keys) {
			t.Fatal("the items did not arrive in this order")
		}
		for i, a := range arrivals {
			if keys[a] != got[i].Key() {
				t.Fatalf("item %d did not arrive as number %d", i, a)
			}
		}
	})
}
