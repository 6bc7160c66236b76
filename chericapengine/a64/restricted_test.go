package a64_test

import (
	"errors"
	"testing"

	"pappus/chericapengine/a64"
	"pappus/chericapengine/capability"
)

// A host in the Executive state enters a function in the Restricted one, with registers
// of its own, and gets them back when it has left.
func TestRestrictedState(t *testing.T) {
	host := decoded(t, // at codeAt, base 0
		0xc28b4320, // msr rddc_el0, c0
		0xc28f4161, // msr rcsp_el0, c1
		0xc28bd082, // msr rctpidr_el0, c2
		0xc2c21063, // brr c3
		0xc29b4120, // back: mrs c0, ddc
		0xd4200020, // brk #1
	)
	function, err := a64.Decode([]a64.Segment{{Addr: 0x100, Bytes: words(
		0xc29b4124, // mrs c4, ddc: its own
		0x910003e5, // mov x5, sp
		0xd53bd046, // mrs x6, tpidr_el0
		0xf94000e9, // ldr x9, [x7]
		0xc2400100, // ldr c0, [x8]
		0xc2c4101d, // ldpbr c29, [c0]
	)}})
	if err != nil {
		t.Fatal(err)
	}
	const compartment, size, slot, pairAt = 0x20000, 0x1000, 0x800, 0x9000
	memory := make([]byte, 0x40000)
	root := capability.Root()
	m := a64.NewMachine()
	m.Reset(host, memory, 0, root.WithAddress(codeAt), root)
	m.SetSP(0x8000)
	at := func(base, n uint64, perms capability.Perms) capability.Capability {
		c, exact := root.WithAddress(base).SetBounds(n)
		if !exact {
			t.Fatal("a capability of the test is not exact")
		}
		return c.ClearPerms(capability.AllPerms &^ perms)
	}
	data := at(compartment, size, capability.Load|capability.Store|capability.LoadCap)
	m.SetC(0, data)
	m.SetC(1, capability.FromBits(0x700, 0, false))
	m.SetC(2, capability.FromBits(0x77, 0, false))
	m.SetC(3, at(compartment, 0x200, capability.Execute).WithAddress(compartment+0x100))
	m.SetX(7, 0x10)
	m.SetX(8, slot)
	memory[compartment+0x10] = 42
	pair := at(pairAt, 32, capability.Load|capability.LoadCap).SealAs(capability.LPB)
	for where, c := range map[uint64]capability.Capability{
		pairAt: root.WithAddress(0x1234), pairAt + 16: root.WithAddress(codeAt + 16), compartment + slot: pair,
	} {
		if err := m.StoreCapability(where, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Run(100, 100, nil); err != nil {
		t.Fatal(err)
	}
	if m.DDC() != data || m.SP() != 0x700 {
		t.Errorf("in the Restricted state DDC is %v and the stack pointer %#x", m.DDC(), m.SP())
	}
	m.SetCode(function)
	if m.PC() != 0x100 {
		t.Fatalf("the function begins at %#x", m.PC())
	}
	if err := m.Run(100, 100, nil); err != nil {
		t.Fatal(err)
	}
	if m.C(4) != data || m.X(5) != 0x700 || m.X(6) != 0x77 || m.X(9) != 42 {
		t.Errorf("the function saw DDC %v, stack pointer %#x, thread pointer %#x, and loaded %d", m.C(4), m.X(5), m.X(6), m.X(9))
	}
	m.SetCode(host)
	var f *a64.Fault
	if err := m.Run(100, 100, nil); !errors.As(err, &f) || f.Kind != a64.FaultBRK {
		t.Fatalf("the host ended with %v", err)
	}
	if m.C(0) != root || m.SP() != 0x8000 || m.C(29).Address() != 0x1234 || m.Retired() != 4+6+1 {
		t.Errorf("back in the host DDC is %v, the stack pointer %#x, C29 %v, after %d instructions", m.C(0), m.SP(), m.C(29), m.Retired())
	}
}

// Code that narrows its own PCC is held to that: in a straight line, by branches that were
// resolved before, and by those that were not; also when no upper half of a register is
// to be looked after.
func TestNarrowedPCC(t *testing.T) {
	const end = codeAt + 8*4 // of the narrowed PCC
	for name, last := range map[string]uint32{
		"straight":        addX1,
		"direct branch":   0x14000002, // b .+8
		"conditional":     0xb5000041, // cbnz x1, .+8
		"indirect branch": 0xd61f0060, // br x3
		"call":            0xd63f0060, // blr x3
	} {
		for kept, first := range map[string]uint32{"kept": nop, "cleared": 0xaa1f03e0} { // mov x0, xzr
			t.Run(name+" "+kept, func(t *testing.T) {
				code := decoded(t,
					0xc2c5b3e0, // cvtp c0, xzr
					0xc2c10000, // scbnds c0, c0, x1
					0xc2c24000, // scvalue c0, c0, x2
					0xc2c21000, // br c0
					first,
					0x14000001, // b .+4
					nop,
					last,
					addX1, addX1, addX1, // of which the first could be fused with the last
				)
				m, _, _ := function(t, code, codeAt)
				m.SetX(1, end)
				m.SetX(2, contextBase+codeAt+16)
				m.SetX(3, end)
				var f *a64.Fault
				err := m.Run(100, 100, nil)
				if !errors.As(err, &f) || f.Kind != a64.FaultBounds || !f.Fetch || f.PC < end || f.Word != 0 {
					t.Fatalf("it ended with %v", err)
				}
				if want := uint64(8); m.Retired() != want {
					t.Errorf("%d instructions have been retired, want %d", m.Retired(), want)
				}
				if m.C(0).Tag() != (kept == "kept") {
					t.Errorf("C0 is %v", m.C(0))
				}
				if got := m.PCC().Bounds().Length(); got != end {
					t.Errorf("PCC has %#x bytes, want %#x", got, end)
				}
			})
		}
	}
}

// Branches to capabilities with other bounds cost what other instructions do: nothing is
// made of the code, and a machine that waits holds no more of it than any other.
func TestNarrowingTakesNothing(t *testing.T) {
	const size = 60_000
	insts := make([]uint32, size)
	insts[0], insts[1] = 0xc2c21020, 0xc2c21000 // br c1, br c0
	for i := 2; i < size; i++ {
		insts[i] = nop
	}
	code := decoded(t, insts...)
	narrow := func(pcc capability.Capability, slot, length uint64) capability.Capability {
		c, exact := pcc.WithAddress(pcc.Bounds().Base).SetBounds(length)
		if !exact {
			t.Fatal("the bounds can't be had")
		}
		return c.WithAddress(contextBase + codeAt + 4*slot)
	}
	m, memory, _ := function(t, code, codeAt)
	pcc, ddc := m.PCC(), m.DDC()
	const fuel = 1000
	allocated := testing.AllocsPerRun(10, func() {
		m.Reset(code, memory, contextBase, pcc, ddc)
		m.SetC(1, narrow(pcc, 1, 0x4000))
		m.SetC(0, narrow(pcc, 0, 0x4400))
		if err := m.Run(fuel, fuel, nil); !errors.Is(err, a64.ErrFuel) || m.Retired() != fuel {
			t.Errorf("%v after %d instructions", err, m.Retired())
		}
	})
	if got := m.PCC().Bounds().Length(); got != 0x4400 || allocated != 0 {
		t.Errorf("with a PCC of %#x bytes in the end, %v pieces of memory were taken", got, allocated)
	}
}
