package memo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pappus/data"
	"pappus/engine"
)

// Whatever was asked before, however small the tiers are, whatever is purged or
// damaged, and however often it starts again: the memo answers as the functions
// would, and nothing that is dead or another tenant's is used.
func TestWhateverHappensAnswersAreRight(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n))
		memory := rapid.SampledFrom([]int64{minMemory, 1 << 20}).Draw(t, "memory")
		disk := rapid.SampledFrom([]int64{diskShare * blockSize, 1 << 20}).Draw(t, "disk")
		open := func() *Memo {
			m, err := New(Options{Memory: memory, Disk: DiskOptions{Dir: dir, Bytes: disk, MinRun: 1}})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		m := open()
		defer func() { m.Close() }()

		type place struct {
			tenant, function string
			input            int
		}
		known := make(map[place]bool) // may be remembered
		tenants, functions := rapid.SampledFrom([]string{"a", "b"}), rapid.SampledFrom([]string{"f", "g"})
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			tenant, function := tenants.Draw(t, "tenant"), functions.Draw(t, "function")
			f := m.testFunction(tenant, function)
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				m.Close()
				m = open()
			case 1:
				if err := m.Purge(context.Background(), tenant, f.scope.code); err != nil {
					t.Fatal(err)
				}
				for p := range known {
					if p.tenant == tenant && p.function == function {
						delete(known, p)
					}
				}
			case 2:
				if err := m.Purge(context.Background(), tenant); err != nil {
					t.Fatal(err)
				}
				for p := range known {
					if p.tenant == tenant {
						delete(known, p)
					}
				}
			case 3:
				damage(t, dir)
			default:
				p := place{tenant, function, rapid.IntRange(0, 4).Draw(t, "input")}
				in := items(fmt.Sprint(p.input))
				fails := p.input == 4
				size := p.input * 1_500
				ran := false
				o, err := m.Do(context.Background(), Call{Function: f, Inputs: in}, func(context.Context, *Shared) (engine.Result, error) {
					ran = true
					usage := engine.Usage{Run: time.Second, Fuel: int64(p.input)}
					if fails {
						return engine.Result{}, &engine.Fault{Kind: engine.FaultExit, ExitCode: 9, Usage: usage}
					}
					return engine.NewResult(answerOf(tenant, function, p.input, size), usage, 0, nil), nil
				})
				if !ran && !known[p] {
					t.Fatalf("%+v is %s and was never computed, or purged since", p, o.Source)
				}
				if fails != (engine.KindOf(err) == engine.FaultExit) || !fails && (!data.Equal(o.Outputs, answerOf(tenant, function, p.input, size)) || o.Usage.Fuel != int64(p.input)) {
					t.Fatalf("%+v is %+v, %v", p, o, err)
				}
				known[p] = true
			}
		}
		if !m.Stats().Disk.Enabled {
			t.Fatal("the disk tier is off")
		}
	})
}

func answerOf(tenant, function string, input, size int) []data.Set {
	content := append(fmt.Appendf(nil, "%s %s %d", tenant, function, input), make([]byte, size)...)
	return []data.Set{{Name: "out", Items: []*data.Item{data.NewItem("", 0, content)}}}
}

// damage changes a byte of some entry.
func damage(t *rapid.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, versionName, "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		return
	}
	path := rapid.SampledFrom(files).Draw(t, "file")
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return // it was evicted just now
	}
	b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1
	if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
		_, err = f.Write(b)
		if closed := f.Close(); err != nil || closed != nil {
			t.Fatal(err, closed)
		}
	}
}
