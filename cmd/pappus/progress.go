package main

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"pappus/internal/progress"
)

// startProgress begins to tell on stderr what a long call does, unless scripts
// are to read what the command prints. Stop ends it.
func (c *commandLine) startProgress(what string) *progress.Teller {
	out := progress.Output{Size: roughBytes}
	if c.forPeople() && !c.quiet {
		out.W, out.Redraw = c.stderr, c.movesCursor(c.stderr)
	}
	if out.Redraw {
		out.Width = width(c.stderr)
	}
	return progress.Start(harmless(what), out)
}

// harmless is text escaped and in one line.
func harmless(text string) string {
	var b strings.Builder
	e := newEscaper(&b)
	_, _ = io.WriteString(e, oneLine(text)) // a builder takes everything
	_ = e.Flush()
	return b.String()
}

// width is that of a terminal in characters, 0 if it is not known.
func width(w io.Writer) int {
	if e, ok := w.(*escaper); ok {
		w = e.w
	}
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}
