package toolchain

import (
	"encoding/binary"
	"strings"
)

// onlyLines leaves out of a module what debuggers take and stack traces don't:
// of DWARF only line tables stay. What can't be read stays as it is.
func onlyLines(module []byte) []byte {
	const header = 8
	out := append([]byte{}, module[:min(len(module), header)]...)
	for at := header; at < len(module); {
		size, n := binary.Uvarint(module[at+1:])
		start := at + 1 + n
		if n <= 0 || size > uint64(len(module)-start) {
			return module
		}
		end := start + int(size)
		if module[at] != 0 || keeps(module[start:end]) {
			out = append(out, module[at:end]...)
		}
		at = end
	}
	return out
}

// keeps reports whether a custom section is of use.
func keeps(section []byte) bool {
	size, n := binary.Uvarint(section)
	if n <= 0 || size > uint64(len(section)-n) {
		return true
	}
	return keepsSection(string(section[n : n+int(size)]))
}

// keepsSection reports whether a section of that name is of use.
func keepsSection(name string) bool {
	return !strings.HasPrefix(name, ".debug_") || strings.HasPrefix(name, ".debug_line")
}
