package domain

import (
	"errors"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func newPool(t *testing.T, config Config) *Pool {
	t.Helper()
	p, err := NewPool(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func firstDirty(b []byte) int {
	for i, c := range b {
		if c != 0 {
			return i
		}
	}
	return -1
}

// Whatever an owner writes within what it says it used, and whatever prefix is
// guessed, the next owner reads zeroes.
func TestRegionsComeBackClean(t *testing.T) {
	p := newPool(t, Config{Regions: 4, IdleWarm: 2 << 20})
	rapid.Check(t, func(t *rapid.T) {
		r, err := p.Get(rapid.Int64Range(0, 5<<20).Draw(t, "size"), rapid.Bool().Draw(t, "huge"))
		if err != nil {
			t.Fatal(err)
		}
		if at := firstDirty(r.Bytes()); at >= 0 {
			t.Fatalf("byte %d of a region is not zero", at)
		}
		used := rapid.Int64Range(0, int64(len(r.Bytes()))).Draw(t, "used")
		if used > 0 {
			for range rapid.IntRange(0, 30).Draw(t, "writes") {
				r.Bytes()[rapid.Int64Range(0, used-1).Draw(t, "at")] = 0xa5
			}
		}
		if err := p.Put(r, used, rapid.Int64Range(0, 6<<20).Draw(t, "warm")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSanitizeKeepsThePrefixResidentOnly(t *testing.T) {
	p := newPool(t, Config{})
	r, err := p.Get(1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(r.Bytes()); i += PageSize {
		r.Bytes()[i] = 1
	}
	if err := r.Sanitize(1<<20, 3*PageSize+1); err != nil {
		t.Fatal(err)
	}
	pages, err := r.resident(1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, resident := range pages {
		if want := i < 4; (resident == 1) != want {
			t.Fatalf("page %d resident: %d", i, resident)
		}
	}
	if err := r.Watch(1 << 20); err != nil {
		t.Fatal(err)
	}
	if pages, err = r.resident(1<<20, pages); err != nil || firstDirty(pages) >= 0 {
		t.Fatalf("page %d is resident after Watch (%v)", firstDirty(pages), err)
	}
	if err := p.Put(r, 0, 0); err != nil {
		t.Fatal(err)
	}
}

func TestPoolIsBounded(t *testing.T) {
	p := newPool(t, Config{Regions: 2})
	a, err := p.Get(1, false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Get(64<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Get(1, false); !errors.Is(err, ErrExhausted) {
		t.Fatalf("third region: %v", err)
	}
	if err := p.Put(b, 0, 0); err != nil {
		t.Fatal(err)
	}
	// An idle region of another class makes room.
	c, err := p.Get(1, false)
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); s != (Stats{Mapped: 2}) {
		t.Fatalf("stats %+v", s)
	}
	for _, r := range []*Region{a, c} {
		if err := p.Put(r, PageSize, PageSize); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Stats(); s != (Stats{Mapped: 2, Idle: 2, IdleWarm: 2 * PageSize}) {
		t.Fatalf("stats %+v", s)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); s != (Stats{}) {
		t.Fatalf("stats after Close %+v", s)
	}
}

func TestSizes(t *testing.T) {
	p := newPool(t, Config{})
	for size, want := range map[int64]int64{0: 1 << 20, 1: 1 << 20, 1 << 20: 1 << 20, 1<<20 + 1: 4 << 20, 65_535 << 16: 4 << 30, 4 << 30: 4 << 30} {
		r, err := p.Get(size, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := int64(len(r.Bytes())); got != want {
			t.Errorf("Get(%d) reserves %d, want %d", size, got, want)
		}
		if err := p.Put(r, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Get(4<<30+1, false); !errors.Is(err, ErrTooLarge) {
		t.Errorf("more than 4 GiB: %v", err)
	}
}

// A region that can't be sanitised is not handed out again.
func TestPutDropsWhatItCannotSanitize(t *testing.T) {
	p := newPool(t, Config{})
	r, err := p.Get(1, false)
	if err != nil {
		t.Fatal(err)
	}
	// Unmapping it behind the pool's back makes the system refuse the advice.
	if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(r.bytes)), uintptr(len(r.bytes))); err != nil {
		t.Fatal(err)
	}
	if err := p.Put(r, 1<<20, 0); err == nil {
		t.Fatal("a region that is gone was taken back")
	}
	if s := p.Stats(); s != (Stats{}) {
		t.Fatalf("stats %+v", s)
	}
}

func TestConcurrentUse(t *testing.T) {
	p := newPool(t, Config{Regions: 16, IdleWarm: 1 << 20})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				size := int64(1) << (10 + (g+i)%14)
				r, err := p.Get(size, false)
				if err != nil {
					t.Error(err)
					return
				}
				if r.Bytes()[size-1] != 0 || r.Bytes()[0] != 0 {
					t.Error("a region is not clean")
				}
				r.Bytes()[0], r.Bytes()[size-1] = 1, 1
				if err := p.Put(r, size, int64(i)*PageSize); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s := p.Stats(); s.Mapped != s.Idle || s.IdleWarm > 1<<20 {
		t.Errorf("stats %+v", s)
	}
}

func TestWarmth(t *testing.T) {
	pages := func(n int, resident ...int) []byte {
		b := make([]byte, n)
		for _, i := range resident {
			b[i] = 1
		}
		return b
	}
	dense := make([]byte, 64)
	for i := range dense {
		dense[i] = 1
	}
	for _, c := range []struct {
		name   string
		pages  []byte
		mapped bool
		want   int64
	}{
		{"nothing touched", pages(256), false, 0},
		{"the first page", pages(256, 0), false, PageSize},
		{"a few near the start", pages(256, 0, 17, 33), false, 34 * PageSize},
		{"the same of an image, which is copied", pages(256, 0, 17, 33), true, PageSize},
		{"one far away is left to fault", pages(256, 0, 1, 250), false, 2 * PageSize},
		{"all of it", dense, false, 64 * PageSize},
		{"all of an image", dense, true, 64 * PageSize},
	} {
		var w Warmth
		w.Observe(c.pages, c.mapped)
		if got := w.Prefix(); got != c.want {
			t.Errorf("%s: prefix of %d pages, want %d", c.name, got/PageSize, c.want/PageSize)
		}
	}
	var w Warmth
	w.Observe(dense, false)
	w.Observe(pages(64), false)
	if got := w.Prefix(); got != 32*PageSize {
		t.Errorf("after a small call: %d pages, want 32", got/PageSize)
	}
	large := make([]byte, 4096)
	for i := range large {
		large[i] = 1
	}
	w.Observe(large[:1023], false)
	if w.Huge() {
		t.Error("huge pages for less than 4 MiB")
	}
	w.Observe(large, false)
	if !w.Huge() || w.Prefix() != 0 {
		t.Errorf("16 MiB that are all touched: huge pages %t, prefix %d", w.Huge(), w.Prefix())
	}
	for i := range large {
		large[i] = byte(i / 2 % 2)
	}
	w.Observe(large, false)
	if w.Huge() {
		t.Error("huge pages where every other page is touched")
	}
	due := 0
	for range 4095 {
		if w.Due() {
			due++
		}
	}
	if due == 0 || due > 20 {
		t.Errorf("%d of 4,095 calls are observed", due)
	}
}

func BenchmarkGetPut(b *testing.B) {
	p, err := NewPool(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	for b.Loop() {
		r, err := p.Get(1<<20, false)
		if err != nil {
			b.Fatal(err)
		}
		r.Bytes()[0] = 1
		if err := p.Put(r, 1<<20, 64<<10); err != nil {
			b.Fatal(err)
		}
	}
}
