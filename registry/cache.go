package registry

import "sync"

// maxCached is how many resolved references are kept in memory.
const maxCached = 100_000

// cache remembers what references mean, so that an invocation touches no store.
// A write to a name forgets all of the name's references.
type cache struct {
	mu         sync.RWMutex
	names      map[nameKey]map[Ref]*Version
	size       int
	generation uint64 // counts writes, so that a reader that began before one does not store
}

type nameKey struct{ tenant, name string }

func newCache() *cache { return &cache{names: map[nameKey]map[Ref]*Version{}} }

func (c *cache) get(tenant string, ref Ref) (*Version, bool) {
	c.mu.RLock()
	v, ok := c.names[nameKey{tenant, ref.Name}][ref]
	c.mu.RUnlock()
	return v, ok
}

// begin is called before the store is read for put.
func (c *cache) begin() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.generation
}

// put remembers v unless something was written since begin.
func (c *cache) put(tenant string, ref Ref, v *Version, begun uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != begun {
		return
	}
	if c.size >= maxCached {
		clear(c.names)
		c.size = 0
	}
	key := nameKey{tenant, ref.Name}
	refs := c.names[key]
	if refs == nil {
		refs = map[Ref]*Version{}
		c.names[key] = refs
	}
	if _, ok := refs[ref]; !ok {
		c.size++
	}
	refs[ref] = v
}

// forget is called after a write to a name is durable, before it is acknowledged.
func (c *cache) forget(tenant, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	key := nameKey{tenant, name}
	c.size -= len(c.names[key])
	delete(c.names, key)
}
