package memo

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"pappus/engine"
)

// ErrPanicked is what the callers of a shared run get that panicked.
var ErrPanicked = errors.New("a shared run panicked")

// flights are the runs going on that equal calls share.
type flights struct {
	mu     sync.Mutex
	of     map[Key]*flight
	closed bool
	runs   sync.WaitGroup
}

// A flight is one run, which belongs to none of its callers: it goes on for as
// long as one of them waits. Fields below mu are guarded by flights.mu until
// done is closed, and don't change afterwards.
type flight struct {
	table  *flights
	call   *Call // of its leader
	key    Key
	born   uint64
	began  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	reads  bool // it looks on disk first, and its leader has room for what is there

	// mu:
	placed    chan struct{} // closed: no caller's memory is read any more; nil: nobody waits for it
	waiters   int
	leader    bool // it still waits
	isPlaced  bool
	longest   time.Duration // of the callers' timeouts; 0: no limit
	used      time.Duration // what the run was told
	timed     bool          // it was told
	finished  bool
	source    Source
	stored    bool
	entry     *entry        // what everyone gets, if there is no error,
	result    engine.Result // or what the leader gets, who is alone
	err       error
	onlyOwner bool // err is not everyone's
	canceled  bool // the run was told to end
}

// Shared is what a run knows of those it is for. Methods may be called from any
// goroutine. A run that is not shared has one too.
type Shared struct {
	flight  *flight // nil: the run has one caller, who waits for its end
	timeout time.Duration
}

// Placed tells that the inputs will not be read any more. Until then the run ends
// when the caller whose inputs they are goes away. More calls than one have no
// effect.
func (s *Shared) Placed() {
	if s.flight == nil {
		return
	}
	t := s.flight.table
	t.mu.Lock()
	defer t.mu.Unlock()
	s.flight.setPlaced()
}

// Again asks for the inputs of a run that has told that it does not need them any
// more, and has to begin again. If it reports false they are not there, since the
// caller whose they were has left: then the run ends with ErrInputsGone, and others
// who wait begin it with their own.
func (s *Shared) Again() bool {
	if s.flight == nil {
		return true
	}
	t := s.flight.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.flight.leader {
		return false
	}
	s.flight.isPlaced = false
	return true
}

// ErrInputsGone ends a run that would have to begin again without its inputs.
var ErrInputsGone = errors.New("the inputs of the call have gone with the caller whose they were")

func (f *flight) setPlaced() {
	if !f.isPlaced && f.placed != nil {
		close(f.placed)
	}
	f.isPlaced = true
}

// Timeout is how long the run may take: the longest of the callers' timeouts at
// this moment; 0 if one has none. A caller who comes later with a longer one
// gets a run of its own if this one does not end in time.
func (s *Shared) Timeout() time.Duration {
	if s.flight == nil {
		return s.timeout
	}
	f := s.flight
	f.table.mu.Lock()
	defer f.table.mu.Unlock()
	f.used, f.timed = f.longest, true
	return f.used
}

// join makes the caller one of those who wait for the run of its key. If there
// is none it becomes the leader of a new one, which it has to start, unless
// recheck finds the result: a run may have ended since the caller looked. All
// are nil when the memo is closed.
func (t *flights) join(ctx context.Context, c *Call, key Key, born uint64, dead func(born uint64) bool, recheck func() *entry) (*flight, bool, *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, leads := t.of[key], false
	if f == nil || dead(f.born) {
		if found := recheck(); found != nil {
			return nil, false, found
		}
		if t.closed {
			return nil, false, nil
		}
		f = &flight{
			table: t, call: c, key: key, born: born, began: time.Now(),
			done: make(chan struct{}), leader: true, longest: c.Timeout,
		}
		f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		t.of[key] = f
		t.runs.Add(1)
		leads = true
	}
	f.waiters++
	if f.longest > 0 && (c.Timeout == 0 || c.Timeout > f.longest) {
		f.longest = c.Timeout
	}
	return f, leads, nil
}

// unlist keeps others from joining. The caller holds mu.
func (t *flights) unlist(f *flight) {
	if t.of[f.key] == f {
		delete(t.of, f.key)
	}
}

// wait reports true when the run has ended, and false when ctx did before: then
// the caller has left, and the run reads none of its memory.
func (t *flights) wait(ctx context.Context, f *flight, leads bool) bool {
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	if f.finished { // it counts on this caller
		t.mu.Unlock()
		<-f.done
		return true
	}
	f.waiters--
	if leads {
		f.leader = false
	}
	reads := leads && !f.isPlaced
	abandon := f.waiters == 0 || reads
	if abandon {
		t.unlist(f)
	}
	if reads {
		f.placed = make(chan struct{})
	}
	t.mu.Unlock()
	if abandon {
		f.cancel()
	}
	if reads {
		<-f.placed // or it ends, which is the same
	}
	return false
}

// finish publishes how the run ended. What is stored must be stored before.
func (f *flight) finish(r engine.Result, e *entry, err error) {
	t := f.table
	t.mu.Lock()
	t.unlist(f)
	f.finished = true
	alone := f.waiters == 1 && f.leader
	none := f.waiters == 0
	f.setPlaced()
	t.mu.Unlock()

	f.canceled = f.ctx.Err() != nil
	f.cancel()
	f.err, f.onlyOwner = err, err != nil && ofCaller(err)
	switch {
	case e != nil || err != nil || none:
		f.entry = e
		r.Release()
	case alone:
		f.result = r
	default:
		// Copies, since items of a composition's result may be others' too.
		f.entry = &entry{key: f.key, usage: r.Usage}
		f.entry.outputs, _ = clone(r.Outputs)
		r.Release()
	}
	close(f.done)
	t.runs.Done()
}

// ofCaller reports whether an error says something of a caller, or of the
// machine at that moment, so that another one could have had better luck.
func ofCaller(err error) bool {
	switch engine.KindOf(err) {
	case engine.FaultDeadline, engine.FaultCanceled, engine.FaultOverload, engine.FaultLimitTime, engine.FaultLimitBytes:
		return true
	case "":
		return errors.Is(err, ErrInputsGone) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	default:
		return false
	}
}

// limited reports whether the run came to a limit of its leader's: of the time that
// the run of a composition takes, or of the memory that it, or the one that the
// leader is an instance of, holds. It says nothing of another caller.
func (f *flight) limited() bool {
	kind := engine.KindOf(f.err)
	return kind == engine.FaultLimitTime || kind == engine.FaultLimitBytes
}

// concerns reports whether the run's error is also that of a caller who joined.
// A deadline is if the caller has no more time than the run had. Overload is the
// second time: by then the caller has waited for as long as is too long for a
// turn, and thousands must not wait so long one after the other.
func (f *flight) concerns(c *Call, overloads *int) bool {
	if !f.onlyOwner {
		return true
	}
	switch engine.KindOf(f.err) {
	case engine.FaultDeadline:
		return f.timed && (f.used == 0 || c.Timeout > 0 && c.Timeout <= f.used) && !f.canceled
	case engine.FaultOverload:
		if c.Patient {
			return false
		}
		*overloads++
		return *overloads > 1
	default:
		return false
	}
}

// protected calls run and turns a panic into an error: on a goroutine of its
// own it would end the process.
func protected(ctx context.Context, s *Shared, run Run) (r engine.Result, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanicked, cause, debug.Stack())
		}
	}()
	return run(ctx, s)
}
