package dispatcher

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the queue as one would describe it: tenants in the order of their
// turns, each with what it has.
type model struct {
	turns []string
	has   map[string][]int
}

func (m *model) push(tenant string, v int) {
	if len(m.has[tenant]) == 0 {
		m.turns = append(m.turns, tenant)
	}
	m.has[tenant] = append(m.has[tenant], v)
}

func (m *model) pop() (int, bool) {
	if len(m.turns) == 0 {
		return 0, false
	}
	tenant := m.turns[0]
	v := m.has[tenant][0]
	m.has[tenant] = m.has[tenant][1:]
	m.turns = m.turns[1:]
	if len(m.has[tenant]) > 0 {
		m.turns = append(m.turns, tenant)
	}
	return v, true
}

func (m *model) remove(v int) bool {
	for tenant, has := range m.has {
		if k := slices.Index(has, v); k >= 0 {
			if m.has[tenant] = slices.Delete(has, k, k+1); len(has) == 1 {
				t := slices.Index(m.turns, tenant)
				m.turns = slices.Delete(m.turns, t, t+1)
			}
			return true
		}
	}
	return false
}

func TestFairQueueIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fairQueue[int]
		m := model{has: make(map[string][]int)}
		var all []*place[int]
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1, 2:
				tenant := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "tenant")
				p := &place[int]{value: len(all)}
				all = append(all, p)
				q.push(tenant, p)
				m.push(tenant, p.value)
			case 3:
				want, ok := m.pop()
				first := q.peek()
				got := q.pop()
				if first != got || (got != nil) != ok || ok && got.value != want {
					t.Fatalf("peek %v, pop %v, want %d %v", first, got, want, ok)
				}
			case 4:
				if len(all) == 0 {
					continue
				}
				p := rapid.SampledFrom(all).Draw(t, "place")
				if got, want := q.remove(p), m.remove(p.value); got != want {
					t.Fatalf("remove %d: %v, want %v", p.value, got, want)
				}
			}
			n := 0
			for _, has := range m.has {
				n += len(has)
			}
			if q.length != n || len(q.tenants) != len(m.turns) {
				t.Fatalf("%d places of %d tenants; want %d of %d", q.length, len(q.tenants), n, len(m.turns))
			}
		}
	})
}
