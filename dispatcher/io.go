package dispatcher

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/dispatcher/shard"
	"pappus/engine"
	"pappus/iofuncs"
	"pappus/registry"
)

var (
	// ErrIOFunction is wrapped by the error of an invocation in which an I/O
	// function panicked, or returned what it does not declare. It is a defect of
	// the platform.
	ErrIOFunction = errors.New("an I/O function is not what it says")

	// ErrNotPure is the error of an invocation that asked for pure work of
	// something that applies I/O functions.
	ErrNotPure = errors.New("it applies I/O functions, and may do something each time that it is called")
)

// ioFunctions are the I/O functions that there are, by their names. Nobody writes
// to it.
type ioFunctions map[string]*ioFunction

// ioFunction is an I/O function with what the dispatcher knows of it.
type ioFunction struct {
	function iofuncs.Function  // nil: a call by name
	version  *registry.Version // that stands for it
	alone    *bound            // a graph that applies it once, for calls from outside

	waiting, going atomic.Int64
	waits, seconds prometheus.Observer
	bytes          prometheus.Counter
	sent, received prometheus.Counter
	calls          *prometheus.CounterVec // by outcome
	refusals       *prometheus.CounterVec // by function and rule
}

// newIOFunctions prepares functions, and the one that calls by name.
func newIOFunctions(functions *iofuncs.Registry) (ioFunctions, []prometheus.Collector, error) {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pappus_io_calls_total",
		Help: "Calls of I/O functions that ended, by function and outcome: ok, a kind of fault, or internal.",
	}, []string{"function", "outcome"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "pappus_io_call_seconds",
		Help:    "Time that calls of I/O functions took, without waiting for their turn.",
		Buckets: prometheus.ExponentialBuckets(100e-6, 4, 11),
	}, []string{"function"})
	size := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pappus_io_bytes_total",
		Help: "Bytes of the outputs of I/O functions.",
	}, []string{"function"})
	waits := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "pappus_io_wait_seconds",
		Help:    "Time that calls of I/O functions waited for their turn.",
		Buckets: prometheus.ExponentialBuckets(100e-6, 4, 11),
	}, []string{"function"})
	traffic := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pappus_io_content_bytes_total",
		Help: "Bytes of contents that I/O functions sent to others and received from them, without repetitions.",
	}, []string{"function", "direction"})
	refusals := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pappus_io_refusals_total",
		Help: "Connections of I/O functions that a rule forbade, by the kind of rule.",
	}, []string{"function", "rule"})
	collectors := []prometheus.Collector{calls, seconds, size, waits, traffic, refusals}

	all := ioFunctions{}
	add := func(f iofuncs.Function, name string, inputs, outputs []iofuncs.Param) {
		labels := prometheus.Labels{"function": name}
		io := &ioFunction{
			function: f, seconds: seconds.With(labels), bytes: size.With(labels), calls: calls.MustCurryWith(labels), waits: waits.With(labels),
			sent: traffic.WithLabelValues(name, "sent"), received: traffic.WithLabelValues(name, "received"), refusals: refusals,
		}
		io.calls.WithLabelValues(outcomeOK)
		if f != nil {
			refusals.WithLabelValues(name, "egress-deny")
		}
		io.version = &registry.Version{
			Name: name, Kind: registry.KindIO, Signature: engine.Signature{Inputs: paramsOf(inputs), Outputs: paramsOf(outputs)},
		}
		io.alone = aloneGraph(io)
		for _, g := range []struct {
			name, help string
			value      *atomic.Int64
		}{
			{"pappus_io_calls_going_on", "Calls of I/O functions that go on.", &io.going},
			{"pappus_io_calls_waiting", "Calls of I/O functions that wait for their turn.", &io.waiting},
		} {
			collectors = append(collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help, ConstLabels: labels},
				func() float64 { return float64(g.value.Load()) }))
		}
		all[name] = io
	}
	for _, name := range functions.Names() {
		if !registry.Reserved(name) || name == callByName {
			return nil, nil, fmt.Errorf("the name %s is not one of those that are reserved for I/O functions, or taken", name)
		}
		f := functions.Lookup(name)
		spec := f.Spec()
		add(f, name, spec.Inputs, spec.Outputs)
	}
	add(nil, callByName, []iofuncs.Param{{Name: "requests"}}, []iofuncs.Param{{Name: "answers"}})
	return all, collectors, nil
}

func paramsOf(params []iofuncs.Param) []engine.Param {
	list := make([]engine.Param, len(params))
	for i, p := range params {
		list[i] = engine.Param{Name: p.Name, Type: engine.TypeSet}
		if p.Item {
			list[i].Type = engine.TypeItem
		}
	}
	return list
}

// aloneGraph is a composition that applies an I/O function once, to whatever it
// is given, and gives all that it makes: a call from outside is a run of it.
func aloneGraph(io *ioFunction) *bound {
	sig := io.version.Signature
	c := composition.Composition{Name: io.version.Name, Inputs: len(sig.Inputs)}
	n := composition.Node{Name: io.version.Name}
	for i, p := range sig.Inputs {
		c.Sets = append(c.Sets, composition.Set{Name: p.Name, Type: p.Type})
		n.Arguments = append(n.Arguments, composition.Argument{Param: i, Set: i, Kind: shard.All, Optional: true})
	}
	for i, p := range sig.Outputs {
		set := len(c.Sets)
		c.Sets = append(c.Sets, composition.Set{Name: p.Name, Type: p.Type})
		n.Kept = append(n.Kept, composition.Kept{Output: i, Set: set})
		c.Outputs = append(c.Outputs, set)
	}
	c.Nodes = []composition.Node{n}
	graph := &composition.Graph{
		Format: composition.GraphFormat, Compositions: []composition.Composition{c},
		References: []composition.Reference{{Name: io.version.Name, IO: true, Signature: sig}},
	}
	b := newBound(graph, []callee{{version: io.version, io: io}})
	b.sizes = []int{1}
	return b
}

// resolve finds an I/O function by a reference, which can be a name only.
func (all ioFunctions) resolve(ref registry.Ref) (*ioFunction, error) {
	if io := all[ref.Name]; io != nil && ref == (registry.Ref{Name: ref.Name}) {
		return io, nil
	}
	return nil, &registry.NotFoundError{What: string(registry.KindIO), Name: ref.String(), Known: slices.Sorted(maps.Keys(all))}
}

// bound finds what a composition applies, if it is as the composition was checked
// against.
func (all ioFunctions) bound(user, used *registry.Version) (*ioFunction, error) {
	bad := registry.BadUse{Ref: registry.Ref{Name: used.Name}}
	io, err := all.resolve(bad.Ref)
	switch {
	case err != nil:
		errors.As(err, &bad.Missing)
	case !sameSets(io.version.Signature.Inputs, used.Signature.Inputs) || !sameSets(io.version.Signature.Outputs, used.Signature.Outputs):
		bad.Differs = "the server's is another one"
	default:
		return io, nil
	}
	return nil, &registry.UsesError{User: versionName(user), Uses: []registry.BadUse{bad}}
}

func sameSets(a, b []engine.Param) bool {
	return slices.EqualFunc(a, b, func(a, b engine.Param) bool { return a.Name == b.Name && a.Type == b.Type })
}

// runIO runs an I/O function that was called from outside.
func (d *Dispatcher) runIO(ctx context.Context, inv Invocation) (*Answer, error) {
	io, err := d.io.resolve(registry.Ref{Name: inv.Target.Name})
	if err != nil {
		return nil, err
	}
	return d.runBound(ctx, inv, io.alone)
}

// calling is what a run knows of its calls of I/O functions. The run's lock
// guards it.
type calling struct {
	slots  ready // applications with calls that wait for a slot
	named  ready // applications with calls by name that wait
	ticket ioTicket
	byName int       // calls by name that go on
	tree   *callTree // shared by all runs that an invocation leads to
	depth  int       // compositions around the run

	// impatient ends the run if its first work gets no slot in time; nil if there
	// is nothing to end. The run has a place in the queue of the tenant meanwhile.
	impatient *time.Timer
}

// waits reports whether calls wait that nobody has begun.
func (c *calling) waits() bool { return len(c.slots)+len(c.named) > 0 }

// waitForCall makes calls up to count wait for their turn. r.mu is held.
func (r *run) waitForCall(app *application, count int) {
	if r.over() {
		return
	}
	app.io.waiting.Add(int64(count - app.count))
	app.count = count
	if app.place >= 0 || app.next == app.count {
		return
	}
	app.asked = time.Now()
	if app.io.function == nil {
		heap.Push(&r.calling.named, app)
		r.callByName()
		return
	}
	heap.Push(&r.calling.slots, app)
	waits := r.d.ioPool.ask(&r.calling.ticket)
	if r.started || !waits {
		r.started = true
		return
	}
	r.started = true
	if err := r.d.permits.enterQueue(r.tenant); err != nil {
		r.fail(app, app.next, nil, err)
		return
	}
	timeout := r.d.config.Load().QueueTimeout
	r.calling.impatient = time.AfterFunc(timeout, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.patient() && !r.over() && !r.share.root().started.Load() {
			r.fail(app, app.next, nil, overload(fmt.Sprintf("no call of an I/O function could begin within %s; try again later, or let the server make more of them at once", timeout), nil))
		}
	})
}

// patient ends the wait of a run that has not begun yet, and reports whether it
// was waiting. r.mu is held.
func (r *run) patient() bool {
	if r.calling.impatient == nil {
		return false
	}
	r.calling.impatient.Stop()
	r.calling.impatient = nil
	r.d.permits.exitQueue(r.tenant)
	return true
}

// slotted uses a slot for the call that is nearest to the end.
func (r *run) slotted() {
	free := sync.OnceFunc(func() { r.d.ioPool.release(r.tenant) })
	defer free()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.patient()
	if r.over() || len(r.calling.slots) == 0 {
		return
	}
	app := r.calling.slots[0]
	number, _ := r.begun(&r.calling.slots, app, 1)
	r.share.root().started.Store(true)
	if len(r.calling.slots) > 0 {
		r.d.ioPool.ask(&r.calling.ticket)
	}
	r.call(app, number, free)
}

// call makes one call and passes on what it gives. done is called as soon as the
// call has ended. r.mu is held, but not meanwhile.
func (r *run) call(app *application, number int, done func()) {
	in := app.inputs(number, nil)
	asked := app.asked
	app.io.waits.Observe(time.Since(asked).Seconds())
	seen := &watch{io: app.io, rec: r.record}
	place := r.record != nil && take(&r.record.room.instances) // before what it leads to takes them
	r.active++
	r.share.active.Add(1)
	app.io.waiting.Add(-1)
	app.io.going.Add(1)
	r.mu.Unlock()
	answer, err := r.makeCall(app, in, seen)
	app.io.going.Add(-1)
	done()
	r.mu.Lock()
	r.active--
	if r.record != nil {
		happened := r.record.executed(app, number, asked.Sub(r.record.record.Began), in, answer, err)
		happened.Started, happened.Requests = max(seen.began.Sub(r.record.record.Began), happened.Queued), seen.end()
		r.record.add(app, happened, place)
	}
	if err != nil {
		r.failed(app, number, in, err)
	} else {
		r.leave(app, number, answer)
	}
	r.giveBack()
	r.d.permits.rest(r.share)
	if r.idle {
		r.wake.Signal()
	} else if !r.over() {
		r.hire()
	}
}

// endCalls waits until no call goes on or begins any more. r.mu is not held.
func (r *run) endCalls() {
	r.d.ioPool.withdraw(&r.calling.ticket)
	r.calling.ticket.serving.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.patient()
	for _, queue := range []ready{r.calling.slots, r.calling.named} {
		for _, app := range queue {
			app.io.waiting.Add(-int64(app.count - app.next))
		}
	}
	r.calling.slots, r.calling.named = nil, nil
}

// makeCall calls an I/O function on its inputs, which are matched by position.
func (r *run) makeCall(app *application, in []data.Set, seen *watch) (*Answer, error) {
	io := app.io
	for i := range in {
		in[i].Name = io.version.Signature.Inputs[i].Name
	}
	a := &Answer{instance: instance{permits: r.d.permits, tenant: r.tenant}}
	account := &ioAccount{run: r, instance: &a.instance, limits: r.d.config.Load().Defaults}
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	unhook := context.AfterFunc(r.d.ioPool.ended, func() { cancel(ErrClosed) })
	defer unhook()

	seen.began = time.Now()
	err := io.version.Signature.CheckInputs(in)
	if err == nil {
		a.Outputs, a.Usage, err = r.guardedCall(ctx, app, in, account, seen)
	}
	if err == nil {
		err = account.settle(data.Count(a.Outputs), data.Size(a.Outputs))
	}
	a.Run = time.Since(seen.began)
	account.close()
	if err != nil {
		used := a.Usage // by what it called
		a.Release()
		err = withUsage(r.ioFault(ctx, io, account, err), used)
	}
	io.seconds.Observe(a.Run.Seconds())
	io.calls.WithLabelValues(outcome(err)).Inc()
	if err != nil {
		return nil, err
	}
	io.bytes.Add(float64(a.instance.bytes))
	return a, nil
}

// guardedCall makes a call, of which a panic is an error, and checks what it gives.
func (r *run) guardedCall(ctx context.Context, app *application, in []data.Set, account *ioAccount, seen *watch) (outputs []data.Set, usage engine.Usage, err error) {
	io := app.io
	defer func() {
		if cause := recover(); cause != nil {
			r.d.log.ErrorContext(ctx, "I/O function panicked",
				slog.String("function", io.version.Name), slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("call %s: %w: it panicked: %v", io.version.Name, ErrIOFunction, cause)
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, usage, err
	}
	if io.function == nil {
		return r.callAll(ctx, app, in[0].Items, account, seen)
	}
	if !r.d.permits.commit(r.share) {
		return nil, usage, context.Canceled
	}
	given, err := io.function.Call(ctx, iofuncs.NewRequest(r.tenant, in, account.charge).Watched(r.trace, seen.note))
	if err != nil {
		return nil, usage, err
	}
	if outputs, err = declaredOutputs(io.version.Signature, in, given); err != nil {
		return nil, usage, fmt.Errorf("call %s: %w: %w", io.version.Name, ErrIOFunction, err)
	}
	return outputs, usage, nil
}

// declaredOutputs puts the outputs of an I/O function where its signature has
// them, in key order.
func declaredOutputs(sig engine.Signature, in, given []data.Set) ([]data.Set, error) {
	inputs := make(map[*data.Item]bool, data.Count(in))
	for _, s := range in {
		for _, it := range s.Items {
			inputs[it] = true
		}
	}
	outputs := make([]data.Set, len(sig.Outputs))
	for i, p := range sig.Outputs {
		outputs[i].Name = p.Name
	}
	there := make([]bool, len(outputs))
	for _, s := range given {
		i := sig.Output(s.Name)
		if i < 0 || there[i] {
			return nil, fmt.Errorf("it gave a set %.80q that it does not declare, or twice", s.Name)
		}
		there[i] = true
		for _, it := range s.Items {
			if it == nil || inputs[it] {
				return nil, fmt.Errorf("its set %q has an item that is none, or one of the inputs", s.Name)
			}
			if err := data.CheckItemName(it.Name()); err != nil {
				return nil, fmt.Errorf("its set %q: %w", s.Name, err)
			}
		}
		outputs[i].Items = s.Items
		if !outputs[i].Ordered() {
			outputs[i].Items = slices.Clone(s.Items)
			outputs[i].Order()
		}
	}
	if err := sig.CheckOutputs(outputs); err != nil {
		return nil, errors.New(err.Error()) // not a fault, which would be that of a function
	}
	return outputs, nil
}

// maxIODetail is how many bytes of an I/O function's error a fault tells.
const maxIODetail = 1000

// ioFault is the error of a call that failed.
func (r *run) ioFault(ctx context.Context, io *ioFunction, account *ioAccount, err error) error {
	var fault *engine.Fault
	var said *iofuncs.Error
	switch {
	case account.refused() != nil:
		return placed(account.refused(), io, err)
	case errors.Is(err, ErrIOFunction):
		return err
	case errors.Is(context.Cause(ctx), ErrClosed):
		return overload("the server is shutting down; try again elsewhere or later", ErrClosed)
	case r.ctx.Err() != nil:
		return gone(ctx)
	case io.function == nil: // it says what it means
		return err
	case errors.As(err, &said):
		fault = &engine.Fault{Kind: engine.FaultIOFailed, Item: said.Item, Detail: said.Detail, Hint: said.Hint}
		if kind := engine.FaultKind(said.Kind); kind == engine.FaultIOTimeout || kind == engine.FaultEgressRefused {
			fault.Kind = kind
		}
		if said.Err != nil {
			fault.Detail = strings.TrimPrefix(fault.Detail+": "+said.Err.Error(), ": ")
		}
	case errors.As(err, &fault):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		fault = &engine.Fault{Kind: engine.FaultIOTimeout, Detail: err.Error()}
	default:
		fault = &engine.Fault{Kind: engine.FaultIOFailed, Detail: err.Error()}
	}
	// No cause: the detail tells it, and the server's log has no use for what is
	// wrong elsewhere.
	fault.Detail = io.version.Name + ": " + clipped(fault.Detail, maxIODetail)
	return fault
}

// placed is why an account got no more, with what a call's own error says of where
// that was.
func placed(refused *engine.Fault, io *ioFunction, err error) error {
	var said *iofuncs.Error
	if !errors.As(err, &said) {
		return refused
	}
	fault := *refused
	fault.Item = cmp.Or(said.Item, fault.Item)
	if said.Detail != "" {
		fault.Detail = io.version.Name + ": " + clipped(said.Detail, maxIODetail) + ": " + fault.Detail
	}
	return &fault
}

// clipped is a text of no more than so many bytes, and an ellipsis.
func clipped(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// ioAccount counts what one call holds: in its run, among what all runs hold, and
// in the memory for contexts, where it may take what is not there: it is bounded
// by what runs may hold. Others wait until it is again.
type ioAccount struct {
	run      *run
	instance *instance     // whose bytes they are
	limits   engine.Limits // Output and Items, of the call

	// Guarded by the run's lock.
	fault  *engine.Fault // why it got no more
	closed bool
}

// charge counts n bytes more, or fewer.
func (a *ioAccount) charge(n int64) error {
	a.run.mu.Lock()
	defer a.run.mu.Unlock()
	if a.fault == nil && !a.closed {
		a.add(max(n, -a.instance.bytes))
	}
	if a.fault != nil { // not in one: a nil *Fault is an error
		return a.fault
	}
	return nil
}

// settle makes the account hold what was given in the end: items of size bytes
// together.
func (a *ioAccount) settle(items int, size int64) error {
	if items > a.limits.Items {
		return &engine.Fault{Kind: engine.FaultOutputTooLarge, Detail: fmt.Sprintf("the outputs of the call are %d items; the most is %d", items, a.limits.Items)}
	}
	return a.charge(size - a.instance.bytes)
}

// add counts n bytes, or says why it can't. The run's lock is held.
func (a *ioAccount) add(n int64) {
	r := a.run
	if n > 0 {
		switch {
		case n > int64(a.limits.Output)-a.instance.bytes:
			a.fault = &engine.Fault{Kind: engine.FaultOutputTooLarge, Detail: fmt.Sprintf("the outputs of the call hold more than %s", a.limits.Output)}
		case n > r.limits.Bytes-r.share.held.Load():
			a.fault = &engine.Fault{Kind: engine.FaultLimitBytes, Detail: heldMore(r.limits.Bytes)}
		case r.d.permits.crowded(r.share, n):
			a.fault = overload("runs hold most of the memory for contexts with outputs that are not used up yet; try again later", nil)
		}
		if a.fault != nil {
			return
		}
	}
	r.share.held.Add(n)
	r.d.permits.hold(a.instance, n)
}

// close takes what it holds out of the run's books, before the answer with its
// instance comes into them.
func (a *ioAccount) close() {
	a.run.mu.Lock()
	defer a.run.mu.Unlock()
	a.closed = true
	a.run.share.held.Add(-a.instance.bytes)
}

// refused is why the account got no more; nil if it got all that it asked for.
func (a *ioAccount) refused() *engine.Fault {
	a.run.mu.Lock()
	defer a.run.mu.Unlock()
	return a.fault
}

// crowded reports whether n bytes more, which can't wait, are too many: what others
// hold, and a quarter beyond all of the memory for contexts. Pure runs give way
// before, since what is charged here keeps them from going on; so does what waits
// for memory. A little is always there.
func (p *permits) crowded(s *share, n int64) bool {
	if n <= detachBytes {
		return false
	}
	all := p.heldBytes()
	return n > p.memory*5/4-all && all > s.held.Load()
}

// hold charges n bytes to an instance that has no permit, or gives them back,
// whether they are there or not.
func (p *permits) hold(i *instance, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.bytes += n
	p.use(n)
	if n < 0 {
		p.dispatch()
	}
}
