package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/iofuncs"
	"pappus/registry"
)

// callByName is the I/O function that calls what is only known when a run is
// under way. It is here and not in package iofuncs, since it calls the dispatcher.
const callByName = "system_Invoke"

// callTree is what all runs share that an invocation leads to, by calls by name.
// These calls take no slots of the pool: their work is counted where it is done,
// and who waits for the end of another call must not keep it from beginning.
// Instead the tree bounds them. It never keeps a run from making one call at a
// time, so that every run goes on: there are at most mostCallsByName of them, and
// one for each of the runs that those make, at each level of nesting.
type callTree struct {
	going atomic.Int64
	room  recordRoom // for the records of all of them
}

func newCallTree() *callTree {
	t := new(callTree)
	t.room.open()
	return t
}

// mostCallsByName is how many calls by name go on at once below one invocation,
// besides one for each run.
const mostCallsByName = 64

// enter counts a call, if there may be one more, or if it is the only one of its
// run.
func (t *callTree) enter(alone bool) bool {
	if t.going.Add(1) > mostCallsByName && !alone {
		t.going.Add(-1)
		return false
	}
	return true
}

func (t *callTree) exit() { t.going.Add(-1) }

// callByName begins calls by name that wait, as many as may go on. r.mu is held.
func (r *run) callByName() {
	c := &r.calling
	for len(c.named) > 0 && !r.over() && (!r.serial || c.byName == 0) && c.tree.enter(c.byName == 0) {
		app := c.named[0]
		number, _ := r.begun(&c.named, app, 1)
		c.byName++
		r.active++ // from now on: the run goes on
		r.share.active.Add(1)
		c.ticket.serving.Add(1)
		go func() {
			defer c.ticket.serving.Done()
			r.mu.Lock()
			defer r.mu.Unlock()
			r.active--
			r.share.active.Add(-1)
			r.call(app, number, c.tree.exit)
			c.byName--
			r.callByName()
		}()
	}
}

// callAll answers the requests of one instance, one after the other.
func (r *run) callAll(ctx context.Context, app *application, requests []*data.Item, account *ioAccount, seen *watch) ([]data.Set, engine.Usage, error) {
	depth := r.calling.depth + 1
	for parent := app.flow.parent; parent != nil; parent = parent.flow.parent {
		depth++
	}
	answers := data.Set{Name: app.io.version.Signature.Outputs[0].Name}
	var usage engine.Usage
	for _, request := range requests {
		call := namedCall{Exchange: iofuncs.Exchange{Method: "invoke", Began: time.Now(), Sent: int64(request.Len())}, place: seen.place()}
		content, used, err := r.answer(ctx, depth, request.Bytes(), account, &call)
		seen.named(&call, content, err)
		usage.Fuel += used.Fuel
		usage.MemoryPages = max(usage.MemoryPages, used.MemoryPages)
		if err != nil {
			return nil, usage, atRequest(err, request)
		}
		answers.Items = append(answers.Items, data.NewItem(request.Name(), request.Key(), content))
	}
	return []data.Set{answers}, usage, nil
}

// atRequest says of which request a fault is.
func atRequest(err error, request *data.Item) error {
	var fault *engine.Fault
	if !errors.As(err, &fault) {
		return err
	}
	at := *fault
	at.Item = fmt.Sprintf("requests: %q, key %d", request.Name(), request.Key())
	return &at
}

// namedCall is what can be seen of a call by name.
type namedCall struct {
	iofuncs.Exchange
	led   atomic.Pointer[Record] // the record of the run that it led to
	place bool                   // for it
	runs  bool                   // it is of a composition
}

// compositionFailed is the kind of an answer about a composition in which something
// failed. Which of several instances was seen to fail first, and what others had used
// by then, depends on the moment: so the answer says neither, and the record does.
const compositionFailed = "composition-failed"

// named notes a call by name that ended with an answer, or failed.
func (w *watch) named(call *namedCall, content []byte, err error) {
	call.Ended, call.Received = time.Now(), int64(len(content))
	if err != nil {
		call.Failed = iofuncs.Kind(outcome(err))
	}
	w.see(call.Exchange, call.led.Load(), func() bool { return call.place })
}

// answer makes the call that a request is about, and its answer. What follows from
// the request and from what is registered is an answer; what depends on the
// machine, on its load or on the world is an error.
func (r *run) answer(ctx context.Context, depth int, request []byte, account *ioAccount, call *namedCall) ([]byte, engine.Usage, error) {
	reference, inputs, err := parseRequest(request)
	var ref registry.Ref
	if err == nil {
		ref, err = registry.ParseRef(reference)
	}
	if err != nil {
		return nil, engine.Usage{}, &engine.Fault{
			Kind: engine.FaultIOFailed, Detail: fmt.Sprintf("%s: the request can't be read: %v", callByName, err),
			Hint: "Correct the request; docs/compositions.md says what requests look like, under Calling by name.",
		}
	}
	call.Target = ref.String()
	a, err := r.callNamed(ctx, depth, ref, inputs, call)
	if err != nil {
		kind, content, used := answerOf(err)
		if kind == "" {
			return nil, used, inCall(ref, err)
		}
		if call.runs && engine.KindOf(err) != "" {
			kind, content = compositionFailed, faultAnswer(compositionFailed, 0, "")
		}
		call.Failed = iofuncs.Kind(kind)
		return content, used, account.charge(int64(len(content)))
	}
	defer a.Release()
	if a.From.Source.Hit() {
		call.Cache = iofuncs.CacheHit
	}
	head := okHead(a.Usage.Fuel)
	size := int64(len(head)) + itemsSize(a.Outputs)
	if err := account.charge(size); err != nil {
		return nil, a.Usage, err
	}
	return appendItems(append(make([]byte, 0, size), head...), a.Outputs), a.Usage, nil
}

// callNamed calls what a reference means now. The answer is the caller's to
// release.
func (r *run) callNamed(ctx context.Context, depth int, ref registry.Ref, inputs []data.Set, call *namedCall) (*Answer, error) {
	v, err := r.d.Resolve(ctx, r.tenant, ref)
	if err != nil {
		return nil, err
	}
	call.Target, call.runs = versionName(v), v.Kind == registry.KindComposition
	if most := r.limits.Nesting; v.Name == callByName && v.Kind == registry.KindIO && depth >= most {
		return nil, &engine.Fault{Kind: engine.FaultLimitNesting, Detail: fmt.Sprintf("calls are nested more than %d deep, at %s", most, callByName)}
	}
	r.mu.Lock()
	patient := r.started
	r.mu.Unlock()
	if v.Kind != registry.KindFunction { // another run, which this one waits for
		r.share.wait(1)
		defer r.share.wait(-1)
	}
	inv := Invocation{
		Tenant: r.tenant, Target: v, Inputs: inputs, Parallelism: r.parallelism, run: r.share, Reuse: r.reuse,
		patient: patient, depth: depth, tree: r.calling.tree, TraceID: r.trace,
	}
	if r.record != nil {
		inv.Recorded = call.led.Store
	}
	a, err := r.d.target(ctx, inv)
	if !patient && engine.KindOf(err) != engine.FaultOverload {
		r.mu.Lock()
		r.patient()
		r.started = true
		r.mu.Unlock()
	}
	return a, err
}

// answerOf makes an answer of a failure that the caller can have as such, with the
// kind that it says; "": it can't.
func answerOf(err error) (kind string, content []byte, used engine.Usage) {
	var (
		fault   *engine.Fault
		missing *registry.NotFoundError
		broken  *registry.UsesError
		input   *InputError
	)
	var detail string
	switch {
	case errors.As(err, &fault):
		used = engine.Usage{Fuel: fault.Usage.Fuel, MemoryPages: fault.Usage.MemoryPages}
		if !fault.Kind.Deterministic() {
			return "", nil, used
		}
		kind, detail = string(fault.Kind), faultText(fault)
	case errors.As(err, &missing):
		kind, detail = "unknown-function", missing.Error()
		switch missing.What {
		case "version", "digest":
			kind = "unknown-version"
		case "tag":
			kind = "unknown-tag"
		}
	case errors.As(err, &broken):
		kind, detail = "broken-composition", broken.Error()
	case errors.As(err, &input):
		kind, detail = "bad-request", input.Error()
	default:
		return "", nil, used
	}
	return kind, faultAnswer(kind, used.Fuel, detail), used
}

// faultText is what an answer says of a fault: what happened and where, and what
// the function wrote to stderr at last.
func faultText(f *engine.Fault) string {
	text := f.Detail
	if f.Kind == engine.FaultExit {
		text = fmt.Sprintf("code %d", f.ExitCode)
		if f.Detail != "" {
			text += ": " + f.Detail
		}
	}
	if where := f.Where(); where != "" {
		text += " (" + where + ")"
	}
	if len(f.Stderr) > 0 {
		text += "\n" + string(f.Stderr)
	}
	return text
}

// inCall says in a fault in which call it happened.
func inCall(ref registry.Ref, err error) error {
	var fault *engine.Fault
	if !errors.As(err, &fault) {
		return fmt.Errorf("call %s: %w", ref, err)
	}
	at := *fault
	where := ref.String()
	if fault.Application != "" {
		where += ", in " + fault.Application
	}
	at.Detail = clipped(fmt.Sprintf("in the call of %s: %s", where, fault.Detail), maxIODetail)
	at.Err = err
	return &at
}
