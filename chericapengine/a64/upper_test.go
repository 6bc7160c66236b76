package a64_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

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
