package a64

import (
	"errors"
	"fmt"
	"math/bits"

	"pappus/chericapengine/capability"
)

// remap works out, from the data capability, what the loop may load and store without
// looking further. Everything else goes through reach, which knows all the rules. Stores
// have two windows that hold neither code nor a capability: the largest, and the one
// where the stack is.
func (m *Machine) remap() {
	m.reads, m.heap, m.stack = [5]uint64{}, window{}, window{}
	b := m.ddc.Bounds()
	bias := uint64(0) // what is added to an offset
	if m.cctlr&dataBaseOffset != 0 {
		bias = b.Base
	}
	if !m.ddc.Tag() || m.ddc.Sealed() || bias != m.base || b.Base != m.base {
		return
	}
	span := min(b.Length(), uint64(len(m.memory)))
	if m.ddc.Perms()&capability.Load != 0 {
		m.reads = starts(span)
	}
	if m.ddc.Perms()&capability.Store == 0 {
		return
	}
	best := uint64(0)
	for from := uint64(0); from < span; {
		lo, hi := m.obstacle(from, span)
		if lo > from {
			w := window{from, starts(lo - from)}
			if lo-from > best {
				best, m.heap = lo-from, w
			}
			if sp := m.x[regSP]; sp > from && sp <= lo {
				m.stack = w
			}
		}
		from = hi
	}
}

// A window is where stores need no further look: so many offsets, from one on, may
// stores of 1, 2, 4, 8 or 16 bytes begin at.
type window struct {
	from  uint64
	spans [5]uint64
}

// obstacle finds the first range of offsets, from an offset on, that has code or
// capabilities in it; span if there is none.
func (m *Machine) obstacle(from, span uint64) (lo, hi uint64) {
	lo, hi = span, span
	consider := func(a, b uint64) {
		if b > from && max(a, from) < lo {
			lo, hi = max(a, from), b
		}
	}
	for _, a := range m.code.areas {
		at := m.codeBase - m.base
		consider(a.lo+at, a.hi+at)
	}
	const few = 16
	if len(m.tags) > few {
		consider(m.tagLow, m.tagHigh)
		return lo, hi
	}
	for g := range m.tags {
		consider(g*capability.Size, (g+1)*capability.Size)
	}
	return lo, hi
}

// starts says, for each size of access, how many offsets it may begin at within n bytes.
func starts(n uint64) (s [5]uint64) {
	for i := range s {
		if size := uint64(1) << i; n >= size {
			s[i] = n - size + 1
		}
	}
	return s
}

// reach checks an access to n bytes at a, whose base is register rn, and gives its
// offset in memory. Before a store it forgets the capabilities that were there. If it
// is not allowed, m.fault says why.
func (m *Machine) reach(rn uint8, a, n uint64, write bool) (uint64, bool) {
	if rn == regStack && m.x[regSP]%16 != 0 {
		m.fault = Fault{Kind: FaultAlignment, Addr: m.x[regSP], Size: int(n), Write: write}
		return 0, false
	}
	perms := capability.Load
	if write {
		perms = capability.Store
	}
	offset, ok := m.authorise(m.ddc, a, n, perms)
	if !ok {
		return 0, false
	}
	if write && len(m.tags) > 0 {
		m.forget(offset, n)
	}
	return offset, true
}

// authorise asks a capability for an access to n bytes at a.
func (m *Machine) authorise(c capability.Capability, a, n uint64, perms capability.Perms) (uint64, bool) {
	address := a
	if m.cctlr&dataBaseOffset != 0 {
		address += c.Bounds().Base
	}
	return m.allowed(c, address, a, n, perms)
}

// allowed is authorise for an absolute address; a is what the fault says.
func (m *Machine) allowed(c capability.Capability, address, a, n uint64, perms capability.Perms) (uint64, bool) {
	write := perms&capability.Store != 0
	refuse := func(kind FaultKind) (uint64, bool) {
		m.fault = Fault{Kind: kind, Addr: a, Size: int(n), Write: write}
		return 0, false
	}
	if v := c.Check(address, n, perms); v != capability.NoViolation {
		return refuse(violated(v))
	}
	offset := address - m.base
	size := uint64(len(m.memory))
	if n > size || offset > size-n {
		return refuse(FaultBounds)
	}
	if write && m.isCode(offset, n) {
		return refuse(FaultPermission)
	}
	return offset, true
}

// isCode reports whether any of n bytes from an offset on is an instruction.
func (m *Machine) isCode(offset, n uint64) bool {
	at := m.codeBase - m.base
	for _, a := range m.code.areas {
		if offset < a.hi+at && offset+n > a.lo+at {
			return true
		}
	}
	return false
}

// forget clears the tags of what n bytes at an offset touch.
func (m *Machine) forget(offset, n uint64) {
	if offset >= m.tagHigh || offset+n <= m.tagLow {
		return
	}
	changed := false
	for g := offset / capability.Size; g <= (offset+n-1)/capability.Size; g++ {
		if _, ok := m.tags[g]; ok {
			delete(m.tags, g)
			changed = true
		}
	}
	if changed {
		m.remap()
	}
}

// remember gives a granule its tag.
func (m *Machine) remember(offset uint64) {
	if len(m.tags) == 0 {
		m.tagLow, m.tagHigh = offset, offset+capability.Size
	}
	m.tags[offset/capability.Size] = struct{}{}
	m.tagLow, m.tagHigh = min(m.tagLow, offset), max(m.tagHigh, offset+capability.Size)
	m.remap()
}

// StoreCapability puts a capability, with its tag, at an offset of memory that is a
// multiple of 16, as the host does before it enters a function.
func (m *Machine) StoreCapability(offset uint64, c capability.Capability) error {
	if err := m.granule(offset); err != nil {
		return err
	}
	lo, hi := c.Bits()
	p := m.memory
	put64(p, offset, lo)
	put64(p, offset+8, hi)
	m.forget(offset, capability.Size)
	if c.Tag() {
		m.remember(offset)
	}
	return nil
}

// LoadCapability gives what is at an offset of memory that is a multiple of 16.
func (m *Machine) LoadCapability(offset uint64) (capability.Capability, error) {
	if err := m.granule(offset); err != nil {
		return capability.Capability{}, err
	}
	return m.capabilityAt(offset), nil
}

func (m *Machine) granule(offset uint64) error {
	if offset%capability.Size != 0 {
		return errors.New("a capability lies at a multiple of 16")
	}
	if size := uint64(len(m.memory)); size < capability.Size || offset > size-capability.Size {
		return fmt.Errorf("offset %#x is outside of the memory of %d bytes", offset, size)
	}
	return nil
}

// capabilityAt reads the granule at a checked offset.
func (m *Machine) capabilityAt(offset uint64) capability.Capability {
	p := m.memory
	_, tag := m.tags[offset/capability.Size]
	return capability.FromBits(get64(p, offset), get64(p, offset+8), tag)
}

// read gives the 2^size bytes at a checked offset; hi of 16 alone.
func (m *Machine) read(offset uint64, size uint8) (lo, hi uint64) {
	p := m.memory
	switch size {
	case 0:
		return uint64(m.memory[offset]), 0
	case 1:
		return get16(p, offset), 0
	case 2:
		return get32(p, offset), 0
	case 3:
		return get64(p, offset), 0
	default:
		return get64(p, offset), get64(p, offset+8)
	}
}

// write sets the 2^size bytes at a checked offset.
func (m *Machine) write(offset uint64, size uint8, lo, hi uint64) {
	p := m.memory
	switch size {
	case 0:
		m.memory[offset] = byte(lo)
	case 1:
		put16(p, offset, lo)
	case 2:
		put32(p, offset, lo)
	case 3:
		put64(p, offset, lo)
	default:
		put64(p, offset, lo)
		put64(p, offset+8, hi)
	}
}

// loadSlow does an opLoad whose address is a.
func (m *Machine) loadSlow(in *inst, a uint64) bool {
	size := in.k & sizeMask
	offset, ok := a, a < m.reads[size%5]
	if !ok {
		if offset, ok = m.reach(in.rn, a, 1<<size, false); !ok {
			return false
		}
	}
	lo, hi := m.read(offset, size)
	if in.k&vectorKind != 0 {
		m.v[in.rd&31] = vector{lo, hi}
		return true
	}
	m.x[in.rd] = widen(lo, in.k)
	return true
}

// widen extends a loaded value as k says.
func widen(v uint64, k uint8) uint64 {
	if k&(signed32|signed64) == 0 {
		return v
	}
	shift := 64 - 8<<(k&sizeMask)
	v = uint64(int64(v<<shift) >> shift)
	if k&signed32 != 0 {
		v &= lowWord
	}
	return v
}

// storeSlow does an opStore whose address is a.
func (m *Machine) storeSlow(in *inst, a uint64) bool {
	size := in.k & sizeMask
	offset, ok := a, a-m.stack.from < m.stack.spans[size%5]
	if !ok {
		if offset, ok = m.reach(in.rn, a, 1<<size, true); !ok {
			return false
		}
	}
	if in.k&vectorKind != 0 {
		v := m.v[in.rd&31]
		m.write(offset, size, v.lo, v.hi)
	} else {
		m.write(offset, size, m.x[in.rd], 0)
	}
	return true
}

// pairSlow does an opPair whose address is a.
func (m *Machine) pairSlow(in *inst, a uint64) bool {
	size := in.k & sizeMask
	n := uint64(1) << size
	load := in.k&loadKind != 0
	offset, ok := a, load && a < m.reads[(size+1)%5] && size < 4 || !load && size < 4 && a-m.stack.from < m.stack.spans[(size+1)%5]
	if !ok {
		if offset, ok = m.reach(in.rn, a, 2*n, !load); !ok {
			return false
		}
	}
	switch {
	case load:
		lo, hi := m.read(offset, size)
		lo2, hi2 := m.read(offset+n, size)
		if in.k&vectorKind != 0 {
			m.v[in.rd&31], m.v[in.rm&31] = vector{lo, hi}, vector{lo2, hi2}
		} else {
			m.x[in.rd], m.x[in.rm] = widen(lo, in.k), widen(lo2, in.k)
		}
	case in.k&vectorKind != 0:
		v, v2 := m.v[in.rd&31], m.v[in.rm&31]
		m.write(offset, size, v.lo, v.hi)
		m.write(offset+n, size, v2.lo, v2.hi)
	default:
		m.write(offset, size, m.x[in.rd], 0)
		m.write(offset+n, size, m.x[in.rm], 0)
	}
	return true
}

// address gives the address of an opLoad, opStore or opPair.
func (m *Machine) address(in *inst) uint64 {
	a := m.x[in.rn]
	switch in.ra {
	case modeOffset, modePre:
		return a + in.imm
	case modeRegister:
		return a + extend(m.x[in.rm], uint8(in.imm))<<(in.sh&63)
	default:
		return a
	}
}

// writeBack changes the base of an access that has been made.
func (m *Machine) writeBack(in *inst) {
	if in.ra == modePost || in.ra == modePre {
		m.advance(in.rn, in.imm)
	}
}

// advance moves the base of an access.
func (m *Machine) advance(rn uint8, by uint64) {
	if rn == regStack {
		m.x[regSP] += by
		m.syncStack()
		return
	}
	m.x[rn] += by
}

func (m *Machine) load(in *inst) bool {
	base := m.x[in.rn]
	if !m.loadSlow(in, m.address(in)) {
		return false
	}
	if in.ra == modePost || in.ra == modePre {
		m.x[in.rn] = base
		m.writeBack(in)
	}
	return true
}

func (m *Machine) store(in *inst) bool {
	if !m.storeSlow(in, m.address(in)) {
		return false
	}
	m.writeBack(in)
	return true
}

func (m *Machine) pair(in *inst) bool {
	if !m.pairSlow(in, m.address(in)) {
		return false
	}
	m.writeBack(in)
	return true
}

// noInstruction is the fault of a jump to an address that has no instruction.
func (m *Machine) noInstruction(address uint64) {
	kind := violated(m.pcc.Check(m.codeBase+address, wordBytes, capability.Execute))
	switch {
	case address%wordBytes != 0:
		kind = FaultAlignment
	case m.pcc.Check(m.codeBase+address, wordBytes, capability.Execute) == capability.NoViolation:
		kind = FaultPermission // memory that is not executable
	}
	m.fault = Fault{Kind: kind, PC: address, Addr: address, Size: wordBytes, Fetch: true}
}

// refuse is a fault of the instruction in a slot itself.
func (m *Machine) refuse(kind FaultKind, slot int) {
	m.fault = Fault{Kind: kind, Addr: m.code.address(slot), Fetch: true}
}

// leading is the number of leading zeros of the low n bits.
func leading(v uint64, n int) uint64 { return uint64(bits.LeadingZeros64(v) - (64 - n)) }
