package shard

import (
	"fmt"

	"pappus/data"
)

// Stream is the instances of an application of which one set is still being
// made, while all others are there. Instances exist as soon as their item does.
// Because items are ordered by key, the place of an instance is known only when
// the set is complete: until then instances go by numbers that say nothing about
// it, and Order puts the numbers in order at the end. Instances and order are
// then those of the Plan with the whole set.
//
// It is not for several goroutines at once.
type Stream struct {
	others *Plan // of all parameters but the growing one
	param  Param // the growing one
	index  int   // its index
	after  int   // how many instances of others an axis behind the growing one makes
	limit  int
	closed bool
}

// Streamable reports whether instances can start while the set of a parameter is
// still being made. Only that of an Each can: each item makes instances of its
// own, whatever comes after it. A keyed group is complete when no item can come
// any more, and so is a join; how an any-form divides depends on how many there
// are; All is all.
func Streamable(p Param) bool { return p.Kind == Each }

// NewStream begins the stream of an application. The growing parameter must be
// Streamable; its Items are not looked at. Errors are those of New.
func NewStream(app Application, growing, limit int) (*Stream, error) {
	if growing < 0 || growing >= len(app.Params) {
		return nil, fmt.Errorf("there is no parameter %d, but %d parameters", growing, len(app.Params))
	}
	s := &Stream{param: app.Params[growing], index: growing, after: 1, limit: limit}
	if !Streamable(s.param) {
		return nil, fmt.Errorf("parameter %q is %s; instances can't start before all of its set is there", s.param.Name, s.param.Kind)
	}
	s.param.Items = nil
	app.Params = append([]Param(nil), app.Params...)
	app.Params[growing] = Param{Name: s.param.Name, Kind: Each, Optional: true} // a factor of 1
	var err error
	if s.others, err = New(app, limit); err != nil {
		return nil, err
	}
	for _, a := range s.others.axes {
		if first := a.columns[0].param; !app.Params[first].Kind.Keys() && first > growing {
			s.after *= a.count
		}
	}
	return s, nil
}

// Add takes the next items of the set, in any order, and returns the numbers of
// the instances that exist because of them: from first up to, and without, end.
// It returns a *TooManyError when the limit is exceeded. Consumers of one Output
// are given the same items in the same order as it is.
func (s *Stream) Add(items []*data.Item) (first, end int, err error) {
	first = s.Count()
	if per := s.others.count; per > 0 && len(items) > s.limit/per-len(s.param.Items) {
		// The first number that is too large, so that the message does not
		// depend on how many came at once.
		_, err = product("instances", s.limit, []Factor{{s.param.Name, s.limit/per + 1}, {"all others", per}})
		return first, first, err
	}
	s.param.Items = append(s.param.Items, items...)
	return first, s.Count(), nil
}

// Close says that no more items come, and returns the numbers of the instances
// that exist because of that: those of an optional parameter whose set is empty
// after all.
func (s *Stream) Close() (first, end int) {
	first = s.Count()
	s.closed = true
	return first, s.Count()
}

// items that make instances; an optional set that is empty makes them once.
func (s *Stream) items() int {
	if s.closed && s.param.Optional {
		return max(len(s.param.Items), 1)
	}
	return len(s.param.Items)
}

// Count is the number of instances that exist; they are numbered from 0.
func (s *Stream) Count() int { return s.items() * s.others.count }

// Instance is as that of a Plan, for the instance of a number less than Count.
func (s *Stream) Instance(number int, in [][]*data.Item) [][]*data.Item {
	arrival, other := number/s.others.count, number%s.others.count
	in = s.others.Instance(other, in)
	if arrival < len(s.param.Items) {
		in[s.index] = s.param.Items[arrival : arrival+1 : arrival+1]
	}
	return in
}

// Order is the numbers of all instances in the order of the Plan. It is asked
// for after Close, with the arrivals that Output.Settle gave for the set, and is
// what Output.Settle needs for the outputs of this application. Before that it
// is the order of those that exist, none of which will ever change places with
// another: so the first of several failures is known as soon as they are.
func (s *Stream) Order(arrivals []int) []int {
	if arrivals == nil { // in order, if there are any; or the instances without an item
		arrivals = make([]int, s.items())
		for i := range arrivals {
			arrivals[i] = i
		}
	}
	numbers := make([]int, 0, s.Count())
	for before := 0; before < s.others.count; before += s.after {
		for _, arrival := range arrivals {
			for after := range s.after {
				numbers = append(numbers, arrival*s.others.count+before+after)
			}
		}
	}
	return numbers
}
