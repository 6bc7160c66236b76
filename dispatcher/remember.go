package dispatcher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pappus/data"
	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/registry"
)

// Reuse says what an invocation may have of what is remembered.
type Reuse int

// The kinds of reuse.
const (
	ReuseAuto  Reuse = iota // looked up and stored where that pays
	ReuseFresh              // computed again, and stored
	ReuseNone               // neither looked up nor stored
	ReuseOnly               // answered from what is remembered, or with the fault not-cached
)

// Provenance says where an answer comes from.
type Provenance struct {
	Source memo.Source // "" if the memo had nothing to do with it
	Key    memo.Key    // of the invocation, if Keyed
	Keyed  bool
	Stored bool // it is remembered from now on
}

// remembering is what a dispatcher needs to remember results.
type remembering struct {
	memo *memo.Memo // nil: nothing is remembered

	mu        sync.RWMutex
	functions map[rememberedKey]*memo.Function

	runs      atomic.Int64  // that calls share, or have to themselves; each is counted like a call
	verifying chan struct{} // holds a value while a hit is being verified
}

// rememberedKey names a version and what runs it, by the name that figures have.
type rememberedKey struct {
	versionKey
	name string
}

// mostRemembering is how many versions' specifications are kept.
const mostRemembering = 4096

// function is what the memo knows a version by, when e runs it.
func (m *remembering) function(e engine.Engine, v *registry.Version) *memo.Function {
	key := rememberedKey{versionKey{v.Tenant, e.Name(), v.Digest}, v.Name}
	m.mu.RLock()
	f := m.functions[key]
	m.mu.RUnlock()
	if f != nil {
		return f
	}
	return m.register(key, memo.Spec{
		Tenant: v.Tenant, Function: v.Name, Code: codeDigests(v), Layout: v.Layout,
		Implementation: e.Name() + " " + e.Semantics(), Signature: v.Signature, Limits: v.Limits,
	})
}

func codeDigests(v *registry.Version) map[string]data.Digest {
	code := make(map[string]data.Digest, len(v.Code))
	for name, ref := range v.Code {
		code[name] = ref.Digest
	}
	return code
}

// composition is what the memo knows a composition by, with what its names mean.
// Failures of compositions are not remembered: which is seen first of
// several is not a function of the inputs.
func (m *remembering) composition(v *registry.Version, meaning data.Digest) *memo.Function {
	key := rememberedKey{versionKey{v.Tenant, hex.EncodeToString(meaning[:]), v.Digest}, v.Name}
	m.mu.RLock()
	f := m.functions[key]
	m.mu.RUnlock()
	if f != nil {
		return f
	}
	return m.register(key, memo.Spec{
		Tenant: v.Tenant, Function: v.Name, Code: compositionCode(v), Implementation: key.engine, Signature: v.Signature, SuccessesOnly: true,
	})
}

// compositionCode is what a composition is purged by.
func compositionCode(v *registry.Version) map[string]data.Digest {
	return map[string]data.Digest{"composition": v.Digest}
}

func (m *remembering) register(key rememberedKey, spec memo.Spec) *memo.Function {
	f := m.memo.Function(spec)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.functions == nil || len(m.functions) >= mostRemembering {
		m.functions = make(map[rememberedKey]*memo.Function)
	}
	m.functions[key] = f
	return f
}

// meaning is a digest of all that a composition's results depend on besides its
// inputs: its graph, what the names in it mean, and what runs that.
func (d *Dispatcher) meaning(b *bound) data.Digest {
	h := sha256.New()
	for _, e := range d.engines {
		_, _ = fmt.Fprintf(h, "%q %q\n", e.Name(), e.Semantics())
	}
	l := d.config.Load().Run // what a run holds, and how long it takes, is not a function of its inputs
	_, _ = fmt.Fprintf(h, "%d %d %d %d\n", l.Applications, l.Instances, l.Items, l.Nesting)
	b.mean(h)
	var digest data.Digest
	h.Sum(digest[:0])
	return digest
}

// mean writes what the names of a composition mean, each with its own.
func (b *bound) mean(h hash.Hash) {
	_, _ = fmt.Fprintf(h, "%d\n", len(b.callees)) // a hash never fails
	for i := range b.callees {
		c := &b.callees[i]
		_, _ = h.Write(c.version.Digest[:])
		if c.engine != nil { // what is used depends on it
			_, _ = fmt.Fprintf(h, "%q\n", c.engine.Name())
		}
		if c.graph != nil {
			c.graph.mean(h)
		}
	}
}

// remembers reports whether an invocation has anything to do with the memo.
func (d *Dispatcher) remembers(inv *Invocation) bool {
	return d.remembering.memo != nil && inv.Reuse != ReuseNone && inv.Target.Memo != engine.MemoOff
}

// runFunction answers an invocation of a function: from what is remembered, or by
// running it.
func (d *Dispatcher) runFunction(ctx context.Context, inv *Invocation) (*Answer, error) {
	if !d.remembers(inv) {
		if inv.Reuse == ReuseOnly {
			return nil, notCached()
		}
		return d.runInstance(ctx, inv)
	}
	c := memo.Call{
		Inputs: inv.Inputs, Fuel: inv.Target.Limits.Fuel, Timeout: time.Duration(inv.Target.Limits.Timeout),
		Refresh: inv.Reuse == ReuseFresh, Keyed: inv.Reuse != ReuseAuto || inv.Keyed, Optional: inv.run != nil,
		Patient: inv.patient, Gone: inv.Copied != nil,
	}
	w := inv.worker
	if c.Function = w.remembered(inv.Target); c.Function == nil {
		e := d.choose(inv)
		if e == nil {
			return d.runInstance(ctx, inv) // which says so
		}
		c.Function = d.remembering.function(e, inv.Target)
		w.remember(inv.Target, c.Function)
	}
	if inv.Reuse != ReuseOnly && !c.Keyed {
		if w.skips() {
			d.remembering.memo.Begin(&c)
			a, err := d.runInstance(ctx, inv)
			if err == nil && a.Usage.Run < memo.StoredTime {
				return a, nil
			}
			w.found(d.ran(&c, a, err))
			return a, err
		}
		if !d.remembering.memo.Worth(&c) {
			a, err := d.runInstance(ctx, inv)
			w.found(d.ran(&c, a, err))
			if w == nil && a != nil {
				a.From.Source = memo.Computed
			}
			return a, err
		}
		c.Keyed = true // it has been judged
	}
	return d.fromMemo(ctx, c, *inv, func(ctx context.Context, inv Invocation) (*Answer, error) { return d.runInstance(ctx, &inv) })
}

// ran tells the memo of a call that it did not look up, and reports whether it was
// a short one.
func (d *Dispatcher) ran(c *memo.Call, a *Answer, err error) (short bool) {
	if err != nil {
		d.remembering.memo.Ran(c, engine.Result{}, err, 0)
		return false
	}
	d.remembering.memo.Ran(c, a.result, nil, a.Run)
	return a.Usage.Run < memo.StoredTime
}

// fromMemo answers a call from the memo, which may have it run, for this caller
// and others at once.
func (d *Dispatcher) fromMemo(ctx context.Context, c memo.Call, inv Invocation, run func(context.Context, Invocation) (*Answer, error)) (*Answer, error) {
	m := d.remembering.memo
	inv.worker.pause(d.permits)
	a := &Answer{instance: instance{permits: d.permits, tenant: inv.Tenant}}
	c.Room = func(bytes int64) bool { return d.permits.keep(&a.instance, bytes) }
	if inv.Reuse == ReuseOnly {
		o, found, err := m.Lookup(c)
		if !found {
			return nil, notCached()
		}
		return d.answered(ctx, &c, inv, a, o, nil, err)
	}
	var computed *Answer // by this caller's run
	inv.run.think(1)
	o, err := m.Do(ctx, c, func(ctx context.Context, s *memo.Shared) (engine.Result, error) {
		inv.run.think(-1)
		defer inv.run.think(1)
		// It may outlive its callers, who are counted, so it is counted itself: also
		// while the dispatcher closes, since they were accepted. One of them waits at
		// least until it is.
		d.calls.Add(1)
		defer d.leave()
		d.remembering.runs.Add(1)
		defer d.remembering.runs.Add(-1)
		inv := inv
		inv.worker, inv.shared = nil, s
		a, err := run(ctx, inv)
		computed = a
		if err != nil {
			return engine.Result{}, err
		}
		used := a.Usage
		if used.Run == 0 { // of a composition
			used.Run = a.Run
		}
		return engine.NewResult(a.Outputs, used, a.instance.bytes, a.Release), nil
	})
	inv.run.think(-1)
	if o.Source != memo.Computed || ctx.Err() != nil && err != nil {
		// It is another caller's, or this one has left, and it may still go on.
		return d.answered(ctx, &c, inv, a, o, nil, err)
	}
	return d.answered(ctx, &c, inv, a, o, computed, err)
}

// answered makes a the answer that the memo gave, for which room may have been
// kept. computed is the answer of a run that this caller began, whose memory may
// have gone since.
func (d *Dispatcher) answered(ctx context.Context, c *memo.Call, inv Invocation, a *Answer, o memo.Outcome, computed *Answer, err error) (*Answer, error) {
	if o.Verify {
		d.verify(context.WithoutCancel(ctx), c, inv, o, err)
	}
	from := Provenance{Source: o.Source, Key: o.Key, Keyed: o.Keyed, Stored: o.Stored}
	if err != nil {
		d.permits.keep(&a.instance, 0)
		a = &Answer{From: from} // the run of a caller who left may still give room back
		if computed != nil {
			a.Usage, a.Queue, a.Prepare, a.Run, a.RunID = computed.Usage, computed.Queue, computed.Prepare, computed.Run, computed.RunID
		}
		return a, err
	}
	a.Outputs, a.Usage, a.From, a.result = o.Outputs, o.Usage, from, o.Result
	if computed != nil {
		a.Queue, a.Prepare, a.Run, a.RunID = computed.Queue, computed.Prepare, computed.Run, computed.RunID
		if computed.holds() > 0 {
			a.lent = computed
			return a, nil
		}
	}
	// A copy, which the memo may forget while it is read. Who shares it with the one
	// who had it computed is charged if there is room.
	size := data.Size(a.Outputs)
	if size <= detachBytes {
		size = 0
	}
	switch kept := a.instance.bytes; {
	case size == kept:
	case o.Source == memo.Collapsed:
		d.permits.keep(&a.instance, size)
	default:
		d.permits.hold(&a.instance, size-kept)
	}
	return a, nil
}

// keep charges an instance that has no permit bytes in place of what it is charged,
// and reports false, and charges nothing more, if they are not there at once or
// others wait for memory.
func (p *permits) keep(i *instance, bytes int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	more := bytes - i.bytes
	if more > 0 && (len(p.growing) > 0 || p.queues[classNew].length > 0 || more > p.memory-p.used) {
		return false
	}
	i.bytes = bytes
	p.use(more)
	if more < 0 {
		p.dispatch()
	}
	return true
}

func notCached() error {
	return &engine.Fault{Kind: engine.FaultNotCached, Detail: "the result of this call is not remembered"}
}

// verifyBytes is the size of inputs up to which hits are verified, which takes a
// copy of them.
const verifyBytes = ownedBytes

// ownedBytes is the size of inputs up to which a composition's run that may outlive
// the caller whose they are has a copy of them.
const ownedBytes = 1 << 20

// verify computes a call again whose result was remembered, as soon as nothing
// else is to be done, and compares. At most one is verified at a time; others are
// left alone, and so is what finds no idle moment. ctx does not end.
func (d *Dispatcher) verify(ctx context.Context, c *memo.Call, inv Invocation, o memo.Outcome, was error) {
	if inv.Target.Kind != registry.KindFunction || data.Size(inv.Inputs) > verifyBytes || d.enter() != nil {
		return
	}
	select {
	case d.remembering.verifying <- struct{}{}:
	default:
		d.leave()
		return
	}
	again := *c
	again.Inputs = cloned(inv.Inputs)
	inv = Invocation{Tenant: inv.Tenant, Target: inv.Target, Inputs: again.Inputs, patient: true, engine: inv.engine}
	go func() {
		defer d.leave()
		defer func() { <-d.remembering.verifying }()
		if !d.permits.quiet(verifyWait) {
			return
		}
		a, now := d.runInstance(ctx, &inv)
		var r engine.Result
		if now == nil {
			defer a.Release()
			r = engine.Result{Outputs: a.Outputs, Usage: a.Usage}
		}
		if difference := d.remembering.memo.Verified(again, o, was, r, now); difference != nil {
			d.log.ErrorContext(ctx, "a remembered result is not what the function computes",
				slog.String("function", inv.Target.Name), slog.Any("error", difference))
		}
	}()
}

func cloned(sets []data.Set) []data.Set {
	list := make([]data.Set, len(sets))
	for i, s := range sets {
		list[i] = data.Set{Name: s.Name, Items: make([]*data.Item, len(s.Items))}
		for j, it := range s.Items {
			list[i].Items[j] = it.Clone()
		}
	}
	return list
}

// verifyWait is how long a verification waits for an idle moment.
const verifyWait = 10 * time.Second

// quiet waits until no permit is in use and nobody waits, for a while at most.
func (p *permits) quiet(most time.Duration) bool {
	tick := time.NewTicker(most / 500)
	defer tick.Stop()
	over := time.NewTimer(most)
	defer over.Stop()
	for {
		if int(p.free.Load()) == p.total && p.waiting.Load() == 0 {
			return true
		}
		select {
		case <-tick.C:
		case <-over.C:
			return false
		case <-p.stopped:
			return false
		}
	}
}

// PurgeMemo forgets what is remembered of a function's or composition's versions,
// or, without a name, of all that the tenant has. Results are known by their code:
// another function with the same code loses them too. The error says what could
// not be removed from disk.
func (d *Dispatcher) PurgeMemo(ctx context.Context, tenant, name string) error {
	m := d.remembering.memo
	if m == nil {
		return nil
	}
	if name == "" {
		return m.Purge(ctx, tenant)
	}
	code, err := d.codeOf(ctx, tenant, name)
	if err != nil {
		return err
	}
	return m.Purge(ctx, tenant, code...)
}

// codeOf is what the memo knows the versions of a name by.
func (d *Dispatcher) codeOf(ctx context.Context, tenant, name string) ([]data.Digest, error) {
	var code []data.Digest
	for cursor := ""; ; {
		page, next, err := d.reg.Versions(ctx, tenant, "", name, cursor, registry.MaxPage)
		if err != nil {
			return nil, err
		}
		for _, v := range page {
			if digest := codeDigestOf(v); !slices.Contains(code, digest) {
				code = append(code, digest)
			}
		}
		if next == "" {
			return code, nil
		}
		cursor = next
	}
}

func codeDigestOf(v *registry.Version) data.Digest {
	if v.Kind == registry.KindComposition {
		return memo.CodeDigest(compositionCode(v))
	}
	return memo.CodeDigest(codeDigests(v))
}

// Forgetter returns what forgets the results of versions that are about to be
// deleted: of one that ref names by its number or digest, or of all of a name.
func (d *Dispatcher) Forgetter(ctx context.Context, tenant string, ref registry.Ref) func(context.Context) error {
	m := d.remembering.memo
	var code []data.Digest
	if m != nil {
		if ref == (registry.Ref{Name: ref.Name}) {
			code, _ = d.codeOf(ctx, tenant, ref.Name) // if that fails, so does what follows
		} else if v, err := d.reg.Resolve(ctx, tenant, ref); err == nil {
			code = append(code, codeDigestOf(v))
		}
	}
	return func(ctx context.Context) error {
		if len(code) == 0 {
			return nil
		}
		return m.Purge(ctx, tenant, code...)
	}
}

// MemoStats are the figures of the memo, and those by function of a tenant; nil if
// nothing is remembered.
func (d *Dispatcher) MemoStats(tenant string) (*memo.Stats, []memo.FunctionStats) {
	m := d.remembering.memo
	if m == nil {
		return nil, nil
	}
	stats := m.Stats()
	functions := m.Functions()
	return &stats, slices.DeleteFunc(functions, func(f memo.FunctionStats) bool { return f.Tenant != tenant })
}
