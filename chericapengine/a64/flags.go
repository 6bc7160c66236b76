package a64

// Conditions, as in B.cond.
const (
	condEQ = iota
	condNE
	condHS
	condLO
	condMI
	condPL
	condVS
	condVC
	condHI
	condLS
	condGE
	condLT
	condGT
	condLE
	condAL
)

// The flags are worked out when somebody asks for them. Until then the operands are
// kept: of 32 bits in the upper half of a word, where they give the same flags, and the
// result of a logical instruction as a sum with 0.
const (
	flagsKnown = iota // a is NZCV
	flagsSub          // of a - b
	flagsAdd          // of a + b
)

// Bits of NZCV, from bit 28 on.
const (
	flagV = 1 << iota
	flagC
	flagZ
	flagN
)

func (m *Machine) setFlags(kind uint8, a, b uint64) { m.flagKind, m.flagA, m.flagB = kind, a, b }

// nzcv gives the flags as 4 bits.
func (m *Machine) nzcv() uint64 {
	a, b := m.flagA, m.flagB
	var r, v uint64
	var carry bool
	switch m.flagKind {
	case flagsSub:
		r = a - b
		carry, v = a >= b, (a^b)&(a^r)>>63
	case flagsAdd:
		r = a + b
		carry, v = r < a, ^(a^b)&(a^r)>>63
	default:
		return a
	}
	f := r>>63*flagN | v&1*flagV
	if r == 0 {
		f |= flagZ
	}
	if carry {
		f |= flagC
	}
	return f
}

// holds reports whether a condition is true.
func (m *Machine) holds(cond uint8) bool {
	if m.flagKind == flagsSub {
		a, b := m.flagA, m.flagB
		switch cond & 15 {
		case condEQ:
			return a == b
		case condNE:
			return a != b
		case condHS:
			return a >= b
		case condLO:
			return a < b
		case condHI:
			return a > b
		case condLS:
			return a <= b
		case condGE:
			return int64(a) >= int64(b)
		case condLT:
			return int64(a) < int64(b)
		case condGT:
			return int64(a) > int64(b)
		case condLE:
			return int64(a) <= int64(b)
		}
	}
	if m.flagKind == flagsAdd && cond&14 == condEQ {
		return (m.flagA+m.flagB == 0) != (cond&1 != 0)
	}
	f := m.nzcv()
	var r bool
	switch cond >> 1 & 7 {
	case 0:
		r = f&flagZ != 0
	case 1:
		r = f&flagC != 0
	case 2:
		r = f&flagN != 0
	case 3:
		r = f&flagV != 0
	case 4:
		r = f&(flagC|flagZ) == flagC
	case 5:
		r = f>>3&1 == f&1
	case 6:
		r = f>>3&1 == f&1 && f&flagZ == 0
	case 7:
		return true
	}
	return r != (cond&1 != 0)
}
