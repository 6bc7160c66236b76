package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"unicode/utf8"

	"golang.org/x/term"
)

// isTerminal reports whether what is written to w is read by a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// movesCursor reports whether w is a terminal on which lines can be redrawn.
func (c *commandLine) movesCursor(w io.Writer) bool {
	kind := c.variable("TERM")
	return isTerminal(w) && kind != "" && kind != "dumb"
}

// hasColours reports whether text on w may be coloured: not for those who have
// set NO_COLOR to anything.
func (c *commandLine) hasColours(w io.Writer) bool {
	return c.movesCursor(w) && c.variable("NO_COLOR") == ""
}

// escaper is a writer that makes text harmless: control characters but tab
// and line end, and those that change the direction of text, become \uXXXX,
// and bytes that are not UTF-8 become \xXX. So nothing that a function or a
// server says can move the cursor, set a title, or make text look like other
// text. In JSON the result means the same as the original.
type escaper struct {
	w       io.Writer
	colours bool   // paint may colour text
	partial []byte // the beginning of a character that is not complete yet
	out     []byte // reused
}

func newEscaper(w io.Writer) *escaper { return &escaper{w: w} }

// Write writes b escaped. A character that is cut at the end of b waits for
// the next call.
func (e *escaper) Write(b []byte) (int, error) {
	text := b
	if len(e.partial) > 0 {
		text = slices.Concat(e.partial, b)
		e.partial = nil
	}
	e.out = e.out[:0]
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case !utf8.FullRune(text):
			e.partial = bytes.Clone(text)
		case r == utf8.RuneError && size == 1:
			e.out = fmt.Appendf(e.out, `\x%02x`, text[0])
		case changesText(r):
			e.out = fmt.Appendf(e.out, `\u%04x`, r)
		default:
			e.out = append(e.out, text[:size]...)
		}
		if e.partial != nil {
			break
		}
		text = text[size:]
	}
	if _, err := e.w.Write(e.out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush writes what waits for the rest of a character that does not come.
func (e *escaper) Flush() error {
	var out []byte
	for _, c := range e.partial {
		out = fmt.Appendf(out, `\x%02x`, c)
	}
	e.partial = nil
	_, err := e.w.Write(out)
	return err
}

// style is how text looks on a terminal: the code that begins it.
type style string

// Styles in use; they end with plain.
const (
	plain style = "\x1b[0m"
	bold  style = "\x1b[1m"
	dim   style = "\x1b[2m"
	alarm style = "\x1b[1;31m" // bold and red
)

// paint writes text in a style if w is a terminal's escaper that may, and as
// it is otherwise. The text is escaped like any other.
func paint(w io.Writer, s style, text string) error {
	e, ok := w.(*escaper)
	if !ok || !e.colours {
		_, err := io.WriteString(w, text)
		return err
	}
	if err := e.Flush(); err != nil {
		return err
	}
	if _, err := io.WriteString(e.w, string(s)); err != nil {
		return err
	}
	if _, err := io.WriteString(e, text); err != nil {
		return err
	}
	if err := e.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(e.w, string(plain))
	return err
}

// changesText reports whether a character does something to the text around
// it: controls, bidirectional formatting, line and paragraph separators.
func changesText(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return false
}
