package binary

import (
	"errors"
	"fmt"
)

// The kinds of errors that Decode returns; every *Error wraps one of them.
var (
	// ErrNotWasm: the bytes are not a WebAssembly module of version 1.
	ErrNotWasm = errors.New("not a WebAssembly module")
	// ErrMalformed: the module breaks the rules of the format.
	ErrMalformed = errors.New("malformed module")
	// ErrUnsupported: the module uses a proposal that is not supported.
	ErrUnsupported = errors.New("unsupported feature")
	// ErrLimit: the module is larger in some respect than Caps allow.
	ErrLimit = errors.New("module over a limit")
)

// Error says what is wrong with a module and where.
type Error struct {
	Kind    error  // ErrNotWasm, ErrMalformed, ErrUnsupported or ErrLimit
	Offset  int    // offset in the module, bytes
	Section string // name of the section, or ""
	Func    int    // index of the function in the index space, or -1
	Reason  string
	Cap     string // of ErrLimit: the cap that is exceeded, as Caps.Each names it
}

// Error is the complete message, in one line.
func (e *Error) Error() string {
	where := fmt.Sprintf("at offset %d", e.Offset)
	if e.Section != "" {
		where += ", " + e.Section + " section"
	}
	if e.Func >= 0 {
		where += fmt.Sprintf(", function %d", e.Func)
	}
	return fmt.Sprintf("%v: %s (%s)", e.Kind, e.Reason, where)
}

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Kind }
