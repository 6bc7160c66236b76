package lines

import (
	"context"
	"sync/atomic"
)

// MaxReaders is how many tables an engine reads at the same time: one takes some
// tenths of a second at most, and several times the memory that is kept.
const MaxReaders = 4

// Readers lets MaxReaders tables be read at the same time. It may be used by many
// goroutines.
type Readers struct{ reading chan struct{} } // holds one for each table that is read

// NewReaders makes readers for one engine.
func NewReaders() *Readers { return &Readers{make(chan struct{}, MaxReaders)} }

// Once is a table that is read when it is needed first, and not again. It may be
// used by many goroutines.
type Once struct {
	readers *Readers
	reading chan struct{} // holds one while somebody reads it, or waits for that
	read    atomic.Bool
}

// Once has one table read by these readers.
func (r *Readers) Once() *Once { return &Once{readers: r, reading: make(chan struct{}, 1)} }

// Do calls read unless that was done before, and returns when it is done. While
// others read it waits until ctx ends, and then returns ctx's error: whoever needs
// the table next has it read.
func (o *Once) Do(ctx context.Context, read func()) error {
	if o.read.Load() {
		return nil
	}
	if err := enter(ctx, o.reading); err != nil {
		return err
	}
	defer func() { <-o.reading }()
	if o.read.Load() {
		return nil
	}
	if err := enter(ctx, o.readers.reading); err != nil {
		return err
	}
	defer func() { <-o.readers.reading }()
	read()
	o.read.Store(true)
	return nil
}

// enter takes a place, and one that is free even if ctx has ended.
func enter(ctx context.Context, places chan<- struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	default:
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
