package composition

import (
	"container/heap"
	"context"
	"fmt"
	"slices"

	"pappus/dispatcher/shard"
	"pappus/engine"
)

// flow is one composition while it is checked.
type flow struct {
	*checker
	decl    *declaration
	inputs  []*set
	sets    map[string]*set
	names   []string // of sets, in order, for hints
	nodes   []*node  // as written
	order   []*node  // topological; all of them if there is no cycle
	outputs []*set

	depth  int  // of compositions in one another, this one included
	active bool // while they are counted
	index  int  // in the graph
}

// set is a set of a composition.
type set struct {
	param
	declared bool  // by a script, with a type
	input    bool  // of the composition
	maker    *node // nil: an input, or nothing
	used     bool
	count    count
	index    int // in the graph
}

// count is how many items a set has, as far as that is known without running.
type count uint8

const (
	countAny  count = iota // unknown
	countOne               // exactly one
	countMany              // as many as there are instances, which depends on items
)

// node is an application.
type node struct {
	app    *application
	callee *callee // nil: unknown
	params []int   // of app.args: indexes of the callee's inputs; -1: unknown
	from   []*set  // of app.args; nil: undefined
	keeps  []int   // of app.outs: indexes of the callee's outputs; -1: unknown
	to     []*set  // of app.outs; nil: not to be made

	at    int // among the nodes as written
	waits int // for how many sets that are not made yet
}

func newFlow(c *checker, d *declaration) *flow {
	return &flow{checker: c, decl: d, sets: map[string]*set{}}
}

func (f *flow) check(ctx context.Context) error {
	f.declareSets()
	for i, app := range f.decl.apps {
		n := &node{app: app, at: i}
		f.nodes = append(f.nodes, n)
		f.make(n)
	}
	for _, n := range f.nodes {
		if err := f.apply(ctx, n); err != nil {
			return err
		}
	}
	f.checkOutputs()
	f.checkUnused()
	f.sort()
	for _, n := range f.order {
		f.checkTypes(n)
	}
	return nil
}

func (f *flow) add(p param) *set {
	s := &set{param: p}
	f.sets[p.text] = s
	f.names = append(f.names, p.text)
	return s
}

// declareSets makes inputs, and of a script all sets.
func (f *flow) declareSets() {
	for _, p := range f.decl.inputs {
		if f.sets[p.text] != nil {
			if f.module.script { // otherwise it was reported with the list
				f.declaredAgain(p)
			}
			continue
		}
		s := f.add(p)
		s.input, s.declared = true, f.module.script
		if p.typ == engine.TypeItem {
			s.count = countOne
		}
		f.inputs = append(f.inputs, s)
	}
	if !f.module.script {
		return
	}
	returned := map[string]bool{}
	for _, p := range f.decl.outputs {
		switch s := f.sets[p.text]; {
		case s == nil:
			f.add(p).declared = true
		case returned[p.text]:
			f.declaredAgain(p)
		case s.typ != p.typ:
			f.fail(p.place, "declare both alike", "%.80s is an input of type %s, and an output of type %s", p.text, s.typ, p.typ)
		}
		returned[p.text] = true
	}
	for _, p := range f.decl.ephemeral {
		if f.sets[p.text] != nil {
			f.declaredAgain(p)
			continue
		}
		f.add(p).declared = true
	}
}

func (f *flow) declaredAgain(p param) {
	f.fail(p.place, fmt.Sprintf("the other declaration is in line %d", f.sets[p.text].line), "%.80s is declared twice", p.text)
}

// make makes the sets that an application assigns.
func (f *flow) make(n *node) {
	n.to = make([]*set, len(n.app.outs))
	for i, out := range n.app.outs {
		s := f.sets[out.set.text]
		switch {
		case s == nil && f.module.script:
			if !f.decl.unread[out.set.text] {
				f.fail(out.set.place, f.like(out.set.text, f.names, "declare it: ephemeral set "+clip(out.set.text)), "%.80s is not declared", out.set.text)
			}
			s = f.add(param{out.set, engine.TypeSet}) // so that it is reported once
			s.used = true
		case s == nil:
			s = f.add(param{out.set, engine.TypeSet})
		case s.input:
			f.fail(out.set.place, "take another name", "%.80s is an input of the composition, and can't be produced too", out.set.text)
			continue
		case s.maker != nil:
			f.fail(out.set.place, fmt.Sprintf("the other application is in line %d; take another name for one of them", s.maker.app.callee.line), "set %.80s is produced twice", out.set.text)
			continue
		}
		s.maker, n.to[i] = n, s
	}
}

// apply finds what an application applies, and matches its arguments to it.
func (f *flow) apply(ctx context.Context, n *node) error {
	app := n.app
	n.params, n.from, n.keeps = make([]int, len(app.args)), make([]*set, len(app.args)), make([]int, len(app.outs))
	for i, arg := range app.args {
		n.from[i] = f.use(arg.set)
	}
	var err error
	if f.module.script {
		n.callee, err = f.scriptCallee(ctx, app)
	} else {
		n.callee, err = f.wordCallee(ctx, app)
	}
	if err != nil {
		return err
	}
	if n.callee != nil {
		n.callee.used = true
	}
	if f.module.script {
		f.matchByPosition(n)
		if app.item.text != "" && f.sets[app.item.text] != nil {
			f.fail(app.item.place, "take another name for one item", "%.80s is a set already", app.item.text)
		}
		return nil
	}
	given := map[string]place{}
	for i, arg := range app.args {
		n.params[i] = -1
		if first, ok := given[arg.param.text]; ok {
			f.fail(arg.param.place, fmt.Sprintf("the other argument is in line %d, column %d", first.line, first.column), "parameter %.80s of %.80s is given twice", arg.param.text, app.callee.text)
			continue
		}
		given[arg.param.text] = arg.param.place
		if n.callee != nil {
			n.params[i] = f.find(arg.param, n, 0, "input")
		}
	}
	for i, out := range app.outs {
		n.keeps[i] = -1
		if n.callee != nil {
			n.keeps[i] = f.find(out.output, n, 1, "output")
		}
	}
	f.checkChain(n, given)
	if n.callee != nil && !app.torn && !slices.Contains(n.params, -1) {
		for _, param := range n.callee.names[0] {
			if _, ok := given[param]; !ok {
				f.missing(n, param)
			}
		}
	}
	return nil
}

// use finds a set that is to be read.
func (f *flow) use(where name) *set {
	s := f.sets[where.text]
	switch {
	case s == nil && f.decl.unread[where.text]: // perhaps it is made where something was not understood
		return nil
	case s == nil:
		f.fail(where.place, f.like(where.text, f.names, "it has to be an input, or what an application gives"), "set %.80s is not defined", where.text)
		return nil
	case s.maker == nil && !s.input && !f.decl.unread[where.text]:
		f.fail(where.place, "assign it what a function gives, or declare it as input", "set %.80s is declared, and nothing produces it", where.text)
	}
	s.used = true
	return s
}

// find is the index of a parameter or return of a callee, or -1.
func (f *flow) find(what name, n *node, side int, kind string) int {
	index := n.callee.params
	if side == 1 {
		index = n.callee.returns
	}
	if i, ok := index[what.text]; ok {
		return i
	}
	hint := fmt.Sprintf("it has none; its declaration is in line %d", n.callee.at.line)
	if list := n.callee.names[side]; len(list) > 0 {
		hint = "it has " + enumerated(list)
	}
	f.fail(what.place, f.like(what.text, n.callee.names[side], hint), "%.80s has no %s %.80s", n.app.callee.text, kind, what.text)
	return -1
}

// enumerated lists names, of many the first.
func enumerated(list []string) string {
	const most = 10
	text := ""
	for i, s := range list {
		if i == most {
			return text + ", …"
		}
		if i > 0 {
			text += ", "
		}
		text += clip(s)
	}
	return text
}

// missing reports a parameter without an argument.
func (f *flow) missing(n *node, param string) {
	if i := n.callee.params[param]; n.callee.known && n.callee.ref.Signature.Inputs[i].Type == engine.TypeItem {
		f.fail(n.app.callee.place, "give it a set", "%.80s needs exactly one item as %.80s, and is given none", n.app.callee.text, param)
		return
	}
	f.warn(n.app.callee.place, "give it a set", "parameter %.80s of %.80s is not given: it is an empty set", param, n.app.callee.text)
}

// checkChain holds a join to its rules.
func (f *flow) checkChain(n *node, given map[string]place) {
	kinds := make(map[string]argument, len(n.app.args))
	for _, arg := range n.app.args {
		kinds[arg.param.text] = arg
	}
	joined := map[string]bool{}
	var first argument
	for i, l := range n.app.chain {
		arg := kinds[l.param.text]
		switch _, ok := given[l.param.text]; {
		case !ok && n.callee != nil && f.find(l.param, n, 0, "input") < 0:
			continue
		case !ok && n.app.torn: // perhaps it is given where something was not understood
			continue
		case !ok:
			f.fail(l.param.place, f.like(l.param.text, argued(n.app), "only parameters that are given a set are joined"), "parameter %.80s is joined, and is given no set", l.param.text)
			continue
		case joined[l.param.text]:
			f.fail(l.param.place, "name it once", "parameter %.80s is joined twice", l.param.text)
			continue
		case !arg.kind.Keys():
			hint := fmt.Sprintf("write %s = keyed %s", clip(l.param.text), clip(arg.set.text))
			f.fail(l.param.place, hint, "parameter %.80s is divided by %s, and only sets that are divided by key can be joined", l.param.text, arg.kind)
		case first.kind.Keys() && arg.kind != first.kind:
			f.fail(l.param.place, "divide all of the chain by keyed, or all by anyKeyed", "a chain mixes %s and %s", first.kind, arg.kind)
		case arg.optional:
			f.warn(l.param.place, "leave optional out", "optional means nothing for %.80s, as the join decides what runs", l.param.text)
		}
		joined[l.param.text] = true
		if i == 0 {
			first = arg
		}
	}
}

// argued are the parameters that an application gives sets.
func argued(app *application) []string {
	list := make([]string, len(app.args))
	for i, arg := range app.args {
		list[i] = arg.param.text
	}
	return list
}

// checkOutputs holds the return list to what there is.
func (f *flow) checkOutputs() {
	seen := map[string]bool{}
	var makes []string
	for _, name := range f.names {
		if s := f.sets[name]; s.input || s.maker != nil {
			makes = append(makes, name)
		}
	}
	for _, p := range f.decl.outputs {
		s := f.sets[p.text]
		made := s != nil && (s.input || s.maker != nil)
		switch {
		case seen[p.text]: // is reported
		case !made && !f.decl.unread[p.text]:
			f.fail(p.place, f.like(p.text, makes, "assign it what a function gives"), "output %.80s is never produced", p.text)
		case s != nil:
			s.used = true
			f.outputs = append(f.outputs, s)
		}
		seen[p.text] = true
	}
}

// checkUnused warns of what nobody uses.
func (f *flow) checkUnused() {
	if len(f.decl.unread) > 0 {
		return
	}
	for _, name := range f.names {
		s := f.sets[name]
		switch {
		case s.used:
		case s.input:
			f.warn(s.place, "leave it out, or give it to a function", "input %.80s is not used", name)
		case s.maker == nil:
			f.warn(s.place, "leave it out", "%.80s is declared, and neither produced nor used", name)
		case f.module.script:
			f.warn(s.maker.app.callee.place, "give it to a function, or declare it as output", "set %.80s is not used", name)
		default:
			f.warn(s.place, "leave it out of the application's outputs, or make it an output of the composition", "set %.80s is not used", name)
		}
	}
}

// ready is a heap of nodes that can be taken next: first as written.
type ready []*node

func (r ready) Len() int           { return len(r) }
func (r ready) Less(i, j int) bool { return r[i].at < r[j].at }
func (r ready) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }

// Push is of heap.Interface.
func (r *ready) Push(x any) {
	if n, ok := x.(*node); ok {
		*r = append(*r, n)
	}
}

// Pop is of heap.Interface.
func (r *ready) Pop() any {
	last := len(*r) - 1
	n := (*r)[last]
	*r = (*r)[:last]
	return n
}

// sort puts applications in topological order, and reports cycles.
func (f *flow) sort() {
	readers := map[*node][]*node{}
	var next ready
	for _, n := range f.nodes {
		for _, s := range n.from {
			if s != nil && s.maker != nil {
				n.waits++
				readers[s.maker] = append(readers[s.maker], n)
			}
		}
		if n.waits == 0 {
			next = append(next, n)
		}
	}
	heap.Init(&next)
	for len(next) > 0 {
		n, _ := heap.Pop(&next).(*node)
		f.order = append(f.order, n)
		for _, reader := range readers[n] {
			if reader.waits--; reader.waits == 0 {
				heap.Push(&next, reader)
			}
		}
	}
	walked := map[*node]int{} // by which walk
	for i, n := range f.nodes {
		f.walkBack(n, i+1, walked)
	}
}

// walkBack goes from an application that is never ready to one that it waits for,
// and so on, and reports the cycle that it comes into.
func (f *flow) walkBack(n *node, walk int, walked map[*node]int) {
	var path []*node
	for n.waits > 0 && walked[n] == 0 {
		walked[n] = walk
		path = append(path, n)
		for _, s := range n.from {
			if s != nil && s.maker != nil && s.maker.waits > 0 {
				n = s.maker
				break
			}
		}
	}
	if n.waits == 0 || walked[n] != walk {
		return
	}
	show := func(n *node) string { return fmt.Sprintf("%s (line %d)", clip(n.app.callee.text), n.app.callee.line) }
	list := []string{show(n)}
	for _, other := range slices.Backward(path) { // the path goes against the flow
		list = append(list, show(other))
		if other == n {
			break
		}
	}
	f.fail(n.app.callee.place, "break it: one of them has to do without what comes later", "a cycle of applications that wait for one another: %s", arrows(list))
}

// checkTypes finds out how many items an application's sets have, and compares that
// with what callee and declarations say.
func (f *flow) checkTypes(n *node) {
	single, runs := len(n.app.chain) == 0, true
	for i, arg := range n.app.args {
		s := n.from[i]
		if s == nil {
			return
		}
		if arg.kind != shard.All && s.count != countOne {
			single = false
		}
		if !arg.optional && s.count != countOne {
			runs = false
		}
		if n.callee != nil && n.callee.known && n.params[i] >= 0 && n.callee.ref.Signature.Inputs[n.params[i]].Type == engine.TypeItem {
			f.checkItem(n, i)
		}
	}
	for i, s := range n.to {
		if s == nil {
			continue
		}
		switch {
		case !single:
			s.count = countMany
		case runs && n.callee != nil && n.callee.known && n.keeps[i] >= 0 && n.callee.ref.Signature.Outputs[n.keeps[i]].Type == engine.TypeItem:
			s.count = countOne
		}
		if s.typ == engine.TypeItem {
			if s.count == countMany {
				f.fail(n.app.outs[i].set.place, "declare it as set, or gather its items in a function that gets all of them", "%.80s is declared as one item, and gets as many as there are instances", s.text)
			}
			s.count = countOne
		}
	}
}

// checkItem compares an argument with a parameter that is exactly one item.
func (f *flow) checkItem(n *node, at int) {
	arg, s := n.app.args[at], n.from[at]
	if arg.kind == shard.Each && !arg.optional || s.count == countOne && !arg.optional {
		return
	}
	param := n.callee.ref.Signature.Inputs[n.params[at]].Name
	hint := fmt.Sprintf("write each %s for an instance an item", clip(arg.set.text))
	joined := slices.ContainsFunc(n.app.chain, func(l link) bool { return l.param.text == arg.param.text })
	switch {
	case joined: // where each is not possible
		hint = "see to it that there is exactly one item for each key, and that the join leaves it nowhere empty"
	case arg.kind.Keys():
		hint += "; or see to it that there is exactly one for each key"
	case f.module.script:
		hint = fmt.Sprintf("write for each one in %[1]s : …, or declare %[1]s as item", clip(arg.set.text))
	}
	const mismatch = "%.80s takes exactly one item as %.80s, and %.80s is a set"
	switch {
	case arg.kind == shard.All && !arg.optional && (s.count == countMany || s.declared):
		f.fail(arg.set.place, hint, mismatch, n.app.callee.text, param, s.text)
	case !s.input || arg.kind != shard.All || arg.optional:
		f.warn(arg.set.place, hint, mismatch+": a run fails unless there is exactly one", n.app.callee.text, param, s.text)
	}
}
