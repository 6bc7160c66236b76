package domain

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// PageSize is the unit of the operating system in which memory becomes
// resident. (Sanitising rounds to it; a larger real page size only means that
// MADV_DONTNEED is refused for ranges that are not aligned to it, which
// NewPool checks.)
const PageSize = 4096

// Region is reserved address space. Pages cost memory once they are touched.
// A region belongs to one owner at a time and is not safe for concurrent use.
type Region struct {
	bytes []byte
	class int
}

// Bytes is the whole region. Its address and length never change.
func (r *Region) Bytes() []byte { return r.bytes }

// reserve maps size bytes of zeroes.
func reserve(size int64) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of address space: %w", size, err)
	}
	// Huge pages would make a function that touches a few bytes pay for
	// clearing 2 MiB. The advice is only that: a kernel without them refuses.
	_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE)
	return b, nil
}

// Sanitize makes the first used bytes of the region read as zero again. The
// first warm bytes are cleared in place, which scales over processors and
// keeps their pages resident for the next owner; pages above are given back
// to the system, which costs next to nothing where none was touched. Bytes
// above used must not have been written since the region was last sanitised.
// A wrong guess for warm costs time and never leaves anything behind.
func (r *Region) Sanitize(used, warm int64) error {
	used = min(roundUp(max(used, 0)), int64(len(r.bytes)))
	warm = min(roundUp(max(warm, 0)), used)
	clear(r.bytes[:warm])
	if warm == used {
		return nil
	}
	if err := unix.Madvise(r.bytes[warm:used], unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("give back %d bytes of a region: %w", used-warm, err)
	}
	return nil
}

// Drop gives all pages below used back to the system, so that Resident sees
// only what is touched from then on.
func (r *Region) Drop(used int64) error { return r.Sanitize(used, 0) }

// Resident fills pages, one element per page of the first used bytes, with
// whether the page is resident. It allocates only when pages is too small,
// and returns the slice.
func (r *Region) Resident(used int64, pages []byte) ([]byte, error) {
	used = min(roundUp(max(used, 0)), int64(len(r.bytes)))
	n := int(used / PageSize)
	if cap(pages) < n {
		pages = make([]byte, n)
	}
	pages = pages[:n]
	if n == 0 {
		return pages, nil
	}
	if err := mincore(r.bytes[:used], pages); err != nil {
		return nil, fmt.Errorf("look at the residency of a region: %w", err)
	}
	for i := range pages {
		pages[i] &= 1
	}
	return pages, nil
}

func roundUp(n int64) int64 { return (n + PageSize - 1) &^ (PageSize - 1) }
