package memo

import (
	"container/list"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"
)

// memory is the first tier: a window of what was stored last, and behind it
// ristretto, which keeps of what leaves the window what is asked for most.
//
// ristretto alone takes a value or drops it some time after Set has returned,
// so neither "it is stored" nor "it is found from now on" could be said of it.
// The window takes everything that fits, at once. That is W-TinyLFU with its
// window outside.
type memory struct {
	dead   func(scope, uint64) bool
	window int64 // most bytes of the window, and of one entry
	slots  int64 // most entries on their way from the window into main

	mu     sync.RWMutex
	recent map[Key]*list.Element // in the window
	order  *list.List            // of *entry; the newest is in front
	bytes  int64                 // of the window
	main   *ristretto.Cache[uint64, *entry]
	closed bool

	// What ristretto has been given and not looked at yet: it does not count it.
	passing, passingBytes atomic.Int64

	entries atomic.Int64 // in main
	evicted atomic.Uint64
}

const (
	windowShare  = 8     // of the capacity: one eighth
	entryBytes   = 4096  // a guess at the size of an entry, for the number of counters
	maxPassing   = 8_192 // a fourth of ristretto's buffer, so that it is never full
	delBatch     = 1_024 // removals between two waits, for the same reason
	minMemory    = 64 << 10
	bufferedGets = 64 // what ristretto's documentation recommends
)

func newMemory(capacity int64, dead func(scope, uint64) bool) (*memory, error) {
	if capacity < minMemory {
		return nil, fmt.Errorf("memo: %d bytes of memory; the least is %d, and 0 turns the memo off", capacity, minMemory)
	}
	m := &memory{
		dead: dead, window: capacity / windowShare, slots: maxPassing,
		recent: make(map[Key]*list.Element), order: list.New(),
	}
	main := capacity - m.window
	var err error
	m.main, err = ristretto.NewCache(&ristretto.Config[uint64, *entry]{
		NumCounters:        min(max(10*main/entryBytes, 1_000), 10_000_000),
		MaxCost:            main,
		BufferItems:        bufferedGets,
		IgnoreInternalCost: true, // entryOverhead has it
		// It asks for the cost when it takes an entry out of its buffer.
		Cost: func(e *entry) int64 {
			m.passing.Add(-1)
			m.passingBytes.Add(-e.cost)
			return e.cost
		},
		OnEvict: func(i *ristretto.Item[*entry]) {
			if i.Value != nil { // it may evict one twice
				m.evicted.Add(1)
			}
		},
		OnReject: func(*ristretto.Item[*entry]) { m.evicted.Add(1) }, // it was in the window before
		OnExit: func(e *entry) {
			if e != nil {
				m.entries.Add(-1)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("memo: %w", err)
	}
	return m, nil
}

// slot is what ristretto knows of a key. It is part of a SHA-256 over the
// tenant and the inputs: two keys may have one slot, and then replace each
// other.
func (k *Key) slot() uint64 { return le.Uint64(k[:8]) }

// get returns the entry of key, or nil.
func (m *memory) get(key *Key) *entry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil
	}
	e, _ := m.main.Get(key.slot()) // counts the use, even if the window has it
	if place := m.recent[*key]; place != nil {
		return place.Value.(*entry) //nolint:errcheck // nothing else is in it
	}
	if e == nil || e.key != *key {
		return nil
	}
	return e
}

// put reports whether the entry, or a better one, is there from now on. What is
// dead is refused under the lock: so after remove the window has nothing of it.
func (m *memory) put(e *entry) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || e.cost > m.window || m.dead(e.scope, e.born) {
		return false
	}
	if place := m.recent[e.key]; place != nil {
		if old := place.Value.(*entry); !e.betterThan(old) { //nolint:errcheck // nothing else is in it
			return true
		}
		m.drop(place)
	}
	m.recent[e.key] = m.order.PushFront(e)
	m.bytes += e.cost
	for m.bytes > m.window {
		m.pass(m.drop(m.order.Back()))
	}
	return true
}

// drop takes an entry out of the window. The caller holds mu.
func (m *memory) drop(place *list.Element) *entry {
	e := m.order.Remove(place).(*entry) //nolint:errcheck // nothing else is in it
	delete(m.recent, e.key)
	m.bytes -= e.cost
	return e
}

// pass offers an entry that left the window to main. The caller holds mu.
func (m *memory) pass(e *entry) {
	if m.passing.Load() >= m.slots || m.passingBytes.Load()+e.cost > m.window {
		m.evicted.Add(1)
		return
	}
	m.passing.Add(1)
	m.passingBytes.Add(e.cost)
	m.entries.Add(1)
	if !m.main.Set(e.key.slot(), e, 0) {
		m.passing.Add(-1)
		m.passingBytes.Add(-e.cost)
		m.entries.Add(-1)
		m.evicted.Add(1)
	}
}

// remove takes out all that matches. What is on its way into main is not found.
func (m *memory) remove(match func(*entry) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	for place := m.order.Front(); place != nil; {
		next := place.Next()
		if e := place.Value.(*entry); match(e) { //nolint:errcheck // nothing else is in it
			m.drop(place)
		}
		place = next
	}
	var slots []uint64
	m.main.IterValues(func(e *entry) bool {
		if match(e) {
			slots = append(slots, e.key.slot())
		}
		return false
	})
	for i, slot := range slots {
		m.main.Del(slot)
		if i%delBatch == delBatch-1 {
			m.main.Wait()
		}
	}
}

// forget takes out the entry of one key, also if it is on its way into main.
func (m *memory) forget(key *Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	if place := m.recent[*key]; place != nil {
		m.drop(place)
	}
	m.main.Del(key.slot())
}

// size is how much there is. What is on its way into main counts.
func (m *memory) size() (entries, bytes int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return 0, 0
	}
	return int64(len(m.recent)) + m.entries.Load(), m.bytes + m.passingBytes.Load() + m.main.MaxCost() - m.main.RemainingCost()
}

// close ends the tier. ristretto may not be used while it closes, nor after.
func (m *memory) close() {
	m.mu.Lock()
	closed := m.closed
	m.closed = true
	m.recent, m.order, m.bytes = nil, nil, 0
	m.mu.Unlock()
	if !closed {
		m.main.Close()
	}
}
