// Package memo remembers the results of pure work: what a function made of its
// inputs is a function of code, inputs and limits, so one that is known need
// not be computed again.
//
// It owns the key under which a result is remembered, the two tiers that hold
// results (memory, and disk behind it), the sharing of one run among equal
// calls at once, and the judgement of where remembering pays. It knows packages
// engine and data, and nothing of the dispatcher: how a call is run comes in as
// a function. What runs here is deterministic, or is not remembered.
//
// # Who owns what
//
// Inputs belong to their caller until Do returns. A shared run reads those of
// the caller that began it, its leader. If the leader goes away before the run
// has placed them (Shared.Placed), the run ends, and another caller, whose
// inputs are equal, begins it again; after that the run needs no caller's memory.
//
// What is remembered is a copy and never changes. Outputs that come from the
// memo live as long as they are referred to.
//
// # Locks
//
// flights.mu, memory.mu, disk.mu, cuts.mu, registered.mu and Function.mu.
// memory.mu is taken while flights.mu is held, and no other below another. None
// is held while a run goes on or a file is read or written.
package memo
