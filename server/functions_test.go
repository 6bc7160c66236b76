package server

import (
	"bytes"
	"maps"
	"mime/multipart"
	"runtime"
	"testing"
)

// Code is taken out of a form without being there twice.
func TestCodeOfForm(t *testing.T) {
	for _, sizes := range []map[string]int{{"wasm": 8 << 20}, {"wasm": 5 << 20, "chericap": 3 << 20}, {"wasm": 0, "chericap": 1 << 20}, {"a": 1, "b": 0, "c": 70_000}} {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		want := make(map[string][]byte)
		for name, size := range sizes {
			code := bytes.Repeat([]byte(name), size/len(name)+1)[:size]
			want[name] = code
			part, err := w.CreateFormFile(name, name+".wasm")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := part.Write(code); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := codeOfForm(form.Bytes(), w.Boundary())
		runtime.ReadMemStats(&after)
		if err != nil || !maps.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%v: other code, or %v", sizes, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 256<<10 {
			t.Errorf("%v: it took %d bytes besides the body", sizes, took)
		}
		for name, code := range got { // each has its own place
			if cap(code) != len(code) {
				t.Errorf("%s has %d bytes, and room for %d", name, len(code), cap(code))
			}
		}
	}
}
