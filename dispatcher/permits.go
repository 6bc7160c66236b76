package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"pappus/engine"
)

// classes of those who wait for a permit.
type class int

const (
	classNew    class = iota // instances that have not started
	classParked              // instances that have had their quantum
	classes
)

// parkedShare bounds from below what parked instances get while new ones wait
// too: one part in that many of the time of all permits.
const parkedShare = 4

// turnsPerQuantum divides the quantum into the turns in which parked instances
// get their share, so that new ones wait a turn and not a quantum.
const turnsPerQuantum = 4

// spareWaiters is how many waiters are kept for the next ones.
const spareWaiters = 256

// permits hands out the right to use a processor, and the memory for contexts,
// which an instance needs to start: both come at once or not at all, so nobody
// holds one while waiting for the other.
//
// One mutex guards everything; free and waiting are read without it where an
// old value does no harm.
type permits struct {
	total   int
	quantum time.Duration
	turn    time.Duration
	strict  bool
	procs   int32         // processors that Go uses
	memory  int64         // bytes for contexts
	stopped chan struct{} // closed when everyone has to go

	free    atomic.Int32
	waiting atomic.Int32 // in both queues
	hungry  atomic.Bool  // there are growing ones
	stuck   atomic.Bool  // nothing runs, and what would help is not known to permits

	mu      sync.Mutex
	timeout time.Duration // of new instances that wait
	most    int           // new instances of one tenant that may wait
	used    int64         // of memory
	peak    int64         // the most that was used
	alive   int           // instances that have started and not ended
	growing []*waiter     // of these, those that wait for memory, the oldest first; in no queue
	runs    map[*share]struct{}
	ages    uint64 // of invocations: how many there were that had to wait
	queues  [classes]fairQueue[*waiter]
	owed    time.Duration  // what parked instances have not got of their share; bounded
	places  map[string]int // new invocations that wait, by tenant
	spare   []*waiter

	droppedInstances, droppedRuns int64
}

// waiter is a place in a queue, and how its owner hears that its turn has come.
type waiter struct {
	place   place[*waiter]
	class   class
	line    line
	bytes   int64 // of memory that comes with the permit, or before it
	least   int64 // what it could start with, if there is no other way; 0: not with less
	run     *share
	order   order
	owner   *instance     // who has started, and waits for memory; nil for others
	granted bool          // guarded by permits.mu
	err     error         // why it is not granted; guarded by permits.mu
	ready   chan struct{} // gets one value when granted or refused
	timer   *time.Timer
}

// instance is one execution of a function. It is used by one goroutine, and by
// others only after that has handed it over.
type instance struct {
	permits *permits
	tenant  string
	opens   bool // nothing of its run has ended yet
	class   class
	holds   bool      // a permit
	since   time.Time // when it got it
	bytes   int64     // of memory charged
	stack   int64     // of these, what the machine's stack may take
	least   int64     // what it can start with, asking for more later; 0: it is charged all that it may ever need
	patient bool      // it waits to start as long as its context lasts, and takes no place
	alive   bool      // it has started and not ended
	run     *share    // of the run that it is part of, or nil
	order   order     // its worker's next ones have the same
	began   time.Time // when it got its first permit
	worker  *worker   // that runs it, until it has ended; or nil
}

var _ engine.Scheduler = (*instance)(nil)

func newPermits(c Config, memory int64) *permits {
	p := &permits{
		total: c.Workers, quantum: c.Quantum, turn: c.Quantum / turnsPerQuantum, timeout: c.QueueTimeout,
		most: c.Waiting, strict: c.Strict, procs: int32(runtime.GOMAXPROCS(0)), memory: memory,
		stopped: make(chan struct{}), places: make(map[string]int), runs: make(map[*share]struct{}),
	}
	p.free.Store(int32(c.Workers))
	return p
}

// bound sets how long and how many new instances may wait, for those that begin
// to wait from now on.
func (p *permits) bound(timeout time.Duration, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timeout, p.most = timeout, most
}

// forever is longer than any run may take.
const forever = 1000 * time.Hour

// errStopped ends instances when the dispatcher can't wait for them.
var errStopped = errors.New("the server stops")

// start waits for a permit and for bytes of memory. When it returns nil the
// instance holds both, though maybe less memory if it can start with less, and
// end must be called; otherwise it holds nothing, and the error is a fault.
func (p *permits) start(ctx context.Context, i *instance, bytes int64) error {
	p.mu.Lock()
	p.arrive(i)
	if p.startNow(i, bytes) {
		return nil
	}
	if i.worker.busy() {
		p.mu.Unlock()
		i.worker.settle()
		p.mu.Lock()
	}
	if bytes > p.memory {
		p.mu.Unlock()
		return overload(fmt.Sprintf("the function's memory limit of %s is more than the %s that this server has for contexts; lower the limit or raise the server's memory budget",
			engine.Bytes(bytes), engine.Bytes(p.memory)), nil)
	}
	if !i.patient {
		if err := p.queueUp(i.tenant); err != nil {
			p.mu.Unlock()
			return err
		}
	}
	w := p.waiter(classNew, i, bytes)
	i.run.wait(1)
	p.push(w)
	timeout := p.timeout
	if i.patient {
		timeout = forever
	}
	p.dispatch()
	p.mu.Unlock()

	timer := w.clock(timeout)
	var fault error
	taken := false
	for !taken && fault == nil {
		select {
		case <-w.ready:
			taken = true
		case <-ctx.Done():
			fault = gone(ctx)
		case <-timer:
			if i.run != nil && i.run.root().started.Load() {
				timer = nil // another instance of the invocation has started: it has begun
				continue
			}
			fault = overload(fmt.Sprintf("no worker and memory came free within %s; try again later, or give the server more of them", timeout), nil)
		case <-p.stopped:
			fault = overload("the server is shutting down; try again elsewhere or later", ErrClosed)
		}
	}
	w.timer.Stop()

	p.mu.Lock()
	if !i.patient {
		p.leaveQueue(i.tenant)
	}
	if taken {
		fault, bytes = w.err, w.bytes
	}
	if i.run.wait(-1); fault != nil && !taken {
		p.abandon(w)
		p.mu.Unlock()
		return fault
	}
	p.recycle(w)
	p.mu.Unlock()
	if fault != nil {
		return fault
	}
	i.take(bytes)
	return nil
}

// startNow gives an instance a permit and memory if they are there and nobody
// waits, and with it what its worker would like to have for the next ones.
// p.mu is held; if it succeeds, not any more.
func (p *permits) startNow(i *instance, bytes int64) bool {
	if p.free.Load() <= 0 || p.waiting.Load() > 0 || len(p.growing) > 0 || bytes > p.memory-p.used {
		return false
	}
	if room := i.worker.wants(); room <= (p.memory-p.used-bytes)/2 {
		bytes += room
	}
	p.free.Add(-1)
	p.use(bytes)
	p.alive++
	p.mu.Unlock()
	i.take(bytes)
	return true
}

func (i *instance) take(bytes int64) {
	now := time.Now()
	i.holds, i.alive, i.began, i.since, i.bytes = true, true, now, now, bytes
	if i.run != nil {
		if root := i.run.root(); !root.started.Load() {
			root.started.Store(true)
		}
	}
}

// enterQueue counts an invocation of tenant as waiting for something else than
// a permit. Unless it fails, exitQueue must follow.
func (p *permits) enterQueue(tenant string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queueUp(tenant)
}

func (p *permits) exitQueue(tenant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveQueue(tenant)
}

// queueUp counts an invocation of tenant that waits. p.mu is held.
func (p *permits) queueUp(tenant string) error {
	n := p.places[tenant]
	if n >= p.most {
		return overload(fmt.Sprintf("%d invocations already wait; try again later", n), nil)
	}
	p.places[tenant] = n + 1
	return nil
}

func (p *permits) leaveQueue(tenant string) {
	if n := p.places[tenant]; n > 1 {
		p.places[tenant] = n - 1
	} else {
		delete(p.places, tenant)
	}
}

// end gives the permit back, if the instance still has it, and of its memory
// all but keep bytes, which its answer goes on using.
func (p *permits) end(i *instance, keep int64) {
	i.worker = nil
	p.mu.Lock()
	if i.holds {
		i.holds = false
		if p.waiting.Load() > 0 {
			p.account(i, time.Since(i.since))
		}
		p.free.Add(1)
	}
	if i.alive {
		i.alive = false
		p.alive--
	}
	p.used -= i.bytes - keep
	i.bytes = keep
	p.dispatch()
	p.mu.Unlock()
}

// Yield lets others go first when it is their turn. See engine.Scheduler.
func (i *instance) Yield(ctx context.Context, deadline time.Time) (time.Duration, error) {
	p := i.permits
	i.worker.settle()
	select {
	case <-p.stopped:
		return 0, errStopped
	default:
	}
	if w := p.park(i); w != nil {
		return p.comeBack(ctx, i, w, deadline)
	}
	p.letOthersIn()
	return 0, nil
}

// letOthersIn gives way to what is no instance, where instances may be running
// on every processor: they can't be preempted, so whoever reads a request or
// writes an answer gets in here or late.
func (p *permits) letOthersIn() {
	busy := int32(p.total) - p.free.Load()
	if busy >= p.procs {
		runtime.Gosched()
	}
	if busy >= int32(p.total) {
		// The system lets a thread that computes finish its time, some
		// milliseconds, before one that has just become ready: that of the
		// goroutine which has the next request, or another process's.
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}

// park takes the permit from an instance when it is another's turn and returns
// the place in which the instance waits to get it back; nil if it goes on.
func (p *permits) park(i *instance) *waiter {
	if p.waiting.Load() == 0 || p.strict {
		return nil
	}
	held := time.Since(i.since)
	if i.class == classNew && held < p.quantum {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i.class == classParked && held < p.quantum && (p.startable() == nil || p.owed > held) {
		return nil // only new instances interrupt a parked one's quantum, and not its share
	}
	p.account(i, held)
	next := p.pick()
	if next == nil {
		i.since = i.since.Add(held)
		return nil // those who wait need more memory than there is
	}
	i.holds, i.class = false, classParked
	w := p.waiter(classParked, i, 0)
	i.run.wait(1)
	p.push(w)
	p.grant(next)
	return w
}

// comeBack waits for a parked instance's next turn, or for that of one which has
// to get memory before. Without a deadline it waits as long as ctx lasts.
func (p *permits) comeBack(ctx context.Context, i *instance, w *waiter, deadline time.Time) (time.Duration, error) {
	from := time.Now()
	left := deadline.Sub(from)
	if deadline.IsZero() {
		left = forever
	}
	timer := w.clock(left)
	var err error
	taken := false
	select {
	case <-w.ready:
		taken = true
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer:
		if err = context.DeadlineExceeded; w.owner != nil {
			err = fmt.Errorf("it has waited for memory to its deadline: %w", engine.ErrDropped)
		}
	case <-p.stopped:
		err = errStopped
	}
	w.timer.Stop()
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if taken {
		err = w.err
	}
	i.run.wait(-1)
	switch {
	case !taken:
		p.abandon(w)
	case err != nil:
		p.recycle(w)
	default:
		p.recycle(w)
		i.holds, i.since = true, now
	}
	return now.Sub(from), err
}

// account notes what an instance has had of its permit, where the other class
// waited for it.
func (p *permits) account(i *instance, held time.Duration) {
	switch {
	case i.class == classNew && p.queues[classParked].length > 0:
		p.owed += held / (parkedShare - 1)
	case i.class == classParked && p.queues[classNew].length > 0:
		p.owed -= held
	}
	bound := p.quantum * time.Duration(p.total)
	p.owed = min(max(p.owed, -bound), bound)
}

// startable is the new instance that is next, if there is memory for it. A
// large one is not passed by smaller ones, or it could wait for ever; nor are
// those that have started and need more.
func (p *permits) startable() *waiter {
	if len(p.growing) > 0 {
		return nil
	}
	if n := p.queues[classNew].peek(); n != nil && n.value.bytes <= p.memory-p.used {
		return n.value
	}
	return nil
}

// pick takes who is next out of its queue: new instances before parked ones,
// until those are owed a turn.
func (p *permits) pick() *waiter {
	startable, parked := p.startable(), p.queues[classParked].peek()
	switch {
	case startable != nil && (parked == nil || p.owed < p.turn):
		return p.dequeue(classNew)
	case parked != nil:
		return p.dequeue(classParked)
	default:
		return nil
	}
}

// dispatch hands out free permits and memory while there is somebody to take
// them. It follows everything that frees either, or changes who waits.
func (p *permits) dispatch() {
	defer p.notice()
	if p.waiting.Load() == 0 && len(p.growing) == 0 {
		return
	}
	p.feed()
	for p.waiting.Load() > 0 && p.free.Load() > 0 {
		w := p.pick()
		if w == nil {
			break
		}
		p.free.Add(-1)
		p.grant(w)
	}
	p.unstick()
}

// notice notes whether there are growing ones, for those who don't hold p.mu.
func (p *permits) notice() {
	if hungry := len(p.growing) > 0; hungry != p.hungry.Load() {
		p.hungry.Store(hungry)
	}
}

// grant gives a permit, which is not counted as free, to w.
func (p *permits) grant(w *waiter) {
	p.use(w.bytes)
	if w.class == classNew {
		p.alive++
	}
	w.granted = true
	w.ready <- struct{}{}
}

// abandon takes back what a waiter was given, or its place, when its owner has
// stopped waiting. No permit is lost, whichever came first.
func (p *permits) abandon(w *waiter) {
	switch growing := slices.Index(p.growing, w); {
	case w.granted:
		<-w.ready
		p.used -= w.bytes
		p.free.Add(1)
		if w.class == classNew {
			p.alive--
		}
	case w.err != nil:
		<-w.ready
	case growing >= 0:
		p.growing = slices.Delete(p.growing, growing, growing+1)
	default:
		p.remove(w)
	}
	p.recycle(w)
	p.dispatch()
}

// waiter is a new one, which has to be put into a queue.
func (p *permits) waiter(c class, i *instance, bytes int64) *waiter {
	var w *waiter
	if n := len(p.spare); n > 0 {
		w, p.spare = p.spare[n-1], p.spare[:n-1]
	} else {
		w = &waiter{ready: make(chan struct{}, 1)}
		w.place.value = w
	}
	w.class, w.line, w.bytes, w.least, w.run, w.order = c, i.line(c), bytes, i.least, i.run, i.order
	return w
}

// push puts a waiter into the queue of its class.
func (p *permits) push(w *waiter) {
	p.queues[w.class].push(w.line, &w.place)
	p.waiting.Add(1)
}

func (p *permits) remove(w *waiter) {
	p.queues[w.class].remove(&w.place)
	p.waiting.Add(-1)
}

func (p *permits) dequeue(c class) *waiter {
	p.waiting.Add(-1)
	return p.queues[c].pop().value
}

// recycle keeps a waiter, whose channel is empty, for the next one.
func (p *permits) recycle(w *waiter) {
	w.run, w.owner, w.granted, w.err = nil, nil, false, nil
	if len(p.spare) < spareWaiters {
		p.spare = append(p.spare, w)
	}
}

// clock starts the waiter's timer.
func (w *waiter) clock(d time.Duration) <-chan time.Time {
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	return w.timer.C
}

// stop wakes everybody who waits, and ends every instance at its next Yield.
func (p *permits) stop() { close(p.stopped) }

// permitCounts is what permits count, of one moment.
type permitCounts struct {
	inUse, total  int
	waiting       [classes]int
	memory, limit int64 // bytes of contexts and unread answers
	peak          int64 // the most that memory was
	growing       int   // instances that wait for more memory
	dropped       int64 // instances so far, because there was none
	droppedRuns   int64
}

func (p *permits) counts() permitCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := permitCounts{inUse: p.total - int(p.free.Load()), total: p.total, memory: p.used, limit: p.memory, peak: p.peak,
		growing: len(p.growing), dropped: p.droppedInstances, droppedRuns: p.droppedRuns}
	for k := range p.queues {
		c.waiting[k] = p.queues[k].length
	}
	return c
}
