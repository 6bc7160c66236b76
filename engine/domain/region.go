package domain

import (
	"errors"
	"fmt"
	"unsafe"

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
	pool  *Pool
	bytes []byte
	class int
	huge  bool
	image *Image // what its first bytes start from; nil: zeroes
}

// Bytes is the whole region. Its address and length never change.
func (r *Region) Bytes() []byte { return r.bytes }

// hugePage is what the system's huge pages are aligned to.
const hugePage = 2 << 20

// reserve maps size bytes of zeroes, aligned to huge pages if it holds any.
func reserve(size int64, huge bool) ([]byte, error) {
	mapped := size
	if size > hugePage {
		mapped += hugePage
	}
	b, err := unix.MmapPtr(-1, 0, nil, uintptr(mapped), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes of address space: %w", size, err)
	}
	if mapped > size {
		before := -uintptr(b) % hugePage
		after := uintptr(mapped-size) - before
		if err := errors.Join(trim(b, before), trim(unsafe.Add(b, int64(before)+size), after)); err != nil {
			return nil, err
		}
		b = unsafe.Add(b, before)
	}
	bytes := unsafe.Slice((*byte)(b), size)
	advise(bytes, huge)
	return bytes, nil
}

func trim(start unsafe.Pointer, n uintptr) error {
	if n == 0 {
		return nil
	}
	if err := unix.MunmapPtr(start, n); err != nil {
		return fmt.Errorf("trim a reservation: %w", err)
	}
	return nil
}

// advise asks for huge pages or for none: they would make a function that
// touches a few bytes pay for clearing 2 MiB. The advice is only that: a kernel
// without them refuses.
func advise(b []byte, huge bool) {
	advice := unix.MADV_NOHUGEPAGE
	if huge {
		advice = unix.MADV_HUGEPAGE
	}
	_ = unix.Madvise(b, advice)
}

// Sanitize makes the first used bytes of the region read as zero again, or as
// its image does. The first warm bytes are written in place, which scales over
// processors and keeps their pages resident for the next owner; pages above
// are given back to the system, which costs next to nothing where none was
// touched. Bytes above used must not have been written since the region was
// last sanitised. A wrong guess for warm costs time and never leaves anything
// behind.
func (r *Region) Sanitize(used, warm int64) error {
	used = min(roundUp(max(used, 0)), int64(len(r.bytes)))
	warm = min(roundUp(max(warm, 0)), used)
	imaged := 0
	if r.image != nil {
		imaged = copy(r.bytes[:warm], r.image.bytes)
	}
	clear(r.bytes[imaged:warm])
	if warm < used {
		if err := r.pool.drop(r.bytes[warm:used]); err != nil {
			return err
		}
	}
	r.invariantClean()
	return nil
}

// Watch gives all pages below used back to the system and asks for small ones,
// so that Touched sees what is touched from then on, page by page.
func (r *Region) Watch(used int64) error {
	if r.huge {
		advise(r.bytes, false)
	}
	return r.Sanitize(used, 0)
}

// Touched ends a Watch. It fills pages, one element per page of the first used
// bytes, with whether the page was touched: one that is still as in the image
// counts as not. It allocates only when pages is too small or there is an
// image, and returns the slice.
func (r *Region) Touched(used int64, pages []byte) ([]byte, error) {
	if r.huge {
		defer advise(r.bytes, true)
	}
	return r.resident(used, pages)
}

// resident fills pages with whether each page takes memory of its own.
func (r *Region) resident(used int64, pages []byte) ([]byte, error) {
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
	if r.image != nil {
		if err := r.copied(pages[:min(n, len(r.image.bytes)/PageSize)]); err != nil {
			return nil, fmt.Errorf("look at the copied pages of a region: %w", err)
		}
	}
	return pages, nil
}

// Huge tells whether the region was asked for with huge pages.
func (r *Region) Huge() bool { return r.huge }

func roundUp(n int64) int64 { return (n + PageSize - 1) &^ (PageSize - 1) }
