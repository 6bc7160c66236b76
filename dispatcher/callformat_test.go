package dispatcher

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pappus/data"
)

// request writes a request as a function would.
func request(reference string, sets ...data.Set) []byte {
	return appendItems([]byte(wordInvoke+reference+"\n"), sets)
}

// parseAnswer reads an answer that has outputs.
func parseAnswer(b []byte) (fuel int64, sets []data.Set, err error) {
	r := callReader{rest: b}
	line, err := r.line()
	if err != nil {
		return 0, nil, err
	}
	text, ok := strings.CutPrefix(line, wordOK)
	n, isNumber := number(text, 1<<63-1)
	if !ok || !isNumber {
		return 0, nil, r.fail("%q", line)
	}
	r.skip(len(line) + 1)
	sets, err = r.items()
	return int64(n), sets, err
}

func TestRequests(t *testing.T) {
	reference, sets, err := parseRequest([]byte("INVOKE f@3\n7 5 in put/a b/c\nx\ny\nz\n3 0 in put/\n\n4294967295 1 other/ü\n\n\n"))
	want := []data.Set{
		{Name: "in put", Items: []*data.Item{data.NewItem("", 3, nil), data.NewItem("a b/c", 7, []byte("x\ny\nz"))}},
		{Name: "other", Items: []*data.Item{data.NewItem("ü", 1<<32-1, []byte("\n"))}},
	}
	if err != nil || reference != "f@3" || !data.Equal(sets, want) {
		t.Errorf("%q %v %v", reference, sets, err)
	}
	for text, want := range map[string]string{
		"":                                       "at byte 0: a line",
		"INVOKE f":                               "line feed at its end",
		"INVOKE f\r":                             "line feed at its end",
		"CALL f\n":                               "does not begin with INVOKE",
		"INVOKE f\n0 0 a/\n":                     "at byte 16: the item of 0 bytes",
		"INVOKE f\n0 0 a/\n\n\n":                 "at byte 17: it is not KEY LENGTH",
		"INVOKE f\n0 5 a/\nabc\n":                "4 bytes are left",
		"INVOKE f\n0 3 a/\nabcd\n":               "no line feed",
		"INVOKE f\n0 9223372036854775807 a/\n\n": "no line feed",
		"INVOKE f\n0 9223372036854775808 a/\n\n": `"9223372036854775808" is no length`,
		"INVOKE f\n0 99999999999999999999 a/\n":  "is no length",
		"INVOKE f\n0 -1 a/\n\n":                  `"-1" is no length`,
		"INVOKE f\n0 +1 a/\nx\n":                 "is no length",
		"INVOKE f\n0 01 a/\nx\n":                 "is no length",
		"INVOKE f\n0  1 a/\nx\n":                 "is no length",
		"INVOKE f\n4294967296 0 a/\n\n":          "is no key",
		"INVOKE f\n00 0 a/\n\n":                  "is no key",
		"INVOKE f\n 0 0 a/\n\n":                  "is no key",
		"INVOKE f\n0 0 a\n\n":                    "not KEY LENGTH SET/ITEM",
		"INVOKE f\n0 0 /x\n\n":                   "set name",
		"INVOKE f\n0 0 ../x\n\n":                 "set name",
		"INVOKE f\n0 0 a/\t\n\n":                 "item name",
		"INVOKE f\n0 0 " + strings.Repeat("a", 2000) + "/\n\n":  "a line of at most",
		"INVOKE f\n" + strings.Repeat("0 0 a/\n\n", MaxItems+1): "more than 100000 items",
	} {
		_, _, err := parseRequest([]byte(text))
		var bad *formatError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
	var many bytes.Buffer
	many.WriteString("INVOKE f\n")
	for i := range 1001 {
		many.WriteString("0 0 s" + strings.Repeat("x", i%200) + string(rune('a'+i/200)) + "/\n\n")
	}
	if _, _, err := parseRequest(many.Bytes()); err == nil || !strings.Contains(err.Error(), "more than 1000 sets") {
		t.Errorf("%v", err)
	}
}

// What is written is read as it was, in key order.
func TestRequestsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sets []data.Set
		for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z ü]{1,4}`), 0, 4, rapid.ID).Draw(t, "sets") {
			s := data.Set{Name: name}
			for range rapid.IntRange(1, 4).Draw(t, "items") {
				s.Items = append(s.Items, data.NewItem(rapid.StringMatching(`[a-c /]{0,3}`).Draw(t, "name"), rapid.Uint32().Draw(t, "key"), rapid.SliceOf(rapid.SampledFrom([]byte("a 0/\n"))).Draw(t, "content")))
			}
			s.Order()
			sets = append(sets, s)
		}
		b := request("f@prod", sets...)
		reference, got, err := parseRequest(b)
		if err != nil || reference != "f@prod" || !data.Equal(got, sets) {
			t.Fatalf("%q: %q %v %v", b, reference, got, err)
		}
		if again := request("f@prod", got...); !bytes.Equal(again, b) {
			t.Errorf("%q is written as %q", b, again)
		}
		if size := itemsSize(sets); int64(len(appendItems(nil, sets))) > size {
			t.Errorf("it has more than %d bytes", size)
		}
		fuel := rapid.Int64Min(0).Draw(t, "fuel")
		if n, got, err := parseAnswer(appendItems([]byte(okHead(fuel)), sets)); err != nil || n != fuel || !data.Equal(got, sets) {
			t.Errorf("%d %v %v", n, got, err)
		}
		// Nothing that is cut short means something.
		if cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut"); cut > 0 {
			_, part, err := parseRequest(b[:cut])
			if err == nil && data.Count(part) == data.Count(sets) && len(sets) > 0 {
				t.Errorf("%q means %v", b[:cut], part)
			}
		}
	})
}

// A request of anybody is read or refused, and what is read has one form but for
// the order of its items.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("INVOKE f\n"))
	f.Add([]byte("INVOKE f@latest\n7 5 in/a\nx\ny\nz\n3 0 other/\n\n"))
	f.Add([]byte("INVOKE f\n0 9223372036854775807 a/\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		reference, sets, err := parseRequest(b)
		if err != nil {
			var bad *formatError
			if !errors.As(err, &bad) || bad.at < 0 || bad.at > len(b) {
				t.Fatalf("%v", err)
			}
			return
		}
		if _, err := data.Encode(sets); err != nil { // names, order
			t.Fatal(err)
		}
		again := request(reference, sets...)
		if len(again) != len(b) {
			t.Fatalf("%d bytes of %d are meant", len(again), len(b))
		}
		_, same, err := parseRequest(again)
		if err != nil || !data.Equal(same, sets) {
			t.Fatalf("%q: %v", again, err)
		}
		if data.Size(sets) > int64(len(b)) {
			t.Fatal("more was read than there is")
		}
	})
}
