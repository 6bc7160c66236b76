package a64

// first is the plain instruction that o begins with.
func (o op) first() op {
	switch {
	case o < numPlain:
		return o
	case o >= opSubsBeq && o <= opSubsBle:
		return opSubs
	case o >= opSubs32Beq && o <= opSubs32Ble:
		return opSubs32
	default:
		return [...]op{
			opAnds, opAnds32, opAddI, opLdr64, opLdr64, opLdr64P, opAddI, opLdr64R, opAddI, opEorLsl, opAddLsl,
			opMov, opLdr64, opLdr64, opMadd, opLdp64, opStp64SP, opAddI32, opAddI32,
		}[o-opAndsB]
	}
}

// pair is what two instructions become together; opUndefined is nothing.
func pair(a, b op) op {
	switch [2]op{a, b} {
	case [2]op{opLdr64, opAdd}:
		return opLdr64Add
	case [2]op{opLdr64, opAddI}:
		return opLdr64AddI
	case [2]op{opLdr64P, opMadd}:
		return opLdr64PMadd
	case [2]op{opAddI, opMadd}:
		return opAddIMadd
	case [2]op{opLdr64R, opLdr64R}:
		return opLdr64RLdr64R
	case [2]op{opAddI, opAddI}:
		return opAddIAddI
	case [2]op{opEorLsl, opEorLsr}:
		return opEorLslEorLsr
	case [2]op{opMov, opMov}:
		return opMovMov
	case [2]op{opLdr64, opLdr64}:
		return opLdr64Ldr64
	case [2]op{opMadd, opStr64P}:
		return opMaddStr64P
	case [2]op{opLdp64, opLdp64}:
		return opLdp64Ldp64
	case [2]op{opStp64SP, opStp64SP}:
		return opStp64SPStp64SP
	case [2]op{opAddLsl, opUbfx}:
		return opAddLslUbfx
	}
	return opUndefined
}

// fusedCondition is, for a condition, the offset from opSubsBeq, plus 1; 0 is none.
func fusedCondition(k uint8) op {
	return [16]op{condEQ: 1, condNE: 2, condHS: 3, condLO: 4, condHI: 5, condLS: 6, condGE: 7, condLT: 8, condGT: 9, condLE: 10}[k&15]
}

// fuse looks for instructions that follow one another so often that one step for both
// pays. It goes backwards, so that a third instruction is found fused with the second.
func (c *Code) fuse() {
	for i := len(c.insts) - 2; i >= 0; i-- {
		a, b := &c.insts[i], &c.insts[i+1]
		switch a.op {
		case opSubs, opSubs32:
			if f := fusedCondition(b.k); b.op == opBcond && f != 0 {
				if a.op == opSubs {
					a.op = opSubsBeq + f - 1
				} else {
					a.op = opSubs32Beq + f - 1
				}
			}
		case opAnds:
			if b.op == opBcond && b.k < 2 {
				a.op = opAndsB
			}
		case opAnds32:
			if b.op == opBcond && b.k < 2 {
				a.op = opAnds32B
			}
		case opAddI:
			if b.op == opSubsBne {
				a.op = opAddISubsBne
			}
		case opAddI32:
			switch b.op {
			case opSubs32Bhi:
				a.op = opAddI32Subs32Bhi
			case opSubs32Bls:
				a.op = opAddI32Subs32Bls
			}
		case opLdr64:
			if b.op == opLdr64Add {
				a.op = opLdr64Ldr64Add
			}
		}
		if f := pair(a.op, b.op.first()); f != opUndefined && !b.op.branches() {
			a.op = f
		}
	}
}

// branches reports whether o is fused with a branch, which is better left so.
func (o op) branches() bool { return o >= opSubsBeq && o <= opAddISubsBne }
