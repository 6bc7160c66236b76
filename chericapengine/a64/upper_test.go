package a64_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"pappus/chericapengine/a64"
	"pappus/chericapengine/capability"
)

// Whatever changes an X register takes away its tag and its upper half, and whatever
// changes memory the tag that was there: otherwise a capability could be forged.
func TestNothingChangedKeepsItsTag(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(rounds(t)), 9))
	var all []sequence
	for _, p := range patterns {
		for range rounds(t) / 2 {
			s := p.one(r)
			if r.IntN(2) == 0 {
				s.words = append(s.words, p.draw(r))
			}
			all = append(all, s)
		}
	}
	b := newBed(t, all)
	changed, stored := 0, 0
	for i, s := range all {
		first := begin(s.seed)
		b.start(i, s)
		for reg, v := range first.x[:31] {
			b.m.SetC(reg, capability.FromBits(v, 0xdeadbeef, true))
		}
		b.m.SetC(31, capability.FromBits(first.x[31], 0xdeadbeef, true))
		for at := 0; at < len(first.window); at += capability.Size {
			lo, hi := binary.LittleEndian.Uint64(first.window[at:]), binary.LittleEndian.Uint64(first.window[at+8:])
			if err := b.m.StoreCapability(windowAt+uint64(at), capability.FromBits(lo, hi, true)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.m.Run(1000, 1000, nil); err == nil {
			t.Fatalf("%v left", s)
		}
		for reg, before := range first.x {
			c := b.m.C(reg)
			lo, hi := c.Bits()
			if lo == before {
				continue
			}
			changed++
			if c.Tag() || hi != 0 {
				t.Errorf("%v changed register %d from %#x to %#x, which kept its upper half %#x (tag %t)", s, reg, before, lo, hi, c.Tag())
			}
		}
		for at := 0; at < len(first.window); at += capability.Size {
			if bytes.Equal(b.memory[windowAt+at:][:capability.Size], first.window[at:][:capability.Size]) {
				continue
			}
			stored++
			if c, err := b.m.LoadCapability(windowAt + uint64(at)); err != nil || c.Tag() {
				t.Errorf("%v changed memory at %#x, which kept its tag (%v)", s, windowAt+at, err)
			}
		}
	}
	if stored < len(all)/40 {
		t.Errorf("only %d granules changed in %d sequences", stored, len(all))
	}
	if changed < len(all)/4 {
		t.Errorf("only %d registers changed in %d sequences", changed, len(all))
	}
}

// Calls by a capability leave one to return by, and pairs without a hint for caches move
// as others do.
func TestCapabilityCalls(t *testing.T) {
	code := decoded(t,
		0xc2c5b000, // cvtp c0, x0
		0xc2c23000, // blr c0
		0x62400462, // ldnp c2, c1, [x3]
		0x62010462, // stnp c2, c1, [x3, #32]
		0xd4200020, // brk #1
		addX1,
		0xc2c253c0, // ret c30
	)
	m, memory, _ := function(t, code, codeAt)
	m.SetX(0, codeAt+5*4)
	m.SetX(3, 0x9000)
	for i := range 32 {
		memory[0x9000+i] = byte(i ^ 0x3c)
	}
	var f *a64.Fault
	if err := m.Run(100, 100, nil); !errors.As(err, &f) || f.Kind != a64.FaultBRK {
		t.Fatalf("it ended with %v", err)
	}
	if !bytes.Equal(memory[0x9000:0x9020], memory[0x9020:0x9040]) {
		t.Errorf("copied %x, want %x", memory[0x9020:0x9040], memory[0x9000:0x9020])
	}
	if link := m.C(30); !link.Tag() || link.Sealed() || link.Address() != contextBase+codeAt+8 {
		t.Errorf("the return capability is %v", link)
	}
	if m.Retired() != 6 {
		t.Errorf("%d instructions have been retired, want 6", m.Retired())
	}
}
