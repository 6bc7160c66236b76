package iofuncs

import "fmt"

// Kind is how a call failed. Its text is that of the fault that it becomes.
type Kind string

// Kinds of failures.
const (
	KindFailed  Kind = "io-failed"      // there was no answer, or none that can be used
	KindTimeout Kind = "io-timeout"     // it took too long
	KindRefused Kind = "egress-refused" // a rule forbids the address

	// KindCanceled is of exchanges only: the call ended before they did.
	KindCanceled Kind = "canceled"
)

// Error is the failure of a call.
type Error struct {
	Kind   Kind
	Item   string // the input item that it is about, as "requests: \"a\", key 1"; empty: the call as a whole
	Detail string // what happened, and where; for the user
	Err    error  // the cause, if any
	Hint   string // what to do about it, as a sentence; empty: what the kind says
}

func (e *Error) Error() string {
	text := string(e.Kind)
	if e.Item != "" {
		text += fmt.Sprintf(" (%s)", e.Item)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
