package a64_test

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"testing"
)

const goldenFile = "testdata/golden.bin"

// hash is what the golden vectors keep of a state.
func (s *state) hash() uint64 {
	h := fnv.New64a()
	h.Write(s.bytes(s.signal))
	return h.Sum64()
}

// What qemu made of some thousands of instructions was written down, for machines on
// which there is none. PAPPUS_A64_GOLDEN=write writes it anew.
func TestGolden(t *testing.T) {
	if os.Getenv("PAPPUS_A64_GOLDEN") == "write" {
		writeGolden(t)
	}
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []sequence
	var want []uint64
	le := binary.LittleEndian
	for len(b) > 0 {
		s := sequence{class: "golden"}
		n := int(b[0])
		for i := range n {
			s.words = append(s.words, le.Uint32(b[1+4*i:]))
		}
		b = b[1+4*n:]
		s.seed = le.Uint64(b)
		want = append(want, le.Uint64(b[8:]))
		all = append(all, s)
		b = b[16:]
	}
	if len(all) < 3_000 {
		t.Errorf("there are only %d vectors", len(all))
	}
	bed := newBed(t, all)
	for i, s := range all {
		if got := bed.run(i, s); got.hash() != want[i] {
			t.Errorf("%v leaves another state than in qemu", s)
		}
	}
}

func writeGolden(t *testing.T) {
	t.Helper()
	r := rand.New(rand.NewPCG(10, 10))
	var all []sequence
	for _, p := range patterns {
		for range 40 {
			// A store-exclusive that fails does not look at its address in qemu.
			if s := p.one(r); s.words[0]&0x3f400000 != 0x08000000 {
				all = append(all, s)
			}
		}
	}
	for range 400 {
		all = append(all, forward(r))
	}
	var b []byte
	for i, last := range reference(t, all) {
		b = append(b, byte(len(all[i].words)))
		b = append(b, words(all[i].words...)...)
		b = binary.LittleEndian.AppendUint64(b, all[i].seed)
		b = binary.LittleEndian.AppendUint64(b, last.hash())
	}
	if err := os.WriteFile(goldenFile, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
