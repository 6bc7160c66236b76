package compiler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Options of a pool. Zero values stand for the defaults.
type Options struct {
	Command []string // that calls Work, with its arguments; none: every module is refused as costly

	Processes int           // at once; default 2
	Timeout   time.Duration // for one module, wall time; default 30 s. It gets as much processor time, and a second
	Memory    int64         // bytes of address space of a process; default 3 GiB

	Modules  int           // that a process compiles before another takes its place; default 256
	Resident int64         // bytes that it may keep resident between modules; default 256 MiB
	Idle     time.Duration // how long it waits for a module before it is ended; default 30 s
}

func (o Options) withDefaults() Options {
	o.Processes = orDefault(o.Processes, 2)
	o.Timeout = orDefault(o.Timeout, 30*time.Second)
	o.Memory = orDefault(o.Memory, 3<<30)
	o.Modules = orDefault(o.Modules, 256)
	o.Resident = orDefault(o.Resident, 256<<20)
	o.Idle = orDefault(o.Idle, 30*time.Second)
	return o
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the compile processes are closed")

	// ErrFolder says that the folder that was to be compiled into can't be used.
	ErrFolder = errors.New("compile into a folder")

	// ErrProcess says that a compile process does not do its work, whatever the module.
	ErrProcess = errors.New("the compile process does not work")
)

// A RefusedError says what is wrong about a module.
type RefusedError struct {
	Reason  string
	Invalid bool // it is not a valid module
	Costly  bool // compiling it takes more than is allowed; neither: the compiler has a defect
}

func (e *RefusedError) Error() string { return e.Reason }

// Pool compiles modules in processes that it starts when they are needed. It
// is safe for concurrent use.
type Pool struct {
	options Options
	target  Target
	slots   chan struct{} // one for each module that is being compiled
	base    context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	idle    []*process // the one used last is at the end
	closed  bool
	running sync.WaitGroup // processes
	started uint64         // of them, so far
}

// NewPool makes a pool, which starts nothing yet. The caller closes it.
func NewPool(o Options) (*Pool, error) {
	o = o.withDefaults()
	if o.Processes < 0 || o.Timeout < 0 || o.Memory < 0 || o.Modules < 0 || o.Resident < 0 || o.Idle < 0 {
		return nil, fmt.Errorf("compile processes: no option may be negative: %+v", o)
	}
	p := &Pool{options: o, target: ThisTarget(), slots: make(chan struct{}, o.Processes)}
	p.base, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Compile compiles a module into the folder dir, which is empty and private to
// the call, and has an absolute path. When it returns nil the folder holds
// exactly one file, Target.File(code). Other ends are ctx's error, a *RefusedError,
// ErrFolder, ErrProcess and ErrClosed.
func (p *Pool) Compile(ctx context.Context, dir string, code []byte) error {
	if len(p.options.Command) == 0 {
		return &RefusedError{Costly: true, Reason: "compiling it may take long, and no compile process is configured"}
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	case <-p.base.Done():
		return ErrClosed
	}
	bounded, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	for again := false; ; again = true {
		c, err := p.take(again)
		if err != nil {
			return err
		}
		first := c.modules == 0
		v, text, err := c.compile(bounded, dir, code)
		if err == nil {
			p.give(c, v)
			return p.judge(v, text, dir, code)
		}
		err = p.broken(ctx, bounded, c, err)
		var refused *RefusedError
		if first || !errors.As(err, &refused) || bounded.Err() != nil {
			return err
		}
		// What a module may take must not depend on those before it: only a
		// process that has seen no other may refuse it.
	}
}

// judge is the error for a verdict.
func (p *Pool) judge(v verdict, text, dir string, code []byte) error {
	switch v {
	case compiled:
		return holdsOnly(dir, p.target.File(code))
	case invalid:
		return &RefusedError{Reason: text, Invalid: true}
	case unwritable:
		return fmt.Errorf("%w: %s", ErrFolder, text)
	default:
		return &RefusedError{Reason: "the compiler can't handle it: " + text}
	}
}

// broken finds out why a process broke off, and ends it.
func (p *Pool) broken(ctx, bounded context.Context, c *process, err error) error {
	defer c.end()
	if errors.Is(err, errFrame) {
		return fmt.Errorf("%w: %w", ErrProcess, err)
	}
	status, ended := 0, false
	if bounded.Err() == nil && p.base.Err() == nil {
		status, ended = c.fate()
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.base.Err() != nil:
		return ErrClosed
	case bounded.Err() != nil, ended && status == exitTime:
		return &RefusedError{Costly: true, Reason: fmt.Sprintf("compiling it takes more than %s", p.options.Timeout)}
	case !ended:
		return fmt.Errorf("%w: it neither answers nor ends: %w", ErrProcess, err)
	case status == 0 || status == exitFailed:
		return fmt.Errorf("%w: it ended with status %d and said %q", ErrProcess, status, c.stderr)
	default:
		return &RefusedError{Costly: true, Reason: "compiling it takes more memory or time than a compile process gets"}
	}
}

// holdsOnly makes sure that a compile process left the one file that is
// looked for, and nothing else: without it the module would be compiled here
// after all, and what else is there is not for us.
func holdsOnly(dir, name string) error {
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case rel == name && d.Type().IsRegular():
			found = true
			return nil
		case d.IsDir() && (rel == "." || rel == filepath.Dir(name)):
			return nil
		}
		return fmt.Errorf("%q is not what it was to leave", rel)
	})
	if err == nil && !found {
		err = fmt.Errorf("%s is missing", name)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProcess, err)
	}
	return nil
}

// take returns a process that waits, or a new one, which may be asked for.
func (p *Pool) take(fresh bool) (*process, error) {
	for !fresh {
		c := p.pop()
		if c == nil {
			break
		}
		select {
		case <-c.done: // somebody ended it while it waited
			c.end()
		default:
			return c, nil
		}
	}
	if fresh { // it takes the place of one that waits, if there is any
		if c := p.pop(); c != nil {
			c.end()
		}
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	p.running.Add(1)
	p.started++
	p.mu.Unlock()
	seconds := int64((p.options.Timeout + time.Second - 1) / time.Second)
	c, err := start(p.base, p.options.Command, []string{
		memoryEnv + "=" + strconv.FormatInt(p.options.Memory, 10),
		secondsEnv + "=" + strconv.FormatInt(seconds, 10),
	}, p.running.Done)
	switch {
	case err == nil:
		return c, nil
	case p.base.Err() != nil:
		return nil, ErrClosed
	default:
		return nil, fmt.Errorf("%w: start it: %w", ErrProcess, err)
	}
}

// pop takes out the process that was used last of those that wait, or returns nil.
func (p *Pool) pop() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	c := p.idle[n]
	p.idle = slices.Delete(p.idle, n, n+1)
	c.idle.Stop()
	return c
}

// give takes back a process that has answered, and keeps it if it is good for
// more.
func (p *Pool) give(c *process, v verdict) {
	keep := v != unable && c.modules < p.options.Modules && c.resident() <= p.options.Resident
	p.mu.Lock()
	keep = keep && !p.closed
	if keep {
		c.idle = time.AfterFunc(p.options.Idle, func() { p.expire(c) })
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.end()
	}
}

// expire ends a process that has waited for long.
func (p *Pool) expire(c *process) {
	p.mu.Lock()
	n := slices.Index(p.idle, c)
	if n >= 0 {
		p.idle = slices.Delete(p.idle, n, n+1)
	}
	p.mu.Unlock()
	if n >= 0 {
		c.kill()
	}
}

// Target is what modules are compiled for.
func (p *Pool) Target() Target { return p.target }

// Started is how many processes were started so far.
func (p *Pool) Started() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}

// Close ends all processes and waits until nothing of them is left. Modules
// that are being compiled fail with ErrClosed.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	p.cancel()
	for _, c := range idle {
		c.idle.Stop()
		c.kill()
	}
	p.running.Wait()
}
