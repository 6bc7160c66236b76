package progress

import (
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Output is where progress is told.
type Output struct {
	W      io.Writer                // nil: nowhere
	Redraw bool                     // it is a terminal: one line is written over and erased at the end; otherwise lines follow each other, few of them
	Width  int                      // of the terminal, in characters; 0 if it is not known
	Size   func(bytes int64) string // spells a number of bytes
}

// Teller tells how far one call is. It is silent as long as that is short. Its
// methods may be called from many goroutines.
type Teller struct {
	what  string
	out   Output
	begun time.Time
	sent  atomic.Int64
	end   func()

	mu       sync.Mutex
	expected int64 // bytes; -1 if that is not known, 0 if none are counted
	note     string
}

// Start begins to tell of a call. Stop must be called.
func Start(what string, out Output) *Teller {
	t := &Teller{what: what, out: out, begun: time.Now(), end: func() {}}
	if out.W == nil {
		return t
	}
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t.tell(stopped)
	}()
	t.end = sync.OnceFunc(func() {
		close(stopped)
		<-done
	})
	return t
}

// Stop ends the telling. When it returns nothing is written any more, and
// nothing is left on a terminal. It may be called again.
func (t *Teller) Stop() { t.end() }

// Say says what is being done now.
func (t *Teller) Say(note string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.note = note
}

// Counted counts what is read from a reader of so many bytes (-1: unknown),
// which is told as sent. A nil reader stays one.
func (t *Teller) Counted(r io.Reader, size int64) io.Reader {
	if r == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expected = size
	return &countedReader{r, t}
}

type countedReader struct {
	r io.Reader
	t *Teller
}

func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.t.sent.Add(int64(n))
	return n, err
}

// When progress is told. What is told of calls that take less is nothing.
const (
	redrawFirst = 300 * time.Millisecond
	redrawNext  = 100 * time.Millisecond
	lineFirst   = 2 * time.Second
	lineNext    = 10 * time.Second
)

func (t *Teller) tell(stopped <-chan struct{}) {
	first, next := lineFirst, lineNext
	if t.out.Redraw {
		first, next = redrawFirst, redrawNext
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	drawn := false
	for {
		select {
		case <-stopped:
			if drawn && t.out.Redraw {
				_, _ = io.WriteString(t.out.W, lineErase) // nobody is left to tell
			}
			return
		case now := <-timer.C:
			t.draw(now.Sub(t.begun))
			drawn = true
			timer.Reset(next)
		}
	}
}

// lineErase is what makes a terminal's line empty.
const lineErase = "\r\x1b[K"

func (t *Teller) draw(elapsed time.Duration) {
	line := t.line(elapsed)
	if t.out.Redraw {
		line = lineErase + cut(line, t.out.Width-1)
	} else {
		line += "\n"
	}
	_, _ = io.WriteString(t.out.W, line) // nobody is left to tell
}

// line says how far the call is.
func (t *Teller) line(elapsed time.Duration) string {
	t.mu.Lock()
	expected, note := t.expected, t.note
	t.mu.Unlock()
	sent := t.sent.Load()
	line := t.what
	if note != "" {
		line += ": " + note
	}
	switch {
	case expected > 0 && sent < expected:
		line += fmt.Sprintf(": sent %s of %s (%d%%)", t.out.Size(sent), t.out.Size(expected), percent(sent, expected))
	case expected < 0 && sent > 0:
		line += ": sent " + t.out.Size(sent)
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
