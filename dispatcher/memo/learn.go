package memo

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"pappus/data"
)

// Where remembering pays is learned per function and size of the inputs. What
// it costs is known: hashing what has no digest yet, and copying the outputs.
// What it brings is the time of a run, as often as a lookup succeeds.
const (
	// AlwaysKeyed is the size of inputs up to which every call is looked up, and
	// StoredTime the time of a run from which such a call's result is stored,
	// whatever was learned.
	AlwaysKeyed = 64 << 10
	StoredTime  = time.Millisecond

	// Where it does not seem to pay, this part of the time of runs is spent on
	// trying again. Costs below it are not worth a thought.
	share = 0.005

	// The first calls are remembered while nothing is known. For small inputs,
	// whose hashing is cheap, these are many.
	warmSmall, warmLarge = 64, 1

	// A new figure counts this much against what was seen before.
	recency = 1.0 / 16

	unusual    = 4 // times the usual time of a run: more is not believed at once
	savedTries = 4 // so many in a row, after a time without

	priorHits = 0.5 // the share of hits before anything was looked up

	lookupTime = 1 * time.Microsecond // of a key and a lookup, besides hashing
	storeTime  = 2 * time.Microsecond // of an entry, besides copying
	copyRate   = 0.25                 // ns for a byte that is copied
	hashRate   = 0.7                  // ns for a byte that is hashed, until it was measured
)

// classes of input sizes: up to 64 KiB, and then four times as much each.
const classes = 8

func classOf(bytes int64) int {
	if bytes <= AlwaysKeyed {
		return 0
	}
	return min((bits.Len64(uint64(bytes-1)/AlwaysKeyed)+1)/2, classes-1)
}

// learned is what is known of a function's calls in one class of sizes.
type learned struct {
	calls  int     // computed, as far as it matters
	run    float64 // ns: the usual time of a run
	hits   float64 // the usual share of lookups that succeed
	lookup float64 // ns that may be spent on keys where that does not pay
	store  float64 // ns that may be spent on storing where that does not pay
	keyed  bool    // the last judgement
}

// affordable judges a cost where the usual gain is run × hits. If it does not
// pay, it may be paid from credit.
func (l *learned) affordable(cost float64, warm int, credit *float64) bool {
	*credit = min(*credit, savedTries*cost)
	switch {
	case l.calls < warm:
		*credit -= cost // to be made good before the next try
		return true
	case cost <= l.run*max(l.hits, share):
		return true
	case *credit >= cost:
		*credit -= cost
		return true
	default:
		return false
	}
}

// shouldKey decides whether a call is keyed and looked up.
func (l *learned) shouldKey(n sizes, rate float64, optional bool) bool {
	always := n.bytes <= AlwaysKeyed && (!optional || l.run >= float64(StoredTime))
	l.keyed = always || l.affordable(lookupCost(n, rate), warmLarge, &l.lookup)
	return l.keyed
}

func lookupCost(n sizes, rate float64) float64 {
	return float64(lookupTime) + float64(n.unhashed)*rate
}

// shouldStore decides whether the result of a keyed call is stored. Large
// inputs that were hashed were hashed for this.
func (l *learned) shouldStore(n sizes, run time.Duration, outputs int64) bool {
	cost := float64(storeTime) + float64(outputs)*copyRate
	if n.bytes > AlwaysKeyed {
		return cost <= float64(run) || l.calls < warmLarge
	}
	return run >= StoredTime || l.affordable(cost, warmSmall, &l.store)
}

// looked notes how a lookup ended.
func (l *learned) looked(hit bool) {
	v := 0.0
	if hit {
		v = 1
	}
	l.hits += (v - l.hits) * recency
}

// ran notes a run, which earns some time for trying.
func (l *learned) ran(run time.Duration) {
	ns := float64(run)
	if l.calls == 0 {
		l.run = ns
	}
	ns = min(ns, unusual*l.run) // one that was interrupted says little
	l.run += (ns - l.run) * recency
	l.calls = min(l.calls+1, warmSmall)
	l.lookup += ns * share
	l.store += ns * share
}

// A Function is a function whose results are remembered: what of it goes into
// keys, and what was learned of it. It is for who calls it to keep; methods may
// be called from many goroutines.
type Function struct {
	memo   *Memo
	digest data.Digest
	scope  scope
	name   string

	successesOnly bool

	mu      sync.Mutex
	learned [classes]learned

	counts counts
	used   atomic.Uint64 // of registered.clock
}

// decide says whether a call is worth a key.
func (f *Function) decide(n sizes, optional bool) bool {
	rate := f.memo.rate.get()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.learned[classOf(n.bytes)].shouldKey(n, rate, optional)
}

func (f *Function) looked(n sizes, hit bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.learned[classOf(n.bytes)].looked(hit)
}

// ran notes a run and says whether its result is to be stored, if it was keyed.
func (f *Function) ran(n sizes, run time.Duration, outputs int64) (store bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &f.learned[classOf(n.bytes)]
	store = l.shouldStore(n, run, outputs)
	l.ran(run)
	return store
}

// rate is what hashing a byte takes on this machine, in ns.
type rate struct{ measured atomic.Uint64 } // 1/1024 ns; 0: not yet

func (r *rate) get() float64 {
	if v := r.measured.Load(); v != 0 {
		return float64(v) / 1024
	}
	return hashRate
}

// observe notes how long hashing took. A goroutine that was interrupted
// measures too much, so shorter times count more.
func (r *rate) observe(bytes int64, took time.Duration) {
	const enough = 64 << 10
	if bytes < enough {
		return
	}
	now, was := float64(took)/float64(bytes), r.get()
	weight := recency / 4
	if now < was {
		weight = recency * 4
	}
	r.measured.Store(max(uint64((was+(now-was)*weight)*1024), 1))
}
