package memo

import (
	"math/rand/v2"
	"testing"
	"time"
)

const ms = float64(time.Millisecond)

// A model makes calls of which a share has inputs that were seen before, and
// counts the time that remembering them takes and saves.
type model struct {
	l        learned
	n        sizes
	run      time.Duration
	outputs  int64
	inputs   int // different ones
	random   *rand.Rand
	known    map[int]bool
	time     float64 // with the memo
	without  float64 // without it
	keyed    int
	storings int
}

func newModel(bytes int64, run time.Duration, inputs int) *model {
	return &model{
		l: learned{hits: priorHits}, n: sizes{items: 1, bytes: bytes, unhashed: bytes}, run: run, outputs: 100,
		inputs: inputs, random: rand.New(rand.NewPCG(1, 2)), known: make(map[int]bool),
	}
}

func (m *model) calls(n int) *model {
	m.keyed, m.storings, m.time, m.without = 0, 0, 0, 0
	for range n {
		input := m.random.IntN(m.inputs)
		m.without += float64(m.run)
		keyed := m.l.shouldKey(m.n, hashRate, false)
		if keyed {
			m.keyed++
			m.time += lookupCost(m.n, hashRate)
			m.l.looked(m.known[input])
			if m.known[input] {
				continue
			}
		}
		m.time += float64(m.run)
		store := m.l.shouldStore(m.n, m.run, m.outputs)
		m.l.ran(m.run)
		if keyed && store {
			m.storings++
			m.time += float64(storeTime)
			m.known[input] = true
		}
	}
	return m
}

func (m *model) ratio() float64 { return m.time / m.without }

// A cheap function with large inputs that never come again loses nothing that
// could be noticed.
func TestWhatDoesNotPayCostsLittle(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes int64
		run   time.Duration
	}{
		{"cheaper than hashing", 16 << 20, 5 * time.Millisecond},
		{"much cheaper", 1 << 20, 10 * time.Microsecond},
		{"just larger than what is always keyed", AlwaysKeyed + 1, 5 * time.Microsecond},
		{"dearer than hashing", 16 << 20, 50 * time.Millisecond},
		{"dear", 1 << 20, time.Second},
		{"nothing at all", 4 << 20, time.Nanosecond},
	} {
		m := newModel(test.bytes, test.run, 1<<40)
		m.calls(1_000) // what learning costs in the beginning, see below
		if m.calls(10_000); m.ratio() > 1.02 {
			t.Errorf("%s: %.3f of the time without", test.name, m.ratio())
		}
	}
}

// Learning itself costs less than 3 % of the first some hundred calls where
// hashing costs no more than twice the run.
func TestLearningIsCheap(t *testing.T) {
	if m := newModel(16<<20, 6*time.Millisecond, 1<<40).calls(300); m.ratio() > 1.03 {
		t.Errorf("%.3f of the time without", m.ratio())
	}
}

func TestWhatPaysIsRemembered(t *testing.T) {
	for _, test := range []struct {
		name   string
		bytes  int64
		run    time.Duration
		inputs int
		most   float64 // of the time without
	}{
		{"small inputs", 1 << 10, 5 * time.Millisecond, 100, 0.1},
		{"small inputs and a cheap function", 1 << 10, 100 * time.Microsecond, 20, 0.1},
		{"large inputs", 1 << 20, 50 * time.Millisecond, 100, 0.2},
		{"large inputs that sometimes come again", 1 << 20, 50 * time.Millisecond, 20_000, 0.95},
	} {
		if m := newModel(test.bytes, test.run, test.inputs).calls(10_000); m.ratio() > test.most {
			t.Errorf("%s: %.3f of the time without", test.name, m.ratio())
		}
	}
}

// CONTRACTS: small inputs are always keyed, and what ran a millisecond is stored
// from its first run, whatever was learned.
func TestWhatIsPromisedIsNotLearned(t *testing.T) {
	m := newModel(AlwaysKeyed, time.Millisecond, 1<<40)
	if m.calls(10_000); m.keyed != 10_000 || m.storings != 10_000 {
		t.Errorf("of 10,000 calls %d were keyed and %d stored", m.keyed, m.storings)
	}
	m.run = time.Millisecond - 1
	m.outputs = 100 << 20
	if m.calls(1_000); m.storings > 100 {
		t.Errorf("of 1,000 calls whose results are dear to copy %d were stored", m.storings)
	}
	m.run, m.outputs = time.Microsecond, 100
	if m.calls(10_000); m.keyed != 10_000 || m.storings > 200 {
		t.Errorf("of 10,000 cheap calls %d were keyed and %d stored", m.keyed, m.storings)
	}
	m.run = time.Millisecond
	if m.calls(100); m.storings != 100 {
		t.Errorf("of 100 calls that took a millisecond again %d were stored", m.storings)
	}
}

// The first results of a new function are stored, so that the second call hits.
func TestTheFirstCallsAreRemembered(t *testing.T) {
	if m := newModel(10, time.Microsecond, 1<<40).calls(warmSmall); m.storings != warmSmall {
		t.Errorf("%d of %d small ones were stored", m.storings, warmSmall)
	}
	if m := newModel(1<<20, 10*time.Millisecond, 1<<40).calls(warmLarge); m.storings != warmLarge {
		t.Errorf("%d of %d large ones were stored", m.storings, warmLarge)
	}
}

// What was turned off is tried now and then, and turned on again when the same
// inputs begin to come again.
func TestLearningTurnsOnAgain(t *testing.T) {
	m := newModel(4<<20, 8*time.Millisecond, 1<<40).calls(5_000)
	if m.l.affordable(lookupCost(m.n, hashRate), warmLarge, new(float64)) {
		t.Fatal("it was not turned off")
	}
	m.calls(1_000)
	if m.keyed == 0 || m.keyed > 30 {
		t.Errorf("tried %d times in 1,000", m.keyed)
	}
	m.inputs = 1
	m.calls(3_000)
	if m.calls(1_000); m.keyed != 1_000 || m.ratio() > 0.5 {
		t.Errorf("%d of 1,000 calls with the same inputs are looked up, %.2f of the time without", m.keyed, m.ratio())
	}
	m.inputs = 1 << 40
	m.calls(1_000)
	if m.calls(1_000); m.keyed > 30 {
		t.Errorf("%d of 1,000 calls are looked up after they differ again", m.keyed)
	}
}

func TestClassesOfSizes(t *testing.T) {
	for _, test := range []struct {
		bytes int64
		want  int
	}{{0, 0}, {1, 0}, {64 << 10, 0}, {64<<10 + 1, 1}, {256 << 10, 1}, {256<<10 + 1, 2}, {1 << 20, 2}, {1<<20 + 1, 3}, {16 << 20, 4}, {64 << 20, 5}, {1 << 40, 7}} {
		if got := classOf(test.bytes); got != test.want {
			t.Errorf("%d bytes are of class %d, want %d", test.bytes, got, test.want)
		}
	}
}

func TestRateIsMeasured(t *testing.T) {
	var r rate
	r.observe(1<<10, time.Second) // too little to say anything
	if r.get() != hashRate {
		t.Errorf("the rate is %v", r.get())
	}
	for range 200 {
		r.observe(1<<20, 3*(1<<20)/10)
	}
	if got := r.get(); got < 0.29 || got > 0.31 {
		t.Errorf("the rate is %v after 0.3", got)
	}
	r.observe(1<<20, time.Duration(100*ms)) // interrupted
	if got := r.get(); got > 3 {
		t.Errorf("the rate is %v after one that was interrupted", got)
	}
	r.observe(1<<20, 0)
	if r.get() <= 0 {
		t.Error("the rate is not positive")
	}
}
