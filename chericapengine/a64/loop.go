//nolint:revive // the loop is one function, because a call for each instruction would cost more than the instruction
package a64

import (
	"encoding/binary"
	"math/bits"
)

// A stop is why the loop ended.
type stop uint8

const (
	stopBranch stop = iota // a branch was taken, and the budget is used up
	stopEnd                // the slots that were given are at an end
	stopFault              // the instruction at pc faulted; fault says why
	stopFetch              // there is no instruction where the program counter went
	stopPause              // the last instruction wants Run to look
	stopLeave              // the function has left
)

// What a handler tells the loop.
type outcome uint8

const (
	done    outcome = iota
	faulted         // it has no effect; Machine.fault says why
	pause           // it is done, and Run must look
	leap            // it is a branch to the slot in Machine.target, and Run must look
	leave           // it is a branch out of the code
	astray          // it is a branch to where nothing can be fetched; Machine.fault says why
)

func get8(p []byte, a uint64) uint64 { return uint64(p[a]) }

func get16(p []byte, a uint64) uint64 { return uint64(binary.LittleEndian.Uint16(p[a:])) }

func get32(p []byte, a uint64) uint64 { return uint64(binary.LittleEndian.Uint32(p[a:])) }

func get64(p []byte, a uint64) uint64 { return binary.LittleEndian.Uint64(p[a:]) }

func put8(p []byte, a, v uint64) { p[a] = byte(v) }

func put16(p []byte, a, v uint64) { binary.LittleEndian.PutUint16(p[a:], uint16(v)) }

func put32(p []byte, a, v uint64) { binary.LittleEndian.PutUint32(p[a:], uint32(v)) }

func put64(p []byte, a, v uint64) { binary.LittleEndian.PutUint64(p[a:], v) }

// loop executes code from slot pc on until a branch is taken after budget or more
// instructions, or something happens. It returns the next slot, and the budget less the
// instructions retired. Only taken branches look at the budget, so that one more
// straight line of code may be executed; code may be cut off to stop within one.
func (m *Machine) loop(code []inst, pc, budget int) (next, left int, why stop) {
	x := &m.x
	mem := m.memory
	credit := budget + pc // less pc it is the budget that is left
	for {
		if uint(pc) >= uint(len(code)) {
			return pc, credit - pc, stopEnd
		}
		in := &code[pc]
		pc++
		switch in.op {
		case opOut:
			m.noInstruction(in.imm)
			return pc - 1, credit - pc + 1, stopFetch
		case opCall, opCallSP:
			m.slot = pc - 1
			switch handlers[in.imm>>32%numHandlers](m, in) {
			case done:
			case faulted:
				return pc - 1, credit - pc + 1, stopFault
			case pause:
				return pc, credit - pc, stopPause
			case leap:
				return m.target, credit - pc, stopPause
			case leave:
				return pc, credit - pc, stopLeave
			case astray:
				return pc, credit - pc, stopFetch
			}
			if in.op == opCallSP {
				m.syncStack()
			}
			continue

		case opNop:
			continue
		case opMovI:
			x[in.rd] = in.imm
			continue
		case opMovK:
			x[in.rd] = (x[in.rd]&^(0xffff<<(in.sh&63)) | in.imm) << (in.k & 63) >> (in.k & 63)
			continue
		case opMov:
			x[in.rd] = x[in.rm]
			continue
		case opMov32:
			x[in.rd] = x[in.rm] & lowWord
			continue
		case opAddI:
			x[in.rd] = x[in.rn] + in.imm
			continue
		case opAddI32:
			x[in.rd] = (x[in.rn] + in.imm) & lowWord
			continue
		case opAddISP:
			x[regSP] = x[in.rn] + in.imm
			m.syncStack()
			continue
		case opAdd:
			x[in.rd] = x[in.rn] + x[in.rm]
			continue
		case opAdd32:
			x[in.rd] = (x[in.rn] + x[in.rm]) & lowWord
			continue
		case opSub:
			x[in.rd] = x[in.rn] - x[in.rm]
			continue
		case opSub32:
			x[in.rd] = (x[in.rn] - x[in.rm]) & lowWord
			continue
		case opAddLsl:
			x[in.rd] = x[in.rn] + x[in.rm]<<(in.sh&63)
			continue
		case opSubLsl:
			x[in.rd] = x[in.rn] - x[in.rm]<<(in.sh&63)
			continue
		case opAddX:
			x[in.rd] = x[in.rn] + extend(x[in.rm], in.k)<<(in.sh&63)
			continue
		case opSubs:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			continue
		case opSubs32:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			continue
		case opAdds:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsAdd, a, b)
			x[in.rd] = a + b
			continue
		case opAdds32:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsAdd, a, b)
			x[in.rd] = (a + b) >> 32
			continue
		case opAnd:
			x[in.rd] = x[in.rn] & x[in.rm]
			continue
		case opAnd32:
			x[in.rd] = x[in.rn] & x[in.rm] & lowWord
			continue
		case opOrr:
			x[in.rd] = x[in.rn] | x[in.rm]
			continue
		case opOrr32:
			x[in.rd] = (x[in.rn] | x[in.rm]) & lowWord
			continue
		case opEor:
			x[in.rd] = x[in.rn] ^ x[in.rm]
			continue
		case opEor32:
			x[in.rd] = (x[in.rn] ^ x[in.rm]) & lowWord
			continue
		case opBic:
			x[in.rd] = x[in.rn] &^ x[in.rm]
			continue
		case opAndLsl:
			x[in.rd] = x[in.rn] & (x[in.rm] << (in.sh & 63))
			continue
		case opAndLsr:
			x[in.rd] = x[in.rn] & (x[in.rm] >> (in.sh & 63))
			continue
		case opOrrLsl:
			x[in.rd] = x[in.rn] | x[in.rm]<<(in.sh&63)
			continue
		case opOrrLsr:
			x[in.rd] = x[in.rn] | x[in.rm]>>(in.sh&63)
			continue
		case opEorLsl:
			x[in.rd] = x[in.rn] ^ x[in.rm]<<(in.sh&63)
			continue
		case opEorLsr:
			x[in.rd] = x[in.rn] ^ x[in.rm]>>(in.sh&63)
			continue
		case opAndI:
			x[in.rd] = x[in.rn] & in.imm
			continue
		case opOrrI:
			x[in.rd] = x[in.rn] | in.imm
			continue
		case opOrrI32:
			x[in.rd] = (x[in.rn] | in.imm) & lowWord
			continue
		case opEorI:
			x[in.rd] = x[in.rn] ^ in.imm
			continue
		case opEorI32:
			x[in.rd] = (x[in.rn] ^ in.imm) & lowWord
			continue
		case opAnds:
			r := x[in.rn] & (x[in.rm] + in.imm)
			m.setFlags(flagsAdd, r, 0)
			x[in.rd] = r
			continue
		case opAnds32:
			r := x[in.rn] & (x[in.rm] + in.imm) & lowWord
			m.setFlags(flagsAdd, r<<32, 0)
			x[in.rd] = r
			continue
		case opUbfx:
			x[in.rd] = x[in.rn] >> (in.sh & 63) & in.imm
			continue
		case opUbfiz:
			x[in.rd] = x[in.rn] << (in.sh & 63) & in.imm
			continue
		case opSbfx:
			x[in.rd] = uint64(int64(x[in.rn]<<(in.k&63)) >> (in.sh & 63))
			continue
		case opSbfx32:
			x[in.rd] = uint64(int64(x[in.rn]<<(in.k&63))>>(in.sh&63)) & lowWord
			continue
		case opBfm:
			x[in.rd] = (x[in.rd]&^in.imm | bits.RotateLeft64(x[in.rn], int(in.sh))&in.imm) << (in.k & 63) >> (in.k & 63)
			continue
		case opExtr:
			x[in.rd] = x[in.rm]>>(in.sh&63) | x[in.rn]<<1<<(63-in.sh&63)
			continue
		case opLslv:
			x[in.rd] = x[in.rn] << (x[in.rm] & 63)
			continue
		case opLsrv:
			x[in.rd] = x[in.rn] >> (x[in.rm] & 63)
			continue
		case opLslv32:
			x[in.rd] = x[in.rn] << (x[in.rm] & 31) & lowWord
			continue
		case opLsrv32:
			x[in.rd] = (x[in.rn] & lowWord) >> (x[in.rm] & 31)
			continue
		case opMadd:
			x[in.rd] = x[in.ra] + x[in.rn]*x[in.rm]
			continue
		case opMadd32:
			x[in.rd] = (x[in.ra] + x[in.rn]*x[in.rm]) & lowWord
			continue
		case opMsub:
			x[in.rd] = x[in.ra] - x[in.rn]*x[in.rm]
			continue
		case opMsub32:
			x[in.rd] = (x[in.ra] - x[in.rn]*x[in.rm]) & lowWord
			continue
		case opSmaddl:
			x[in.rd] = x[in.ra] + uint64(int64(int32(x[in.rn]))*int64(int32(x[in.rm])))
			continue
		case opUmaddl:
			x[in.rd] = x[in.ra] + x[in.rn]&lowWord*(x[in.rm]&lowWord)
			continue
		case opUmulh:
			x[in.rd], _ = bits.Mul64(x[in.rn], x[in.rm])
			continue
		case opCsel:
			v := x[in.rm]
			if m.holds(in.k) {
				v = x[in.rn]
			}
			x[in.rd] = v & in.imm
			continue
		case opCsinc:
			v := x[in.rm] + 1
			if m.holds(in.k) {
				v = x[in.rn]
			}
			x[in.rd] = v & in.imm
			continue
		case opCsinv:
			v := ^x[in.rm]
			if m.holds(in.k) {
				v = x[in.rn]
			}
			x[in.rd] = v & in.imm
			continue
		case opCsneg:
			v := -x[in.rm]
			if m.holds(in.k) {
				v = x[in.rn]
			}
			x[in.rd] = v & in.imm
			continue
		case opCcmp:
			if !m.holds(in.k) {
				m.setFlags(flagsKnown, uint64(in.sh), 0)
				continue
			}
			m.setFlags(flagsAdd-in.ra, x[in.rn]<<(in.rd&63), (x[in.rm]+in.imm)<<(in.rd&63))
			continue

		case opB:
		case opBL:
			x[regLR] = in.imm >> 32
		case opBcond:
			if !m.holds(in.k) {
				continue
			}
		case opCbz:
			if x[in.rn] != 0 {
				continue
			}
		case opCbz32:
			if uint32(x[in.rn]) != 0 {
				continue
			}
		case opCbnz:
			if x[in.rn] == 0 {
				continue
			}
		case opCbnz32:
			if uint32(x[in.rn]) == 0 {
				continue
			}
		case opTbz:
			if x[in.rn]>>(in.sh&63)&1 != 0 {
				continue
			}
		case opTbnz:
			if x[in.rn]>>(in.sh&63)&1 == 0 {
				continue
			}
		case opBr, opBlr:
			target := x[in.rn]
			if in.op == opBlr {
				x[regLR] = m.code.address(pc-1) + wordBytes
			}
			slot := int((target - m.fetchFrom) / wordBytes)
			if target-m.fetchFrom >= m.fetchSize || target%wordBytes != 0 {
				var ok bool
				if slot, ok = m.code.slot(target); !ok {
					m.noInstruction(target)
					return pc, credit - pc, stopFetch
				}
			} else {
				slot += m.fetchSlot
			}
			left = credit - pc
			if left <= 0 {
				return slot, left, stopBranch
			}
			credit, pc = left+slot, slot
			continue

		case opLdr8:
			a := x[in.rn] + in.imm
			if a >= m.reads[0] {
				goto load
			}
			x[in.rd] = get8(mem, a)
			continue
		case opLdr16:
			a := x[in.rn] + in.imm
			if a >= m.reads[1] {
				goto load
			}
			x[in.rd] = get16(mem, a)
			continue
		case opLdr32:
			a := x[in.rn] + in.imm
			if a >= m.reads[2] {
				goto load
			}
			x[in.rd] = get32(mem, a)
			continue
		case opLdr64:
			a := x[in.rn] + in.imm
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			continue
		case opLdrsw:
			a := x[in.rn] + in.imm
			if a >= m.reads[2] {
				goto load
			}
			x[in.rd] = uint64(int64(int32(get32(mem, a))))
			continue
		case opLdr8R:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a >= m.reads[0] {
				goto load
			}
			x[in.rd] = get8(mem, a)
			continue
		case opLdr16R:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a >= m.reads[1] {
				goto load
			}
			x[in.rd] = get16(mem, a)
			continue
		case opLdr32R:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a >= m.reads[2] {
				goto load
			}
			x[in.rd] = get32(mem, a)
			continue
		case opLdr64R:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			continue
		case opLdrswR:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a >= m.reads[2] {
				goto load
			}
			x[in.rd] = uint64(int64(int32(get32(mem, a))))
			continue
		case opLdr8U:
			a := x[in.rn] + x[in.rm]&lowWord<<(in.sh&63)
			if a >= m.reads[0] {
				goto load
			}
			x[in.rd] = get8(mem, a)
			continue
		case opLdr32U:
			a := x[in.rn] + x[in.rm]&lowWord<<(in.sh&63)
			if a >= m.reads[2] {
				goto load
			}
			x[in.rd] = get32(mem, a)
			continue
		case opLdr64U:
			a := x[in.rn] + x[in.rm]&lowWord<<(in.sh&63)
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			continue
		case opLdr8S:
			a := x[in.rn] + uint64(int64(int32(x[in.rm])))<<(in.sh&63)
			if a >= m.reads[0] {
				goto load
			}
			x[in.rd] = get8(mem, a)
			continue
		case opLdr32S:
			a := x[in.rn] + uint64(int64(int32(x[in.rm])))<<(in.sh&63)
			if a >= m.reads[2] {
				goto load
			}
			x[in.rd] = get32(mem, a)
			continue
		case opLdr64S:
			a := x[in.rn] + uint64(int64(int32(x[in.rm])))<<(in.sh&63)
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			continue
		case opStr8U:
			a := x[in.rn] + x[in.rm]&lowWord<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[0] {
				goto store
			}
			put8(mem, a, x[in.rd])
			continue
		case opStr32U:
			a := x[in.rn] + x[in.rm]&lowWord<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[2] {
				goto store
			}
			put32(mem, a, x[in.rd])
			continue
		case opStr64U:
			a := x[in.rn] + x[in.rm]&lowWord<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[3] {
				goto store
			}
			put64(mem, a, x[in.rd])
			continue
		case opStr8S:
			a := x[in.rn] + uint64(int64(int32(x[in.rm])))<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[0] {
				goto store
			}
			put8(mem, a, x[in.rd])
			continue
		case opStr32S:
			a := x[in.rn] + uint64(int64(int32(x[in.rm])))<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[2] {
				goto store
			}
			put32(mem, a, x[in.rd])
			continue
		case opStr64S:
			a := x[in.rn] + uint64(int64(int32(x[in.rm])))<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[3] {
				goto store
			}
			put64(mem, a, x[in.rd])
			continue
		case opLdr8P:
			a := x[in.rn]
			if a >= m.reads[0] {
				goto load
			}
			x[in.rd] = get8(mem, a)
			x[in.rn] = a + in.imm
			continue
		case opLdr32P:
			a := x[in.rn]
			if a >= m.reads[2] {
				goto load
			}
			x[in.rd] = get32(mem, a)
			x[in.rn] = a + in.imm
			continue
		case opLdr64P:
			a := x[in.rn]
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			x[in.rn] = a + in.imm
			continue
		case opStr8:
			a := x[in.rn] + in.imm
			if a-m.heap.from >= m.heap.spans[0] {
				goto store
			}
			put8(mem, a, x[in.rd])
			continue
		case opStr16:
			a := x[in.rn] + in.imm
			if a-m.heap.from >= m.heap.spans[1] {
				goto store
			}
			put16(mem, a, x[in.rd])
			continue
		case opStr32:
			a := x[in.rn] + in.imm
			if a-m.heap.from >= m.heap.spans[2] {
				goto store
			}
			put32(mem, a, x[in.rd])
			continue
		case opStr64:
			a := x[in.rn] + in.imm
			if a-m.heap.from >= m.heap.spans[3] {
				goto store
			}
			put64(mem, a, x[in.rd])
			continue
		case opStr32SP:
			a := x[in.rn] + in.imm
			if a-m.stack.from >= m.stack.spans[2] {
				goto store
			}
			put32(mem, a, x[in.rd])
			continue
		case opStr64SP:
			a := x[in.rn] + in.imm
			if a-m.stack.from >= m.stack.spans[3] {
				goto store
			}
			put64(mem, a, x[in.rd])
			continue
		case opStr8R:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[0] {
				goto store
			}
			put8(mem, a, x[in.rd])
			continue
		case opStr16R:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[1] {
				goto store
			}
			put16(mem, a, x[in.rd])
			continue
		case opStr32R:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[2] {
				goto store
			}
			put32(mem, a, x[in.rd])
			continue
		case opStr64R:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[3] {
				goto store
			}
			put64(mem, a, x[in.rd])
			continue
		case opStr8P:
			a := x[in.rn]
			if a-m.heap.from >= m.heap.spans[0] {
				goto store
			}
			put8(mem, a, x[in.rd])
			x[in.rn] = a + in.imm
			continue
		case opStr32P:
			a := x[in.rn]
			if a-m.heap.from >= m.heap.spans[2] {
				goto store
			}
			put32(mem, a, x[in.rd])
			x[in.rn] = a + in.imm
			continue
		case opStr64P:
			a := x[in.rn]
			if a-m.heap.from >= m.heap.spans[3] {
				goto store
			}
			put64(mem, a, x[in.rd])
			x[in.rn] = a + in.imm
			continue
		case opLdp64:
			a := x[in.rn] + in.imm
			if a >= m.reads[4] {
				goto pair
			}
			x[in.rd], x[in.rm] = get64(mem, a), get64(mem, a+8)
			continue
		case opStp64:
			a := x[in.rn] + in.imm
			if a-m.heap.from >= m.heap.spans[4] {
				goto pair
			}
			put64(mem, a, x[in.rd])
			put64(mem, a+8, x[in.rm])
			continue
		case opStp64SP:
			a := x[in.rn] + in.imm
			if a-m.stack.from >= m.stack.spans[4] {
				goto pair
			}
			put64(mem, a, x[in.rd])
			put64(mem, a+8, x[in.rm])
			continue
		case opLdp64PSP:
			a := x[in.rn]
			if a >= m.reads[4] {
				goto pair
			}
			x[in.rd], x[in.rm] = get64(mem, a), get64(mem, a+8)
			x[regSP] = a + in.imm
			m.syncStack()
			continue
		case opStp64WSP:
			a := x[in.rn] + in.imm
			if a-m.stack.from >= m.stack.spans[4] {
				goto pair
			}
			put64(mem, a, x[in.rd])
			put64(mem, a+8, x[in.rm])
			x[regSP] = a
			m.syncStack()
			continue
		case opLoad:
			goto load
		case opStore:
			goto store
		case opPair:
			goto pair
		case opLdrD:
			a := x[in.rn] + in.imm
			if a >= m.reads[3] {
				goto load
			}
			m.v[in.rd&31] = vector{get64(mem, a), 0}
			continue
		case opLdrQ:
			a := x[in.rn] + in.imm
			if a >= m.reads[4] {
				goto load
			}
			m.v[in.rd&31] = vector{get64(mem, a), get64(mem, a+8)}
			continue
		case opLdrDR:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a >= m.reads[3] {
				goto load
			}
			m.v[in.rd&31] = vector{get64(mem, a), 0}
			continue
		case opLdrQR:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a >= m.reads[4] {
				goto load
			}
			m.v[in.rd&31] = vector{get64(mem, a), get64(mem, a+8)}
			continue
		case opLdrQP:
			a := x[in.rn]
			if a >= m.reads[4] {
				goto load
			}
			m.v[in.rd&31] = vector{get64(mem, a), get64(mem, a+8)}
			x[in.rn] = a + in.imm
			continue
		case opStrD:
			a := x[in.rn] + in.imm
			if a-m.heap.from >= m.heap.spans[3] {
				goto store
			}
			put64(mem, a, m.v[in.rd&31].lo)
			continue
		case opStrQ:
			a := x[in.rn] + in.imm
			if a-m.heap.from >= m.heap.spans[4] {
				goto store
			}
			v := &m.v[in.rd&31]
			put64(mem, a, v.lo)
			put64(mem, a+8, v.hi)
			continue
		case opStrDR:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[3] {
				goto store
			}
			put64(mem, a, m.v[in.rd&31].lo)
			continue
		case opStrQR:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a-m.heap.from >= m.heap.spans[4] {
				goto store
			}
			v := &m.v[in.rd&31]
			put64(mem, a, v.lo)
			put64(mem, a+8, v.hi)
			continue
		case opStrQP:
			a := x[in.rn]
			if a-m.heap.from >= m.heap.spans[4] {
				goto store
			}
			v := &m.v[in.rd&31]
			put64(mem, a, v.lo)
			put64(mem, a+8, v.hi)
			x[in.rn] = a + in.imm
			continue

		case opSubsBeq:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if a != b {
				continue
			}
			in = &code[pc-1]
		case opSubsBne:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if a == b {
				continue
			}
			in = &code[pc-1]
		case opSubsBhs:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if a < b {
				continue
			}
			in = &code[pc-1]
		case opSubsBlo:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if a >= b {
				continue
			}
			in = &code[pc-1]
		case opSubsBhi:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if a <= b {
				continue
			}
			in = &code[pc-1]
		case opSubsBls:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if a > b {
				continue
			}
			in = &code[pc-1]
		case opSubsBge:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if int64(a) < int64(b) {
				continue
			}
			in = &code[pc-1]
		case opSubsBlt:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if int64(a) >= int64(b) {
				continue
			}
			in = &code[pc-1]
		case opSubsBgt:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if int64(a) <= int64(b) {
				continue
			}
			in = &code[pc-1]
		case opSubsBle:
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc++
			if int64(a) > int64(b) {
				continue
			}
			in = &code[pc-1]
		case opSubs32Beq:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if a != b {
				continue
			}
			in = &code[pc-1]
		case opSubs32Bne:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if a == b {
				continue
			}
			in = &code[pc-1]
		case opSubs32Bhs:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if a < b {
				continue
			}
			in = &code[pc-1]
		case opSubs32Blo:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if a >= b {
				continue
			}
			in = &code[pc-1]
		case opSubs32Bhi:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if a <= b {
				continue
			}
			in = &code[pc-1]
		case opSubs32Bls:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if a > b {
				continue
			}
			in = &code[pc-1]
		case opSubs32Bge:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if int64(a) < int64(b) {
				continue
			}
			in = &code[pc-1]
		case opSubs32Blt:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if int64(a) >= int64(b) {
				continue
			}
			in = &code[pc-1]
		case opSubs32Bgt:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if int64(a) <= int64(b) {
				continue
			}
			in = &code[pc-1]
		case opSubs32Ble:
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc++
			if int64(a) > int64(b) {
				continue
			}
			in = &code[pc-1]
		case opAndsB:
			r := x[in.rn] & (x[in.rm] + in.imm)
			m.setFlags(flagsAdd, r, 0)
			x[in.rd] = r
			in = &code[pc]
			pc++
			if (r == 0) != (in.k == condEQ) {
				continue
			}
		case opAnds32B:
			r := x[in.rn] & (x[in.rm] + in.imm) & lowWord
			m.setFlags(flagsAdd, r<<32, 0)
			x[in.rd] = r
			in = &code[pc]
			pc++
			if (r == 0) != (in.k == condEQ) {
				continue
			}
		case opAddISubsBne:
			x[in.rd] = x[in.rn] + in.imm
			in = &code[pc]
			a, b := x[in.rn], x[in.rm]+in.imm
			m.setFlags(flagsSub, a, b)
			x[in.rd] = a - b
			pc += 2
			if a == b {
				continue
			}
			in = &code[pc-1]
		case opLdr64Add:
			a := x[in.rn] + in.imm
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			in = &code[pc]
			pc++
			x[in.rd] = x[in.rn] + x[in.rm]
			continue
		case opLdr64AddI:
			a := x[in.rn] + in.imm
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			in = &code[pc]
			pc++
			x[in.rd] = x[in.rn] + in.imm
			continue
		case opLdr64PMadd:
			a := x[in.rn]
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			x[in.rn] = a + in.imm
			in = &code[pc]
			pc++
			x[in.rd] = x[in.ra] + x[in.rn]*x[in.rm]
			continue
		case opAddIMadd:
			x[in.rd] = x[in.rn] + in.imm
			in = &code[pc]
			pc++
			x[in.rd] = x[in.ra] + x[in.rn]*x[in.rm]
			continue
		case opLdr64RLdr64R:
			a := x[in.rn] + x[in.rm]<<(in.sh&63)
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			in = &code[pc]
			pc++
			a = x[in.rn] + x[in.rm]<<(in.sh&63)
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			continue
		case opAddIAddI:
			x[in.rd] = x[in.rn] + in.imm
			in = &code[pc]
			pc++
			x[in.rd] = x[in.rn] + in.imm
			continue
		case opEorLslEorLsr:
			x[in.rd] = x[in.rn] ^ x[in.rm]<<(in.sh&63)
			in = &code[pc]
			pc++
			x[in.rd] = x[in.rn] ^ x[in.rm]>>(in.sh&63)
			continue
		case opAddLslUbfx:
			x[in.rd] = x[in.rn] + x[in.rm]<<(in.sh&63)
			in = &code[pc]
			pc++
			x[in.rd] = x[in.rn] >> (in.sh & 63) & in.imm
			continue

		case opMovMov:
			x[in.rd] = x[in.rm]
			in = &code[pc]
			pc++
			x[in.rd] = x[in.rm]
			continue
		case opLdr64Ldr64:
			a := x[in.rn] + in.imm
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			in = &code[pc]
			pc++
			a = x[in.rn] + in.imm
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			continue
		case opLdr64Ldr64Add:
			a := x[in.rn] + in.imm
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			in = &code[pc]
			pc++
			a = x[in.rn] + in.imm
			if a >= m.reads[3] {
				goto load
			}
			x[in.rd] = get64(mem, a)
			in = &code[pc]
			pc++
			x[in.rd] = x[in.rn] + x[in.rm]
			continue
		case opMaddStr64P:
			x[in.rd] = x[in.ra] + x[in.rn]*x[in.rm]
			in = &code[pc]
			pc++
			a := x[in.rn]
			if a-m.heap.from >= m.heap.spans[3] {
				goto store
			}
			put64(mem, a, x[in.rd])
			x[in.rn] = a + in.imm
			continue
		case opLdp64Ldp64:
			a := x[in.rn] + in.imm
			if a >= m.reads[4] {
				goto pair
			}
			x[in.rd], x[in.rm] = get64(mem, a), get64(mem, a+8)
			in = &code[pc]
			pc++
			a = x[in.rn] + in.imm
			if a >= m.reads[4] {
				goto pair
			}
			x[in.rd], x[in.rm] = get64(mem, a), get64(mem, a+8)
			continue
		case opStp64SPStp64SP:
			a := x[in.rn] + in.imm
			if a-m.stack.from >= m.stack.spans[4] {
				goto pair
			}
			put64(mem, a, x[in.rd])
			put64(mem, a+8, x[in.rm])
			in = &code[pc]
			pc++
			a = x[in.rn] + in.imm
			if a-m.stack.from >= m.stack.spans[4] {
				goto pair
			}
			put64(mem, a, x[in.rd])
			put64(mem, a+8, x[in.rm])
			continue
		case opAddI32Subs32Bhi:
			x[in.rd] = (x[in.rn] + in.imm) & lowWord
			in = &code[pc]
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc += 2
			if a <= b {
				continue
			}
			in = &code[pc-1]
		case opAddI32Subs32Bls:
			x[in.rd] = (x[in.rn] + in.imm) & lowWord
			in = &code[pc]
			a, b := x[in.rn]<<32, (x[in.rm]+in.imm)<<32
			m.setFlags(flagsSub, a, b)
			x[in.rd] = (a - b) >> 32
			pc += 2
			if a > b {
				continue
			}
			in = &code[pc-1]
		default:
			m.refuse(FaultUndefined, pc-1)
			return pc - 1, credit - pc + 1, stopFault
		}
		// A branch is taken, to the slot in the lower half of imm.
		left = credit - pc
		pc = int(uint32(in.imm))
		if left <= 0 {
			return pc, left, stopBranch
		}
		credit = left + pc
		continue

		// Accesses that are not among the quick ones, or not where those may go.
	load:
		if !m.load(in) {
			return pc - 1, credit - pc + 1, stopFault
		}
		continue
	store:
		if !m.store(in) {
			return pc - 1, credit - pc + 1, stopFault
		}
		continue
	pair:
		if !m.pair(in) {
			return pc - 1, credit - pc + 1, stopFault
		}
	}
}

// extend is ExtendReg of the architecture without its shift: k is UXTB to SXTX.
func extend(v uint64, k uint8) uint64 {
	switch k & 7 {
	case 0:
		return uint64(uint8(v))
	case 1:
		return uint64(uint16(v))
	case 2:
		return uint64(uint32(v))
	case 4:
		return uint64(int64(int8(v)))
	case 5:
		return uint64(int64(int16(v)))
	case 6:
		return uint64(int64(int32(v)))
	default:
		return v
	}
}
