package memo

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pappus/data"
)

// counts of a function, or of all.
type counts struct {
	hits, diskHits, misses, collapsed, negative atomic.Uint64
	stored, rejected, unkeyed                   atomic.Uint64
	savedTime, savedFuel                        atomic.Int64
}

// Counts only grow.
type Counts struct {
	Hits      uint64 // answered from memory
	DiskHits  uint64 // answered from disk
	Misses    uint64 // looked up and computed
	Collapsed uint64 // answered by a run that was going on for another caller
	Negative  uint64 // of the three kinds of answers, those that were faults
	Stored    uint64 // results that were stored
	Rejected  uint64 // results that were to be stored and had no place, or were too large
	Unkeyed   uint64 // calls that were not looked up, since that would not have paid

	SavedTime time.Duration // what the runs took whose results were used again
	SavedFuel int64
}

func (c *counts) snapshot() Counts {
	return Counts{
		Hits: c.hits.Load(), DiskHits: c.diskHits.Load(), Misses: c.misses.Load(),
		Collapsed: c.collapsed.Load(), Negative: c.negative.Load(),
		Stored: c.stored.Load(), Rejected: c.rejected.Load(), Unkeyed: c.unkeyed.Load(),
		SavedTime: time.Duration(c.savedTime.Load()), SavedFuel: c.savedFuel.Load(),
	}
}

func (c *Counts) add(o Counts) {
	c.Hits += o.Hits
	c.DiskHits += o.DiskHits
	c.Misses += o.Misses
	c.Collapsed += o.Collapsed
	c.Negative += o.Negative
	c.Stored += o.Stored
	c.Rejected += o.Rejected
	c.Unkeyed += o.Unkeyed
	c.SavedTime += o.SavedTime
	c.SavedFuel += o.SavedFuel
}

// Stats are the figures of one moment.
type Stats struct {
	Counts

	Entries, Bytes int64  // in memory
	Evicted        uint64 // from memory

	Disk DiskStats

	Verified    uint64 // hits that were compared with what a new run made
	Differences uint64 // of these, those that differed: a defect, or damage
}

// Stats returns the figures of this moment.
func (m *Memo) Stats() Stats {
	s := Stats{Counts: m.counts.snapshot(), Verified: m.verified.Load(), Differences: m.differences.Load()}
	s.Entries, s.Bytes = m.memory.size()
	s.Evicted = m.memory.evicted.Load()
	if m.disk != nil {
		s.Disk = m.disk.snapshot()
	}
	return s
}

// FunctionStats are the figures of a tenant's function, all versions together.
type FunctionStats struct {
	Tenant, Function string
	Counts

	// Keyed reports whether calls with large inputs are looked up, by what was
	// learned of any version. Small ones always are.
	Keyed bool
}

// Functions returns figures by function, those first that saved most. Of
// functions that were not called for long there may be none.
func (m *Memo) Functions() []FunctionStats {
	type name struct{ tenant, function string }
	of := make(map[name]*FunctionStats)
	for _, f := range m.functions.all() {
		n := name{f.scope.tenant, f.name}
		s := of[n]
		if s == nil {
			s = &FunctionStats{Tenant: n.tenant, Function: n.function}
			of[n] = s
		}
		s.add(f.counts.snapshot())
		s.Keyed = s.Keyed || f.keysLarge()
	}
	list := make([]FunctionStats, 0, len(of))
	for _, s := range of {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b FunctionStats) int {
		return cmp.Or(cmp.Compare(b.SavedTime, a.SavedTime), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Function, b.Function))
	})
	return list
}

func (f *Function) keysLarge() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.learned[1:], func(l learned) bool { return l.keyed })
}

// registered are the functions that the memo has figures of, at most so many.
// Who holds one that is not here any more may use it as before.
type registered struct {
	most  int
	clock atomic.Uint64

	mu sync.Mutex
	of map[registration]*Function
}

// A registration is one function under one name: the same code may have
// several.
type registration struct {
	digest        data.Digest
	name          string
	successesOnly bool
}

// get returns the function that is registered like this, or what create makes.
func (r *registered) get(key registration, create func() *Function) *Function {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.of[key]
	if f == nil {
		f = create()
		if len(r.of) >= r.most {
			r.evict()
		}
		r.of[key] = f
	}
	r.clock.Add(1)
	r.use(f)
	return f
}

// use notes that a function is in use. Time goes by as functions are asked for.
func (r *registered) use(f *Function) {
	if now := r.clock.Load(); f.used.Load() != now {
		f.used.Store(now)
	}
}

// evict makes room by dropping the half that was not used for longest.
func (r *registered) evict() {
	keys := slices.SortedFunc(maps.Keys(r.of), func(a, b registration) int {
		return cmp.Compare(r.of[a].used.Load(), r.of[b].used.Load())
	})
	for _, key := range keys[:(len(keys)+1)/2] {
		delete(r.of, key)
	}
}

func (r *registered) all() []*Function {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Function, 0, len(r.of))
	for _, f := range r.of {
		list = append(list, f)
	}
	return list
}
