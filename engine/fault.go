package engine

import (
	"errors"
	"fmt"
	"strings"
)

// FaultKind says how a run failed. Every kind has one HTTP status, one page of
// documentation and one metric label, all under its text.
type FaultKind string

// Faults of compute functions.
const (
	FaultTrap           FaultKind = "trap"             // the code did something that its machine forbids
	FaultExit           FaultKind = "exit"             // it ended with an exit code other than 0
	FaultOutOfMemory    FaultKind = "out-of-memory"    // its inputs do not fit, or its allocator said so
	FaultOutOfFuel      FaultKind = "out-of-fuel"      // it used more than its fuel limit
	FaultOutOfStack     FaultKind = "out-of-stack"     // its calls nest deeper than its stack limit
	FaultBadOutput      FaultKind = "bad-output"       // what it left can't be read as output sets
	FaultOutputTooLarge FaultKind = "output-too-large" // more items or bytes than its output limits
	FaultItemCount      FaultKind = "item-count"       // a set of type item does not hold exactly one
	FaultDeadline       FaultKind = "deadline"         // it ran longer than its timeout
	FaultCanceled       FaultKind = "canceled"         // the caller went away
)

// Faults that only compositions, I/O functions and the platform's queues raise.
const (
	FaultLimitApplications FaultKind = "limit-applications" // a composition has too many applications
	FaultLimitInstances    FaultKind = "limit-instances"    // an application has too many instances
	FaultLimitItems        FaultKind = "limit-items"        // too many items in flight in a run
	FaultLimitBytes        FaultKind = "limit-bytes"        // too many bytes in flight in a run
	FaultLimitNesting      FaultKind = "limit-nesting"      // compositions nest too deeply
	FaultLimitTime         FaultKind = "limit-time"         // a run took longer than run_timeout
	FaultEgressRefused     FaultKind = "egress-refused"     // the egress policy forbids the address
	FaultIOFailed          FaultKind = "io-failed"          // an I/O function got no answer
	FaultIOTimeout         FaultKind = "io-timeout"         // an I/O function waited too long
	FaultNotCached         FaultKind = "not-cached"         // only a remembered result was asked for, and there is none
	FaultOverload          FaultKind = "overload"           // no permit or memory within the waiting limit
)

// FaultKinds lists every kind there is, in the order above.
func FaultKinds() []FaultKind {
	return []FaultKind{
		FaultTrap, FaultExit, FaultOutOfMemory, FaultOutOfFuel, FaultOutOfStack, FaultBadOutput,
		FaultOutputTooLarge, FaultItemCount, FaultDeadline, FaultCanceled,
		FaultLimitApplications, FaultLimitInstances, FaultLimitItems, FaultLimitBytes, FaultLimitNesting,
		FaultLimitTime, FaultEgressRefused, FaultIOFailed, FaultIOTimeout, FaultNotCached, FaultOverload,
	}
}

// Deterministic reports whether a failure of this kind is a function of code,
// inputs and limits alone, so that the same call would fail the same way.
func (k FaultKind) Deterministic() bool {
	switch k {
	case FaultTrap, FaultExit, FaultOutOfMemory, FaultOutOfFuel, FaultOutOfStack, FaultBadOutput, FaultOutputTooLarge, FaultItemCount:
		return true
	default:
		return false
	}
}

// StderrTail is how many bytes of a function's stderr a fault carries.
const StderrTail = 8 << 10

// Fault is the failure of a run. It matches, by errors.Is, a Fault that has
// only a kind.
type Fault struct {
	Kind     FaultKind
	Detail   string // what happened, for people; may quote what the function said
	ExitCode int32  // of FaultExit
	Usage    Usage
	Stderr   []byte   // the last StderrTail bytes, if the function wrote any
	Stack    []string // the function's own calls, innermost first

	// Hint is what to do about it, where that is another thing than what the kind
	// says to everybody.
	Hint string

	// Where in a composition it happened; empty outside of one. An instance below 0
	// is none: it was about the application as a whole.
	Application string
	Instance    int
	Item        string

	Err error // the cause, where an error of Go's world is one
}

func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	if f.Kind == FaultExit {
		fmt.Fprintf(&b, " with code %d", f.ExitCode)
	}
	if f.Detail != "" {
		b.WriteString(": " + f.Detail)
	}
	if where := f.Where(); where != "" {
		b.WriteString(" (" + where + ")")
	}
	return b.String()
}

// Where says where in a composition it happened, without the item; empty outside of
// one.
func (f *Fault) Where() string {
	switch {
	case f.Application == "":
		return ""
	case f.Instance < 0:
		return "application " + f.Application
	default:
		return fmt.Sprintf("application %s, instance %d", f.Application, f.Instance)
	}
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Is makes errors.Is(err, &Fault{Kind: k}) true for every fault of kind k.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Kind == f.Kind && t.Detail == "" && t.Err == nil
}

// KindOf is the kind of the fault in err's tree, or "".
func KindOf(err error) FaultKind {
	var f *Fault
	if errors.As(err, &f) {
		return f.Kind
	}
	return ""
}

// RejectedError says why code was not accepted and what to do about it.
type RejectedError struct {
	Reason  string   // one sentence
	Hint    string   // what to do
	Imports []string // "module.name" of imports that are not allowed, if that is the reason
	Costly  bool     // the code is valid, but compiling it takes more than is allowed
	Err     error    // the cause, if any
}

func (e *RejectedError) Error() string {
	if e.Hint == "" {
		return e.Reason
	}
	return e.Reason + "; " + e.Hint
}

// Unwrap gives the cause.
func (e *RejectedError) Unwrap() error { return e.Err }
