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
	type sandbox struct{ from, free time.Duration } // free: when its last call ends
	all := make([][]sandbox, len(d.Functions))
	k := Kept{Sandboxes: make([]int, parts)}
	var lived time.Duration
	end := func(s sandbox) {
		until := min(s.free+idle, Length)
		lived += max(until-s.from, 0)
		for i := range parts {
			if at := Length * time.Duration(i+1) / time.Duration(parts); s.from <= at && at < s.free+idle {
				k.Sandboxes[i]++
			}
		}
	}
	for _, e := range d.Events {
		mine := all[e.Function]
		// Those whose time is over are gone.
		mine = slices.DeleteFunc(mine, func(s sandbox) bool {
			gone := s.free+idle <= e.At
			if gone {
				end(s)
			}
			return gone
		})
		last := -1
		for i, s := range mine {
			if s.free <= e.At && (last < 0 || s.free > mine[last].free) {
				last = i
			}
		}
		free := e.At + d.Functions[e.Function].Takes
		if last >= 0 {
			mine[last].free = free
		} else {
			k.Starts++
			mine = append(mine, sandbox{e.At, free})
		}
		all[e.Function] = mine
	}
	for _, mine := range all {
		for _, s := range mine {
			end(s)
		}
	}
	k.Mean = lived.Seconds() / Length.Seconds()
	return k
}
