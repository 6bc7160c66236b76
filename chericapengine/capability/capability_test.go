package capability

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// narrow is a capability of the given parts, made as a program would make it.
func narrow(t testing.TB, perms Perms, base, n uint64) (Capability, bool) {
	t.Helper()
	c, exact := Root().ClearPerms(AllPerms &^ perms).WithAddress(base).SetBounds(n)
	if !c.Tag() {
		t.Fatalf("bounds %#x+%#x of everything have no tag", base, n)
	}
	return c, exact
}

func TestEncodings(t *testing.T) {
	const inData, code = Load | Store | LoadCap, Execute | Executive
	for _, c := range []struct {
		perms         Perms
		kind          Type
		base, n, hi   uint64
		inexact       bool
		wantLo, wantN uint64 // bounds, if inexact
	}{
		{perms: inData, base: 0x40000000, n: 0x200000, hi: 0xd000000000070000},
		{perms: code, base: 0x40000000, n: 0x200000, hi: 0x2000800000070000},
		{perms: inData, base: 0x40000000, n: 0x1000, hi: 0xd000000050000000},
		{perms: inData, base: 0xffff80001000, n: 0x3fff, hi: 0xd00000004fff1000},
		{perms: inData, base: 0xffff80001000, n: 0x4000, hi: 0xd000000010071007},
		{perms: inData, base: 0xffff80001001, n: 0x4001, hi: 0xd0000000100f1007, inexact: true, wantLo: 0xffff80001000, wantN: 0x4008},
		{perms: AllPerms, kind: LPB, base: 0x40000010, n: 0x20, hi: 0xffffc00140300010},
		{perms: inData, base: 0x40000000, n: 0x8000000, hi: 0xd000000000060002},
		{perms: inData, base: 0x40000400, n: 0x200000, hi: 0xd0000000000f0008},
		{perms: inData, base: 0x40000200, n: 0x200000, inexact: true, wantLo: 0x40000000, wantN: 0x200400},
	} {
		got, exact := narrow(t, c.perms, c.base, c.n)
		if c.kind != Unsealed {
			got = got.SealAs(c.kind)
		}
		lo, hi := got.Bits()
		if lo != c.base || c.hi != 0 && hi != c.hi || exact == c.inexact || !got.Tag() {
			t.Errorf("%#x+%#x with %#x: %#x %#x, exact %t, tag %t; want %#x", c.base, c.n, c.perms, lo, hi, exact, got.Tag(), c.hi)
		}
		wantLo, wantN := c.base, c.n
		if c.inexact {
			wantLo, wantN = c.wantLo, c.wantN
		}
		if b := got.Bounds(); b.Base != wantLo || b.Length() != wantN {
			t.Errorf("%#x+%#x: bounds %#x+%#x, want %#x+%#x", c.base, c.n, b.Base, b.Length(), wantLo, wantN)
		}
		if got.Perms() != c.perms || got.Type() != c.kind {
			t.Errorf("%#x+%#x: permissions %#x, type %d", c.base, c.n, got.Perms(), got.Type())
		}
	}
}

func TestRepresentable(t *testing.T) {
	for _, c := range []struct{ n, length, mask uint64 }{
		{0, 0, ^uint64(0)},
		{0x1001, 0x1001, ^uint64(0)},
		{0x3fff, 0x3fff, ^uint64(0)},
		{0x10001, 0x10020, ^uint64(0x1f)},
		{0x100001, 0x100200, ^uint64(0x1ff)},
		{0x10000001, 0x10020000, ^uint64(0x1ffff)},
		{1<<32 + 1, 0x100200000, ^uint64(0x1fffff)},
	} {
		if length, mask := RepresentableLength(c.n), RepresentableMask(c.n); length != c.length || mask != c.mask {
			t.Errorf("%#x: length %#x, mask %#x; want %#x, %#x", c.n, length, mask, c.length, c.mask)
		}
	}
}

// Permissions and object types are where instructions expect them.
func TestPositions(t *testing.T) {
	for bit, p := range map[int]Perms{
		0: Global, 1: Executive, 2: User0, 5: User3, 6: MutableLoad, 7: CompartmentID, 8: BranchSealedPair, 9: System,
		10: PermUnseal, 11: PermSeal, 12: StoreLocal, 13: StoreCap, 14: LoadCap, 15: Execute, 16: Store, 17: Load,
	} {
		if p != 1<<bit {
			t.Errorf("permission %#x is not bit %d", p, bit)
		}
	}
	if Load|Store|LoadCap != 0x34000 || Execute|Executive != 0x08002 || RB != 1 || LPB != 2 || LB != 3 {
		t.Error("permissions or object types moved")
	}
}

func TestNullAndRoot(t *testing.T) {
	var null Capability
	whole := Bounds{Carry: 1}
	if null.Tag() || null.Perms() != 0 || null.Bounds() != whole || null.Bounds().Length() != ^uint64(0) {
		t.Errorf("null is %+v", null)
	}
	if r := Root(); !r.Tag() || r.Perms() != AllPerms || r.Bounds() != whole || r.Sealed() {
		t.Errorf("root is %+v", r)
	}
	// An exponent that no instruction makes reaches nothing.
	odd := FromBits(0, uint64(AllPerms)<<permsShift|fields{exponent: 51}.pack(true), true)
	if got := odd.Check(0, 1, Load); got != BoundsViolation {
		t.Errorf("an exponent of 51: %s", got)
	}
	if c, _ := odd.SetBounds(16); c.Tag() {
		t.Error("bounds were derived from an exponent of 51")
	}
	if odd.Add(1).Tag() || odd.WithAddress(1).Tag() || odd.IsSubset(Root()) {
		t.Error("an exponent of 51 was used")
	}
}

func TestCheck(t *testing.T) {
	c, _ := narrow(t, Load|LoadCap, 0x1000, 0x100)
	for _, test := range []struct {
		c       Capability
		address uint64
		n       uint64
		perms   Perms
		want    Violation
	}{
		{c, 0x1000, 0x100, Load, NoViolation},
		{c, 0x10ff, 1, Load, NoViolation},
		{c, 0x10f0, 16, Load | LoadCap, NoViolation},
		{c, 0x1100, 0, Load, NoViolation},
		{c, 0xfff, 1, Load, BoundsViolation},
		{c, 0x1100, 1, Load, BoundsViolation},
		{c, 0x10ff, 2, Load, BoundsViolation},
		{c, 0x1000, ^uint64(0), Load, BoundsViolation},
		{c, ^uint64(0), 1, Load, BoundsViolation},
		{c, ^uint64(0), 0x1002, Load, BoundsViolation},
		{c, 0x1000, 1, Store, PermissionViolation},
		{c, 0xfff, 1, Load | Store, PermissionViolation},
		{c.SealAs(RB), 0x1000, 1, Load, SealViolation},
		{c.WithoutTag(), 0x1000, 1, Load, TagViolation},
		{c.WithoutTag().SealAs(RB), 0, 1, Store, TagViolation},
		{Root(), ^uint64(0), 1, Execute, NoViolation},
		{Root(), ^uint64(0), 2, Execute, BoundsViolation},
	} {
		if got := test.c.Check(test.address, test.n, test.perms); got != test.want {
			t.Errorf("%#x+%#x with %#x: %s, want %s", test.address, test.n, test.perms, got, test.want)
		}
	}
	if Violation(99).String() != "unknown" || BoundsViolation.String() != "bounds" {
		t.Error("names of violations")
	}
}

func TestSeal(t *testing.T) {
	c, _ := narrow(t, Load|Global, 0x1000, 0x100)
	keys, _ := Root().WithAddress(8).SetBounds(4) // types 8 to 11
	for _, test := range []struct {
		name string
		with Capability
		tag  bool
	}{
		{"allowed", keys, true},
		{"the last", keys.WithAddress(11), true},
		{"outside", keys.WithAddress(12), false},
		{"no permission", keys.ClearPerms(PermSeal), false},
		{"no tag", keys.WithoutTag(), false},
		{"sealed itself", keys.SealAs(RB), false},
		{"one of the architecture's", Root().WithAddress(uint64(LPB)), false},
		{"too large", Root().WithAddress(typeMask + 1 + 8), false},
	} {
		if got := c.Seal(test.with); got.Tag() != test.tag {
			t.Errorf("%s: tag %t", test.name, got.Tag())
		}
	}
	sealed := c.Seal(keys)
	if sealed.Type() != 8 || sealed.Seal(keys).Tag() || sealed.SealAs(RB).Tag() || c.SealAs(8).Tag() || c.SealAs(Unsealed).Tag() {
		t.Error("seals")
	}
	if got := sealed.Unseal(keys); got != c {
		t.Errorf("unsealed it is %+v, before it was %+v", got, c)
	}
	if got := sealed.Unseal(keys.ClearPerms(Global)); !got.Tag() || got.Perms() != Load {
		t.Errorf("unsealed by one that is not global: %+v", got)
	}
	if sealed.Unseal(keys.WithAddress(9)).Tag() || sealed.Unseal(keys.ClearPerms(PermUnseal)).Tag() || c.Unseal(keys).Tag() {
		t.Error("unsealed without the right")
	}
	for _, changed := range []Capability{sealed.WithAddress(0x1001), sealed.Add(1), sealed.ClearPerms(0), sealed.SetBoundsExact(1)} {
		if changed.Tag() {
			t.Errorf("a sealed one was changed to %+v", changed)
		}
	}
	if pair := c.SealAs(LPB); pair.Enter(LPB) != c || pair.Enter(RB) != pair || pair.Enter(Unsealed) != pair || c.Enter(RB) != c {
		t.Error("a branch unseals what it should not, or does not")
	}
}

func TestLoadedThrough(t *testing.T) {
	c, _ := narrow(t, AllPerms, 0x1000, 0x100)
	if got := c.LoadedThrough(Load | LoadCap | MutableLoad); got != c {
		t.Error("mutable load changed it")
	}
	if got := c.LoadedThrough(Load | LoadCap); got.Perms() != AllPerms&^(Store|StoreCap|StoreLocal|MutableLoad) || !got.Tag() {
		t.Errorf("without mutable load: %#x", got.Perms())
	}
	if got := c.SealAs(LPB).LoadedThrough(Load | LoadCap); got != c.SealAs(LPB) {
		t.Error("a sealed one was changed")
	}
	if got := c.LoadedThrough(Load); got != c.WithoutTag() {
		t.Error("without load-capability it must be the same bits as data")
	}
	if got := c.WithoutTag().LoadedThrough(Load | LoadCap); got != c.WithoutTag() {
		t.Error("data was changed")
	}
}

func integer(carry, v uint64) *big.Int {
	n := new(big.Int).SetUint64(carry)
	return n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(v))
}

// address draws one that is likely to be near something.
func address(t *rapid.T, label string) uint64 {
	a := uint64(1)<<rapid.IntRange(0, 63).Draw(t, label+" magnitude") + rapid.Uint64().Draw(t, label)>>rapid.IntRange(0, 63).Draw(t, label+" shift")
	if rapid.Bool().Draw(t, label+" from the end") {
		return -a
	}
	return a
}

// derived draws a capability that a program can have, with a tag or without.
func derived(t *rapid.T) Capability {
	c := Root()
	for range rapid.IntRange(0, 6).Draw(t, "steps") {
		next := step(t, c)
		if next.Tag() {
			c = next
		}
	}
	return c
}

// step draws something that an instruction does to a capability.
func step(t *rapid.T, c Capability) Capability {
	switch rapid.IntRange(0, 6).Draw(t, "step") {
	case 0:
		return c.WithAddress(address(t, "address"))
	case 1:
		return c.WithAddress(c.Bounds().Base + rapid.Uint64().Draw(t, "inside")%max(c.Bounds().Length(), 1))
	case 2:
		return c.Add(address(t, "increment"))
	case 3:
		c, _ = c.SetBounds(rapid.Uint64().Draw(t, "length") >> rapid.IntRange(0, 63).Draw(t, "shift"))
		return c
	case 4:
		return c.SetBoundsExact(rapid.Uint64().Draw(t, "length") >> rapid.IntRange(0, 63).Draw(t, "shift"))
	case 5:
		return c.ClearPerms(Perms(rapid.Uint32().Draw(t, "mask")))
	default:
		return c.LoadedThrough(Perms(rapid.Uint32().Draw(t, "through")) | LoadCap)
	}
}

// Whatever is done to a capability, what it becomes reaches no further and may
// do no more, or is no capability.
func TestDerivedIsSubset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := derived(t)
		got := step(t, c)
		if got.Tag() && !got.IsSubset(c) {
			t.Fatalf("%+v with %+v became %+v with %+v", c, c.Bounds(), got, got.Bounds())
		}
		if got.Tag() && got.Check(got.Bounds().Base-1, 1, 0) == NoViolation && got.Bounds().Base != 0 {
			t.Fatalf("%+v reaches below its base", got)
		}
	})
}

// What is asked for is held, and what it is rounded to is the least that the
// format can hold: both bounds go outwards to the next multiple of a unit, of
// which the length has fewer than 2^12, in its upper bits.
func TestSetBoundsRounding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := signExtend(address(t, "base"))
		n := rapid.Uint64().Draw(t, "length") >> rapid.IntRange(0, 63).Draw(t, "shift")
		c := Root().WithAddress(base)
		got, exact := c.SetBounds(n)
		low, high := integer(0, base), new(big.Int).Add(integer(0, base), integer(0, n))
		if got.Tag() != (high.Cmp(integer(1, 0)) <= 0) {
			t.Fatalf("%#x+%#x: tag %t", base, n, got.Tag())
		}
		if !got.Tag() {
			return
		}
		if n >= 1<<14 {
			unit := big.NewInt(8)
			for {
				low, high = roundDown(integer(0, base), unit), roundUp(new(big.Int).Add(integer(0, base), integer(0, n)), unit)
				units := new(big.Int).Div(new(big.Int).Sub(high, low), unit)
				if units.Cmp(big.NewInt(1<<12)) < 0 {
					break
				}
				unit.Lsh(unit, 1)
			}
		}
		b := got.Bounds()
		if integer(0, b.Base).Cmp(low) != 0 || integer(b.Carry, b.Top).Cmp(high) != 0 {
			t.Fatalf("%#x+%#x became %+v, want %s to %s", base, n, b, low.Text(16), high.Text(16))
		}
		if want := integer(0, base).Cmp(low) == 0 && new(big.Int).Sub(high, low).Cmp(integer(0, n)) == 0; exact != want || c.SetBoundsExact(n).Tag() != want {
			t.Fatalf("%#x+%#x became %+v and is said to be exact: %t", base, n, b, exact)
		}
		if got.Address() != base {
			t.Fatal("the address moved")
		}
	})
}

func roundDown(n, unit *big.Int) *big.Int {
	return new(big.Int).Sub(n, new(big.Int).Mod(n, unit))
}

func roundUp(n, unit *big.Int) *big.Int {
	return roundDown(new(big.Int).Sub(new(big.Int).Add(n, unit), big.NewInt(1)), unit)
}

// The recommended alignment and length are exact wherever they are used.
func TestRepresentableIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(0, 1<<55).Draw(t, "length") >> rapid.IntRange(0, 55).Draw(t, "shift")
		mask, length := RepresentableMask(n), RepresentableLength(n)
		base := rapid.Uint64Range(0, 1<<54).Draw(t, "base") & mask
		if length < n || length-n > ^mask {
			t.Fatalf("length %#x for %#x", length, n)
		}
		if c, exact := Root().WithAddress(base).SetBounds(length); !exact || c.Bounds() != (Bounds{Base: base, Top: base + length}) {
			t.Fatalf("%#x+%#x is not exact: %+v", base, length, c.Bounds())
		}
	})
}

// Moving the address keeps bounds or loses the tag, addresses within bounds are
// always fine, and the quick answer is never yes where the exact one is no.
func TestAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := derived(t)
		a := address(t, "to")
		if b := c.Bounds(); b.Length() > 0 && rapid.Bool().Draw(t, "inside") {
			a = b.Base + rapid.Uint64().Draw(t, "at")%b.Length()
			if usesAddress(unpack(c.hi).exponent) && !c.changesSign(a) && signExtend(a) == a && !c.WithAddress(a).Tag() {
				t.Fatalf("%+v lost its tag at %#x, within %+v", c, a, b)
			}
		}
		moved, added := c.WithAddress(a), c.Add(a-c.Address())
		if moved.Address() != a || added.Address() != a {
			t.Fatal("the address is another one")
		}
		if moved.Tag() && moved.Bounds() != c.Bounds() || added.Tag() && added.Bounds() != c.Bounds() {
			t.Fatalf("%+v moved to %#x: bounds %+v became %+v", c, a, c.Bounds(), moved.Bounds())
		}
		if moved.Tag() != c.Representable(a) || added.Tag() && !moved.Tag() {
			t.Fatalf("%+v to %#x: moved %t, added %t", c, a, moved.Tag(), added.Tag())
		}
	})
}

// Bits are the whole of a capability.
func TestBitsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo, hi, tag := rapid.Uint64().Draw(t, "lo"), rapid.Uint64().Draw(t, "hi"), rapid.Bool().Draw(t, "tag")
		c := FromBits(lo, hi, tag)
		if l, h := c.Bits(); l != lo || h != hi || c.Tag() != tag {
			t.Fatal("bits changed")
		}
		f := unpack(hi)
		if packed := f.pack(hi&formBit == 0); packed != hi&boundsMask {
			t.Fatalf("bounds %#x were packed as %#x", hi&boundsMask, packed)
		}
		d := derived(t)
		l, h := d.Bits()
		if again := FromBits(l, h, d.Tag()); again != d || again.Bounds() != d.Bounds() {
			t.Fatal("a derived one changed")
		}
	})
}

// decode agrees with the definition in arbitrary precision: of all placements
// of bottom and top into the blocks around the address, the one in which the
// address is in the stretch that begins an eighth of a block below the bottom.
func TestBoundsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := uint(rapid.IntRange(0, 38).Draw(t, "exponent"))
		bottom := rapid.Uint64Range(0, 1<<13-1).Draw(t, "bottom") << 3
		n := rapid.Uint64Range(1<<11, 1<<12-1).Draw(t, "length") << 3 // upper two bits 01
		top := (bottom + n) & 0xffff
		a := rapid.Uint64Range(1<<54, 1<<55-1).Draw(t, "address")
		hi := fields{exponent: e, bottom: bottom, top: top}.pack(true)
		got, ok := decode(hi, a)
		if !ok {
			t.Fatal("no bounds")
		}
		block := uint64(1) << (e + 16)
		edge := (bottom&^0x1fff - 0x2000) & 0xffff << e // of the stretch, relative to a block
		start := a&^(block-1) | edge
		if start > a {
			start -= block
		}
		base := start&^(block-1) | bottom<<e
		if base < start {
			base += block
		}
		if want := (Bounds{Base: base, Top: base + n<<e}); got != want {
			t.Fatalf("exponent %d, bottom %#x, top %#x, address %#x: %+v, want %+v", e, bottom, top, a, got, want)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	c := Root()
	if n := testing.AllocsPerRun(10, func() {
		d, _ := c.WithAddress(0x1000).SetBounds(0x12345)
		if d.Check(0x1000, 8, Load) != NoViolation || !d.IsSubset(c) {
			t.Error("check")
		}
	}); n != 0 {
		t.Errorf("%f allocations", n)
	}
}
