package composition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"pappus/engine"
)

// checker looks at a module as a whole: names, references, and which composition
// applies which. A composition by itself is checked by a flow.
type checker struct {
	*reporter
	opts   Options
	module *module

	words    map[string]*callee // what a name in the module stands for
	names    []string           // of words, in order, for hints
	resolved map[string]resolution
	flows    []*flow
	torn     bool // the source has errors of syntax
	entry    int  // index of flows
}

// callee is what an application can apply.
type callee struct {
	at        place
	reference string    // as written, of what is registered
	known     bool      // whether ref is
	ref       Reference // of what is registered
	nested    *flow     // a composition of the module; nil: something registered
	params    map[string]int
	returns   map[string]int
	names     [2][]string // of params and returns
	used      bool
}

type resolution struct {
	callee *Callee
	err    *UnknownError
}

func newChecker(r *reporter, m *module, opts Options) *checker {
	if opts.Nesting == 0 {
		opts.Nesting = MaxNesting
	}
	return &checker{reporter: r, opts: opts, module: m, words: map[string]*callee{}, resolved: map[string]resolution{}, torn: len(r.errors) > 0}
}

// check fails if something can't be found out; what is wrong is reported.
func (c *checker) check(ctx context.Context) error {
	for _, d := range c.module.compositions {
		c.flows = append(c.flows, newFlow(c, d))
	}
	if c.module.script {
		d := c.module.compositions[0]
		if d.name.text = c.opts.Name; d.name.text == "" {
			d.name.text = "script"
		}
	} else if err := c.declareAll(ctx); err != nil {
		return err
	}
	for _, f := range c.flows {
		if err := f.check(ctx); err != nil {
			return err
		}
	}
	c.checkRecursion()
	c.chooseEntry()
	if err := c.checkRegistered(ctx); err != nil {
		return err
	}
	for _, f := range c.module.functions {
		if w := c.words[f.name.text]; w != nil && !w.used && len(c.errors) == 0 {
			c.warn(f.name.place, "leave the declaration out", "function %.80s is not applied", f.name.text)
		}
	}
	return nil
}

// declareAll declares functions and compositions, in the order of the source.
func (c *checker) declareAll(ctx context.Context) error {
	flows := c.flows
	compositionsBefore := func(offset int32) {
		for len(flows) > 0 && flows[0].decl.name.offset < offset {
			f, n := flows[0], flows[0].decl.name
			flows = flows[1:]
			c.declare(n, &callee{nested: f}, names(f.decl.inputs), names(f.decl.outputs))
			if c.opts.Reserved != nil && c.opts.Reserved(n.text) {
				c.fail(n.place, "take another name", "the name %.80s belongs to the platform", n.text)
			}
		}
	}
	for _, f := range c.module.functions {
		compositionsBefore(f.name.offset)
		if err := c.function(ctx, f); err != nil {
			return err
		}
	}
	compositionsBefore(math.MaxInt32)
	return nil
}

func names(params []param) []name {
	list := make([]name, len(params))
	for i, p := range params {
		list[i] = p.name
	}
	return list
}

// declare gives a name its meaning in the module.
func (c *checker) declare(n name, w *callee, inputs, outputs []name) {
	w.at = n.place
	w.params, w.names[0] = c.unique(inputs, "the input")
	w.returns, w.names[1] = c.unique(outputs, "the output")
	if other, ok := c.words[n.text]; ok {
		c.fail(n.place, fmt.Sprintf("the other one is in line %d", other.at.line), "%.80s is declared twice", n.text)
		return
	}
	c.words[n.text] = w
	c.names = append(c.names, n.text)
}

// unique reports names that appear twice.
func (c *checker) unique(list []name, what string) (index map[string]int, texts []string) {
	index, texts = make(map[string]int, len(list)), make([]string, len(list))
	for i, n := range list {
		if _, ok := index[n.text]; ok {
			c.fail(n.place, "", "%s %.80s appears twice", what, n.text)
		} else {
			index[n.text] = i
		}
		texts[i] = n.text
	}
	return index, texts
}

// resolve asks for a reference, once.
func (c *checker) resolve(ctx context.Context, reference string) (resolution, error) {
	if known, ok := c.resolved[reference]; ok {
		return known, nil
	}
	if err := ctx.Err(); err != nil {
		return resolution{}, err
	}
	var r resolution
	found, err := c.opts.Resolver.Resolve(ctx, reference)
	switch {
	case err == nil:
		r.callee = found
	case !errors.As(err, &r.err):
		return r, fmt.Errorf("look for %.200s: %w", reference, err)
	}
	c.resolved[reference] = r
	return r, nil
}

// function checks a declaration of a function against what is registered.
func (c *checker) function(ctx context.Context, f *function) error {
	w := &callee{reference: f.name.text}
	at := f.name.place
	if f.reference.text != "" {
		w.reference, at = f.reference.text, f.reference.place
	}
	c.declare(f.name, w, f.inputs, f.outputs)
	declared := engine.Signature{Inputs: declaredParams(f.inputs), Outputs: declaredParams(f.outputs)}
	own, _, _ := strings.Cut(w.reference, "@")
	if c.opts.Reserved != nil && c.opts.Reserved(f.name.text) && !c.opts.Reserved(own) {
		c.fail(f.name.place, "take another name", "the name %.80s belongs to the platform, and can't stand for something else", f.name.text)
	}
	if c.opts.Resolver == nil {
		w.known, w.ref = true, c.unresolved(w.reference, declared)
		return nil
	}
	if c.isOwn(w.reference) {
		return nil // recursion, which is reported where it is applied
	}
	r, err := c.resolve(ctx, w.reference)
	if err != nil {
		return err
	}
	if r.err != nil {
		c.unknown(at, w.reference, r.err)
		return nil
	}
	registered := r.callee.Signature
	if why := differs(declared, registered); why != "" {
		if registered.Open { // which has none of its own
			registered.Inputs = declared.Inputs
		}
		c.fail(f.name.place, "write: "+clipTo(Declaration(f.name.text, w.reference, registered), maxDeclaration), "the declaration of %.80s differs from what is registered: %s", f.name.text, why)
		return nil
	}
	w.known = true
	w.ref = reference(r.callee, registered)
	if registered.Open {
		w.ref.Signature.Inputs = declared.Inputs
	}
	return nil
}

func declaredParams(names []name) []engine.Param {
	list := make([]engine.Param, len(names))
	for i, n := range names {
		list[i] = engine.Param{Name: n.text, Type: engine.TypeSet}
	}
	return list
}

// unknown reports that nothing is registered under a reference.
func (c *checker) unknown(at place, reference string, err *UnknownError) {
	hint := c.like(reference, err.Near, cmp.Or(err.Hint, "see what there is with: pappus ls"))
	if err.Reason != "" {
		c.fail(at, hint, "%.200s %s", reference, err.Reason)
	} else {
		c.fail(at, hint, "nothing is registered under the name %.200s", reference)
	}
}

// unresolved is the reference of a graph that nobody runs.
func (c *checker) unresolved(text string, sig engine.Signature) Reference {
	name, tag, _ := strings.Cut(text, "@")
	io := tag == "" && c.opts.Reserved != nil && c.opts.Reserved(name)
	return Reference{Name: name, Tag: tag, IO: io, Signature: sig}
}

func reference(c *Callee, sig engine.Signature) Reference {
	return Reference{Name: c.Name, Tag: c.Tag, Number: c.Number, Digest: c.Digest, IO: c.IO, Signature: sig}
}

// differs says how a declaration differs from a registered signature, or "". Names
// are the composition's own, as sets are matched by position; but a name that is
// registered at another position is a mistake.
func differs(declared, registered engine.Signature) string {
	for _, side := range []struct {
		what      string
		have, are []engine.Param
		any       bool
	}{{"input", declared.Inputs, registered.Inputs, registered.Open}, {"output", declared.Outputs, registered.Outputs, false}} {
		if side.any {
			continue
		}
		if len(side.have) != len(side.are) {
			return fmt.Sprintf("it has %s, and what is registered has %d", counted(len(side.have), side.what), len(side.are))
		}
		position := make(map[string]int, len(side.are))
		for i, p := range side.are {
			position[p.Name] = i
		}
		for i, p := range side.have {
			if at, ok := position[p.Name]; ok && at != i {
				return fmt.Sprintf("its %s %d is %.80s, which is number %d of what is registered", side.what, i+1, p.Name, at+1)
			}
		}
	}
	return ""
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// isOwn reports whether a reference means what is being registered: a version that
// is pinned by number or digest is another one.
func (c *checker) isOwn(reference string) bool {
	name, which, pinned := strings.Cut(reference, "@")
	if c.opts.Name == "" || name != c.opts.Name {
		return false
	}
	return !pinned || !strings.Contains(which, ":") && strings.Trim(which, "0123456789") != ""
}

// checkRecursion reports compositions of the module that apply themselves, and
// those that stand too deep in one another.
func (c *checker) checkRecursion() {
	for _, f := range c.flows {
		c.descend(f, nil)
	}
}

// descend goes through what a composition applies. Its depth is that of the path,
// which is cut where a composition appears again, so MaxCompositions at most.
func (c *checker) descend(f *flow, path []*flow) {
	if f.depth > 0 {
		return
	}
	f.active = true
	path = append(path, f)
	deepest := 0
	for _, n := range f.nodes {
		if n.callee == nil || n.callee.nested == nil {
			continue
		}
		inner := n.callee.nested
		if inner.active && !c.full() {
			c.fail(n.app.callee.place, "a composition can't apply itself; lead the sets through applications one after the other", "recursion: %s", trail(path, inner))
		}
		if inner.active {
			continue
		}
		c.descend(inner, path)
		deepest = max(deepest, inner.depth)
	}
	f.active = false
	if f.depth = deepest + 1; f.depth == c.opts.Nesting+1 {
		c.fail(f.decl.name.place, "apply functions in fewer compositions", "%d compositions stand in one another; the most is %d", f.depth, c.opts.Nesting)
	}
}

// trail is the end of a path from where a composition first appears, and back to it.
func trail(path []*flow, to *flow) string {
	var list []string
	for _, f := range path {
		if f == to || len(list) > 0 {
			list = append(list, clip(f.decl.name.text))
		}
	}
	return arrows(append(list, clip(to.decl.name.text)))
}

// arrows joins the parts of a path, of a long one the ends.
func arrows(list []string) string {
	const most = 12
	if len(list) > most {
		list = append(append(list[:most/2:most/2], "…"), list[len(list)-most/2:]...)
	}
	return strings.Join(list, " -> ")
}

// chooseEntry finds the composition that the graph is of. A source may have others,
// which are entries under their names.
func (c *checker) chooseEntry() {
	if len(c.flows) == 0 {
		return
	}
	applied := map[*flow]bool{}
	for _, f := range c.flows {
		for _, n := range f.nodes {
			if n.callee != nil && n.callee.nested != nil {
				applied[n.callee.nested] = true
			}
		}
	}
	var list []string
	var roots []int
	c.entry = -1
	for i, f := range c.flows {
		list = append(list, clip(f.decl.name.text))
		if !applied[f] {
			roots = append(roots, i)
		}
		if f.decl.name.text == c.opts.Name || len(c.flows) == 1 {
			c.entry = i
		}
	}
	if c.entry < 0 && c.opts.Name == "" && len(roots) == 1 {
		c.entry = roots[0]
	}
	if c.entry < 0 && (c.torn || c.opts.Name == "" && len(c.errors) > 0) { // perhaps it is in what was not understood
		c.entry = 0
		return
	}
	if c.entry < 0 {
		const most = 20
		if len(list) > most {
			list = append(list[:most], "…")
		}
		hint, what := "say which, with --name NAME or, by HTTP, name=NAME", "none of the compositions is the entry, as several are not applied by others: %s"
		if c.opts.Name != "" {
			hint, what = c.like(c.opts.Name, list, "register them under the name of the one that is to be called, or name that one so"), "none of the compositions has the name "+clip(c.opts.Name)+": %s"
		}
		c.fail(c.flows[0].decl.name.place, hint, what, strings.Join(list, ", "))
		c.entry = 0
		return
	}
}

// maxRegistered bounds how many references of registered compositions are followed.
const maxRegistered = 10_000

// checkRegistered reports registered compositions that apply the one that is being
// registered.
func (c *checker) checkRegistered(ctx context.Context) error {
	if c.opts.Resolver == nil || c.opts.Name == "" || len(c.flows) == 0 {
		return nil
	}
	visited := map[string]bool{}
	for _, f := range c.flows {
		for _, n := range f.nodes {
			if n.callee == nil || n.callee.nested != nil || visited[n.callee.reference] {
				continue
			}
			path, err := c.leadsBack(ctx, n.callee.reference, visited)
			if err != nil {
				return err
			}
			if path != nil {
				c.fail(n.app.callee.place, "a composition can't apply itself, not through another one either", "recursion: %s", arrows(append([]string{clip(c.opts.Name)}, path...)))
			}
		}
	}
	return nil
}

// leadsBack is the path from a reference to what is being registered, or nil.
func (c *checker) leadsBack(ctx context.Context, from string, visited map[string]bool) ([]string, error) {
	type step struct {
		reference string
		from      int
	}
	for steps, i := []step{{from, -1}}, 0; i < len(steps); i++ {
		at := steps[i]
		if c.isOwn(at.reference) {
			var path []string
			for j := i; j >= 0; j = steps[j].from {
				path = append([]string{clip(steps[j].reference)}, path...)
				if len(path) > c.opts.Nesting {
					break
				}
			}
			return path, nil
		}
		if visited[at.reference] {
			continue
		}
		visited[at.reference] = true
		r, err := c.resolve(ctx, at.reference)
		if err != nil {
			return nil, err
		}
		if r.callee != nil {
			for _, next := range r.callee.Applies {
				if !visited[next] && len(steps) < maxRegistered {
					steps = append(steps, step{next, i})
				}
			}
		}
	}
	return nil, nil
}
