package dispatcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"weak"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/engine"
	"pappus/registry"
)

// newComposer is a dispatcher with functions that do what the words in their
// names say.
func newComposer(t testing.TB, change func(*Config)) *bench {
	b := newBench(t, change)
	b.engine.runOf = func(code []byte) runFunc {
		does := strings.TrimPrefix(string(code), "\x00asm")
		return func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
			var out []*data.Item
			for _, s := range in {
				for _, it := range s.Items {
					switch does {
					case "Split": // an item for each word, with its length as the key
						for word := range strings.FieldsSeq(string(it.Bytes())) {
							out = append(out, data.NewItem(word, uint32(len(word)), []byte(word)))
						}
					case "Upper":
						out = append(out, data.NewItem(it.Name(), it.Key(), bytes.ToUpper(it.Bytes())))
					}
				}
			}
			if does == "Join" { // all into one
				var words [][]byte
				for _, it := range in[0].Items {
					words = append(words, it.Bytes())
				}
				out = []*data.Item{data.NewItem("joined", 0, bytes.Join(words, []byte(" ")))}
			}
			if does == "Fail" {
				return engine.Result{}, &engine.Fault{Kind: engine.FaultTrap, Detail: "as asked", Usage: engine.Usage{Fuel: 2, MemoryPages: 4}}
			}
			s := data.Set{Name: "out", Items: out}
			s.Order()
			return engine.NewResult([]data.Set{s}, engine.Usage{Fuel: 5, MemoryPages: 3}, 0, nil), nil
		}
	}
	for _, name := range []string{"Split", "Upper", "Join", "Fail"} {
		b.publish(t, name, func(p *Publication) {
			p.Name, p.HasSignature = name, true
			p.Inputs, p.Outputs = []engine.Param{{Name: "in", Type: engine.TypeSet}}, []engine.Param{{Name: "out", Type: engine.TypeSet}}
		})
	}
	return b
}

func (b *bench) compose(t testing.TB, name, source string) *registry.Version {
	t.Helper()
	v, created, warnings, err := b.PublishComposition(t.Context(), CompositionPublication{Tenant: "default", Name: name, Source: source})
	if err != nil || !created || len(warnings) > 0 {
		t.Fatalf("%v %v %v", created, warnings, err)
	}
	return v
}

const shout = `
function Split(in) => (out);
function Upper(in) => (out);
function Join(in) => (out);
composition Shout(text) => (loud) {
	Split(in = each text) => (words = out);
	Upper(in = each words) => (upper = out);
	Join(in = all upper) => (loud = out);
}`

const shoutScript = `
input set text
output set loud
ephemeral set words, upper
words = for each t in text : Split(t)
upper = for each w in words : Upper(w)
loud = Join(upper)
`

// A composition is called like a function, in whatever form it was written, and
// can be applied by another one.
func TestCompositions(t *testing.T) {
	b := newComposer(t, nil)
	defer b.finish(t)
	for name, source := range map[string]string{
		"Shout": shout, "Script": shoutScript,
		"Twice": `function S = "Shout" (text) => (loud);
			composition Twice(a) => (b) { S(text = each a) => (once = loud); S(text = all once) => (b = loud); }`,
	} {
		if name == "Twice" {
			continue
		}
		v := b.compose(t, name, source)
		a, err := b.call(t.Context(), v, set("text", "to be or", "not to be"))
		if err != nil {
			t.Fatal(name, err)
		}
		if len(a.Outputs) != 1 || a.Outputs[0].Name != "loud" || len(a.Outputs[0].Items) != 1 || string(a.Outputs[0].Items[0].Bytes()) != "TO BE OR TO BE NOT" {
			t.Errorf("%s: %v", name, a.Outputs)
		}
		if a.Usage.Fuel != 5*(2+6+1) || a.Usage.MemoryPages != 3 {
			t.Errorf("%s: %+v", name, a.Usage)
		}
		a.Release()
		a.Release()
	}
	v := b.compose(t, "Twice", `function S = "Shout" (text) => (loud);
		composition Twice(a) => (b) { S(text = each a) => (once = loud); S(text = all once) => (b = loud); }`)
	a, err := b.call(t.Context(), v, set("a", "x yy", "zzz"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(a.Outputs[0].Items[0].Bytes()); got != "X YY ZZZ" {
		t.Errorf("nested: %q", got)
	}
	a.Release()
}

func TestCompositionMistakes(t *testing.T) {
	b := newComposer(t, nil)
	defer b.finish(t)
	_, _, _, err := b.PublishComposition(t.Context(), CompositionPublication{Tenant: "default", Name: "C", Source: `
function Spilt(in) => (out);
composition C(a) => (b) { Spilt(in = each a) => (b = out); }`})
	var invalid *composition.InvalidError
	if !errors.As(err, &invalid) || invalid.Diagnostics[0].Line != 2 || !strings.Contains(invalid.Diagnostics[0].Hint, "Split") {
		t.Errorf("%+v", err)
	}
	if _, _, err := b.CheckComposition(t.Context(), "default", "S", shoutScript); err != nil {
		t.Error(err)
	}
	v := b.compose(t, "Failing", `
function Split(in) => (out);
function Fail(in) => (out);
composition Failing(text) => (b) { Split(in = all text) => (words = out); Fail(in = each words) => (b = out); }`)
	_, err = b.call(t.Context(), v, set("text", "one"))
	var fault *engine.Fault
	if !errors.As(err, &fault) || fault.Kind != engine.FaultTrap || fault.Application != "Fail" || fault.Item != `in: "one", key 3` {
		t.Errorf("%+v", err)
	}
}

// Limits that are known before a run begins are told before it does.
func TestCompositionLimits(t *testing.T) {
	b := newComposer(t, func(c *Config) { c.Run.Applications, c.Run.Nesting = 6, 2 })
	defer b.finish(t)
	b.compose(t, "Shout", shout)
	twice := b.compose(t, "Twice", `function S = "Shout" (text) => (loud);
		composition Twice(a) => (b) { S(text = each a) => (once = loud); S(text = all once) => (b = loud); }`)
	a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: twice, Trace: true, Inputs: []data.Set{set("a", "x")}})
	if engine.KindOf(err) != engine.FaultLimitApplications || strings.Contains(err.Error(), "instance") {
		t.Errorf("%v", err)
	}
	if rec := b.Run("default", a.RunID); rec == nil || engine.KindOf(rec.Err) != engine.FaultLimitApplications {
		t.Errorf("the record is %+v", rec)
	}
	once := b.compose(t, "Once", `function S = "Shout" (text) => (loud); composition Once(a) => (b) { S(text = each a) => (b = loud); }`)
	if a, err := b.call(t.Context(), once, set("a", "x")); err != nil {
		t.Error(err)
	} else {
		a.Release()
	}
	thrice := b.compose(t, "Thrice", `function O = "Once" (a) => (b); composition Thrice(a) => (b) { O(a = each a) => (b = b); }`)
	if _, err := b.call(t.Context(), thrice, set("a", "x")); engine.KindOf(err) != engine.FaultLimitNesting {
		t.Errorf("%v", err)
	}
}

// A run that is traced has a record of all of its instances.
func TestRunRecord(t *testing.T) {
	b := newComposer(t, nil)
	defer b.finish(t)
	b.compose(t, "Shout", shout)
	v := b.compose(t, "Twice", `function S = "Shout" (text) => (loud);
		composition Twice(a) => (b) { S(text = each a) => (once = loud); S(text = all once) => (b = loud); }`)
	a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Trace: true, Inputs: []data.Set{set("a", "x yy", "zzz")}})
	if err != nil {
		t.Fatal(err)
	}
	a.Release()
	rec := b.Run("default", a.RunID)
	if rec == nil || b.Run("other", a.RunID) != nil || len(b.Runs("default")) != 1 || len(b.Runs("other")) != 0 {
		t.Fatalf("record %v of %q", rec, a.RunID)
	}
	instances := map[string]int{}
	var fuel int64
	for _, app := range rec.Applications {
		for _, i := range app.Instances {
			instances[app.Name+" "+app.Callee]++
			fuel += i.Fuel
			if i.Queued > i.Started || i.Started > i.Ended || i.Ended > rec.Ended.Sub(rec.Began) || i.In == 0 || i.Out == 0 {
				t.Errorf("%s: %+v", app.Name, i)
			}
		}
	}
	if rec.Composition != "Twice@6" || rec.Parallelism != DefaultParallelism || rec.Err != nil || fuel != a.Usage.Fuel && a.Usage.Fuel != 0 || rec.Usage.Fuel != fuel ||
		instances["S/Split Split@1"] != 2 || instances["S#2/Split Split@1"] != 2 || instances["S/Join Join@3"] != 2 || instances["S#2/Join Join@3"] != 1 || len(instances) != 6 {
		t.Errorf("%+v: %v", rec, instances)
	}
	failing := b.compose(t, "Failing", `function Upper(in) => (out); function Fail(in) => (out);
		composition Failing(a) => (b) { Upper(in = all a) => (upper = out); Fail(in = all upper) => (b = out); }`)
	a, err = b.Invoke(t.Context(), Invocation{Tenant: "default", Target: failing, Trace: true, Inputs: []data.Set{set("a", "x")}})
	fault := new(engine.Fault)
	if all := (engine.Usage{Fuel: 5 + 2, MemoryPages: 4}); !errors.As(err, &fault) || fault.Usage != all || a.Usage != all || a.Run <= 0 {
		t.Errorf("the fault has %+v, the answer %+v", fault.Usage, a)
	}
	if rec = b.Run("default", a.RunID); engine.KindOf(err) != engine.FaultTrap || rec == nil || rec.Err == nil || rec.Applications[1].Instances[0].Fault != engine.FaultTrap ||
		rec.Usage != (engine.Usage{Fuel: 5 + 2, MemoryPages: 4}) { // that of the instance that failed too
		t.Errorf("%v, %+v", err, rec)
	}
}

// A record that is kept holds nothing of what flowed in its run.
func TestRecordsHoldNoItems(t *testing.T) {
	b := newComposer(t, nil)
	defer b.finish(t)
	v := b.compose(t, "Shout", shout)
	item := func() weak.Pointer[data.Item] { // on a stack that is gone afterwards
		in := set("text", "x yy")
		a, err := b.Invoke(t.Context(), Invocation{Tenant: "default", Target: v, Trace: true, Inputs: []data.Set{in}})
		if err != nil {
			t.Fatal(err)
		}
		a.Release()
		return weak.Make(in.Items[0])
	}()
	for i := 0; i < 10 && item.Value() != nil; i++ { // pools let go at the second
		runtime.GC()
	}
	if item.Value() != nil {
		t.Error("an input is still there")
	}
	if len(b.Runs("default")) != 1 {
		t.Error("the record is not")
	}
}

// What a composition applies may have the same sets in another order later: they
// are known by their names.
func TestSetsMove(t *testing.T) {
	b := newBench(t, nil)
	defer b.finish(t)
	outputs := []string{"x", "y"} // of the version that is called
	b.engine.run = func(_ context.Context, in []data.Set, _ engine.Limits) (engine.Result, error) {
		out := map[string]data.Set{}
		for _, s := range in { // what came as a leaves as x, what came as b as y
			for _, it := range s.Items {
				name := map[string]string{"a": "x", "b": "y"}[s.Name]
				out[name] = data.Set{Name: name, Items: []*data.Item{data.NewItem(it.Name(), 0, it.Bytes())}}
			}
		}
		return engine.NewResult([]data.Set{out[outputs[0]], out[outputs[1]]}, engine.Usage{}, 0, nil), nil
	}
	publish := func(code string, inputs, outputs []string) {
		b.publish(t, code, func(p *Publication) {
			p.Name, p.HasSignature = "pair", true
			for _, name := range inputs {
				p.Inputs = append(p.Inputs, engine.Param{Name: name, Type: engine.TypeSet})
			}
			for _, name := range outputs {
				p.Outputs = append(p.Outputs, engine.Param{Name: name, Type: engine.TypeSet})
			}
		})
	}
	publish("1", []string{"a", "b"}, []string{"x", "y"})
	inner := `function pair(a, b) => (x, y);
		composition inner(a, b) => (x, y) { pair(a = each a, b = each b) => (x = x, y = y); }`
	b.compose(t, "inner", inner)
	v := b.compose(t, "outer", `function inner(a, b) => (x, y);
		composition outer(p, q) => (r, s) { inner(a = all p, b = all q) => (r = x, s = y); }`)
	want := func(when string) {
		t.Helper()
		a, err := b.call(t.Context(), v, set("p", "first"), set("q", "second"))
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		defer a.Release()
		if r, s := string(a.Outputs[0].Items[0].Bytes()), string(a.Outputs[1].Items[0].Bytes()); r != "first" || s != "second" {
			t.Errorf("%s: r is %q, s is %q", when, r, s)
		}
	}
	want("as it was")
	publish("2", []string{"b", "a"}, outputs)
	want("after the function's inputs moved")
	outputs = []string{"y", "x"}
	publish("3", []string{"b", "a"}, outputs)
	want("after its outputs moved")
	b.compose(t, "inner", `function pair(b, a) => (y, x);
		composition inner(b, a) => (x, y) { pair(a = each a, b = each b) => (x = x, y = y); }`)
	want("after the composition's inputs moved")
	b.compose(t, "inner", `function pair(b, a) => (y, x);
		composition inner(b, a) => (y, x) { pair(a = each a, b = each b) => (x = x, y = y); }`)
	want("after its outputs moved")
}

// A limit says what exceeded it in the words of the composition, and how large it is.
func TestLimitsSayWhat(t *testing.T) {
	const words = `function Split(in) => (out); function Upper(in) => (out);
		composition Words(text) => (loud) { Split(in = all text) => (words = out); Upper(in = each words) => (loud = out); }`
	const dropped = `function Split(in) => (out);
		composition Words(text) => (text) { Inner(text = all text) => (); }
		composition Inner(text) => () { Split(in = all text) => (); }`
	for want, c := range map[string]struct {
		source string
		limits RunLimits
	}{
		"limit-items: the set words has more than 2 items (application Split, instance 0)":                     {words, RunLimits{Items: 2}},
		"limit-items: the output out has more than 2 items (application Inner/Split, instance 0)":              {dropped, RunLimits{Items: 2}},
		"limit-instances: 3 instances for in are more than the limit of 2 (application Upper)":                 {words, RunLimits{Instances: 2}},
		"limit-bytes: outputs that are not used up yet hold more than 2 bytes (application Split, instance 0)": {words, RunLimits{Bytes: 2}},
		"limit-bytes: outputs that are not used up yet hold more than 1KiB (application Split, instance 0)":    {words, RunLimits{Bytes: 1 << 10}},
	} {
		b := newComposer(t, func(config *Config) { config.Run = c.limits })
		v, _, _, err := b.PublishComposition(t.Context(), CompositionPublication{Tenant: "default", Name: "Words", Source: c.source})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.call(t.Context(), v, set("text", strings.Repeat("a", 800)+" "+strings.Repeat("b", 800)+" c"))
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		b.finish(t)
	}
}

// The failure of an instance names its items, and its key where it is one of a key.
func TestFailuresNameItems(t *testing.T) {
	b := newComposer(t, nil)
	defer b.finish(t)
	for shard, want := range map[string]string{
		"each": `in: "a", key 1`, "keyed": `in: key 1`, "all": "", "anyKeyed": "",
	} {
		v := b.compose(t, "Failing"+shard, fmt.Sprintf(`function Split(in) => (out); function Fail(in) => (out);
			composition Failing%s(text) => (x) { Split(in = all text) => (words = out); Fail(in = %s words) => (x = out); }`, shard, shard))
		_, err := b.call(t.Context(), v, set("text", "a bb ccc"))
		fault := new(engine.Fault)
		if !errors.As(err, &fault) || fault.Item != want {
			t.Errorf("%s: %v, item %q", shard, err, fault.Item)
		}
	}
}
