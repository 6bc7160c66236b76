package codecache_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"pappus/wasmengine/codecache"
)

// model is what a cache should be: entries in the order of their use, the one
// used last at the end, and what is held.
type model struct {
	bound   int64
	order   []int
	entries map[int]tree
	stats   codecache.Stats
}

func (m *model) use(n int) {
	m.order = append(slices.DeleteFunc(m.order, func(o int) bool { return o == n }), n)
}

func (m *model) bytes() (n int64) {
	for _, e := range m.entries {
		n += e.size()
	}
	return n
}

func (m *model) put(n int, files tree) {
	m.entries[n] = files
	m.use(n)
	for m.bytes() > m.bound {
		delete(m.entries, m.order[0])
		m.order = m.order[1:]
		m.stats.Evicted++
	}
}

type held struct {
	entry *codecache.Entry
	files tree
}

// TestModel does at random what a cache can do and compares it with the model,
// the folder on disk included.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "codecache-")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		m := &model{bound: rapid.Int64Range(60, 400).Draw(t, "bound"), entries: make(map[int]tree)}
		c := open(t, dir, m.bound)
		var pins []held
		keys := rapid.IntRange(0, 6)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				n := keys.Draw(t, "key")
				files := tree{"a/b": strings.Repeat("x", rapid.IntRange(0, 100).Draw(t, "size")), "c": fmt.Sprint(n)}
				from := scratch(t, c, files)
				err := c.Put(key(n), from)
				if fits := files.size() <= m.bound; fits != (err == nil) {
					t.Fatalf("put %d bytes under a bound of %d: %v", files.size(), m.bound, err)
				} else if fits {
					m.put(n, files)
				}
				c.Discard(from)
			},
			"get": func(t *rapid.T) {
				n := keys.Draw(t, "key")
				e, ok := c.Get(key(n))
				files, want := m.entries[n]
				if ok != want {
					t.Fatalf("get %d: %t, want %t", n, ok, want)
				}
				if !ok {
					m.stats.Misses++
					return
				}
				m.stats.Hits++
				m.use(n)
				pins = append(pins, held{e, files})
			},
			"let go": func(t *rapid.T) {
				if len(pins) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(pins)-1).Draw(t, "pin")
				pins[i].entry.Close()
				pins = slices.Delete(pins, i, i+1)
			},
			"damage": func(t *rapid.T) {
				n := keys.Draw(t, "key")
				if m.entries[n] == nil || len(pins) > 0 {
					t.Skip()
				}
				if err := os.WriteFile(filepath.Join(folder(t, dir, key(n)), "files", "c"), []byte("!"), 0o600); err != nil {
					t.Fatal(err)
				}
				if has(t, c, key(n), nil) {
					t.Fatal("a damaged entry is a hit")
				}
				delete(m.entries, n)
				m.order = slices.DeleteFunc(m.order, func(o int) bool { return o == n })
				m.stats.Misses++
				m.stats.Damaged++
			},
			"open again": func(t *rapid.T) {
				if len(pins) > 0 {
					t.Skip()
				}
				c.Close()
				c = open(t, dir, m.bound)
				m.stats = codecache.Stats{}
			},
			"": func(t *rapid.T) {
				m.stats.Entries, m.stats.Bytes = int64(len(m.entries)), m.bytes()
				wantStats(t, c, m.stats)
				places := make(map[string]bool)
				for n := range m.entries {
					places[fmt.Sprintf("key %d", n)] = true
					if len(folders(t, dir, key(n))) == 0 {
						t.Fatalf("entry %d is not on disk", n)
					}
				}
				for _, p := range pins {
					if got := read(t, p.entry.Dir()); !maps.Equal(got, p.files) {
						t.Fatalf("an entry that is held has become %v, was %v", got, p.files)
					}
				}
				if len(pins) == 0 && count(t, filepath.Join(dir, "v1")) != len(places) {
					t.Fatalf("%d folders on disk for %d entries", count(t, filepath.Join(dir, "v1")), len(places))
				}
				if n := count(t, filepath.Join(dir, "tmp")); n != 0 {
					t.Fatalf("%d folders in tmp", n)
				}
			},
		})
	})
}

// Many at once put, find, hold and damage few keys.
func TestHammer(t *testing.T) {
	const workers, rounds, keys = 8, 150, 6
	dir := t.TempDir()
	c := open(t, dir, 3*sample(0).size())
	var hits, misses atomic.Uint64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range rounds {
				n := random.IntN(keys)
				if i%3 == 0 {
					from, err := c.Scratch()
					if err != nil {
						t.Error(err)
						return
					}
					files := sample(n)
					files["b"] = fmt.Sprintf("more %03d", w)
					write(t, from, files)
					if i%2 == 0 {
						err = c.Put(key(n), from)
					}
					if err != nil {
						t.Error(err)
					}
					c.Discard(from)
					continue
				}
				e, ok := c.Get(key(n))
				if !ok {
					misses.Add(1)
					continue
				}
				hits.Add(1)
				for range 2 { // it is of this key, and stays
					if b, err := os.ReadFile(filepath.Join(e.Dir(), "a")); err != nil || string(b) != sample(n)["a"] {
						t.Errorf("an entry of key %d holds %q, %v", n, b, err)
					}
				}
				e.Close()
			}
		})
	}
	wg.Wait()
	s := c.Stats()
	if s.Hits != hits.Load() || s.Misses != misses.Load() || s.Damaged != 0 || s.Bytes > 3*sample(0).size() {
		t.Errorf("stats %+v, want %d hits, %d misses, none damaged", s, hits.Load(), misses.Load())
	}
	if hits.Load() == 0 || s.Evicted == 0 {
		t.Errorf("stats %+v: nothing was found or nothing evicted", s)
	}
	if n := count(t, filepath.Join(dir, "v1")); int64(n) != s.Entries {
		t.Errorf("%d folders on disk for %d entries", n, s.Entries)
	}
	if n := count(t, filepath.Join(dir, "tmp")); n != 0 {
		t.Errorf("%d folders are left in tmp", n)
	}
}

var sizes = []struct {
	name string
	size int
}{{"224KB", 224 << 10}, {"10MB", 10 << 20}}

func BenchmarkGet(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			c := open(b, b.TempDir(), 0)
			put(b, c, key(1), tree{"engine-x/code": strings.Repeat("x", size.size)})
			b.SetBytes(int64(size.size))
			b.ReportAllocs()
			for b.Loop() {
				e, ok := c.Get(key(1))
				if !ok {
					b.Fatal("a miss")
				}
				e.Close()
			}
		})
	}
}

// BenchmarkPut includes writing the file.
func BenchmarkPut(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			c := open(b, b.TempDir(), 0)
			files := tree{"engine-x/code": strings.Repeat("x", size.size)}
			b.SetBytes(int64(size.size))
			for b.Loop() {
				put(b, c, key(1), files)
			}
		})
	}
}

// BenchmarkOpen finds 1,000 entries.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	c := open(b, dir, 0)
	for n := range 1000 {
		put(b, c, key(n), tree{"engine-x/code": "x"})
	}
	c.Close()
	for b.Loop() {
		if s := open(b, dir, 0).Stats(); s.Entries != 1000 {
			b.Fatalf("stats %+v", s)
		}
	}
}
