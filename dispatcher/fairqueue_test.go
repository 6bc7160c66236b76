package dispatcher

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the queue as one would describe it: lines within lines, each in the
// order of their turns.
type model struct {
	name  string
	lines []*model // in it; nil for one who waits
	value int
}

// push puts v at the end of the line with that path.
func (m *model) push(v int, path ...string) {
	if len(path) == 0 {
		m.lines = append(m.lines, &model{value: v})
		return
	}
	k := slices.IndexFunc(m.lines, func(l *model) bool { return l.name == path[0] })
	if k < 0 {
		k = len(m.lines)
		m.lines = append(m.lines, &model{name: path[0]})
	}
	m.lines[k].push(v, path[1:]...)
}

// pop lets the first one have its turn: it is the last one then, or gone.
func (m *model) pop() int {
	first := m.lines[0]
	m.lines = m.lines[1:]
	if first.lines == nil {
		return first.value
	}
	v := first.pop()
	if len(first.lines) > 0 {
		m.lines = append(m.lines, first)
	}
	return v
}

func (m *model) remove(v int) bool {
	for k, l := range m.lines {
		if l.lines == nil && l.value == v || l.remove(v) {
			if len(l.lines) == 0 {
				m.lines = slices.Delete(m.lines, k, k+1)
			}
			return true
		}
	}
	return false
}

// count is how many wait, and in how many lines, the lines of lines included.
func (m *model) count() (waiting, lines int) {
	for _, l := range m.lines {
		if l.lines == nil {
			waiting++
			continue
		}
		w, n := l.count()
		waiting, lines = waiting+w, lines+n+1
	}
	return waiting, lines
}

func TestFairQueueIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q fairQueue[int]
		var m model
		var all []*place[int]
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1, 2:
				i := instance{tenant: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "tenant"), run: shareOf(rapid.Uint64Range(0, 3).Draw(t, "run")), opens: rapid.Bool().Draw(t, "opens")}
				c := class(rapid.IntRange(0, 1).Draw(t, "class"))
				p := &place[int]{value: len(all)}
				all = append(all, p)
				q.push(i.line(c), p)
				switch {
				case i.run == nil:
					m.push(p.value, i.tenant, "calls")
				case i.opens && c == classNew:
					m.push(p.value, i.tenant, "runs", "opening")
				default:
					m.push(p.value, i.tenant, "runs", string(rune('0'+i.run.age)))
				}
			case 3:
				first := q.peek()
				got := q.pop()
				if first != got || (got == nil) != (len(m.lines) == 0) {
					t.Fatalf("peek %v, pop %v of %d", first, got, len(m.lines))
				}
				if got == nil {
					continue
				}
				if want := m.pop(); got.value != want {
					t.Fatalf("pop %d, want %d", got.value, want)
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
			if waiting, lines := m.count(); q.length != waiting || len(q.lines) != lines {
				t.Fatalf("%d wait in %d lines; want %d in %d", q.length, len(q.lines), waiting, lines)
			}
		}
		for q.pop() != nil {
		}
		for _, p := range append(all, &q.all) {
			if p.in != nil || p.first != nil || p.before != nil || p.after != nil {
				t.Fatalf("%+v is still in a queue", p)
			}
		}
	})
}

// shareOf is that of a run; nil for run 0, which is none.
func shareOf(run uint64) *share {
	if run == 0 {
		return nil
	}
	return &share{age: run}
}

// What waits again and again does not allocate, whoever else does.
func TestFairQueueDoesNotAllocate(t *testing.T) {
	var q fairQueue[int]
	var places [50]place[int]
	tenants := []string{"a", "b", "c"}
	var shares [25]*share
	for k := range shares {
		shares[k] = shareOf(uint64(k))
	}
	round := func() {
		for k := range places {
			i := instance{tenant: tenants[k%3], run: shares[k/2]}
			q.push(i.line(classNew), &places[k])
		}
		for q.pop() != nil {
		}
	}
	round()
	if n := testing.AllocsPerRun(1000, round); n > 0 {
		t.Errorf("%v allocations a round", n)
	}
}

// BenchmarkFairQueue is the way of one that waits, by who else does.
func BenchmarkFairQueue(b *testing.B) {
	for _, c := range []struct {
		name          string
		tenants, runs int
	}{{"nobody else", 1, 0}, {"another run", 1, 2}, {"1000 runs", 1, 1000}, {"1000 tenants", 1000, 0}} {
		b.Run(c.name, func(b *testing.B) {
			var q fairQueue[int]
			n := cmp.Or(c.runs, c.tenants)
			lines := make([]line, n)
			for k := range lines {
				i := instance{tenant: string(rune('a' + k%c.tenants))}
				if c.runs > 0 {
					i.run = shareOf(uint64(k + 1))
				}
				lines[k] = i.line(classNew)
			}
			places := make([]*place[int], n)
			for k := range n - 1 {
				places[k] = &place[int]{value: k}
				q.push(lines[k], places[k])
			}
			p := &place[int]{value: n - 1}
			b.ReportAllocs()
			for b.Loop() {
				q.push(lines[p.value], p)
				p = q.pop()
			}
		})
	}
}
