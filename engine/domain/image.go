package domain

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Image is what regions can start from instead of zeroes: a prefix of bytes in
// a file of memory, which a region maps copy-on-write. Mapping takes the same
// few microseconds whatever the size, and a page is copied when it is written.
// It can be mapped by many regions at once, and must outlive them.
type Image struct {
	file  *os.File
	bytes []byte // the whole of it, read-only
}

// NewImage makes an image of size bytes, rounded up to pages, which fill
// writes; what it leaves is zero. The caller closes it.
func NewImage(size int64, fill func(b []byte)) (*Image, error) {
	if size <= 0 {
		return nil, fmt.Errorf("an image of %d bytes", size)
	}
	size = roundUp(size)
	fd, err := unix.MemfdCreate("image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make a file of memory: %w", err)
	}
	i := &Image{file: os.NewFile(uintptr(fd), "image")}
	if err := i.write(size, fill); err != nil {
		return nil, errors.Join(fmt.Errorf("write an image of %d bytes: %w", size, err), i.Close())
	}
	return i, nil
}

func (i *Image) write(size int64, fill func(b []byte)) error {
	fd := int(i.file.Fd())
	if err := unix.Ftruncate(fd, size); err != nil {
		return err
	}
	b, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	fill(b)
	if err := unix.Munmap(b); err != nil {
		return err
	}
	// From here on nothing can change what regions start from.
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE); err != nil {
		return err
	}
	i.bytes, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE)
	return err
}

// Bytes is the image. It must not be written to.
func (i *Image) Bytes() []byte { return i.bytes }

// Close gives the image back. No region may have it mapped.
func (i *Image) Close() error {
	var err error
	if i.bytes != nil {
		err = unix.Munmap(i.bytes)
		i.bytes = nil
	}
	return errors.Join(err, i.file.Close())
}

// Map puts an image at the start of a region that reads as zero. From then on
// Sanitize brings it back there instead of zeroes; Pool.Put takes it out.
func (r *Region) Map(i *Image) error {
	if len(i.bytes) > len(r.bytes) {
		return fmt.Errorf("map an image of %d bytes: %w", len(i.bytes), ErrTooLarge)
	}
	if err := r.replace(len(i.bytes), int(i.file.Fd()), unix.MAP_PRIVATE); err != nil {
		return err
	}
	r.image = i
	return nil
}

// unmapImage puts zeroes in the place of the image.
func (r *Region) unmapImage() error {
	if r.image == nil {
		return nil
	}
	n := len(r.image.bytes)
	if err := r.replace(n, -1, unix.MAP_PRIVATE|unix.MAP_ANON); err != nil {
		return err
	}
	r.image = nil
	advise(r.bytes[:n], r.huge)
	return nil
}

// replace maps something else in place of the first n bytes.
func (r *Region) replace(n, fd, flags int) error {
	start := unsafe.Pointer(unsafe.SliceData(r.bytes))
	_, err := unix.MmapPtr(fd, 0, start, uintptr(n), unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("replace %d bytes of a region: %w", n, err)
	}
	return nil
}

// Bits of an entry of /proc/self/pagemap.
const (
	pagemapPresent = 1 << 63
	pagemapFile    = 1 << 61 // of a file or shared: here, of the image
	pagemapEntry   = 8       // bytes
)

// copied fills pages with whether each page is a copy that was made when it
// was written. mincore can't tell: it looks at the file's pages.
func (r *Region) copied(pages []byte) error {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	entries := make([]uint64, len(pages))
	first := int64(uintptr(unsafe.Pointer(unsafe.SliceData(r.bytes)))) / PageSize
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(entries))), len(entries)*pagemapEntry)
	if _, err := f.ReadAt(raw, first*pagemapEntry); err != nil {
		return err
	}
	for i, e := range entries {
		pages[i] = 0
		if e&pagemapPresent != 0 && e&pagemapFile == 0 {
			pages[i] = 1
		}
	}
	return nil
}
