package dispatcher

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/dispatcher/shard"
	"pappus/engine"
)

// flow is one execution of one composition of a graph: of the run's own, or of a
// nested one, which is an instance of an application in another flow.
type flow struct {
	bound  *bound
	graph  *composition.Composition
	parent *application // nil for the outermost
	number int          // of the instance of parent that it is
	path   []int        // of parent, and number

	sets  []flowing
	apps  []application
	left  int // applications that are not done
	ended bool
}

// flowing is a set of a flow.
type flowing struct {
	items    []*data.Item // once it is complete, in order; until then, as they come
	arrivals []int        // of items, once it is complete; nil where they came in order
	complete bool
	output   bool // of the composition
	given    bool // to the run, which therefore holds no answer with its items
	users    []user
}

// user is an argument that gets a set.
type user struct {
	app      *application
	argument int
}

// begin starts a composition on its inputs: as the run's own, or as an instance
// of parent. r.mu is held.
func (r *run) begin(b *bound, index int, inputs []data.Set, parent *application, number int) {
	graph := &b.graph.Compositions[index]
	f := &flow{bound: b, graph: graph, parent: parent, number: number, left: len(graph.Nodes)}
	if parent == nil {
		r.outermost = f
	} else {
		f.path = append(slices.Clone(parent.path), number)
	}
	l := r.nested(f.depth())
	l.live += len(graph.Nodes)
	l.most = max(l.most, l.live)
	f.sets = make([]flowing, len(graph.Sets))
	f.apps = make([]application, len(graph.Nodes))
	// What all applications need is allocated at once.
	arguments, outputs := 0, 0
	for i := range graph.Nodes {
		arguments += len(graph.Nodes[i].Arguments)
		outputs += len(b.callee(&graph.Nodes[i]).Outputs)
	}
	users := make([]user, 0, arguments)
	output := make([]shard.Output, outputs)
	depth := len(f.path) + 1
	paths := make([]int, 0, depth*len(graph.Nodes))
	for i := range graph.Nodes {
		app := &f.apps[i]
		*app = application{flow: f, node: &graph.Nodes[i], place: -1, growing: -1}
		app.sig = b.callee(app.node)
		if !app.node.Nested {
			app.io = app.callee().io
		}
		app.missing = len(app.node.Arguments)
		paths = append(append(paths, f.path...), i)
		app.path = paths[len(paths)-depth : len(paths) : len(paths)]
		n := len(app.sig.Outputs)
		app.output, output = output[:n:n], output[n:]
	}
	for set := range f.sets {
		from := len(users)
		for _, u := range b.uses[index][set] {
			users = append(users, user{&f.apps[u.node], u.argument})
		}
		f.sets[set].users = users[from:len(users):len(users)]
	}
	for _, set := range graph.Outputs {
		f.sets[set].output = true
	}
	for i := range graph.Inputs {
		f.sets[i].items, f.sets[i].complete = inputs[i].Items, true
		if f.sets[i].given = parent == nil; !f.sets[i].given {
			r.hold(f.sets[i].items, f.sets[i].readers())
		}
	}
	for i := range graph.Inputs {
		r.complete(f, i)
	}
	for i := range f.apps {
		switch app := &f.apps[i]; {
		case r.stop != nil:
			return
		case len(app.node.Arguments) == 0:
			r.plan(app)
		case app.missing == 1 && app.stream == nil:
			r.open(app)
		}
	}
	if f.left == 0 {
		r.flowed(f)
	}
}

// nested is what is going on of a run at one depth of nesting. What is applied a
// thousand times is not begun all at once: everything that has begun takes memory
// that nobody counts.
type nested struct {
	live  int            // applications of compositions that have begun and not ended
	most  int            // of them at once
	later []*application // that apply compositions, of which no more are to begin now
}

// nested is what goes on at a depth. r.mu is held.
func (r *run) nested(depth int) *nested {
	for len(r.depths) <= depth {
		r.depths = append(r.depths, nested{})
	}
	return &r.depths[depth]
}

// depth is how deep the flow is nested.
func (f *flow) depth() int { return len(f.path) / 2 }

// full takes the first of the ready applications out of the way, if it applies a
// composition and no more of these are to begin at its depth. r.mu is held.
func (r *run) full(app *application) bool {
	b, index := app.composition()
	if b == nil {
		return false
	}
	l := r.nested(app.flow.depth() + 1)
	if l.live == 0 || l.live+len(b.graph.Compositions[index].Nodes) <= r.limits.Applications {
		return false
	}
	heap.Pop(&r.ready)
	app.place = waitsForOthers
	l.later = append(l.later, app)
	return true
}

// waitsForOthers is the place of an application that is not ready because of others.
const waitsForOthers = 1 << 30

// left counts a flow's applications as ended. r.mu is held.
func (r *run) left(f *flow) {
	l := r.nested(f.depth())
	l.live -= len(f.graph.Nodes)
	for _, app := range l.later {
		app.place = -1
		heap.Push(&r.ready, app)
	}
	l.later = l.later[:0]
}

// readers is how many want to read the items of a set: arguments, and whoever
// gets the outputs.
func (s *flowing) readers() int {
	n := len(s.users)
	if s.output {
		n++
	}
	return n
}

// complete tells those that use a set that it is there. Sets that come together
// are all marked as complete before. r.mu is held.
func (r *run) complete(f *flow, set int) {
	s := &f.sets[set]
	if declared := f.graph.Sets[set]; declared.Type == engine.TypeItem && len(s.items) != 1 {
		r.stopAt(append(slices.Clone(f.path), len(f.apps)), 0, &engine.Fault{
			Kind: engine.FaultItemCount, Application: f.graph.Name, Instance: noInstance,
			Detail: fmt.Sprintf("%s is declared as exactly one item, and has %d", declared.Name, len(s.items)),
		})
		return
	}
	for _, u := range s.users {
		if r.stop != nil {
			return
		}
		app := u.app
		app.missing--
		switch {
		case app.stream != nil:
			app.stream.Close()
			r.more(app, app.stream.Count())
			r.close(app)
		case app.missing == 0:
			r.plan(app)
		case app.missing == 1:
			r.open(app)
		}
	}
}

// describe makes of an application what package shard knows.
func (r *run) describe(app *application) shard.Application {
	n := app.node
	r.params = slices.Grow(r.params[:0], len(n.Arguments))[:len(n.Arguments)] // nobody keeps it
	s := shard.Application{Params: r.params, Parallelism: r.parallelism}
	for i, a := range n.Arguments {
		s.Params[i] = shard.Param{Name: app.sig.Inputs[a.Param].Name, Kind: a.Kind, Optional: a.Optional, Items: app.flow.sets[a.Set].items}
	}
	for _, l := range n.Chain {
		argument := slices.IndexFunc(n.Arguments, func(a composition.Argument) bool { return a.Param == l.Param })
		s.Chain = append(s.Chain, shard.Link{Param: argument, Join: l.Join})
	}
	return s
}

// plan finds the instances of an application whose sets are complete. r.mu is
// held.
func (r *run) plan(app *application) {
	p, err := shard.New(r.describe(app), r.limits.Instances)
	if err != nil {
		r.unplanned(app, err)
		return
	}
	app.plan = p
	r.more(app, p.Count())
	r.close(app)
}

// open lets an application begin while the last of its sets still grows, if that
// is of a kind that allows it. r.mu is held.
func (r *run) open(app *application) {
	growing := slices.IndexFunc(app.node.Arguments, func(a composition.Argument) bool { return !app.flow.sets[a.Set].complete })
	if growing < 0 || !shard.Streamable(shard.Param{Kind: app.node.Arguments[growing].Kind}) {
		return
	}
	s, err := shard.NewStream(r.describe(app), growing, r.limits.Instances)
	if err != nil {
		r.unplanned(app, err)
		return
	}
	app.stream, app.growing = s, growing
	r.feed(app, app.flow.sets[app.node.Arguments[growing].Set].items)
}

// feed gives items to an application that gets them as they are made. r.mu is
// held.
func (r *run) feed(app *application, items []*data.Item) {
	if len(items) == 0 {
		return
	}
	first, end, err := app.stream.Add(items)
	if err != nil {
		r.unplanned(app, err)
		return
	}
	app.per = (end - first) / len(items)
	for _, it := range items {
		if app.per == 0 { // another set has nothing: it does not run
			r.drop(it)
			continue
		}
		app.arrived = append(app.arrived, arrived{it, app.per})
	}
	r.more(app, end)
}

func (r *run) unplanned(app *application, err error) {
	var many *shard.TooManyError
	if errors.As(err, &many) {
		err = &engine.Fault{Kind: engine.FaultLimitInstances, Detail: many.Error()}
	}
	r.fail(app, noInstance, nil, err)
}

// close says that an application has all the instances that it will ever have.
// r.mu is held.
func (r *run) close(app *application) {
	if r.over() { // then not all of its instances may be counted
		return
	}
	app.closed = true
	if app.ended == app.count {
		r.finish(app)
	}
}

// made counts an instance as ended, with its outputs: those of an answer, or, if
// that is nil, of several. r.mu is held.
func (r *run) made(app *application, number int, outputs []data.Set, a *Answer) {
	outputs = app.taken(outputs)
	for o := range min(len(app.output), len(outputs)) {
		app.output[o].Add(number, outputs[o].Items)
		if n := app.output[o].Count(); n > r.limits.Items {
			r.fail(app, number, nil, &engine.Fault{Kind: engine.FaultLimitItems, Detail: fmt.Sprintf("the %s has more than %d items", app.made(o), r.limits.Items)})
			return
		}
	}
	for _, k := range app.node.Kept {
		if k.Output >= len(outputs) || len(outputs[k.Output].Items) == 0 {
			continue
		}
		s, items := &app.flow.sets[k.Set], outputs[k.Output].Items
		s.items = app.output[k.Output].Items()
		if a == nil {
			r.hold(items, s.readers())
		} else {
			holder := a
			if len(s.users) > 0 || app.flow.parent != nil { // those of the run's outputs are read until its end
				holder = r.list(items, a, app.count)
			}
			holder.readers += len(items) * s.readers()
		}
		for _, u := range s.users {
			if u.app.stream != nil && u.app.growing == u.argument {
				r.feed(u.app, items)
			}
		}
	}
	app.ended++
	if arrival := number / max(app.per, 1); app.stream != nil && arrival < len(app.arrived) {
		if a := &app.arrived[arrival]; a.left == 1 {
			r.drop(a.item)
		} else {
			a.left--
		}
	}
	if app.closed && app.ended == app.count {
		r.finish(app)
	}
}

// finish puts the outputs of an application in order and passes them on. r.mu is
// held.
func (r *run) finish(app *application) {
	f := app.flow
	var order []int
	if app.stream != nil {
		order = app.stream.Order(f.sets[app.node.Arguments[app.growing].Set].arrivals)
	}
	for i, a := range app.node.Arguments {
		if i != app.growing && !f.sets[a.Set].given { // its items went one by one
			for _, it := range f.sets[a.Set].items {
				r.drop(it)
			}
		}
	}
	for i, k := range app.node.Kept {
		s := &f.sets[k.Set]
		s.complete = true
		if same := slices.IndexFunc(app.node.Kept[:i], func(other composition.Kept) bool { return other.Output == k.Output }); same >= 0 {
			first := &f.sets[app.node.Kept[same].Set]
			s.items, s.arrivals = first.items, first.arrivals
			continue
		}
		s.items, s.arrivals = app.output[k.Output].Settle(order)
	}
	app.output = nil
	f.left--
	for _, k := range app.node.Kept {
		if r.stop == nil {
			r.complete(f, k.Set)
		}
	}
	if f.left == 0 && r.stop == nil {
		r.flowed(f)
	}
}

// flowed passes on what a composition left: to whom the run belongs, or as the
// outputs of an instance. r.mu is held.
func (r *run) flowed(f *flow) {
	if f.ended {
		return
	}
	f.ended = true
	r.left(f)
	outputs := make([]data.Set, len(f.graph.Outputs))
	for i, set := range f.graph.Outputs {
		outputs[i] = data.Set{Name: f.graph.Sets[set].Name, Items: f.sets[set].items}
	}
	if f.parent == nil {
		r.outputs, r.done = outputs, true
		return
	}
	r.made(f.parent, f.number, outputs, nil)
	for _, s := range outputs {
		for _, it := range s.Items {
			r.drop(it)
		}
	}
}
