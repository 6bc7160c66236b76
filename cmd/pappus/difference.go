package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"pappus/cases"
	"pappus/data"
)

// Bounds of what is shown of an item that differs.
const (
	diffBytes = 1 << 20 // items that are larger are not compared by lines
	diffLines = 40
	dumpBytes = 64 // of other items, around the first difference
)

// writeChange shows how an item differs from what it should be: by lines if it
// is text, otherwise around the first byte.
func writeChange(w io.Writer, c *cases.Change) {
	name := oneLine(c.Set + "/" + c.Item)
	switch got, want := c.Got, c.Want; {
	case got == nil:
		_, _ = fmt.Fprintf(w, "  - %s: it is missing (%s)\n", name, size(want)) // w is a builder, which takes everything
	case want == nil:
		_, _ = fmt.Fprintf(w, "  + %s: it should not be there (%s)\n", name, size(got))
		if text := got.Bytes(); isText(text) {
			writeLines(w, strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n"), "+")
		}
	default:
		_, _ = fmt.Fprintf(w, "  %s:\n", name)
		if got.Key() != want.Key() {
			_, _ = fmt.Fprintf(w, "    - key %d\n    + key %d\n", want.Key(), got.Key())
		}
		writeDifference(w, got.Bytes(), want.Bytes())
	}
}

func size(it *data.Item) string { return countBytes(int64(len(it.Bytes()))) }

func isText(b []byte) bool { return len(b) <= diffBytes && utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

func writeDifference(w io.Writer, got, want []byte) {
	if bytes.Equal(got, want) {
		return
	}
	if isText(got) && isText(want) {
		text := string(diff.Diff("should be", want, "is", got))
		if _, rest, ok := strings.Cut(text, "\n+++ is\n"); ok { // without what names the two
			text = rest
		}
		writeLines(w, strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n"), "")
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	from := max(at/16*16-16, 0)
	_, _ = fmt.Fprintf(w, "    from byte %d on; %d bytes should be there, and %d are\n", at, len(want), len(got))
	for _, side := range []struct {
		sign  string
		bytes []byte
	}{{"-", want}, {"+", got}} {
		part := side.bytes[min(from, len(side.bytes)):min(from+dumpBytes, len(side.bytes))]
		for line := range strings.Lines(hex.Dump(part)) {
			_, _ = fmt.Fprintf(w, "    %s at %d+%s", side.sign, from, line)
		}
	}
}

// writeLines writes lines, each behind prefix, as many as are shown.
func writeLines(w io.Writer, lines []string, prefix string) {
	for _, line := range lines[:min(len(lines), diffLines)] {
		_, _ = fmt.Fprintf(w, "    %s%s\n", prefix, strings.TrimSuffix(line, "\n"))
	}
	if more := len(lines) - diffLines; more > 0 {
		_, _ = fmt.Fprintf(w, "    … and %s more\n", countOf(more, "line"))
	}
}
