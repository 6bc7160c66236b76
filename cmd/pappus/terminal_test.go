package main

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func escaped(t interface{ Fatal(...any) }, chunks ...string) string {
	var b bytes.Buffer
	e := newEscaper(&b)
	for _, c := range chunks {
		if n, err := e.Write([]byte(c)); n != len(c) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEscaper(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"plain\n\ttext":         "plain\n\ttext",
		"äöü 漢字 🙂":              "äöü 漢字 🙂",
		"\x1b[2J":               `\u001b[2J`,
		"\x1b]0;title\a":        `\u001b]0;title\u0007`,
		"a\rb":                  `a\u000db`,
		"\u009b1m":              `\u009b1m`,
		"x\u202eevil\u2066":     `x\u202eevil\u2066`,
		"\u2028":                `\u2028`,
		"\xff\xfe":              `\xff\xfe`,
		"\xe4\xb8":              `\xe4\xb8`,
		"\u007f":                `\u007f`,
		"\xed\xa0\x80":          `\xed\xa0\x80`, // a surrogate
		"end of a letter \xc3":  `end of a letter \xc3`,
		"\ufffd is a character": "\ufffd is a character",
	} {
		if got := escaped(t, in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// However text is cut into writes, the same comes out, and nothing that moves a
// cursor.
func TestEscaperInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		var chunks []string
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			chunks, rest = append(chunks, rest[:n]), rest[n:]
		}
		whole := escaped(t, text)
		if got := escaped(t, chunks...); got != whole {
			t.Fatalf("%q: %q, whole %q", chunks, got, whole)
		}
		if strings.ContainsFunc(whole, changesText) {
			t.Fatalf("%q becomes %q", text, whole)
		}
	})
}
