package a64_test

import (
	"errors"
	"strings"
	"testing"

	"pappus/chericapengine/a64"
)

// What is not implemented is named, where there is a name.
func TestUnknownInstructions(t *testing.T) {
	for word, want := range map[uint32]string{
		0xd4000002: "undefined instruction 0xd4000002 (HVC, for systems only) at 0x1000",
		0xd4000023: "SMC",
		0xd4400020: "HLT",
		0xd71f0801: "pointer authentication", // braa x0, x1
		0xd65f0bff: "pointer authentication", // retaa
		0xdac10020: "pointer authentication", // pacia x0, x1
		0xf8200420: "pointer authentication", // ldraa x0, [x1]
		0x9ac23020: "pointer authentication", // pacga x0, x1, x2
		0x4e284820: "(AES)",                  // aese v0.16b, v1.16b
		0x4ee2e020: "(PMULL of 64 bits)",     // pmull2 v0.1q, v1.2d, v2.2d
		0x5e024020: "(SHA)",                  // sha256h q0, q1, v2.4s
		0x5e280820: "(SHA)",                  // sha1h s0, s1
		0xce628020: "SHA512",                 // sha512h q0, q1, v2.2d
		0x9adf1020: "(MTE)",                  // irg x0, x1
		0xd9200820: "(MTE)",                  // stg x0, [x1]
		0x2518e3e0: "(SVE)",                  // ptrue p0.b
		0xd53be049: "(MRS of S3_3_C14_C0_2)", // cntvct_el0
		0xd51b9c00: "(MSR of S3_3_C9_C12_0)", // pmcr_el0
		0x6e82cc20: "(FCMLA)",
		0x4e22ec20: "(FMLAL)",
		0x1e7e0000: "(FJCVTZS)",
		0x00000000: "undefined instruction 0x00000000 (UDF) at 0x1000",
		0x1e684020: "undefined instruction 0x1e684020 at 0x1000", // frint32z d0, d1
	} {
		m, _, _ := function(t, decoded(t, word), codeAt)
		err := m.Run(10, 10, nil)
		var f *a64.Fault
		if !errors.As(err, &f) || f.Kind != a64.FaultUndefined || !strings.Contains(f.Error(), want) {
			t.Errorf("%#08x: %v, want %s", word, err, want)
		}
	}
}
