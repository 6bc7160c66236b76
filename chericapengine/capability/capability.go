package capability

// Capability is one capability, or 128 bits of plain data if the tag is clear.
// The zero value is the null capability. Values can be compared by ==.
type Capability struct {
	lo, hi uint64
	tag    bool
}

// FromBits is the capability with these words in memory; lo is the address. An
// untagged one keeps any bits.
func FromBits(lo, hi uint64, tag bool) Capability { return Capability{lo, hi, tag} }

// Root is the capability from which all others derive: the whole address space
// with all permissions.
func Root() Capability { return Capability{hi: uint64(AllPerms) << permsShift, tag: true} }

// Size and alignment of a capability in memory, in bytes.
const Size = 16

const (
	permsShift = 46
	typeShift  = 31
	typeMask   = 0x7fff
	formBit    = 1 << 30
	boundsMask = formBit<<1 - 1
)

// Bits are the words in memory: the address, and everything else but the tag.
func (c Capability) Bits() (lo, hi uint64) { return c.lo, c.hi }

// Tag reports whether this is a capability and not plain data.
func (c Capability) Tag() bool { return c.tag }

// Address is where it points, flags included.
func (c Capability) Address() uint64 { return c.lo }

// Perms are its permissions.
func (c Capability) Perms() Perms { return Perms(c.hi >> permsShift) }

// Type is its object type.
func (c Capability) Type() Type { return Type(c.hi >> typeShift & typeMask) }

// Sealed reports whether it can't be used or changed until it is unsealed.
func (c Capability) Sealed() bool { return c.Type() != Unsealed }

// Offset is the address relative to the base.
func (c Capability) Offset() uint64 { return c.lo - c.Bounds().Base }

// Perms is a set of permissions, in the positions in which instructions give
// and take them.
type Perms uint32

// The permissions.
const (
	Global Perms = 1 << iota
	Executive
	User0
	User1
	User2
	User3
	MutableLoad
	CompartmentID
	BranchSealedPair
	System
	PermUnseal
	PermSeal
	StoreLocal
	StoreCap
	LoadCap
	Execute
	Store
	Load

	AllPerms Perms = 1<<18 - 1
)

// Type is an object type: 0 for what is not sealed.
type Type uint16

// Object types that the architecture gives a meaning.
const (
	Unsealed Type = iota
	RB            // a branch through it unseals it
	LPB           // a load of a pair through it, which then branches
	LB            // a load through it, which then branches
)

// lowestSealable is the first object type that permission to seal can give.
const lowestSealable = 4

// WithoutTag is the same bits as plain data.
func (c Capability) WithoutTag() Capability {
	c.tag = false
	return c
}

// detagIf clears the tag if the architecture wants that.
func (c Capability) detagIf(condition bool) Capability {
	c.tag = c.tag && !condition
	return c
}

// WithAddress points it elsewhere, as SCVALUE does. The tag is lost if it is
// sealed, or if its bounds can't be told from the new address.
func (c Capability) WithAddress(a uint64) Capability {
	lost := c.Sealed() || !c.Representable(a)
	c.lo = a
	return c.detagIf(lost)
}

// Add moves the address, as ADD does: the tag is lost as in WithAddress, and
// also for some addresses far outside of the bounds that WithAddress allows.
func (c Capability) Add(increment uint64) Capability {
	lost := c.Sealed() || !c.quicklyRepresentable(increment)
	c.lo += increment
	return c.detagIf(lost)
}

// ClearPerms takes permissions away, as CLRPERM does. A sealed one loses its
// tag.
func (c Capability) ClearPerms(perms Perms) Capability {
	c.hi &^= uint64(perms&AllPerms) << permsShift
	return c.detagIf(c.Sealed())
}

func (c Capability) withType(t Type) Capability {
	c.hi = c.hi&^(typeMask<<typeShift) | uint64(t&typeMask)<<typeShift
	return c
}

// SealAs seals for one of the architecture's ways to branch, RB, LPB or LB, for
// which no permission is needed. What is sealed already loses its tag.
func (c Capability) SealAs(t Type) Capability {
	return c.withType(t).detagIf(c.Sealed() || t == Unsealed || t >= lowestSealable)
}

// Seal seals with the object type that with points at. The tag is lost unless
// with is a capability that may do that.
func (c Capability) Seal(with Capability) Capability {
	t := Type(with.lo & typeMask)
	ok := with.Check(with.lo, 1, PermSeal) == NoViolation && with.lo <= typeMask && t >= lowestSealable
	return c.withType(t).detagIf(c.Sealed() || !ok)
}

// Unseal unseals what was sealed with the object type that with points at. The
// tag is lost unless with is a capability that may do that. What with is not
// global about, the result is not either.
func (c Capability) Unseal(with Capability) Capability {
	ok := with.Check(with.lo, 1, PermUnseal) == NoViolation && c.Sealed() && with.lo == uint64(c.Type())
	c = c.withType(Unsealed)
	if with.Perms()&Global == 0 {
		c = c.ClearPerms(Global)
	}
	return c.detagIf(!ok)
}

// Enter is what a branch makes of a capability sealed with type t on its way:
// the same one unsealed. Of any other it is the capability as it was.
func (c Capability) Enter(t Type) Capability {
	if t != Unsealed && c.Type() == t {
		return c.withType(Unsealed)
	}
	return c
}

// LoadedThrough is what a load of c makes of it when it is authorised by a
// capability with perms: without LoadCap it is plain data, and without
// MutableLoad one that is not sealed can't be written through.
func (c Capability) LoadedThrough(perms Perms) Capability {
	if perms&LoadCap == 0 {
		return c.WithoutTag()
	}
	if c.tag && !c.Sealed() && perms&MutableLoad == 0 {
		return c.ClearPerms(Store | StoreCap | StoreLocal | MutableLoad)
	}
	return c
}

// IsSubset reports whether c reaches and permits nothing that of does not. Tags
// and object types don't count.
func (c Capability) IsSubset(of Capability) bool {
	inner, ok := decode(c.hi, c.lo)
	outer, also := decode(of.hi, of.lo)
	return ok && also && inner.Within(outer) && c.Perms()&^of.Perms() == 0
}

// Violation is why an access is not allowed.
type Violation uint8

// The violations, in the order in which they are looked for.
const (
	NoViolation Violation = iota
	TagViolation
	SealViolation
	PermissionViolation
	BoundsViolation
)

// String is one word, as in the detail of a fault.
func (v Violation) String() string {
	names := [...]string{"none", "tag", "seal", "permission", "bounds"}
	if int(v) >= len(names) {
		return "unknown"
	}
	return names[v]
}

// Check says what is wrong with an access to n bytes from address on that needs
// all of perms.
func (c Capability) Check(address, n uint64, perms Perms) Violation {
	switch {
	case !c.tag:
		return TagViolation
	case c.Sealed():
		return SealViolation
	case perms&^c.Perms() != 0:
		return PermissionViolation
	}
	if b, ok := decode(c.hi, c.lo); !ok || !b.Holds(address, n) {
		return BoundsViolation
	}
	return NoViolation
}
