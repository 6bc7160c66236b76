// matmul in Go: multiplies matrices by their transposes. It takes and gives what
// ../../matmul does.
//
// Exit code 1: an item is not such a matrix.
package main

import (
	"encoding/binary"
	"errors"

	"pappus/sdk/go/pappus"
)

func main() { pappus.Main(run) }

func run(in pappus.Inputs) (pappus.Outputs, error) {
	out := pappus.Outputs{}
	for _, item := range in["matrices"] {
		product, ok := timesTranspose(item.Data)
		if !ok {
			return nil, errors.New("item " + item.Name + " is not a matrix")
		}
		item.Data = product
		out["products"] = append(out["products"], item)
	}
	return out, nil
}

func timesTranspose(item []byte) (product []byte, ok bool) {
	if len(item) == 0 || len(item)%8 != 0 {
		return nil, false
	}
	numbers := make([]uint64, len(item)/8)
	for i := range numbers {
		numbers[i] = binary.LittleEndian.Uint64(item[8*i:])
	}
	rows, m := numbers[0], numbers[1:]
	if rows == 0 || rows > uint64(len(m)) || uint64(len(m))%rows != 0 {
		return nil, false
	}
	cols := len(m) / int(rows)
	product = binary.LittleEndian.AppendUint64(nil, rows)
	for i := 0; i < len(m); i += cols {
		for j := 0; j < len(m); j += cols {
			product = binary.LittleEndian.AppendUint64(product, dot(m[i:i+cols], m[j:j+cols]))
		}
	}
	return product, true
}

func dot(a, b []uint64) (sum uint64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}
