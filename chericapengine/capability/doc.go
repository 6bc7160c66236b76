// Package capability is the Morello capability: 128 bits of address,
// permissions, object type and compressed bounds, and a tag that says whether
// they are a capability or plain data.
//
// It owns the format in memory, what the architecture's instructions make of
// a capability, and the check of an access against one. Nothing here derives
// a tagged capability that reaches further, or may do more, than the one it
// was made from. It knows nothing of instructions, of memory or of the rest of
// the project.
//
// The high word of the format, the low word being the address, whose upper
// eight bits are flags that bounds ignore:
//
//	63:46 permissions | 45:31 object type | 30 form | 29:16 top | 15:0 bottom
//
// With form 1 the bounds are exact to the byte, and the two fields are their
// low bits. With form 0 the low three bits of both fields hold an exponent,
// inverted: all zeroes is an exponent of 63, which stands for all of the
// address space. The upper two bits of the top are not stored: they follow
// from the bottom's, since the exponent is as small as the length allows.
package capability
