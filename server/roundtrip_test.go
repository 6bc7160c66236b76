package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"pappus/client"
	"pappus/data"
)

// sent is an item of the round trip.
type sent struct {
	Name string `json:"name"`
	Key  uint32 `json:"key"`
	Data []byte `json:"data"`
}

// legalName makes names that bodies, headers and queries could take for
// something else.
func legalName(longest int, check func(string) error) *rapid.Generator[string] {
	odd := rapid.RuneFrom([]rune("\"\\'/;%=&+ .:*?<>|\u00a0\u0100é漢😀\u200f\u202eא\u0301\ufeff\ufffd\U0010ffff"))
	short := rapid.StringOfN(rapid.OneOf(odd, rapid.Rune()), 0, 20, longest)
	long := rapid.Custom(func(t *rapid.T) string {
		r := rapid.OneOf(odd, rapid.Rune()).Draw(t, "rune")
		return strings.Repeat(string(r), longest/utf8.RuneLen(r))
	})
	literal := rapid.SampledFrom([]string{
		"%22", "%", "a%2Fb", `\`, `"`, `\"`, `a\`, ` x `, "; filename=y", "a; name=b", "...", "=?utf-8?q?x?=", "utf-8''x", "{ref}", "\\\\", "a//b", "stdout", "__proto__",
	})
	return rapid.OneOf(short, short, long, literal).Filter(func(s string) bool { return check(s) == nil })
}

// What a client sends in either form comes back in either form as it was: every
// legal name of sets and items, every key, every content.
func TestClientRoundTrip(t *testing.T) {
	s := newServer(t)
	address, stop := s.listen(t)
	c, err := client.New(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	setNames := rapid.SliceOfNDistinct(legalName(data.MaxSetName, data.CheckSetName), 1, 3, rapid.ID[string])
	itemName := legalName(data.MaxItemName, data.CheckItemName)
	size := rapid.OneOf(rapid.IntRange(0, 40), rapid.SampledFrom([]int{0, 1, 2047, 2048, 4096, 65535, 65536, 100 << 10}))
	key := rapid.OneOf(rapid.Uint32Range(0, 3), rapid.Uint32(), rapid.Just(uint32(math.MaxUint32)))
	rapid.Check(t, func(rt *rapid.T) {
		inputs, outputs := setNames.Draw(rt, "inputs"), setNames.Draw(rt, "outputs")
		n := min(len(inputs), len(outputs))
		inputs, outputs = inputs[:n], outputs[:n]
		body := make(map[string][]sent)
		var items []client.Item
		want := make(map[string][]sent)
		for i := range n {
			for range rapid.IntRange(0, 3).Draw(rt, "items") {
				it := sent{itemName.Draw(rt, "name"), key.Draw(rt, "key"), rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(rt, "content")}
				length := size.Draw(rt, "size")
				it.Data = bytes.Repeat(it.Data, length/len(it.Data)+1)[:length]
				body[inputs[i]] = append(body[inputs[i]], it)
				items = append(items, client.Item{Set: inputs[i], Name: it.Name, Key: it.Key, Body: bytes.NewReader(it.Data), Size: int64(length)})
			}
			want[outputs[i]] = slices.Clone(body[inputs[i]])
			slices.SortStableFunc(want[outputs[i]], func(a, b sent) int { return int(int64(a.Key) - int64(b.Key)) })
		}
		// Names go through the query too, and come back in the description.
		f, _, err := c.PutFunction(t.Context(), "echo", client.BytesBody([]byte(code("echo", "")), "application/wasm"), client.PutOptions{Inputs: inputs, Outputs: outputs})
		if err != nil {
			rt.Fatal(err)
		}
		for i := range n {
			if f.Inputs[i].Name != inputs[i] || f.Outputs[i].Name != outputs[i] {
				rt.Fatalf("%q to %q became %+v to %+v", inputs, outputs, f.Inputs, f.Outputs)
			}
		}
		asJSON, err := json.Marshal(map[string]any{"inputs": body})
		if err != nil {
			rt.Fatal(err)
		}
		for _, accept := range []string{client.TypeJSON, client.TypeMultipart} {
			form, err := client.ItemsBody(rewound(items))
			if err != nil {
				rt.Fatal(err)
			}
			for _, b := range []client.Body{form, client.BytesBody(asJSON, client.TypeJSON)} {
				answer, err := c.Invoke(t.Context(), "echo", client.Invocation{Body: b, Accept: accept})
				if err != nil {
					rt.Fatalf("%s: %v", b.Type, err)
				}
				got := make(map[string][]sent)
				for o, err := range answer.Items() {
					if err != nil {
						rt.Fatal(err)
					}
					content, err := io.ReadAll(o.Body)
					if err != nil {
						rt.Fatal(err)
					}
					got[o.Set] = append(got[o.Set], sent{o.Name, o.Key, content})
				}
				if err := answer.Close(); err != nil {
					rt.Fatal(err)
				}
				if err := sameItems(got, want); err != nil {
					rt.Fatalf("%s to %s: %v", b.Type, accept, err)
				}
			}
		}
	})
	c.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// rewound has the items' bodies read from their beginnings.
func rewound(items []client.Item) []client.Item {
	for _, it := range items {
		if r, ok := it.Body.(*bytes.Reader); ok {
			_, _ = r.Seek(0, io.SeekStart) // it can
		}
	}
	return items
}

func sameItems(got, want map[string][]sent) error {
	for set, list := range got {
		if len(list) != len(want[set]) {
			return fmt.Errorf("the set %q has %d items, want %d", set, len(list), len(want[set]))
		}
	}
	for set, list := range want {
		for i, w := range list {
			if i >= len(got[set]) {
				return fmt.Errorf("the set %q has %d items, want %d", set, len(got[set]), len(list))
			}
			if g := got[set][i]; g.Name != w.Name || g.Key != w.Key || !bytes.Equal(g.Data, w.Data) {
				return fmt.Errorf("item %d of %q is %q@%d of %d bytes, want %q@%d of %d", i, set, g.Name, g.Key, len(g.Data), w.Name, w.Key, len(w.Data))
			}
		}
	}
	return nil
}
