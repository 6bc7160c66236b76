package composition

import (
	"context"
	"fmt"

	"pappus/engine"
)

// wordCallee is what an application of the form of applications applies: what is
// declared or composed in the module.
func (f *flow) wordCallee(ctx context.Context, app *application) (*callee, error) {
	word := app.callee.text
	if w := f.words[word]; w != nil {
		return w, nil
	}
	hint := f.like(word, f.checker.names, fmt.Sprintf("or declare it: function %s(inputs) => (outputs);", clip(word)))
	if f.opts.Resolver != nil && !f.full() && !f.isOwn(word) {
		r, err := f.resolve(ctx, word)
		if err != nil {
			return nil, err
		}
		if r.callee != nil {
			hint = "it is registered; declare it: " + clipTo(Declaration(word, word, r.callee.Signature), maxDeclaration)
		}
	}
	f.fail(app.callee.place, hint, "unknown function %.80s", word)
	return nil, nil
}

// scriptCallee is what an application of a script applies: what is registered.
func (f *flow) scriptCallee(ctx context.Context, app *application) (*callee, error) {
	word := app.callee.text
	w := &callee{at: app.callee.place, reference: word}
	if f.isOwn(word) {
		return w, nil // which is reported as recursion
	}
	w.known = true
	if f.opts.Resolver == nil {
		w.ref = f.unresolved(word, engine.Signature{Inputs: numbered("in", len(app.args)), Outputs: numbered("out", len(app.outs))})
		return w, nil
	}
	r, err := f.resolve(ctx, word)
	if err != nil {
		return nil, err
	}
	if r.err != nil {
		f.checker.unknown(app.callee.place, word, r.err)
		return nil, nil
	}
	w.ref = reference(r.callee, r.callee.Signature)
	if w.ref.Signature.Open {
		w.ref.Signature.Inputs = numbered("input", len(app.args))
	}
	return w, nil
}

// numbered are names for sets that have none.
func numbered(what string, n int) []engine.Param {
	if n == 1 && what == "input" { // as the lone set of a function without a signature is called
		return []engine.Param{{Name: what, Type: engine.TypeSet}}
	}
	list := make([]engine.Param, n)
	for i := range list {
		list[i] = engine.Param{Name: fmt.Sprintf("%s%d", what, i+1), Type: engine.TypeSet}
	}
	return list
}

// matchByPosition matches a script's arguments and results to the callee's.
func (f *flow) matchByPosition(n *node) {
	for i := range n.params {
		n.params[i] = i
	}
	for i := range n.keeps {
		n.keeps[i] = i
	}
	if n.callee == nil || !n.callee.known {
		return
	}
	sig, app := n.callee.ref.Signature, n.app
	if have, want := len(app.args), len(sig.Inputs); have != want {
		at := app.callee.place
		if have > want {
			at = app.args[want].set.place
		}
		f.fail(at, "it takes "+listed(sig.Inputs), "%.80s takes %s, and is given %d", app.callee.text, counted(want, "input"), have)
		for i := want; i < have; i++ {
			n.params[i] = -1
		}
	}
	if have, want := len(app.outs), len(sig.Outputs); have > want {
		f.fail(app.outs[want].set.place, "it gives "+listed(sig.Outputs), "%.80s gives %s, and %d are assigned", app.callee.text, counted(want, "output"), have)
		for i := want; i < have; i++ {
			n.keeps[i] = -1
		}
	}
}

// listed lists the names of sets.
func listed(params []engine.Param) string {
	if len(params) == 0 {
		return "none"
	}
	list := make([]string, len(params))
	for i, p := range params {
		list[i] = p.Name
	}
	return enumerated(list)
}
