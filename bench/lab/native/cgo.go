//go:build cgo

package native

/*
#cgo CFLAGS: -O3 -I${SRCDIR}/../../../samples/matmul
#include "checksum.h"
*/
import "C"

// Compiled tells that there is a C compiler's code in this program.
const Compiled = true

// Checksum makes the matrix of that many rows, multiplies it by its transpose,
// and returns the sum of all values, or false if there is no memory for that.
func Checksum(rows int) (uint64, bool) {
	var sum C.uint64_t
	ok := C.checksum(C.size_t(rows), &sum)
	return uint64(sum), ok != 0
}
