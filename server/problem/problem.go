package problem

import (
	"time"

	"pappus/engine"
)

// ContentType is the media type of problem documents.
const ContentType = "application/problem+json"

// TypePrefix comes before the code in a problem's type, a relative reference
// at which the server has a page.
const TypePrefix = "/errors/"

// Problem is one occurrence of an entry of the catalogue, as the client sees
// it. It is an error, so that handlers can return it.
type Problem struct {
	Type     string `json:"type"` // TypePrefix and the code
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`   // what happened this time
	Instance string `json:"instance,omitempty"` // the request's id
	Hint     string `json:"hint,omitempty"`     // what to do

	Errors   []Located `json:"errors,omitempty"`   // where in the request, if that can be said
	Declared []string  `json:"declared,omitempty"` // what there is, where something unknown was named
	Imports  []string  `json:"imports,omitempty"`  // of rejected code

	// Of faults.
	ExitCode    *int32   `json:"exit_code,omitempty"`
	Stderr      string   `json:"stderr,omitempty"` // its tail
	Stack       []string `json:"stack,omitempty"`  // innermost call first
	Usage       *Usage   `json:"usage,omitempty"`
	Application string   `json:"application,omitempty"` // of a composition
	Index       *int     `json:"index,omitempty"`       // of the application's instance
	Item        string   `json:"item,omitempty"`

	// RetryAfter is when it makes sense to try again, in whole seconds; zero
	// if that can't be said. It becomes the header.
	RetryAfter time.Duration `json:"-"`

	// Cause is for the log, never for the client.
	Cause error `json:"-"`
}

// Located is something wrong at a place of the request.
type Located struct {
	Path    string `json:"path"` // as in inputs.text[3].key
	Message string `json:"message"`
}

// Usage is what engine.Usage says; only what is deterministic is in the JSON.
type Usage struct {
	Fuel        int64         `json:"fuel"`
	MemoryPages int64         `json:"memory_pages"`
	Run         time.Duration `json:"-"`
}

// New makes a problem of a code, which must be in the catalogue: any other
// becomes Internal.
func New(code Code, detail string) *Problem {
	e, ok := Lookup(code)
	if !ok {
		e, _ = Lookup(Internal)
	}
	return &Problem{
		Type:   TypePrefix + string(e.Code),
		Title:  e.Title,
		Status: e.Status,
		Detail: detail,
		Hint:   e.Hint,
	}
}

// FromFault makes the problem of a function's failure.
func FromFault(f *engine.Fault) *Problem {
	p := New(Code(f.Kind), f.Detail)
	p.Stderr = string(f.Stderr)
	p.Stack = f.Stack
	p.Usage = &Usage{Fuel: f.Usage.Fuel, MemoryPages: f.Usage.MemoryPages, Run: f.Usage.Run}
	p.Application, p.Item = f.Application, f.Item
	p.Cause = f.Err
	if f.Kind == engine.FaultExit {
		p.ExitCode = &f.ExitCode
	}
	if f.Application != "" {
		p.Index = &f.Instance
	}
	if f.Kind == engine.FaultOverload {
		p.Usage = nil // nothing ran
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
