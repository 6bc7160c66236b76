package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Values of a manifest's memo.
const (
	MemoAuto = "auto"
	MemoOff  = "off"
)

// Manifest is what code says of itself: in wasm the custom section "pappus", a
// JSON object. A registration may override all of it but the layout.
type Manifest struct {
	Name        string  `json:"name,omitempty"`
	Description string  `json:"description,omitempty"`
	Inputs      []Param `json:"inputs,omitempty"`  // nil: not given
	Outputs     []Param `json:"outputs,omitempty"` // nil: not given
	Limits      Limits  `json:"limits,omitzero"`
	Layout      string  `json:"layout,omitempty"`
	Memo        string  `json:"memo,omitempty"`
}

// MaxManifest is the largest manifest in bytes.
const MaxManifest = 64 << 10

// ParseManifest reads a manifest. Unknown members, duplicate sets, bad names
// and values are errors: a manifest that is misread would change what the
// function is.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	if len(b) > MaxManifest {
		return m, fmt.Errorf("manifest has %d bytes; the most is %d", len(b), MaxManifest)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Manifest{}, errors.New("manifest: something follows the JSON object")
	}
	if m.Memo != "" && m.Memo != MemoAuto && m.Memo != MemoOff {
		return Manifest{}, fmt.Errorf("manifest: memo is %.40q; it can be %q or %q", m.Memo, MemoAuto, MemoOff)
	}
	if err := m.Limits.Check(Limits{}); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if err := m.Signature().Check(); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// Signature is the signature that the manifest declares; open if it names
// neither inputs nor outputs.
func (m Manifest) Signature() Signature {
	if m.Inputs == nil && m.Outputs == nil {
		return OpenSignature()
	}
	s := Signature{Inputs: m.Inputs, Outputs: m.Outputs}
	if s.Inputs == nil {
		s.Inputs = []Param{}
	}
	if s.Outputs == nil {
		s.Outputs = []Param{}
	}
	return s
}
