package run

import (
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	source := "one\r\n\ttwo\n" + strings.Repeat("x", 300)
	for _, c := range []struct {
		mistake Mistake
		want    string
	}{
		{Mistake{}, "f: \n"},
		{Mistake{Text: "wrong\n"}, "f: wrong\n"},
		{Mistake{Line: 1, Column: 2, Text: "wrong"}, "f:1:2: wrong\none\n ^\n"},
		{Mistake{Line: 2, Column: 2, Text: "wrong"}, "f:2:2: wrong\n\ttwo\n\t^\n"},
		{Mistake{Line: 2, Text: "wrong"}, "f:2: wrong\n"},
		{Mistake{Line: 2, Column: 100, Text: "wrong"}, "f:2:100: wrong\n"},
		{Mistake{Line: 3, Column: 1, Text: "wrong"}, "f:3:1: wrong\n"},
		{Mistake{Line: 9, Column: 1, Text: "wrong"}, "f:9:1: wrong\n"},
	} {
		var b strings.Builder
		Show(&b, "f", source, []Mistake{c.mistake})
		if b.String() != c.want {
			t.Errorf("%+v: %q, want %q", c.mistake, b.String(), c.want)
		}
	}
	var b strings.Builder
	var many []Mistake
	for i := range maxMistakes + 2 {
		many = append(many, Mistake{Line: 9, Column: i}, Mistake{Line: 9, Column: i})
	}
	Show(&b, "f", "", many)
	if !strings.HasSuffix(b.String(), "f:9:9: \n… and 2 more\n") {
		t.Errorf("%q", b.String())
	}
}

func TestShortened(t *testing.T) {
	for n, want := range map[int]string{0: "", 1: "\n", 24: strings.Repeat("\n", 24), 99: strings.Repeat("\n", 12) + "\t… and 76 lines more" + strings.Repeat("\n", 12)} {
		if got := Shortened(strings.Repeat("\n", n)); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}
