package memo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"pappus/data"
	"pappus/engine"
)

// Options of a memo.
type Options struct {
	Memory int64 // capacity of the first tier in bytes, at least 64 KiB

	Disk DiskOptions // the second tier; none if Disk.Dir is empty

	// VerifyEvery has one of so many hits recomputed (see Outcome.Verify); 0: none.
	VerifyEvery uint64

	// Functions is how many functions there are figures of; 0: 1,024.
	Functions int

	Log *slog.Logger // nil: nobody is told
}

const defaultFunctions = 1_024

// Memo is safe for concurrent use.
type Memo struct {
	options   Options
	memory    *memory
	disk      *disk // nil: there is none
	flights   flights
	cuts      cuts
	functions registered
	rate      rate
	counts    counts
	start     time.Time

	sample                atomic.Uint64 // hits, for VerifyEvery
	verified, differences atomic.Uint64
}

// New makes a memo. Its disk tier is opened, which takes time in proportion to
// what is in it.
func New(o Options) (*Memo, error) {
	if o.Functions == 0 {
		o.Functions = defaultFunctions
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Memo{options: o, start: time.Now()}
	m.flights.of = make(map[Key]*flight)
	m.functions.most, m.functions.of = o.Functions, make(map[registration]*Function)
	var err error
	if m.memory, err = newMemory(o.Memory, m.cuts.dead); err != nil {
		return nil, err
	}
	if o.Disk.Dir != "" {
		if m.disk, err = openDisk(o.Disk, o.Log, m.cuts.dead); err != nil {
			m.memory.close()
			return nil, err
		}
	}
	return m, nil
}

// Close waits for the runs that are shared, and for what is to be written to
// disk. Afterwards nothing is remembered, and Do just runs.
func (m *Memo) Close() {
	m.flights.mu.Lock()
	m.flights.closed = true
	m.flights.mu.Unlock()
	m.flights.runs.Wait()
	if m.disk != nil {
		m.disk.close()
	}
	m.memory.close()
}

// Function returns the function of a spec, for those who call it again and again.
func (m *Memo) Function(s Spec) *Function {
	digest := s.digest()
	return m.functions.get(registration{digest, s.Function, s.SuccessesOnly}, func() *Function {
		f := &Function{memo: m, digest: digest, scope: scope{s.Tenant, CodeDigest(s.Code)}, name: s.Function, successesOnly: s.SuccessesOnly}
		for i := range f.learned {
			f.learned[i].hits = priorHits
		}
		return f
	})
}

// A Call is one call of a function.
type Call struct {
	Function    *Function
	Inputs      []data.Set // arranged as the function gets them
	Parallelism int        // 0 for functions, which have no use for it

	// Fuel is the caller's limit; 0: none. It is not part of the key: a success
	// that used u is right for every limit from u on and out-of-fuel below it, and
	// out-of-fuel at a limit holds for all lower ones.
	Fuel int64

	// Timeout is how long a run may take for this caller, from its first
	// instruction on; 0: no limit. (ctx says how long the caller waits.)
	Timeout time.Duration

	// Refresh has the call computed again, whatever is remembered.
	Refresh bool

	// Keyed has the call looked up, even if that does not seem to pay.
	Keyed bool

	// Optional has even a call with small inputs looked up only if that seems to
	// pay: nobody wants to know its key.
	Optional bool

	// Patient has the caller wait for as long as ctx lasts, whatever others who
	// share the run are refused for.
	Patient bool

	// Room, if it is not nil, keeps room for a result of so many bytes, which is not
	// small, in place of what it kept before, and reports whether there is so much. It
	// is asked before a result is given, or read from disk; if there is no room the
	// call is computed, which may wait for it. 0 bytes give back what was kept; that
	// may come from another goroutine, and after Do has returned.
	Room func(bytes int64) bool

	// Gone says to Ran that the inputs are not there any more.
	Gone bool

	born uint64 // when it began
	n    sizes
}

// Key is the call's key.
func (c Call) Key() Key { return c.Function.Key(c.Inputs, c.Parallelism) }

// Run runs a call under the limit of fuel of the caller who gave it, and the
// timeout that s says. It ends soon when ctx does, which has the values of that
// caller's context. It may be on a goroutine of its own, and end after its
// caller left: of the caller's memory it may use only the inputs, and those until
// it calls s.Placed. Its usage should say how long it ran and was parked, or
// waiting for a turn counts as the time that a hit saves.
type Run func(ctx context.Context, s *Shared) (engine.Result, error)

// A Source says where an answer comes from.
type Source string

// Sources.
const (
	Computed   Source = "computed"
	FromMemory Source = "memory"
	FromDisk   Source = "disk"
	Collapsed  Source = "collapsed" // another caller's run
)

// Hit reports whether the result was remembered.
func (s Source) Hit() bool { return s == FromMemory || s == FromDisk }

// An Outcome is what came of a call, also if it failed: then it has no result.
//
// The usage of an answer that was not computed for this call is that of the run
// that it comes from, times too.
type Outcome struct {
	engine.Result // must be released

	Source Source
	Keyed  bool // Key is known
	Key    Key
	Stored bool // the result, or the fault, is in memory from now on

	// Verify asks the caller to compute the call again when there is time, and to
	// tell Verified.
	Verify bool
}

// Do answers a call, from what is remembered if it can, and else by run.
// Callers of equal calls share one run. Its error is a *engine.Fault of the
// caller's own when the function failed or ctx ended, or what run returned.
func (m *Memo) Do(ctx context.Context, c Call, run Run) (Outcome, error) {
	n := measure(c.Inputs)
	if !m.worth(&c, n) {
		began := time.Since(m.start) // cheaper than time.Now, and this is what a call that does not pay costs
		r, err := run(ctx, &Shared{timeout: c.Timeout})
		stored := m.ran(&c, n, r, err, time.Since(m.start)-began)
		return Outcome{Result: r, Source: Computed, Stored: stored}, err
	}
	key := m.key(&c, n)
	if c.Refresh {
		return m.refresh(ctx, c, key, n, run)
	}
	if e := m.find(&key, c.Function.scope); e != nil && e.knows(c.Fuel) {
		return m.give(ctx, &c, e, FromMemory, n, run)
	}
	return m.share(ctx, c, key, n, run)
}

// give answers from an entry that knows the answer, if there is room for it.
func (m *Memo) give(ctx context.Context, c *Call, e *entry, source Source, n sizes, run Run) (Outcome, error) {
	if !c.roomFor(e.cost) {
		return alone(ctx, c, e.key, run)
	}
	o, _, err := m.hit(c, e, source, n)
	return o, err
}

// alone runs a call that was looked up for its caller only.
func alone(ctx context.Context, c *Call, key Key, run Run) (Outcome, error) {
	r, err := run(ctx, &Shared{timeout: c.Timeout})
	return Outcome{Result: r, Source: Computed, Keyed: true, Key: key}, err
}

// small is the size of results for which there is always room.
const small = 64 << 10

func (c *Call) roomFor(bytes int64) bool { return bytes <= small || c.Room == nil || c.Room(bytes) }

// giveRoom gives back what room was kept for the call.
func (c *Call) giveRoom() {
	if c.Room != nil {
		c.Room(0)
	}
}

// Worth reports whether Do would look a call up. For one that it would not, Do is
// not needed: its caller can just run it, and then tells Ran.
func (m *Memo) Worth(c *Call) bool { return m.worth(c, measure(c.Inputs)) }

func (m *Memo) worth(c *Call, n sizes) bool {
	m.functions.use(c.Function)
	m.Begin(c)
	c.n = n
	return c.Keyed || c.Function.decide(n, c.Optional)
}

// Begin is for a call of which neither Do nor Worth is asked before it is run: what
// is purged from now on, it does not bring back (see Ran).
func (m *Memo) Begin(c *Call) { c.born = m.cuts.now() }

// Ran learns from a call that was not worth a lookup, how long it took. If that
// turns out to have been wrong, its result is remembered after all; the inputs
// must still be there, or be said to be Gone.
func (m *Memo) Ran(c *Call, r engine.Result, err error, elapsed time.Duration) {
	if !c.Gone {
		c.n = measure(c.Inputs)
	}
	m.ran(c, c.n, r, err, elapsed)
}

func (m *Memo) ran(c *Call, n sizes, r engine.Result, err error, elapsed time.Duration) (stored bool) {
	f := c.Function
	f.each(func(k *counts) { k.unkeyed.Add(1) })
	fault, ok := repeatable(err)
	if !ok {
		return false
	}
	if took := timeOf(r, fault, elapsed); c.Gone || took < StoredTime || n.bytes > AlwaysKeyed {
		f.ran(n, took, 0)
		return false
	}
	_, stored = m.keep(c, c.Key(), c.born, n, r, err, elapsed)
	return stored
}

// Lookup answers a call from memory or disk, or reports that it can't. The
// error is part of the answer, as that of Do; it is a fault overload if there is
// no room for what was found.
func (m *Memo) Lookup(c Call) (o Outcome, found bool, err error) {
	n := measure(c.Inputs)
	key := m.key(&c, n)
	o = Outcome{Keyed: true, Key: key}
	if e := m.find(&key, c.Function.scope); e != nil && e.knows(c.Fuel) {
		if !c.roomFor(e.cost) {
			return o, true, noRoom(e.cost)
		}
		return m.hit(&c, e, FromMemory, n)
	}
	size := m.onDisk(key)
	switch {
	case size == 0:
		return o, false, nil
	case !c.roomFor(size): // what is read takes memory at once
		return o, true, noRoom(size)
	}
	if e := m.load(&key, c.Function.scope); e != nil && e.knows(c.Fuel) {
		return m.hit(&c, e, FromDisk, n)
	}
	c.giveRoom()
	return o, false, nil
}

func noRoom(bytes int64) *engine.Fault {
	return &engine.Fault{Kind: engine.FaultOverload, Detail: fmt.Sprintf("there is no memory for the remembered result, which takes %s; try again later", engine.Bytes(bytes))}
}

func (m *Memo) key(c *Call, n sizes) Key {
	if n.unhashed < AlwaysKeyed {
		return c.Key()
	}
	began := time.Now()
	key := c.Key()
	m.rate.observe(n.unhashed, time.Since(began))
	return key
}

// find looks into memory.
func (m *Memo) find(key *Key, s scope) *entry {
	e := m.memory.get(key)
	if e == nil || m.cuts.dead(s, e.born) {
		return nil
	}
	return e
}

// onDisk is about how large the entry of a key on disk is; 0 if there is none.
func (m *Memo) onDisk(key Key) int64 {
	if m.disk == nil {
		return 0
	}
	return m.disk.size(key)
}

// load reads from disk, and keeps what it finds in memory.
func (m *Memo) load(key *Key, s scope) *entry {
	born := m.cuts.now() // what a purge removes from now on is dead
	e := m.disk.get(*key, s, born)
	if e == nil || m.cuts.dead(s, born) {
		return nil
	}
	m.memory.put(e)
	return e
}

// hit answers from an entry, if that knows the answer.
func (m *Memo) hit(c *Call, e *entry, source Source, n sizes) (o Outcome, ok bool, err error) {
	f := c.Function
	if !e.knows(c.Fuel) {
		return Outcome{Keyed: true, Key: e.key}, false, nil
	}
	r, fault := e.answer()
	f.looked(n, true)
	f.each(func(k *counts) {
		switch source {
		case FromDisk:
			k.diskHits.Add(1)
		case Collapsed:
			k.collapsed.Add(1)
		default:
			k.hits.Add(1)
		}
		if fault != nil {
			k.negative.Add(1)
		}
		k.savedTime.Add(int64(runTime(e.usage)))
		k.savedFuel.Add(min(e.usage.Fuel, fuelLimit(c.Fuel)))
	})
	o = Outcome{Result: r, Source: source, Keyed: true, Key: e.key}
	if every := m.options.VerifyEvery; every > 0 && source.Hit() {
		o.Verify = m.sample.Add(1)%every == 0
	}
	if fault != nil {
		return o, true, fault
	}
	return o, true, nil
}

// share runs a call together with its equals.
func (m *Memo) share(ctx context.Context, call Call, key Key, n sizes, run Run) (Outcome, error) {
	c := &call
	f := c.Function
	overloads, limited := 0, 0
	for {
		if ctx.Err() != nil {
			return Outcome{Source: Computed, Keyed: true, Key: key}, gone(ctx)
		}
		flight, leads, found := m.flights.join(ctx, c, key, m.cuts.now(),
			func(born uint64) bool { return m.cuts.dead(f.scope, born) },
			func() *entry {
				if e := m.find(&key, f.scope); e != nil && e.knows(c.Fuel) {
					return e
				}
				return nil
			})
		switch {
		case found != nil:
			return m.give(ctx, c, found, FromMemory, n, run)
		case flight == nil: // it is closed
			return alone(ctx, c, key, run)
		case leads:
			size := m.onDisk(key)
			flight.reads = size > 0 && c.roomFor(size)
			go m.fly(flight, n, run)
		}
		if !m.flights.wait(ctx, flight, leads) {
			return Outcome{Source: Computed, Keyed: true, Key: key}, gone(ctx)
		}
		if !leads && flight.source == FromDisk && flight.entry.knows(c.Fuel) {
			return m.give(ctx, c, flight.entry, FromDisk, n, run)
		}
		if o, ok, err := m.land(c, flight, leads, n, &overloads); ok {
			return o, err
		}
		if flight.limited() {
			if limited++; limited > 1 { // thousands must not find their limits one after the other
				return m.refresh(ctx, call, key, n, run)
			}
		}
	}
}

// fly is the run of a flight. It ends the flight also if the run ends its
// goroutine.
func (m *Memo) fly(fl *flight, n sizes, run Run) {
	f := fl.call.Function
	var r engine.Result
	var e *entry
	var err error
	ended := false
	defer func() {
		if !ended {
			err = fmt.Errorf("%w: it ended its goroutine", ErrPanicked)
		}
		fl.finish(r, e, err)
	}()

	if fl.reads {
		if e = m.load(&fl.key, f.scope); e != nil && e.knows(fl.call.Fuel) {
			fl.source, ended = FromDisk, true
			return
		}
		e = nil
		fl.call.giveRoom() // before the run waits for room of its own
	}
	fl.source = Computed
	f.looked(n, false)
	r, err = protected(fl.ctx, &Shared{flight: fl}, run)
	ended = true
	e, fl.stored = m.keep(fl.call, fl.key, fl.born, n, r, err, time.Since(fl.began))
}

// land is what a caller gets from a flight that has ended, or false if it has
// to try again.
func (m *Memo) land(c *Call, fl *flight, leads bool, n sizes, overloads *int) (o Outcome, ok bool, err error) {
	switch {
	case fl.source == FromDisk:
		return m.hit(c, fl.entry, FromDisk, n)
	case leads:
		c.Function.each(func(k *counts) { k.misses.Add(1) })
		o = Outcome{Result: fl.result, Source: Computed, Keyed: true, Key: fl.key, Stored: fl.stored}
		if fl.err == nil && fl.entry != nil {
			o.Result = engine.NewResult(fl.entry.outputs, fl.entry.usage, 0, nil)
		}
		return o, true, own(fl.err)
	case fl.entry != nil:
		return m.hit(c, fl.entry, Collapsed, n)
	case fl.err != nil && fl.concerns(c, overloads):
		return Outcome{Source: Collapsed, Keyed: true, Key: fl.key}, true, own(fl.err)
	default:
		return Outcome{}, false, nil
	}
}

// refresh runs a call for its caller alone, whatever others do, and remembers the
// result.
func (m *Memo) refresh(ctx context.Context, c Call, key Key, n sizes, run Run) (Outcome, error) {
	born, began := m.cuts.now(), time.Now()
	r, err := run(ctx, &Shared{timeout: c.Timeout})
	_, stored := m.keep(&c, key, born, n, r, err, time.Since(began))
	return Outcome{Result: r, Source: Computed, Keyed: true, Key: key, Stored: stored}, err
}

// keep decides whether the result of a run is worth storing, and stores it. The
// entry is nil, or has a copy of the result.
func (m *Memo) keep(c *Call, key Key, born uint64, n sizes, r engine.Result, err error, elapsed time.Duration) (e *entry, stored bool) {
	f := c.Function
	fault, ok := repeatable(err)
	if !ok {
		return nil, false
	}
	worth := f.ran(n, timeOf(r, fault, elapsed), data.Size(r.Outputs))
	if fault != nil {
		if f.successesOnly {
			return nil, false
		}
		e = rememberFault(key, f.scope, born, fault, c.Fuel)
		worth = worth && e.cost <= maxFault
	}
	if !worth {
		return e, false
	}
	if fault == nil {
		if !m.hasRoom(data.Size(r.Outputs)) { // a copy would be in vain
			f.each(func(k *counts) { k.rejected.Add(1) })
			return nil, false
		}
		e = remember(key, f.scope, born, r)
	}
	stored = m.memory.put(e)
	if m.disk != nil {
		m.disk.offer(e)
	}
	f.each(func(k *counts) {
		if stored {
			k.stored.Add(1)
		} else {
			k.rejected.Add(1)
		}
	})
	return e, stored
}

// hasRoom reports whether either tier would take a result of so many bytes.
func (m *Memo) hasRoom(size int64) bool {
	return size <= m.memory.window || m.disk != nil && size <= min(maxQueued, m.disk.bound/diskShare)
}

// repeatable reports whether the same call would end in the same way, and the
// fault if it is one.
func repeatable(err error) (*engine.Fault, bool) {
	if err == nil {
		return nil, true
	}
	var fault *engine.Fault
	if errors.As(err, &fault) && fault.Kind.Deterministic() {
		return fault, true
	}
	return nil, false
}

// timeOf is how long a run took: what it says itself, or what was seen of it.
func timeOf(r engine.Result, fault *engine.Fault, elapsed time.Duration) time.Duration {
	usage := r.Usage
	if fault != nil {
		usage = fault.Usage
	}
	if run := runTime(usage); run > 0 {
		return run
	}
	return elapsed
}

// own is an error that one of several callers may change.
func own(err error) error {
	if fault, ok := err.(*engine.Fault); ok { //nolint:errorlint // one that is wrapped is not the caller's to change
		return cloneFault(fault)
	}
	return err
}

// gone is the fault of a caller whose context ended while others ran.
func gone(ctx context.Context) *engine.Fault {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return &engine.Fault{Kind: engine.FaultDeadline, Detail: "the caller's deadline passed", Err: err}
	}
	return &engine.Fault{Kind: engine.FaultCanceled, Detail: "the caller went away", Err: err}
}

// Purge removes what is remembered of a tenant's code, or all of the tenant's
// if no code is named (CodeDigest names it). Nothing from before is
// served any more when it returns, results of runs that are still going on
// included. The error says what could not be removed from disk: it would be
// there again after a restart.
func (m *Memo) Purge(ctx context.Context, tenant string, code ...data.Digest) error {
	scopes := scopesOf(tenant, code)
	m.cuts.cut(scopes)
	var err error
	if m.disk != nil {
		if err = m.disk.purge(ctx, scopes); err != nil {
			err = fmt.Errorf("purge the memo's disk tier: %w", err)
		}
		// What was read from disk since, before it was gone, is dead too.
		m.cuts.cut(scopes)
	}
	m.memory.remove(func(e *entry) bool { return within(e.scope, scopes) && m.cuts.dead(e.scope, e.born) })
	return err
}

// each counts for the function and for all.
func (f *Function) each(count func(*counts)) {
	count(&f.counts)
	count(&f.memo.counts)
}
