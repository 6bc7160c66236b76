package blobio_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pappus/data"
	"pappus/iofuncs/blobio"
)

// A large blob of a file, against reading the file.
func BenchmarkGetLarge(b *testing.B) {
	const size = 64 << 20
	dir := b.TempDir()
	path := filepath.Join(dir, "large")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("ReadFile", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if got, err := os.ReadFile(path); err != nil || len(got) != size {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("BlobGet", func(b *testing.B) {
		c := client(b, map[string]string{"b": "file://" + dir}, blobio.DefaultLimits())
		b.SetBytes(size)
		for b.Loop() {
			if got, err := get(b, c, item("r", 0, "b/large")); err != nil || got[0].Len() != size {
				b.Fatal(got, err)
			}
		}
	})
}

// A thousand small blobs of one call.
func BenchmarkGetSmall(b *testing.B) {
	const blobs = 1000
	for kind, place := range map[string]string{"file": "file://" + b.TempDir(), "mem": "mem://", "s3": s3Server(b, nil)} {
		b.Run(kind, func(b *testing.B) {
			c := client(b, map[string]string{"b": place}, blobio.DefaultLimits())
			var refs []*data.Item
			for i := range blobs {
				mustPut(b, c, fmt.Sprintf("b/d/%d", i), "small")
				refs = append(refs, item("r", uint32(i), fmt.Sprintf("b/d/%d", i))) //nolint:gosec // few
			}
			for b.Loop() {
				if got, err := get(b, c, refs...); err != nil || len(got) != blobs {
					b.Fatal(len(got), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*blobs), "µs/blob")
		})
	}
}
