package composition_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pappus/dispatcher/composition"
	"pappus/dispatcher/shard"
)

const stored = `{"format":1,
"references":[{"name":"f","tag":"prod","signature":{"inputs":["a","b",{"name":"c","type":"item"}],"outputs":["d"]}}],
"compositions":[
 {"name":"Inner","sets":[{"name":"x","type":"set"},{"name":"y","type":"set"}],"inputs":1,"outputs":[1],"nodes":[
  {"name":"F","position":{"line":2,"column":3},"callee":0,"arguments":[{"param":0,"set":0,"kind":"keyed"},{"param":1,"set":0,"kind":"keyed"},{"param":2,"set":0,"kind":"each","optional":true}],
   "chain":[{"param":1,"join":"cross"},{"param":0,"join":"full"}],"kept":[{"output":0,"set":1}]}]},
 {"name":"Outer","sets":[{"name":"x","type":"item"},{"name":"z","type":"set"}],"inputs":1,"outputs":[1,0],"nodes":[
  {"name":"Inner","position":{"line":5,"column":3},"callee":0,"nested":true,"arguments":[{"param":0,"set":0,"kind":"all"}],"kept":[{"output":0,"set":1}]}]}]}`

func TestDecode(t *testing.T) {
	g, err := composition.Decode([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(g)
	var want bytes.Buffer
	if compactErr := json.Compact(&want, []byte(stored)); err != nil || compactErr != nil || !bytes.Equal(b, want.Bytes()) {
		t.Errorf("%v\n%s\nwant\n%s", err, b, want.Bytes())
	}
	n := g.Compositions[0].Nodes[0]
	if n.Arguments[2] != (composition.Argument{Param: 2, Kind: shard.Each, Optional: true}) || n.Chain[1] != (composition.Link{Join: shard.Full}) {
		t.Errorf("%+v", n)
	}
	if sig := g.Entry().Signature(); g.Entry().Name != "Outer" || signatureText(sig) != " (x:item) => (z, x:item)" {
		t.Error(signatureText(sig))
	}
}

// What is stored and damaged is not run.
func TestDecodeDamaged(t *testing.T) {
	for _, c := range [][2]string{ // what is replaced by what, where it first is
		{stored, ``}, {stored, `null`}, {stored, `[]`}, {stored, stored + `{}`},
		{`"format":1`, `"format":2`}, {`"format":1`, `"form":1`},
		{`"name":"f"`, `"name":""`}, {`"tag":"prod"`, `"tag":"prod","number":3`}, {`"tag":"prod"`, `"number":-1`}, {`"tag":"prod"`, `"digest":"sha256:00"`},
		{`"a","b"`, `"a","a"`}, {`"a","b"`, `"a"`}, {`"type":"item"`, `"type":"thing"`},
		{`"name":"Inner"`, `"name":""`}, {`"name":"y"`, `"name":"x"`}, {`"name":"y"`, `"name":"/"`}, {`"name":"x","type":"set"`, `"name":"x","type":""`},
		{`"inputs":1`, `"inputs":-1`}, {`"inputs":1`, `"inputs":2`}, {`"inputs":1`, `"inputs":3`}, {`"inputs":1`, `"inputs":0`},
		{`"outputs":[1]`, `"outputs":[2]`}, {`"outputs":[1]`, `"outputs":[-1]`}, {`"outputs":[1]`, `"outputs":[1,1]`}, {`"outputs":[1]`, `"outputs":[` + strings.Repeat("0,", 1000) + `1]`},
		{`"callee":0`, `"callee":1`}, {`"callee":0`, `"callee":-1`}, {`"callee":0`, `"callee":0,"nested":true`}, {`"callee":0,"nested":true`, `"callee":1,"nested":true`},
		{`"name":"F"`, `"name":""`}, {`"line":2`, `"line":-2`}, {`"line":2`, `"line":2.5`},
		{`"param":0,"set":0`, `"param":3,"set":0`}, {`"param":0,"set":0`, `"param":-1,"set":0`}, {`"param":0,"set":0`, `"param":1,"set":0`},
		{`"param":0,"set":0`, `"param":0,"set":1`}, {`"param":0,"set":0`, `"param":0,"set":-1`},
		{`"kind":"keyed"`, `"kind":"each"`}, {`"kind":"keyed"`, `"kind":"anyKeyed"`}, {`"kind":"keyed"`, `"kind":"every"`}, {`"kind":"keyed"`, `"kind":1`},
		{`{"param":1,"join":"cross"},`, ``}, {`{"param":1,"join":"cross"}`, `{"param":1,"join":"left"}`}, {`{"param":1,"join":"cross"}`, `{"param":0,"join":"cross"}`},
		{`{"param":1,"join":"cross"}`, `{"param":2,"join":"cross"}`}, {`{"param":1,"join":"cross"}`, `{"param":7,"join":"cross"}`}, {`{"param":1,"join":"cross"}`, `{"param":-1,"join":"cross"}`},
		{`"join":"full"`, `"join":"fuller"`}, {`"join":"full"`, `"joint":"full"`},
		{`{"output":0,"set":1}`, `{"output":1,"set":1}`}, {`{"output":0,"set":1}`, `{"output":-1,"set":1}`}, {`{"output":0,"set":1}`, `{"output":0,"set":0}`}, {`{"output":0,"set":1}`, `{"output":0,"set":1},{"output":0,"set":2}`},
	} {
		damaged := strings.Replace(stored, c[0], c[1], 1)
		if damaged == stored {
			t.Fatalf("%s is not in it", c[0])
		}
		if _, err := composition.Decode([]byte(damaged)); err == nil || !strings.HasPrefix(err.Error(), "read a graph: ") {
			t.Errorf("%.60s for %.60s: %v", c[1], c[0], err)
		}
	}
}

// Values that no word stands for are not written.
func TestMarshalUnknown(t *testing.T) {
	for _, v := range []any{composition.Argument{Kind: shard.AnyKeyed + 1}, composition.Link{Join: shard.Full + 1}} {
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("%s", b)
		}
	}
}

// BenchmarkCompile is of a composition with a thousand applications.
func BenchmarkCompile(b *testing.B) {
	source := strings.Builder{}
	source.WriteString("function f(a, b) => (c);\ncomposition C(s0) => (s1000) {\n")
	for i := range 1000 {
		source.WriteString(strings.NewReplacer("<i>", strconv.Itoa(i), "<j>", strconv.Itoa(i+1), "<k>", strconv.Itoa(i/2)).Replace("    f(a = each s<i>, b = all s<k>) => (s<j> = c);\n"))
	}
	source.WriteString("}\n")
	known := registered{}
	known.add("f (a, b) => (c)")
	b.SetBytes(int64(source.Len()))
	for b.Loop() {
		if _, _, err := composition.Compile(b.Context(), source.String(), composition.Options{Resolver: known}); err != nil {
			b.Fatal(err)
		}
	}
}

// Labels of a drawing do not lie on one another.
func TestLabelsAreApart(t *testing.T) {
	for _, source := range []string{
		`function sumoccurrence(logs, pattern) => (count);
		composition j(orders, customers) => (total) {
			sumoccurrence(logs = keyed orders, pattern = keyed customers) => (total = count) by logs left pattern;
		}`,
		`function F(a, b, c, d) => (x);
		composition many(first, second, third, fourth) => (one) {
			F(a = each first, b = anyKeyed second, c = optional keyed third, d = keyed fourth) => (one = x);
		}`,
	} {
		g, _, err := composition.Compile(t.Context(), source, composition.Options{})
		if err != nil {
			t.Fatal(err)
		}
		picture, err := g.Draw(composition.PictureSVG)
		if err != nil {
			t.Fatal(err)
		}
		type label struct {
			x, y float64
			text string
		}
		var labels []label
		for _, m := range regexp.MustCompile(`class="label" x="([0-9.-]+)" y="([0-9.-]+)">([^<]*)<`).FindAllStringSubmatch(picture, -1) {
			l := label{text: m[3]}
			if _, err := fmt.Sscan(m[1], &l.x); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscan(m[2], &l.y); err != nil {
				t.Fatal(err)
			}
			for _, other := range labels {
				const letter, line = 5.5, 11 // pixels
				if math.Abs(l.x-other.x) < letter*float64(len(l.text)+len(other.text))/2 && math.Abs(l.y-other.y) < line {
					t.Errorf("%q at %v, %v lies on %q at %v, %v", l.text, l.x, l.y, other.text, other.x, other.y)
				}
			}
			labels = append(labels, l)
		}
		if len(labels) < 2 {
			t.Errorf("there are %d labels", len(labels))
		}
	}
}
