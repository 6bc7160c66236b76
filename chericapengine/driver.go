package chericapengine

import "pappus/chericapengine/loader"

// A driver makes the code of functions run.
type driver interface {
	// prepare makes code ready for any number of calls at once.
	prepare(image *loader.Image) (code, error)
}

// code is a function's code, ready to run.
type code interface {
	// enter brings a thread to the function's entry, where all registers are 0 but
	// the stack pointer, and puts the capability to leave through into its slot.
	enter(from entered) (thread, error)

	// size is about how many bytes it holds.
	size() int64
}

// entered is what a function is entered with.
type entered struct {
	memory []byte // the most it may have, and returnRoom behind; address 0 is the first
	size   int64  // how much of it can be reached at first
	stack  int64  // the stack pointer
}

// returnRoom is how many bytes behind a context belong to the driver.
const returnRoom = 64

// limit is the most bytes that the function may reach.
func (c *entered) limit() int64 { return int64(len(c.memory)) - returnRoom }

// thread runs one function. It belongs to one goroutine.
type thread interface {
	// run goes on for at most so many instructions, which are at least one.
	run(fuel int64) stop

	// retired is how many instructions were executed so far, one that faulted not
	// included.
	retired() int64

	// extend lets the function reach size bytes of the context.
	extend(size int64)

	// where tells by which registers the thread's calls are found; false if that is not
	// known.
	where() (registers, bool)

	// leave gives back what the thread holds.
	leave()
}

// stop is why a thread does not go on.
type stop struct {
	why    reason
	detail string // of a fault: which, where and what the code did, for people
	hint   string // what to do about it

	// Of an access outside of bounds, by an instruction that had no effect: it can be
	// tried again. Address and size are relative to the context.
	outside bool
	address uint64
	size    uint64
	stack   uint64 // the stack pointer at a fault
}

type reason uint8

const (
	paused  reason = iota // the fuel is used up
	left                  // the function left through the return capability
	faulted               // it did something that the machine forbids
)
