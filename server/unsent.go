package server

import (
	"context"
	"crypto/tls"
	"net"

	"golang.org/x/sys/unix"
)

// unsentBytes is how much of an answer the system may hold beyond what it has
// sent. Without a bound it takes megabytes, and a client that reads nothing
// looks for minutes like one that reads fast enough. What is on its way does
// not count, so that fast clients far away lose nothing.
const unsentBytes = 128 << 10

// boundUnsent prepares a new connection.
func boundUnsent(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return ctx
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // where it can't be set the rate floor holds, only later
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
		})
	}
	return ctx
}
