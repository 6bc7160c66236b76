package memo

import (
	"fmt"

	"pappus/data"
	"pappus/engine"
)

// A Difference is what must not be: a result that was remembered and one that
// was computed differ. It is a defect, damage, or a function that is not pure.
type Difference struct {
	Key                  Key
	Tenant, Function     string
	Remembered, Computed data.Digest // of outputs, usage and fault
}

func (d *Difference) Error() string {
	return fmt.Sprintf("function %s of tenant %s has two results under the key %s: %s was remembered, and %s is what it computes",
		d.Function, d.Tenant, d.Key, d.Remembered, d.Computed)
}

// Verified compares what a hit gave (o, with the error that came with it) with
// what computing the same call gave, under the same limit of fuel. If they
// differ, the result is remembered no longer. Computing that ended for a reason
// of its own, a deadline or overload, says nothing. The outputs of both must
// still be valid.
func (m *Memo) Verified(c Call, o Outcome, was error, r engine.Result, now error) *Difference {
	before, ok := resultDigest(o.Result, was, c.Fuel)
	after, ok2 := resultDigest(r, now, c.Fuel)
	if !ok || !ok2 || !o.Source.Hit() {
		return nil
	}
	m.verified.Add(1)
	if before == after {
		return nil
	}
	m.differences.Add(1)
	m.forget(o.Key)
	return &Difference{Key: o.Key, Tenant: c.Function.scope.tenant, Function: c.Function.name, Remembered: before, Computed: after}
}

// forget removes what is remembered under a key.
func (m *Memo) forget(key Key) {
	if e := m.memory.get(&key); e != nil {
		e.void.Store(true) // it may wait to be written to disk
	}
	m.memory.forget(&key)
	if m.disk != nil {
		m.disk.discard(key)
	}
}

// resultDigest is that of all that is the same every time.
func resultDigest(r engine.Result, err error, fuel int64) (data.Digest, bool) {
	fault, ok := repeatable(err)
	if !ok {
		return data.Digest{}, false
	}
	e := &entry{outputs: r.Outputs, usage: r.Usage}
	if fault != nil {
		e = rememberFault(Key{}, scope{}, 0, fault, fuel)
	}
	e.usage.Run, e.usage.Parked = 0, 0
	b, encodeErr := appendBody(nil, e)
	return data.Sum(b), encodeErr == nil
}
