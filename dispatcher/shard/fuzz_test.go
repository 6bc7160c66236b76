package shard_test

import (
	"slices"
	"testing"

	"pappus/data"
	"pappus/dispatcher/shard"
	"pappus/dispatcher/shard/shardtest"
)

// input is what the fuzzer chooses, a byte a choice; after its end all choices
// are 0.
type input []byte

func (in *input) below(n int) int {
	if len(*in) == 0 {
		return 0
	}
	b := (*in)[0]
	*in = (*in)[1:]
	return int(b) % n
}

// application is one that may be invalid.
func (in *input) application() shard.Application {
	app := shard.Application{Parallelism: in.below(21)}
	for range in.below(6) {
		param := shard.Param{Name: string(rune('a' + len(app.Params))), Kind: shard.Kind(in.below(6)), Optional: in.below(2) == 1}
		for range in.below(7) {
			param.Items = append(param.Items, set(uint32(in.below(8)))...)
		}
		app.Params = append(app.Params, param)
	}
	for range in.below(5) {
		app.Chain = append(app.Chain, shard.Link{Param: in.below(7) - 1, Join: shard.Join(in.below(6))})
	}
	return app
}

// Any application is refused, or has the instances of the reference, planned and
// streamed.
func FuzzInstances(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		in := input(b)
		app := in.application()
		if _, err := shard.New(app, 1<<20); err != nil {
			return
		}
		want := shardtest.Instances(app)
		checkPlan(t, app, want)
		for growing, param := range app.Params {
			if shard.Streamable(param) {
				checkArrivals(t, app, growing, &in, want)
			}
		}
	})
}

// checkArrivals lets the items of one parameter arrive in an order of the
// fuzzer's choice, each made by an instance of its own.
func checkArrivals(t *testing.T, app shard.Application, growing int, in *input, want [][][]*data.Item) {
	t.Helper()
	stream, err := shard.NewStream(app, growing, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	items := app.Params[growing].Items
	var made shard.Output
	for rest := indices(len(items)); len(rest) > 0; {
		at := in.below(len(rest))
		i := rest[at]
		rest = slices.Delete(rest, at, at+1)
		made.Add(i, items[i:i+1])
		first, end, err := stream.Add(items[i : i+1])
		if err != nil || first > end || end != stream.Count() {
			t.Fatalf("instances %d to %d of %d, error %v", first, end, stream.Count(), err)
		}
	}
	stream.Close()
	_, arrivals := made.Settle(nil)
	order := stream.Order(arrivals)
	if !slices.EqualFunc(order, want, func(number int, want [][]*data.Item) bool { return same(stream.Instance(number, nil), want) }) {
		t.Fatalf("%d instances in the order %v, want %d", stream.Count(), order, len(want))
	}
}
