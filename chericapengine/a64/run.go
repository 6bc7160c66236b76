package a64

import (
	"math"
	"math/bits"

	"pappus/chericapengine/capability"
)

// Run executes instructions until the function leaves (nil), faults (*Fault), has used
// all its fuel (ErrFuel), or slice returns an error, which is given back as it is. After
// the last two Run can be called again to go on.
//
// Fuel is how many instructions may be retired in this call; what has been retired when
// it ends is exact. Slice, unless it is nil, is called after at least every instructions
// and at most one straight line of code more.
//
// A function leaves by a capability branch to where the code is not. PCC says where to,
// and everything that the architecture checks has been checked but the fetch itself.
func (m *Machine) Run(fuel, every uint64, slice func() error) error {
	every = min(max(every, 1), math.MaxInt64/2)
	left := every // before slice is called
	if m.slot < 0 {
		m.noInstruction(m.pcOffset(m.pcc.Address()))
		return m.faultedAt(m.fault.PC)
	}
	if v := m.pcc.Check(m.pcc.Address(), wordBytes, capability.Execute); v != capability.NoViolation && v != capability.BoundsViolation {
		m.fault = Fault{Kind: violated(v), Addr: m.PC(), Size: wordBytes, Fetch: true}
		return m.faultedAt(m.PC())
	}
	for {
		if fuel == 0 {
			return ErrFuel
		}
		n, why := m.step(fuel, left)
		m.retired += n
		fuel -= n
		switch why {
		case stopFault:
			return m.faultedAt(m.code.address(m.slot))
		case stopFetch:
			at := m.fault.PC
			m.pcc, m.slot = m.pcc.WithAddress(m.codeBase+at), -1
			return m.faultedAt(at)
		case stopLeave:
			m.slot = -1
			return nil
		}
		if left > n {
			left -= n
			continue
		}
		left = every
		if slice != nil {
			if err := slice(); err != nil {
				return err
			}
		}
	}
}

// step runs the loop once: as far as fuel and the slice allow if there is plenty of fuel
// and no upper half of a register to look after, otherwise along one straight line.
func (m *Machine) step(fuel, slice uint64) (retired uint64, why stop) {
	insts := m.code.insts
	switch {
	case m.slot >= m.limit:
		m.noInstruction(m.code.address(m.slot))
		return 0, stopFetch
	case m.limit < len(insts): // fused, the last could do what the next one does
		insts = m.code.unfused()[:m.limit]
	}
	length := uint64(len(insts))
	if fuel > m.code.longest && m.upper == 0 {
		budget := int(min(fuel-m.code.longest, slice))
		pc, left, why := m.loop(insts, m.slot, budget)
		m.slot = pc
		return uint64(budget - left), why
	}
	start := uint64(m.slot)
	insts = m.code.unfused()
	end := length
	if fuel < length-start {
		end = start + fuel
	}
	m.settled = int(start)
	pc, left, why := m.loop(insts[:end], int(start), 0)
	retired = uint64(-left)
	m.settle(int(start + retired))
	m.slot = pc
	return retired, why
}

// settle clears the upper halves of registers that plain instructions have written to,
// in a straight line up to a slot. Nobody but instructions that read whole capability
// registers can tell that it happens late.
func (m *Machine) settle(to int) {
	if m.upper != 0 && to > m.settled {
		insts := m.code.unfused()
		for i := m.settled; i < to && m.upper != 0; i++ {
			for w := insts[i].writes() & m.upper; w != 0; w &= w - 1 {
				m.clearUpper(bits.TrailingZeros64(w))
			}
		}
	}
	m.settled = to
}

// faultedAt completes the fault.
func (m *Machine) faultedAt(pc uint64) error {
	f := m.fault
	f.PC = pc
	if slot, ok := m.code.slot(pc); ok && slot < m.limit {
		f.Word = m.code.word(pc)
	}
	return &f
}
