package a64

import "pappus/chericapengine/capability"

// execMorello executes an instruction that works on whole capability registers. Their
// upper halves are put in order before, and kept in order here.
func execMorello(m *Machine, in *inst) outcome {
	m.settle(m.slot)
	o := m.morello(in)
	m.settled = m.slot + 1
	if o == done && m.upper != 0 {
		return pause
	}
	return o
}

// sourceC is capability register n; 31 is the null capability.
func (m *Machine) sourceC(n uint32) capability.Capability {
	if n&31 == 31 {
		return capability.Capability{}
	}
	return m.C(int(n & 31))
}

func (m *Machine) setResult(n uint32, c capability.Capability) {
	if n&31 != 31 {
		m.SetC(int(n&31), c)
	}
}

func (m *Machine) morello(in *inst) outcome {
	w := in.word()
	d, n, r := w&31, w>>5&31, m.x[zr(w>>16&31)]
	cn := m.C(int(n)) // 31 is CSP
	switch in.k {
	case cLoad, cStore, cPair:
		return m.moveCapability(in)
	case cGet:
		if d != 31 {
			m.SetX(int(d), property(cn, w>>13&7))
		}
	case cRepresentable:
		if d != 31 {
			v := m.x[zr(n)]
			if bit(w, 13) {
				v = capability.RepresentableMask(v)
			} else {
				v = capability.RepresentableLength(v)
			}
			m.SetX(int(d), v)
		}
	case cCopy:
		m.SetC(int(d), cn)
	case cClearTag:
		m.SetC(int(d), cn.WithoutTag())
	case cConvertData:
		m.setResult(d, derive(m.ddc, m.x[zr(n)], m.cctlr&dataBaseOffset != 0))
	case cConvertCode:
		m.setResult(d, derive(m.PCC(), m.x[zr(n)], m.cctlr&codeBaseOffset != 0))
	case cSetBounds:
		c, _ := cn.SetBounds(r)
		m.SetC(int(d), c)
	case cSetBoundsExact:
		m.SetC(int(d), cn.SetBoundsExact(r))
	case cSetValue:
		m.SetC(int(d), cn.WithAddress(r))
	case cSetOffset:
		m.SetC(int(d), cn.WithAddress(cn.Bounds().Base+r))
	case cClearPerms:
		m.SetC(int(d), cn.ClearPerms(capability.Perms(r)))
	case cSeal:
		m.SetC(int(d), cn.SealAs(capability.Type(w>>13&3)))
	case cAdd:
		imm := uint64(field(w, 21, 10))
		if bit(w, 22) {
			imm <<= 12
		}
		if bit(w, 23) {
			imm = -imm
		}
		m.SetC(int(d), cn.Add(imm))
	case cCheckTag:
		m.setFlags(flagsKnown, b2u(cn.Tag())*flagC, 0)
	case cCheckEqual:
		m.setFlags(flagsKnown, b2u(cn == m.sourceC(w>>16))*flagZ, 0)
	case cBranch:
		return m.branchCapability(w, m.sourceC(n))
	case cLoadPairBranch:
		return m.loadPairBranch(w)
	case cReadSystem:
		return m.readSystem(w)
	case cWriteSystem:
		return m.writeSystem(w)
	default:
		return m.undefined()
	}
	return done
}

// property is what GCBASE, GCLEN, GCVALUE, GCOFF, GCTAG, GCSEAL, GCPERM and GCTYPE tell.
func property(c capability.Capability, which uint32) uint64 {
	switch which {
	case 0:
		return c.Bounds().Base
	case 1:
		return c.Bounds().Length()
	case 2:
		return c.Address()
	case 3:
		return c.Offset()
	case 4:
		return b2u(c.Tag())
	case 5:
		return b2u(c.Sealed())
	case 6:
		return uint64(c.Perms())
	default:
		return uint64(c.Type())
	}
}

// derive points a capability at an address, or at an offset from its base.
func derive(c capability.Capability, v uint64, offset bool) capability.Capability {
	if offset {
		v += c.Bounds().Base
	}
	return c.WithAddress(v)
}

// moveCapability loads or stores one or two capabilities through DDC.
func (m *Machine) moveCapability(in *inst) outcome {
	w := in.word()
	a := m.x[in.rn]
	by := displacement(w)
	switch in.ra {
	case modeOffset, modePre:
		a += by
	case modeRegister:
		a += extend(m.x[in.rm], uint8(field(w, 15, 13))) << (w >> 12 & 1 * scaledPair)
	}
	count, load := uint64(1), in.k == cLoad
	regs := [2]uint32{w & 31, w >> 10 & 31}
	if in.k == cPair {
		count, load = 2, bit(w, 22)
	}
	offset, ok := m.aligned16(in, a, count*capability.Size, !load)
	if !ok {
		return faulted
	}
	if load {
		for i := range count {
			m.setResult(regs[i&1], m.capabilityAt(offset+i*capability.Size).LoadedThrough(m.ddc.Perms()))
		}
	} else {
		var cs [2]capability.Capability
		for i := range count {
			cs[i&1] = m.sourceC(regs[i&1])
			if !m.storable(cs[i&1], a) {
				return faulted
			}
		}
		// Only now are the tags that were there lost.
		if _, ok := m.reach(in.rn, a, count*capability.Size, true); !ok {
			return faulted
		}
		for i := range count {
			m.putCapability(offset+i*capability.Size, cs[i&1])
		}
	}
	if in.ra == modePost || in.ra == modePre {
		m.advance(in.rn, by)
		m.clearUpper(int(w >> 5 & 31))
	}
	return done
}

// aligned16 checks an access without effects.
func (m *Machine) aligned16(in *inst, a, n uint64, write bool) (uint64, bool) {
	if in.rn == regStack && m.x[regSP]%16 != 0 {
		return m.reach(in.rn, a, n, write)
	}
	perms := capability.Load
	if write {
		perms = capability.Store
	}
	offset, ok := m.authorise(m.ddc, a, n, perms)
	if ok && offset%capability.Size != 0 {
		m.fault = Fault{Kind: FaultAlignment, Addr: a, Size: int(n), Write: write}
		return 0, false
	}
	return offset, ok
}

// storable reports whether DDC lets a capability be stored with its tag.
func (m *Machine) storable(c capability.Capability, a uint64) bool {
	perms := m.ddc.Perms()
	if !c.Tag() || perms&capability.StoreCap != 0 && (c.Perms()&capability.Global != 0 || perms&capability.StoreLocal != 0) {
		return true
	}
	m.fault = Fault{Kind: FaultPermission, Addr: a, Size: capability.Size, Write: true}
	return false
}

// putCapability stores at a checked offset of which the tag has been cleared.
func (m *Machine) putCapability(offset uint64, c capability.Capability) {
	lo, hi := c.Bits()
	m.write(offset, 4, lo, hi)
	if c.Tag() {
		m.remember(offset)
	}
}

// branchCapability does BR, BLR and RET of a capability, and with bit 0 those that may
// enter the Restricted state.
func (m *Machine) branchCapability(w uint32, c capability.Capability) outcome {
	if bit(w, 0) && !m.executive() {
		return m.undefined()
	}
	link := m.link()
	o := m.enter(c.Enter(capability.RB), bit(w, 0))
	if o != faulted && w>>13&3 == 1 {
		m.SetC(regLR, link)
	}
	return o
}

// link is the return address of the present instruction. It is not sealed, since
// CCTLR_EL0.SBL is always 0.
func (m *Machine) link() capability.Capability {
	return m.pcc.WithAddress(m.codeBase + m.code.address(m.slot) + wordBytes)
}

func (m *Machine) executive() bool { return m.pcc.Perms()&capability.Executive != 0 }

// enter branches to a capability. Without permission to, it does not lead from the
// Executive state to the Restricted one.
func (m *Machine) enter(c capability.Capability, restrict bool) outcome {
	if c.Address()&1 != 0 { // the other instruction set, C64
		return m.undefined()
	}
	was := m.executive()
	if was && c.Perms()&capability.Executive == 0 && !restrict {
		c = c.WithoutTag()
	}
	at := c.Address() - m.codeBase
	if v := c.Check(c.Address(), wordBytes, capability.Execute); v != capability.NoViolation {
		m.pcc = c
		m.fault = Fault{Kind: violated(v), PC: at, Addr: at, Size: wordBytes, Fetch: true}
		return astray
	}
	if is := c.Perms()&capability.Executive != 0; is != was {
		present := bank{m.ddc, m.C(regSP), m.thread}
		m.ddc, m.thread = m.other.ddc, m.other.thread
		m.SetC(regSP, m.other.sp)
		m.other = present
	}
	slot, ok := m.code.slot(at)
	if !ok || c.Bounds().Base != m.codeBase {
		m.pcc = c
		m.remap()
		return leave
	}
	m.setPCC(c)
	m.remap()
	m.target = slot
	return leap
}

// loadPairBranch does LDPBR and LDPBLR: a capability to data, and one to branch to.
func (m *Machine) loadPairBranch(w uint32) outcome {
	t := w & 31
	c := m.sourceC(w >> 5)
	if m.C(int(w>>5&31)).Tag() && w>>5&31 == 31 {
		c = m.C(regSP)
	}
	const linkRegister = 29 // the one into which a sealed pair is opened
	if t == linkRegister {
		c = c.Enter(capability.LPB)
	}
	a := c.Address()
	offset, ok := m.allowed(c, a, a, 2*capability.Size, capability.Load)
	switch {
	case !ok:
		return faulted
	case a%capability.Size != 0:
		m.fault = Fault{Kind: FaultAlignment, Addr: a, Size: 2 * capability.Size}
		return faulted
	}
	data := m.capabilityAt(offset).LoadedThrough(c.Perms())
	to := m.capabilityAt(offset + capability.Size).LoadedThrough(c.Perms())
	link := m.link()
	o := m.enter(to.Enter(capability.RB), false)
	if o == faulted {
		return o
	}
	m.setResult(t, data)
	if bit(w, 13) {
		m.SetC(regLR, link)
	}
	return o
}

func (m *Machine) readSystem(w uint32) outcome {
	t := w & 31
	var c capability.Capability
	switch reg := w >> 5 & 0x7fff; reg {
	case sysCCTLR:
		if t != 31 {
			m.SetX(int(t), m.cctlr)
		}
		return done
	case sysDDC:
		c = m.ddc
	case sysTPIDR:
		c = m.thread
	case sysCID:
		c = m.cid
	default:
		if !m.executive() {
			return m.undefined()
		}
		switch reg {
		case sysRDDC:
			c = m.other.ddc
		case sysRCSP:
			c = m.other.sp
		case sysRTPIDR:
			c = m.other.thread
		}
	}
	m.setResult(t, c)
	return done
}

func (m *Machine) writeSystem(w uint32) outcome {
	c := m.sourceC(w)
	reg := w >> 5 & 0x7fff
	if reg != sysDDC && reg != sysTPIDR && !m.executive() {
		return m.undefined()
	}
	switch reg {
	case sysCCTLR:
		v := m.x[zr(w&31)] & (dataBaseOffset | codeBaseOffset)
		if (v^m.cctlr)&codeBaseOffset != 0 && m.codeBase != 0 {
			return m.undefined() // the code has been predecoded for the other way
		}
		m.cctlr = v
		m.remap()
	case sysDDC:
		m.ddc = c
		m.remap()
	case sysTPIDR:
		m.thread = c
	case sysCID:
		m.cid = c
	case sysRDDC:
		m.other.ddc = c
	case sysRCSP:
		m.other.sp = c
	case sysRTPIDR:
		m.other.thread = c
	}
	return done
}
