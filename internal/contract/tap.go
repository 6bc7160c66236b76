package contract

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// maxBehind is how much of one direction of a connection waits to be looked
// at, in bytes. What exceeds it is passed on and not looked at.
const maxBehind = 16 << 20

// Tap is a proxy on the loopback before a server: what clients send and are
// answered passes unchanged, and is checked on the side. Connections that speak
// something else than HTTP/1 pass as well.
type Tap struct {
	contract *Contract
	server   string
	listener net.Listener
	work     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
	report Report
}

// Report is what a tap saw.
type Report struct {
	Checked int     // exchanges that were looked at
	Skipped int     // connections that were not looked at to their end
	Errors  []error // exchanges that are not as described, the first hundred
}

// maxErrors is how many errors a report has.
const maxErrors = 100

// NewTap begins to listen for clients of the server at an address HOST:PORT.
func (c *Contract) NewTap(ctx context.Context, server string) (*Tap, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	t := &Tap{contract: c, server: server, listener: ln, conns: make(map[net.Conn]bool)}
	t.work.Go(t.accept)
	return t, nil
}

// Address is the HOST:PORT that clients call instead of the server's.
func (t *Tap) Address() string { return t.listener.Addr().String() }

// Close cuts what is still connected, looks at the rest of what passed, and
// reports.
func (t *Tap) Close() (Report, error) {
	err := t.listener.Close()
	t.mu.Lock()
	t.closed = true
	for c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.work.Wait()
	return t.report, err
}

// keep has Close cut a connection; it reports false if that is done already.
func (t *Tap) keep(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = c.Close()
		return false
	}
	t.conns[c] = true
	return true
}

func (t *Tap) forget(c net.Conn) {
	_ = c.Close() // it was read and written to its end, or is broken
	t.mu.Lock()
	delete(t.conns, c)
	t.mu.Unlock()
}

func (t *Tap) accept() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		if t.keep(client) {
			t.work.Go(func() { t.pass(client) })
		}
	}
}

// pass connects a client with the server until both have said all.
func (t *Tap) pass(client net.Conn) {
	defer t.forget(client)
	var d net.Dialer
	server, err := d.DialContext(context.Background(), "tcp", t.server)
	if err != nil || !t.keep(server) {
		reset(client)
		return
	}
	defer t.forget(server)
	requests, answers := newStream(), newStream()
	t.work.Go(func() { t.look(requests, answers) })
	var both sync.WaitGroup
	both.Go(func() { forward(server, client, requests) })
	both.Go(func() { forward(client, server, answers) })
	both.Wait()
}

// forward copies what from says to to, and its end: a broken connection breaks
// the other one too.
func forward(to, from net.Conn, seen *stream) {
	defer seen.end()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		seen.add(buf[:n])
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				reset(from)
				return
			}
		}
		if errors.Is(err, io.EOF) {
			if c, ok := to.(*net.TCPConn); ok {
				_ = c.CloseWrite() // if it is gone, the other direction says so
			}
			return
		}
		if err != nil {
			reset(to)
			return
		}
	}
}

// reset closes a connection as one that broke.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it is closed the other way then
	}
	_ = c.Close() // it is broken
}

// look checks the exchanges of a connection, one after the other.
func (t *Tap) look(requests, answers *stream) {
	defer requests.stop()
	defer answers.stop()
	in, out := bufio.NewReader(requests), bufio.NewReader(answers)
	for {
		if _, err := in.Peek(1); err != nil {
			t.count(!requests.lost() && !answers.lost())
			return
		}
		x, err := readExchange(in, out)
		if err != nil || requests.lost() || answers.lost() {
			t.count(false)
			return
		}
		if ownAnswer(x) {
			continue
		}
		err = t.contract.Check(x)
		t.mu.Lock()
		t.report.Checked++
		if err != nil && len(t.report.Errors) < maxErrors {
			t.report.Errors = append(t.report.Errors, err)
		}
		t.mu.Unlock()
	}
}

func (t *Tap) count(whole bool) {
	if !whole {
		t.mu.Lock()
		t.report.Skipped++
		t.mu.Unlock()
	}
}

// ownAnswer reports whether the answer is net/http's own, to what it can't take
// for a request: at most a line of text without a date, before it closes the
// connection.
func ownAnswer(x Exchange) bool {
	switch x.Status {
	case http.StatusExpectationFailed:
		return len(x.Answer.Bytes) == 0
	case http.StatusBadRequest, http.StatusRequestHeaderFieldsTooLarge, http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return x.Header.Get("Date") == ""
	}
	return false
}

func readExchange(in, out *bufio.Reader) (Exchange, error) {
	var x Exchange
	r, err := http.ReadRequest(in)
	if err != nil {
		return x, err
	}
	defer r.Body.Close()
	x.Request = r
	// The answer may come before the whole request: then the rest of that is
	// what the client sends until it notices.
	x.Sent = readSome(r.Body)
	for {
		resp, err := http.ReadResponse(out, r)
		if err != nil {
			return x, err
		}
		x.Answer = readSome(resp.Body)
		_ = resp.Body.Close() // it was read
		if resp.StatusCode >= http.StatusOK {
			x.Status, x.Header = resp.StatusCode, resp.Header
			return x, nil
		}
	}
}

// readSome reads a body to its end and keeps it if it is not large.
func readSome(r io.Reader) Body {
	b, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil || len(b) > MaxBody {
		_, _ = io.Copy(io.Discard, r) // where it is broken off, so is what follows
		return Body{Bytes: b}
	}
	return Body{Bytes: b, Whole: true}
}

// stream holds what passed and was not looked at yet. Adding to it never waits.
type stream struct {
	mu      sync.Mutex
	more    sync.Cond
	pending []byte
	ended   bool // nothing is added any more
	stopped bool // nobody looks any more
	dropped bool // more came than was kept
}

func newStream() *stream {
	s := &stream{}
	s.more.L = &s.mu
	return s
}

func (s *stream) add(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.dropped {
		return
	}
	if len(s.pending)+len(b) > maxBehind {
		s.dropped = true
	} else {
		s.pending = append(s.pending, b...)
	}
	s.more.Signal()
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.more.Signal()
}

func (s *stream) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped, s.pending = true, nil
}

func (s *stream) lost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Read waits for what passes.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) == 0 {
		if s.ended || s.dropped {
			return 0, io.EOF
		}
		s.more.Wait()
	}
	n := copy(p, s.pending)
	if s.pending = s.pending[n:]; len(s.pending) == 0 {
		s.pending = nil
	}
	return n, nil
}
