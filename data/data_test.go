package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func drawItemName() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "b", "naïve", "with/slash", "..", strings.Repeat("x", MaxItemName)}),
		rapid.StringMatching(`[a-z/._ -]{0,12}`),
	)
}

func drawSets() *rapid.Generator[[]Set] {
	return rapid.Custom(func(t *rapid.T) []Set {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z0-9é]{1,8}`), 0, 4, rapid.ID[string]).Draw(t, "names")
		sets := make([]Set, len(names))
		for i, n := range names {
			sets[i].Name = n
			sets[i].Items = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *Item {
				return NewItem(drawItemName().Draw(t, "item"), rapid.Uint32().Draw(t, "key"),
					rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "content"))
			}), 0, 5).Draw(t, "items")
			sets[i].Order()
		}
		return sets
	})
}

func TestEncodingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sets := drawSets().Draw(t, "sets")
		b, err := Encode(sets)
		if err != nil {
			t.Fatal(err)
		}
		if cap(b) != len(b) {
			t.Fatalf("Encode took %d bytes for %d", cap(b), len(b))
		}
		back, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if !Equal(sets, back) {
			t.Fatalf("decoded %v from the encoding of %v", back, sets)
		}
	})
}

func TestEncodingIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSets().Draw(t, "a"), drawSets().Draw(t, "b")
		ea, err := Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		eb, err := Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(ea, eb) != Equal(a, b) {
			t.Fatalf("equal encodings %v, equal sets %v", bytes.Equal(ea, eb), Equal(a, b))
		}
	})
}

// A changed encoding is either refused or says something else.
func TestDecodeAcceptsOneSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sets := drawSets().Draw(t, "sets")
		b, err := Encode(sets)
		if err != nil {
			t.Fatal(err)
		}
		switch rapid.IntRange(0, 2).Draw(t, "change") {
		case 0:
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 1:
			b = b[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]
		case 2:
			b = append(b, rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "more")...)
		}
		back, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrEncoding) {
				t.Fatalf("error %v does not match ErrEncoding", err)
			}
			return
		}
		if Equal(sets, back) {
			t.Fatal("two encodings of one list")
		}
		again, err := Encode(back)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted what Encode does not produce: %v", err)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	valid, err := Encode([]Set{{Name: "a", Items: []*Item{NewItem("i", 1, []byte("xyz"))}}})
	if err != nil {
		t.Fatal(err)
	}
	patch := func(at int, b ...byte) []byte {
		c := bytes.Clone(valid)
		copy(c[at:], b)
		return c
	}
	for name, b := range map[string][]byte{
		"empty":              nil,
		"other magic":        patch(0, 'x'),
		"other version":      patch(4, 2),
		"more sets":          patch(8, 2),
		"2^32-1 sets":        patch(8, 0xff, 0xff, 0xff, 0xff),
		"2^32-1 items":       patch(17, 0xff, 0xff, 0xff, 0xff),
		"name of 4 GiB":      patch(12, 0xff, 0xff, 0xff, 0xff),
		"content of 2^64-1":  patch(30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"control character":  patch(16, 0x07),
		"slash in set name":  patch(16, '/'),
		"invalid UTF-8":      patch(25, 0xff),
		"followed by a byte": append(bytes.Clone(valid), 0),
	} {
		if _, err := Decode(b); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	it := func(key uint32) *Item { return NewItem("i", key, nil) }
	for name, sets := range map[string][]Set{
		"two sets of one name": {{Name: "a"}, {Name: "a"}},
		"unnamed set":          {{}},
		"unordered":            {{Name: "a", Items: []*Item{it(2), it(1)}}},
		"item name too long":   {{Name: "a", Items: []*Item{NewItem(strings.Repeat("x", MaxItemName+1), 0, nil)}}},
	} {
		if _, err := Encode(sets); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name      string
		set, item bool
	}{
		{"", false, true},
		{"a", true, true},
		{"naïve 漢字 ", true, true},
		{"a/b", false, true},
		{".", false, true},
		{"..", false, true},
		{"...", true, true},
		{"a\x00", false, false},
		{"a\n", false, false},
		{"\x7f", false, false},
		{"\u0085", false, false},
		{"\u009f", false, false},
		{"\u00a0", true, true},
		{"\u2028", false, false},
		{"\u2029", false, false},
		{"\xff", false, false},
		{"\xc0\x80", false, false},
		{strings.Repeat("s", MaxSetName), true, true},
		{strings.Repeat("s", MaxSetName+1), false, true},
		{strings.Repeat("s", MaxItemName), false, true},
		{strings.Repeat("s", MaxItemName+1), false, false},
	} {
		if err := CheckSetName(c.name); (err == nil) != c.set {
			t.Errorf("CheckSetName(%.20q): %v", c.name, err)
		}
		if err := CheckItemName(c.name); (err == nil) != c.item {
			t.Errorf("CheckItemName(%.20q): %v", c.name, err)
		}
	}
}

func TestOrderIsStable(t *testing.T) {
	s := Set{Name: "s", Items: []*Item{NewItem("a", 3, nil), NewItem("b", 0, nil), NewItem("c", 3, nil), NewItem("d", 0, nil)}}
	s.Order()
	var got strings.Builder
	for _, it := range s.Items {
		got.WriteString(it.Name())
	}
	if got.String() != "bdac" {
		t.Fatalf("order %s, want bdac", got.String())
	}
}

func TestDigestIsCachedAndShared(t *testing.T) {
	it := NewItem("i", 0, []byte("abc"))
	const abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if it.Digested() {
		t.Error("the digest is known before anybody asked")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := it.Digest().String(); got != abc {
				t.Errorf("digest %s", got)
			}
		})
	}
	wg.Wait()
	if n := testing.AllocsPerRun(10, func() { it.Digest() }); n != 0 {
		t.Errorf("a known digest takes %v allocations", n)
	}
	c := it.Clone()
	if !it.Digested() || !c.Digested() {
		t.Error("the digest is not known")
	}
	it.bytes[0] = 'x' // shows that the clone has its own bytes
	if string(c.Bytes()) != "abc" || c.Digest().String() != abc {
		t.Errorf("clone holds %q with digest %s", c.Bytes(), c.Digest())
	}
}

func TestDigestText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Sum(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back Digest
		if err := json.Unmarshal(b, &back); err != nil || back != d {
			t.Fatalf("%s became %s: %v", d, back, err)
		}
	})
	for _, s := range []string{"", "sha256:", "sha256:00", "md5:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("g", 64), "sha256:" + strings.Repeat("A", 64), strings.Repeat("0", 64)} {
		if _, err := ParseDigest(s); err == nil {
			t.Errorf("ParseDigest(%q) succeeded", s)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, sets := range [][]Set{nil, {{Name: "a"}}, {{Name: "a", Items: []*Item{NewItem("x", 7, []byte("content"))}}, {Name: "b"}}} {
		b, err := Encode(sets)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sets, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Encode(sets)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x decodes to %v, which encodes to %x (%v)", b, sets, again, err)
		}
	})
}
