package dispatcher

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pappus/data"
	"pappus/engine"
	"pappus/registry"
)

// A placement chooses the engine that runs an invocation, among engines in the
// order of preference; nil if none of them can. Each engine that has code in
// the invocation's target can, and gives the same outputs. It is called for
// every invocation, but for those that a worker has just run the same version for,
// from many goroutines. What it chooses is the invocation's, and for a
// composition's that of all instances of the version.
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

// costs is what calls of versions with several implementations have taken. The
// zero value is ready to use.
type costs struct {
	mu       sync.RWMutex
	versions map[costKey]*versionCosts
}

type costKey struct {
	tenant string
	digest data.Digest
}

// mostCosts is how many versions' costs are kept.
const mostCosts = 4096

// maxEngines is more than there are.
const maxEngines = 4

// versionCosts are those of one version, by the engine's place in the order of
// preference.
type versionCosts struct {
	calls   atomic.Uint64
	chosen  [maxEngines]atomic.Uint64
	average [maxEngines]atomic.Int64 // nanoseconds of a call; 0 before the first
}

// An engine is tried so often before its cost counts, and one of so many calls
// goes to another engine than the cheapest, since costs change with inputs.
const (
	trials  = 4
	tryAway = 64
)

var _ placement = (*costs)(nil).cheapest

// cheapest takes the engine whose calls of the version have been the shortest of
// late. Where fuel is limited it takes the preferred one, so that failures are
// always the same ones.
func (c *costs) cheapest(engines []engine.Engine, inv Invocation) engine.Engine {
	v := inv.Target
	if len(v.Code) < 2 || v.Limits.Fuel > 0 || len(engines) > maxEngines {
		return preferred(engines, inv)
	}
	of := c.of(v)
	call := of.calls.Add(1)
	best, least, rarest := -1, int64(0), -1
	for i, e := range engines {
		if !has(v, e) {
			continue
		}
		if of.chosen[i].Load() < trials {
			best = i
			break
		}
		if average := of.average[i].Load(); best < 0 || average > 0 && average < least {
			best, least = i, average
		}
		if rarest < 0 || of.chosen[i].Load() < of.chosen[rarest].Load() {
			rarest = i
		}
	}
	if best < 0 {
		return nil
	}
	if call%tryAway == 0 && rarest >= 0 {
		best = rarest
	}
	of.chosen[best].Add(1)
	return engines[best]
}

// took notes how long a call has taken an engine.
func (c *costs) took(engines []engine.Engine, v *registry.Version, name string, d time.Duration) {
	i := slices.IndexFunc(engines, func(e engine.Engine) bool { return e.Name() == name })
	if i < 0 || i >= maxEngines {
		return
	}
	average := &c.of(v).average[i]
	const weight = 8 // of what was before, against one call
	before := average.Load()
	now := max(int64(d), 1)
	if before > 0 {
		now = max((before*(weight-1)+now)/weight, 1)
	}
	average.Store(now) // of two at once one is lost
}

func (c *costs) of(v *registry.Version) *versionCosts {
	key := costKey{v.Tenant, v.Digest}
	c.mu.RLock()
	of := c.versions[key]
	c.mu.RUnlock()
	if of != nil {
		return of
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if of := c.versions[key]; of != nil {
		return of
	}
	if c.versions == nil || len(c.versions) >= mostCosts {
		c.versions = make(map[costKey]*versionCosts)
	}
	of = &versionCosts{}
	c.versions[key] = of
	return of
}
