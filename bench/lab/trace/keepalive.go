package trace

import (
	"slices"
	"time"
)

// Kept is what a policy comes to that keeps each sandbox for a time after its
// last call: a call takes the function's idle sandbox that was used last, or
// starts a new one.
type Kept struct {
	Sandboxes []int // that exist at the end of each part of the day
	Mean      float64
	Starts    int // calls that found no idle sandbox
}

// Keep computes the policy over the day, which it cuts into so many parts. With
// no time at all, a sandbox exists only while a call runs.
func (d *Day) Keep(idle time.Duration, parts int) Kept {
	all := make([]pool, len(d.Functions))
	k := Kept{Sandboxes: make([]int, parts)}
	var lived time.Duration
	end := func(s sandbox) {
		until := s.free + idle
		lived += max(min(until, Length)-s.from, 0)
		for i := int(s.from * time.Duration(parts) / Length); i < parts; i++ {
			switch at := Length * time.Duration(i+1) / time.Duration(parts); {
			case at >= until:
				return
			case s.from <= at:
				k.Sandboxes[i]++
			}
		}
	}
	for _, e := range d.Events {
		p := &all[e.Function]
		for len(p.busy) > 0 && p.busy[0].free <= e.At {
			p.idle, p.busy = append(p.idle, p.busy[0]), p.busy[1:]
		}
		for len(p.idle) > 0 && p.idle[0].free+idle <= e.At {
			end(p.idle[0])
			p.idle = p.idle[1:]
		}
		s := sandbox{from: e.At}
		if last := len(p.idle) - 1; last >= 0 {
			s, p.idle = p.idle[last], p.idle[:last]
		} else {
			k.Starts++
		}
		s.free = e.At + d.Functions[e.Function].Takes
		p.busy = append(p.busy, s)
	}
	for _, p := range all {
		for _, s := range slices.Concat(p.idle, p.busy) {
			end(s)
		}
	}
	k.Mean = lived.Seconds() / Length.Seconds()
	return k
}

// sandbox of a function.
type sandbox struct{ from, free time.Duration } // free: when its last call ends

// pool is a function's sandboxes. Since all its calls take as long, those that
// began first end first: both are in order of when they are free.
type pool struct{ idle, busy []sandbox }
