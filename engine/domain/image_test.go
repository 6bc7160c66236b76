package domain

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func newImage(t testing.TB, size int64, fill func([]byte)) *Image {
	t.Helper()
	i, err := NewImage(size, fill)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

// Whatever is written to a region with an image, sanitising brings the image
// and zeroes back; without the image the region is zero again, and the image
// itself never changes.
func TestImagesComeBack(t *testing.T) {
	const size = 5*PageSize + 100
	p := newPool(t, Config{Regions: 2, IdleWarm: 1 << 20})
	var first []byte
	image := newImage(t, size, func(b []byte) {
		for i := range b {
			b[i] = byte(i*7 + i>>12)
		}
		first = bytes.Clone(b)
	})
	rapid.Check(t, func(t *rapid.T) {
		r, err := p.Get(rapid.Int64Range(0, 3<<20).Draw(t, "size"), rapid.Bool().Draw(t, "huge"))
		if err != nil {
			t.Fatal(err)
		}
		if at := firstDirty(r.Bytes()); at >= 0 {
			t.Fatalf("byte %d of a region is not zero", at)
		}
		if err := r.Map(image); err != nil {
			t.Fatal(err)
		}
		used := int64(0)
		for range rapid.IntRange(1, 4).Draw(t, "calls") {
			if !bytes.Equal(r.Bytes()[:len(first)], first) || firstDirty(r.Bytes()[len(first):]) >= 0 {
				t.Fatal("a region is not as its image is")
			}
			used = rapid.Int64Range(int64(len(first)), int64(len(r.Bytes()))).Draw(t, "used")
			for range rapid.IntRange(0, 30).Draw(t, "writes") {
				r.Bytes()[rapid.Int64Range(0, min(used, 64<<10)-1).Draw(t, "at")] ^= 0xa5
			}
			if err := r.Sanitize(used, rapid.Int64Range(0, 64<<10).Draw(t, "warm")); err != nil {
				t.Fatal(err)
			}
		}
		r.Bytes()[used-1] = 1
		if err := p.Put(r, used, rapid.Int64Range(0, 64<<10).Draw(t, "kept")); err != nil {
			t.Fatal(err)
		}
	})
	if !bytes.Equal(image.Bytes(), first) {
		t.Error("the image has changed")
	}
}

func TestResidentSeesWhatWasCopied(t *testing.T) {
	p := newPool(t, Config{})
	image := newImage(t, 4*PageSize, func(b []byte) { b[3*PageSize] = 1 })
	r, err := p.Get(1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Map(image); err != nil {
		t.Fatal(err)
	}
	if r.Bytes()[3*PageSize] != 1 {
		t.Error("the image is not there")
	}
	r.Bytes()[2*PageSize], r.Bytes()[6*PageSize] = 1, 1
	pages, err := r.resident(8*PageSize, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0, 0, 1, 0, 0, 0, 1, 0}; !bytes.Equal(pages, want) {
		t.Errorf("resident %v, want %v", pages, want)
	}
	if err := p.Put(r, 1<<20, 1<<20); err != nil {
		t.Fatal(err)
	}
}

func TestImagesAreChecked(t *testing.T) {
	if _, err := NewImage(0, nil); err == nil {
		t.Error("an image of no bytes was made")
	}
	p := newPool(t, Config{})
	large := newImage(t, 2<<20, func([]byte) {})
	r, err := p.Get(1, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Map(large); err == nil {
		t.Error("an image of 2 MiB was mapped into 1 MiB")
	}
	if err := p.Put(r, 0, 0); err != nil {
		t.Error(err)
	}
}

// BenchmarkImage is what starting from an image costs when a call writes to
// some pages of it: mapped copy-on-write, and copied.
func BenchmarkImage(b *testing.B) {
	const size, touched = 3 << 20, 50
	p, err := NewPool(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	image := newImage(b, size, func(b []byte) {
		for i := range b {
			b[i] = 1
		}
	})
	touch := func(r *Region) {
		for i := range touched {
			r.Bytes()[i*(size/touched)] = 2
		}
	}
	b.Run("mapped", func(b *testing.B) {
		for b.Loop() {
			r, err := p.Get(4<<20, false)
			if err != nil {
				b.Fatal(err)
			}
			if err := r.Map(image); err != nil {
				b.Fatal(err)
			}
			touch(r)
			if err := p.Put(r, 4<<20, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mapped and kept", func(b *testing.B) {
		r, err := p.Get(4<<20, false)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Map(image); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			touch(r)
			if err := r.Sanitize(4<<20, 0); err != nil {
				b.Fatal(err)
			}
		}
		if err := p.Put(r, 4<<20, 0); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("copied", func(b *testing.B) {
		for b.Loop() {
			r, err := p.Get(4<<20, false)
			if err != nil {
				b.Fatal(err)
			}
			copy(r.Bytes(), image.Bytes())
			touch(r)
			if err := p.Put(r, 4<<20, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDense fills megabytes, with and without huge pages.
func BenchmarkDense(b *testing.B) {
	const size = 32 << 20
	for _, c := range []struct {
		name string
		huge bool
	}{{"small pages", false}, {"huge pages", true}} {
		b.Run(c.name, func(b *testing.B) {
			p, err := NewPool(Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = p.Close() }()
			for b.Loop() {
				r, err := p.Get(64<<20, c.huge)
				if err != nil {
					b.Fatal(err)
				}
				for i := 0; i < size; i += PageSize {
					r.Bytes()[i] = 1
				}
				if err := p.Put(r, 64<<20, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
