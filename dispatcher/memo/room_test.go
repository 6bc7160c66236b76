package memo

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"pappus/data"
	"pappus/engine"
)

// What no tier would take is not copied first: it may be as large as memory is.
func TestWhatHasNoRoomIsNotCopied(t *testing.T) {
	for name, c := range map[string]struct {
		size   int64
		disk   int64 // of its bound; 0: there is none
		copied bool
	}{
		"more than the window":            {testMemory/windowShare + 1, 0, false},
		"less than the window":            {testMemory / windowShare / 2, 0, true},
		"more than the window, with disk": {testMemory/windowShare + 1, 1 << 30, true},
		"more than an eighth of the disk": {testMemory/windowShare + 1, testMemory / 2, false},
		"more than may wait for the disk": {maxQueued + 1, 1 << 30, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemo(t, func(o *Options) {
				if c.disk > 0 {
					o.Disk = DiskOptions{Dir: t.TempDir(), Bytes: c.disk}
				}
			})
			content := make([]byte, c.size)
			call := Call{Function: m.testFunction("default", "f"), Inputs: items("x")}
			o, err := m.Do(t.Context(), call, func(context.Context, *Shared) (engine.Result, error) {
				return engine.NewResult([]data.Set{{Name: "out", Items: []*data.Item{data.NewItem("a", 0, content)}}}, engine.Usage{Run: time.Second}, 0, nil), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Release()
			if copied := &o.Outputs[0].Items[0].Bytes()[0] != &content[0]; copied != c.copied {
				t.Errorf("copied: %t", copied)
			}
			if !c.copied && (o.Stored || m.Stats().Rejected != 1) {
				t.Errorf("%+v, %+v", o, m.Stats())
			}
		})
	}
}

// limited is the room that one caller has.
type limited struct {
	most int64
	then func() // after each time that it was asked

	mu   sync.Mutex
	kept int64
}

func (l *limited) keep(bytes int64) bool {
	l.mu.Lock()
	there := bytes <= l.most
	if there {
		l.kept = bytes
	}
	l.mu.Unlock()
	if l.then != nil {
		l.then()
	}
	return there
}

func (l *limited) keeps() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept
}

// A result that is not small is neither given nor read from disk without room for
// it, however it is asked for; what is not given after all keeps none.
func TestWhatIsRememberedNeedsRoom(t *testing.T) {
	const size = 2 * small
	content := make([]byte, size)
	for name, c := range map[string]struct {
		disk, gone bool
		most       int64
		source     Source // of Lookup and Do; Computed: it is not given
		kind       engine.FaultKind
		found      bool
		kept       bool
	}{
		"memory":                    {most: 1 << 20, source: FromMemory, found: true, kept: true},
		"memory, no room":           {source: Computed, found: true, kind: engine.FaultOverload},
		"disk":                      {disk: true, most: 1 << 20, source: FromDisk, found: true, kept: true},
		"disk, no room":             {disk: true, source: Computed, found: true, kind: engine.FaultOverload},
		"disk, but removed by then": {disk: true, gone: true, most: 1 << 20, source: Computed},
	} {
		for _, only := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, only if remembered: %t", name, only), func(t *testing.T) {
				dir := t.TempDir()
				m, _ := newDiskMemo(t, dir)
				l := &limited{most: c.most}
				call := Call{Function: m.testFunction("default", "f"), Inputs: items("x"), Room: l.keep}
				computed := 0
				run := func(context.Context, *Shared) (engine.Result, error) {
					if computed++; l.keeps() > 0 {
						t.Error("it runs while room is kept for what is remembered")
					}
					return engine.NewResult(outputsOf(content), engine.Usage{Run: time.Second}, 0, nil), nil
				}
				wantFrom(t, m, call, run, Computed)
				m.disk.settle(t)
				if key := call.Key(); c.disk {
					m.memory.forget(&key)
				}
				if c.gone {
					l.then = func() { _ = os.Remove(diskFiles(t, dir)[0]); l.then = nil }
				}
				if only {
					o, found, err := m.Lookup(call)
					if found != c.found || engine.KindOf(err) != c.kind || found && err == nil && o.Source != c.source {
						t.Errorf("%+v, found: %t, %v", o, found, err)
					}
				} else {
					if _, err := wantFrom(t, m, call, run, c.source); err != nil {
						t.Error(err)
					}
				}
				if kept := l.keeps(); c.kept != (kept >= size) || !c.kept && kept != 0 {
					t.Errorf("%d bytes are kept", kept)
				}
				key := call.Key()
				if promoted := m.find(&key, call.Function.scope) != nil; c.disk && only && promoted != (c.source == FromDisk) {
					t.Errorf("read from disk: %t", promoted)
				}
			})
		}
	}
}

// Who shares what another caller reads from disk needs room for it too.
func TestSharedReadsNeedRoom(t *testing.T) {
	for _, c := range []struct {
		most   int64
		source Source
	}{{1 << 20, FromDisk}, {0, Computed}} {
		m, _ := newDiskMemo(t, t.TempDir())
		content := make([]byte, 2*small)
		run := func(context.Context, *Shared) (engine.Result, error) {
			return engine.NewResult(outputsOf(content), engine.Usage{Run: time.Second}, 0, nil), nil
		}
		first, second := &limited{most: 1 << 20}, &limited{most: c.most}
		call := Call{Function: m.testFunction("default", "f"), Inputs: items("x"), Room: first.keep}
		wantFrom(t, m, call, run, Computed)
		m.disk.settle(t)
		key := call.Key()
		m.memory.forget(&key)
		var other sync.WaitGroup
		first.then = func() { // before it reads
			other.Go(func() {
				joined := call
				joined.Room = second.keep
				wantFrom(t, m, joined, run, c.source)
			})
			for m.waiting(key) < 2 {
				<-time.After(time.Millisecond)
			}
		}
		wantFrom(t, m, call, run, FromDisk)
		other.Wait()
		if kept := second.keeps(); (kept > 0) != (c.source == FromDisk) {
			t.Errorf("%s, and %d bytes are kept", c.source, kept)
		}
	}
}

// waiting is how many callers wait for the run of a key.
func (m *Memo) waiting(key Key) int {
	m.flights.mu.Lock()
	defer m.flights.mu.Unlock()
	if f := m.flights.of[key]; f != nil {
		return f.waiters
	}
	return 0
}
