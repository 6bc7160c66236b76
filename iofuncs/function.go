package iofuncs

import (
	"context"

	"pappus/data"
)

// Function is an I/O function. All methods may be called from many goroutines.
type Function interface {
	// Spec says what it is called, and what it takes and gives. It is always the
	// same.
	Spec() Spec

	// Call makes one call: it is one instance of an application. It returns once
	// the answer is there, and soon after ctx ends: whoever wants the answer waits
	// for it, since the inputs may lie in memory that somebody else needs then.
	//
	// The outputs are sets that the spec declares, in any order; one that is left
	// out is empty. Items need not be in key order. Their contents are the
	// caller's from then on, and must not be those of input items, which are gone
	// when the caller has the answer; names may be.
	//
	// Errors should be *Error, which says what to tell the user. What is none
	// counts as KindFailed, or, where ctx or a deadline of the function's own has
	// ended, as that. What Request.Charge returned may be wrapped, or not.
	Call(ctx context.Context, r Request) ([]data.Set, error)
}

// Spec describes an I/O function from outside.
type Spec struct {
	Name    string // reserved for I/O functions: a tenant can register nothing under it
	Inputs  []Param
	Outputs []Param
}

// Param is an input or an output set.
type Param struct {
	Name string
	Item bool // it holds exactly one item; otherwise any number of them
}

// Request is what one call is about.
type Request struct {
	Tenant string     // for whom it is made
	Inputs []data.Set // in the order of the spec, items in key order; not to be changed

	account func(n int64) error
	note    func(Exchange)
	trace   TraceID
}

// NewRequest makes a request. account is what Charge calls; nil: nobody counts.
func NewRequest(tenant string, inputs []data.Set, account func(n int64) error) Request {
	return Request{Tenant: tenant, Inputs: inputs, account: account}
}

// Charge counts n bytes more that the call holds for its outputs; with a negative
// n, fewer. A function whose outputs have no small bound calls it before it takes
// the memory, piece by piece as they arrive, and gives up with the error that it
// gets. Small outputs are counted when they are returned. It may be called from
// many goroutines.
func (r Request) Charge(n int64) error {
	if r.account == nil {
		return nil
	}
	return r.account(n)
}
