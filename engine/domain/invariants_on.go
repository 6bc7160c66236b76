//go:build invariants

package domain

import (
	"bytes"
	"fmt"
)

// invariantClean panics unless every byte of the region reads as zero, or as
// its image does. A page that takes no memory does by itself. The tag is for
// tests: a scan costs more than most functions.
func (r *Region) invariantClean() {
	var zero [PageSize]byte
	pages, err := r.resident(int64(len(r.bytes)), nil)
	if err != nil {
		panic(err)
	}
	for i, resident := range pages {
		if resident == 0 {
			continue
		}
		from := i * PageSize
		want := zero[:]
		if r.image != nil && from < len(r.image.bytes) {
			want = r.image.bytes[from : from+PageSize]
		}
		if !bytes.Equal(r.bytes[from:from+PageSize], want) {
			panic(fmt.Sprintf("memory domain: the page at %#x of a sanitised region is not as it was at first", from))
		}
	}
}
