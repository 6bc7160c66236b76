package trace

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Params say which day is made up. The same give the same day.
type Params struct {
	Functions int
	Seed      uint64
	// Cap is the most calls that one function has in the day; those that had more
	// have so many. 0: none, which is the shape that was published. With a cap, the
	// calls that are left out are those that find a sandbox most often: what is
	// computed of policies then is of the cap and not of the published day.
	Cap float64
}

// The quantiles of calls a day. Those that doc.go calls assumed are not published.
const (
	lowest  = 1.0 // a day; assumed
	hourly  = 24.0
	minutes = 1440.0
	// highest is such that Popular of all calls are those of the functions above the
	// last quantile but one.
	highest = 1.158e6

	hourlyShare = 0.45 // figure 5(a)
	// MinutesShare is the part of functions that are called once a minute or less.
	MinutesShare = 0.814 // figure 5(b): all but 18.6 %, which (a) gives as 81 %
	// Popular is the part of all calls that are those of functions which are called at
	// least once a minute (figure 5(b)).
	Popular = 0.996

	logMean, logSigma = -0.38, 2.36 // of seconds, figure 7
	// Longest is the longest that a call takes; the distribution has no end, and
	// platforms do. Assumed.
	Longest = 5 * time.Minute

	timers = 0.156 // of functions, figure 2
	// constant is the least rate of a day in parts of the largest (figure 4).
	constant = 0.5
)

// most calls that a day may have, since all are in memory.
const most = 20e6

// Length of what is made up.
const Length = 24 * time.Hour

// A Function of the day.
type Function struct {
	PerDay float64       // calls in the mean
	Takes  time.Duration // each
}

// An Event is a call.
type Event struct {
	At       time.Duration // since the day began
	Function int
}

// A Day is what was made up, the most called function first and the events in
// order of time.
type Day struct {
	Functions []Function
	Events    []Event
}

// Rate is how many calls a day the function has that a part u of all functions
// has fewer than, from 0 to 1: between the quantiles it grows evenly in its
// logarithm.
func Rate(u float64) float64 {
	between := func(u, u0, u1, r0, r1 float64) float64 { return r0 * math.Pow(r1/r0, (u-u0)/(u1-u0)) }
	switch {
	case u < hourlyShare:
		return between(u, 0, hourlyShare, lowest, hourly)
	case u < MinutesShare:
		return between(u, hourlyShare, MinutesShare, hourly, minutes)
	}
	return between(u, MinutesShare, 1, minutes, highest)
}

// Generate makes up a day.
func Generate(p Params) (*Day, error) {
	if p.Functions < 1 || p.Functions > 100_000 || !(p.Cap >= 0) {
		return nil, fmt.Errorf("a day of %d functions with at most %v calls: there must be 1 to 100,000", p.Functions, p.Cap)
	}
	random := rand.New(rand.NewPCG(p.Seed, uint64(p.Functions)))
	d := &Day{Functions: make([]Function, p.Functions)}
	var due float64
	for i := range d.Functions {
		// Each from its own part of the distribution, so that few functions have its
		// shape too.
		u := (float64(p.Functions-1-i) + random.Float64()) / float64(p.Functions)
		f := &d.Functions[i]
		f.PerDay = Rate(u)
		if p.Cap > 0 {
			f.PerDay = min(f.PerDay, p.Cap)
		}
		if due += f.PerDay; due > most {
			return nil, fmt.Errorf("a day of %d functions with at most %v calls each has more than %g calls: take fewer functions or a cap", p.Functions, p.Cap, most)
		}
		seconds := math.Exp(logMean + logSigma*random.NormFloat64())
		f.Takes = time.Duration(min(seconds, Longest.Seconds()) * float64(time.Second))
		d.call(random, i)
	}
	slices.SortFunc(d.Events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Function, b.Function))
	})
	return d, nil
}

// Top is the part of the day's calls that are those of its n most called
// functions.
func (d *Day) Top(n int) float64 {
	of := 0
	for _, e := range d.Events {
		if e.Function < n {
			of++
		}
	}
	return float64(of) / float64(max(len(d.Events), 1))
}

// Thin leaves out calls of those functions that have more than so many, evenly
// over their calls. All calls of the others stay.
func (d *Day) Thin(most int) *Day {
	calls := make([]int, len(d.Functions))
	for _, e := range d.Events {
		calls[e.Function]++
	}
	thin := &Day{Functions: d.Functions}
	seen := make([]int, len(d.Functions))
	for _, e := range d.Events {
		n, all := seen[e.Function], calls[e.Function]
		seen[e.Function]++
		if kept := min(all, most); (n+1)*kept/all > n*kept/all {
			thin.Events = append(thin.Events, e)
		}
	}
	return thin
}

// call adds the events of a function. Some are called by a timer, at equal times;
// the others are called by many who know nothing of each other, at noon most.
func (d *Day) call(random *rand.Rand, i int) {
	mean := float64(Length) / d.Functions[i].PerDay
	if random.Float64() < timers {
		for at := random.Float64() * mean; at < float64(Length); at += mean {
			d.Events = append(d.Events, Event{time.Duration(at), i})
		}
		return
	}
	const (
		peak  = 2 / (1 + constant) // the noon's rate in means
		swing = peak - 1
	)
	for at := 0.0; ; {
		at += random.ExpFloat64() * mean / peak
		if at >= float64(Length) {
			return
		}
		now := 1 - swing*math.Cos(2*math.Pi*at/float64(Length))
		if random.Float64()*peak < now {
			d.Events = append(d.Events, Event{time.Duration(at), i})
		}
	}
}
