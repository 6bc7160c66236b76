package a64_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pappus/chericapengine/a64"
)

// A view is all that code can change or see of a machine.
type view struct {
	x      [32]uint64
	v      [64]uint64
	c      [32]string
	flags  [3]uint32
	pc     uint64
	memory []byte
}

func viewOf(m *a64.Machine, memory []byte) view {
	s := view{flags: [3]uint32{m.NZCV(), m.FPCR(), m.FPSR()}, pc: m.PC(), memory: bytes.Clone(memory)}
	for i := range 31 {
		s.x[i] = m.X(i)
	}
	s.x[31] = m.SP()
	for i := range 32 {
		s.v[2*i], s.v[2*i+1] = m.V(i)
		lo, hi := m.C(i).Bits()
		s.c[i] = string(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, lo), hi))
		if m.C(i).Tag() {
			s.c[i] += "+"
		}
	}
	return s
}

func (s view) equal(other view) bool {
	return s.x == other.x && s.v == other.v && s.c == other.c && s.flags == other.flags && s.pc == other.pc && bytes.Equal(s.memory, other.memory)
}

// Whatever the code is, it neither panics nor reaches what it may not, it stops when its
// fuel is used up, and it does the same when it gets its fuel in pieces.
func FuzzRun(f *testing.F) {
	f.Add(words(ldrX1X0, strX1X0, addX1, nop), uint64(1))
	f.Add(words(loadReturn, leaveByPair, 0x42c00801, 0xc2000500), uint64(2))
	f.Add(words(0xf1000421, 0x54ffffe1, 0xeb01001f, 0x54ffffc1), uint64(3))
	r := rand.New(rand.NewPCG(4, 4))
	for range 40 {
		var b []byte
		for range 24 {
			b = binary.LittleEndian.AppendUint32(b, patterns[r.IntN(len(patterns))].draw(r))
		}
		f.Add(b, r.Uint64())
	}
	whole, pieces := a64.NewMachine(), a64.NewMachine()
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) { runHostile(t, whole, pieces, text, seed) })
}

func runHostile(t *testing.T, whole, pieces *a64.Machine, text []byte, seed uint64) {
	t.Helper()
	const margin, fuel = 4096, 600
	code, err := a64.Decode([]a64.Segment{{Addr: codeAt, Bytes: text}})
	if err != nil {
		return
	}
	_, from, _ := function(t, code, codeAt) // for its memory
	around := bytes.Repeat([]byte{0xa5}, margin+len(from)+margin)
	memory := around[margin : margin+len(from) : margin+len(from)]
	before := begin(seed)
	prepare := func(m *a64.Machine, memory []byte) {
		copy(memory, from)
		copy(memory[codeAt:], text)
		copy(memory[slotAt+64:], before.window[:])
		pcc, ddc := capabilities(code, codeAt, reach)
		m.Reset(code, memory, contextBase, pcc, ddc)
		example, _, _ := function(t, code, codeAt)
		for _, at := range []uint64{slotAt, reach, reach + 16} {
			c, err := example.LoadCapability(at)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.StoreCapability(at, c); err != nil {
				t.Fatal(err)
			}
		}
		for i, v := range before.x[:31] {
			m.SetX(i, v)
		}
		for i, v := range []uint64{slotAt + 128, reach - 64, codeAt + 32, slotAt} {
			m.SetX(i, v)
		}
		m.SetX(8, slotAt)
		m.SetSP(reach - 32)
		m.SetNZCV(uint32(before.nzcv))
		for i := range 32 {
			m.SetV(i, before.v[2*i], before.v[2*i+1])
		}
	}
	prepare(whole, memory)
	hostile := whole.Run(fuel, 100, nil)
	if whole.Retired() > fuel {
		t.Errorf("%d instructions have been retired for %d units of fuel", whole.Retired(), fuel)
	}
	if errors.Is(hostile, a64.ErrFuel) && whole.Retired() != fuel {
		t.Errorf("the fuel was used up after %d instructions", whole.Retired())
	}
	for i, b := range around {
		if at := i - margin; (at < 0 || at >= len(memory)) && b != 0xa5 {
			t.Fatalf("memory at %d has changed, outside of the context", at)
		}
	}
	n := len(text) / 4 * 4
	if !bytes.Equal(memory[codeAt:codeAt+n], text[:n]) || !bytes.Equal(memory[reach:], from[reach:]) {
		t.Error("code, or what lies behind the data capability, has changed")
	}
	want := viewOf(whole, memory)

	other := make([]byte, len(memory))
	prepare(pieces, other)
	for i := range fuel {
		piece := uint64(i%3 + 1)
		if err = pieces.Run(min(piece, fuel-pieces.Retired()), 1, nil); !errors.Is(err, a64.ErrFuel) || pieces.Retired() == fuel {
			break
		}
	}
	if pieces.Retired() != whole.Retired() || !viewOf(pieces, other).equal(want) {
		t.Errorf("in pieces it ended with %v after %d instructions, at once with %v after %d", err, pieces.Retired(), hostile, whole.Retired())
	}
	var a, b *a64.Fault
	if errors.As(err, &a) != errors.As(hostile, &b) || a != nil && *a != *b {
		t.Errorf("in pieces it ended with %v, at once with %v", err, hostile)
	}
}

// Random instructions, many at once: what fuzzing does, with the shapes that are likely.
func TestRandomCode(t *testing.T) {
	whole, pieces := a64.NewMachine(), a64.NewMachine()
	r := rand.New(rand.NewPCG(uint64(rounds(t)), 7))
	for range rounds(t) * 5 {
		seed := r.Uint64()
		runHostile(t, whole, pieces, randomCode(rand.New(rand.NewPCG(seed, 8)), 20), seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// randomCode is n instructions, among them short branches and what is fused with them.
func randomCode(r *rand.Rand, n int) []byte {
	var b []byte
	all := a64.Shapes()
	var shapes [][]a64.Shape
	for _, k := range slices.Sorted(maps.Keys(all)) {
		shapes = append(shapes, all[k])
	}
	for range n {
		var w uint32
		target := r.Uint32N(5) + 1
		if r.IntN(3) == 0 {
			target = -(r.Uint32N(6) + 1)
		}
		reg := r.Uint32N(32)
		switch r.IntN(14) {
		case 12, 13: // what is fused
			shape := shapes[r.IntN(len(shapes))]
			for _, s := range shape {
				b = binary.LittleEndian.AppendUint32(b, s.Word|r.Uint32()&s.Free)
			}
			continue
		case 0: // B.cond
			w = 0x54000000 | target&0x7ffff<<5 | r.Uint32N(16)
		case 1: // CBZ, CBNZ
			w = 0x34000000 | r.Uint32N(4)<<24&0x1000000 | r.Uint32N(2)<<31 | target&0x7ffff<<5 | reg
		case 2: // TBZ, TBNZ
			w = 0x36000000 | r.Uint32N(2)<<24 | r.Uint32N(32)<<19 | target&0x3fff<<5 | reg
		case 3: // CMP, then B.cond
			w = 0x6b00001f | r.Uint32N(2)<<31 | reg<<5 | r.Uint32N(32)<<16
			b = binary.LittleEndian.AppendUint32(b, w)
			w = 0x54000000 | target&0x7ffff<<5 | r.Uint32N(14)
		case 4: // ADD #, CMP #, B.NE
			b = binary.LittleEndian.AppendUint32(b, 0x91000000|r.Uint32N(4)<<10|reg<<5|reg&^31|r.Uint32N(31))
			b = binary.LittleEndian.AppendUint32(b, 0x71000000|r.Uint32N(2)<<31|r.Uint32N(64)<<10|r.Uint32N(32)<<5|31)
			w = 0x54000001 | target&0x7ffff<<5
		case 5: // TST, then B.EQ or B.NE
			b = binary.LittleEndian.AppendUint32(b, 0x6a00001f|r.Uint32N(2)<<31|reg<<5|r.Uint32N(32)<<16)
			w = 0x54000000 | target&0x7ffff<<5 | r.Uint32N(2)
		case 6: // capabilities
			w = [...]uint32{0xc2400100, 0xc2000000, 0x42c00000, 0x42800000, 0xc2c1d000, 0xa2400000, 0xc2c59000, 0xc2c5b000, 0x22c00000}[r.IntN(9)] | r.Uint32N(8) | r.Uint32N(4)<<10 | r.Uint32N(4)<<5
		default:
			w = patterns[r.IntN(len(patterns))].draw(r)
		}
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// Segments that can't be are refused with a reason.
func TestDecodeRefuses(t *testing.T) {
	for name, segments := range map[string][]a64.Segment{
		"none":           nil,
		"empty":          {{Addr: 0x1000, Bytes: []byte{1, 2, 3}}},
		"misaligned":     {{Addr: 0x1002, Bytes: words(nop)}},
		"overlapping":    {{Addr: 0x1000, Bytes: words(nop, nop)}, {Addr: 0x1004, Bytes: words(nop)}},
		"too high":       {{Addr: 1 << 32, Bytes: words(nop)}},
		"wrapping":       {{Addr: 1<<64 - 4, Bytes: words(nop, nop)}},
		"across the end": {{Addr: 1<<32 - 4, Bytes: words(nop, nop)}},
	} {
		if code, err := a64.Decode(segments); err == nil {
			t.Errorf("%s: accepted with %d bytes", name, code.Size())
		}
	}
}

// Segments that lie apart are one program.
func TestSegmentsApart(t *testing.T) {
	code, err := a64.Decode([]a64.Segment{
		{Addr: 0x3000, Bytes: words(addX1, 0x17fffbff)}, // b 0x2000
		{Addr: 0x1000, Bytes: words(addX1, 0xd61f0000)}, // br x0
		{Addr: 0x2000, Bytes: words(addX1)},
		{Addr: 0x2004, Bytes: words(addX1, 0xd4200000)},
	})
	if err != nil {
		t.Fatal(err)
	}
	m, _, _ := function(t, code, 0x1000)
	m.SetX(0, 0x3000)
	var f *a64.Fault
	if err := m.Run(100, 100, nil); !errors.As(err, &f) || f.Kind != a64.FaultBRK || f.PC != 0x2008 || m.X(1) != 4 || m.Retired() != 6 {
		t.Errorf("%v, x1 %d, %d instructions", err, m.X(1), m.Retired())
	}
}
