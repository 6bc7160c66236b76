package memo

import (
	"context"
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
