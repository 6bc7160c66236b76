package dispatcher

import (
	"context"
	"errors"
	"fmt"

	"pappus/engine"
)

var (
	// ErrUnknownCode is wrapped by the error of a publication whose code no
	// engine knows.
	ErrUnknownCode = errors.New("no engine of this server runs the code")

	// ErrClosed is wrapped by the overload faults of a dispatcher that closes.
	ErrClosed = errors.New("the server is shutting down")

	// ErrEnginePanic is wrapped by the error of an invocation whose engine
	// panicked. It is a defect of the platform, not of the function.
	ErrEnginePanic = errors.New("engine panicked")
)

// InputError says why a request can't be what the caller meant: sets that the
// function does not declare, items that are missing, settings that make no
// sense. Nothing was run or stored.
type InputError struct {
	Set    string // the set it is about, if any
	Reason string // what is wrong and what is possible
	Err    error  // the cause, if any
}

func (e *InputError) Error() string {
	if e.Set == "" {
		return e.Reason
	}
	return fmt.Sprintf("input set %q %s", e.Set, e.Reason)
}

// Unwrap gives the cause.
func (e *InputError) Unwrap() error { return e.Err }

// TooLargeError says that something can never be admitted: waiting would not help.
type TooLargeError struct {
	What        string // "code", "body"
	Size, Limit int64  // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s has %d bytes; the most is %d", e.What, e.Size, e.Limit)
}

// overload is the fault of work that the platform has no room for now.
func overload(detail string, cause error) *engine.Fault {
	return &engine.Fault{Kind: engine.FaultOverload, Detail: detail, Err: cause}
}

// gone is the fault of a caller that left, or whose own deadline passed, while
// its work waited.
func gone(ctx context.Context) *engine.Fault {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return &engine.Fault{Kind: engine.FaultDeadline, Detail: "the caller's deadline passed before the function started", Err: err}
	}
	return &engine.Fault{Kind: engine.FaultCanceled, Detail: "the caller went away before the function started", Err: err}
}
