package a64

import "fmt"

// unknown says what an instruction would be that is not implemented, in parentheses; ""
// if it is none that people have a name for.
func unknown(w uint32) string {
	const reads = 1 << 21
	if w&0xffd00000 == 0xd5100000 { // MSR, MRS
		name, of := "MSR", w>>5&0x7fff
		if w&reads != 0 {
			name = "MRS"
		}
		return fmt.Sprintf(" (%s of S%d_%d_C%d_C%d_%d)", name, 2+of>>14, of>>11&7, of>>7&15, of>>3&15, of&7)
	}
	for _, k := range [...]struct {
		mask, word uint32
		name       string
	}{
		{0xffff0000, 0, "UDF"},
		{0xffe0001f, 0xd4000002, "HVC, for systems only"},
		{0xffe0001f, 0xd4000003, "SMC, for systems only"},
		{0xffe0001f, 0xd4400000, "HLT, for debuggers"},
		{0xff000000, 0xd6000000, "a branch of pointer authentication, or for systems only"},
		{0xff000000, 0xd7000000, "a branch of pointer authentication"},
		{0xffff0000, 0xdac10000, "pointer authentication"},
		{0xff200400, 0xf8200400, "LDRAA, pointer authentication"},
		{0xffe0fc00, 0x9ac03000, "PACGA, pointer authentication"},
		{0xff3e0c00, 0x4e280800, "AES"},
		{0xbf20fc00, 0x0e20e000, "PMULL of 64 bits"},
		{0xff3e0c00, 0x5e280800, "SHA"},
		{0xff208c00, 0x5e000000, "SHA"},
		{0xff800000, 0xce000000, "SHA3, SHA512, SM3 or SM4"},
		{0xff800000, 0xce800000, "SHA3"},
		{0xff000000, 0xd9000000, "MTE"},
		{0xffe0fc00, 0x9ac01000, "MTE"},
		{0xbf20e400, 0x2e00c400, "FCMLA"},
		{0xbfa0fc00, 0x0e20ec00, "FMLAL"},
		{0xfffffc00, 0x1e7e0000, "FJCVTZS"},
		{0x1e000000, 0x04000000, "SVE"},
		{0x9e000000, 0x00000000, "SVE or SME"},
		{0xff000000, 0xc2000000, "of Morello"},
		{0xff000000, 0xa2000000, "of Morello"},
		{0x7f000000, 0x62000000, "of Morello"},
	} {
		if w&k.mask == k.word {
			return " (" + k.name + ")"
		}
	}
	return ""
}
