package memo

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pappus/data"
	"pappus/engine"
)

func numbered(i int, size int) *entry {
	key := Key(data.Sum(fmt.Append(nil, i)))
	return remember(key, scope{tenant: "t"}, 0, engine.NewResult(outputs(strings.Repeat("x", size)), engine.Usage{}, 0, nil))
}

func newTestMemory(t testing.TB, capacity int64) *memory {
	t.Helper()
	m, err := newMemory(capacity, new(cuts).dead)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	return m
}

// What put has accepted is there, at once and whatever ristretto thinks of it.
func TestWhatIsStoredIsFound(t *testing.T) {
	m := newTestMemory(t, 1<<20)
	for i := range 5_000 {
		e := numbered(i, i%3_000)
		if !m.put(e) {
			t.Fatalf("entry %d of %d bytes has no place", i, e.cost)
		}
		if m.get(&e.key) != e {
			t.Fatalf("entry %d is not found", i)
		}
	}
}

// The bound holds at every moment, and what is counted is what there is.
func TestMemoryIsBounded(t *testing.T) {
	const capacity = 1 << 20
	m := newTestMemory(t, capacity)
	for i := range 5_000 {
		m.put(numbered(i, i%7_000))
		if _, bytes := m.size(); bytes > capacity+m.window {
			t.Fatalf("after %d entries there are %d bytes", i, bytes)
		}
		if i%50 == 49 {
			m.settle() // or much is dropped on its way into main
		}
	}
	entries, bytes := m.size()
	if bytes > capacity || bytes < capacity/2 {
		t.Errorf("there are %d bytes of %d", bytes, capacity)
	}
	found, cost := int64(0), int64(0)
	for i := range 5_000 {
		if e := m.get(&numbered(i, 0).key); e != nil {
			found++
			cost += e.cost
		}
	}
	if found != entries || cost != bytes || uint64(5_000-found) != m.evicted.Load() {
		t.Errorf("%d entries of %d bytes and %d evicted; counted were %d of %d bytes", found, cost, m.evicted.Load(), entries, bytes)
	}
}

func TestWhatIsTooLargeIsNotStored(t *testing.T) {
	m := newTestMemory(t, 1<<20)
	if m.put(numbered(1, 1<<17)) {
		t.Error("an entry of more than an eighth was stored")
	}
	if !m.put(numbered(1, 100<<10)) {
		t.Error("an entry of less than an eighth was not")
	}
	if _, err := newMemory(minMemory-1, new(cuts).dead); err == nil {
		t.Error("a capacity of less than 64 KiB was accepted")
	}
}

// Two keys that ristretto can't tell from one another are two keys.
func TestAllOfAKeyIsCompared(t *testing.T) {
	m := newTestMemory(t, 1<<20)
	a, b := numbered(1, 10), numbered(2, 10)
	copy(b.key[:8], a.key[:8])
	if a.key.slot() != b.key.slot() {
		t.Fatal("the slots differ")
	}
	m.put(a)
	for i := range 200 { // out of the window
		m.put(numbered(100+i, 1_000))
	}
	m.settle()
	if m.recent[a.key] != nil || m.get(&a.key) != a {
		t.Fatal("the first key is not where it should be")
	}
	if e := m.get(&b.key); e != nil {
		t.Errorf("found %s under %s", e.key, b.key)
	}
	m.put(b)
	if m.get(&b.key) != b {
		t.Error("the second key is not found")
	}
	m.forget(&b.key)
	if m.get(&b.key) != nil {
		t.Error("it is found after it was forgotten")
	}
}

// What is asked for often stays when much else passes by.
func TestWhatIsUsedStays(t *testing.T) {
	if raceDetector {
		t.Skip("ristretto counts uses by way of sync.Pool, which forgets at random under the race detector")
	}
	m := newTestMemory(t, 1<<20)
	const popular = 50
	for i := range popular {
		m.put(numbered(i, 1_000))
	}
	for i := range 20_000 {
		for range 3 {
			m.get(&numbered(i%popular, 0).key)
		}
		m.put(numbered(1_000+i, 1_000))
	}
	m.settle()
	stayed := 0
	for i := range popular {
		if m.get(&numbered(i, 0).key) != nil {
			stayed++
		}
	}
	if stayed < popular*3/4 {
		t.Errorf("%d of %d stayed", stayed, popular)
	}
}

// An entry answers more calls when it takes another's place, never fewer.
func TestABetterAnswerTakesThePlace(t *testing.T) {
	key := Key{1}
	at := func(limit int64) *entry {
		return rememberFault(key, scope{}, 0, &engine.Fault{Kind: engine.FaultOutOfFuel}, limit)
	}
	success := remember(key, scope{}, 0, engine.NewResult(nil, engine.Usage{Fuel: 5}, 0, nil))
	m := newTestMemory(t, 1<<20)
	low, high := at(10), at(20)
	for _, step := range []struct{ put, want *entry }{{low, low}, {high, high}, {low, high}, {success, success}, {high, success}} {
		if !m.put(step.put) {
			t.Error("not accepted")
		}
		if m.get(&key) != step.want {
			t.Errorf("after limit %d there is %d", step.put.limit, m.get(&key).limit)
		}
	}
	if entries, bytes := m.size(); entries != 1 || bytes != success.cost {
		t.Errorf("%d entries of %d bytes", entries, bytes)
	}
}

// The cost of an entry is what it takes, so that the capacity means something.
func TestCostIsWhatIsTaken(t *testing.T) {
	for _, size := range []int{1, 1_000, 20_000} {
		n := min(20_000, 32<<20/size)
		keep := newTestMemory(t, 1<<30)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range n {
			keep.put(numbered(i, size))
		}
		keep.settle()
		runtime.GC()
		runtime.ReadMemStats(&after)
		_, bytes := keep.size()
		if entries, _ := keep.size(); entries != int64(n) {
			t.Errorf("%d entries of %d", entries, n)
		}
		ratio := float64(after.HeapAlloc-before.HeapAlloc) / float64(bytes)
		t.Logf("%d bytes: %.2f of what is counted", size, ratio)
		if ratio > 1.05 || ratio < 0.7 {
			t.Errorf("entries with %d bytes take %.2f of what is counted", size, ratio)
		}
		keep.close()
	}
}

// Nobody may use ristretto while it is closed: that would be a race, or a panic.
func TestMemoryMayBeUsedWhileItIsClosed(t *testing.T) {
	m := newTestMemory(t, 1<<20)
	var group sync.WaitGroup
	begun := make(chan struct{}, 4)
	for i := range 4 {
		group.Go(func() {
			for j := range 3_000 {
				e := numbered(i*10_000+j, 500)
				m.put(e)
				m.get(&e.key)
				m.size()
				if j == 500 {
					begun <- struct{}{}
				}
				if j%100 == 0 {
					m.remove(func(e *entry) bool { return e.key[0] == 0 })
				}
			}
		})
	}
	<-begun
	m.close()
	group.Wait()
}

// Outputs are copied, names too, and nobody's memory is kept.
func TestEntriesAreCopies(t *testing.T) {
	buffer := []byte("content")
	sets := []data.Set{{Name: "a", Items: []*data.Item{data.NewItem("n", 3, buffer), data.NewItem("", 4, nil)}}, {Name: "b"}}
	e := remember(Key{}, scope{}, 0, engine.NewResult(sets, engine.Usage{Fuel: 3, Run: time.Second}, 0, nil))
	want := []data.Set{{Name: "a", Items: []*data.Item{data.NewItem("n", 3, []byte("content")), data.NewItem("", 4, nil)}}, {Name: "b"}}
	clear(buffer)
	if !data.Equal(e.outputs, want) {
		t.Errorf("outputs are %v", e.outputs)
	}
	fault := &engine.Fault{Kind: engine.FaultTrap, Application: "x", Instance: 3, Item: "y", Err: fmt.Errorf("cause"), Stack: []string{"a"}}
	kept := rememberFault(Key{}, scope{}, 0, fault, 0)
	if f := kept.fault; f == fault || f.Application != "" || f.Instance != 0 || f.Item != "" || f.Err != nil || f.Stack[0] != "a" {
		t.Errorf("the fault is %+v", f)
	}
}
