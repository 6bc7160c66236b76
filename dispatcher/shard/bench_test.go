package shard_test

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"pappus/data"
	"pappus/dispatcher/shard"
)

const benchItems = 10_000

// perInstance plans an application and takes all its instances, and reports what
// one of them costs with its share of the plan.
func perInstance(b *testing.B, app shard.Application) {
	app.Parallelism = 16
	b.ReportAllocs()
	instances := 0
	var in [][]*data.Item
	for b.Loop() {
		plan, err := shard.New(app, benchItems)
		if err != nil {
			b.Fatal(err)
		}
		for i := range plan.Count() {
			in = plan.Instance(i, in)
		}
		instances += plan.Count()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(instances), "ns/instance")
}

// spread makes items of which keys are equally frequent.
func spread(items, keys int) []*data.Item {
	all := make([]*data.Item, items)
	for i := range all {
		all[i] = data.NewItem("", uint32(i*keys/items), nil)
	}
	return all
}

func BenchmarkEach(b *testing.B) {
	perInstance(b, shard.Application{Params: []shard.Param{{Kind: shard.Each, Items: spread(benchItems, benchItems)}, {Kind: shard.All, Items: spread(1, 1)}}})
}

func BenchmarkKeyed(b *testing.B) {
	perInstance(b, shard.Application{Params: []shard.Param{{Kind: shard.Keyed, Items: spread(benchItems, 100)}}})
}

func BenchmarkAnyKeyed(b *testing.B) {
	perInstance(b, shard.Application{Params: []shard.Param{{Kind: shard.AnyKeyed, Items: spread(benchItems, 100)}}})
}

func BenchmarkInner(b *testing.B) {
	items := spread(benchItems, benchItems)
	perInstance(b, shard.Application{
		Params: []shard.Param{{Kind: shard.Keyed, Items: items}, {Kind: shard.Keyed, Items: items}},
		Chain:  by(shard.Inner),
	})
}

func BenchmarkCross(b *testing.B) {
	items := spread(100, 100)
	perInstance(b, shard.Application{
		Params: []shard.Param{{Kind: shard.Keyed, Items: items}, {Kind: shard.Keyed, Items: items}},
		Chain:  by(shard.Cross),
	})
}

// A cross join beyond the limit is refused without making its rows.
func BenchmarkCrossRefused(b *testing.B) {
	items := spread(benchItems, benchItems)
	app := shard.Application{
		Params:      []shard.Param{{Kind: shard.Keyed, Items: items}, {Kind: shard.Keyed, Items: items}},
		Chain:       by(shard.Cross),
		Parallelism: 16,
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := shard.New(app, benchItems); !errors.As(err, new(*shard.TooManyError)) {
			b.Fatal(err)
		}
	}
}

// Items that arrive one by one, in random order, and are put in order at the end.
func BenchmarkStream(b *testing.B) {
	items := spread(benchItems, benchItems)
	arrival := rand.New(rand.NewPCG(1, 2)).Perm(benchItems)
	app := shard.Application{Params: []shard.Param{{Kind: shard.Each}, {Kind: shard.All, Items: spread(1, 1)}}, Parallelism: 16}
	b.ReportAllocs()
	var in [][]*data.Item
	for b.Loop() {
		s, err := shard.NewStream(app, 0, benchItems)
		if err != nil {
			b.Fatal(err)
		}
		var made, output shard.Output
		for _, i := range arrival {
			one := items[i : i+1]
			made.Add(i, one)
			first, end, err := s.Add(one)
			if err != nil {
				b.Fatal(err)
			}
			for n := first; n < end; n++ {
				in = s.Instance(n, in)
				output.Add(n, one)
			}
		}
		s.Close()
		_, arrivals := made.Settle(nil)
		output.Settle(s.Order(arrivals))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchItems), "ns/instance")
}

// The outputs of 100 instances of 100 ordered items each, against sorting.
func BenchmarkSettle(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, key := range map[string]func(i int) uint32{
		"equal":   func(int) uint32 { return 0 },
		"ordered": func(i int) uint32 { return uint32(i) },
		"random":  func(int) uint32 { return r.Uint32() },
	} {
		parts := make([][]*data.Item, 100)
		for i := range parts {
			set := data.Set{Items: make([]*data.Item, 100)}
			for j := range set.Items {
				set.Items[j] = data.NewItem("", key(i*100+j), nil)
			}
			set.Order()
			parts[i] = set.Items
		}
		b.Run(name+"/settle", func(b *testing.B) {
			for b.Loop() {
				var o shard.Output
				for i, items := range parts {
					o.Add(i, items)
				}
				o.Settle(nil)
			}
		})
		b.Run(name+"/sort", func(b *testing.B) {
			for b.Loop() {
				all := slices.Concat(parts...)
				slices.SortStableFunc(all, func(a, b *data.Item) int { return cmp.Compare(a.Key(), b.Key()) })
			}
		})
	}
}
