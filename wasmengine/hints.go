package wasmengine

import (
	"bytes"
	"fmt"
	"strings"

	"pappus/data"
	"pappus/engine"
)

// Traps as wazero calls them, besides unreachable.
const (
	trapMemory     = "out of bounds memory access"
	trapDivision   = "integer divide by zero"
	trapOverflow   = "integer overflow"
	trapConversion = "invalid conversion to integer"
	trapTable      = "invalid table access"
	trapCall       = "indirect call type mismatch"
)

// hintFor says what to do about a fault where its causes are known well enough
// to say more than of every fault of its kind; "" otherwise. It depends on
// nothing but the fault and which input sets have no items, which emptyOf says.
func hintFor(f *engine.Fault, empty missing, sig engine.Signature) string {
	hint := causeOf(f, sig)
	// What a program says itself says more than what is only a guess.
	if hint != "" || len(f.Stderr) > 0 || f.Kind != engine.FaultTrap && f.Kind != engine.FaultExit {
		return hint
	}
	if empty.count > 0 {
		return fmt.Sprintf("the input set %s has no items: is that meant?", strings.Join(empty.names[:empty.count], ", "))
	}
	return ""
}

// The input sets that a program for WASI has where nobody declared any. Of these,
// stdio is the one of standard input and output.
const (
	stdioSet   = "stdio"
	defaultSet = "input"
)

// missing are names of input sets without items: the first three, and that there are more.
type missing struct {
	names [4]string
	count int
}

// emptyOf names input sets without items that somebody may miss: not standard
// input, nor a set that nobody declared.
func emptyOf(sets []data.Set) (m missing) {
	if len(sets) == 2 && sets[0].Name == stdioSet && sets[1].Name == defaultSet {
		return m
	}
	for _, s := range sets {
		if len(s.Items) > 0 || s.Name == stdioSet {
			continue
		}
		m.count++
		if m.count == len(m.names) {
			m.names[m.count-1] = "…"
			return m
		}
		m.names[m.count-1] = s.Name
	}
	return m
}

func causeOf(f *engine.Fault, sig engine.Signature) string {
	switch f.Kind {
	case engine.FaultTrap:
		return causeOfTrap(f, sig)
	case engine.FaultOutOfStack:
		if name := recursive(f.Stack); name != "" {
			return name + " calls itself: look for a recursion that has no end; if it is only deep, raise its stack limit"
		}
	case engine.FaultExit:
		switch f.ExitCode {
		case -1:
			return "end it with dandelion_exit, or make it with PAPPUS_FUNCTION; a program that was built for WASI is made a function by pappus purify"
		case 256:
			return "call dandelion_init first, or make the function with PAPPUS_FUNCTION"
		case 257:
			return "look for a write beyond the end of what was allocated"
		case 258:
			return "look for memory that is given back twice, or was never allocated"
		}
		return causeOfPanic(f, sig)
	}
	return ""
}

func causeOfTrap(f *engine.Fault, sig engine.Signature) string {
	switch f.Detail {
	case trapUnreachable:
		if hint := causeOfPanic(f, sig); hint != "" {
			return hint
		}
		hint := "the code gave up: abort, a failed assertion, a panic, or a way that its compiler took for impossible"
		if len(f.Stack) > 0 {
			hint += "; the stack says where"
		}
		return hint
	case trapMemory:
		return "a pointer is wrong, or in C local variables took more than the stack that the linker gave them: make large arrays static or allocate them, or link with a larger stack-size"
	case trapDivision:
		return "look at the divisor before dividing"
	case trapOverflow:
		return "the smallest integer was divided by -1, or a floating-point number is too large for an integer"
	case trapConversion:
		return "a floating-point number that is none (NaN) was made an integer: look at it first"
	case trapTable, trapCall:
		return "a function pointer is wrong: it was not set, or was overwritten, or is of another type than the call"
	}
	return ""
}

// causeOfPanic tells of programs that say themselves why they end.
func causeOfPanic(f *engine.Fault, sig engine.Signature) string {
	says := func(parts ...string) bool {
		for _, part := range parts {
			if bytes.Contains(f.Stderr, []byte(part)) {
				return true
			}
		}
		return false
	}
	switch {
	case says("out of memory", "cannot allocate memory", "memory allocation of "):
		return "it ran out of memory, as it says on stderr: give it more when it is built (pappus purify --memory, or limits in its manifest), or smaller inputs"
	case says("stack overflow", "stack exceeds"):
		return "it ran out of its own stack, as it says on stderr: look for a recursion that has no end"
	case says("panic: ", "panicked at ", "fatal error: ", "Assertion failed", "AssertionError"):
		return "it says on stderr why it gave up"
	case len(f.Stderr) == 0 && sig.Output(stdioSet) < 0 && !sig.Open && panics(f.Stack):
		return "it panicked; declare an output set stdio to see what it says on stderr"
	}
	return ""
}

// panics reports whether a stack is that of a program that panics.
func panics(stack []string) bool {
	for _, call := range stack {
		for _, name := range []string{"runtime.fatal", "runtime.gopanic", "runtime.throw", "rust_panic", "core::panicking", "abort"} {
			if strings.HasPrefix(call, name) || strings.Contains(call, name) && strings.HasPrefix(call, "_ZN") {
				return true
			}
		}
	}
	return false
}

// recursive is a function that is in the innermost calls more than once.
func recursive(stack []string) string {
	seen := map[string]bool{}
	for _, call := range stack {
		name, _, _ := strings.Cut(call, "(")
		if seen[name] {
			return name
		}
		seen[name] = true
	}
	return ""
}
