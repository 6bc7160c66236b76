package shard_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/dispatcher/shard/shardtest"

	"pgregory.net/rapid"
)

// call is a function whose outputs depend on all that it sees, in order: up to
// three items, some keys equal.
func call(in [][]*data.Item) []*data.Item {
	var seen strings.Builder
	for _, items := range in {
		for _, it := range items {
			fmt.Fprintf(&seen, "%d/%s/%s,", it.Key(), it.Name(), it.Bytes())
		}
		seen.WriteByte(';')
	}
	h := fnv.New64a()
	h.Write([]byte(seen.String()))
	sum := h.Sum64()
	var out []*data.Item
	for i := range sum % 4 {
		out = append(out, data.NewItem(fmt.Sprint(i), uint32(sum>>(8*i+8)%4), []byte(fmt.Sprintf("%016x", sum))))
	}
	return shardtest.Ordered(out) // as outputs are when they are read
}

// stage is an application of a pipeline. The first is planned, all others stream
// what the one before makes.
type stage struct {
	instances interface {
		Count() int
		Instance(int, [][]*data.Item) [][]*data.Item
	}
	stream *shard.Stream // nil for the first
	output shard.Output
	ended  int
	closed bool
}

// order is that of the stage's instances as far as is known.
func (s *stage) order(arrivals []int) []int {
	if s.stream == nil {
		return nil
	}
	return s.stream.Order(arrivals)
}

// pipeline ends instances one by one, in an order that is drawn.
type pipeline struct {
	stages []*stage
	ready  [][2]int // stage, instance
}

func (p *pipeline) start(stage, first, end int) {
	for i := first; i < end; i++ {
		p.ready = append(p.ready, [2]int{stage, i})
	}
}

// end ends one instance, and starts what its outputs make possible.
func (p *pipeline) end(t *rapid.T, at int) {
	n, i := p.ready[at][0], p.ready[at][1]
	p.ready = slices.Delete(p.ready, at, at+1)
	s := p.stages[n]
	items := call(s.instances.Instance(i, nil))
	number := s.output.Add(i, items)
	s.ended++
	if n+1 == len(p.stages) {
		return
	}
	next := p.stages[n+1]
	if per := next.stream.Count(); per > 0 && number == 0 {
		t.Fatalf("%d instances before there are items", per)
	}
	first, end, err := next.stream.Add(items)
	if err != nil {
		t.Fatal(err)
	}
	p.start(n+1, first, end)
}

// closeEnded closes the stages of which no more can come.
func (p *pipeline) closeEnded() {
	for n, s := range p.stages {
		if n > 0 && !s.closed {
			first, end := s.stream.Close()
			p.start(n, first, end)
			s.closed = true
		}
		if s.ended < s.instances.Count() {
			return
		}
	}
}

// settle is the last set, and the order of instances of every stage.
func (p *pipeline) settle() (items []*data.Item, orders [][]int) {
	var arrivals []int
	for _, s := range p.stages {
		order := s.order(arrivals)
		orders = append(orders, order)
		items, arrivals = s.output.Settle(order)
	}
	return items, orders
}

// Whatever the order in which instances end, a pipeline of streams has the
// instances and the outputs that whole sets give, in their order.
func checkStream(t *rapid.T) {
	var p pipeline
	var want []*data.Item // of the stages so far, by the reference
	var wantInstances [][][][]*data.Item
	for n := range rapid.IntRange(2, 4).Draw(t, "stages") {
		app := draw(t, allKinds)
		s := new(stage)
		if n > 0 {
			growing := rapid.IntRange(0, len(app.Params)).Draw(t, "growing")
			app.Params = slices.Insert(app.Params, growing, shard.Param{Name: "growing", Kind: shard.Each, Items: want, Optional: rapid.Bool().Draw(t, "optional")})
			for i := range app.Chain {
				if app.Chain[i].Param >= growing {
					app.Chain[i].Param++
				}
			}
			whole := app.Params
			app.Params = slices.Clone(whole)
			app.Params[growing].Items = nil
			stream, err := shard.NewStream(app, growing, 1_000_000)
			if err != nil {
				t.Fatal(err)
			}
			app.Params = whole
			s.stream, s.instances = stream, stream
		} else {
			plan, err := shard.New(app, 1_000_000)
			if err != nil {
				t.Fatal(err)
			}
			s.instances = plan
		}
		instances := shardtest.Instances(app)
		if len(instances) > 300 {
			t.Skip("slow")
		}
		var outputs [][]*data.Item
		for _, in := range instances {
			outputs = append(outputs, call(in))
		}
		want = shardtest.Gather(outputs)
		wantInstances = append(wantInstances, instances)
		p.stages = append(p.stages, s)
	}

	p.start(0, 0, p.stages[0].instances.Count())
	look := rapid.IntRange(0, 50).Draw(t, "look at the order after")
	var early [][]int
	for p.closeEnded(); len(p.ready) > 0; p.closeEnded() {
		p.end(t, rapid.IntRange(0, len(p.ready)-1).Draw(t, "ends"))
		if look--; look == 0 {
			_, early = p.settle()
		}
	}

	got, orders := p.settle()
	if !slices.EqualFunc(got, want, (*data.Item).Equal) {
		t.Fatalf("the pipeline makes %s, want %s", show([][]*data.Item{got}), show([][]*data.Item{want}))
	}
	for n, s := range p.stages {
		order := orders[n]
		if order == nil {
			order = indices(s.instances.Count())
		}
		equal := func(number int, want [][]*data.Item) bool {
			return slices.EqualFunc(s.instances.Instance(number, nil), want, func(a, b []*data.Item) bool {
				return slices.EqualFunc(a, b, (*data.Item).Equal)
			})
		}
		if !slices.EqualFunc(order, wantInstances[n], equal) {
			t.Fatalf("stage %d has other instances than with whole sets: %d, want %d", n, len(order), len(wantInstances[n]))
		}
		if early == nil || early[n] == nil {
			continue
		}
		known := slices.DeleteFunc(slices.Clone(order), func(i int) bool { return !slices.Contains(early[n], i) })
		if !slices.Equal(known, early[n]) {
			t.Fatalf("stage %d had the order %v, and in the end %v", n, early[n], known)
		}
	}
}

func TestStreamIsWhole(t *testing.T) { rapid.Check(t, checkStream) }

func TestStreamRefuses(t *testing.T) {
	for _, kind := range []shard.Kind{shard.All, shard.Keyed, shard.AnyEach, shard.AnyKeyed} {
		app := shard.Application{Params: []shard.Param{p("a", kind, 1)}, Parallelism: 1}
		if _, err := shard.NewStream(app, 0, 10); err == nil || !strings.Contains(err.Error(), `"a" is `+kind.String()) {
			t.Errorf("a stream of %s: error %v", kind, err)
		}
	}
	for _, growing := range []int{-1, 1} {
		if _, err := shard.NewStream(shard.Application{Params: []shard.Param{p("a", shard.Each)}, Parallelism: 1}, growing, 10); err == nil {
			t.Errorf("no error for parameter %d of one", growing)
		}
	}
	if _, err := shard.NewStream(shard.Application{Params: []shard.Param{p("a", shard.Each), p("b", shard.Each, 1, 2, 3)}, Parallelism: 1}, 0, 2); err == nil {
		t.Error("three instances an item with a limit of two")
	}
}

// The limit counts the same instances, however many items come at once.
func TestStreamLimit(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5, 12} {
		app := shard.Application{Params: []shard.Param{p("a", shard.Each), p("b", shard.Each, 1, 2, 3)}, Parallelism: 1}
		s, err := shard.NewStream(app, 0, 15)
		if err != nil {
			t.Fatal(err)
		}
		for rest := many(12); ; rest = rest[size:] {
			first, end, err := s.Add(rest[:size])
			if err == nil {
				if end-first != 3*size || end != s.Count() {
					t.Fatalf("%d items have instances %d to %d", size, first, end)
				}
				continue
			}
			const want = "6 (a) × 3 (all others) instances are more than the limit of 15"
			if many := new(shard.TooManyError); !errors.As(err, &many) || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
			if s.Count() > 15 || first != end {
				t.Errorf("there are %d instances after the limit, and %d of those refused", s.Count(), end-first)
			}
			break
		}
	}
}

func TestStreamAllocates(t *testing.T) {
	s, err := shard.NewStream(shard.Application{Params: []shard.Param{p("a", shard.Each), p("b", shard.All, 1)}, Parallelism: 1}, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Add(many(1000)); err != nil {
		t.Fatal(err)
	}
	in := s.Instance(0, nil)
	if n := testing.AllocsPerRun(100, func() { in = s.Instance(999, in) }); n != 0 {
		t.Errorf("%v allocations an instance", n)
	}
}
