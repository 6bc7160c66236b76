// Package loader reads functions for Morello: static ELF files for AArch64,
// hybrid ones, whose code is plain A64 and which know capabilities only where
// they exit.
//
// It owns what such a file may contain and where its parts come to lie in a
// context: which addresses hold code, which data, and where the platform finds
// the system struct and the slot for the return capability. Everything in a file
// is hostile: every offset, size, count and address is checked without overflow
// before it is used, nothing is allocated by a size that a file claims, and no
// byte belongs to both code and what can be written.
//
// A context begins at address 0. The stack has what lies below the code, and
// grows down towards 0: whatever runs past its end leaves the context, and
// can't come upon anything else. Files that can be moved are loaded at
// StackRoom; those that can't are where they were linked, which is as much
// stack as they have.
//
// Of the project the package knows engine, for manifests and for how it says
// why code is refused.
package loader
