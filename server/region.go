package server

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"pappus/dispatcher"
)

// region is the memory of one large body: a mapping with room for all that may
// come, of which only what has come takes memory. It grows without being
// copied, and gives pages back as soon as their content is where a function
// sees it, so that a body of a gigabyte is never there twice. The zero value
// has no memory.
type region struct {
	mapped []byte

	// Content in [from, to) has been copied, and its pages are not given back
	// yet.
	from, to int
}

// backStep is the size in bytes from which on pages are given back.
const backStep = 1 << 20

// open makes room for size bytes.
func (r *region) open(size int64) (err error) {
	r.mapped, err = unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	return err
}

// close gives all memory back. Nothing may refer to it any more.
func (r *region) close() {
	if r.mapped != nil {
		_ = unix.Munmap(r.mapped) // it is a mapping: nothing else can go wrong
		*r = region{}
	}
}

// done says that nobody reads content any more. What lies in the region goes
// back to the system, and is no longer charged to memory, once there is enough
// of it in one piece.
func (r *region) done(content []byte, memory *dispatcher.Reservation) {
	if at, ok := r.offset(content); ok {
		memory.Shrink(memory.Size() - int64(r.giveBack(at, len(content))))
	}
}

// leave moves content, which begins where the region does, to memory of its own,
// and closes the region.
func (r *region) leave(content []byte) []byte {
	moved := make([]byte, len(content))
	for at := 0; at < len(content); at += backStep {
		r.giveBack(at, copy(moved[at:], content[at:min(at+backStep, len(content))]))
	}
	r.close()
	return moved
}

// giveBack notes that n bytes at a place are not needed any more, and returns
// how many the system has now been given back.
func (r *region) giveBack(at, n int) int {
	if at != r.to {
		r.from = at
	}
	r.to = at + n
	page := unix.Getpagesize()
	first, end := (r.from+page-1)/page*page, r.to/page*page
	if end-first < backStep || unix.Madvise(r.mapped[first:end], unix.MADV_DONTNEED) != nil {
		return 0
	}
	r.from = end
	return end - first
}

// offset is where in the region content lies.
func (r *region) offset(content []byte) (at int, ok bool) {
	if len(r.mapped) == 0 || len(content) == 0 {
		return 0, false
	}
	start, first := uintptr(unsafe.Pointer(&r.mapped[0])), uintptr(unsafe.Pointer(&content[0]))
	if first < start || first-start > uintptr(len(r.mapped)-len(content)) || len(content) > len(r.mapped) {
		return 0, false
	}
	return int(first - start), true
}
