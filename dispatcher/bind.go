package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/dispatcher/memo"
	"pappus/engine"
	"pappus/registry"
)

// runComposition runs a composition from its first instance to its outputs, on
// what its names mean at this moment.
func (d *Dispatcher) runComposition(ctx context.Context, inv Invocation) (*Answer, error) {
	v := inv.Target
	resolved, err := d.reg.ResolveAll(ctx, inv.Tenant, registry.Ref{Name: v.Name, Number: v.Number})
	if err != nil {
		return nil, fmt.Errorf("resolve %s@%d: %w", v.Name, v.Number, err)
	}
	began := time.Now()
	b, err := d.bind(resolved[0], d.config.Load().Run, inv.depth)
	if err != nil {
		if inv.recorded() && engine.KindOf(err) != "" { // a limit forbids it
			rec := newRecorder(versionName(v), cmp.Or(inv.Parallelism, DefaultParallelism), nil) // nothing comes into it
			rec.record.Began = began
			return &Answer{RunID: d.keepRecord(&inv, rec, engine.Usage{}, err)}, err
		}
		return nil, err
	}
	return d.runBound(ctx, inv, b)
}

// runBound runs a composition whose names are bound.
func (d *Dispatcher) runBound(ctx context.Context, inv Invocation, b *bound) (*Answer, error) {
	switch {
	case inv.Pure && !b.pure:
		return nil, ErrNotPure
	case !b.pure || b.forgets || inv.Trace || !d.remembers(&inv):
		if inv.Reuse == ReuseOnly {
			return nil, notCached()
		}
		return d.runGraph(ctx, inv, b)
	}
	c := memo.Call{
		Function: d.remembering.composition(inv.Target, d.meaning(b)), Inputs: inv.Inputs, Parallelism: cmp.Or(inv.Parallelism, DefaultParallelism),
		Refresh: inv.Reuse == ReuseFresh, Keyed: inv.Reuse != ReuseAuto || inv.Keyed, Patient: inv.patient,
	}
	return d.fromMemo(ctx, c, inv, func(ctx context.Context, inv Invocation) (*Answer, error) {
		if inv.shared != nil && data.Size(inv.Inputs) <= ownedBytes {
			inv.Inputs = cloned(inv.Inputs)
			inv.shared.Placed()
		}
		return d.runGraph(ctx, inv, b)
	})
}

// runGraph runs a composition whose names are bound, whatever is remembered of it.
func (d *Dispatcher) runGraph(ctx context.Context, inv Invocation, b *bound) (*Answer, error) {
	began := time.Now()
	d.running.Add(1)
	defer d.running.Add(-1)
	r, outputs, err := d.runToEnd(ctx, inv, b)
	a := &Answer{Outputs: outputs, Usage: r.usage, Queue: r.queue, Prepare: r.prepare, run: r}
	a.Run = time.Since(began) - a.Queue - a.Prepare
	if rec := r.record; rec != nil {
		a.RunID = d.keepRecord(&inv, rec, r.usage, err)
	}
	if err != nil {
		return &Answer{Usage: a.Usage, Queue: a.Queue, Prepare: a.Prepare, Run: a.Run, RunID: a.RunID}, withUsage(err, r.usage)
	}
	return a, nil
}

// keepRecord completes the record of a run that ended, and returns its id if it is
// kept.
func (d *Dispatcher) keepRecord(inv *Invocation, rec *recorder, used engine.Usage, err error) (id string) {
	rec.record.Ended, rec.record.Usage, rec.record.Err = time.Now(), used, recorded(err)
	kept := rec.record // alone: the recorder refers to the run and all that flowed in it
	if inv.Trace {
		d.records.keep(inv.Tenant, &kept)
		id = kept.ID
	}
	if inv.Recorded != nil {
		inv.Recorded(&kept)
	}
	return id
}

// withUsage says in a fault what was used until then, by all that it ended.
func withUsage(err error, used engine.Usage) error {
	var fault *engine.Fault
	if !errors.As(err, &fault) {
		return err
	}
	of := *fault
	of.Usage.Fuel, of.Usage.MemoryPages = used.Fuel, used.MemoryPages
	return &of
}

// runToEnd runs a bound composition: again, when others needed the memory that
// it held. The outputs are there until the run is released.
func (d *Dispatcher) runToEnd(ctx context.Context, inv Invocation, b *bound) (r *run, outputs []data.Set, err error) {
	s := &share{parent: inv.run}
	began := time.Now()
	var before *recorder
	for again := true; again; again = errors.Is(err, errRunDropped) {
		r = d.newRun(ctx, inv.Tenant, inv.Parallelism, s)
		r.began, r.reuse = began, inv.Reuse
		r.started, r.calling.depth = inv.patient || err != nil, inv.depth
		if inv.tree != nil {
			r.calling.tree = inv.tree
		}
		r.trace = inv.TraceID
		if inv.recorded() {
			if before != nil { // its record is given up
				before.giveBack()
			}
			before = newRecorder(versionName(inv.Target), r.parallelism, &r.calling.tree.room)
			before.record.Began, r.record = began, before
		}
		outputs, err = r.do(b, inv.Inputs)
	}
	return r, outputs, err
}

// versionName is what a version is called: NAME@NUMBER; of an I/O function, NAME.
func versionName(v *registry.Version) string {
	if v.Kind == registry.KindIO {
		return v.Name
	}
	return fmt.Sprintf("%s@%d", v.Name, v.Number)
}

// bind makes of a resolved composition, which stands in others to that depth, what
// a run needs, and holds it to the limits that are known before it begins.
func (d *Dispatcher) bind(resolved *registry.Resolved, limits RunLimits, depth int) (*bound, error) {
	b := binder{graphs: &d.graphs, io: d.io, choose: d.choose, limits: limits, done: map[*registry.Resolved]*bound{}}
	return b.bind(resolved, depth+1)
}

// binder binds a composition and those that it applies, each once.
type binder struct {
	graphs *graphs
	io     ioFunctions
	choose func(*Invocation) engine.Engine
	limits RunLimits
	done   map[*registry.Resolved]*bound

	engines map[*registry.Version]engine.Engine // that run versions with code for several
}

// engine is the one that runs all instances of a version. What those use may depend
// on it, so it is chosen before it is known whether a result is remembered.
func (b *binder) engine(v *registry.Version) engine.Engine {
	if len(v.Code) < 2 {
		return nil // there is no choice
	}
	e, known := b.engines[v]
	if !known {
		if b.engines == nil {
			b.engines = make(map[*registry.Version]engine.Engine)
		}
		e = b.choose(&Invocation{Tenant: v.Tenant, Target: v})
		b.engines[v] = e
	}
	return e
}

func (b *binder) bind(resolved *registry.Resolved, depth int) (*bound, error) {
	v := resolved.Version
	if depth > b.limits.Nesting {
		return nil, &engine.Fault{Kind: engine.FaultLimitNesting, Application: v.Name, Detail: fmt.Sprintf("compositions are nested more than %d deep, at %s", b.limits.Nesting, v.Name)}
	}
	if known := b.done[resolved]; known != nil && depth+known.depth-1 <= b.limits.Nesting {
		return known, nil
	}
	graph, err := b.graphs.of(v)
	if err != nil {
		return nil, err
	}
	if len(resolved.Uses) != len(graph.References) {
		return nil, fmt.Errorf("composition %s@%d has %d references, and its graph %d", v.Name, v.Number, len(resolved.Uses), len(graph.References))
	}
	out := newBound(graph, make([]callee, len(resolved.Uses)))
	for i, use := range resolved.Uses {
		was, is := graph.References[i].Signature, use.Version.Signature
		out.callees[i] = callee{version: use.Version, engine: b.engine(use.Version), inputs: inOrder(was.Inputs, is.Inputs), outputs: inOrder(was.Outputs, is.Outputs)}
		if use.Version.Kind == registry.KindIO {
			if out.callees[i].io, err = b.io.bound(v, use.Version); err != nil {
				return nil, err
			}
		}
		if use.Version.Kind != registry.KindComposition {
			continue
		}
		nested, err := b.bind(use, depth+1)
		if err != nil {
			return nil, err
		}
		out.callees[i].graph = nested
		out.depth = max(out.depth, nested.depth+1)
	}
	out.pure, out.forgets = !slices.ContainsFunc(out.callees, callee.reachesIO), slices.ContainsFunc(out.callees, callee.reachesForgotten)
	// Compositions of one module stand after those that they apply.
	out.sizes = make([]int, len(graph.Compositions))
	depths := make([]int, len(graph.Compositions))
	for i, c := range graph.Compositions {
		depths[i] = 1
		for _, n := range c.Nodes {
			size, below := 1, 0
			switch {
			case n.Nested:
				size, below = size+out.sizes[n.Callee], depths[n.Callee]
			case out.callees[n.Callee].graph != nil:
				inner := out.callees[n.Callee].graph
				size, below = size+inner.size(), inner.depth
			}
			if out.sizes[i] += size; out.sizes[i] > b.limits.Applications {
				return nil, &engine.Fault{Kind: engine.FaultLimitApplications, Application: n.Name, Instance: noInstance, Detail: fmt.Sprintf("%s has more than %d applications, with those of the compositions that it applies", c.Name, b.limits.Applications)}
			}
			depths[i] = max(depths[i], below+1)
		}
	}
	if out.depth = depths[len(depths)-1]; depth+out.depth-1 > b.limits.Nesting {
		return nil, &engine.Fault{Kind: engine.FaultLimitNesting, Application: v.Name, Detail: fmt.Sprintf("compositions are nested more than %d deep, below %s", b.limits.Nesting, v.Name)}
	}
	b.done[resolved] = out
	return out, nil
}

// graphs are decoded graphs by the digests of their versions, which say what they
// are. They are all forgotten when there are many. The zero value is ready to use.
type graphs struct {
	mu    sync.Mutex
	known map[data.Digest]*composition.Graph
}

// mostGraphs is how many graphs are kept decoded.
const mostGraphs = 1000

func (g *graphs) of(v *registry.Version) (*composition.Graph, error) {
	g.mu.Lock()
	graph := g.known[v.Digest]
	g.mu.Unlock()
	if graph != nil {
		return graph, nil
	}
	graph, err := composition.Decode(v.Graph)
	if err != nil {
		return nil, fmt.Errorf("graph of %s@%d: %w: %w", v.Name, v.Number, registry.ErrDamaged, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) >= mostGraphs {
		clear(g.known)
	}
	if g.known == nil {
		g.known = map[data.Digest]*composition.Graph{}
	}
	g.known[v.Digest] = graph
	return graph, nil
}
