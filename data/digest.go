package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// DigestPrefix begins the text form of every digest.
const DigestPrefix = "sha256:"

// Digest is a SHA-256 sum. It is comparable and serves as a map key. Its text
// form, also in JSON, is "sha256:" and 64 lower-case hexadecimal digits.
type Digest [sha256.Size]byte

// Sum is the digest of b.
func Sum(b []byte) Digest { return sha256.Sum256(b) }

// ParseDigest reads the text form; anything else, upper-case digits included,
// is an error, so that a digest has one spelling only.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	digits, ok := strings.CutPrefix(s, DigestPrefix)
	if !ok {
		return d, fmt.Errorf("digest %.80q does not start with %q", s, DigestPrefix)
	}
	if len(digits) != hex.EncodedLen(len(d)) {
		return d, fmt.Errorf("digest %.80q has %d digits instead of %d", s, len(digits), hex.EncodedLen(len(d)))
	}
	if strings.ToLower(digits) != digits {
		return d, fmt.Errorf("digest %q has upper-case digits; write them in lower case", s)
	}
	if _, err := hex.Decode(d[:], []byte(digits)); err != nil {
		return Digest{}, fmt.Errorf("digest %q: %w", s, err)
	}
	return d, nil
}

// String is the text form, "sha256:…".
func (d Digest) String() string { return DigestPrefix + d.Hex() }

// Hex is the digits alone, as used in file names.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero value, which stands for "none".
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText gives the text form.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the text form.
func (d *Digest) UnmarshalText(b []byte) error {
	v, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
