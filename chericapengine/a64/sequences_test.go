package a64_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"pappus/chericapengine/a64"
)

// A sequence is instructions, and the seed of the state that they begin with.
type sequence struct {
	class string
	words []uint32
	seed  uint64
}

// A state is what instructions begin with or leave.
type state struct {
	x      [32]uint64 // and the stack pointer
	nzcv   uint64
	fpcr   uint64
	fpsr   uint64
	signal uint64 // what Linux would make of its fault
	v      [64]uint64
	window [512]byte
}

// Where the window is that loads and stores find, and the memory around it.
const (
	arenaAt    = 0x80000
	arenaEnd   = 0xa0000
	windowAt   = 0x90000
	stateBytes = 1312
)

// bytes lays a state out as driver.S has it; stub takes the place of the signal.
func (s *state) bytes(stub uint64) []byte {
	b := make([]byte, 0, stateBytes)
	for _, v := range s.x {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, v := range []uint64{s.nzcv, s.fpcr, s.fpsr, stub} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	for _, v := range s.v {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return append(b, s.window[:]...)
}

// stateOf reads what driver.S wrote.
func stateOf(b []byte) (s state) {
	next := func() uint64 {
		v := binary.LittleEndian.Uint64(b)
		b = b[8:]
		return v
	}
	for i := range s.x {
		s.x[i] = next()
	}
	s.nzcv, s.fpcr, s.fpsr, s.signal = next(), next(), next(), next()
	for i := range s.v {
		s.v[i] = next()
	}
	copy(s.window[:], b)
	return s
}

// special values of which errors are fond, of several widths.
var special = [...]uint64{
	0, 1, 2, 0xffffffffffffffff, 0x8000000000000000, 0x7fffffffffffffff, 0x80000000, 0x7fffffff, 0xffffffff, 0x100000000,
	0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001,
	0xfff8000000001234, 0x0000000000000001, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x43e0000000000000,
	0x41dfffffffc00000, 0x3fe0000000000000, 0x4004000000000000, 0xc3e0000000000000, 0x43f0000000000000, 0x4330000000000001,
	0x3f8000003f800000, 0x7f8000007f800001, 0xff800000ffc00123, 0x0000000100800000, 0x7f7fffff00000001, 0x4f0000005f000000,
	0x3f0000004b000001, 0xbf8000003fc00000, 0x3c003c00bc007c00, 0x7c01fc007e000001, 0x03ff04007bff0000, 0x3800400042008001,
}

// value draws a value of a register.
func value(r *rand.Rand) uint64 {
	switch r.IntN(8) {
	case 0:
		return special[r.IntN(len(special))]
	case 1:
		return r.Uint64N(64)
	case 2:
		return -r.Uint64N(64)
	case 3:
		return uint64(r.Uint32())
	case 4: // a number near 1, of 64 bits
		return uint64(r.IntN(2))<<63 | (1023-40+r.Uint64N(80))<<52 | r.Uint64()>>12
	case 5: // two near 1, of 32 bits
		f := func() uint64 { return uint64(r.IntN(2))<<31 | (127-16+r.Uint64N(32))<<23 | uint64(r.Uint32()>>9) }
		return f()<<32 | f()
	case 6:
		return special[r.IntN(len(special))]<<32 | special[r.IntN(len(special))]>>32
	default:
		return r.Uint64()
	}
}

// begin is the state that a seed stands for. X0 to X3 and the stack pointer point into
// the window, X4 and X5 are small.
func begin(seed uint64) (s state) {
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range s.x {
		s.x[i] = value(r)
	}
	for i := range 4 {
		s.x[i] = windowAt + 128 + r.Uint64N(16)*16
	}
	if r.IntN(4) == 0 {
		s.x[1] += r.Uint64N(16)
	}
	s.x[4], s.x[5] = r.Uint64N(32), -r.Uint64N(32)
	s.x[31] = windowAt + 256
	s.nzcv = r.Uint64N(16) << 28
	s.fpcr = [...]uint64{0, 0, 0, 1 << 25, 1 << 25, 1 << 24, 1 << 26, 1 << 19}[r.IntN(8)] | [...]uint64{0, 0, 0, 1, 2, 3}[r.IntN(6)]<<22
	s.fpsr = [...]uint64{0, 0, 1 << 4, 0x9f}[r.IntN(4)]
	for i := range s.v {
		s.v[i] = value(r)
	}
	for i := 0; i < len(s.window); i += 8 {
		binary.LittleEndian.PutUint64(s.window[i:], value(r))
	}
	return s
}

// A pattern is an encoding: fixed bits, and letters where anything may be. Registers
// named n in a class of memory accesses are drawn from those that point to it.
type pattern struct {
	class, bits string
}

var patterns = [...]pattern{
	{"add-imm", "xxx100010xxxxxxxxxxxxxnnnnnddddd"},
	{"logical-imm", "xxx100100xxxxxxxxxxxxxnnnnnddddd"},
	{"move-wide", "xxx100101xxxxxxxxxxxxxxxxxxddddd"},
	{"bitfield", "xxx100110xxxxxxxxxxxxxnnnnnddddd"},
	{"extract", "x00100111x0mmmmmxxxxxxnnnnnddddd"},
	{"adr", "xxx10000xxxxxxxxxxxxxxxxxxxddddd"},
	{"logical-reg", "xxx01010xxxmmmmmxxxxxxnnnnnddddd"},
	{"add-shifted", "xxx01011xx0mmmmmxxxxxxnnnnnddddd"},
	{"add-extended", "xxx01011001mmmmmxxxxxxnnnnnddddd"},
	{"adc", "xxx11010000mmmmm000000nnnnnddddd"},
	{"ccmp", "xx111010010mmmmmxxxxx0nnnnn0xxxx"},
	{"csel", "xx011010100mmmmmxxxx0xnnnnnddddd"},
	{"madd", "x00110110xxmmmmmxxxxxxnnnnnddddd"},
	{"madd64", "10011011x0xmmmmmxxxxxxnnnnnddddd"},
	{"two-source", "x0011010110mmmmm0xxxxxnnnnnddddd"},
	{"one-source", "x101101011000000000xxxnnnnnddddd"},
	{"register-any", "xxxx101xxxxxxxxxxxxxxxxxxxxxxxxx"},
	{"immediate-any", "xxx100xxxxxxxxxxxxxxxxxxxxxxxxxx"},
	{"sysreg-nzcv", "1101010100x110110100001000 0ddddd"},
	{"hint", "1101010100000011001000xxxxx11111"},

	{"mem-exclusive", "xx001000xxxmmmmmxxxxxxnnnnnttttt"},
	{"mem-ldar", "xx0010001x0111111111111nnnnttttt"},
	{"mem-cas", "xx0010001x1mmmmmx11111nnnnnttttt"},
	{"mem-casp", "0x0010000x1mmmm0x11111nnnnntttt0"},
	{"mem-atomic", "xx111000xx1mmmmmxxxx00nnnnnttttt"},
	{"mem-unscaled", "xx111x00xx0xxxxxxxxx00nnnnnttttt"},
	{"mem-post", "xx111x00xx0xxxxxxxxx01nnnnnttttt"},
	{"mem-pre", "xx111x00xx0xxxxxxxxx11nnnnnttttt"},
	{"mem-unprivileged", "xx111000xx0xxxxxxxxx10nnnnnttttt"},
	{"mem-unsigned", "xx111x01xx00000xxxxxxxnnnnnttttt"},
	{"mem-register", "xx111x00xx100100xxxx10nnnnnttttt"},
	{"mem-register5", "xx111x00xx100101xxxx10nnnnnttttt"},
	{"mem-pair", "xx101x0xxxxxxxxxxuuuuunnnnnttttt"},
	{"mem-literal", "xx011x000000000000000000001ttttt"},
	{"mem-multiple", "0x0011000x000000xxxxxxnnnnnttttt"},
	{"mem-multiple-post", "0x0011001x0mmmmmxxxxxxnnnnnttttt"},
	{"mem-single", "0x0011010xx00000xxxxxxnnnnnttttt"},
	{"mem-single-post", "0x0011011xxmmmmmxxxxxxnnnnnttttt"},

	{"fp-convert-fixed", "x0011110xx0xxxxxxxxxxxnnnnnddddd"},
	{"fp-convert-int", "x0011110xx1xxxxx000000nnnnnddddd"},
	{"fp-one", "00011110xx1xxxxxx10000nnnnnddddd"},
	{"fp-compare", "00011110xx1mmmmmxx1000nnnnnxx000"},
	{"fp-imm", "00011110xx1xxxxxxxx10000000ddddd"},
	{"fp-ccmp", "00011110xx1mmmmmxxxx01nnnnnxxxxx"},
	{"fp-two", "00011110xx1mmmmmxxxx10nnnnnddddd"},
	{"fp-csel", "00011110xx1mmmmmxxxx11nnnnnddddd"},
	{"fp-three", "00011111xxxmmmmmxxxxxxnnnnnddddd"},
	{"fp-any", "xx01111xxxxxxxxxxxxxxxxxxxxxxxxx"},

	{"simd-table", "0x001110xx0mmmmm0xxx00nnnnnddddd"},
	{"simd-permute", "0x001110xx0mmmmm0xxx10nnnnnddddd"},
	{"simd-extract", "0x101110xx0mmmmm0xxxx0nnnnnddddd"},
	{"simd-copy", "0xx01110000xxxxx0xxxx1nnnnnddddd"},
	{"simd-three-half", "0xx01110x10mmmmm00xxx1nnnnnddddd"},
	{"simd-three-extra", "0xx01110xx0mmmmm1xxxx1nnnnnddddd"},
	{"simd-two-half", "0xx01110x111100xxxxx10nnnnnddddd"},
	{"simd-two", "0xx01110xx10000xxxxx10nnnnnddddd"},
	{"simd-across", "0xx01110xx11000xxxxx10nnnnnddddd"},
	{"simd-three-different", "0xx01110xx1mmmmmxxxx00nnnnnddddd"},
	{"simd-three", "0xx01110xx1mmmmmxxxxx1nnnnnddddd"},
	{"simd-imm", "0xx0111100000xxxxxxxx1xxxxxddddd"},
	{"simd-shift", "0xx011110xxxxxxxxxxxx1nnnnnddddd"},
	{"simd-indexed", "0xx01111xxxmmmmmxxxxx0nnnnnddddd"},
	{"scalar-copy", "01x11110000xxxxx0xxxx1nnnnnddddd"},
	{"scalar-three-half", "01x11110x10mmmmm00xxx1nnnnnddddd"},
	{"scalar-three-extra", "01x11110xx0mmmmm1xxxx1nnnnnddddd"},
	{"scalar-two-half", "01x11110x111100xxxxx10nnnnnddddd"},
	{"scalar-two", "01x11110xx10000xxxxx10nnnnnddddd"},
	{"scalar-pairwise", "01x11110xx11000xxxxx10nnnnnddddd"},
	{"scalar-three-different", "01x11110xx1mmmmmxxxx00nnnnnddddd"},
	{"scalar-three", "01x11110xx1mmmmmxxxxx1nnnnnddddd"},
	{"scalar-shift", "01x111110xxxxxxxxxxxx1nnnnnddddd"},
	{"scalar-indexed", "01x11111xxxmmmmmxxxxx0nnnnnddddd"},
}

// draw makes an instruction of a pattern.
func (p pattern) draw(r *rand.Rand) uint32 {
	var w uint32
	for _, c := range strings.ReplaceAll(p.bits, " ", "") {
		w <<= 1
		switch c {
		case '0':
		case '1':
			w |= 1
		default:
			w |= r.Uint32() & 1
		}
	}
	if strings.HasSuffix(p.class, "-two-half") && !a64.Defined(w) { // of some of these, qemu 7.2 dies
		return p.draw(r)
	}
	if strings.HasPrefix(p.class, "mem-") {
		w = w&^(31<<5) | [...]uint32{0, 1, 2, 3, 31}[r.IntN(5)]<<5
	}
	if chosen(w) {
		return p.draw(r)
	}
	return w
}

// chosen reports whether an instruction can't be compared: it is one that the
// architecture leaves open and that is undefined here, though not in qemu; one that qemu
// gets wrong; or a cryptographic one, which is not implemented.
func chosen(w uint32) bool {
	rt, rn, rt2, rs := w&31, w>>5&31, w>>10&31, w>>16&31
	switch {
	case w&0x3b200400 == 0x38000400: // writeback to the register that is moved
		return rt == rn && w>>26&1 == 0
	case w&0x3a000000 == 0x28000000: // a pair of the same, or writeback to one of them
		return rt == rt2 || w>>23&1 != 0 && w>>26&1 == 0 && (rt == rn || rt2 == rn)
	case w&0x3fc00000 == 0x08000000: // a status that is also an operand
		return rs == rt || rs == rn || w>>21&1 != 0 && rs == rt2
	case w&0xbfe00000 == 0x88600000: // an exclusive load of a pair of the same
		return rt == rt2
	case w&0xff3e0c00 == 0x4e280800, w&0xff208c00 == 0x5e000000, w&0xff3e0c00 == 0x5e280800: // AES, SHA1, SHA256
		return true
	case w&0xbfe0fc00 == 0x0ee0e000, // PMULL of 64 bits
		w&0xbff8fc00 == 0x2f00fc00,                             // nor is this, an FMOV to it
		w&0xfff0fc00 == 0x5f10fc00,                             // FCVTZS of a half, which qemu extends to 32 bits
		w&0xff7ecc00 == 0x5e70c800, w&0xbf7ecc00 == 0x0e70c800: // no instruction, which qemu takes for FMAXV and its like
		return true
	}
	return false
}

// one makes a sequence of a single instruction.
func (p pattern) one(r *rand.Rand) sequence {
	return sequence{p.class, []uint32{p.draw(r)}, r.Uint64()}
}

func (s sequence) String() string { return fmt.Sprintf("%s %08x seed %d", s.class, s.words, s.seed) }
