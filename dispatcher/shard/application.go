package shard

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pappus/data"
)

// Param is one parameter of an application and the set that is given to it.
type Param struct {
	Name     string
	Kind     Kind
	Optional bool // the application runs even if the set is empty
	// Items need not be in the order of their keys; instances see them in it.
	// They must not change while a Plan or a Stream of them is in use.
	Items []*data.Item
}

// Link is one parameter of a chain of joins.
type Link struct {
	Param int  // index among the parameters
	Join  Join // how it is joined to those before it; the first link's does not count
}

// Application is all that decides about instances: nothing of the machine, its
// load or of timing.
type Application struct {
	Params      []Param
	Chain       []Link // what stands behind "by": none, or two and more
	Parallelism int    // the run's; how many instances the any-forms may make, at least 1
}

// check refuses what the language does not say.
func (app *Application) check() error {
	if app.Parallelism < 1 {
		return fmt.Errorf("parallelism is %d; it must be at least 1", app.Parallelism)
	}
	for _, p := range app.Params {
		if p.Kind > AnyKeyed {
			return fmt.Errorf("parameter %q: there is no kind of division %d", p.Name, uint8(p.Kind))
		}
	}
	if len(app.Chain) == 1 {
		return errors.New("a join needs two parameters at least, and has one")
	}
	joined := make([]bool, len(app.Params))
	for i, link := range app.Chain {
		if link.Param < 0 || link.Param >= len(app.Params) {
			return fmt.Errorf("join: there is no parameter %d, but %d parameters", link.Param, len(app.Params))
		}
		p, first := &app.Params[link.Param], &app.Params[app.Chain[0].Param]
		switch {
		case link.Join > Full:
			return fmt.Errorf("parameter %q: there is no kind of join %d", p.Name, uint8(link.Join))
		case joined[link.Param]:
			return fmt.Errorf("parameter %q is joined twice", p.Name)
		case !p.Kind.Keys():
			return fmt.Errorf("parameter %q is %s; only keyed and anyKeyed can be joined", p.Name, p.Kind)
		case i > 0 && p.Kind != first.Kind:
			return fmt.Errorf("parameters %q and %q are joined, but one is %s and one is %s", first.Name, p.Name, first.Kind, p.Kind)
		}
		joined[link.Param] = true
	}
	return nil
}

// joins reports whether a parameter is in the chain.
func (app *Application) joins(param int) bool {
	return slices.ContainsFunc(app.Chain, func(l Link) bool { return l.Param == param })
}

// Factor is what one parameter, or a chain of them, contributes to a product.
type Factor struct {
	Params string // their names
	Count  int
}

// TooManyError says that an application would have more instances, or a cross
// join more rows, than are allowed.
type TooManyError struct {
	What    string   // "instances" or "rows"
	Factors []Factor // whose product it is; those of 1 are left out
	Limit   int
}

func (e *TooManyError) Error() string {
	if len(e.Factors) == 1 {
		return fmt.Sprintf("%d %s for %s are more than the limit of %d", e.Factors[0].Count, e.What, e.Factors[0].Params, e.Limit)
	}
	var product strings.Builder
	for i, f := range e.Factors {
		if i > 0 {
			product.WriteString(" × ")
		}
		fmt.Fprintf(&product, "%d (%s)", f.Count, f.Params)
	}
	return fmt.Sprintf("%s %s are more than the limit of %d", cmp.Or(product.String(), "1"), e.What, e.Limit)
}

// product multiplies factors, or says that they exceed the limit.
func product(what string, limit int, factors []Factor) (int, error) {
	if slices.ContainsFunc(factors, func(f Factor) bool { return f.Count == 0 }) {
		return 0, nil
	}
	n, exceeded := 1, limit < 1
	for _, f := range factors {
		if exceeded = exceeded || n > limit/f.Count; exceeded {
			break
		}
		n *= f.Count
	}
	if exceeded {
		many := slices.DeleteFunc(slices.Clone(factors), func(f Factor) bool { return f.Count == 1 })
		return 0, &TooManyError{What: what, Factors: many, Limit: limit}
	}
	return n, nil
}
