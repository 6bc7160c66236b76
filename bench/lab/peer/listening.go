package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"time"

	"pappus/bench/process"
)

// foreign is a program of others that listens where it was told to.
type foreign struct {
	addr  string
	cmd   *exec.Cmd
	log   head
	ended chan struct{} // closed when it has ended
	err   error         // how, then
}

// listening starts a program and waits until it listens at the address, for half
// a minute at most.
func listening(ctx context.Context, cmd *exec.Cmd, addr string) (*foreign, error) {
	f := &foreign{addr: addr, cmd: cmd, ended: make(chan struct{})}
	cmd.Stderr = &f.log
	process.EndWithParent(cmd)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		f.err = cmd.Wait()
		close(f.ended)
	}()
	if err := f.wait(ctx); err != nil {
		err = errors.Join(err, f.stop())
		return nil, fmt.Errorf("%s: %w\n%s", cmd.Path, err, f.log.text)
	}
	return f, nil
}

func (f *foreign) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", f.addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ticker.C:
		case <-f.ended:
			return fmt.Errorf("it ended before it listened: %w", errors.Join(err, f.err))
		case <-ctx.Done():
			return err
		}
	}
}

// stop ends the program. How it ends is not looked at: others need not end well
// when they are told to.
func (f *foreign) stop() error {
	_ = f.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	patience := time.NewTimer(2 * time.Second)
	defer patience.Stop()
	select {
	case <-f.ended:
	case <-patience.C:
		_ = f.cmd.Process.Kill()
		<-f.ended
	}
	return ignoreExit(f.err)
}

// kill ends the program at once.
func (f *foreign) kill() error {
	_ = f.cmd.Process.Kill() // it may have ended
	<-f.ended
	return ignoreExit(f.err)
}

// head is a writer that keeps what comes first.
type head struct{ text []byte }

func (h *head) Write(p []byte) (int, error) {
	const keep = 4 << 10
	h.text = append(h.text, p[:min(len(p), keep-len(h.text))]...)
	return len(p), nil
}

// ignoreExit is the error of a process that could not be waited for.
func ignoreExit(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil
	}
	return err
}

// freePort is one of loopback that nobody listens on now.
func freePort(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}
