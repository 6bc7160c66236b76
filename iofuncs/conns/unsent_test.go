package conns_test

import "golang.org/x/sys/unix"

// unsent are the bytes that the other side has not yet.
func unsent(fd uintptr) (int, error) { return unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) }
