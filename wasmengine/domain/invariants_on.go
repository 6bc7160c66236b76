//go:build invariants

package domain

import "fmt"

// invariantZero panics unless every byte that may have been written, and every
// resident byte above, reads as zero. The tag is for tests: a scan costs more
// than most functions.
func invariantZero(r *Region, used int64) {
	for i, c := range r.bytes[:min(roundUp(used), int64(len(r.bytes)))] {
		if c != 0 {
			panic(fmt.Sprintf("memory domain: byte %d of a sanitised region is %#x", i, c))
		}
	}
	pages, err := r.Resident(int64(len(r.bytes)), nil)
	if err != nil {
		panic(err)
	}
	for i, resident := range pages {
		if resident == 0 || int64(i)*PageSize < used {
			continue
		}
		for j, c := range r.bytes[i*PageSize : (i+1)*PageSize] {
			if c != 0 {
				panic(fmt.Sprintf("memory domain: byte %d, above what was used, is %#x", i*PageSize+j, c))
			}
		}
	}
}
