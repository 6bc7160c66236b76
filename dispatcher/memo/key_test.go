package memo

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
)

func sampleSpec() Spec {
	return Spec{
		Tenant:         "default",
		Function:       "wordcount",
		Code:           map[string]data.Digest{"wasm": data.Sum([]byte("code")), "chericap": data.Sum([]byte("other code"))},
		Layout:         "dandelion",
		Implementation: "wasm 3 amd64",
		Signature: engine.Signature{
			Inputs:  []engine.Param{{Name: "text", Type: engine.TypeSet}, {Name: "pattern", Type: engine.TypeItem}},
			Outputs: []engine.Param{{Name: "counts", Type: engine.TypeSet, ContentType: "text/plain"}},
		},
		Limits: engine.DefaultLimits(),
	}
}

func sampleInputs() []data.Set {
	return []data.Set{
		{Name: "text", Items: []*data.Item{
			data.NewItem("a", 0, []byte("some words")),
			data.NewItem("b", 7, []byte(strings.Repeat("many words ", 100))),
		}},
		{Name: "pattern", Items: []*data.Item{data.NewItem("", 1, nil)}},
	}
}

func keyOf(s Spec, inputs []data.Set, parallelism int) Key {
	return (&Function{digest: s.digest()}).Key(inputs, parallelism)
}

// What is on disk, and the ETags that clients keep, go by these. Who changes
// the encoding changes its version, and then these.
func TestKeysAreWhatTheyWere(t *testing.T) {
	large := make([]data.Set, 1)
	large[0].Name = "many"
	for i := range 1_000 {
		large[0].Items = append(large[0].Items, data.NewItem(fmt.Sprintf("item %d", i), uint32(i), []byte(strings.Repeat("x", i))))
	}
	open := Spec{Signature: engine.OpenSignature()}
	for _, test := range []struct {
		name        string
		spec        Spec
		inputs      []data.Set
		parallelism int
		want        string
	}{
		{"a function", sampleSpec(), sampleInputs(), 0, "48667d865cc04f1aff821fccefb9d623a1b2ff348c981bd75b47e172fa1a662c"},
		{"a composition", sampleSpec(), sampleInputs(), 16, "0991cf072ca51bcaf99c1b0a4b864bb2d2128a234da19fd9db62def5866a1380"},
		{"many items", sampleSpec(), large, 0, "207967292b5e61dc8b29068bd85e9c3d04f9b22951e0b0437816c683b0a35a6a"},
		{"nothing", open, nil, 0, "b6887d3f27d773344928e0668ade4260f244f5982547f68abd4f2a1ab5ab739c"},
	} {
		if got := keyOf(test.spec, test.inputs, test.parallelism).String(); got != test.want {
			t.Errorf("%s: the key is %s, and was %s", test.name, got, test.want)
		}
	}
	if functionEncoding != "pappus memo function 1\n" || callEncoding != "pappus memo call 1\n" {
		t.Error("the version has changed: compute the keys above again")
	}
}

// A change of anything in a spec changes the key, but for what can't change a
// result. Fields that are added are found by reflection.
func TestEveryPartOfASpecIsInTheKey(t *testing.T) {
	not := []string{"Function", "Limits.Fuel", "Limits.Timeout", "SuccessesOnly"}
	inputs := sampleInputs()
	want := keyOf(sampleSpec(), inputs, 0)
	seen := 0
	var walk func(path string, at func(*Spec) reflect.Value)
	change := func(path string, at func(*Spec) reflect.Value, set func(reflect.Value)) {
		seen++
		s := sampleSpec()
		s.Signature.Inputs = slices.Clone(s.Signature.Inputs)
		set(at(&s))
		if same := keyOf(s, inputs, 0) == want; same != slices.Contains(not, path) {
			t.Errorf("after a change of %s the key is the same: %t", path, same)
		}
	}
	walk = func(path string, at func(*Spec) reflect.Value) {
		s := sampleSpec()
		v := at(&s)
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				name := v.Type().Field(i).Name
				if path != "" {
					name = path + "." + name
				}
				walk(name, func(s *Spec) reflect.Value { return at(s).Field(i) })
			}
		case reflect.String:
			change(path, at, func(v reflect.Value) { v.SetString(v.String() + "x") })
		case reflect.Int, reflect.Int64:
			change(path, at, func(v reflect.Value) { v.SetInt(v.Int() ^ 1) })
			if !strings.HasSuffix(path, "Timeout") && !strings.HasSuffix(path, "Fuel") {
				change(path, at, func(v reflect.Value) { v.SetInt(v.Int() ^ 1<<40) })
			}
		case reflect.Bool:
			change(path, at, func(v reflect.Value) { v.SetBool(!v.Bool()) })
		case reflect.Slice:
			change(path, at, func(v reflect.Value) { v.Set(v.Slice(0, v.Len()-1)) })
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), func(s *Spec) reflect.Value { return at(s).Index(i) })
			}
		case reflect.Map:
			change(path, at, func(v reflect.Value) {
				code := map[string]data.Digest{}
				for engineName, d := range sampleSpec().Code {
					d[31] ^= 1
					code[engineName] = d
				}
				v.Set(reflect.ValueOf(code))
			})
			change(path, at, func(v reflect.Value) {
				code := maps.Clone(sampleSpec().Code)
				code["wasm"], code["chericap"] = code["chericap"], code["wasm"]
				v.Set(reflect.ValueOf(code))
			})
			change(path, at, func(v reflect.Value) {
				v.Set(reflect.ValueOf(map[string]data.Digest{"wasm": sampleSpec().Code["wasm"]}))
			})
		default:
			t.Fatalf("%s is a %s: decide whether it is in the key", path, v.Kind())
		}
	}
	walk("", func(s *Spec) reflect.Value { return reflect.ValueOf(s).Elem() })
	if seen < 20 {
		t.Errorf("only %d changes were tried", seen)
	}
	if keyOf(sampleSpec(), inputs, 1) == want {
		t.Error("parallelism is not in the key")
	}
}

// drawSets draws inputs with contents on both sides of what is hashed inline.
func drawSets(t *rapid.T) []data.Set {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 3, -1)
	sets := make([]data.Set, rapid.IntRange(0, 3).Draw(t, "sets"))
	for i := range sets {
		sets[i].Name = text.Draw(t, "set")
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			size := rapid.SampledFrom([]int{0, 1, 2, inlineBytes - 1, inlineBytes, inlineBytes + 1, 3_000}).Draw(t, "size")
			content := []byte(strings.Repeat(text.Draw(t, "content")+"a", size+1))[:size]
			sets[i].Items = append(sets[i].Items, data.NewItem(text.Draw(t, "name"), rapid.Uint32Range(0, 2).Draw(t, "key"), content))
		}
	}
	return sets
}

func cloneSets(sets []data.Set) []data.Set {
	out := make([]data.Set, len(sets))
	for i, s := range sets {
		out[i].Name = s.Name
		for _, item := range s.Items {
			out[i].Items = append(out[i].Items, data.NewItem(item.Name(), item.Key(), slices.Clone(item.Bytes())))
		}
	}
	return out
}

// Equal inputs have equal keys, and all others different ones: drawn from few
// letters, so that bytes often just move between names, contents and sets.
func TestKeysAreInjective(t *testing.T) {
	s := sampleSpec()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSets(t), drawSets(t)
		if same := keyOf(s, a, 0) == keyOf(s, b, 0); same != data.Equal(a, b) {
			t.Fatalf("keys are equal: %t; inputs are: %t", same, !same)
		}
		if keyOf(s, a, 0) != keyOf(s, cloneSets(a), 0) {
			t.Fatal("a copy has another key")
		}
	})
}

// Any one bit counts.
func TestEveryBitOfTheInputsIsInTheKey(t *testing.T) {
	s := sampleSpec()
	rapid.Check(t, func(t *rapid.T) {
		inputs := drawSets(t)
		want := keyOf(s, inputs, 0)
		changed := cloneSets(inputs)
		var item **data.Item
		if len(changed) > 0 {
			if set := &changed[rapid.IntRange(0, len(changed)-1).Draw(t, "set")]; len(set.Items) > 0 {
				item = &set.Items[rapid.IntRange(0, len(set.Items)-1).Draw(t, "item")]
			} else {
				set.Name += "x"
			}
		} else {
			changed = []data.Set{{}}
		}
		if item != nil {
			old := *item
			content := slices.Clone(old.Bytes())
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				*item = data.NewItem(old.Name(), old.Key()^1<<rapid.IntRange(0, 31).Draw(t, "bit"), content)
			case 1:
				*item = data.NewItem(old.Name()+"\x00", old.Key(), content)
			default:
				if len(content) == 0 {
					content = []byte{0}
				} else {
					bit := rapid.IntRange(0, 8*len(content)-1).Draw(t, "bit")
					content[bit/8] ^= 1 << (bit % 8)
				}
				*item = data.NewItem(old.Name(), old.Key(), content)
			}
		}
		if keyOf(s, changed, 0) == want {
			t.Fatal("the key is the same")
		}
	})
}

// Whether items know their digests, and how many there are, makes no difference
// to how keys are made.
func TestKeysDoNotDependOnHowTheyAreMade(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	f := &Function{digest: data.Sum([]byte("f"))}
	for _, items := range []int{0, 1, 5, 50, 500} {
		set := data.Set{Name: "s"}
		for i := range items {
			content := make([]byte, r.IntN(600))
			set.Items = append(set.Items, data.NewItem("n", uint32(i), content))
		}
		inputs := []data.Set{set, {Name: "empty"}}
		want := f.largeKey(inputs, 3)
		if got := f.Key(cloneSets(inputs), 3); got != want {
			t.Errorf("with %d items there are two keys", items)
		}
		for _, item := range set.Items {
			item.Digest()
		}
		if got := f.Key(inputs, 3); got != want {
			t.Errorf("with %d items whose digests are known there is another key", items)
		}
	}
}

func TestSizesLeaveOutWhatIsHashed(t *testing.T) {
	inputs := sampleInputs()
	before := measure(inputs)
	if before.items != 3 || before.bytes != 1112 || before.unhashed != before.bytes {
		t.Errorf("sizes are %+v", before)
	}
	keyOf(sampleSpec(), inputs, 0)
	if after := measure(inputs); after.bytes != before.bytes || after.unhashed != before.bytes-1100 {
		t.Errorf("after hashing, sizes are %+v", after)
	}
}
