package registry

import "sync"

// maxCached bounds what is kept in memory: resolved references, and KiB of what
// compositions hold.
const maxCached = 100_000

// cache remembers what references mean, so that an invocation touches no store.
// It holds only what is true now and what no write that is going on can change:
// a write to a name takes out all that the name is part of before it commits,
// and keeps it out until it has ended. So what is found together was true at
// one moment.
type cache struct {
	mu         sync.RWMutex
	versions   map[nameKey]map[Ref]*Version
	closures   map[refKey]*closure
	within     map[nameKey]map[refKey]struct{} // the closures that a name is part of
	writing    map[nameKey]int                 // writes that are going on
	size       int
	generation uint64 // counts beginnings and ends of writes, so that a reader that began before one does not store
}

type nameKey struct{ tenant, name string }

type refKey struct {
	tenant string
	ref    Ref
}

// closure is a resolved reference with all that it reaches.
type closure struct {
	root  *Resolved
	names []string // that say what it is
	size  int
}

func newCache() *cache {
	return &cache{
		versions: map[nameKey]map[Ref]*Version{}, closures: map[refKey]*closure{},
		within: map[nameKey]map[refKey]struct{}{}, writing: map[nameKey]int{},
	}
}

// sizeOf is what a version counts for in the cache.
func sizeOf(v *Version) int {
	return 1 + (len(v.Source)+len(v.Graph))>>10 + len(v.Uses)
}

func (c *cache) get(tenant string, ref Ref) (*Version, bool) {
	c.mu.RLock()
	v, ok := c.versions[nameKey{tenant, ref.Name}][ref]
	c.mu.RUnlock()
	return v, ok
}

// closuresOf fills found with what references reach, if all of it is known.
func (c *cache) closuresOf(tenant string, refs []Ref, found []*Resolved) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i, ref := range refs {
		known, ok := c.closures[refKey{tenant, ref}]
		if !ok {
			return false
		}
		found[i] = known.root
	}
	return true
}

// begin is called before the store is read for put or putClosure.
func (c *cache) begin() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.generation
}

// put remembers v unless something was written since begin.
func (c *cache) put(tenant string, ref Ref, v *Version, begun uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := nameKey{tenant, ref.Name}
	if c.generation != begun || c.writing[key] > 0 {
		return
	}
	if _, ok := c.versions[key][ref]; ok {
		return
	}
	c.grow(sizeOf(v))
	refs := c.versions[key]
	if refs == nil {
		refs = map[Ref]*Version{}
		c.versions[key] = refs
	}
	refs[ref] = v
}

// putClosure does the same for all that a reference reaches.
func (c *cache) putClosure(tenant string, ref Ref, known *closure, begun uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := refKey{tenant, ref}
	if _, ok := c.closures[key]; ok || c.generation != begun {
		return
	}
	for _, name := range known.names {
		if c.writing[nameKey{tenant, name}] > 0 {
			return
		}
	}
	c.grow(known.size)
	c.closures[key] = known
	for _, name := range known.names {
		in := c.within[nameKey{tenant, name}]
		if in == nil {
			in = map[refKey]struct{}{}
			c.within[nameKey{tenant, name}] = in
		}
		in[key] = struct{}{}
	}
}

// grow makes room.
func (c *cache) grow(size int) {
	if c.size > maxCached-size {
		clear(c.versions)
		clear(c.closures)
		clear(c.within)
		c.size = 0
	}
	c.size += size
}

// write is called before a write to a name commits; the caller calls written
// when it has ended, before it is acknowledged.
func (c *cache) write(tenant, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := nameKey{tenant, name}
	c.generation++
	c.writing[key]++
	for _, v := range c.versions[key] {
		c.size -= sizeOf(v)
	}
	delete(c.versions, key)
	for in := range c.within[key] {
		known := c.closures[in]
		c.size -= known.size
		delete(c.closures, in)
		for _, name := range known.names {
			other := nameKey{in.tenant, name}
			if delete(c.within[other], in); len(c.within[other]) == 0 {
				delete(c.within, other)
			}
		}
	}
}

func (c *cache) written(tenant, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := nameKey{tenant, name}
	c.generation++
	if c.writing[key]--; c.writing[key] == 0 {
		delete(c.writing, key)
	}
}
