package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// progress tells on stderr what a long call does: on a terminal in one line
// that is written over and erased at the end, elsewhere in lines, few of them.
// It is silent as long as calls are short.
type progress struct {
	what     string
	w        io.Writer
	redraw   bool
	width    int
	expected int64 // bytes; -1 if that is not known, 0 if none are counted
	sent     atomic.Int64
	begun    time.Time
	told     bool   // somebody is to read it
	ended    func() // ends the goroutine that tells, and waits for it

	mu   sync.Mutex
	note string // says more than what
}

// startProgress begins to tell what a call does, unless scripts are to read
// what the command prints. stop ends it.
func (c *commandLine) startProgress(what string) *progress {
	p := &progress{what: what, w: c.stderr, begun: time.Now(), ended: func() {}}
	if c.quiet || c.form.kind != "" && c.form.kind != formTable && c.form.kind != formWide {
		return p
	}
	p.told = true
	if p.redraw = c.movesCursor(c.stderr); p.redraw {
		p.width = width(c.stderr)
	}
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		p.tell(stopped)
	}()
	p.ended = sync.OnceFunc(func() {
		close(stopped)
		<-done
	})
	return p
}

// stop ends the telling; nothing of it is left on a terminal.
func (p *progress) stop() { p.ended() }

// counted counts what is read from a reader of so many bytes (-1: unknown).
// It must be called before anything is read.
func (p *progress) counted(r io.Reader, size int64) io.Reader {
	if r == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = size
	return &countedReader{r, p}
}

// say says what is being done now.
func (p *progress) say(note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note = note
}

type countedReader struct {
	r io.Reader
	p *progress
}

func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.sent.Add(int64(n))
	return n, err
}

// When progress is told. What is told of calls that take less is nothing.
const (
	redrawFirst = 300 * time.Millisecond
	redrawNext  = 100 * time.Millisecond
	lineFirst   = 2 * time.Second
	lineNext    = 10 * time.Second
)

func (p *progress) tell(stopped <-chan struct{}) {
	first, next := lineFirst, lineNext
	if p.redraw {
		first, next = redrawFirst, redrawNext
		defer p.erase()
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-stopped:
			return
		case now := <-timer.C:
			p.draw(now.Sub(p.begun))
			timer.Reset(next)
		}
	}
}

// Codes of terminals.
const (
	lineErase = "\r\x1b[K"
)

func (p *progress) draw(elapsed time.Duration) {
	line := p.line(elapsed)
	if !p.redraw {
		_, _ = fmt.Fprintln(newEscaper(p.w), oneLine(line)) // nobody is left to tell
		return
	}
	_, _ = io.WriteString(p.w, lineErase)
	_, _ = io.WriteString(newEscaper(p.w), cut(oneLine(line), p.width-1))
}

func (p *progress) erase() { _, _ = io.WriteString(p.w, lineErase) }

// line says how far the call is.
func (p *progress) line(elapsed time.Duration) string {
	p.mu.Lock()
	expected, note := p.expected, p.note
	p.mu.Unlock()
	sent := p.sent.Load()
	line := p.what
	if note != "" {
		line += ": " + note
	}
	switch {
	case expected > 0 && sent < expected:
		line += fmt.Sprintf(": sent %s of %s (%d%%)", roughBytes(sent), roughBytes(expected), percent(sent, expected))
	case expected < 0 && sent > 0:
		line += fmt.Sprintf(": sent %s", roughBytes(sent))
	}
	return fmt.Sprintf("%s… %ds", line, elapsed/time.Second)
}

func percent(part, whole int64) int64 {
	if part > math.MaxInt64/100 {
		return part / (whole / 100)
	}
	return part * 100 / whole
}

// cut shortens text to so many characters.
func cut(text string, n int) string {
	if n <= 0 || utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n])
}

// width is that of a terminal in characters, 0 if it is not known.
func width(w io.Writer) int {
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
