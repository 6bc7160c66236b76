package canon

import "pappus/wasmengine/binary"

// Kind is what an instruction calculates with.
type Kind uint8

// The kinds; Other is everything that is not floating point.
const (
	Other Kind = iota
	F32
	F64
	F32x4
	F64x2
)

// use tells what an instruction does with a floating-point operand.
type use uint8

const (
	observes   use = iota // its result or effect may depend on a NaN's bits
	ignores               // nothing depends on more than whether it is a NaN
	transforms            // its result is the operand with another sign
)

// opInfo is what matters of an instruction here.
type opInfo struct {
	use  use
	from Kind // of the operands, unless it observes them
	made Kind // of the result, if its NaNs are left open by the specification
}

// infoOf describes an instruction.
func infoOf(op binary.Op) opInfo {
	switch uint16(op) >> 8 {
	case 0:
		return plainOps[op&0xff]
	case 0xfc:
		switch low := op & 0xff; {
		case low >= 8:
		case low&2 == 0: // i32.trunc_sat_f32_s, _u, i64.trunc_sat_f32_s, _u
			return opInfo{use: ignores, from: F32}
		default:
			return opInfo{use: ignores, from: F64}
		}
	case 0xfd:
		return vectorOps[op&0xff]
	}
	return opInfo{}
}

func (k Kind) ignored() opInfo     { return opInfo{use: ignores, from: k} }
func (k Kind) transformed() opInfo { return opInfo{use: transforms, from: k} }
func (k Kind) to(made Kind) opInfo { return opInfo{use: ignores, from: k, made: made} }

var plainOps = func() (t [256]opInfo) {
	set := func(in opInfo, from, to int) {
		for i := from; i <= to; i++ {
			t[i] = in
		}
	}
	t[binary.OpDrop] = opInfo{use: ignores}
	set(F32.ignored(), 0x5b, 0x60) // eq ne lt gt le ge
	set(F64.ignored(), 0x61, 0x66)
	set(F32.transformed(), 0x8b, 0x8c) // abs neg
	set(F32.to(F32), 0x8d, 0x97)       // ceil floor trunc nearest sqrt add sub mul div min max
	set(F64.transformed(), 0x99, 0x9a)
	set(F64.to(F64), 0x9b, 0xa5)
	set(F32.ignored(), 0xa8, 0xa9) // i32.trunc, which traps
	set(F64.ignored(), 0xaa, 0xab)
	set(F32.ignored(), 0xae, 0xaf) // i64.trunc
	set(F64.ignored(), 0xb0, 0xb1)
	t[0xb6] = F64.to(F32) // f32.demote_f64
	t[0xbb] = F32.to(F64) // f64.promote_f32
	return t
}()

var vectorOps = func() (t [256]opInfo) {
	set := func(in opInfo, list ...int) {
		for _, i := range list {
			t[i] = in
		}
	}
	set(F32x4.ignored(), 0x41, 0x42, 0x43, 0x44, 0x45, 0x46) // eq ne lt gt le ge
	set(F64x2.ignored(), 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c)
	t[0x5e] = F64x2.to(F32x4)                                      // f32x4.demote_f64x2_zero
	t[0x5f] = F32x4.to(F64x2)                                      // f64x2.promote_low_f32x4
	set(F32x4.to(F32x4), 0x67, 0x68, 0x69, 0x6a)                   // ceil floor trunc nearest
	set(F64x2.to(F64x2), 0x74, 0x75, 0x7a, 0x94)                   //
	set(F32x4.transformed(), 0xe0, 0xe1)                           // abs neg
	set(F32x4.to(F32x4), 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9) // sqrt add sub mul div min max
	set(F64x2.transformed(), 0xec, 0xed)                           //
	set(F64x2.to(F64x2), 0xef, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5) //
	set(F32x4.ignored(), 0xf8, 0xf9)                               // i32x4.trunc_sat_f32x4
	set(F64x2.ignored(), 0xfc, 0xfd)                               // i32x4.trunc_sat_f64x2_zero
	return t
}()
