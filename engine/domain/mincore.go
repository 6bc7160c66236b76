package domain

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mincore is mincore(2), which package unix does not wrap. pages holds one
// byte per page of b, and both are not empty.
func mincore(b, pages []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE,
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(unsafe.SliceData(pages))))
	if errno != 0 {
		return errno
	}
	return nil
}
