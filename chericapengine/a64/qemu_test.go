package a64_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// sigbus is what Linux makes of an alignment fault.
const sigbus = 7

// rounds is how many instructions of each class are compared: some here, many where
// PAPPUS_A64_ROUNDS says so.
func rounds(tb testing.TB) int {
	tb.Helper()
	text := os.Getenv("PAPPUS_A64_ROUNDS")
	if text == "" {
		return 120
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		tb.Fatalf("PAPPUS_A64_ROUNDS is %q; it must be a number above 0", text)
	}
	return n
}

// Every instruction does what qemu does with it, or is undefined in both.
func TestAgainstQEMU(t *testing.T) {
	only := os.Getenv("A64_ONLY")
	r := rand.New(rand.NewPCG(uint64(rounds(t)), 2))
	var all []sequence
	for _, p := range patterns {
		if only != "" && !strings.HasPrefix(p.class, only) {
			continue
		}
		for range rounds(t) {
			all = append(all, p.one(r))
		}
	}
	compare(t, all)
}

// compare runs sequences in batches here and under qemu.
func compare(t *testing.T, all []sequence) {
	t.Helper()
	const batch = 20_000
	for len(all) > 0 {
		now := all[:min(batch, len(all))]
		all = all[len(now):]
		want := reference(t, now)
		b := newBed(t, now)
		wrong := 0
		for i, s := range now {
			got := b.run(i, s)
			if got.signal == sigbus && want[i].signal == 0 && s.words[0]&0x3f400000 == 0x08000000 {
				continue // a store-exclusive that fails either way; qemu does not look at the address then
			}
			if d := difference(got, want[i]); d != "" {
				t.Errorf("%v:%s", s, d)
				if wrong++; wrong > 400 {
					t.Fatal("too many differences")
				}
			}
		}
	}
}
