package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"

	"pappus/data"
)

// Types of a parameter.
const (
	TypeSet  = "set"  // any number of items
	TypeItem = "item" // exactly one item
)

// DefaultOutput is the output set of a function without a signature.
const DefaultOutput = "output"

// Param is one input or output set of a signature.
type Param struct {
	Name        string
	Type        string // TypeSet or TypeItem
	ContentType string // of an output's items, in raw answers; "" for bytes
}

type paramJSON struct {
	Name        string `json:"name"`
	Type        string `json:"type,omitempty"`
	ContentType string `json:"content_type,omitempty"`
}

// MarshalJSON gives the name alone where there is nothing else to say, so that
// a signature has one spelling.
func (p Param) MarshalJSON() ([]byte, error) {
	typ := p.Type
	if typ == TypeSet {
		typ = ""
	}
	if typ == "" && p.ContentType == "" {
		return json.Marshal(p.Name)
	}
	return json.Marshal(paramJSON{p.Name, typ, p.ContentType})
}

// UnmarshalJSON reads a name, or an object with name, type and content_type.
func (p *Param) UnmarshalJSON(b []byte) error {
	var j paramJSON
	if err := json.Unmarshal(b, &j.Name); err != nil {
		j = paramJSON{}
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&j); err != nil {
			return errors.New("a parameter is a name, or an object with name, type and content_type")
		}
	}
	if j.Type == "" {
		j.Type = TypeSet
	}
	*p = Param(j)
	return p.check()
}

func (p Param) check() error {
	if err := data.CheckSetName(p.Name); err != nil {
		return err
	}
	if p.Type != TypeSet && p.Type != TypeItem {
		return fmt.Errorf("type of set %q is %.40q; it can be %q or %q", p.Name, p.Type, TypeItem, TypeSet)
	}
	if len(p.ContentType) > 255 || slices.ContainsFunc([]byte(p.ContentType), func(c byte) bool { return c < 0x20 || c >= 0x7f }) {
		return fmt.Errorf("content type %.80q of set %q is not printable ASCII of at most 255 bytes", p.ContentType, p.Name)
	}
	if p.ContentType != "" {
		// Multipart is a form of answers, and must not come from a function.
		if typ, _, err := mime.ParseMediaType(p.ContentType); err != nil || !strings.Contains(typ, "/") || strings.HasPrefix(typ, "multipart/") {
			return fmt.Errorf("content type %.80q of set %q is not a media type like text/plain; charset=utf-8", p.ContentType, p.Name)
		}
	}
	return nil
}

// Signature is the input and output sets of a function, in order: compositions
// match by position, requests by name.
type Signature struct {
	Inputs  []Param `json:"inputs"`
	Outputs []Param `json:"outputs"`

	// Open marks a function that has been given no signature: it takes the
	// sets that it is sent, and has one output set, DefaultOutput.
	Open bool `json:"open,omitempty"`
}

// OpenSignature is the signature of a function that has been given none.
func OpenSignature() Signature {
	return Signature{Inputs: []Param{}, Outputs: []Param{{Name: DefaultOutput, Type: TypeSet}}, Open: true}
}

// MaxParams is the largest number of input or output sets.
const MaxParams = 1000

// Check returns an error that says which name is wrong or appears twice.
func (s Signature) Check() error {
	for _, side := range []struct {
		what   string
		params []Param
	}{{"input", s.Inputs}, {"output", s.Outputs}} {
		if len(side.params) > MaxParams {
			return fmt.Errorf("%d %s sets; the most is %d", len(side.params), side.what, MaxParams)
		}
		seen := make(map[string]bool, len(side.params))
		for _, p := range side.params {
			if err := p.check(); err != nil {
				return fmt.Errorf("%s: %w", side.what, err)
			}
			if seen[p.Name] {
				return fmt.Errorf("%s set %q appears twice", side.what, p.Name)
			}
			seen[p.Name] = true
		}
	}
	return nil
}

// CheckInputs returns a *Fault of kind item-count for the first input set that is
// declared as one item and does not hold exactly one. The sets are in the
// signature's order.
func (s Signature) CheckInputs(in []data.Set) error {
	if s.Open {
		return nil
	}
	return checkItems("input", s.Inputs, in)
}

// CheckOutputs does the same for outputs.
func (s Signature) CheckOutputs(out []data.Set) error { return checkItems("output", s.Outputs, out) }

func checkItems(side string, params []Param, sets []data.Set) error {
	for i := range params {
		if n := len(sets[i].Items); params[i].Type == TypeItem && n != 1 {
			return &Fault{Kind: FaultItemCount, Detail: fmt.Sprintf("%s set %q is declared as one item, and has %d", side, params[i].Name, n)}
		}
	}
	return nil
}

// Arrange brings sets into the order of the signature's inputs, declared sets that
// are missing being empty. With an open signature they stay as they are. It
// fails for a set that is not declared.
func (s Signature) Arrange(in []data.Set) ([]data.Set, error) {
	if s.Open {
		return in, nil
	}
	same := len(in) == len(s.Inputs)
	for i := 0; same && i < len(in); i++ {
		same = in[i].Name == s.Inputs[i].Name
	}
	if same {
		return in, nil
	}
	sets := make([]data.Set, len(s.Inputs))
	for i, param := range s.Inputs {
		sets[i].Name = param.Name
	}
	for _, set := range in {
		i := s.Input(set.Name)
		if i < 0 {
			return nil, fmt.Errorf("input set %q is not declared", set.Name)
		}
		sets[i].Items = set.Items
	}
	return sets, nil
}

// Input is the index of the input set of that name, or -1.
func (s Signature) Input(name string) int { return index(s.Inputs, name) }

// Output is the index of the output set of that name, or -1.
func (s Signature) Output(name string) int { return index(s.Outputs, name) }

func index(params []Param, name string) int {
	return slices.IndexFunc(params, func(p Param) bool { return p.Name == name })
}
