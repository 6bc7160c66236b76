package chericapengine

import "pappus/chericapengine/a64"

// Immediates of the breakpoints that compilers put where C leaves open what happens.
const (
	brkGCC             = 1000   // __builtin_trap, and whatever it was told to check
	brkClang           = 1      // __builtin_trap
	brkClangDivision   = 0x5503 // -fsanitize-trap=integer-divide-by-zero
	brkClangConversion = 0x5505 // -fsanitize-trap=float-cast-overflow
)

// What to do about faults.
const (
	hintGaveUp     = "the code gave up: abort, a failed assertion, or a way that its compiler took for impossible"
	hintDivision   = "look at the divisor before dividing"
	hintConversion = "a floating-point number that is too large for an integer, or none (NaN), was made one: look at it first"
	hintPointer    = "a pointer is wrong: it was not set, was overwritten, or is beyond what it points to; or raise the memory limit, which is where memory ends"
	hintStore      = "a pointer is wrong: it points to code or constants, which can't be written"
	hintCall       = "a function pointer is wrong: it was not set, or was overwritten"
	hintCapability = "functions have one capability, to leave by, which works where the platform put it and nowhere else: leave through the runtime of the C SDK"
	hintAligned    = "a pointer is wrong; or it is used for an atomic access or as the stack pointer, which must be aligned"
	hintUnknown    = "build it for ARMv8.2 without extensions (docs/native.md says what there is); if it is no instruction at all, a function pointer is wrong"
	hintSystem     = "functions have no system calls: build it with pappus build --engine chericap, without a libc"
	hintStack      = "look for a recursion that has no end, and for large local variables: make them static or allocate them"
)

// hintFor says what to do about a fault.
func hintFor(f *a64.Fault) string {
	switch f.Kind {
	case a64.FaultTag, a64.FaultSeal:
		return hintCapability
	case a64.FaultAlignment:
		if f.Fetch {
			return hintCall
		}
		return hintAligned
	case a64.FaultBounds, a64.FaultPermission:
		switch {
		case f.Fetch:
			return hintCall
		case f.Kind == a64.FaultPermission && f.Write:
			return hintStore
		case f.Kind == a64.FaultPermission:
			return hintCapability
		}
		return hintPointer
	case a64.FaultUndefined:
		return hintUnknown
	case a64.FaultSVC:
		return hintSystem
	case a64.FaultBRK:
		_, hint := breakpoint(f.Imm())
		return hint
	}
	return ""
}

// breakpoint is what a breakpoint of a compiler means, and what to do; "" if it is not
// known to be one.
func breakpoint(imm uint16) (meaning, hint string) {
	switch imm {
	case brkGCC:
		return "the code gave up, divided an integer by zero, or made one of a floating-point number that does not fit",
			hintGaveUp + "; or an integer was divided by zero, or the smallest by -1; or a floating-point number is too large for an integer"
	case brkClang:
		return "the code gave up", hintGaveUp
	case brkClangDivision:
		return "integer divide by zero", hintDivision
	case brkClangConversion:
		return "invalid conversion to integer", hintConversion
	}
	return "", "the code has a breakpoint: take it out"
}
