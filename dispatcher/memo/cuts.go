package memo

import (
	"maps"
	"sync"
	"sync/atomic"

	"pappus/data"
)

// cuts say which results are dead: those of runs that began before a purge of
// their scope. So whatever is still under way when Purge returns, a run, a
// queue, a buffer, nothing from before it is served afterwards.
type cuts struct {
	clock atomic.Uint64 // of runs; one later with every purge

	mu    sync.Mutex            // of writers
	table atomic.Pointer[table] // nil: nothing was ever purged
}

type table struct {
	all uint64           // what began before it is dead, whatever its scope
	of  map[scope]uint64 // the same by scope; a zero code stands for all of the tenant
}

// maxCuts bounds the table. When there would be more, all that is older than
// now is dead, which is only ever too much.
const maxCuts = 1024

func (c *cuts) now() uint64 { return c.clock.Load() }

func (c *cuts) dead(s scope, born uint64) bool {
	t := c.table.Load()
	if t == nil {
		return false
	}
	return born < t.all || born < t.of[s] || born < t.of[scope{tenant: s.tenant}]
}

// cut makes everything dead that is in one of the scopes and began before now.
func (c *cuts) cut(scopes []scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.clock.Add(1)
	next := &table{of: make(map[scope]uint64)}
	if old := c.table.Load(); old != nil {
		next.all = old.all
		maps.Copy(next.of, old.of)
	}
	for _, s := range scopes {
		next.of[s] = at
	}
	if len(next.of) > maxCuts {
		next = &table{all: at}
	}
	c.table.Store(next)
}

// scopesOf is one tenant's code, or all of the tenant if no code is named.
func scopesOf(tenant string, code []data.Digest) []scope {
	if len(code) == 0 {
		return []scope{{tenant: tenant}}
	}
	scopes := make([]scope, len(code))
	for i, d := range code {
		scopes[i] = scope{tenant, d}
	}
	return scopes
}

// within reports whether s is one of scopes, or belongs to a tenant that is.
func within(s scope, scopes []scope) bool {
	for _, other := range scopes {
		if s == other || other.code.IsZero() && s.tenant == other.tenant {
			return true
		}
	}
	return false
}
