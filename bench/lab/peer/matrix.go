package peer

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// matrix is the input of samples/matmul: the number of rows, then the values 1,
// 2, 3 … of a matrix of so many rows and columns.
func matrix(rows int) []byte {
	b := make([]byte, 0, 8*(1+rows*rows))
	b = binary.LittleEndian.AppendUint64(b, uint64(rows))
	for v := range uint64(rows * rows) {
		b = binary.LittleEndian.AppendUint64(b, v+1)
	}
	return b
}

// product is what samples/matmul makes of it: M·Mᵀ in the same form.
func product(rows int) []byte {
	n := uint64(rows)
	b := make([]byte, 0, 8*(1+rows*rows))
	b = binary.LittleEndian.AppendUint64(b, n)
	for i := range n {
		for j := range n {
			var sum uint64
			for k := uint64(1); k <= n; k++ {
				sum += (i*n + k) * (j*n + k)
			}
			b = binary.LittleEndian.AppendUint64(b, sum)
		}
	}
	return b
}

// carried is the work of those whose request carries the matrix as it is, and
// whose answer the product.
func carried() *Work {
	return &Work{
		Body: func(_, rows int) []byte { return matrix(rows) },
		Check: func(rows int) func([]byte) error {
			want := product(rows)
			return func(answer []byte) error {
				if !bytes.Equal(answer, want) {
					return fmt.Errorf("%w: %d bytes, want the product of %d rows", errAnswer, len(answer), rows)
				}
				return nil
			}
		},
	}
}
