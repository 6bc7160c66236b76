package memo

import (
	"math"
	"strings"
	"sync/atomic"
	"time"

	"pappus/data"
	"pappus/engine"
)

// scope is what can be purged together.
type scope struct {
	tenant string
	code   data.Digest // CodeDigest
}

// An entry is a remembered result: outputs, or the fault with which the call
// fails every time. It never changes.
type entry struct {
	key   Key
	scope scope
	born  uint64 // the reading of cuts.clock when its run began

	outputs []data.Set    // nil if it failed
	fault   *engine.Fault // nil if it succeeded
	usage   engine.Usage  // of the run; times too, as what a hit saves
	limit   int64         // of fuel, of a fault out-of-fuel; else 0
	cost    int64         // bytes of memory, overhead included

	void atomic.Bool // it was found to be wrong
}

// What an entry takes besides contents and names, in bytes: the entry itself
// and its places in the tiers' tables; and that of a set and an item. Measured,
// see TestCostIsWhatIsTaken.
const (
	entryOverhead = 450
	setOverhead   = 48
	itemOverhead  = 80
)

// maxFault is the longest text that a fault is remembered with, in bytes: what a
// function may say on stderr, and a stack as deep.
const maxFault = 64 << 10

// remember makes an entry of a result, which it copies.
func remember(key Key, s scope, born uint64, r engine.Result) *entry {
	e := &entry{key: key, scope: s, born: born, usage: r.Usage}
	e.outputs, e.cost = clone(r.Outputs)
	e.cost += entryOverhead
	return e
}

// clone copies sets, contents into one buffer and names into another, and says
// what that takes.
func clone(sets []data.Set) (out []data.Set, cost int64) {
	names := 0
	for _, s := range sets {
		names += len(s.Name)
		for _, item := range s.Items {
			names += len(item.Name())
		}
	}
	var text strings.Builder
	text.Grow(names)
	contents := make([]byte, 0, data.Size(sets))
	count := data.Count(sets)
	cells, items := make([]data.Item, count), make([]*data.Item, count)
	out = make([]data.Set, len(sets))
	name := func(s string) string {
		from := text.Len()
		text.WriteString(s)
		return text.String()[from:]
	}
	for i, s := range sets {
		out[i].Name = name(s.Name)
		for j, item := range s.Items {
			from := len(contents)
			contents = append(contents, item.Bytes()...)
			cells[j].Init(name(item.Name()), item.Key(), contents[from:len(contents):len(contents)])
			items[j] = &cells[j]
		}
		n := len(s.Items)
		out[i].Items, items, cells = items[:n:n], items[n:], cells[n:]
	}
	return out, int64(cap(contents)) + int64(names) + int64(len(sets))*setOverhead + int64(count)*itemOverhead
}

// rememberFault makes an entry of a deterministic fault.
func rememberFault(key Key, s scope, born uint64, f *engine.Fault, limit int64) *entry {
	size := len(f.Detail) + len(f.Hint) + len(f.Stderr)
	for _, call := range f.Stack {
		size += len(call) + 16
	}
	kept := cloneFault(f)
	kept.Err = nil
	kept.Application, kept.Instance, kept.Item = "", 0, "" // of this call only
	e := &entry{key: key, scope: s, born: born, fault: kept, usage: f.Usage, cost: entryOverhead + int64(size)}
	if f.Kind == engine.FaultOutOfFuel {
		e.limit = fuelLimit(limit)
	}
	return e
}

// cloneFault is a copy whose fields the receiver may set. Stderr and Stack are
// shared, and nobody writes into them.
func cloneFault(f *engine.Fault) *engine.Fault {
	c := *f
	return &c
}

// fuelLimit is a limit as a number: 0 means none.
func fuelLimit(limit int64) int64 {
	if limit <= 0 {
		return math.MaxInt64
	}
	return limit
}

// knows reports whether an entry tells all of a call with some limit of fuel: a
// success, or another fault, that used u does for every limit from u on, and
// out-of-fuel for the very limit at which it was seen. That fuel runs out below u,
// and below such a limit, is known too, but not how much was used by then, which
// belongs to the answer: computing it is bounded by the limit.
func (e *entry) knows(limit int64) bool {
	limit = fuelLimit(limit)
	if e.limit > 0 {
		return limit == e.limit
	}
	return limit >= e.usage.Fuel
}

// answer is what a call gets of which the entry knows all: the outputs, or a fault
// of the caller's own.
func (e *entry) answer() (engine.Result, *engine.Fault) {
	if e.fault != nil {
		return engine.Result{}, cloneFault(e.fault)
	}
	return engine.NewResult(e.outputs, e.usage, 0, nil), nil
}

// betterThan reports whether e answers more calls than the other entry of its key.
func (e *entry) betterThan(other *entry) bool {
	switch {
	case other.limit == 0:
		return e.limit == 0
	case e.limit == 0:
		return true
	default:
		return e.limit >= other.limit
	}
}

// runTime is how long a run took, without the time it was parked.
func runTime(u engine.Usage) time.Duration { return max(u.Run-u.Parked, 0) }
