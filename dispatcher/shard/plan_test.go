package shard_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/dispatcher/shard/shardtest"

	"pgregory.net/rapid"
)

// set makes items of these keys, named by key and by number among equal ones:
// "1", "1'", "1”".
func set(keys ...uint32) []*data.Item {
	times := make(map[uint32]int)
	items := make([]*data.Item, len(keys))
	for i, key := range keys {
		items[i] = data.NewItem(fmt.Sprint(key)+strings.Repeat("'", times[key]), key, nil)
		times[key]++
	}
	return items
}

// show is an instance as the tables below write it: names of items, parameters
// apart by "|", an empty set as "-".
func show(in [][]*data.Item) string {
	params := make([]string, len(in))
	for i, items := range in {
		names := make([]string, len(items))
		for j, it := range items {
			names[j] = it.Name()
		}
		params[i] = strings.Join(names, " ")
		if len(items) == 0 {
			params[i] = "-"
		}
	}
	return strings.Join(params, "|")
}

func showAll(p *shard.Plan) []string {
	all := make([]string, p.Count())
	for i := range all {
		all[i] = show(p.Instance(i, nil))
	}
	return all
}

func p(name string, kind shard.Kind, keys ...uint32) shard.Param {
	return shard.Param{Name: name, Kind: kind, Items: set(keys...)}
}

func optional(p shard.Param) shard.Param {
	p.Optional = true
	return p
}

// by is a chain of the first parameters, joined in their order.
func by(joins ...shard.Join) []shard.Link {
	chain := make([]shard.Link, 1, len(joins)+1)
	for i, j := range joins {
		chain = append(chain, shard.Link{Param: i + 1, Join: j})
	}
	return chain
}

func TestInstances(t *testing.T) {
	for _, test := range []struct {
		name        string
		params      []shard.Param
		chain       []shard.Link
		parallelism int
		want        []string
	}{
		{name: "no parameters", want: []string{""}},
		{name: "all", params: []shard.Param{p("a", shard.All, 2, 1, 1)}, want: []string{"1 1' 2"}},
		{name: "each", params: []shard.Param{p("a", shard.Each, 2, 1, 1)}, want: []string{"1", "1'", "2"}},
		{name: "keyed", params: []shard.Param{p("a", shard.Keyed, 2, 1, 1)}, want: []string{"1 1'", "2"}},
		{name: "all multiplies by one", params: []shard.Param{p("a", shard.All, 7, 8), p("b", shard.Each, 1, 2)},
			want: []string{"7 8|1", "7 8|2"}},
		{name: "the last varies fastest", params: []shard.Param{p("a", shard.Each, 1, 2), p("b", shard.Each, 3, 4)},
			want: []string{"1|3", "1|4", "2|3", "2|4"}},
		{name: "keyed before the rest", params: []shard.Param{p("a", shard.Each, 1, 2), p("b", shard.Keyed, 3, 4)},
			want: []string{"1|3", "2|3", "1|4", "2|4"}},
		{name: "anyKeyed stands where keyed does", params: []shard.Param{p("a", shard.Each, 1, 2), p("b", shard.AnyKeyed, 3, 4)},
			want: []string{"1|3", "2|3", "1|4", "2|4"}},
		{name: "the chain before other keyed", params: []shard.Param{p("a", shard.Keyed, 1), p("b", shard.Keyed, 1), p("c", shard.Keyed, 1, 2), p("d", shard.Keyed, 1, 2)},
			chain: []shard.Link{{Param: 2}, {Param: 3, Join: shard.Inner}}, want: []string{"1|1|1|1", "1|1|2|2"}},
		{name: "a chain in another order than the parameters", params: []shard.Param{p("a", shard.Keyed, 1, 2), p("b", shard.Keyed, 1, 3)},
			chain: []shard.Link{{Param: 1}, {Param: 0, Join: shard.Cross}}, want: []string{"1|1", "2|1", "1|3", "2|3"}},

		{name: "anyEach: the first have one more", params: []shard.Param{p("a", shard.AnyEach, 1, 2, 3, 4, 5, 6, 7, 8)}, parallelism: 3,
			want: []string{"1 2 3", "4 5 6", "7 8"}},
		{name: "anyEach: fewer items than parallelism", params: []shard.Param{p("a", shard.AnyEach, 1, 1)}, want: []string{"1", "1'"}},
		{name: "anyKeyed counts groups, not items", params: []shard.Param{p("a", shard.AnyKeyed, 1, 1, 1, 2, 3)}, parallelism: 2,
			want: []string{"1 1' 1'' 2", "3"}},
		{name: "two any-forms, each by itself", params: []shard.Param{p("a", shard.AnyEach, 1, 2, 3), p("b", shard.AnyEach, 4, 5, 6)}, parallelism: 2,
			want: []string{"1 2|4 5", "1 2|6", "3|4 5", "3|6"}},
		{name: "an any-chain once over its rows", params: []shard.Param{p("a", shard.AnyKeyed, 1, 2, 3, 5), p("b", shard.AnyKeyed, 1, 3, 4, 5)}, chain: by(shard.Inner), parallelism: 2,
			want: []string{"1 3|1 3", "5|5"}},
		{name: "an any-chain with sides left empty", params: []shard.Param{p("a", shard.AnyKeyed, 1, 2), p("b", shard.AnyKeyed, 3, 4)}, chain: by(shard.Full), parallelism: 2,
			want: []string{"1 2|-", "-|3 4"}},
		{name: "an any-chain has a group once an instance", params: []shard.Param{p("a", shard.AnyKeyed, 1, 2), p("b", shard.AnyKeyed, 1, 2, 3)}, chain: by(shard.Cross), parallelism: 2,
			want: []string{"1|1 2 3", "2|1 2 3"}},
		{name: "an any-chain across rows of a cross join", params: []shard.Param{p("a", shard.AnyKeyed, 1, 2), p("b", shard.AnyKeyed, 1, 2, 3)}, chain: by(shard.Cross), parallelism: 3,
			want: []string{"1|1 2", "1 2|1 3", "2|2 3"}},

		// the vectors of the language's definition
		{name: "inner", params: []shard.Param{p("a", shard.Keyed, 3, 0, 1), p("b", shard.Keyed, 1, 0, 1, 2)}, chain: by(shard.Inner),
			want: []string{"0|0", "1|1 1'"}},
		{name: "left", params: []shard.Param{p("a", shard.Keyed, 0, 1, 2), p("b", shard.Keyed, 3, 1, 0, 1)}, chain: by(shard.Left),
			want: []string{"0|0", "1|1 1'", "2|-"}},
		{name: "right", params: []shard.Param{p("a", shard.Keyed, 3, 1, 0, 1), p("b", shard.Keyed, 0, 1, 2)}, chain: by(shard.Right),
			want: []string{"0|0", "1 1'|1", "-|2"}},
		{name: "full", params: []shard.Param{p("a", shard.Keyed, 3, 0, 1), p("b", shard.Keyed, 0, 1, 2)}, chain: by(shard.Full),
			want: []string{"0|0", "1|1", "-|2", "3|-"}},
		{name: "cross", params: []shard.Param{p("a", shard.Keyed, 3, 0, 1), p("b", shard.Keyed, 0, 1, 2)}, chain: by(shard.Cross),
			want: []string{"0|0", "0|1", "0|2", "1|0", "1|1", "1|2", "3|0", "3|1", "3|2"}},

		{name: "after cross the right key counts", params: []shard.Param{p("a", shard.Keyed, 1, 2), p("b", shard.Keyed, 3, 4), p("c", shard.Keyed, 1, 4)}, chain: by(shard.Cross, shard.Inner),
			want: []string{"1|4|4", "2|4|4"}},
		{name: "rows of equal keys stay in their order", params: []shard.Param{p("a", shard.Keyed, 1, 2), p("b", shard.Keyed, 3, 5), p("c", shard.Keyed, 4, 5)}, chain: by(shard.Cross, shard.Full),
			want: []string{"1|3|-", "2|3|-", "-|-|4", "1|5|5", "2|5|5"}},
		{name: "full, then inner by either's key", params: []shard.Param{p("a", shard.Keyed, 1), p("b", shard.Keyed, 2), p("c", shard.Keyed, 1, 2, 3)}, chain: by(shard.Full, shard.Inner),
			want: []string{"1|-|1", "-|2|2"}},

		{name: "inner without a common key, beside all and each", params: []shard.Param{p("a", shard.Keyed, 1), p("b", shard.Keyed, 2), p("c", shard.All, 1), p("d", shard.Each, 1)}, chain: by(shard.Inner)},
		{name: "cross with an empty side", params: []shard.Param{p("a", shard.Keyed, 1), p("b", shard.Keyed)}, chain: by(shard.Cross)},
		{name: "left with an empty left side", params: []shard.Param{p("a", shard.Keyed), p("b", shard.Keyed, 1)}, chain: by(shard.Left)},
		{name: "right with an empty left side", params: []shard.Param{p("a", shard.Keyed), p("b", shard.Keyed, 1)}, chain: by(shard.Right), want: []string{"-|1"}},
		{name: "full with an empty left side", params: []shard.Param{p("a", shard.Keyed), p("b", shard.Keyed, 1)}, chain: by(shard.Full), want: []string{"-|1"}},
		{name: "optional says nothing in a chain", params: []shard.Param{optional(p("a", shard.Keyed)), optional(p("b", shard.Keyed))}, chain: by(shard.Full)},

		{name: "empty and not optional", params: []shard.Param{p("a", shard.All), p("b", shard.Each, 1)}},
		{name: "empty and not optional beside a chain", params: []shard.Param{p("a", shard.Keyed, 1), p("b", shard.Keyed, 1), p("c", shard.Each)}, chain: by(shard.Inner)},
		{name: "empty and optional", params: []shard.Param{optional(p("a", shard.All)), optional(p("b", shard.Keyed)), p("c", shard.Each, 1, 2)},
			want: []string{"-|-|1", "-|-|2"}},
		{name: "all optional and empty", params: []shard.Param{optional(p("a", shard.All)), optional(p("b", shard.Each)), optional(p("c", shard.Keyed)), optional(p("d", shard.AnyEach)), optional(p("e", shard.AnyKeyed))},
			want: []string{"-|-|-|-|-"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			app := shard.Application{Params: test.params, Chain: test.chain, Parallelism: max(test.parallelism, 1)}
			if test.parallelism == 0 {
				app.Parallelism = 16
			}
			plan, err := shard.New(app, 100)
			if err != nil {
				t.Fatal(err)
			}
			if got := showAll(plan); !slices.Equal(got, test.want) {
				t.Errorf("instances %q, want %q", got, test.want)
			}
			var reference []string
			for _, in := range shardtest.Instances(app) {
				reference = append(reference, show(in))
			}
			if !slices.Equal(reference, test.want) {
				t.Errorf("the reference has instances %q, want %q", reference, test.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	a, b, each := p("a", shard.Keyed, 1), p("b", shard.Keyed, 1), p("c", shard.Each, 1)
	for want, app := range map[string]shard.Application{
		"parallelism is 0":                          {},
		"no kind of division 9":                     {Params: []shard.Param{p("a", 9, 1)}, Parallelism: 1},
		"needs two parameters":                      {Params: []shard.Param{a}, Chain: by(), Parallelism: 1},
		"no parameter 2, but 2":                     {Params: []shard.Param{a, b}, Chain: by(shard.Inner, shard.Inner), Parallelism: 1},
		"no parameter -1":                           {Params: []shard.Param{a, b}, Chain: []shard.Link{{Param: -1}, {Param: 1}}, Parallelism: 1},
		"no kind of join 7":                         {Params: []shard.Param{a, b}, Chain: by(7), Parallelism: 1},
		`"a" is joined twice`:                       {Params: []shard.Param{a, b}, Chain: []shard.Link{{}, {}}, Parallelism: 1},
		`"c" is each; only`:                         {Params: []shard.Param{a, each}, Chain: by(shard.Cross), Parallelism: 1},
		"but one is keyed and one is anyKeyed":      {Params: []shard.Param{a, p("b", shard.AnyKeyed, 1)}, Chain: by(shard.Inner), Parallelism: 1},
		"1 instances are more than the limit of -1": {Params: []shard.Param{a}, Parallelism: 1},
	} {
		if _, err := shard.New(app, -1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func many(n int) []*data.Item {
	items := make([]*data.Item, n)
	for i := range items {
		items[i] = data.NewItem("", uint32(i), nil)
	}
	return items
}

func TestTooMany(t *testing.T) {
	items := many(3000)
	param := func(name string, kind shard.Kind) shard.Param {
		return shard.Param{Name: name, Kind: kind, Items: items}
	}
	keyed := []shard.Param{param("a", shard.Keyed), param("b", shard.Keyed), p("c", shard.Keyed, 5)}
	shared := []shard.Param{param("a", shard.AnyKeyed), param("b", shard.AnyKeyed)}
	six := make([]shard.Param, 6)
	for i := range six {
		six[i] = param(string(rune('a'+i)), shard.Each)
	}
	for _, test := range []struct {
		name  string
		app   shard.Application
		limit int
		want  string
	}{
		{"each", shard.Application{Params: []shard.Param{param("a", shard.Each), p("b", shard.Each, 1)}}, 2999, "3000 instances for a are more than the limit of 2999"},
		{"product", shard.Application{Params: []shard.Param{param("a", shard.Each), p("b", shard.Each, 1, 2)}}, 5999, "3000 (a) × 2 (b) instances are more than the limit of 5999"},
		{"product beyond 64 bits", shard.Application{Params: six}, math.MaxInt, "3000 (a) × 3000 (b) × 3000 (c) × 3000 (d) × 3000 (e) × 3000 (f) instances are more than the limit of 9223372036854775807"},
		{"cross", shard.Application{Params: keyed[:2], Chain: by(shard.Cross)}, 10_000, "3000 (a) × 3000 (b) instances are more than the limit of 10000"},
		{"cross, then inner", shard.Application{Params: keyed, Chain: by(shard.Cross, shard.Inner)}, 10_000, "3000 (a) × 3000 (b) rows are more than the limit of 1048576"},
		{"cross, shared", shard.Application{Params: shared, Chain: by(shard.Cross)}, 10_000, "3000 (a) × 3000 (b) rows are more than the limit of 1048576"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.app.Parallelism = 16
			_, err := shard.New(test.app, test.limit)
			var many *shard.TooManyError
			if !errors.As(err, &many) || err.Error() != test.want || many.Limit != test.limit && many.What != "rows" {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
	// What does not run, does not exceed a limit.
	for _, app := range []shard.Application{
		{Params: append(slices.Clone(keyed[:2]), p("c", shard.All)), Chain: by(shard.Cross), Parallelism: 1},
		{Params: []shard.Param{p("a", shard.Keyed, 1), p("b", shard.Keyed, 2), param("c", shard.Each)}, Chain: by(shard.Inner), Parallelism: 1},
	} {
		if plan, err := shard.New(app, 10); err != nil || plan.Count() != 0 {
			t.Errorf("plan %v, error %v; want one without instances", plan, err)
		}
	}
}

// A plan takes no memory an instance, and parts of the given sets are passed on
// as they are.
func TestInstanceAllocates(t *testing.T) {
	items := many(10_000)
	plan, err := shard.New(shard.Application{Params: []shard.Param{{Kind: shard.Each, Items: items}, {Kind: shard.All, Items: items}}, Parallelism: 1}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	in := plan.Instance(0, nil)
	if n := testing.AllocsPerRun(100, func() { in = plan.Instance(9_999, in) }); n != 0 {
		t.Errorf("%v allocations an instance", n)
	}
	if &in[0][0] != &items[9_999] || &in[1][0] != &items[0] {
		t.Error("items were copied")
	}
	if in = plan.Instance(1, in); cap(in[0]) != 1 {
		t.Error("who appends to an instance's items writes into others'")
	}
}

func TestNewLeavesInputsAsTheyAre(t *testing.T) {
	items := set(3, 1, 2)
	before := slices.Clone(items)
	if _, err := shard.New(shard.Application{Params: []shard.Param{{Kind: shard.Keyed, Items: items}}, Parallelism: 1}, 10); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(items, before) {
		t.Error("the given set was put in order, though others may read it")
	}
}

// draw makes any valid application; kinds are those that may be drawn for
// parameters outside of the chain.
func draw(t *rapid.T, kinds []shard.Kind) shard.Application {
	app := shard.Application{Parallelism: rapid.IntRange(1, 20).Draw(t, "parallelism")}
	add := func(kind shard.Kind) {
		keys := rapid.SliceOfN(rapid.Uint32Range(0, 6), 0, 6).Draw(t, "keys")
		if rapid.IntRange(0, 20).Draw(t, "extreme") == 0 {
			keys = append(keys, math.MaxUint32)
		}
		app.Params = append(app.Params, shard.Param{
			Name: string(rune('a' + len(app.Params))), Kind: kind, Items: set(keys...),
			Optional: rapid.Bool().Draw(t, "optional"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "unjoined") {
		add(rapid.SampledFrom(kinds).Draw(t, "kind"))
	}
	if n := rapid.SampledFrom([]int{0, 2, 3, 4}).Draw(t, "joined"); n > 0 {
		kind := rapid.SampledFrom([]shard.Kind{shard.Keyed, shard.AnyKeyed}).Draw(t, "joined kind")
		for range n {
			app.Chain = append(app.Chain, shard.Link{
				Param: len(app.Params),
				Join:  rapid.SampledFrom([]shard.Join{shard.Cross, shard.Inner, shard.Left, shard.Right, shard.Full}).Draw(t, "join"),
			})
			add(kind)
		}
		// Parameters stand in any order, and so does the chain.
		places := rapid.Permutation(indices(len(app.Params))).Draw(t, "places")
		moved := make([]shard.Param, len(places))
		for from, to := range places {
			moved[to] = app.Params[from]
		}
		app.Params = moved
		for i := range app.Chain {
			app.Chain[i].Param = places[app.Chain[i].Param]
		}
	}
	return app
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func same(a, b [][]*data.Item) bool {
	return slices.EqualFunc(a, b, func(a, b []*data.Item) bool { return slices.Equal(a, b) })
}

var allKinds = []shard.Kind{shard.All, shard.Each, shard.Keyed, shard.AnyEach, shard.AnyKeyed}

// checkPlan compares a plan with the reference.
func checkPlan(t rapid.TB, app shard.Application, want [][][]*data.Item) {
	t.Helper()
	plan, err := shard.New(app, len(want))
	if err != nil && len(want) == 0 { // an order of factors that starts with too many
		t.Fatalf("%v, but there are no instances", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if plan.Count() != len(want) {
		t.Fatalf("%d instances, want %d", plan.Count(), len(want))
	}
	var in [][]*data.Item
	for i := range want {
		if in = plan.Instance(i, in); !same(in, want[i]) {
			t.Fatalf("instance %d sees %s, want %s", i, show(in), show(want[i]))
		}
	}
	var many *shard.TooManyError
	if _, err := shard.New(app, len(want)-1); len(want) > 0 && !errors.As(err, &many) {
		t.Fatalf("error %v with a limit of one less than %d", err, len(want))
	}
}

func TestPlanIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		app := draw(t, allKinds)
		checkPlan(t, app, shardtest.Instances(app))
	})
}

// A join of more rows than are put in order by comparisons.
func TestLongJoin(t *testing.T) {
	for _, last := range []shard.Join{shard.Inner, shard.Left, shard.Right, shard.Full} {
		app := shard.Application{
			Params:      []shard.Param{p("a", shard.Keyed, 1, 2, 3, 4, 5, 6, 7, 8, 9), p("b", shard.Keyed, 0, 1<<8, 1<<16, 1<<24, 2, 3<<8, 4<<16, 5<<24, math.MaxUint32), p("c", shard.Keyed, 1<<8, 2, 3, 1<<16, 5<<24)},
			Chain:       by(shard.Cross, last),
			Parallelism: 1,
		}
		plan, err := shard.New(app, 1000)
		if err != nil {
			t.Fatal(err)
		}
		want := shardtest.Instances(app)
		if plan.Count() != len(want) {
			t.Fatalf("%s: %d instances, want %d", last, plan.Count(), len(want))
		}
		for i := range want {
			if in := plan.Instance(i, nil); !same(in, want[i]) {
				t.Fatalf("%s: instance %d sees %s, want %s", last, i, show(in), show(want[i]))
			}
		}
	}
}

// With as many instances as there are groups, the any-forms are the plain ones.
func TestAnyFormsWithoutSharing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		app := draw(t, allKinds)
		app.Parallelism = math.MaxInt
		plain := app
		plain.Params = slices.Clone(app.Params)
		for i := range plain.Params {
			plain.Params[i].Kind = map[shard.Kind]shard.Kind{shard.All: shard.All, shard.Each: shard.Each, shard.AnyEach: shard.Each, shard.Keyed: shard.Keyed, shard.AnyKeyed: shard.Keyed}[plain.Params[i].Kind]
		}
		a, err := shard.New(app, math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		b, err := shard.New(plain, math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := showAll(a), showAll(b); !slices.Equal(got, want) {
			t.Fatalf("%q, but %q", got, want)
		}
	})
}
