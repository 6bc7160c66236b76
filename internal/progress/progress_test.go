package progress

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func size(n int64) string { return fmt.Sprint(n, "B") }

func TestLines(t *testing.T) {
	for _, c := range []struct {
		size, sent int64
		note       string
		elapsed    time.Duration
		want       string
	}{
		{0, 0, "", 0, "running f… 0s"},
		{0, 0, "case 2 of 3", 61 * time.Second, "running f: case 2 of 3… 61s"},
		{64, 0, "", 999 * time.Millisecond, "running f: sent 0B of 64B (0%)… 0s"},
		{64, 16, "", 2 * time.Second, "running f: sent 16B of 64B (25%)… 2s"},
		{64, 64, "", 2 * time.Second, "running f… 2s"},
		{1 << 62, 1 << 61, "", 2 * time.Second, "running f: sent 2305843009213693952B of 4611686018427387904B (50%)… 2s"},
		{-1, 5, "", 2 * time.Second, "running f: sent 5B… 2s"},
		{-1, 0, "", 2 * time.Second, "running f… 2s"},
	} {
		p := Start("running f", Output{Size: size})
		p.Counted(strings.NewReader(""), c.size)
		p.sent.Store(c.sent)
		p.Say(c.note)
		if got := p.line(c.elapsed); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		p.Stop()
	}
}

// Elsewhere than on terminals lines follow each other, the first after two
// seconds; on a terminal one is written over, is not wider than it, and is gone
// at the end. Short calls tell nothing.
func TestWhenItIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		what   string
		redraw bool
		after  time.Duration
		want   string
	}{
		{"short", "f", false, lineFirst - 1, ""},
		{"short, on a terminal", "f", true, redrawFirst - 1, ""},
		{"long", "f", false, 23 * time.Second, "f… 2s\nf… 12s\nf… 22s\n"},
		{"long, on a terminal", "f", true, redrawFirst + redrawNext + 1, lineErase + "f… 0s" + lineErase + "f… 0s" + lineErase},
		{"wide", strings.Repeat("ä", 100), true, redrawFirst + 1, lineErase + strings.Repeat("ä", 19) + lineErase},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b bytes.Buffer
				p := Start(c.what, Output{W: &b, Redraw: c.redraw, Width: 20, Size: size})
				<-time.After(c.after)
				p.Stop()
				p.Stop()
				if b.String() != c.want {
					t.Errorf("%q, want %q", b.String(), c.want)
				}
			})
		})
	}
}

// What is read is counted, whoever reads and whoever looks.
func TestCounted(t *testing.T) {
	p := Start("f", Output{W: io.Discard, Size: size})
	defer p.Stop()
	if p.Counted(nil, 0) != nil {
		t.Error("no reader becomes one")
	}
	const n = 1 << 20
	r := p.Counted(strings.NewReader(strings.Repeat("x", n)), n)
	var readers sync.WaitGroup
	readers.Go(func() {
		if got, err := io.Copy(io.Discard, r); got != n || err != nil {
			t.Error(got, err)
		}
	})
	for p.sent.Load() < n {
		_ = p.line(0)
	}
	readers.Wait()
}
