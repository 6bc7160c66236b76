package a64

import (
	"encoding/binary"
	"testing"
)

// Every fused instruction is made of its sequence, and comes apart into what it was.
func TestFusing(t *testing.T) {
	shapes := Shapes()
	for o := numPlain; o < endOfOps; o++ {
		shape, ok := shapes[o]
		if !ok {
			t.Errorf("there is no shape for fused instruction %d", o-numPlain)
			continue
		}
		var text []byte
		for _, s := range shape {
			text = binary.LittleEndian.AppendUint32(text, s.Word|s.Free&0x00010021) // not all zero: rd of the first is no SP
		}
		code, err := Decode([]Segment{{Bytes: append(text, make([]byte, 12)...)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := code.insts[0].op; got != o {
			t.Errorf("%v becomes instruction %d, not %d", shape, got, o)
		}
		for i, in := range code.unfused() {
			if i >= len(shape) {
				break
			}
			if alone := decode(code.word(code.address(i)), code.address(i)); in.op != alone.op || in.rd != alone.rd || in.rn != alone.rn || in.rm != alone.rm {
				t.Errorf("part %d of %v comes apart as %d, and is %d", i, shape, in.op, alone.op)
			}
		}
	}
}
