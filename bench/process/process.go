package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Server is a process that listens, with its address.
type Server struct {
	Addr    string // host:port
	cmd     *exec.Cmd
	drained chan struct{} // closed when its output has ended
	log     *tail
}

// Start runs a program that prints "listening on http://ADDR" when it is
// ready. The caller stops it.
func Start(ctx context.Context, program string, args ...string) (*Server, error) {
	s := &Server{drained: make(chan struct{}), log: new(tail)}
	s.cmd = exec.CommandContext(ctx, program, args...)
	s.cmd.Stderr = s.log
	EndWithParent(s.cmd)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = 10 * time.Second
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go func() {
		defer close(s.drained)
		lines := bufio.NewReader(stdout)
		line, err := lines.ReadString('\n')
		if addr, ok := strings.CutPrefix(line, "listening on http://"); ok && err == nil {
			ready <- strings.TrimSpace(addr)
		}
		close(ready)
		_, err = io.Copy(io.Discard, lines) // what else it says must not fill the pipe
		_ = err                             // the pipe breaks when the process ends, and that is told by stop
	}()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	select {
	case s.Addr = <-ready:
		if s.Addr != "" {
			return s, nil
		}
		err = errors.New("it ended, or said something else")
	case <-patience.C:
		err = errors.New("it said nothing for 30 s")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(fmt.Errorf("%s does not listen: %w", program, err), s.Stop())
}

// PID is the process's number.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends the process and waits until it has; it is an error if it does not
// end well.
func (s *Server) Stop() error {
	// A process that has ended already can't be told to; Wait says how it did.
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	<-s.drained
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", s.cmd.Path, err, s.log.String())
	}
	return nil
}

// tail is a writer that keeps the last few KiB.
type tail struct {
	mu  sync.Mutex
	end []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const keep = 4 << 10
	t.end = append(t.end, p...)
	if len(t.end) > keep {
		t.end = bytes.Clone(t.end[len(t.end)-keep:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.end)
}
