package problem

import (
	"time"

	"pappus/engine"
	"pappus/server/api"
)

// ContentType is the media type of problem documents.
const ContentType = "application/problem+json"

// TypePrefix comes before the code in a problem's type, a relative reference
// at which the server has a page.
const TypePrefix = "/errors/"

// Problem is one occurrence of an entry of the catalogue: the document that
// the client sees, and what only the server does. It is an error, so that
// handlers can return it.
type Problem struct {
	api.Problem

	// RetryAfter is when it makes sense to try again, in whole seconds; zero
	// if that can't be said. It becomes the header.
	RetryAfter time.Duration `json:"-"`

	// Run is how long a function ran that failed. It becomes a header.
	Run time.Duration `json:"-"`

	// Cause is for the log, never for the client.
	Cause error `json:"-"`
}

// New makes a problem of a code, which must be in the catalogue: any other
// becomes Internal.
func New(code Code, detail string) *Problem {
	e, ok := Lookup(code)
	if !ok {
		e, _ = Lookup(Internal)
	}
	return &Problem{Problem: api.Problem{
		Type:   TypePrefix + string(e.Code),
		Title:  e.Title,
		Status: e.Status,
		Detail: detail,
		Hint:   e.Hint,
	}}
}

// FromFault makes the problem of a function's failure.
func FromFault(f *engine.Fault) *Problem {
	p := New(Code(f.Kind), f.Detail)
	p.Stderr = string(f.Stderr)
	p.Stack = f.Stack
	p.Usage = &api.Usage{Fuel: f.Usage.Fuel, MemoryPages: f.Usage.MemoryPages}
	p.Run = f.Usage.Run
	p.Application, p.Item = f.Application, f.Item
	p.Cause = f.Err
	if f.Kind == engine.FaultExit {
		p.ExitCode = &f.ExitCode
	}
	if f.Application != "" && f.Instance >= 0 {
		p.Index = &f.Instance
	}
	if f.Hint != "" {
		p.Hint = f.Hint
	}
	if f.Kind == engine.FaultOverload {
		if f.Usage.Fuel == 0 {
			p.Usage = nil // nothing ran
		}
		p.RetryAfter = time.Second
	}
	return p
}

// Code is the last part of the type.
func (p *Problem) Code() Code { return Code(p.Type[len(TypePrefix):]) }

func (p *Problem) Error() string {
	if p.Detail == "" {
		return string(p.Code())
	}
	return string(p.Code()) + ": " + p.Detail
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Cause }
