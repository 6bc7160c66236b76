package dispatcher

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pappus/data"
	"pappus/dispatcher/composition"
	"pappus/dispatcher/shard"
	"pappus/engine"
)

// application is a node of a flow with its instances.
type application struct {
	flow  *flow
	node  *composition.Node
	sig   *engine.Signature // of the callee
	io    *ioFunction       // if it is one
	path  []int             // where it is
	place int               // in ready, or -1
	asked time.Time         // of an I/O function: when calls began to wait

	missing int           // arguments whose sets are not complete
	plan    *shard.Plan   // once all of its sets are complete
	stream  *shard.Stream // or while the last one grows
	growing int           // argument that does, or -1
	per     int           // instances for each item of it
	arrived []arrived     // items of it
	closed  bool          // no further instances come

	next, count int            // of instances: the first that is not begun, and how many are known
	back        []span         // instances before next that are not begun after all
	took        time.Duration  // by the last that have ended, each
	keeps       int64          // bytes that each of those left
	ended       int            // of those that are begun
	output      []shard.Output // by index of the callee's outputs
}

// arrived is an item of a set that grows, and how many of the instances that get
// it have not ended.
type arrived struct {
	item *data.Item
	left int
}

// span is some instances, by their numbers.
type span struct{ first, end int }

// left is how many instances can begin.
func (app *application) left() int {
	n := app.count - app.next
	for _, s := range app.back {
		n += s.end - s.first
	}
	return n
}

// ready are applications with instances that can begin, the deepest in the graph
// first: what is near the end frees memory, and what is at the beginning takes
// it. It is a heap.
type ready []*application

func (q ready) Len() int           { return len(q) }
func (q ready) Less(i, j int) bool { return slices.Compare(q[i].path, q[j].path) > 0 }

func (q ready) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is for package heap.
func (q *ready) Push(x any) {
	app := x.(*application) //nolint:errcheck // nothing else is pushed
	app.place = len(*q)
	*q = append(*q, app)
}

// Pop is for package heap.
func (q *ready) Pop() any {
	last := len(*q) - 1
	app := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	app.place = -1
	return app
}

// composition is the one that the application applies; a nil graph says that it
// applies a function.
func (app *application) composition() (b *bound, index int) {
	b = app.flow.bound
	if app.node.Nested {
		return b, app.node.Callee
	}
	if b = b.callees[app.node.Callee].graph; b != nil {
		index = b.entry()
	}
	return b, index
}

// callee is what the application's function or composition is.
func (app *application) callee() *callee { return &app.flow.bound.callees[app.node.Callee] }

// name is the application's, with those of the compositions that it is nested in.
func (app *application) name() string {
	name := app.node.Name
	for parent := app.flow.parent; parent != nil; parent = parent.flow.parent {
		name = parent.node.Name + "/" + name
	}
	return name
}

// made is what an output is called in the composition: the set that it is, or by
// its own name if it is none.
func (app *application) made(output int) string {
	for _, k := range app.node.Kept {
		if k.Output == output {
			return "set " + app.flow.graph.Sets[k.Set].Name
		}
	}
	return "output " + app.sig.Outputs[output].Name
}

// items says which items an instance is about: those of the sets that are divided
// by each, and the keys of those that are divided by key. It is empty if there are
// none. Names come from outside, and records and faults keep the text: it is clipped.
func (app *application) items(in []data.Set) string {
	var list []string
	for _, a := range app.node.Arguments {
		if a.Param >= len(in) || len(in[a.Param].Items) == 0 || len(list) == mostItems {
			continue
		}
		s := in[a.Param]
		switch a.Kind {
		case shard.Each:
			list = append(list, fmt.Sprintf("%s: %.*q, key %d", s.Name, maxItemText, s.Items[0].Name(), s.Items[0].Key()))
		case shard.Keyed:
			list = append(list, fmt.Sprintf("%s: key %d", s.Name, s.Items[0].Key()))
		default: // an instance is about all of them
		}
	}
	return clipped(strings.Join(list, "; "), maxItemText)
}

// mostItems is of how many sets items says something, and maxItemText in how many
// bytes.
const (
	mostItems   = 4
	maxItemText = 200
)

// inputs appends the sets that an instance gets. The run's lock is held.
func (app *application) inputs(number int, to []data.Set) []data.Set {
	var buf [8][]*data.Item
	var in [][]*data.Item
	if app.stream != nil {
		in = app.stream.Instance(number, buf[:0])
	} else {
		in = app.plan.Instance(number, buf[:0])
	}
	from := len(to)
	to = slices.Grow(to, len(app.sig.Inputs))
	for _, p := range app.sig.Inputs {
		to = append(to, data.Set{Name: p.Name})
	}
	for i, a := range app.node.Arguments {
		to[from+a.Param].Items = in[i]
	}
	return to
}

// given are the inputs of an instance in the order of what it is of.
func (app *application) given(in []data.Set) []data.Set {
	if app.node.Nested || app.callee().inputs == nil {
		return in
	}
	sets := make([]data.Set, len(in))
	for i, at := range app.callee().inputs {
		sets[at] = in[i]
	}
	return sets
}

// taken are the outputs of an instance in the order that the composition knows.
func (app *application) taken(out []data.Set) []data.Set {
	if app.node.Nested || app.callee().outputs == nil {
		return out
	}
	sets := make([]data.Set, len(out))
	for i, at := range app.callee().outputs {
		sets[i] = out[at]
	}
	return sets
}
