package compiler

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// process is a compile process as its parent sees it. One caller uses it at a
// time.
type process struct {
	cmd    *exec.Cmd
	in     *os.File // requests go in here
	out    *os.File // and answers come from here
	stderr *head
	done   chan struct{} // closed once the process has ended and nothing of it is left
	err    error         // how it ended; valid after done

	modules int         // that it has compiled
	idle    *time.Timer // ends it; while it waits for a module
}

// grace is how long a process that closed its pipes may take to end.
const grace = 2 * time.Second

// start starts a process, which lives until base ends or it is killed. ended
// is called when nothing of it is left.
func start(base context.Context, command, env []string, ended func()) (*process, error) {
	p := &process{stderr: &head{left: maxText}, done: make(chan struct{})}
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close(), in.Close())
	}
	p.in, p.out = in, out
	p.cmd = exec.CommandContext(base, command[0], command[1:]...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, p.stderr
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.WaitDelay = grace
	// A child must not outlive a parent that was killed.
	p.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	started := make(chan error, 1)
	go func() {
		defer ended()
		defer close(p.done)
		// The signal of Pdeathsig comes when the thread that started the child
		// ends, so it stays with this goroutine.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		_, _ = stdin.Close(), stdout.Close() // the child has its own
		if err != nil {
			_, _ = p.in.Close(), p.out.Close()
		}
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// kill ends the process at once. It may be called at any time and repeatedly,
// and has whoever uses the process return with an error.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_, _ = p.in.Close(), p.out.Close()
}

// end kills the process and waits until nothing of it is left.
func (p *process) end() {
	p.kill()
	<-p.done
}

// compile has one module compiled. After an error the process must be ended.
func (p *process) compile(ctx context.Context, dir string, code []byte) (verdict, string, error) {
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	p.modules++
	if err := writeRequest(p.in, dir, code); err != nil {
		return 0, "", err
	}
	return readReply(p.out)
}

// fate waits for a process that broke off by itself, and says how it ended:
// with a status, or by a signal, which is -1. One that does not end is killed;
// then there is no fate.
func (p *process) fate() (status int, ok bool) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.end()
		return 0, false
	}
	_, _ = p.in.Close(), p.out.Close()
	var exit *exec.ExitError
	switch {
	case p.err == nil:
		return 0, true
	case errors.As(p.err, &exit):
		return exit.ExitCode(), true
	default:
		return 0, false
	}
}

// resident is how much memory of the process is resident, in bytes.
func (p *process) resident() int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/statm")
	if err != nil {
		return 0 // it has ended, which its next user will see
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 48)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// head keeps the first bytes of what is written and drops the rest.
type head struct {
	mu   sync.Mutex
	b    bytes.Buffer
	left int
}

var _ io.Writer = (*head)(nil)

func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	keep := b[:min(len(b), h.left)]
	h.left -= len(keep)
	h.b.Write(keep)
	return len(b), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.TrimSpace(h.b.String())
}
