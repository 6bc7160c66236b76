package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// watchdog is OpenFaaS's of-watchdog, which starts a process for each call. Each
// function has a watchdog of its own, in production in a container of its own,
// which is not measured here.
type watchdog struct{ Setup }

func (*watchdog) Name() string  { return "of-watchdog" }
func (*watchdog) Gives() string { return "a new process (without the container around it)" }

func (w *watchdog) Start(ctx context.Context, _ int) (*Running, error) {
	program := w.Watchdog
	if program == "" {
		var err error
		if program, err = exec.LookPath("of-watchdog"); err != nil {
			return nil, skip("there is no of-watchdog: it could not be built from its Go module, and is not in the search path")
		}
	} else if _, err := os.Stat(program); err != nil {
		return nil, skip("%v", err)
	}
	code, err := w.program(ctx)
	if err != nil {
		return nil, err
	}
	folder, err := w.folder("watchdog", 1, ".bin", func(int) []byte { return code })
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	var log head
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(),
		"mode=streaming", // a process for each call
		"fprocess="+filepath.Join(folder, "0.bin"),
		"port="+port, // and 8081 for metrics, always
		"suppress_lock=true", "prefix_logs=false")
	cmd.Stderr = &log // of its output there is a line for each call
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() error {
		// It need not end well when it is told to end.
		return errors.Join(cmd.Process.Kill(), ignoreExit(cmd.Wait()))
	}
	addr := "127.0.0.1:" + port
	if err := listens(ctx, addr); err != nil {
		err = errors.Join(err, stop())
		return nil, fmt.Errorf("of-watchdog: %w\n%s", err, log.text)
	}
	return &Running{Addr: addr, Path: func(int) string { return "/" }, PID: cmd.Process.Pid, Functions: 1, Stop: stop}, nil
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

// listens waits until somebody listens at the address, for half a minute at most.
func listens(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}
