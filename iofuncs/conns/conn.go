package conns

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// conn is a connection that tells whether all that came by it has been taken. The
// transport puts a connection back before it looks whether the server sent more than
// an answer; a request that gets the connection in between would be given the rest as
// its answer. It is read by one goroutine at a time.
type conn struct {
	net.Conn
	raw syscall.RawConn

	// What of a read the system is asked for, again when there is something.
	try  func(fd uintptr) bool
	into []byte
	read int
	err  error

	peek func(fd uintptr)

	mu      sync.Mutex
	changed sync.Cond
	come    bool // what peek has found
	reading bool // its reader waits for more: it had all that there was
	writing int  // writes that go on
	ending  bool // none of them may wait any more
	closed  bool
}

var _ net.Conn = (*conn)(nil)

func newConn(c net.Conn) (*conn, error) {
	sys, ok := c.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a connection that is a %T does not tell what has come by it", c)
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &conn{Conn: c, raw: raw}
	w.try, w.peek = w.tryRead, w.tryPeek // made once, not for each read
	w.changed.L = &w.mu
	return w, nil
}

// Read reads. Bytes go from the system to the reader under the lock, so that whoever
// has it finds them with the one or with the other.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.into = p
	err := c.raw.Read(c.try)
	c.into = nil
	switch {
	case err != nil: // the connection is closed
		c.mu.Lock()
		c.reading = false
		c.mu.Unlock()
		return 0, c.failed("read", err)
	case c.err != nil:
		return 0, c.failed("read", os.NewSyscallError("read", c.err))
	case c.read == 0:
		return 0, io.EOF
	}
	return c.read, nil
}

// tryRead reports whether there is something, the end or an error too.
func (c *conn) tryRead(fd uintptr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.err = again(func() (int, error) { return syscall.Read(int(fd), c.into) })
	c.reading = errors.Is(c.err, syscall.EAGAIN)
	if c.reading {
		c.changed.Broadcast()
	}
	return !c.reading
}

// again makes a system call until no signal is in between.
func again(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// pending reports whether something has come that nobody has read, the end too. It is
// called under the lock.
func (c *conn) pending() bool {
	c.come = false
	err := c.raw.Control(c.peek)
	return err == nil && c.come
}

func (c *conn) tryPeek(fd uintptr) {
	var b [1]byte
	_, err := again(func() (int, error) {
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		return n, err
	})
	c.come = !errors.Is(err, syscall.EAGAIN)
}

func (c *conn) Write(p []byte) (n int, err error) {
	c.mu.Lock()
	c.writing++
	ending := c.ending
	c.changed.Broadcast()
	c.mu.Unlock()
	if ending {
		n, err = c.writeNow(p)
	} else {
		n, err = c.Conn.Write(p)
	}
	c.mu.Lock()
	c.writing--
	c.mu.Unlock()
	return n, err
}

// writeNow writes what there is room for.
func (c *conn) writeNow(p []byte) (n int, err error) {
	rawErr := c.raw.Write(func(fd uintptr) bool {
		n, err = again(func() (int, error) { return syscall.Write(int(fd), p) })
		return true
	})
	switch {
	case rawErr != nil:
		err = rawErr
	case err != nil:
		err = os.NewSyscallError("write", err)
	case n < len(p):
		err = io.ErrShortWrite
	default:
		return n, nil
	}
	return max(n, 0), c.failed("write", err)
}

// failed is an error of the system as connections have it.
func (c *conn) failed(op string, err error) error {
	if of := (*net.OpError)(nil); errors.As(err, &of) {
		err = of.Err
	}
	return &net.OpError{Op: op, Net: c.RemoteAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.changed.Broadcast()
	return err
}

// end has writes wait no more. It reports whether none does.
func (c *conn) end() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	return c.writing == 0
}

// settle waits until the connection's reader has nothing left, or has closed it because
// of what was left. It does one or the other at once, as long as it has not to write: it
// does so only by TLS, for a server that wants other keys, and may have to wait for the
// server to read. Such a connection is closed here.
func (c *conn) settle() {
	c.mu.Lock()
	for !c.closed && c.writing == 0 && (!c.reading || c.pending()) {
		c.changed.Wait()
	}
	stuck := !c.closed && c.writing > 0
	c.mu.Unlock() // closing waits for the reader, who may wait for the lock
	if stuck {
		_ = c.Close() // it is not used any more
	}
}
