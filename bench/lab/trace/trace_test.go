package trace

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestSeeded(t *testing.T) {
	p := Params{Functions: 50, Seed: 3, Cap: 2000}
	a, err := Generate(p)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Generate(p); err != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("the same parameters give another day, or %v", err)
	}
	p.Seed = 4
	if b, err := Generate(p); err != nil || reflect.DeepEqual(a.Events, b.Events) {
		t.Errorf("another seed gives the same day, or %v", err)
	}
}

// The day has the shape that was published.
func TestShape(t *testing.T) {
	// Without a cap a day has some ten thousand calls for each function; the rates
	// are what is looked at.
	const n = 100_000
	var total, top float64
	hourlyOrLess, minutesOrLess := 0, 0
	for i := range n {
		r := Rate((float64(i) + 0.5) / n)
		total += r
		if r <= 24 {
			hourlyOrLess++
		}
		if r <= 1440 {
			minutesOrLess++
		} else {
			top += r
		}
	}
	for _, s := range []struct {
		what      string
		got, want float64
	}{
		{"once an hour or less", float64(hourlyOrLess) / n, 0.45},
		{"once a minute or less", float64(minutesOrLess) / n, 0.814},
		{"calls of the others", top / total, Popular},
	} {
		if math.Abs(s.got-s.want) > 0.0003 {
			t.Errorf("%s: %.4f, published is %.3f", s.what, s.got, s.want)
		}
	}

	d, err := Generate(Params{Functions: 1000, Seed: 1, Cap: 3000})
	if err != nil {
		t.Fatal(err)
	}
	calls := make([]int, len(d.Functions))
	for i, e := range d.Events {
		calls[e.Function]++
		if e.At < 0 || e.At >= Length || i > 0 && e.At < d.Events[i-1].At {
			t.Fatalf("event %d at %v", i, e.At)
		}
	}
	var want float64
	second := 0
	for i, f := range d.Functions {
		want += f.PerDay
		if f.PerDay > 3000 || i > 0 && f.PerDay > d.Functions[i-1].PerDay {
			t.Errorf("function %d has %v calls a day, that before %v", i, f.PerDay, d.Functions[max(i-1, 0)].PerDay)
		}
		if f.Takes < time.Second {
			second++
		}
		if f.Takes <= 0 || f.Takes > Longest {
			t.Errorf("function %d takes %v", i, f.Takes)
		}
	}
	if got := float64(len(d.Events)); math.Abs(got/want-1) > 0.02 {
		t.Errorf("%v calls, want %v", got, want)
	}
	// The median of the distribution is e^−0.38 s, so 56 % take less than a second; of the
	// functions themselves, 50 % did.
	if second < 510 || second > 620 {
		t.Errorf("%d of 1,000 take less than a second", second)
	}
	// More of it is at noon than at midnight.
	noon, midnight := 0, 0
	for _, e := range d.Events {
		switch h := e.At.Hours(); {
		case h >= 9 && h < 15:
			noon++
		case h < 3 || h >= 21:
			midnight++
		}
	}
	if ratio := float64(noon) / float64(midnight); ratio < 1.3 || ratio > 2 {
		t.Errorf("%d calls about noon, %d about midnight", noon, midnight)
	}
}

func TestRefuses(t *testing.T) {
	for _, p := range []Params{{}, {Functions: -1}, {Functions: 1 << 40}, {Functions: 1, Cap: -1}, {Functions: 1, Cap: math.NaN()}, {Functions: 10_000}} {
		if _, err := Generate(p); err == nil {
			t.Errorf("%+v gave a day", p)
		}
	}
}

// The most called functions have the part of the generated calls that was
// published, and thinning leaves out only theirs, evenly.
func TestTopAndThin(t *testing.T) {
	d, err := Generate(Params{Functions: 100, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Top(19); math.Abs(got-Popular) > 0.002 {
		t.Errorf("the 19 most called have %.4f of the calls, published is %v for 18.6 %%", got, Popular)
	}
	const most = 1440
	thin := d.Thin(most)
	count := func(d *Day) (calls, morning []int) {
		calls, morning = make([]int, len(d.Functions)), make([]int, len(d.Functions))
		for _, e := range d.Events {
			calls[e.Function]++
			if e.At < Length/2 {
				morning[e.Function]++
			}
		}
		return calls, morning
	}
	calls, morning := count(d)
	kept, keptMorning := count(thin)
	for i, n := range calls {
		if kept[i] != min(n, most) {
			t.Errorf("of %d calls of function %d, %d were kept", n, i, kept[i])
		}
		if n > 0 && math.Abs(float64(keptMorning[i])-float64(morning[i])*float64(kept[i])/float64(n)) > 1 {
			t.Errorf("function %d: %d of %d calls are before noon, %d of %d that were kept", i, morning[i], n, keptMorning[i], kept[i])
		}
	}
}

// A day of two functions by hand.
func TestKeep(t *testing.T) {
	h := time.Hour
	d := &Day{
		Functions: []Function{{Takes: h}, {Takes: 2 * h}},
		Events:    []Event{{0, 0}, {h / 2, 0}, {2 * h, 0}, {10 * h, 0}, {11 * h, 1}},
	}
	for _, test := range []struct {
		name      string
		idle      time.Duration
		starts    int
		sandboxes []int // at 6, 12, 18 and 24 h
		hours     float64
	}{
		{"none", 0, 5, []int{0, 1, 0, 0}, 1 + 1 + 1 + 1 + 2},
		// The call at 2 h takes the sandbox that was free at 1½ h, which goes at 4 h;
		// that which was free at 1 h goes at 2 h, just when the call comes.
		{"an hour", h, 4, []int{0, 1, 0, 0}, 2 + 3.5 + 2 + 3},
		{"for ever", 100 * h, 3, []int{2, 3, 3, 3}, 24 + 23.5 + 13},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := d.Keep(test.idle, 4)
			if k.Starts != test.starts || !slices.Equal(k.Sandboxes, test.sandboxes) || math.Abs(k.Mean*24-test.hours) > 1e-9 {
				t.Errorf("got %+v (%v sandbox hours), want %d starts, %v, %v", k, k.Mean*24, test.starts, test.sandboxes, test.hours)
			}
		})
	}
}

// To keep sandboxes longer never starts more of them, and never has fewer.
func TestKeepIsMonotonic(t *testing.T) {
	d, err := Generate(Params{Functions: 60, Seed: 9, Cap: 500})
	if err != nil {
		t.Fatal(err)
	}
	last := d.Keep(0, 10)
	for _, idle := range []time.Duration{time.Minute, 10 * time.Minute, 20 * time.Minute, 2 * time.Hour} {
		k := d.Keep(idle, 10)
		if k.Starts > last.Starts || k.Mean < last.Mean {
			t.Errorf("%v: %d starts and %.2f sandboxes after %d and %.2f", idle, k.Starts, k.Mean, last.Starts, last.Mean)
		}
		last = k
	}
}
