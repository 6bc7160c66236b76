//go:build unix

package result

import (
	"errors"
	"os"
	"syscall"
)

// lock locks a folder until it is closed or the process ends, unless another has it.
func lock(f *os.File) (free bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
