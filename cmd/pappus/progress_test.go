package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// withoutEnvironment is a command line in which no variable is set.
func withoutEnvironment(stdout, stderr io.Writer) *commandLine {
	return &commandLine{stdout: stdout, stderr: stderr, lookupEnv: func(string) (string, bool) { return "", false }}
}

func TestProgressLines(t *testing.T) {
	const k = 1 << 10
	for _, c := range []struct {
		size, sent int64
		note       string
		elapsed    time.Duration
		want       string
	}{
		{0, 0, "", 0, "running f… 0s"},
		{0, 0, "case 2 of 3", 61 * time.Second, "running f: case 2 of 3… 61s"},
		{64 * k, 0, "", 999 * time.Millisecond, "running f: sent 0B of 64KiB (0%)… 0s"},
		{64 * k, 16 * k, "", 2 * time.Second, "running f: sent 16KiB of 64KiB (25%)… 2s"},
		{64 * k, 64 * k, "", 2 * time.Second, "running f… 2s"},
		{1 << 62, 1 << 61, "", 2 * time.Second, "running f: sent 2097152TiB of 4194304TiB (50%)… 2s"},
		{-1, 5 * k, "", 2 * time.Second, "running f: sent 5.0KiB… 2s"},
		{-1, 0, "", 2 * time.Second, "running f… 2s"},
	} {
		p := withoutEnvironment(nil, io.Discard).startProgress("running f")
		p.counted(strings.NewReader(""), c.size)
		p.sent.Store(c.sent)
		p.say(c.note)
		if got := p.line(c.elapsed); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		p.stop()
	}
}

// Elsewhere than on terminals a line is a line; on a terminal it is written
// over the last one and is not wider than it.
func TestProgressIsDrawn(t *testing.T) {
	var b bytes.Buffer
	p := &progress{what: "running \x1b[2J\nf", w: &b}
	p.draw(12 * time.Second)
	if got := b.String(); got != "running \\u001b[2J\\nf… 12s\n" {
		t.Errorf("%q", got)
	}
	b.Reset()
	p = &progress{what: strings.Repeat("ä", 100), w: &b, redraw: true, width: 20}
	p.draw(0)
	p.erase()
	if got := b.String(); got != lineErase+strings.Repeat("ä", 19)+lineErase {
		t.Errorf("%q", got)
	}
}

// What is read is counted, whoever reads, and stopping twice is stopping.
func TestProgressCounts(t *testing.T) {
	var b bytes.Buffer
	p := withoutEnvironment(nil, &b).startProgress("running f")
	const size = 1 << 20
	r := p.counted(strings.NewReader(strings.Repeat("x", size)), size)
	var readers sync.WaitGroup
	readers.Go(func() {
		if n, err := io.Copy(io.Discard, r); n != size || err != nil {
			t.Error(n, err)
		}
	})
	for p.sent.Load() < size {
		_ = p.line(0)
	}
	readers.Wait()
	p.stop()
	p.stop()
	if b.Len() > 0 {
		t.Errorf("a short call tells %q", b.String())
	}
}

func TestNoProgressForScripts(t *testing.T) {
	for _, c := range []*commandLine{
		{quiet: true}, {form: form{kind: formJSON}}, {form: form{kind: formTemplate}}, {form: form{kind: formName}},
	} {
		c.lookupEnv = func(string) (string, bool) { return "", false }
		c.stderr = io.Discard
		p := c.startProgress("x")
		if p.told {
			t.Errorf("%+v", c.form)
		}
		p.stop()
	}
}
