package dispatcher

import (
	"slices"

	"pappus/engine"
	"pappus/registry"
)

// A placement chooses the engine that runs an invocation, among engines in the
// order of preference; nil if none of them can. Each engine that has code in
// the invocation's target can, and gives the same outputs. It is called for
// every invocation, but for those that a worker has just run the same version for,
// from many goroutines.
type placement func(engines []engine.Engine, inv Invocation) engine.Engine

var _ placement = preferred

// preferred takes the first engine that the version has code for.
func preferred(engines []engine.Engine, inv Invocation) engine.Engine {
	i := slices.IndexFunc(engines, func(e engine.Engine) bool { return has(inv.Target, e) })
	if i < 0 {
		return nil
	}
	return engines[i]
}

// has reports whether a version has code for an engine.
func has(v *registry.Version, e engine.Engine) bool {
	_, ok := v.Code[e.Name()]
	return ok
}
