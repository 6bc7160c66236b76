package httpcache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Bounds of a store that is given none.
const (
	DefaultMemory = 64 << 20
	DefaultDisk   = 1 << 30

	// largestShare is the part of the memory that one answer may take, and
	// largestMost what it may take at most unless told.
	largestShare = 4
	largestMost  = 16 << 20
)

const (
	maxVariants   = 64 // of one resource
	maxBackground = 16 // revalidations at once that nobody waits for
)

// ErrClosed is returned for requests after Close.
var ErrClosed = errors.New("the HTTP cache is closed")

// Options of a store. The zero value is usable.
type Options struct {
	Memory  int64        // most bytes in memory; 0: DefaultMemory. What waits to be written to disk may be a quarter more
	Largest int64        // most bytes of one body; 0: 16 MiB, or a quarter of Memory if that is less
	Dir     string       // folder of the second tier, which is this store's alone; empty: there is none
	Disk    int64        // most bytes there; 0: DefaultDisk
	Log     *slog.Logger // told of what was damaged or could not be written; nil: nobody is
}

// Store keeps answers for all tenants. It is safe for concurrent use.
type Store struct {
	bound   int64
	largest int64
	disk    *disk // nil: there is none

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // what runs in the store's name: flights, and who waits for those of nobody

	// mu is never held while anything is read, written or asked. disk.mu may be
	// taken under it.
	mu        sync.Mutex
	resources map[digest][]*entry
	order     *list.List // of *entry; the one used last is in front
	recording int64      // bytes of bodies that are arriving, part of stats.Bytes
	flights   map[digest]*flight
	fetching  map[digest]map[*flight]struct{} // by resource: what may be stored later
	validated map[*entry]bool                 // what is being validated while it is served
	passing   map[passed]time.Time            // of requests that were not kept: until when that counts
	seq       uint64
	changes   uint64 // how often something was invalidated
	stats     Stats
	closed    bool
}

// Open makes a store, with what its folder holds from before.
func Open(o Options) (*Store, error) {
	if o.Memory < 0 || o.Disk < 0 || o.Largest < 0 {
		return nil, fmt.Errorf("open the HTTP cache: bounds can't be negative: memory %d, disk %d, largest body %d", o.Memory, o.Disk, o.Largest)
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.Disk == 0 {
		o.Disk = DefaultDisk
	}
	if o.Largest == 0 {
		o.Largest = min(largestMost, o.Memory/largestShare)
	}
	if o.Largest > o.Memory/2 {
		return nil, fmt.Errorf("open the HTTP cache: the largest body, %d bytes, is more than half of the memory, %d", o.Largest, o.Memory)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		bound:     o.Memory,
		largest:   o.Largest,
		resources: make(map[digest][]*entry),
		order:     list.New(),
		flights:   make(map[digest]*flight),
		validated: make(map[*entry]bool),
		fetching:  make(map[digest]map[*flight]struct{}),
		passing:   make(map[passed]time.Time),
	}
	if o.Dir != "" {
		var err error
		if s.disk, err = openDisk(o.Dir, o.Disk, o.Memory/4, o.Log); err != nil {
			return nil, fmt.Errorf("open the HTTP cache: %w", err)
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Close ends what goes on in the store's name, and all requests that others could
// be waiting for, and writes down what is to be written. Requests that need an
// origin's answer to keep fail from then on. Closing it again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return nil
	}
	s.cancel()
	s.work.Wait()
	if s.disk != nil {
		s.disk.close()
	}
	return nil
}

// Stats returns the counts of this moment.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	st := s.stats
	s.mu.Unlock()
	if s.disk != nil {
		s.disk.addTo(&st)
	}
	return st
}

func (s *Store) count(n *uint64) {
	s.mu.Lock()
	*n++
	s.mu.Unlock()
}

func (s *Store) served(n int) {
	s.mu.Lock()
	s.stats.Served += uint64(n)
	s.mu.Unlock()
}

// passed names requests whose last answer could not be kept.
type passed struct{ resource, bare digest }

// Bounds of what is known of them.
const (
	mostPassed = 4096
	passedFor  = time.Minute
)

// A moment is one in which a request is made.
type moment struct{ seq, changes uint64 }

// passes reports whether the answer to a request like q could not be kept a short
// while ago. If so, the moment is that of another such request.
func (s *Store) passes(q *query) (now moment, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.passing[passed{q.resource, q.bare}]
	if !ok || q.now.After(until) {
		return now, false
	}
	s.seq++
	return moment{s.seq, s.changes}, true
}

// pass notes that the answer to q can't be kept.
func (s *Store) pass(q *query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.passing) >= mostPassed {
		for other := range s.passing { // any: it costs one request that waits
			delete(s.passing, other)
			break
		}
	}
	s.passing[passed{q.resource, q.bare}] = time.Now().Add(passedFor)
}

// lookup finds the newest answer to a request like q, fresh or not.
func (s *Store) lookup(q *query) *entry {
	s.mu.Lock()
	e := s.find(q)
	s.mu.Unlock()
	if e != nil || s.disk == nil {
		return e
	}
	if e = s.disk.load(q); e == nil {
		return nil
	}
	return s.promote(q, e)
}

// promote puts what was read from disk into memory, and returns what answers q now.
func (s *Store) promote(q *query, e *entry) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.find(q); now != nil { // somebody was faster
		return now
	}
	if !s.disk.holds(e.file) { // removed since: what changed it is over already
		return nil
	}
	s.stats.DiskHits++
	s.insert(e)
	return e
}

// find looks in memory. The caller holds mu.
func (s *Store) find(q *query) (newest *entry) {
	for _, e := range s.resources[q.resource] {
		if q.answers(&e.head) && (newest == nil || e.seq > newest.seq) {
			newest = e
		}
	}
	if newest == nil {
		return nil
	}
	s.order.MoveToFront(newest.place)
	if s.disk != nil && q.now.Sub(newest.noted) >= saveEvery { // what is hot here is to stay there
		newest.noted = q.now
		s.disk.touch(newest)
	}
	return newest
}

// insert puts an entry into memory and keeps the bounds. The caller holds mu.
func (s *Store) insert(e *entry) {
	variants := s.resources[e.Resource]
	if len(variants) >= maxVariants {
		s.evict(variants[0])
		variants = s.resources[e.Resource]
	}
	s.resources[e.Resource] = append(variants, e)
	e.place = s.order.PushFront(e)
	s.stats.Entries++
	s.stats.Bytes += e.size()
	s.makeRoom()
}

// makeRoom evicts what was not used for longest. The caller holds mu.
func (s *Store) makeRoom() {
	for s.stats.Bytes > s.bound && s.order.Len() > 0 {
		last, _ := s.order.Back().Value.(*entry) // nothing else is in it
		s.evict(last)
	}
}

// evict removes an entry from memory only. The caller holds mu.
func (s *Store) evict(e *entry) {
	s.remove(e)
	s.stats.Evicted++
}

// remove takes an entry out of memory. The caller holds mu.
func (s *Store) remove(e *entry) {
	if e.place == nil {
		return
	}
	s.order.Remove(e.place)
	e.place = nil
	s.stats.Entries--
	s.stats.Bytes -= e.size()
	rest := slices.DeleteFunc(s.resources[e.Resource], func(o *entry) bool { return o == e })
	if len(rest) == 0 {
		delete(s.resources, e.Resource)
	} else {
		s.resources[e.Resource] = rest
	}
}

// put stores what a flight brought, in place of what it supersedes. It does not if
// the resource may have changed since the flight began, or a later one was faster.
func (s *Store) put(f *flight, e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.outdated || s.closed {
		return false
	}
	var older []*entry
	for _, o := range s.resources[e.Resource] {
		if !o.variant().is(e.variant()) && o != f.stale {
			continue
		}
		if o.seq > e.seq {
			return false
		}
		older = append(older, o)
	}
	for _, o := range older {
		s.remove(o)
	}
	s.stats.Stored++
	s.insert(e)
	if s.disk != nil {
		s.disk.put(e)
	}
	return true
}

// drop removes an entry: the origin has another answer by now.
func (s *Store) drop(e *entry) {
	s.mu.Lock()
	s.remove(e)
	var gone []*file
	if s.disk != nil {
		gone, _ = s.disk.detach(e.Resource, e.variant().is)
	}
	s.mu.Unlock()
	if s.disk != nil {
		s.disk.unlink(gone)
	}
}

// invalidate removes all that is kept of a resource, for whomever of the tenant,
// and sees to it that what is being fetched is not kept. When it returns the
// answers are gone from disk too.
func (s *Store) invalidate(resource digest) {
	s.mu.Lock()
	s.changes++
	for f := range s.fetching[resource] {
		f.outdated = true
		if s.flights[f.key] == f { // whoever asks from now on does not join it
			delete(s.flights, f.key)
		}
	}
	variants := slices.Clone(s.resources[resource])
	for _, e := range variants {
		s.remove(e)
	}
	n := len(variants)
	var gone []*file
	var moved <-chan struct{}
	if s.disk != nil {
		gone, moved = s.disk.detach(resource, func(variant) bool { return true })
		n = max(n, len(gone))
	}
	s.stats.Invalidated += uint64(n)
	s.mu.Unlock()
	if s.disk != nil {
		s.disk.bury(gone, moved)
	}
}

// reserve takes n bytes for a body that is arriving; with a negative n it gives
// them back.
func (s *Store) reserve(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.recording > s.bound/2-n {
		return false
	}
	s.recording += n
	s.stats.Bytes += n
	s.makeRoom()
	return true
}
