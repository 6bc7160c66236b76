package a64_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"pappus/chericapengine/a64"
	"pappus/chericapengine/capability"
)

// The context of these tests: code, then data, and behind what the function may reach
// the pair of capabilities with which it leaves.
const (
	codeAt   = 0x1000
	slotAt   = 0x8000
	reach    = 0x10000
	hostAt   = 0x7000000000
	memoryOf = reach + 64
)

func words(w ...uint32) []byte {
	var b []byte
	for _, v := range w {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// function prepares a machine for code as the engine does.
func function(tb testing.TB, code *a64.Code, entry uint64) (*a64.Machine, []byte, capability.Capability) {
	tb.Helper()
	m, memory := a64.NewMachine(), make([]byte, memoryOf)
	pcc, ddc := capabilities(code, entry, reach)
	m.Reset(code, memory, contextBase, pcc, ddc)
	host, _ := capability.Root().WithAddress(hostAt).SetBounds(4)
	host = host.ClearPerms(capability.AllPerms &^ (capability.Execute | capability.Executive))
	pair, _ := capability.Root().WithAddress(contextBase + reach).SetBounds(32)
	for _, put := range []struct {
		at uint64
		c  capability.Capability
	}{{reach, capability.Root()}, {reach + 16, host}, {slotAt, pair.SealAs(capability.LPB)}} {
		if err := m.StoreCapability(put.at, put.c); err != nil {
			tb.Fatal(err)
		}
	}
	m.SetSP(reach - 32)
	return m, memory, host
}

func decoded(tb testing.TB, w ...uint32) *a64.Code {
	tb.Helper()
	code, err := a64.Decode([]a64.Segment{{Addr: codeAt, Bytes: words(w...)}})
	if err != nil {
		tb.Fatal(err)
	}
	return code
}

// Instructions, by what an assembler makes of them.
const (
	ldrX1X0     = 0xf9400001 // ldr x1, [x0]
	strX1X0     = 0xf9000001 // str x1, [x0]
	addX1       = 0x91000421 // add x1, x1, #1
	nop         = 0xd503201f
	loadReturn  = 0xc2400100 // ldr c0, [x8]
	leaveByPair = 0xc2c4101d // ldpbr c29, [c0]
	minus       = math.MaxUint64
)

func TestEveryBreachFaults(t *testing.T) {
	tests := []struct {
		name   string
		words  []uint32
		x      map[int]uint64
		sp     uint64
		kind   a64.FaultKind
		pc     uint64 // of the instruction, from codeAt on
		addr   uint64
		retire uint64
	}{
		{name: "load one byte after the end", words: []uint32{ldrX1X0}, x: map[int]uint64{0: reach - 7}, kind: a64.FaultBounds, addr: reach - 7},
		{name: "byte load at the end", words: []uint32{0x39400001}, x: map[int]uint64{0: reach}, kind: a64.FaultBounds, addr: reach},
		{name: "load one byte before the beginning", words: []uint32{0x39400001}, x: map[int]uint64{0: minus}, kind: a64.FaultBounds, addr: minus},
		{name: "load around the end of addresses", words: []uint32{ldrX1X0}, x: map[int]uint64{0: minus - 3}, kind: a64.FaultBounds, addr: minus - 3},
		{name: "post-indexed load", words: []uint32{0xf8408401}, x: map[int]uint64{0: reach - 4}, kind: a64.FaultBounds, addr: reach - 4},
		{name: "pair across the end", words: []uint32{0xa9400801}, x: map[int]uint64{0: reach - 8}, kind: a64.FaultBounds, addr: reach - 8},
		{name: "pair of vectors across the end", words: []uint32{0xad400801}, x: map[int]uint64{0: reach - 16}, kind: a64.FaultBounds, addr: reach - 16},
		{name: "structures across the end", words: []uint32{0x4c400000}, x: map[int]uint64{0: reach - 63}, kind: a64.FaultBounds, addr: reach - 63},
		{name: "load with an offset that wraps", words: []uint32{0xf8626801}, x: map[int]uint64{0: 0x2000, 2: minus - 0x2003}, kind: a64.FaultBounds, addr: minus - 3},
		{name: "store one byte after the end", words: []uint32{strX1X0}, x: map[int]uint64{0: reach - 7}, kind: a64.FaultBounds, addr: reach - 7},
		{name: "byte store at the end", words: []uint32{0x39000001}, x: map[int]uint64{0: reach}, kind: a64.FaultBounds, addr: reach},
		{name: "store around the end of addresses", words: []uint32{strX1X0}, x: map[int]uint64{0: minus}, kind: a64.FaultBounds, addr: minus},
		{name: "store of a pair across the end", words: []uint32{0xa9000801}, x: map[int]uint64{0: reach - 8}, kind: a64.FaultBounds, addr: reach - 8},
		{name: "store of vectors across the end", words: []uint32{0xad000801}, x: map[int]uint64{0: reach - 31}, kind: a64.FaultBounds, addr: reach - 31},
		{name: "store of a vector across the end", words: []uint32{0x3d800001}, x: map[int]uint64{0: reach - 15}, kind: a64.FaultBounds, addr: reach - 15},
		{name: "store with a shifted offset", words: []uint32{0xf8227801}, x: map[int]uint64{0: 0, 2: reach / 8}, kind: a64.FaultBounds, addr: reach},
		{name: "store of a lane", words: []uint32{0x0d000c00}, x: map[int]uint64{0: reach}, kind: a64.FaultBounds, addr: reach},
		{name: "zeroing a block outside", words: []uint32{0xd50b7420}, x: map[int]uint64{0: reach + 3}, kind: a64.FaultBounds, addr: reach},
		{name: "pair around the end of addresses", words: []uint32{0xa9400801}, x: map[int]uint64{0: minus - 7}, kind: a64.FaultBounds, addr: minus - 7},
		{name: "pair of vectors around the end of addresses", words: []uint32{0xad400801}, x: map[int]uint64{0: minus - 15}, kind: a64.FaultBounds, addr: minus - 15},
		{name: "pair whose offset wraps", words: []uint32{0xa97f8801}, x: map[int]uint64{0: 0}, kind: a64.FaultBounds, addr: minus - 7},
		{name: "store of a pair around the end of addresses", words: []uint32{0xa9000801}, x: map[int]uint64{0: minus - 7}, kind: a64.FaultBounds, addr: minus - 7},
		{name: "structures around the end of addresses", words: []uint32{0x4c400000}, x: map[int]uint64{0: minus - 31}, kind: a64.FaultBounds, addr: minus - 31},
		{name: "zeroing the block at the end of addresses", words: []uint32{0xd50b7420}, x: map[int]uint64{0: minus}, kind: a64.FaultBounds, addr: minus - 63},
		{name: "compare and swap of a pair that is not aligned", words: []uint32{0x48207c82}, x: map[int]uint64{4: 0x9008}, kind: a64.FaultAlignment, addr: 0x9008},
		{name: "reading the pair", words: []uint32{ldrX1X0}, x: map[int]uint64{0: reach}, kind: a64.FaultBounds, addr: reach},

		{name: "store to code", words: []uint32{strX1X0}, x: map[int]uint64{0: codeAt}, kind: a64.FaultPermission, addr: codeAt},
		{name: "store that ends in code", words: []uint32{strX1X0}, x: map[int]uint64{0: codeAt - 1}, kind: a64.FaultPermission, addr: codeAt - 1},
		{name: "store to code, then jump", words: []uint32{addX1, 0x39000001, 0xd61f0000}, x: map[int]uint64{0: codeAt + 11}, kind: a64.FaultPermission, pc: 4, addr: codeAt + 11, retire: 1},
		{name: "atomic on code", words: []uint32{0xf8210002}, x: map[int]uint64{0: codeAt}, kind: a64.FaultPermission, addr: codeAt},
		{name: "zeroing code", words: []uint32{0xd50b7420}, x: map[int]uint64{0: codeAt}, kind: a64.FaultPermission, addr: codeAt},
		{name: "literal load", words: []uint32{0x58000041}, kind: a64.FaultPermission, addr: codeAt + 8},

		{name: "jump out", words: []uint32{0xd61f0000}, x: map[int]uint64{0: reach}, kind: a64.FaultBounds, pc: reach - codeAt, addr: reach, retire: 1},
		{name: "call out", words: []uint32{0xd63f0000}, x: map[int]uint64{0: minus - 3}, kind: a64.FaultBounds, pc: minus - 3 - codeAt, addr: minus - 3, retire: 1},
		{name: "jump into data below", words: []uint32{0xd61f0000}, x: map[int]uint64{0: 0x800}, kind: a64.FaultPermission, pc: minus - 0x7ff, addr: 0x800, retire: 1},
		{name: "jump into data above", words: []uint32{0xd61f0000}, x: map[int]uint64{0: 0x2000}, kind: a64.FaultBounds, pc: 0x1000, addr: 0x2000, retire: 1},
		{name: "jump to an odd address", words: []uint32{0xd61f0000}, x: map[int]uint64{0: codeAt + 1}, kind: a64.FaultAlignment, pc: 1, addr: codeAt + 1, retire: 1},
		{name: "jump between instructions", words: []uint32{0xd61f0000, nop}, x: map[int]uint64{0: codeAt + 2}, kind: a64.FaultAlignment, pc: 2, addr: codeAt + 2, retire: 1},
		{name: "direct jump out", words: []uint32{0x14000400}, kind: a64.FaultBounds, pc: 0x1000, addr: 0x2000, retire: 1},
		{name: "direct jump below", words: []uint32{0x17fffc00}, kind: a64.FaultPermission, pc: minus - 0xfff, addr: 0, retire: 1},
		{name: "conditional jump out", words: []uint32{nop, 0xb4100001}, kind: a64.FaultBounds, pc: 0x20004, addr: 0x21004, retire: 2},
		{name: "return to nowhere", words: []uint32{0xd65f03c0}, kind: a64.FaultPermission, pc: minus - 0xfff, addr: 0, retire: 1},
		{name: "running off the end", words: []uint32{addX1, addX1}, kind: a64.FaultBounds, pc: 8, addr: codeAt + 8, retire: 2},

		{name: "system call", words: []uint32{nop, 0xd4000001}, kind: a64.FaultSVC, pc: 4, addr: codeAt + 4, retire: 1},
		{name: "breakpoint", words: []uint32{0xd4200020}, kind: a64.FaultBRK, addr: codeAt},
		{name: "undefined", words: []uint32{addX1, 0}, kind: a64.FaultUndefined, pc: 4, addr: codeAt + 4, retire: 1},
		{name: "hypervisor call", words: []uint32{0xd4000002}, kind: a64.FaultUndefined, addr: codeAt},
		{name: "exception return", words: []uint32{0xd69f03e0}, kind: a64.FaultUndefined, addr: codeAt},
		{name: "a clock", words: []uint32{0xd53be041}, kind: a64.FaultUndefined, addr: codeAt},
		{name: "random numbers", words: []uint32{0xd53b2401}, kind: a64.FaultUndefined, addr: codeAt},
		{name: "interrupt masks", words: []uint32{0xd50342df}, kind: a64.FaultUndefined, addr: codeAt},

		{name: "stack pointer that is not aligned", words: []uint32{0xf90003e1}, sp: 0x9008, kind: a64.FaultAlignment, addr: 0x9008},
		{name: "pair from such a stack pointer", words: []uint32{0x9100001f, 0xa8c10be1}, x: map[int]uint64{0: 0x9001}, kind: a64.FaultAlignment, pc: 4, addr: 0x9001, retire: 1},
		{name: "exclusive load that is not aligned", words: []uint32{0xc85f7c01}, x: map[int]uint64{0: 0x9004}, kind: a64.FaultAlignment, addr: 0x9004},
		{name: "atomic that is not aligned", words: []uint32{0xf8210002}, x: map[int]uint64{0: 0x9001}, kind: a64.FaultAlignment, addr: 0x9001},
		{name: "compare and swap outside", words: []uint32{0xc8a17c02}, x: map[int]uint64{0: reach}, kind: a64.FaultBounds, addr: reach},
		{name: "store-release that is not aligned", words: []uint32{0x889ffc01}, x: map[int]uint64{0: 0x9002}, kind: a64.FaultAlignment, addr: 0x9002},

		{name: "capability that is not aligned", words: []uint32{loadReturn}, x: map[int]uint64{8: slotAt + 8}, kind: a64.FaultAlignment, addr: slotAt + 8},
		{name: "capability across the end", words: []uint32{loadReturn}, x: map[int]uint64{8: reach - 8}, kind: a64.FaultBounds, addr: reach - 8},
		{name: "leaving by what was never a capability", words: []uint32{loadReturn, leaveByPair}, x: map[int]uint64{8: 0x9000}, kind: a64.FaultTag, pc: 4, addr: 0, retire: 1},
		{name: "overwritten return slot", words: []uint32{0x39000001, loadReturn, leaveByPair}, x: map[int]uint64{0: slotAt + 15, 8: slotAt}, kind: a64.FaultTag, pc: 8, addr: contextBase + reach, retire: 2},
		{name: "return slot overwritten across its edge", words: []uint32{strX1X0, loadReturn, leaveByPair}, x: map[int]uint64{0: slotAt - 7, 1: contextBase << 8, 8: slotAt}, kind: a64.FaultTag, pc: 8, addr: contextBase + reach, retire: 2},
		{name: "forged from the same bytes", words: []uint32{0xf9400102, 0xf9000102, loadReturn, leaveByPair}, x: map[int]uint64{8: slotAt}, kind: a64.FaultTag, pc: 12, addr: contextBase + reach, retire: 3},
		{name: "forged in a register", words: []uint32{loadReturn, 0x91000000, leaveByPair}, x: map[int]uint64{8: slotAt}, kind: a64.FaultTag, pc: 8, addr: contextBase + reach, retire: 2},
		{name: "moved to another granule", words: []uint32{loadReturn, 0xc2000500}, x: map[int]uint64{8: slotAt}, kind: a64.FaultPermission, pc: 4, addr: slotAt + 16, retire: 1},
		{name: "opened into another register", words: []uint32{loadReturn, 0xc2c4101c}, x: map[int]uint64{8: slotAt}, kind: a64.FaultSeal, pc: 4, addr: contextBase + reach, retire: 1},
		{name: "branch to sealed data", words: []uint32{loadReturn, 0xc2c21000}, x: map[int]uint64{8: slotAt}, kind: a64.FaultSeal, pc: reach - codeAt, addr: reach, retire: 2},
		{name: "branch to plain data", words: []uint32{0xc2c21000}, x: map[int]uint64{0: contextBase + codeAt}, kind: a64.FaultTag, pc: 0, addr: codeAt, retire: 1},
		{name: "branch to data through PCC", words: []uint32{0xc2c5b000, 0xc2c21000}, x: map[int]uint64{0: 0x2000}, kind: a64.FaultBounds, pc: 0x1000, addr: 0x2000, retire: 2},
		{name: "branch to the data capability", words: []uint32{0xc2c59000, 0xc2c21000}, x: map[int]uint64{0: codeAt}, kind: a64.FaultPermission, pc: 0, addr: codeAt, retire: 2},
		{name: "restricted branch in the restricted state", words: []uint32{0xc2c21003}, kind: a64.FaultUndefined, addr: codeAt},
		{name: "changing the addressing mode", words: []uint32{0xd51b1240}, kind: a64.FaultUndefined, addr: codeAt},
		{name: "another data capability, restricted", words: []uint32{0xc29b4320}, kind: a64.FaultUndefined, addr: codeAt},
		{name: "no data capability", words: []uint32{0xc28b4120, ldrX1X0}, x: map[int]uint64{0: 0x9000}, kind: a64.FaultTag, pc: 4, addr: 0x9000, retire: 1},
		{name: "the other instruction set", words: []uint32{0xc2c273e0}, kind: a64.FaultUndefined, addr: codeAt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code := decoded(t, tt.words...)
			m, memory, _ := function(t, code, codeAt)
			for r, v := range tt.x {
				m.SetX(r, v)
			}
			if tt.sp != 0 {
				m.SetSP(tt.sp)
			}
			before := bytes.Clone(memory)
			err := m.Run(1_000, 1_000, nil)
			var f *a64.Fault
			if !errors.As(err, &f) {
				t.Fatalf("it ended with %v", err)
			}
			if f.Kind != tt.kind || f.PC != codeAt+tt.pc || f.Addr != tt.addr {
				t.Errorf("%v; kind %s, pc %#x, address %#x; want %s, %#x, %#x", f, f.Kind, f.PC, f.Addr, tt.kind, codeAt+tt.pc, tt.addr)
			}
			if m.Retired() != tt.retire {
				t.Errorf("%d instructions have been retired, want %d", m.Retired(), tt.retire)
			}
			if !bytes.Equal(memory[reach:], before[reach:]) || !bytes.Equal(memory[:slotAt-8], before[:slotAt-8]) {
				t.Error("memory has changed that nobody may change")
			}
		})
	}
}

// A function leaves by the pair that it was given, and in no other way.
func TestLeaving(t *testing.T) {
	code := decoded(t, 0xd2900008, loadReturn, leaveByPair, nop) // mov x8, #slotAt
	m, _, host := function(t, code, codeAt)
	if err := m.Run(100, 100, nil); err != nil {
		t.Fatal(err)
	}
	if m.PCC() != host {
		t.Errorf("it left to %v, want %v", m.PCC(), host)
	}
	if got := m.C(29); !got.Tag() {
		t.Errorf("the data capability lost its tag: %v", got)
	}
	if m.Retired() != 3 {
		t.Errorf("%d instructions have been retired, want 3", m.Retired())
	}
	var f *a64.Fault
	if err := m.Run(100, 100, nil); !errors.As(err, &f) || m.Retired() != 3 {
		t.Errorf("after leaving it ran on: %v", err)
	}
}

// What is copied through capability registers keeps all its bits, and a write to an X
// register clears the upper half, however late that is seen.
func TestUpperHalves(t *testing.T) {
	code := decoded(t,
		0x42c00801, // ldp c1, c2, [x0]
		0x91000042, // add x2, x2, #0: clears the upper half of c2
		0x14000001, // b to the next
		0x42810801, // stp c1, c2, [x0, #32]
		0xd4200000,
	)
	m, memory, _ := function(t, code, codeAt)
	for i := range 32 {
		memory[0x9000+i] = byte(i + 1)
	}
	m.SetX(0, 0x9000)
	var f *a64.Fault
	if err := m.Run(100, 100, nil); !errors.As(err, &f) || f.Kind != a64.FaultBRK {
		t.Fatal(err)
	}
	want := bytes.Clone(memory[0x9000:0x9020])
	clear(want[24:])
	if !bytes.Equal(memory[0x9020:0x9040], want) {
		t.Errorf("copied %x, want %x", memory[0x9020:0x9040], want)
	}
}

// An endless loop ends with its fuel, exactly, and calls slice now and then.
func TestEndlessLoops(t *testing.T) {
	for _, loop := range [][]uint32{{0x14000000}, {addX1, 0x17ffffff}, {nop, nop, addX1, 0xb5ffffa1, 0x17fffffc}} {
		m, _, _ := function(t, decoded(t, loop...), codeAt)
		calls, last := 0, uint64(0)
		err := m.Run(100_000, 1_000, func() error {
			calls++
			if n := m.Retired() - last; n < 1_000 || n > 1_000+uint64(len(loop))+8 {
				t.Errorf("a slice had %d instructions", n)
			}
			last = m.Retired()
			return nil
		})
		if !errors.Is(err, a64.ErrFuel) || m.Retired() != 100_000 || calls < 95 {
			t.Errorf("%v after %d instructions and %d slices", err, m.Retired(), calls)
		}
		stopped := errors.New("stopped")
		if err := m.Run(math.MaxUint64, 500, func() error { return stopped }); !errors.Is(err, stopped) {
			t.Errorf("it ended with %v, not with what slice said", err)
		}
	}
}

// However the fuel is dealt out, the same happens.
func TestFuelIsExact(t *testing.T) {
	code, whole, pieces := kernels(t, "kernels"), a64.NewMachine(), a64.NewMachine()
	for kernel, args := range map[int][]uint64{
		matmul: {dataAt, dataAt + 200, dataAt + 400, 4}, busy: {9}, collatz: {7}, sieve: {dataAt, 60}, fib: {6},
		byteCopy: {dataAt, dataAt + 100, 37}, daxpy: {dataAt, dataAt + 800, 5},
	} {
		memory, other := make([]byte, contextSize), make([]byte, contextSize)
		for i := range 1000 {
			memory[dataAt+i], other[dataAt+i] = byte(i*7), byte(i*7)
		}
		want := call(t, whole, code, memory, kernel, args...)
		for _, piece := range []uint64{1, 2, 3, 5, 17, 600} {
			copy(other[dataAt:], make([]byte, contextSize-dataAt))
			for i := range 1000 {
				other[dataAt+i] = byte(i * 7)
			}
			pcc, ddc := capabilities(code, uint64(kernel)*4, uint64(len(other)))
			pieces.Reset(code, other, contextBase, pcc, ddc)
			for i, a := range args {
				pieces.SetX(i, a)
			}
			pieces.SetX(30, 0xff00000)
			pieces.SetSP(uint64(len(other)))
			var err error
			for n := uint64(0); ; n += piece {
				if pieces.Retired() != n {
					t.Fatalf("kernel %d: %d instructions have been retired for %d units of fuel", kernel, pieces.Retired(), n)
				}
				if err = pieces.Run(piece, 1, nil); !errors.Is(err, a64.ErrFuel) {
					break
				}
			}
			var f *a64.Fault
			if !errors.As(err, &f) || f.PC != 0xff00000 || pieces.X(0) != want || pieces.Retired() != whole.Retired() || !bytes.Equal(memory, other) {
				t.Errorf("kernel %d in pieces of %d: %v, x0 %#x, %d instructions; want %#x, %d", kernel, piece, err, pieces.X(0), pieces.Retired(), want, whole.Retired())
			}
		}
	}
}
