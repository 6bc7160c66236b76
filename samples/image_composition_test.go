package samples_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"pappus/data"
	"pappus/dispatcher"
	"pappus/engine"
	"pappus/registry"
	"pappus/samples"
	"pappus/wasmengine"
)

// platform is a dispatcher over the real registry and engine, with the
// functions for images.
func platform(t testing.TB, workers int) *dispatcher.Dispatcher {
	t.Helper()
	reg, err := registry.Open(t.TempDir(), registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := wasmengine.New(wasmengine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatcher.New(dispatcher.Config{Workers: workers}, reg, []engine.Engine{e}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, err := range []error{d.Close(t.Context()), e.Close(), reg.Close()} {
			if err != nil && !strings.Contains(err.Error(), "context canceled") {
				t.Error(err)
			}
		}
	})
	for _, name := range []string{"image-decode", "image-encode", "image-sheet", "image-thumbnail"} {
		code, err := fs.ReadFile(samples.Files(), name+"/"+name+".wasm")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.Publish(t.Context(), dispatcher.Publication{Tenant: "default", Name: name, Code: code}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// composed registers a composition of the samples, which must give no warning.
func composed(t testing.TB, d *dispatcher.Dispatcher, name string) *registry.Version {
	t.Helper()
	source, err := fs.ReadFile(samples.Files(), name+"/"+name+".comp")
	if err != nil {
		t.Fatal(err)
	}
	v, _, warnings, err := d.PublishComposition(t.Context(), dispatcher.CompositionPublication{Tenant: "default", Name: name, Source: string(source)})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return v
}

func imagesAnd(size string, images ...*data.Item) []data.Set {
	return []data.Set{{Name: "images", Items: images}, set("size", []byte(size))}
}

// Whatever the number of workers, the compositions give what the reference
// does, in the order of the images, and each thumbnail the name and key of its
// image.
func TestImageCompositionsAreRight(t *testing.T) {
	type composition struct {
		d      *dispatcher.Dispatcher
		target *registry.Version
		sheet  bool
	}
	var all []composition
	for workers := 1; workers <= 2; workers++ {
		d := platform(t, workers)
		all = append(all, composition{d, composed(t, d, "thumbnails"), false}, composition{d, composed(t, d, "gallery"), true})
	}
	rapid.Check(t, func(t *rapid.T) {
		var images, want []*data.Item
		var small []picture
		width, height := rapid.IntRange(1, 30).Draw(t, "width"), rapid.IntRange(1, 30).Draw(t, "height")
		for i := range rapid.IntRange(0, 6).Draw(t, "images") {
			p := drawn(t, 40)
			file := p.png()
			if rapid.Bool().Draw(t, "QOI") {
				file = qoi(p)
			}
			// Names need not differ; keys are in order, as they are within sets.
			name, key := fmt.Sprintf("%d/photo", i/2), uint32(i/3)
			images = append(images, data.NewItem(name, key, file))
			small = append(small, scaled(p, width, height))
			want = append(want, data.NewItem(name, key, qoi(small[i])))
		}
		for _, c := range all {
			a, err := c.d.Invoke(t.Context(), dispatcher.Invocation{Tenant: "default", Target: c.target, Inputs: imagesAnd(fmt.Sprintf("%dx%d", width, height), images...)})
			if err != nil {
				t.Fatal(err)
			}
			sets := []data.Set{{Name: "thumbnails", Items: want}}
			if c.sheet {
				sheet := data.Set{Name: "sheet"}
				if len(small) > 0 {
					sheet.Items = []*data.Item{data.NewItem("sheet", 0, qoi(sheetOf(small...)))}
				}
				sets = append(sets, sheet)
			}
			if !data.Equal(a.Outputs, sets) {
				t.Fatalf("%s differs: %.300q", c.target.Name, contents(a.Outputs))
			}
			a.Release()
		}
	})
}

// What fails says which image it was, and why.
func TestBadImageIsNamed(t *testing.T) {
	d := platform(t, 2)
	good := photo(1, 20, 20).png()
	for _, name := range []string{"thumbnails", "gallery"} {
		v := composed(t, d, name)
		for _, c := range []struct {
			size, application, item, why string
			bad                          []byte
		}{
			{"9", "Decode", `images: "bad.png", key 0`, "image-decode: bad.png: this is neither a PNG nor a QOI image\n", []byte("no image")},
			{"9", "Decode", `images: "bad.png", key 0`, "image-decode: bad.png: the file is cut short\n", good[:len(good)-5]},
			{"0", "Scale", `pixels: "bad.png", key 0`, "image-thumbnail: the size is not like 128 or 128x96, each side from 1 to 4096\n", good},
		} {
			images := []*data.Item{data.NewItem("bad.png", 0, c.bad)}
			if c.application == "Decode" { // else each of several would fail, and any may be the first
				images = []*data.Item{data.NewItem("1.png", 0, good), images[0], data.NewItem("2.png", 0, good)}
			}
			_, err := d.Invoke(t.Context(), dispatcher.Invocation{Tenant: "default", Target: v, Inputs: imagesAnd(c.size, images...)})
			var f *engine.Fault
			if !errors.As(err, &f) || f.Kind != engine.FaultExit || !strings.HasPrefix(f.Application, c.application) || f.Item != c.item || string(f.Stderr) != c.why {
				t.Errorf("%s of %s and %s: %+v", name, c.item, c.size, f)
			}
		}
	}
}

// One photo of a megapixel and many of a quarter: what an image takes from file to
// thumbnail, and how many workers make that shorter.
func BenchmarkThumbnails(b *testing.B) {
	large, set := photo(1, 1024, 1024).png(), map[string][]byte{}
	for i := range 32 {
		set[fmt.Sprintf("%02d.png", i)] = photo(uint64(i), 512, 512).png()
	}
	many := make([]*data.Item, 0, len(set))
	for _, name := range slices.Sorted(maps.Keys(set)) {
		many = append(many, data.NewItem(name, 0, set[name]))
	}
	for _, c := range []struct {
		name    string
		workers int
		of      string
		images  []*data.Item
	}{
		{"one of 1 megapixel", 1, "thumbnails", []*data.Item{data.NewItem("large.png", 0, large)}},
		{"32 of a quarter, 1 worker", 1, "thumbnails", many},
		{"32 of a quarter, 2 workers", 2, "thumbnails", many},
		{"32 with a sheet, 1 worker", 1, "gallery", many},
		{"32 with a sheet, 2 workers", 2, "gallery", many},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := platform(b, c.workers)
			v := composed(b, d, c.of)
			bytes, pixels := int64(0), 0
			for _, it := range c.images {
				bytes += int64(len(it.Bytes()))
				p, err := decoded(it.Bytes())
				if err != nil {
					b.Fatal(err)
				}
				pixels += p.width * p.height
			}
			b.SetBytes(bytes)
			for b.Loop() {
				a, err := d.Invoke(b.Context(), dispatcher.Invocation{Tenant: "default", Target: v, Inputs: imagesAnd("128", c.images...)})
				if err != nil {
					b.Fatal(err)
				}
				a.Release()
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/run")
			b.ReportMetric(float64(pixels)*float64(b.N)/b.Elapsed().Seconds()/1e6, "megapixels/s")
		})
	}
}
