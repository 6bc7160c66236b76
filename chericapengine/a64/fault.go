package a64

import (
	"errors"
	"fmt"

	"pappus/chericapengine/capability"
)

// FaultKind says which rule an instruction broke.
type FaultKind string

// The kinds of faults.
const (
	FaultTag        FaultKind = "tag"        // a capability without its tag
	FaultSeal       FaultKind = "seal"       // a sealed capability
	FaultBounds     FaultKind = "bounds"     // outside of a capability's bounds
	FaultPermission FaultKind = "permission" // a permission that the capability hasn't; also a store to code
	FaultAlignment  FaultKind = "alignment"  // of an address, the program counter or the stack pointer
	FaultUndefined  FaultKind = "undefined"  // no instruction, or none that is implemented
	FaultSVC        FaultKind = "svc"        // a system call
	FaultBRK        FaultKind = "brk"        // a breakpoint, as from __builtin_trap
)

// ErrFuel is what Run returns when all fuel has been used.
var ErrFuel = errors.New("the fuel is used up")

// Fault is why a function can't go on. The instruction at PC has had no effect.
// Addresses are offsets from the base of the capability that was asked.
type Fault struct {
	Kind  FaultKind
	PC    uint64 // of the instruction; of a fetch, where there is none
	Addr  uint64 // of the access; of a fetch, the same as PC
	Size  int    // of the access, in bytes
	Write bool   // the access was a store
	Fetch bool   // it was about the instruction itself
	Word  uint32 // the instruction, if it is known
}

// Imm is the immediate of an SVC or BRK.
func (f *Fault) Imm() uint16 { return uint16(f.Word >> 5) }

func (f *Fault) Error() string {
	switch {
	case f.Kind == FaultUndefined:
		return fmt.Sprintf("undefined instruction %#08x%s at %#x", f.Word, unknown(f.Word), f.PC)
	case f.Kind == FaultSVC:
		return fmt.Sprintf("system call (SVC #%d) at %#x", f.Imm(), f.PC)
	case f.Kind == FaultBRK:
		return fmt.Sprintf("breakpoint (BRK #%#x) at %#x", f.Imm(), f.PC)
	case f.Fetch:
		return fmt.Sprintf("%s fault: no instruction can be fetched from %#x", f.Kind, f.Addr)
	case f.Write:
		return fmt.Sprintf("%s fault: store of %d bytes at %#x by the instruction at %#x", f.Kind, f.Size, f.Addr, f.PC)
	default:
		return fmt.Sprintf("%s fault: load of %d bytes at %#x by the instruction at %#x", f.Kind, f.Size, f.Addr, f.PC)
	}
}

// violated is the kind of fault that a violation raises.
func violated(v capability.Violation) FaultKind {
	switch v {
	case capability.TagViolation:
		return FaultTag
	case capability.SealViolation:
		return FaultSeal
	case capability.PermissionViolation:
		return FaultPermission
	default:
		return FaultBounds
	}
}
