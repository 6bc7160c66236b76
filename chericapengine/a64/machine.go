package a64

import (
	"pappus/chericapengine/capability"
)

// vector is a register of AdvSIMD.
type vector struct{ lo, hi uint64 }

// Bits of CCTLR_EL0 that are obeyed.
const (
	dataBaseOffset = 1 << 2 // addresses of data are offsets from the base of DDC
	codeBaseOffset = 1 << 3 // addresses of code are offsets from the base of PCC
)

// Bits of FPCR that are kept.
const (
	fpcrFZ16  = 1 << 19
	fpcrRMode = 3 << 22
	fpcrFZ    = 1 << 24
	fpcrDN    = 1 << 25
	fpcrAHP   = 1 << 26
	fpcrMask  = fpcrFZ16 | fpcrRMode | fpcrFZ | fpcrDN | fpcrAHP
)

// fpsrMask are the bits of FPSR that are kept: QC and the cumulative exceptions.
const fpsrMask = 1<<27 | 0x9f

// A bank is what Restricted code has of its own.
type bank struct {
	ddc    capability.Capability
	sp     capability.Capability
	thread capability.Capability
}

// Machine is the registers and the memory of one hardware thread. It may be used again
// and again, by one goroutine at a time.
type Machine struct {
	x [256]uint64 // X0 to X30 and what inst.go says; as many as an index can name, which saves looking

	v               [32]vector
	flagA, flagB    uint64
	flagKind        uint8
	fp              fpu
	memory          []byte
	reads           [5]uint64 // how many offsets, from 0 on, a load of 1, 2, 4, 8 or 16 bytes may begin at
	heap, stack     window    // where stores may go
	fetchFrom       uint64    // the largest segment of code
	fetchSize       uint64
	fetchSlot       int
	slot            int // the next instruction; in a handler, the present one
	target          int // where a handler jumps to
	settled         int // up to here upper halves are cleared, while there are any
	code            *Code
	limit           int        // slots from here on lie outside of PCC
	hi              [32]uint64 // the upper halves of the capability registers
	tagged          uint64     // which of them have their tags
	upper           uint64     // which of them have a tag or an upper half that is not 0
	base            uint64     // the address of memory
	codeBase        uint64     // the address that is 0 to the code
	pcc, ddc        capability.Capability
	other           bank // of the two, the one that is not in use
	thread          capability.Capability
	cid             capability.Capability
	cctlr           uint64
	tags            map[uint64]struct{} // which granules of memory hold capabilities
	tagLow, tagHigh uint64              // all of them lie within these offsets
	exclusive       bool                // the monitor is open
	exclusiveAt     uint64
	exclusiveSize   uint64
	exclusiveLo     uint64
	exclusiveHi     uint64
	fault           Fault
	retired         uint64
}

// NewMachine makes a machine that Reset must give something to run.
func NewMachine() *Machine { return &Machine{tags: make(map[uint64]struct{})} }

// Reset starts anew: all registers are 0, no granule of memory has a tag, base-offset
// mode is on, and NaNs are canonical (FPCR.DN). Memory is the context, at address base;
// its bytes stay as they are.
//
// Pcc is where to begin and what may be executed; the code's addresses count from its
// base. Ddc authorises loads and stores. If pcc lacks Executive, the machine is in the
// Restricted state, as functions are.
func (m *Machine) Reset(code *Code, memory []byte, base uint64, pcc, ddc capability.Capability) {
	tags := m.tags
	clear(tags)
	*m = Machine{
		memory: memory, base: base, ddc: ddc,
		cctlr: dataBaseOffset | codeBaseOffset, fp: fpu{cr: fpcrDN}, tags: tags,
	}
	m.begin(code, pcc)
}

// begin puts code where PCC points.
func (m *Machine) begin(code *Code, pcc capability.Capability) {
	m.code, m.codeBase, m.fetchSize, m.slot = code, pcc.Bounds().Base, 0, -1
	for _, a := range code.areas {
		if a.hi-a.lo > m.fetchSize {
			m.fetchFrom, m.fetchSize, m.fetchSlot = a.lo, a.hi-a.lo, a.slot
		}
	}
	m.setPCC(pcc)
	if s, ok := code.slot(m.pcOffset(pcc.Address())); ok {
		m.slot = s
	}
	m.remap()
}

// SetCode puts other code where PCC now points, and leaves everything else as it is: what
// the code that was left goes on as, when it is not part of the same program. The new
// code's addresses count from the base of PCC.
func (m *Machine) SetCode(code *Code) {
	m.begin(code, m.PCC())
}

// pcOffset is the address that code at an absolute address believes to have.
func (m *Machine) pcOffset(address uint64) uint64 {
	return address - m.codeBase
}

// setPCC takes a new code capability, which does not move the program counter. Its
// bounds begin where the code's addresses do.
func (m *Machine) setPCC(pcc capability.Capability) {
	m.pcc, m.limit = pcc, m.code.below(pcc.Bounds().Length())
}

// X gives register n of X0 to X30, or 0.
func (m *Machine) X(n int) uint64 {
	if n < 0 || n > 30 {
		return 0
	}
	return m.x[n]
}

// SetX sets register n of X0 to X30; the upper half and the tag become 0.
func (m *Machine) SetX(n int, v uint64) {
	if n >= 0 && n <= 30 {
		m.x[n] = v
		m.clearUpper(n)
	}
}

// SP gives the stack pointer.
func (m *Machine) SP() uint64 { return m.x[regSP] }

// SetSP sets the stack pointer.
func (m *Machine) SetSP(v uint64) {
	m.x[regSP] = v
	m.clearUpper(regSP)
	m.syncStack()
	m.remap()
}

// V gives the halves of vector register n of V0 to V31.
func (m *Machine) V(n int) (lo, hi uint64) { v := m.v[n&31]; return v.lo, v.hi }

// SetV sets vector register n of V0 to V31.
func (m *Machine) SetV(n int, lo, hi uint64) { m.v[n&31] = vector{lo, hi} }

// NZCV gives the flags, in bits 31 to 28.
func (m *Machine) NZCV() uint32 { return uint32(m.nzcv()) << 28 }

// SetNZCV sets the flags from bits 31 to 28.
func (m *Machine) SetNZCV(v uint32) { m.setFlags(flagsKnown, uint64(v>>28), 0) }

// FPCR gives the control register of floating point.
func (m *Machine) FPCR() uint32 { return m.fp.cr }

// SetFPCR sets what is implemented of it: RMode, FZ, FZ16, DN and AHP.
func (m *Machine) SetFPCR(v uint32) { m.fp.cr = v & fpcrMask }

// FPSR gives the status register of floating point.
func (m *Machine) FPSR() uint32 { return m.fp.sr }

// SetFPSR sets the status register of floating point.
func (m *Machine) SetFPSR(v uint32) { m.fp.sr = v & fpsrMask }

// PC is where the next instruction is, as an offset from the base of the code.
func (m *Machine) PC() uint64 {
	if m.slot < 0 {
		return m.pcOffset(m.pcc.Address())
	}
	return m.code.address(m.slot)
}

// PCC is the code capability, with the program counter for its address.
func (m *Machine) PCC() capability.Capability {
	if m.slot < 0 {
		return m.pcc
	}
	return m.pcc.WithAddress(m.codeBase + m.code.address(m.slot))
}

// DDC is the data capability that is in use.
func (m *Machine) DDC() capability.Capability { return m.ddc }

// SetDDC gives the code another data capability, as when its memory has grown.
func (m *Machine) SetDDC(c capability.Capability) {
	m.ddc = c
	m.remap()
}

// Release lets go of the code and the memory; Reset must follow before anything else.
func (m *Machine) Release() {
	clear(m.tags)
	*m = Machine{tags: m.tags}
}

// Retired is how many instructions have been executed since Reset. One that faults
// does not count.
func (m *Machine) Retired() uint64 { return m.retired }

// C gives capability register n of C0 to C30, or CSP for 31.
func (m *Machine) C(n int) capability.Capability {
	return capability.FromBits(m.x[n&31], m.hi[n&31], m.tagged>>(n&31)&1 != 0)
}

// SetC sets capability register n of C0 to C30, or CSP for 31.
func (m *Machine) SetC(n int, c capability.Capability) {
	n &= 31
	lo, hi := c.Bits()
	m.x[n] = lo
	m.clearUpper(n)
	if c.Tag() {
		m.tagged |= 1 << n
	}
	if c.Tag() || hi != 0 {
		m.hi[n] = hi
		m.upper |= 1 << n
	}
	if n == regSP {
		m.syncStack()
	}
}

func (m *Machine) clearUpper(n int) {
	m.hi[n&31] = 0
	m.tagged &^= 1 << (n & 31)
	m.upper &^= 1 << (n & 31)
}

// syncStack must follow every change of the stack pointer. As long as it is not aligned
// it is no base for an access: what stands for it then is far outside of any memory,
// and the fault is sorted out there.
func (m *Machine) syncStack() {
	sp := m.x[regSP]
	if sp%16 != 0 {
		sp = sp&^poisoned | poisoned
	}
	m.x[regStack] = sp
}
