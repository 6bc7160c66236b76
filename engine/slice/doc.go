// Package slice hands a run its fuel in slices, between which the platform
// looks at limits and asks the scheduler.
//
// It owns what happens at a slice's end: when a run is out of fuel, past its
// deadline or cancelled, how it waits for its permit or for memory, and how large
// the next slice is. It knows packages engine, and no engine.
package slice
